"""The views: login, logout and "your devices"."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.contrib.auth import logout
from django.contrib.auth import views as auth_views
from django.contrib.auth.decorators import login_not_required, login_required
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.utils.decorators import method_decorator
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_safe

from authx.core.reasons import EndReason
from authx.core.user_model import username_of
from authx.errors import LoginRefused, RefreshConflict, SessionLimitReached
from authx.http import cookies, django_session, renewal
from authx.http.actor import actor_of
from authx.http.framing import unframed
from authx.http.password_login import password_login_refusal, takes_passwords
from authx.http.places import places_of
from authx.http.request_state import request_state
from authx.identity.visit import session_of, visit_of
from authx.logins.outcome import set_retry_after
from authx.pages.activity import FEW, activity_of
from authx.pages.arrival import Arrival, devices_or_home, only_posted
from authx.pages.choosing import ChoosingLoginView, is_choice
from authx.pages.device_actions import demand_recent_login, ended_before
from authx.pages.ended import ended_notice
from authx.pages.forms import LoginForm
from authx.pages.logout import is_anybody
from authx.pages.new_sign_ins import questions
from authx.pages.other_login_page import OurLoginPage, other_login_page, to_other_login_page
from authx.pages.texts import OTHER_WAY, refusal_text
from authx.sessions import end_session, end_sessions
from authx.sessions.connected_apps import connected_apps
from authx.sessions.queries import (
    find_live_session,
    newest_live_sessions,
    other_sessions,
    rename_session,
)
from authx.store.database import store_errors

#: Devices beside this one that are shown at first, and at most.
SHOWN, MOST_SHOWN = 20, 1000
#: Whoever finds an open browser must not sign its owner out of everything else.
EVERYWHERE_MAX_AUTH_AGE = timedelta(minutes=15)


@method_decorator([unframed, login_not_required], name="dispatch")
class LoginView(OurLoginPage, Arrival, ChoosingLoginView):
    """Django's login, which says why the last session ended and deletes cookies that are of no use."""

    template_name = "authx/login.html"
    authentication_form = LoginForm

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if not takes_passwords() and not is_choice(request):
            return to_other_login_page(request, self.get_redirect_url())
        with store_errors():
            return super().dispatch(request, *args, **kwargs)

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        visit = visit_of(request)
        if visit is not None and (found := visit.settle()).session is None:
            is_late = isinstance(found.refusal, RefreshConflict)
            is_open = is_late or found.failure is not None  # the cookies may be good again
            visit.change_delivery(clears_cookies=not is_open and _buys_nothing(request))
        return super().get(request, *args, **kwargs)

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        return self.choose() if is_choice(request) else super().post(request, *args, **kwargs)

    def form_valid(self, form: Any) -> HttpResponse:
        if word := password_login_refusal(self.request, form.get_user()):
            self.refusal_code = word
            form.add_error(None, OTHER_WAY)
            return self.form_invalid(form)
        state = request_state(self.request)
        state.by_password, state.remember = True, form.cleaned_data["remember"]
        try:
            response = super().form_valid(form)
        except (LoginRefused, SessionLimitReached) as error:
            if isinstance(error, SessionLimitReached) and (page := self.ask(error)):
                return page
            form.add_error(None, refusal_text(error))
            return self.form_invalid(form)
        django_session.last_as_long(self.request, form.cleaned_data["remember"])
        return response

    def form_invalid(self, form: Any) -> HttpResponse:
        response: HttpResponse = super().form_invalid(form)
        if self.refusal_code:
            response.status_code = 401
        set_retry_after(response, request_state(self.request).login_wait)  # for a site without our middleware
        return response

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context = super().get_context_data(**kwargs)
        ended, user = ended_notice(self.request), self.request.user
        context["ended"] = ended
        context["ended_reason"] = "" if ended is None else ended.reason
        context["ended_message"] = "" if ended is None else ended.message
        if user.is_authenticated:
            context["signed_in_as"], context["onward"] = username_of(user), self.get_success_url()
        if isinstance(form := context["form"], LoginForm):
            form.follows_notice = ended is not None
            if user.is_authenticated:
                form.fields["username"].widget.attrs.pop("autofocus", None)  # something else stands first
        context["refusal_code"] = self.refusal_code
        if self.refusal_code:
            context["other_login_page"] = other_login_page(self.request, self.get_redirect_url())
        return context


