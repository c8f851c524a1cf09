"""Authentication of API requests: by a Bearer token, or by the access cookie with CSRF.

Must not import ``rest_framework.views``, which imports this module through DRF's settings.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

from django.http import HttpRequest
from django.views.decorators.debug import sensitive_variables
from rest_framework.authentication import SessionAuthentication
from rest_framework.request import Request

from authx.api.admitting import (
    AuthxAuthentication,
    bearer_token,
    is_for_another,
    let_in,
    refused,
    session_of,
    session_or_none,
)
from authx.api.delegated import DelegatedAuthentication
from authx.api.foreign_tokens import has_other_reader
from authx.conf import conf
from authx.core.access_token import is_access_token
from authx.core.claims import AccessClaims
from authx.errors import RefreshError, SessionEnded, StoreUnavailable, TokenError, TokenMalformed
from authx.gate import verify_access_token
from authx.gate.principal import TokenCaller
from authx.http import django_session
from authx.http.cookies import read_cookie
from authx.http.renewal import has_bearer, names_bearer
from authx.http.request_state import request_state

if TYPE_CHECKING:
    from authx.api.admitting import AnyCaller
    from authx.sessions.authentication import Caller, KnownCaller

__all__ = [
    "AuthxAuthentication",
    "BearerAuthentication",
    "CookieAuthentication",
    "DelegatedAuthentication",
    "bearer_token",
    "enforce_csrf",
    "session_of",
    "session_or_none",
]


class BearerAuthentication(AuthxAuthentication):
    """``Authorization: Bearer``: the user as ``request.user``, the claims as ``request.auth``.

    The header only, never a query or a form (RFC 6750 §2.1). A token that is not of our type is left to the
    next class where one of the view takes Bearer tokens of others; elsewhere it is refused. So is a client's
    token, but for ``DelegatedAuthentication``.
    """

    serves_clients = False

    @sensitive_variables()
    def authenticate(self, request: Request) -> tuple[Any, AccessClaims] | None:
        header = request._request.META.get("HTTP_AUTHORIZATION", "")
        if not header.startswith("Bearer ") and not names_bearer(header):  # most start so: no call
            return None  # not ours; let the next class look
        state = request_state(request._request)
        state.identity_header = "Authorization"
        try:
            token = bearer_token(request)
            if len(request.authenticators or ()) > 1 and is_for_another(request, token, self):  # mostly one
                return None
            view: Any = type(request.parser_context.get("view"))
            try:
                caller = _admitter(conf.gate_policy.store)(token, reads_session=_reads_session(view))
            except TokenMalformed:
                if is_access_token(token) or not has_other_reader(request, self, AuthxAuthentication):
                    raise
                return None  # not of our type, and another class takes such
        except (TokenError, StoreUnavailable) as error:
            raise refused(request, error) from error
        state.caller = caller
        return let_in(request, caller)


class CookieAuthentication(AuthxAuthentication):
    """The access cookie; unsafe methods need Django's CSRF token. A bad cookie makes the user anonymous."""

    @sensitive_variables()
    def authenticate(self, request: Request) -> tuple[Any, AccessClaims] | None:
        if has_bearer(request._request):
            return None
        state = request_state(request._request)
        state.identity_header = "Cookie"
        try:
            caller = _cookie_caller(request)
        except (TokenError, RefreshError) as error:
            state.refusal = error
            if isinstance(error, SessionEnded):
                django_session.flush_with(request._request, error.sid)
            return None
        except StoreUnavailable as error:
            raise refused(request, error) from error
        if caller is None:
            return None
        SessionAuthentication().enforce_csrf(request)
        state.by_cookie, state.caller = True, caller
        return let_in(request, caller)


def enforce_csrf(request: Request) -> None:
    """Demand Django's CSRF token, without the body being parsed by DRF.

    Checks Django's own request: DRF's would parse the body for a form field, and refuse a malformed one. Our
    views leave uploads unread there (``authx.http.bodies``).

    Raises:
        PermissionDenied: DRF's; the token is missing or wrong.
    """
    SessionAuthentication().enforce_csrf(request._request)  # type: ignore[arg-type]


@lru_cache(maxsize=1024)
def _reads_session(view: type) -> bool:
    """Return whether the session's whole row is read with the check, for a class of views.

    It says so, or is asynchronous, and could not read it later.
    """
    return bool(getattr(view, "reads_session", False) or getattr(view, "view_is_async", False))


@cache
def _admitter(store: str) -> Callable[..., Caller | TokenCaller]:
    """Return what admits the caller of a token where AUTHX_REVOCATION_STORE is ``store``.

    Imported late: a verify-only service has neither our tables nor our users.
    """
    if store == "remote":
        return _admit_without_session
    from authx.sessions.authentication import admit_token

    return admit_token


def _admit_without_session(access_token: str, *, reads_session: bool = False) -> TokenCaller:
    return TokenCaller(verify_access_token(access_token))


@sensitive_variables()
def _cookie_caller(request: Request) -> AnyCaller | None:
    """Return the caller by cookie; None where none was presented."""
    if conf.gate_policy.store != "remote":
        return _settler()(request._request)
    access_token = read_cookie(request._request, conf.ACCESS_COOKIE)
    return None if access_token is None else _admit_without_session(access_token)


@cache
def _settler() -> Callable[[HttpRequest], Caller | KnownCaller | None]:
    """Return ``cookie_caller``, imported late for the same reason."""
    from authx.identity.callers import cookie_caller

    return cookie_caller
