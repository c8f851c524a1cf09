"""Sessions that continue another one: the same login on the same device, with tokens that nobody has copied.

After a step-up (RFC 9470), which ends the old session and so every copy of its tokens, and after the device's
own change of its password, which has ended it. The old row names its successor, so that whoever ends the old
session by its id ends what has become of it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django.utils import timezone
from django.views.decorators.debug import sensitive_variables

from authx import signals
from authx.conf import conf
from authx.core.actor import Actor
from authx.core.methods import combined
from authx.core.reasons import EndReason
from authx.errors import SessionEnded
from authx.models import DeviceSession, DeviceSessionQuerySet, SessionEvent, is_marked, uuid7
from authx.sessions import audit
from authx.sessions.credentials import Credentials, credentials_for
from authx.sessions.django_sessions import mark_of
from authx.sessions.ending import Ending, record
from authx.sessions.liveness import end_of
from authx.sessions.lookup import Snapshot, find_by_sid
from authx.sessions.not_before import opening_moment
from authx.sessions.opening import new_life
from authx.sessions.password_fingerprint import fingerprint, renewed_fingerprint
from authx.store import database

#: What a session takes over from the one that it continues. The context of its refreshes is among it: whoever
#: proves the password elsewhere does not hush the alarms about that.
_KEPT = (
    *("user_id", "subject", "device_id", "device_name", "device_type", "device_label"),
    *("user_agent", "ip", "country", "amr", "auth_time", "backend", "persistent", "django_session"),
    "is_unconfirmed",  # a stranger who proves a stolen password again is as strange as before
)


@sensitive_variables()
def continue_session(
    session: DeviceSession,
    actor: Actor,
    *,
    methods: Sequence[str],
    came_back: bool,
    auth_time: datetime | None = None,
    django_key: str | None = None,
    now: datetime | None = None,
) -> Credentials:
    """End ``session`` as superseded, and open one that continues it: its user has just proved who they are.

    ``methods`` are added to its ``amr`` (RFC 8176), with ``mfa`` if there are now two factors. ``auth_time``
    is the time of the proof, if it was not now; the session never goes back behind its own. ``came_back``
    says that the client has used a token of ``session``. ``django_key`` is the key of the Django session that
    is bound to the new one, if not that of ``session``. Session limits are not asked, and no other session
    ends.

    A second proof for the same session, made meanwhile or within AUTHX_REFRESH_GRACE after it, such as a form
    that was sent twice, is answered with the session that the first has opened.

    Raises:
        SessionEnded: it had ended before, or ended meanwhile; nothing was opened.
        StoreUnavailable: the database cannot be written; nothing has changed.
    """
    user: Any = session.user
    moment, number = opening_moment()
    at = now or moment
    sid = uuid7()

    def write() -> Credentials | None:
        ending = Ending(EndReason.SUPERSEDED, at, actor)
        login = _row(session.pk).first_party().live(at)
        if not login.update(**ending.columns(), successor=sid):
            return None
        record([session.pk], ending)
        old = _row(session.pk).select_for_update().get()  # as it was ended, not as it was read
        columns = {
            "amr": list(combined(old.amr, methods)),
            "auth_time": max(old.auth_time, min(auth_time or at, at)),
            "confirmed_generation": _confirmed(old, came_back=came_back),
            "fingerprint": renewed_fingerprint(user, old.fingerprint),
            "not_before_number": max(number, old.not_before_number),
            **_mark(django_key),
        }
        new = _open(old, sid, user, at, columns)
        added = " ".join(word for word in new.amr if word not in old.amr)
        audit.record(SessionEvent.Kind.REAUTHENTICATED, new, at=at, actor=actor, note=added)
        return credentials_for(new, generation=1, now=now or timezone.now())

    credentials = _announced(session, write)
    if credentials is not None:
        return credentials
    successor = _successor_in_grace(session.pk, at)
    if not set(methods) <= set(successor.amr):
        return continue_session(
            successor, actor, methods=methods, came_back=came_back, auth_time=auth_time, now=now
        )
    return credentials_for(successor, generation=successor.generation, now=now or timezone.now())


@sensitive_variables()
def continue_after_password_change(
    session: DeviceSession,
    actor: Actor,
    *,
    came_back: bool,
    django_key: str | None = None,
    now: datetime | None = None,
) -> Credentials | None:
    """Open a session that continues ``session``, which its own device has ended by changing the password.

    ``session`` has been read after that, with its user. ``django_key`` is the key of the Django session that
    is bound to it now, if not that of ``session``. Returns None if it may not be continued: somebody has
    ended it by its id or with all others since, or it is continued already.

    Raises:
        StoreUnavailable: the database cannot be written; nothing was opened.
    """
    user: Any = session.user
    moment, number = opening_moment()
    at = now or moment
    sid = uuid7()

    def write() -> Credentials | None:
        ended = _row(session.pk).first_party().filter(~is_marked(), successor=None)
        if not ended.filter(end_reason=EndReason.PASSWORD_CHANGED).update(successor=sid):
            return None
        columns = {
            "fingerprint": fingerprint(user),
            "confirmed_generation": _confirmed(session, came_back=came_back),
            "not_before_number": max(number, session.not_before_number),
            **_mark(django_key),
        }
        new = _open(session, sid, user, at, columns)
        audit.record(SessionEvent.Kind.OPENED, new, at=at, actor=actor)
        return credentials_for(new, generation=1, now=now or timezone.now())

    return _announced(session, write)


def is_continued(ended: Snapshot) -> bool:
    """Return whether this ended session may still be answered with the one that continues it."""
    session, at = ended.session, ended.session.ended_at
    superseded = session.end_reason == EndReason.SUPERSEDED and session.successor is not None
    return superseded and at is not None and abs(ended.now - at) < conf.REFRESH_GRACE


def _successor_in_grace(sid: UUID, at: datetime) -> DeviceSession:
    """Return the live session that took this one's place within the grace, with its user.

    Raises:
        SessionEnded: there is none; the error says how session ``sid`` ended.
    """
    ended = find_by_sid(sid)
    if ended is not None and ended.session.successor is not None and is_continued(ended):
        found = find_by_sid(ended.session.successor)
        if found is not None and end_of(found) is None:
            return found.session
    reason = None if ended is None else end_of(ended, at)
    replaced_by = "" if ended is None else ended.session.replaced_by
    raise SessionEnded(reason or EndReason.EXPIRED.value, sid=sid, replaced_by=replaced_by)


def _confirmed(old: DeviceSession, *, came_back: bool) -> int:
    """Return the generation that the successor begins with as confirmed: 1, unless ``old`` was never used.

    The state machine treats both alike. A Django session alone is a credential only while it is 0.
    """
    return int(came_back or old.confirmed_generation > 0)


def _mark(django_key: str | None) -> dict[str, Any]:
    return {} if django_key is None else {"django_session": mark_of(django_key)}


def _open(old: DeviceSession, sid: UUID, user: Any, at: datetime, columns: dict[str, Any]) -> DeviceSession:
    kept = {name: getattr(old, name) for name in _KEPT}
    new = DeviceSession(id=sid, **(kept | new_life(at) | columns))
    new.user = user
    new.save(using=database.alias(), force_insert=True)
    return new


def _announced(before: DeviceSession, write: Callable[[], Credentials | None]) -> Credentials | None:
    credentials = database.transact(write)
    if credentials is not None:
        arguments = {"session": credentials.session, "before": before}
        signal = signals.device_session_continued
        database.after_commit(lambda: signal.send_robust(DeviceSession, **arguments))
    return credentials


def _row(sid: UUID) -> DeviceSessionQuerySet:
    return DeviceSession.objects.using(database.alias()).filter(pk=sid)
