"""The staff's own words for why a session is over, for alarms, for limits, and for what cannot be done.

What users read about the same reasons is in ``models.EndReason``.
"""

from __future__ import annotations

from typing import Any, Final

from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from authx.core.limits import Limit, WhenFull
from authx.core.reasons import EndReason
from authx.core.risk import Alarm
from authx.core.sentences import Sentence
from authx.errors import StoreUnavailable
from authx.http.words import device_type, together

ENDED: Final[dict[str, Any]] = {
    EndReason.LOGOUT: _("Signed out"),
    EndReason.ENDED_BY_USER: _("Ended from another device"),
    EndReason.KICKED: _("Kicked out"),
    EndReason.REPLACED: _("Replaced"),
    EndReason.SUPERSEDED: _("Signed in again"),
    EndReason.REUSED: _("Copied token"),
    EndReason.IDLE: _("Away too long"),
    EndReason.EXPIRED: _("Expired"),
    EndReason.PASSWORD_CHANGED: _("Password changed"),
    EndReason.CREDENTIALS_CHANGED: _("Credentials changed"),
    EndReason.USER_DISABLED: _("User disabled"),
    EndReason.USER_DELETED: _("User deleted"),
}
ALARMS: Final[dict[str, Any]] = {
    Alarm.REFRESH_REUSED: _("Copied token"),
    Alarm.REFRESH_RATE: _("Renewed too often"),
    Alarm.SPLIT_CONTEXT: _("Another browser or system"),
    Alarm.NEW_COUNTRY: _("Another country"),
    Alarm.COPIED: _("Used from two places"),
    Alarm.LATE_REPLAY: _("Spent token returned"),
    Alarm.STATE_ROLLBACK: _("Database had been rolled back"),
}
_WHEN_FULL: Final[dict[str, Any]] = {
    WhenFull.END_LEAST_RECENT: _("A newer sign-in ends the one that was used least recently."),
    WhenFull.END_OLDEST: _("A newer sign-in ends the oldest one."),
    WhenFull.REFUSE: _("Further sign-ins are refused."),
}
_CHOOSE: Final[Any] = _("At a further sign-in the user chooses which one ends.")


def limit_text(limit: Limit) -> str:
    """Return what a limit says, and what happens where it is reached."""
    types = ", ".join(str(device_type(name)) for name in sorted(limit.types or ()))
    how_many = ngettext(
        "%(types)s: at most %(number)d session.", "%(types)s: at most %(number)d sessions.", limit.limit
    )
    at_most = how_many % {"types": types or gettext("All devices"), "number": limit.limit}
    return together(at_most, _CHOOSE if limit.choose else _WHEN_FULL[limit.when_full])


def error_text(error: Exception) -> str:
    """Return what staff read of an error that keeps them from something."""
    if isinstance(error, StoreUnavailable):
        return gettext("The database cannot be asked at the moment. Nothing has been changed.")
    what = error.args[0] if error.args else ""
    return what.translated(gettext) if isinstance(what, Sentence) else str(error)
