"""django-ninja: our sessions as ``auth``, by Bearer token and by cookie, and refusals as our API words them.

Both classes serve sync and async operations: ninja calls them in a thread where it has to.
"""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from ninja import NinjaAPI
from ninja.errors import AuthenticationError
from ninja.security.base import AuthBase, SecuritySchema
from rest_framework.exceptions import APIException
from rest_framework.request import Request

from authx.api.authentication import CookieAuthentication
from authx.api.bearer import answer_to, identify, set_caller
from authx.api.exceptions import Refused, refusal
from authx.conf import conf
from authx.core.claims import AccessClaims
from authx.errors import AuthxError, KeyInvalid
from authx.http.request_state import request_state


class BearerAuth(AuthBase):
    """``Authorization: Bearer``: the user is ``request.user``, and the claims are ``request.auth``."""

    openapi_type = "http"
    openapi_scheme = "bearer"
    openapi_bearerFormat = "JWT"  # noqa: N815 - OpenAPI's name for it

    def __call__(self, request: HttpRequest) -> AccessClaims | None:
        """Return the claims; None where the request has no Bearer token.

        Raises:
            APIException: DRF's; see ``add_exception_handlers``.
        """
        return identify(request)


class CookieAuth(AuthBase):
    """The access cookie, or the Django session; unsafe methods need Django's CSRF token.

    Also where an operation is exempt for ninja: what comes by cookie may have been sent by another site.
    """

    is_async = False

    def __init__(self) -> None:
        """Do nothing: the schema names the cookie, which is a setting, when it is made."""

    @property
    def openapi_security_schema(self) -> SecuritySchema:  # type: ignore[override]
        return SecuritySchema("apiKey", **{"in": "cookie", "name": conf.ACCESS_COOKIE})

    def __call__(self, request: HttpRequest) -> AccessClaims | None:
        """Return the claims; None where the cookies identify nobody.

        Raises:
            APIException: DRF's; see ``add_exception_handlers``.
        """
        found = CookieAuthentication().authenticate(_Request(request))
        return None if found is None else set_caller(request, *found)


class _Request(Request):
    """Has no parsers: the form with the CSRF token is Django's, which ninja reads too."""

    @property
    def POST(self) -> Any:  # type: ignore[override]  # noqa: N802 - Django's name for it
        return self._request.POST


def add_exception_handlers(api: NinjaAPI) -> None:
    """Make ``api`` answer as our API does where a caller is not let in: ``detail``, ``code`` and ``reason``.

    All errors but those of authentication stay ninja's.
    """
    api.add_exception_handler(AuthenticationError, _refuse_anonymous)
    api.add_exception_handler(APIException, _answer)
    api.add_exception_handler(AuthxError, _refuse)


def _refuse_anonymous(request: HttpRequest, error: Any) -> HttpResponse:
    """Answer 401; to a cookie that was refused, say why."""
    refused = request_state(request).refusal
    return answer_to(request, Refused("not_authenticated") if refused is None else refusal(refused))


def _answer(request: HttpRequest, error: Any) -> HttpResponse:
    return answer_to(request, error)


def _refuse(request: HttpRequest, error: Any) -> HttpResponse:
    if isinstance(error, KeyInvalid):  # in the settings: nobody's business outside
        raise error
    return answer_to(request, refusal(error))
