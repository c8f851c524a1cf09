"""Whether a login comes from a device that its user has not used before, and what the user says about that.

A device is known by its id, from any earlier login of the same user whose row is still kept, unless somebody
has objected to it since. A login without an id is on no known device. The first session of an account is on
no new device: there is nobody to ask.

A session from a new device is unconfirmed until another of the user's devices has said that it was them. The
later logins of that device are unconfirmed as well: whoever knows a password can sign in twice. Seven days
after its first login it is taken for the user's at its next one, unless it has been signed out for them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from django.db.models import Exists, F, Q, Subquery
from django.utils import timezone

from authx.core.actor import NOBODY, Actor
from authx.core.reasons import EndReason
from authx.models import DeviceSession, SessionEvent
from authx.sessions import audit
from authx.sessions.ending import end_session
from authx.sessions.not_before import opening_values
from authx.sessions.queries import continuing
from authx.store import database
from authx.store.compiled import Compiled, CompiledValues, Parameter

#: How long a new device can be asked about: after it, a login that nobody has objected to is the user's.
SETTLED_AFTER: Final = timedelta(days=7)
#: Whoever ended a session so did not vouch for its device, unless another session goes on in its place: a
#: device may change the password itself.
_OBJECTIONS: Final = (
    *(EndReason.ENDED_BY_USER, EndReason.KICKED, EndReason.REUSED, EndReason.PASSWORD_CHANGED),
    *(EndReason.CREDENTIALS_CHANGED, EndReason.USER_DISABLED),
)
#: The fields by which earlier sessions are found.
_GIVEN: Final = {"sid": "id", "user": "user", "device": "device_id", "at": "created_at"}


@dataclass(frozen=True, slots=True)
class Before:
    """What the user's other sessions say about the device of a login."""

    is_new: bool = False
    is_unconfirmed: bool = False
    #: The live sessions on the same device.
    on_device: tuple[UUID, ...] = ()

    @classmethod
    def of(cls, flags: Iterable[Any], on_device: tuple[UUID, ...] = ()) -> Before:
        """Judge by three ``flags``: are there others, one on the device, and one that vouches for it."""
        has_others, is_known, is_settled = map(bool, flags)
        is_asked = has_others and not is_settled
        return cls(is_asked and not is_known, is_asked, on_device)


def foresee(user: Any, device_id: str, now: datetime | None) -> tuple[datetime, int, Before]:
    """Return what ``opening_moment`` does, and what came before a login that is about to be written.

    One statement, before the transaction: what it finds of a device with an id is looked at again in there.

    Raises:
        StoreUnavailable: the database cannot be read.
    """
    expected = DeviceSession(user_id=user.pk, device_id=device_id, created_at=now or timezone.now())
    with database.store_errors():
        at, number, *flags = _foreseen.read(_given(expected))
    return at, number or 0, Before.of(flags if device_id else (flags[0], False, False))


def before(session: DeviceSession) -> Before:
    """Return what came before a login with a device id, whose row has just been written. One statement."""
    rows = _before.all(_given(session))
    live = tuple(row[0] for row in rows if row[0] != session.pk)
    return Before.of(rows[0][1:], live) if rows else Before()  # none: a mark has just ended it


def _given(session: DeviceSession) -> dict[str, Any]:
    connection = database.current_connection()
    values = {name: getattr(session, _field(name).attname) for name in _GIVEN}
    values["settled"] = session.created_at - SETTLED_AFTER
    return {name: _field(name).get_db_prep_value(value, connection) for name, value in values.items()}


def _field(name: str) -> Any:
    return DeviceSession._meta.get_field(_GIVEN.get(name, "created_at"))


def _parameter(name: str) -> Parameter:
    field = _field(name)
    return Parameter(name, getattr(field, "target_field", field))


def _owned(alias: str) -> Any:
    return DeviceSession.objects.using(alias).first_party().filter(user_id=_parameter("user")).order_by()


def _flags(alias: str) -> list[Exists]:
    """Return whether there are other sessions of the user, any on the device, and one that vouches for it."""
    others = _owned(alias).exclude(pk=_parameter("sid"))
    same = others.filter(device_id=_parameter("device"))
    # An objection to a login is one to those before it, which it has replaced or continued. Looked for once,
    # and not for each login: an app may have signed in ten thousand times.
    is_over = Q(successor=None) | Q(successor=F("id"))
    objections = same.filter(is_over, end_reason__in=_OBJECTIONS).order_by("-ended_at")
    unopposed = ~Exists(objections) | Q(created_at__gt=Subquery(objections.values("ended_at")[:1]))
    settled = same.filter(Q(is_unconfirmed=False) | Q(created_at__lte=_parameter("settled")) & unopposed)
    return [Exists(others), Exists(same.filter(unopposed)), Exists(settled)]


