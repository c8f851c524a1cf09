"""Rows as they are in the database now."""

from __future__ import annotations

from typing import Any

from authx.models import DeviceSession


def row(opened: Any) -> DeviceSession:
    """The row of a session, or of the session that credentials are of."""
    return DeviceSession.objects.get(pk=getattr(opened, "session", opened).pk)
