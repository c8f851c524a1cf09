"""The actor of an event: who caused it, and from where."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final


@dataclass(frozen=True, slots=True)
class Actor:
    """Who caused a change, and from where; all of it may be unknown.

    A door builds it: from a request, for instance (``authx.http.actor``).
    """

    #: The user, who is saved; None where nobody is known.
    user: Any = None
    ip: str | None = None
    #: Safe to store and print.
    user_agent: str = ""
    #: The client that acts, rather than a user; empty where none does.
    client_id: str = ""


#: An actor of whom nothing is known.
NOBODY: Final = Actor()
