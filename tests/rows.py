"""Rows as they are in the database now."""

from __future__ import annotations

from typing import Any

from django.contrib.auth import get_user_model

from authx.models import DeviceSession


def row(opened: Any) -> DeviceSession:
    """The row of a session, or of the session that credentials are of."""
    return DeviceSession.objects.get(pk=getattr(opened, "session", opened).pk)


def disable(user: Any) -> None:
    """Disable a user in bulk: no signal tells of it."""
    get_user_model()._default_manager.filter(pk=user.pk).update(is_active=False)