# Exempt from Django's middleware alone: dispatch checks the token itself, in the class that this one extends.
@method_decorator([unframed, login_not_required, csrf_exempt], name="dispatch")
class LogoutView(auth_views.LogoutView):
    """Ends this device's session (POST), and says so.

    It needs no login: the refresh cookie is enough, and it is not renewed for this.
    """

    template_name = "authx/logged_out.html"
    http_method_names = ["get", "head", "post", "options"]

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Say also without a CSRF token that nobody is signed in: a first click may have taken it along."""
        response = super().dispatch(request, *args, **kwargs)
        if response.status_code != 403 or is_anybody(request):
            return response
        wanted = self.get_success_url()
        if wanted != request.get_full_path():
            return redirect(wanted)
        return self.render_to_response(self.get_context_data(**kwargs))

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Lead to "your devices": nobody is signed out by a link."""
        return redirect(devices_or_home())


def _buys_nothing(request: HttpRequest) -> bool:
    """Return whether a person is viewing this page whose cookies have been tried in every way."""
    tried = renewal.is_navigation(request) and renewal.may_renew(request)
    return tried and cookies.came_back(request)


@unframed
@login_required
@never_cache
@require_safe
def devices(request: HttpRequest) -> HttpResponse:
    """Show where the user is signed in, this device first, and which apps may act for them."""
    current = session_of(request)
    most = MOST_SHOWN if "all" in request.GET else SHOWN
    others, number = newest_live_sessions(request.user, most, without=current.pk if current else None)
    places = places_of(session for session in [current, *others] if session is not None)
    context = {
        "current": current,
        "others": others,
        "other_count": number,
        "apps": connected_apps(request.user),
        "activity": activity_of(request.user, FEW),
        **questions(request, current, others),
        "places": places,
        "has_places": any(places.values()),
    }
    return render(request, "authx/devices.html", context)


@unframed
@login_required
@only_posted
def rename_device(request: HttpRequest, sid: UUID) -> HttpResponse:
    """Give one of the user's own live devices another name; without one it is called what it is."""
    session = find_live_session(request.user, sid)
    if session is None:
        return ended_before(request, sid)
    rename_session(session, request.POST.get("name", ""), actor_of(request, request.user))
    text = _("It is called %(device)s now.") % {"device": session}
    messages.success(request, text, fail_silently=True)
    return redirect("authx:devices")


@unframed
@login_required
@only_posted
def end_device(request: HttpRequest, sid: UUID) -> HttpResponse:
    """End one of the user's own sessions; ending this device's own is a logout."""
    session = find_live_session(request.user, sid)
    if session is None:
        return ended_before(request, sid)
    current = session_of(request)
    if current is not None and current.pk == session.pk:
        logout(request)
        return redirect("authx:login")
    if refusal := demand_recent_login(request):
        return refusal
    end_session(session, EndReason.ENDED_BY_USER, by=actor_of(request, request.user))
    text = _("%(device)s has been signed out.") % {"device": session}
    messages.success(request, text, fail_silently=True)
    return redirect("authx:devices")


@unframed
@login_required
@only_posted
def end_others(request: HttpRequest) -> HttpResponse:
    """End all of the user's sessions but this one."""
    current = session_of(request)
    if refusal := demand_recent_login(request, at_most=EVERYWHERE_MAX_AUTH_AGE):
        return refusal
    others = other_sessions(request.user, current.pk if current else None)
    ended = end_sessions(others, EndReason.ENDED_BY_USER, by=actor_of(request, request.user))
    text = ngettext("%d other device has been signed out.", "%d other devices have been signed out.", ended)
    if ended:  # else the page itself says that there is no other
        messages.success(request, text % ended, fail_silently=True)
    return redirect("authx:devices")
