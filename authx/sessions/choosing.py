"""A login that a full limit refused, and that now says which sessions to end: with a proof, good for once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from authx.core.actor import Actor
from authx.core.choosing import is_counted
from authx.core.limits import Limit
from authx.core.login_proof import LoginProof
from authx.errors import ChoiceInvalid, LoginProofInvalid
from authx.models import DeviceSession, SessionEvent
from authx.sessions import audit
from authx.sessions.queries import continuing
from authx.sessions.single_use import use_up
from authx.store import database


@dataclass(frozen=True, slots=True)
class Choice:
    """The sessions that a login's user has chosen to end, and the proof that is spent with it."""

    end: frozenset[UUID]
    proof: LoginProof


def spend(proof: LoginProof) -> None:
    """Note that the proof has been used, in the caller's transaction: of several that try, one can.

    Raises:
        LoginProofInvalid: it was used before; the caller's transaction must not commit.
    """
    if not use_up(proof.nonce, datetime.fromtimestamp(proof.expires_at, UTC)):
        raise LoginProofInvalid("the login proof was used before")


def find_chosen(
    session: DeviceSession, end: Iterable[UUID], live: Sequence[DeviceSession], limits: Sequence[Limit]
) -> list[DeviceSession]:
    """Return which of the ``live`` sessions of its user the login that opens ``session`` has chosen.

    They are fewer than ``end`` names where some have ended meanwhile; the live successor of one that was
    continued stands for it.

    Raises:
        ChoiceInvalid: one is not this user's, or no limit that lets this login choose counts it.
    """
    named = set(end)
    owned = DeviceSession.objects.using(database.alias()).first_party()
    owned = owned.filter(user=session.user_id, pk__in=named)
    if owned.count() < len(named):
        raise ChoiceInvalid("there is no such session")
    named |= continuing(named)
    chosen = [one for one in live if one.pk in named]
    if not all(is_counted(limits, one.device_type, session.device_type) for one in chosen):
        raise ChoiceInvalid("the limit does not count this session")
    return chosen


def record_choice(session: DeviceSession, chosen: Sequence[DeviceSession], actor: Actor) -> None:
    """Record at the new session which ones its user has ended for it, in the caller's transaction."""
    ended = " ".join(str(one.pk) for one in chosen)
    audit.record(SessionEvent.Kind.CHOSEN, session, at=session.created_at, actor=actor, note=ended)
