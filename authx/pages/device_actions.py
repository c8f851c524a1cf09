"""What the actions of "your devices" have in common, and the one that disconnects an app."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _

from authx.conf import conf
from authx.http.actor import actor_of
from authx.http.framing import unframed
from authx.identity.visit import session_of
from authx.pages.arrival import only_posted
from authx.pages.step_up import demand_recent
from authx.sessions.connected_apps import connected_apps, disconnect, was_connected
from authx.sessions.queries import find_own_session


def demand_recent_login(request: HttpRequest, *, at_most: timedelta | None = None) -> HttpResponse | None:
    """Return a redirect where AUTHX_DEVICES_MAX_AUTH_AGE demands a more recent login of this session.

    So does ``at_most``, unless that setting takes any login.
    """
    if session_of(request) is None:  # a login that the site wants no device session for has no such time
        return None
    max_age = conf.DEVICES_MAX_AUTH_AGE
    if max_age is not None and at_most is not None:
        max_age = min(max_age, at_most)
    return demand_recent(request, max_age, back=reverse("authx:devices"))


def ended_before(request: HttpRequest, sid: UUID) -> HttpResponse:
    """Say that this session of the user's had ended, as at a second click; another user's is missing."""
    session = find_own_session(request.user, sid)
    if session is None:
        raise Http404
    text = _("%(device)s had been signed out already.") % {"device": session}
    messages.info(request, text, fail_silently=True)
    return redirect("authx:devices")


@unframed
@login_required
@only_posted
def disconnect_app(request: HttpRequest, client_id: str) -> HttpResponse:
    """End all that one app has from the user; one that is nothing to them is missing."""
    apps = {app.client.client_id: app for app in connected_apps(request.user)}
    if client_id not in apps:
        if not was_connected(request.user, client_id):
            raise Http404
        text = _("This app had been disconnected already.")
        messages.info(request, text, fail_silently=True)
        return redirect("authx:devices")
    if refusal := demand_recent_login(request):
        return refusal
    disconnect(request.user, client_id, actor_of(request, request.user))
    text = _("%(app)s has been disconnected.") % {"app": apps[client_id].client}
    messages.success(request, text, fail_silently=True)
    return redirect("authx:devices")
