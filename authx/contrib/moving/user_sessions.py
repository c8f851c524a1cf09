"""django-user-sessions beside authx: its list and ours agree, whichever a session is ended in."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from user_sessions.models import Session

from authx.contrib.moving.session_lists import follow


def connect() -> None:
    """Let its list follow ours; ours follows its own by the signals of its model."""
    follow("user_sessions", _rows, lambda row: row.delete())


def _rows(user: Any) -> Iterable[Any]:
    found = Session.objects.exclude(user=None) if user is None else Session.objects.filter(user=user)
    return list(found.only("session_key", "expire_date", "user"))
