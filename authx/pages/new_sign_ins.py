"""New sign-ins on "your devices": was this you?"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import BadRequest, PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _

from authx.http.actor import actor_of
from authx.http.framing import unframed
from authx.http.site_urls import PASSWORD_CHANGE, page_named
from authx.identity.new_sign_ins import confirmable, objection_to_no, objection_to_yes
from authx.identity.visit import session_of
from authx.models import DeviceSession
from authx.pages.arrival import only_posted
from authx.pages.device_actions import demand_recent_login, ended_before
from authx.sessions.new_devices import confirm, disown
from authx.sessions.queries import find_live_session

#: Questions asked at once, above the list; the others are marked in it.
ASKED = 3


def questions(
    request: HttpRequest, current: DeviceSession | None, others: Iterable[DeviceSession]
) -> dict[str, Any]:
    """Return the context of the questions that the page asks in session ``current`` about ``others``."""
    asked = confirmable(request, current, others)
    return {"asked": asked[:ASKED], "asked_later": len(asked[ASKED:]), "password_page": password_page()}


def password_page() -> str:
    """Return the URL of the site's page for changing the password; ``""`` without one."""
    return page_named(PASSWORD_CHANGE)


@unframed
@login_required
@only_posted
def confirm_device(request: HttpRequest, sid: UUID) -> HttpResponse:
    """Take the answer to "Was this you?" about one of the user's own sessions: ``yes``, or ``no``.

    Only a session that is not in question itself may say yes, and none about itself.
    """
    answer = request.POST.get("answer", "yes")
    if answer not in {"yes", "no"}:
        raise BadRequest("The answer is yes or no.")
    session = find_live_session(request.user, sid)
    if session is None:
        page = ended_before(request, sid)
        return _secured() if answer == "no" else page
    current = session_of(request)
    is_yes = answer == "yes"
    objection = objection_to_yes(request, current, session) if is_yes else objection_to_no(current, session)
    if objection:
        raise PermissionDenied(objection)
    if refusal := demand_recent_login(request):
        return refusal
    actor = actor_of(request, request.user)
    if not is_yes:
        disown(session, actor)
        text = _("%(device)s has been signed out. Whoever used it may know your password: change it now.")
        messages.warning(request, text % {"device": session}, fail_silently=True)
        return _secured()
    confirm(session, actor)
    text = _("Thank you. You will not be asked about %(device)s again.")
    messages.success(request, text % {"device": session}, fail_silently=True)
    return redirect("authx:devices")


def _secured() -> HttpResponse:
    return redirect(password_page() or "authx:devices")
