"""Messages for visitors: why a session ended, and why none could be opened."""

from __future__ import annotations

from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from authx.errors import AuthxError, SessionLimitReached
from authx.identity.identity import Identity
from authx.models import EndReason

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
    text = _("Too many attempts. Please try again later.")
    if wait < 0:
        text = _("Too many attempts. Signing in is locked until somebody who runs this site unlocks it.")
    return ValidationError(text, code="throttled")


def ended_message(identity: Identity | None) -> str:
    """Return the message for a visitor whose last session has ended; ``""`` if none has."""
    if identity is None or identity.ended_reason not in EndReason.values:
        return ""
    return ended_text(identity.ended_reason, identity.replaced_by, answers_lost=identity.answers_lost)


def ended_text(reason: str, replaced_by: str = "", *, answers_lost: bool = False) -> str:
    """Return the message for each reason; that somebody is signed out, where none is known."""
    if reason == EndReason.REPLACED and replaced_by:
        text = _("You were signed out because of a newer sign-in (%(device)s).")
        return text % {"device": replaced_by}
    if reason == EndReason.REUSED and answers_lost:
        return _("You were signed out because answers to your device kept getting lost.")
    return (
        str(EndReason(reason).label) if reason in EndReason.values else _("You are not signed in any more.")
    )
