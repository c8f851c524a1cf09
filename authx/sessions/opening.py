"""Opening a session: one login on one device."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from django.db import IntegrityError
from django.utils import timezone
from django.views.decorators.debug import sensitive_variables

from authx import signals
from authx.conf import conf
from authx.core.actor import Actor
from authx.core.device import MAX_NAME_LENGTH, clean_text, describe_user_agent
from authx.core.limits import Limit
from authx.core.reasons import EndReason
from authx.core.time_limits import idle_expiry
from authx.errors import LoginRefused
from authx.models import DeviceSession, SessionEvent
from authx.sessions import audit
from authx.sessions.choosing import Choice
from authx.sessions.counting import count_login, count_refused
from authx.sessions.credentials import Credentials, credentials_for
from authx.sessions.device import Device
from authx.sessions.device_types import checked
from authx.sessions.django_sessions import mark_of
from authx.sessions.ending import end_session
from authx.sessions.limits import enforce_limits, lock_user, replace_same_device
from authx.sessions.login_backend import accepts_unread, path_of
from authx.sessions.new_devices import Before, before, foresee, set_unconfirmed
from authx.sessions.password_fingerprint import fingerprint
from authx.sessions.ports import actor_of
from authx.sessions.repeated_login import LoginRepeated, free_key, open_once
from authx.sessions.risk import country_of
from authx.sessions.subjects import subject_of
from authx.store import database

#: How often a login under limits is tried before the response is a 503.
MAX_ATTEMPTS_UNDER_LIMITS = 50


@dataclass(slots=True)
class _Login:
    """A login under way, between the request it came with and the row it becomes."""

    user: Any
    device: Device
    actor: Actor
    now: datetime
    columns: dict[str, Any] = field(default_factory=dict)
    #: The request as the caller of ``open_session`` gave it, for receivers of the signal.
    request: Any = None
    #: What its user has chosen to end for it.
    choice: Choice | None = None
    sets_last_login: bool = False
    #: What the user's other sessions say about the device, before the transaction and then in it.
    before: Before = field(default_factory=Before)

    def row(self) -> DeviceSession:
        type_, label = describe_user_agent(self.actor.user_agent)
        columns: dict[str, Any] = {
            "user": self.user,
            "device_id": self.device.id,
            "device_name": clean_text(self.device.name, MAX_NAME_LENGTH),
            "device_type": self.device.type or type_,
            "device_label": label,
            "user_agent": self.actor.user_agent,
            "ip": self.actor.ip,
            "auth_time": self.now,
            "fingerprint": fingerprint(self.user),
            **new_life(self.now),
        }
        return DeviceSession(**(columns | self.columns))


def new_life(now: datetime) -> dict[str, Any]:
    """Return the columns with which every session begins at ``now``: its times, and a salt of its own."""
    expires_at = now + conf.SESSION_LIFETIME
    return {
        "created_at": now,
        "last_seen_at": now,
        "rotated_at": now,
        "idle_expires_at": idle_expiry(now, conf.idle_period, expires_at),
        "expires_at": expires_at,
        "salt": secrets.token_bytes(32),
    }


@count_refused
@sensitive_variables()
def open_session(
    user: Any,
    request: Any = None,
    device: Device | None = None,
    *,
    amr: Sequence[str] = ("pwd",),
    persistent: bool = True,
    backend: str | None = None,
    overwrites: DeviceSession | None = None,
    auth_time: datetime | None = None,
    adopted_from: str | None = None,
    login_key: str | None = None,
    django_key: str | None = None,
    choice: Choice | None = None,
    sets_last_login: bool = False,
    now: datetime | None = None,
) -> Credentials:
    """Open a device session for a user who has just authenticated.

    ``amr`` holds the methods of that authentication (RFC 8176); ``auth_time`` is its time, if it was not now,
    or ``AUTH_TIME_UNKNOWN``. ``persistent`` says whether cookies outlive the browser. ``backend`` is the path
    of the authentication backend that accepted the user, ``user.backend`` unless given: it goes on deciding
    about the user, and ``is_active`` does where there is none. ``overwrites`` is the session whose cookies
    this login replaces: it ends as ``superseded`` (transition T12). A live session of the same user and
    ``device.id`` ends as ``replaced``, and so do those for which AUTHX_SESSION_LIMITS has no room.
    ``login_key`` is what this login has in common with one that was sent by the same double click: within the
    grace the second of them opens nothing, and is answered with the session of the first. ``django_key`` is
    the key of the Django session that it is bound to. ``choice`` is what the user of an earlier login has
    chosen to end, because a limit was full: that ends in the same transaction, or nothing is opened. Its
    proof says when the user authenticated. ``sets_last_login`` is for a door that does not call Django's
    ``login``, which sets the user's ``last_login``: it is set in the same transaction.

    Raises:
        SessionLimitReached: a limit that refuses logins is full; nothing was opened.
        LoginProofInvalid: the proof of ``choice`` was used before; nothing was opened.
        ChoiceInvalid: ``choice`` names a session that this login cannot end; nothing was opened.
        LoginRefused: the user is refused by ``backend``, inactive, not saved, or without a value in
            AUTHX_SUBJECT_FIELD; or the Django session was adopted before.
        DeviceInvalid: the device is of an unknown type, or its id is malformed.
        ImproperlyConfigured: AUTHX_DEVICE_CLASSIFIER has returned no device type; nothing was opened.
        StoreUnavailable: the database cannot be written; nothing was opened.
    """
    path = path_of(user) if backend is None else backend
    if getattr(user, "pk", None) is None or not accepts_unread(path, user):
        raise LoginRefused("a user who is not saved, or whom their backend refuses, cannot have a session")
    subject = subject_of(user)
    device = device or Device()
    moment, not_before_number, foreseen = foresee(user, device.id, now)
    if adopted_from is not None:  # it is no login: its device has been signed in for long
        foreseen = Before()
    at = now or moment
    columns = {"amr": list(amr), "persistent": persistent, "adopted_from": adopted_from}
    if django_key is not None:
        columns["django_session"] = mark_of(django_key)
    columns |= {"login_key": login_key, "subject": subject, "not_before_number": not_before_number}
    columns |= {"backend": path, "is_unconfirmed": foreseen.is_unconfirmed}
    if choice is not None:  # the user authenticated when the proof was made
        auth_time = datetime.fromtimestamp(choice.proof.proved_at, UTC)
    if auth_time is not None:
        columns["auth_time"] = auth_time
    if (decide := conf.DEVICE_CLASSIFIER) is not None:
        chosen = checked(decide(getattr(request, "_request", request), device.type))
        columns |= {"device_type": chosen} if chosen else {}
    actor = actor_of(request, user)
    columns["country"] = country_of(actor.ip)
    login = _Login(user, device, actor, at, columns, request, choice, sets_last_login, foreseen)
    limits = conf.SESSION_LIMITS

    def write(stale: DeviceSession | None) -> Credentials:
        session = _write(login, overwrites, limits, stale)
        # In the transaction, because AUTHX_CLAIMS is the site's code: if it fails, nothing has been opened.
        return credentials_for(session, generation=1, now=now or timezone.now())

    # A login that waits for others may have to start again once for each of them.
    return open_once(write, attempts=MAX_ATTEMPTS_UNDER_LIMITS if limits else database.MAX_ATTEMPTS, now=now)


def _write(
    login: _Login, overwrites: DeviceSession | None, limits: Sequence[Limit], stale: DeviceSession | None
) -> DeviceSession:
    session = login.row()
    if login.sets_last_login:  # first: MariaDB's INSERT shares a lock of the user's row, and two would wait
        _set_last_login(login.user)
    if limits:
        lock_user(login.user)
    if stale is not None:
        free_key(stale)
    try:
        session.save(using=database.alias(), force_insert=True)
    except IntegrityError as error:
        if session.adopted_from is not None:
            raise LoginRefused("this Django session was adopted before") from error
        if session.login_key is not None:
            raise LoginRepeated(session.login_key) from error
        raise
    audit.record(SessionEvent.Kind.OPENED, session, at=login.now, actor=login.actor)
    if overwrites is not None and overwrites.ended_at is None:  # not what continues it
        end_session(overwrites, EndReason.SUPERSEDED, Actor(login.user), now=login.now)
    _compare(session, login)
    if limits or login.choice is not None:
        enforce_limits(session, login.actor, limits, login.choice)
    database.after_commit(lambda: _announce(session, login))
    return session


def _compare(session: DeviceSession, login: _Login) -> None:
    """Decide whether its device is new, and end the user's older session on the same device."""
    if not session.device_id:  # on no known device, as was foreseen
        return
    found = before(session)
    replace_same_device(session, found.on_device, login.actor)
    if session.adopted_from is not None:
        return
    login.before = found
    if found.is_unconfirmed != session.is_unconfirmed:
        set_unconfirmed(session, found.is_unconfirmed)


def _announce(session: DeviceSession, login: _Login) -> None:
    count_login(login.request, session.adopted_from, "opened")
    opened = {"session": session, "user": login.user, "request": login.request, "is_new": login.before.is_new}
    signals.device_session_opened.send_robust(DeviceSession, **opened)


def _set_last_login(user: Any) -> None:
    """Set ``last_login`` as Django's own receiver does; a user model may have none."""
    if any(field.name == "last_login" for field in user._meta.concrete_fields):
        user.last_login = timezone.now()
        user.save(update_fields=["last_login"])


def set_persistent(session: DeviceSession, persistent: bool) -> None:
    """Store whether the session's cookies outlive the browser, for later renewals."""
    with database.store_errors():
        this = DeviceSession.objects.using(database.alias()).filter(pk=session.pk)
        this.update(persistent=persistent)
