"""Messages for visitors: why a session ended, and why none could be opened."""

from __future__ import annotations

from math import ceil

from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from authx.errors import AuthxError, SessionLimitReached
from authx.http.words import device_type
from authx.models import EndReason
from authx.pages.activity import ending_words

#: The message for a password that was right, and that AUTHX_PASSWORD_LOGIN refuses.
OTHER_WAY = gettext_lazy("This account needs another way to sign in.")


def refusal_text(error: AuthxError) -> str:
    """Return the message for a user who could not be signed in."""
    if isinstance(error, SessionLimitReached):
        return _("You are signed in on as many devices as allowed. Sign out on one of them first.")
    return _("You cannot sign in with this account.")


def too_many(wait: int) -> ValidationError:
    """Return the error of a form whose password was not tried, or was the last one allowed.

    ``wait`` is -1 where no time unlocks the account.
    """
    return ValidationError(_too_many(wait), code="throttled")


def _too_many(wait: int) -> str:
    if wait < 0:
        return _("Too many attempts. Signing in is locked until somebody who runs this site unlocks it.")
    if wait < 120:
        text = ngettext(
            "Too many attempts. Please try again in %d second.",
            "Too many attempts. Please try again in %d seconds.",
            wait,
        )
        return text % wait
    if (minutes := ceil(wait / 60)) < 120:
        text = ngettext(
            "Too many attempts. Please try again in %d minute.",
            "Too many attempts. Please try again in %d minutes.",
            minutes,
        )
        return text % minutes
    hours = ceil(wait / 3600)
    text = ngettext(
        "Too many attempts. Please try again in %d hour.",
        "Too many attempts. Please try again in %d hours.",
        hours,
    )
    return text % hours


def ended_text(reason: str, replaced_by: str = "", *, answers_lost: bool = False) -> str:
    """Return the message for each reason; that somebody is signed out, where none is known."""
    if reason == EndReason.REPLACED and replaced_by:
        text = _("You were signed out because of a newer sign-in (%(device)s).")
        return text % {"device": device_type(replaced_by)}
    if reason == EndReason.REUSED and answers_lost:
        return _("You were signed out because answers to your device kept getting lost.")
    return (
        str(EndReason(reason).label) if reason in EndReason.values else _("You are not signed in any more.")
    )


def ended_title(reason: str, *, answers_lost: bool = False) -> str:
    """Return why somebody is signed out as a title, without a full stop."""
    if reason == EndReason.REUSED and answers_lost:
        return _("Signed out: answers kept getting lost")
    return str(ending_words(reason))
