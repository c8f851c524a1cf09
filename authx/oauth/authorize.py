"""The authorization endpoint: a signed-in user allows a client to act for them (RFC 6749 §4.1)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import DisallowedRedirect
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import resolve_url
from django.urls import reverse
from django.utils.decorators import method_decorator
from django.views import View
from django.views.decorators.csrf import csrf_protect
from django.views.decorators.debug import sensitive_variables

from authx import metrics
from authx.conf import conf
from authx.core.authorization import (
    AuthorizationRequest,
    judge_authorization,
    requested_client_id,
)
from authx.core.redirects import answer_uri, is_loopback_or_private
from authx.errors import AuthorizationRefused, RedirectRefused
from authx.http.charset import is_unreadable
from authx.http.confirmation import to_confirmation
from authx.identity.visit import session_of
from authx.issuer.client_lookup import find_client
from authx.models import DeviceSession, ServiceClient
from authx.oauth import pages
from authx.sessions.client_facts import facts_of
from authx.sessions.consents import has_consented, remember_consent
from authx.sessions.granting import issue_code
from authx.sessions.step_up import is_recent
from authx.store.database import store_errors

#: How old a login may be that has just been demanded: ``max_age=0`` would demand one for ever.
_WAY_BACK_SECONDS: Final = 60


@method_decorator([login_not_required, csrf_protect, pages.guarded], name="dispatch")
class AuthorizeView(View):
    """Asks the user, and sends the client a code; the request stays in the URL and is judged each time.

    Whoever comes from a form, the consent page's or a login page's before it, is led on by a page of ours and
    not by a redirect: under ``form-action 'self'`` browsers follow none from a form to another origin.
    """

    http_method_names = [
        "get",
        "post",
        "options",
    ]  # no HEAD, which would be answered with a code nobody reads
    after_form = False
    client: ServiceClient

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        if is_unreadable(request):
            return pages.refused(request, "invalid_request", "the query cannot be read")
        with store_errors():
            try:
                self.asked = self._judge(dict(request.GET.lists()))
                return super().dispatch(request, *args, **kwargs)
            except RedirectRefused as error:
                metrics.REFUSALS.count(door="oauth", code=error.error)
                return pages.refused(request, error.error, error.error_description)
            except AuthorizationRefused as error:
                metrics.REFUSALS.count(door="oauth", code=error.error)
                return self._answer(
                    error.redirect_uri,
                    {"error": error.error, "error_description": error.error_description},
                    error.state,
                )

    def get(self, request: HttpRequest) -> HttpResponse:
        """Ask the user for consent, or go on where they need not be asked."""
        login = session_of(request)
        if response := self._demand_login(login):
            return response
        assert login is not None
        if self._needs_consent(login):
            if "none" in self.asked.prompt:
                raise self._refusal("consent_required", "the user has to be asked")
            return pages.consent(request, self.client, self.asked, back=self._way_back())
        return self._allow(login)

    def post(self, request: HttpRequest) -> HttpResponse:
        """Take the user's answer; without one, ask again."""
        login = session_of(request)
        if response := self._demand_login(login):
            return response
        assert login is not None
        decision = request.POST.get("decision")
        if decision == "deny":
            raise self._refusal("access_denied", "the user has refused")
        if decision != "allow":
            return pages.consent(request, self.client, self.asked, back=self._way_back())
        remember_consent(login.user, self.client, self.asked.scope, self.asked.resources)
        return self._allow(login)

    def _judge(self, parameters: Mapping[str, list[str]]) -> AuthorizationRequest:
        client = find_client(requested_client_id(parameters))
        if client is not None:
            self.client = client
        return judge_authorization(
            parameters,
            None if client is None else facts_of(client),
            known_scopes=conf.SCOPES,
            known_resources=conf.RESOURCES,
        )

    def _demand_login(self, login: DeviceSession | None) -> HttpResponse | None:
        """Return None where the visitor's own live session can consent; else a page, or the way to a login.

        Raises:
            AuthorizationRefused: nobody is to be asked, and nobody suitable is signed in.
        """
        is_silent, user = "none" in self.asked.prompt, self.request.user
        if (login is None and user.is_authenticated) or (login is not None and login.user_id != user.pk):
            # A login without a device session, or somebody who acts as another: no code may be bound to it.
            if is_silent:
                raise self._refusal("access_denied", "this sign-in cannot allow anything to apps")
            return pages.cannot_consent(self.request, self.client)
        if login is None:
            if is_silent:
                raise self._refusal("login_required", "nobody is signed in")
            return redirect_to_login(self._way_back(), resolve_url(settings.LOGIN_URL))
        if self._is_recent(login):
            return None
        if is_silent:
            raise self._refusal("login_required", "the sign-in is too long ago")
        back = self._way_back()
        return to_confirmation(back) or redirect_to_login(back, resolve_url(settings.LOGIN_URL))

    def _is_recent(self, login: DeviceSession) -> bool:
        """Return whether the login is as recent as the client demands (OpenID Connect Core §3.1.2.1)."""
        if "login" in self.asked.prompt:
            return False  # the way back demands it no more
        return self.asked.max_age is None or is_recent(login, timedelta(seconds=self.asked.max_age))

    def _needs_consent(self, login: DeviceSession) -> bool:
        """Return whether to ask: a client that anybody on the computer may pass for is always asked about."""
        asked = self.asked
        if self.client.auth_method == ServiceClient.AuthMethod.NONE and is_loopback_or_private(
            asked.redirect_uri
        ):
            return True
        if "consent" in asked.prompt:
            return True
        return not self.client.trusted and not has_consented(
            login.user, self.client, asked.scope, asked.resources
        )

    @method_decorator(sensitive_variables())
    def _allow(self, login: DeviceSession) -> HttpResponse:
        code = issue_code(self.client, login, self.asked)
        return self._answer(self.asked.redirect_uri, {"code": code}, self.asked.state)

    @method_decorator(sensitive_variables())
    def _answer(self, redirect_uri: str, parameters: Mapping[str, str], state: str | None) -> HttpResponse:
        uri = answer_uri(redirect_uri, parameters, issuer=conf.ISSUER, state=state)
        if self.after_form or self.request.method == "POST":
            return pages.leading_on(self.request, getattr(self, "client", None), uri)
        try:
            return _Redirect(uri)
        except DisallowedRedirect:  # Django has none as long as a large state makes it
            return pages.leading_on(self.request, getattr(self, "client", None), uri)

    def _refusal(self, error: str, description: str) -> AuthorizationRefused:
        asked = self.asked
        return AuthorizationRefused(error, description, redirect_uri=asked.redirect_uri, state=asked.state)

    def _way_back(self) -> str:
        """Return this request's URL for who comes from a form; it demands no other login than that."""
        query = self.request.GET.copy()
        if "login" in self.asked.prompt:
            query["prompt"] = " ".join(sorted(self.asked.prompt - {"login"}))
        if self.asked.max_age is not None:
            query["max_age"] = str(max(self.asked.max_age, _WAY_BACK_SECONDS))
        return f"{reverse('authx-oauth:continue')}?{query.urlencode()}"


class _Redirect(HttpResponseRedirect):
    """Redirects to a registered URI, also of an app's own scheme."""

    @method_decorator(sensitive_variables())
    def __init__(self, uri: str) -> None:
        self.allowed_schemes = [uri.partition(":")[0].lower()]
        super().__init__(uri)
