"""What a user is told about by a notice."""

from __future__ import annotations

from enum import StrEnum


class NoticeKind(StrEnum):
    """The machine word of a notice, as settings, templates and receivers name it."""

    NEW_DEVICE = "new_device"
    KICKED = "kicked"
    COPIED = "copied"
    PASSWORD_CHANGED = "password_changed"
    CONNECTED_APP = "connected_app"
