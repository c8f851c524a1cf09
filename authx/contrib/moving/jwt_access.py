"""Access tokens of djangorestframework-simplejwt for a while, and what its clients expect to read.

They cannot be listed or ended one by one, so whatever ends anything of their user ends them: the next refresh
at the old path brings a token of ours, if it brings any.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from django.http.request import HttpHeaders
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_variables
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework_simplejwt.authentication import JWTAuthentication
from rest_framework_simplejwt.exceptions import InvalidToken
from rest_framework_simplejwt.settings import api_settings as jwt_settings

from authx.api.admitting import let_in, or_refuse
from authx.api.exceptions import Unavailable
from authx.conf import secret_keys
from authx.contrib.moving.endings import ended_since
from authx.contrib.moving.jwt_claims import UNUSABLE, has_usable_names, issued_at
from authx.contrib.moving.jwt_refresh import OldRefreshToken, known_by_claim
from authx.contrib.moving.once import is_over, moved_session
from authx.core.access_token import is_access_token
from authx.core.refresh_token import read_refresh_token
from authx.errors import RefreshMalformed, SessionEnded, StoreUnavailable, TokenError
from authx.gate.verify import read_claims, verify_access_token
from authx.http.renewal import has_bearer
from authx.http.request_state import request_state
from authx.sessions.authentication import admit
from authx.sessions.liveness import end_of
from authx.sessions.lookup import find_by_refresh_token
from authx.store import database

#: The word by which clients of that package know that it is time to refresh.
_NOT_VALID: Final = "token_not_valid"


class Judged:
    """A mixin for that package's authentication: an old access token, or one of ours under an old scheme."""

    @sensitive_variables()
    def authenticate(self, request: Request) -> tuple[Any, Any] | None:
        """Return the user and the token; None for a token that ``BearerAuthentication`` reads."""
        kind: Any = self
        if (text := _ours(kind, request)) is not None:
            if has_bearer(request._request):
                return None
            state = request_state(request._request)
            state.identity_header = HttpHeaders.parse_header_name(jwt_settings.AUTH_HEADER_NAME)
            state.caller = or_refuse(request, lambda: admit(read_claims(text)))
            return let_in(request, state.caller)
        return super().authenticate(request)  # type: ignore[misc,no-any-return]

    def get_validated_token(self, raw_token: bytes) -> Any:
        """Return an old token that is good as far as it says itself.

        Raises:
            InvalidToken: it is not, or AUTHX_MOVING_UNTIL has passed.
        """
        if is_over():
            raise InvalidToken({"detail": _("Tokens of this kind are no longer taken.")})
        try:
            token = super().get_validated_token(raw_token)  # type: ignore[misc]
        except UNUSABLE as error:
            raise _unusable() from error
        if not has_usable_names(token):
            raise _unusable()
        return token

    def get_user(self, validated_token: Any) -> Any:
        """Return its user, if nothing has been ended since it was issued.

        Raises:
            InvalidToken: something has.
            Unavailable: that cannot be known.
        """
        try:
            with database.store_errors():
                user = super().get_user(validated_token)  # type: ignore[misc]
                since = issued_at(validated_token)
                reason = ended_since(user, since, by_session=True, but=known_by_claim())
        except StoreUnavailable as error:
            raise Unavailable from error
        except UNUSABLE as error:  # of a key that no user of this site can have
            raise _unusable() from error
        if reason is not None:
            raise InvalidToken({"detail": _("Ended since it was issued."), "reason": reason})
        return user


class SimpleJWTAuthentication(Judged, JWTAuthentication):
    """Old access tokens until AUTHX_MOVING_UNTIL; behind ours in DEFAULT_AUTHENTICATION_CLASSES."""


def _unusable() -> InvalidToken:
    return InvalidToken({"detail": _("Invalid token.")})


@sensitive_variables()
def _ours(authentication: JWTAuthentication, request: Request) -> str | None:
    header = authentication.get_header(request)
    raw = None if header is None else authentication.get_raw_token(header)
    text = "" if raw is None else raw.decode("latin-1")
    return text if is_access_token(text) else None


@sensitive_variables()
def is_good(token: object) -> bool:
    """Return whether a token, of either package, is good now.

    Raises:
        StoreUnavailable: that cannot be known.
    """
    if not isinstance(token, str):
        return False
    try:
        if is_access_token(token):
            verify_access_token(token)
            return True
        found = find_by_refresh_token(read_refresh_token(token, secret_keys()))
        return end_of(found) is None
    except RefreshMalformed:
        return _is_good_old(token)
    except (TokenError, SessionEnded):
        return False


@sensitive_variables()
def _is_good_old(token: str) -> bool:
    judge = SimpleJWTAuthentication()
    try:
        judge.get_user(judge.get_validated_token(token.encode("utf-8", "surrogatepass")))
    except Unavailable as error:
        raise StoreUnavailable("the database cannot be asked") from error
    except Exception as error:
        if not isinstance(error, InvalidToken):
            raise
        return _is_good_old_refresh_token(token)
    return True


@sensitive_variables()
def _is_good_old_refresh_token(token: str) -> bool:
    """Return whether it is good for a session, or has become one that lives on."""
    try:
        old = OldRefreshToken(token)
        if is_over():
            return False
        if (found := moved_session(old.mark)) is not None:
            return end_of(found) is None
        old.admit()
    except (RefreshMalformed, SessionEnded):
        return False
    return True


def exception_handler(exc: Exception, context: Mapping[str, Any]) -> Response | None:
    """Answer as ``authx.api.exception_handler``, with that package's word for a token that is over.

    Its clients refresh where they read ``token_not_valid`` as ``code``; ours is then in ``authx_code``.
    """
    from authx.api.handler import handle

    response = handle(exc, dict(context))
    if response is not None and response.status_code == 401 and isinstance(response.data, dict):
        code = str(response.data.get("code", ""))
        if code.startswith(("token_", "session_", "key_")) and code != _NOT_VALID:
            response.data |= {"code": _NOT_VALID, "authx_code": code}
    return response
