"""What happened with one's own account, in words: sign-ins, endings, failed attempts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext_lazy as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from authx.core.device import describe_user_agent
from authx.core.reasons import EndReason
from authx.http.framing import unframed
from authx.models import SessionEvent
from authx.models.device_labels import shown_label
from authx.sessions.queries import recent_events

#: Items on the page, and on "your devices".
MOST, FEW = 100, 5
_Kind = SessionEvent.Kind

_KINDS: Final[dict[str, Any]] = {
    _Kind.OPENED: _("Signed in"),
    _Kind.REAUTHENTICATED: _("Password confirmed"),
    _Kind.RENAMED: _("Device renamed"),
    _Kind.CONFIRMED: _("You confirmed that this sign-in was you"),
    _Kind.DISOWNED: _("You said that this sign-in was not you"),
    _Kind.COPIED: _("Used from two places at once"),
    _Kind.LOGIN_FAILED: _("A sign-in failed"),
    _Kind.LOGIN_LIMITED: _("Too many attempts to sign in"),
    _Kind.PROOF_FAILED: _("A wrong password was entered"),
}
_ENDINGS: Final[dict[str, Any]] = {
    EndReason.LOGOUT: _("Signed out"),
    EndReason.ENDED_BY_USER: _("Signed out from another of your devices"),
    EndReason.KICKED: _("Signed out by an administrator"),
    EndReason.REPLACED: _("Signed out because of a newer sign-in"),
    EndReason.SUPERSEDED: _("Signed in again in that browser"),
    EndReason.REUSED: _("Signed out: the session may have been copied"),
    EndReason.IDLE: _("Signed out after it had not been used for a while"),
    EndReason.EXPIRED: _("Signed out: the session had expired"),
    EndReason.PASSWORD_CHANGED: _("Signed out because the password was changed"),
    EndReason.CREDENTIALS_CHANGED: _("Signed out because the way to sign in was changed"),
    EndReason.USER_DISABLED: _("Signed out because the account was disabled"),
    EndReason.USER_DELETED: _("Signed out because the account was deleted"),
}
#: Nobody saw it sign in: it had done so before authx was there.
_ADOPTED: Final = _("Recognized from an earlier sign-in")
_ALARMING: Final = {_Kind.COPIED, _Kind.LOGIN_LIMITED, _Kind.DISOWNED}
_DOUBTFUL: Final = {_Kind.LOGIN_FAILED, _Kind.PROOF_FAILED}


@dataclass(frozen=True, slots=True)
class Activity:
    """One line."""

    at: datetime
    words: Any
    #: The device, by the name its user gave it; of an attempt the browser.
    device: str
    #: Where from; None if that is unknown, or where staff were.
    ip: str | None
    #: ``good``, ``plain``, ``warning`` or ``alarm``.
    look: str


@unframed
@login_required
@never_cache
@require_safe
def activity(request: HttpRequest) -> HttpResponse:
    """Show what happened with the visitor's account, newest first."""
    return render(request, "authx/activity.html", {"activity": activity_of(request.user, MOST)})


def activity_of(user: Any, most: int) -> list[Activity]:
    """Return the newest of what happened with the user's account. Two statements."""
    events = recent_events(user, [*_KINDS, _Kind.ENDED], most)
    return [_activity(event, is_of_others=_is_of_others(event, user)) for event in events]


def _is_of_others(event: SessionEvent, user: Any) -> bool:
    """Return whether somebody else did it, such as staff, whose address is nobody's business."""
    return bool(event.actor_label) and event.actor_id != user.pk


def _activity(event: SessionEvent, *, is_of_others: bool) -> Activity:
    device = str(event.session) if event.session else shown_label(describe_user_agent(event.user_agent)[1])
    return Activity(event.at, _words(event), device, None if is_of_others else event.ip, _look(event))


def _words(event: SessionEvent) -> Any:
    if event.kind == _Kind.OPENED and event.session and event.session.known_auth_time is None:
        return _ADOPTED
    if event.kind == _Kind.ENDED:
        return _ENDINGS.get(event.outcome, _ENDINGS[EndReason.LOGOUT])
    return _KINDS[event.kind]


def _look(event: SessionEvent) -> str:
    if event.kind in _ALARMING or event.outcome == EndReason.REUSED:
        return "alarm"
    if event.kind in _DOUBTFUL:
        return "warning"
    return "good" if event.kind in {_Kind.OPENED, _Kind.CONFIRMED} else "plain"


def ending_words(reason: str) -> Any:
    """Return why a session ended, as a title: without a full stop."""
    return _ENDINGS[EndReason(reason)]