def _build(alias: str) -> Any:
    live = _owned(alias).live(_parameter("at")).filter(device_id=_parameter("device"))
    flags = dict(zip(("_others", "_known", "_settled"), _flags(alias), strict=True))
    return live.annotate(**flags).values_list("pk", *flags)


_before: Final = Compiled(_build)
_foreseen: Final = CompiledValues(lambda alias: [*opening_values(alias), *_flags(alias)])


def set_unconfirmed(session: DeviceSession, value: bool) -> None:
    """Store what was not foreseen about this login, in the transaction that opens it."""
    _row(session.pk).update(is_unconfirmed=value)
    session.is_unconfirmed = value


def may_confirm(by: DeviceSession | None, session: DeviceSession, *, device_id: str = "") -> bool:
    """Return whether the session ``by`` may say of ``session`` whose it is; see ``confirmable``."""
    return bool(confirmable(by, [session], device_id=device_id))


def confirmable(
    by: DeviceSession | None, sessions: Iterable[DeviceSession], *, device_id: str = ""
) -> list[DeviceSession]:
    """Return those of the sessions of which ``by`` may say whose they are: never itself.

    None if it is unconfirmed itself: they may be the same stranger's. Nor does a later login say it that has
    only said which device it is: who knows a password can say so too. ``device_id`` is that of the browser,
    by its own cookie. No statement, unless ``by`` is later than one and must continue an earlier login.
    """
    if by is None or by.is_unconfirmed:
        return []
    others = [one for one in sessions if one.pk != by.pk]
    first = min((one.created_at for one in others), default=by.created_at)
    is_known = bool(device_id and device_id == by.device_id)
    since = by.created_at if is_known else _continued_since(by, first)
    return [one for one in others if is_known or since <= one.created_at]


def _continued_since(session: DeviceSession, at: datetime) -> datetime:
    """Return when the login began that this session continues; any time up to ``at`` is early enough.

    One statement for each step.
    """
    rows = DeviceSession.objects.using(database.alias()).filter(user_id=session.user_id)
    found: tuple[UUID, datetime] | None = (session.pk, session.created_at)
    since = session.created_at
    while found is not None and since > at:
        found = rows.filter(successor=found[0]).exclude(pk=found[0]).values_list("pk", "created_at").first()
        since = since if found is None else found[1]
    return since


def confirm(session: DeviceSession, actor: Actor = NOBODY) -> bool:
    """Store that this login, or the live one that continues it, was its user; return False if it was known.

    Raises:
        StoreUnavailable: the database cannot be written; nothing has changed.
    """
    at = database.database_now()

    def write() -> bool:
        for keys in _itself_and_what_continues_it(session.pk):
            for key in keys:
                if _row(key).live(at).filter(is_unconfirmed=True).update(is_unconfirmed=False):
                    confirmed = DeviceSession(pk=key)
                    audit.record(SessionEvent.Kind.CONFIRMED, confirmed, at=at, actor=actor)
                    return True
        return False

    return database.transact(write)


def disown(session: DeviceSession, actor: Actor = NOBODY) -> bool:
    """End a login, or the live one that continues it, of which its user says that it was somebody else's.

    Returns False if it had ended already.

    Raises:
        StoreUnavailable: the database cannot be written; nothing has changed.
    """
    at = database.database_now()

    def write() -> bool:
        audited = DeviceSession(pk=session.pk)
        ended = end_session(session, EndReason.ENDED_BY_USER, by=actor, now=at)
        if ended:
            audit.record(SessionEvent.Kind.DISOWNED, audited, at=at, actor=actor)
        return ended

    return database.transact(write)


def _itself_and_what_continues_it(sid: UUID) -> Iterator[list[UUID]]:
    """Yield the keys to try, at first its own: by the next, a step-up meanwhile has been waited for."""
    yield [sid]
    yield sorted(continuing([sid]))


def _row(sid: UUID) -> Any:
    return DeviceSession.objects.using(database.alias()).filter(pk=sid)
