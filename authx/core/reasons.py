"""Why device sessions end."""

from __future__ import annotations

from enum import StrEnum
from typing import Final, NoReturn


class EndReason(StrEnum):
    """The machine word for why a session ended; ``authx.models.EndReason`` has the message for each."""

    LOGOUT = "logout"
    ENDED_BY_USER = "ended_by_user"
    KICKED = "kicked"
    REPLACED = "replaced"
    SUPERSEDED = "superseded"
    REUSED = "reused"
    IDLE = "idle"
    EXPIRED = "expired"
    PASSWORD_CHANGED = "password_changed"
    CREDENTIALS_CHANGED = "credentials_changed"
    USER_DISABLED = "user_disabled"
    USER_DELETED = "user_deleted"

    @classmethod
    def _missing_(cls, value: object) -> NoReturn:
        raise ValueError(f"{value!r} is not a valid EndReason: use one of {', '.join(cls)}")


#: The session reached one of its time limits. No entry in the revocation log: no token outlives the limits.
EXPIRIES: Final = frozenset({EndReason.IDLE, EndReason.EXPIRED})

#: A verdict on one session, which says nothing about one that continues it. The other reasons are somebody's
#: who wants the device signed out.
VERDICTS: Final = EXPIRIES | {EndReason.REUSED, EndReason.PASSWORD_CHANGED}
