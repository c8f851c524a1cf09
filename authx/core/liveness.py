"""What is known about the session of a token: whether it is over, and why."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class Liveness:
    """What a source of revocations answers about one token."""

    #: The machine word for why the session is over, ``""`` where no reason is known; None while it is live.
    reason: str | None
    #: The session as the source has read it (a ``sessions.lookup.Snapshot``); None if it read none.
    snapshot: Any = None
    #: The device type of the login that took the session's place; ``""`` unless it was replaced.
    replaced_by: str = ""
    #: Whether it ended because answers kept getting lost, where the reason is ``reused``.
    answers_lost: bool = False
    #: When it ended; None while it is live, and where that is not known.
    ended_at: datetime | None = None
