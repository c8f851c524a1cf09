"""Whether a session's user has proved recently enough who they are."""

from __future__ import annotations

from datetime import timedelta

from django.utils import timezone

from authx.core.auth_time import is_within
from authx.models import DeviceSession


def is_recent(session: DeviceSession | None, max_age: timedelta | None) -> bool:
    """Return whether the session's user authenticated within ``max_age``; None requires nothing."""
    if max_age is None:
        return True
    now = timezone.now().timestamp()
    return session is not None and is_within(max_age, session.auth_time.timestamp(), now)
