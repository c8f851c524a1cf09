"""What is known about the session of a token: is it over, and why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Liveness:
    """What a source of revocations answers about one token."""

    #: The machine word for why the session is over, ``""`` where nobody says why; None while it is live.
    reason: str | None
    #: The session as the source has read it, for whoever needs it next; None if it read none.
    snapshot: Any = None
    #: The device type of the login that took the session's place; ``""`` unless it was replaced.
    replaced_by: str = ""

    @property
    def is_live(self) -> bool:
        """True while nothing has ended the session."""
        return self.reason is None
