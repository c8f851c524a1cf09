"""Additional claims of the demo's access tokens."""

from __future__ import annotations

from authx.models import DeviceSession


def roles(session: DeviceSession) -> dict[str, list[str]]:
    """Return ``roles``, for ``HasRole``. Whoever holds a token can read its claims: put no secrets there."""
    return {"roles": ["staff"]} if session.user is not None and session.user.is_staff else {}
