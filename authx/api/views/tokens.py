"""Views for login, refresh and logout: getting tokens, renewing them, giving them up."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import update_last_login
from django.middleware.csrf import get_token
from django.utils.decorators import method_decorator
from django.views.decorators.csrf import ensure_csrf_cookie
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables
from rest_framework.exceptions import NotFound, Throttled
from rest_framework.request import Request
from rest_framework.response import Response

from authx.api import browser
from authx.api.authentication import bearer_token, enforce_csrf
from authx.api.exceptions import Refused
from authx.api.serializers import LoginSerializer
from authx.api.tokens import token_body
from authx.api.views.base import AuthxAPIView
from authx.conf import secret_keys
from authx.core.reasons import EndReason
from authx.core.refresh_token import RefreshClaims, read_refresh_token
from authx.errors import RefreshMalformed, RefreshReused, SessionEnded, TokenError
from authx.http import cookies, django_session
from authx.http.actor import actor_of
from authx.http.device_cookie import browser_device
from authx.http.password_login import password_login_refusal, takes_passwords
from authx.http.renewal import has_bearer
from authx.http.request_state import request_state
from authx.http.session_key import stored_key
from authx.logins.attempts import authenticate_within_limit
from authx.logins.browser import browser_session
from authx.logins.double_click import login_key
from authx.logins.presented import presented_by
from authx.models import DeviceSession
from authx.sessions import (
    Device,
    end_session,
    open_session,
    recognize,
)
from authx.sessions.lookup import find_by_refresh_token
from authx.sessions.methods import password_methods
from authx.sessions.refreshing import exchange
from authx.sessions.risk import count_refresh


@sensitive_variables("password")
def check_credentials(
    request: Request, username: str, password: str, *, proof_of: DeviceSession | None = None
) -> Any:
    """Return the user to whom these credentials belong; count a failure.

    ``proof_of`` is the session whose user is authenticating again.

    Raises:
        Throttled: too many failures for this account, from this address or in this browser.
        Refused: ``invalid_credentials``, the same for an unknown or inactive user and a wrong password (P4).
    """
    state = request_state(request._request)
    state.proof_of = proof_of
    user = authenticate_within_limit(request._request, username=username, password=password)
    if user is None and state.login_wait:
        raise Throttled(state.login_wait)
    if user is None:
        raise Refused("invalid_credentials")
    return user


@method_decorator(sensitive_post_parameters(), name="dispatch")
class Login(AuthxAPIView):
    """``GET``: 204 and the CSRF token. ``POST``: a new session, where name and password are enough."""

    @method_decorator(ensure_csrf_cookie)
    def get(self, request: Request) -> Response:
        # The header is for scripts that cannot read the cookie (CSRF_COOKIE_HTTPONLY, CSRF_USE_SESSIONS).
        return Response(status=204, headers={"X-CSRFToken": get_token(request._request)})

    @sensitive_variables()
    def post(self, request: Request) -> Response:
        if not takes_passwords():
            raise NotFound
        serializer = LoginSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        data = serializer.validated_data
        by_cookie = data["transport"] == "cookie"
        if by_cookie:
            enforce_csrf(request)
        described = dict(data.get("device", {}))
        if by_cookie:  # with cookies the device is the browser, known by its device cookie
            described["id"] = browser_device(request._request).id
        device = Device(**described)
        user = check_credentials(request, data["username"], data["password"])
        if word := password_login_refusal(request._request, user):
            raise Refused(word)
        how = {"amr": password_methods(user), "persistent": data["remember"]}
        came_with = key = None
        if by_cookie:
            came_with = browser_session(request._request)
            key = login_key(request._request, user, came_with=came_with, **how)
        keeps_data = by_cookie and browser.keep_data(request, user, came_with)
        credentials = open_session(
            user,
            request,
            device,
            overwrites=came_with,
            login_key=key,
            django_key=stored_key(request._request) if keeps_data else None,
            **how,
        )
        if any(field.name == "last_login" for field in user._meta.concrete_fields):
            update_last_login(type(user), user)
        response = Response(token_body(credentials, with_refresh=not by_cookie))
        if by_cookie:
            browser.sign_in(request, response, credentials, keeps_data=keeps_data)
        return response


@method_decorator(sensitive_post_parameters(), name="dispatch")
class Refresh(AuthxAPIView):
    """``POST``: exchange the refresh token, in the body or the cookie, for the next pair of tokens."""

    @sensitive_variables()
    def post(self, request: Request) -> Response:
        by_cookie = "refresh_token" not in self.body()
        presented = _from_cookie(request) if by_cookie else _from_body(self.body())
        actor = actor_of(request)
        if wait := count_refresh(presented, actor):
            raise Throttled(wait)
        try:
            credentials = exchange(presented, actor)
        except (SessionEnded, RefreshReused) as error:
            if by_cookie:
                django_session.flush_with(request._request, error.sid)
            raise
        response = Response(token_body(credentials, with_refresh=not by_cookie))
        if by_cookie:
            browser.renew(request, response, credentials)
        return response


def _from_cookie(request: Request) -> RefreshClaims:
    """Return what the refresh cookie holds, after the CSRF check.

    Raises:
        Refused: there is none, or two.
        RefreshMalformed: it was never one of ours.
    """
    found = presented_by(request._request)
    if found.refresh is None and found.refresh_error is None:
        raise Refused("not_authenticated")
    enforce_csrf(request)
    if found.refresh is None:
        raise found.refresh_error or RefreshMalformed("there is none")
    return found.refresh


@sensitive_variables()
def _from_body(body: dict[str, Any]) -> RefreshClaims:
    return read_refresh_token(body["refresh_token"], secret_keys())


@method_decorator(sensitive_post_parameters(), name="dispatch")
class Logout(AuthxAPIView):
    """``POST``: end the session of the credential presented; 204 also if it has ended already."""

    @sensitive_variables()
    def post(self, request: Request) -> Response:
        sent = self.body().get("refresh_token")
        by_cookie = sent is None and not has_bearer(request._request)
        if by_cookie:
            if not cookies.has_credentials(request._request):
                raise Refused("not_authenticated")
            enforce_csrf(request)
            session = browser_session(request._request)
        elif sent is not None:
            session = find_by_refresh_token(read_refresh_token(sent, secret_keys())).session
        else:
            session = _by_bearer(request)
        if session is not None and session.ended_at is None:  # an old token does not end what continues it
            end_session(session, EndReason.LOGOUT, by=actor_of(request, session.user))
        response = Response(status=204)
        if by_cookie:
            browser.sign_out(request, response)
        return response


@sensitive_variables()
def _by_bearer(request: Request) -> DeviceSession | None:
    try:
        return recognize(bearer_token(request))
    except SessionEnded:
        return None
    except TokenError as error:
        request_state(request._request).refusal = error
        raise
