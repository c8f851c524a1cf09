"""The view for login: a new session for name and password, or for a login proof and whom it may end."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

from django.middleware.csrf import get_token
from django.utils.decorators import method_decorator
from django.views.decorators.csrf import ensure_csrf_cookie
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables
from rest_framework.exceptions import NotFound, Throttled
from rest_framework.request import Request
from rest_framework.response import Response

from authx.api import browser
from authx.api.authentication import enforce_csrf
from authx.api.exceptions import Refused
from authx.api.serializers import LoginSerializer, ProofLoginSerializer, offer_body
from authx.api.tokens import token_body
from authx.api.views.base import AuthxAPIView
from authx.api.views.tokens import check_credentials
from authx.errors import LoginProofInvalid, SessionLimitReached
from authx.http.device_cookie import browser_device, introduce_browser
from authx.http.password_login import password_login_refusal, takes_passwords
from authx.http.refusals import body_of
from authx.http.request_state import request_state
from authx.http.session_key import stored_key
from authx.logins.browser import browser_session
from authx.logins.choosing import CompleteLogin, LoginByProof, browser_holder, client_holder, offer
from authx.logins.double_click import login_key
from authx.logins.lockout import note_success
from authx.sessions import Device, open_session
from authx.sessions.choosing import Choice
from authx.sessions.login_backend import path_of
from authx.sessions.methods import password_methods


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
        by_proof = self.body().get("proof") is not None
        serializer = (ProofLoginSerializer if by_proof else LoginSerializer)(data=request.data)
        serializer.is_valid(raise_exception=True)
        data = serializer.validated_data
        if data["transport"] == "cookie":
            enforce_csrf(request)
        device = _device(request, data)
        holder = _holder(request, data, device)
        login: CompleteLogin | None = None
        try:
            with _login(request, data, holder) as login:
                _demand_enough(request, login)
                return _opened(request, data, device, login)
        except SessionLimitReached as error:
            return _full(request, data, login, error, holder)
        except LoginProofInvalid:
            if wait := request_state(request._request).login_wait:
                raise Throttled(max(wait, 0) or None) from None
            raise


@sensitive_variables()
def _login(request: Request, data: dict[str, Any], holder: str) -> AbstractContextManager[CompleteLogin]:
    """Return the login that the body makes, by a password or by a proof, for a block that opens its session.

    Raises:
        Throttled: there were too many failures.
        Refused: name and password let nobody in.
    """
    if "proof" in data:
        return LoginByProof(request._request, data["proof"], holder=holder)
    user = check_credentials(request, data["username"], data["password"])
    return nullcontext(CompleteLogin(user, path_of(user), password_methods(user)))


def _demand_enough(request: Request, login: CompleteLogin) -> None:
    """Let AUTHX_PASSWORD_LOGIN refuse a login that is right; also one by a proof, as it is asked now.

    Raises:
        Refused: it does.
        LoginProofInvalid: the login was made at another door, which asks for something else.
    """
    if not login.by_password:
        raise LoginProofInvalid("it was made at another door")
    if word := password_login_refusal(request._request, login.user):
        raise Refused(word)


def _device(request: Request, data: dict[str, Any]) -> Device:
    described = dict(data.get("device", {}))
    if data["transport"] == "cookie":  # with cookies the device is the browser, known by its device cookie
        described["id"] = browser_device(request._request).id
    return Device(**described)


def _holder(request: Request, data: dict[str, Any], device: Device) -> str:
    by_cookie = data["transport"] == "cookie"
    return browser_holder(request._request) if by_cookie else client_holder(device.id)


@sensitive_variables()
def _opened(request: Request, data: dict[str, Any], device: Device, login: CompleteLogin) -> Response:
    """Open the session of a login, and return the answer to it."""
    user, by_cookie = login.user, data["transport"] == "cookie"
    how: dict[str, Any] = {"amr": login.amr, "persistent": data["remember"]}
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
        backend=login.backend,
        choice=None if login.proof is None else Choice(frozenset(data["end"]), login.proof),
        sets_last_login=True,
        **how,
    )
    note_success(request._request, user)
    response = Response(token_body(credentials, with_refresh=not by_cookie))
    if by_cookie:
        browser.sign_in(request, response, credentials, keeps_data=keeps_data)
    return response


@sensitive_variables()
def _full(
    request: Request,
    data: dict[str, Any],
    login: CompleteLogin | None,
    error: SessionLimitReached,
    holder: str,
) -> Response:
    """Return 409, with what the user may choose from where a limit lets them choose.

    Raises:
        SessionLimitReached: none does.
    """
    offered = None if login is None else offer(request._request, login, error, holder=holder)
    if offered is None:
        raise error
    response = Response({**body_of(error.code), **offer_body(offered)}, status=409)
    if data["transport"] == "cookie":
        # The proof is bound to its device cookie.
        introduce_browser(request._request, response, overwrites=True)
    return response
