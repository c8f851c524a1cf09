"""Session limits: which of the user's other sessions a new login ends."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Any
from uuid import UUID

from django.contrib.auth import get_user_model
from django.db.models import Count, F, Q, QuerySet

from authx.conf import conf
from authx.core.actor import Actor
from authx.core.choosing import can_choose, choosable
from authx.core.limits import Limit, Occupant, displaced, excess
from authx.core.reasons import EndReason
from authx.errors import SessionLimitReached
from authx.models import DeviceSession
from authx.sessions.choosing import Choice, find_chosen, record_choice, spend
from authx.sessions.ending import Ending, end_all
from authx.store import database


def lock_user(user: Any) -> None:
    """Make logins of one user wait for each other, until the transaction ends.

    An UPDATE rather than a locking SELECT: SQLite then has its write lock before anything is read, and under
    REPEATABLE READ a transaction that waited has to start again instead of counting in an old snapshot.
    """
    columns = [field.name for field in get_user_model()._meta.concrete_fields]
    name = "password" if "password" in columns else columns[-1]  # a user model may keep no passwords
    this = get_user_model()._base_manager.using(database.alias()).filter(pk=user.pk)
    this.update(**{name: F(name)})


def replace_same_device(session: DeviceSession, older: Iterable[UUID], actor: Actor) -> None:
    """End ``older`` sessions of the user, on the device that has just logged in."""
    _end(older, session, actor)


def enforce_limits(
    session: DeviceSession, actor: Actor, limits: Sequence[Limit], choice: Choice | None = None
) -> None:
    """End the sessions for which ``limits`` have no room beside ``session``, which is already written.

    Where its user has made a ``choice``, the chosen ones end first, and the proof is spent.

    Raises:
        SessionLimitReached: a limit that refuses logins is full; the caller's transaction must not commit.
        LoginProofInvalid: the proof of the ``choice`` was used before; the same.
        ChoiceInvalid: the ``choice`` names a session that this login cannot end; the same.
    """
    if choice is not None:
        spend(choice.proof)
    live, type_ = list(_live_beside(session)) if limits else [], session.device_type
    chosen = [] if choice is None else find_chosen(session, choice.end, live, limits)
    occupants = _occupants(live)
    try:
        leaving = displaced(limits, occupants, type_, {one.pk for one in chosen})
    except SessionLimitReached as error:
        if not can_choose(limits, type_):
            raise
        sids, count = choosable(limits, occupants, type_)
        raise SessionLimitReached(str(error), choosable=sids, must_end=count) from None
    if chosen:
        _end((one.pk for one in chosen), session, actor, how=", chosen")
        record_choice(session, chosen, actor)
    _end(leaving, session, actor)


def over_the_limits() -> Iterator[tuple[DeviceSession, Limit]]:
    """Yield each live session beyond today's limits, with that limit, user by user. Changes nothing."""
    limits = conf.SESSION_LIMITS
    if not limits:
        return
    live = DeviceSession.objects.using(database.alias()).live().first_party().exclude(user=None)
    crowded = live.filter(user__in=users_beyond(live, limits))
    ordered = crowded.select_related("user").order_by("user_id").iterator()
    for _user, owned in groupby(ordered, key=lambda session: session.user_id):
        sessions = {session.pk: session for session in owned}
        for occupant, limit in excess(limits, _occupants(sessions.values())):
            yield sessions[occupant.sid], limit


def users_beyond(live: QuerySet[DeviceSession], limits: Sequence[Limit]) -> Any:
    """Return those who have more sessions than one of the limits allows, so that no others need be read."""
    counts, beyond = {}, Q()
    for number, limit in enumerate(limits):
        covered = None if limit.types is None else Q(device_type__in=limit.types)
        counts[f"covered_{number}"] = Count("pk", filter=covered)
        beyond |= Q(**{f"covered_{number}__gt": limit.limit})
    return live.order_by().values("user").annotate(**counts).filter(beyond).values("user")


def _live_beside(session: DeviceSession) -> QuerySet[DeviceSession]:
    """Return the user's other live logins; a client's session takes no place and gives none."""
    live = DeviceSession.objects.using(database.alias()).live(session.created_at).first_party()
    return live.filter(user=session.user_id).exclude(pk=session.pk)


def _occupants(sessions: Iterable[DeviceSession]) -> list[Occupant]:
    return [Occupant(one.pk, one.device_type, one.created_at, one.last_seen_at) for one in sessions]


def _end(keys: Iterable[UUID], newcomer: DeviceSession, actor: Actor, how: str = "") -> None:
    by = newcomer.device_type
    ending = Ending(EndReason.REPLACED, newcomer.created_at, actor, f"by {by}{how}", replaced_by=by)
    end_all(sorted(keys), ending)
