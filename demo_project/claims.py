"""What the demo's access tokens say besides."""

from __future__ import annotations

from authx.models import DeviceSession


def roles(session: DeviceSession) -> dict[str, list[str]]:
    """``roles``, for ``HasRole``. Whoever holds a token reads its claims: few, and no secrets."""
    return {"roles": ["staff"]} if session.user is not None and session.user.is_staff else {}
