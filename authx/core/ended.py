"""How a session ended, as its user is told."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Ended:
    """Why nobody, or not the user of a page that is open, is signed in."""

    #: An ``EndReason``; ``""`` where the browser has no session any more.
    reason: str = ""
    #: When that was; None where it is not known.
    at: datetime | None = None
    #: The device type of the login that took the session's place; ``""`` unless it was replaced.
    replaced_by: str = ""
    #: Whether it ended because answers kept getting lost, where the reason is ``reused``.
    answers_lost: bool = False
