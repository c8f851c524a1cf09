"""What "your devices" lets its user end beside devices: connected apps; and what it asks for before."""

from __future__ import annotations

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


def demand_recent_login(request: HttpRequest) -> HttpResponse | None:
    """Return a redirect where AUTHX_DEVICES_MAX_AUTH_AGE demands a more recent login of this session."""
    if session_of(request) is None:  # a login that the site wants no device session for has no such time
        return None
    return demand_recent(request, conf.DEVICES_MAX_AUTH_AGE, back=reverse("authx:devices"))


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
