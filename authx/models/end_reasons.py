"""The reasons for which device sessions end, with what their users are shown."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from authx.core import reasons


class EndReason(models.TextChoices):
    """The reasons of ``core.reasons``, each with the message for the session's user."""

    LOGOUT = reasons.EndReason.LOGOUT, _("You signed out.")
    ENDED_BY_USER = (
        reasons.EndReason.ENDED_BY_USER,
        _("You were signed out from another of your devices."),
    )
    KICKED = reasons.EndReason.KICKED, _("You were signed out by an administrator.")
    REPLACED = reasons.EndReason.REPLACED, _("You were signed out because of a newer sign-in.")
    SUPERSEDED = reasons.EndReason.SUPERSEDED, _("Somebody signed in again in this browser.")
    REUSED = (
        reasons.EndReason.REUSED,
        _("You were signed out because your session may have been copied."),
    )
    IDLE = reasons.EndReason.IDLE, _("You were signed out because you had been away for a while.")
    EXPIRED = reasons.EndReason.EXPIRED, _("Your session has expired. Please sign in again.")
    PASSWORD_CHANGED = (
        reasons.EndReason.PASSWORD_CHANGED,
        _("You were signed out because your password was changed."),
    )
    CREDENTIALS_CHANGED = (
        reasons.EndReason.CREDENTIALS_CHANGED,
        _("You were signed out because the way you sign in was changed."),
    )
    USER_DISABLED = (
        reasons.EndReason.USER_DISABLED,
        _("You were signed out because your account was disabled."),
    )
    USER_DELETED = (
        reasons.EndReason.USER_DELETED,
        _("You were signed out because your account was deleted."),
    )
