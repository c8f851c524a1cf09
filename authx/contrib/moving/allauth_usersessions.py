"""allauth.usersessions beside authx: its list and ours agree, whichever a session is ended in."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from allauth.core import context
from allauth.usersessions.adapter import DefaultUserSessionsAdapter
from allauth.usersessions.models import UserSession

from authx.contrib.moving.session_lists import follow
from authx.sessions import end_bound_sessions


class Adapter(DefaultUserSessionsAdapter):  # type: ignore[misc]
    """For USERSESSIONS_ADAPTER, where the session engine has no model whose deletions could be noticed."""

    def end_sessions(self, sessions: Any) -> None:
        """End them there, and here; the request's own one is left to the logout that follows."""
        request = context.request
        own = getattr(getattr(request, "session", None), "session_key", None)
        keys = [session.session_key for session in sessions if session.session_key != own]
        super().end_sessions(sessions)
        end_bound_sessions(keys, by=getattr(request, "user", None), request=request)


def connect() -> None:
    """Let its list follow ours; ours follows its own by the signals of Django's model, or by the adapter."""
    follow("allauth.usersessions", _rows, lambda row: row.end())


def _rows(user: Any) -> Iterable[Any]:
    return list(UserSession.objects.all() if user is None else UserSession.objects.filter(user=user))
