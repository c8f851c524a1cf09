"""What tells the sessions and tokens of clients from those of users: the subject, and the device type."""

from __future__ import annotations

from typing import Final

#: Before the ``client_id`` in the ``sub`` of a client's own tokens and in ``act``; no user's begins so.
SUBJECT_PREFIX: Final = "client:"

#: The device types of clients' sessions, which no login may name: of a client that acts for a user, and of
#: one that acts for itself.
CLIENT: Final = "client"
SERVICE: Final = "service"


def subject_of_client(client_id: str) -> str:
    """Return the ``sub`` of a client's own tokens, and of ``act`` where it acts for somebody."""
    return f"{SUBJECT_PREFIX}{client_id}"
