"""Messages for visitors: why a session ended, and why none could be opened."""

from __future__ import annotations

from django.utils.translation import gettext as _

from authx.errors import AuthxError, SessionLimitReached
from authx.models import EndReason
from authx.pages.visit import Visit


def refusal_text(error: AuthxError) -> str:
    """Return the message for a user who could not be signed in."""
    if isinstance(error, SessionLimitReached):
        return _("You are signed in on as many devices as allowed. Sign out on one of them first.")
    return _("You cannot sign in with this account.")


def ended_reason(visit: Visit | None) -> str:
    """Return the reason code of the visitor's last session's end; ``""`` if none has ended."""
    if visit is None or visit.session is not None:
        return ""
    return visit.ended_reason or ""


def ended_message(visit: Visit | None) -> str:
    """Return the message for the visitor about that; ``""`` if no session has ended."""
    reason = ended_reason(visit)
    if visit is not None and reason == EndReason.REPLACED and visit.replaced_by:
        said = _("You were signed out because of a newer sign-in (%(device)s).")
        return said % {"device": visit.replaced_by}
    if visit is not None and reason == EndReason.REUSED and visit.answers_lost:
        return _("You were signed out because answers to your device kept getting lost.")
    return str(EndReason(reason).label) if reason in EndReason.values else ""
