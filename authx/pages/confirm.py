"""The page that asks a signed-in user for the password again, and continues the session in a new one."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.decorators import method_decorator
from django.utils.translation import gettext_lazy as _
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_protect
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables
from django.views.generic import FormView

from authx.core.reasons import EndReason
from authx.core.user_model import has_usable_password, username_of
from authx.errors import SessionEnded
from authx.http import django_session
from authx.http.framing import unframed
from authx.http.request_state import request_state
from authx.identity.identity import Identity
from authx.identity.step_up import continued
from authx.identity.visit import Visit, visit_of
from authx.logins.attempts import authenticate_within_limit
from authx.logins.browser import cookie_session
from authx.logins.lockout import note_success
from authx.logins.outcome import set_retry_after
from authx.models import DeviceSession
from authx.pages.arrival import Arrival
from authx.pages.step_up import to_login
from authx.pages.texts import too_many
from authx.sessions.continuing import is_continued
from authx.sessions.methods import password_methods
from authx.store.database import store_errors

#: In a Django session: the sid of a visitor who was sent to LOGIN_URL for a fresh login.
SENT_KEY = "_authx_sent_to_login"


class ConfirmForm(forms.Form):
    """Asks for the password of the session's user; a try counts as one to sign in."""

    password = forms.CharField(
        label=_("Password"),
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password", "autofocus": True}),
    )

    def __init__(self, request: HttpRequest, session: DeviceSession, *args: Any, **kwargs: Any) -> None:
        self.request, self.session = request, session
        #: The user as a backend has just let them in; None before that.
        self.proved: Any = None
        super().__init__(*args, **kwargs)

    @property
    def wait(self) -> int:
        """Return the seconds to wait before another try, -1 if that is unknown; 0 while tries are left."""
        return request_state(self.request).login_wait

    @sensitive_variables("password")
    def clean_password(self) -> str:
        password: str = self.cleaned_data["password"]
        user: Any = self.session.user
        request_state(self.request).proof_of = self.session
        proved = authenticate_within_limit(self.request, username=username_of(user), password=password)
        if proved is None and self.wait:
            raise too_many(self.wait)
        if proved is None or proved.pk != user.pk:
            raise forms.ValidationError(_("This is not your password."), code="invalid_credentials")
        self.proved = proved
        return password


@method_decorator(
    [unframed, login_not_required, sensitive_post_parameters(), csrf_protect, never_cache], name="dispatch"
)
class ConfirmView(Arrival, FormView):  # type: ignore[type-arg]
    """Asks for the password, then leads to ``next``; whoever has none is asked to sign in again instead."""

    template_name = "authx/confirm.html"
    form_class = ConfirmForm
    visit: Visit
    session: DeviceSession

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        with store_errors():
            visit = visit_of(request)
            session = _session(request, visit) if visit is not None else None
            if visit is None or session is None:
                return to_login(self.get_success_url())
            self.visit, self.session = visit, session
            if session.user is None or not has_usable_password(session.user):
                return self._sign_in_again()
            return super().dispatch(request, *args, **kwargs)

    def form_valid(self, form: Any) -> HttpResponse:
        try:
            methods = password_methods(form.proved)
            self.visit.identify(continued(self.request, self.visit.settle(), self.session, methods))
            note_success(self.request, form.proved)
        except SessionEnded as error:
            django_session.flush_ended(self.request, error.sid)
            self.visit.identify(Identity(refusal=error))
            return to_login(self.get_success_url())
        return super().form_valid(form)

    def form_invalid(self, form: Any) -> HttpResponse:
        response: HttpResponse = super().form_invalid(form)
        set_retry_after(response, form.wait)
        return response

    def get_form_kwargs(self) -> dict[str, Any]:
        return {**super().get_form_kwargs(), "request": self.request, "session": self.session}

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context = super().get_context_data(**kwargs)
        return {
            **context,
            "next": self.get_redirect_url(),
            "username": username_of(self.session.user) if self.session.user else "",
        }

    def _sign_in_again(self) -> HttpResponseBase:
        """Send to LOGIN_URL; say so on a page instead if that page has just sent the visitor back unchanged.

        Some login pages redirect whoever is signed in already: the two would send the visitor to and fro.
        """
        request, sid = self.request, str(self.session.pk)
        kept: Any = getattr(request, "session", {})
        if kept.pop(SENT_KEY, None) == sid:
            login_page = to_login(self.get_success_url()).url
            return self.render_to_response({"login_page": login_page, "next": self.get_redirect_url()})
        kept[SENT_KEY] = sid
        return to_login(self.get_success_url())


def _session(request: HttpRequest, visit: Visit) -> DeviceSession | None:
    """Return the visitor's session; for a form that was sent twice, the one that the first has ended."""
    identity = visit.settle()
    if identity.session is not None or request.method != "POST":
        return identity.session
    if identity.ended_reason != EndReason.SUPERSEDED:
        return None
    ended = cookie_session(request)
    return ended.session if ended is not None and is_continued(ended) else None
