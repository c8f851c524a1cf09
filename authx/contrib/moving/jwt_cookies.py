"""Moving in from dj-rest-auth's JWT cookies: a middleware that turns them into ours, silently."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from asgiref.sync import sync_to_async
from dj_rest_auth.app_settings import api_settings
from dj_rest_auth.jwt_auth import unset_jwt_cookies
from django.http import HttpRequest, JsonResponse
from django.http.response import HttpResponseBase
from django.views.decorators.debug import sensitive_variables
from rest_framework_simplejwt.settings import api_settings as jwt_settings

from authx.conf import conf
from authx.contrib.moving.jwt_refresh import OldRefreshToken
from authx.contrib.moving.once import is_over, move
from authx.errors import AuthxError, StoreUnavailable
from authx.http import cookies, device_cookie, django_session, renewal
from authx.http.caching import never_cache
from authx.http.language import name_language, negotiated
from authx.http.middleware import SyncOrAsync
from authx.http.outage import RETRY_AFTER_SECONDS
from authx.http.refusals import body_of
from authx.http.request_state import request_state
from authx.identity.delivery import deliver
from authx.identity.identity import Delivery
from authx.logins.presented import holds_ours
from authx.pages.failures import unavailable
from authx.sessions import Credentials, Device
from authx.sessions.credentials import credentials_for
from authx.store import database


class CookieMiddleware(SyncOrAsync):
    """Turns the cookies of dj-rest-auth into ours; stands before AuthenticationMiddleware, after sessions'.

    The old ones are deleted by the response that brings ours. If that is lost, they are still there, and are
    answered with the same session until one of its tokens has come back.
    """

    #: Blacklist the old token in the transaction that opens the session.
    blacklists = False
    #: The authentication backend that goes on deciding about the user; ``""`` if none does.
    backend = ""

    def answer(self, request: HttpRequest) -> HttpResponseBase:
        """Return the response to a request that has our session in place of the old cookies."""
        try:
            credentials = self.begin(request)
        except StoreUnavailable:
            return _unavailable(request)
        return finish(request, self.get_response(request), credentials)

    async def aanswer(self, request: HttpRequest) -> HttpResponseBase:
        """Do what ``answer`` does, in a thread where it reads or writes."""
        try:
            credentials = await sync_to_async(self.begin)(request)
        except StoreUnavailable:
            return _unavailable(request)
        response = await self.get_response(request)
        return await sync_to_async(finish)(request, response, credentials)

    @sensitive_variables()
    def begin(self, request: HttpRequest) -> Credentials | None:
        """Let the request be one in the session that its old cookie has become; None where there is none.

        Raises:
            StoreUnavailable: that cannot be known.
        """
        name, token_class = _credential()
        text = request.COOKIES.get(name) if name else None
        if not text or not _may_move(request) or is_over():
            return None
        try:
            with database.store_errors():
                if cookies.has_credentials(request) and holds_ours(request):
                    return None
                old = OldRefreshToken(text, token_class).credential(
                    blacklists=self.blacklists, backend=self.backend
                )
                device = Device(id=device_cookie.browser_device(request).id)
                credentials = move(old, request, device, until_used=True)
        except StoreUnavailable:
            raise
        except AuthxError:
            return None
        _present(request, credentials)
        return credentials


def finish(
    request: HttpRequest, response: HttpResponseBase, credentials: Credentials | None
) -> HttpResponseBase:
    """Set our cookies, unless the view has set or deleted them, and delete the old ones with that."""
    if credentials is not None and conf.REFRESH_COOKIE not in response.cookies:
        session = credentials.session
        try:
            with database.store_errors():
                persistent = session.persistent
                django_session.claim(request, session.user, str(session.pk), persistent=persistent)
                if deliver(request, response, Delivery(credentials)):
                    device_cookie.remember_login(request, response, session.subject, login=str(session.pk))
        except StoreUnavailable:
            return response  # the old cookies stay, and are answered as before
    old = [api_settings.JWT_AUTH_COOKIE, api_settings.JWT_AUTH_REFRESH_COOKIE]
    is_there = any(name in request.COOKIES or name in response.cookies for name in old if name)
    if is_there and (conf.REFRESH_COOKIE in response.cookies or (credentials is None and _has_ours(request))):
        unset_jwt_cookies(response)
        never_cache(response)
    return response


def _has_ours(request: HttpRequest) -> bool:
    """Return whether the browser came with cookies of ours; False where that cannot be known now."""
    with suppress(StoreUnavailable), database.store_errors():
        return holds_ours(request)
    return False


def _credential() -> tuple[str | None, Any]:
    """Return the name of the cookie that is worth a session, and the class of what is in it.

    The refresh cookie; a site without one has nothing but the access cookie.
    """
    if name := api_settings.JWT_AUTH_REFRESH_COOKIE:
        return name, None
    return api_settings.JWT_AUTH_COOKIE, jwt_settings.AUTH_TOKEN_CLASSES[0]


def _may_move(request: HttpRequest) -> bool:
    """Return whether the browser will keep the cookies of the response."""
    if renewal.has_bearer(request):
        return False
    is_own = request.method == "POST" and request.headers.get("Sec-Fetch-Site") != "cross-site"
    return is_own or renewal.may_renew(request)


@sensitive_variables()
def _present(request: HttpRequest, credentials: Credentials) -> None:
    """Add an access cookie to the request; its token confirms nothing: the browser does not have it yet."""
    session = credentials.session
    shown = credentials_for(session, generation=0, now=credentials.now, refreshable=False).access_token
    ours = {conf.ACCESS_COOKIE, conf.REFRESH_COOKIE}
    sent = [pair for pair in request.META.get("HTTP_COOKIE", "").split(";") if _name(pair) not in ours]
    request.META["HTTP_COOKIE"] = ";".join([*sent, f" {conf.ACCESS_COOKIE}={shown}"])
    request_state(request).presented = None  # read again, where it has been


def _name(pair: str) -> str:
    return pair.partition("=")[0].strip(" \t")


def _unavailable(request: HttpRequest) -> HttpResponseBase:
    if not renewal.is_api_view(request):
        return unavailable(request)
    with negotiated(request) as language:
        response = JsonResponse(body_of("store_unavailable"), status=503)
    name_language(response, language)
    response["Retry-After"] = str(RETRY_AFTER_SECONDS)
    never_cache(response)
    return response
