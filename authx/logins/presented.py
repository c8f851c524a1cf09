"""What a browser presents: its two session cookies, read once per request and without I/O."""

from __future__ import annotations

from dataclasses import dataclass

from django.http import HttpRequest
from django.views.decorators.debug import sensitive_variables

from authx.conf import secret_keys
from authx.core.claims import AccessClaims
from authx.core.refresh_token import RefreshClaims, read_refresh_token
from authx.errors import RefreshMalformed, TokenError
from authx.gate.verify import read_claims
from authx.http.cookies import session_cookies
from authx.http.request_state import is_swapped, request_state


@dataclass(frozen=True, slots=True)
class Presented:
    """The tokens in the session cookies; whether their sessions are alive has not been asked."""

    #: Whether one of the cookies was sent, whatever it is worth.
    is_sent: bool = False
    #: The claims of the access token, if it is a credential.
    access: AccessClaims | None = None
    #: Why the access token is none; None also where it belongs to another session than the refresh token.
    access_error: TokenError | None = None
    #: The content of the refresh token, if its signature is ours.
    refresh: RefreshClaims | None = None
    #: Why the refresh token is unusable; None if it may be usable, or if there is none.
    refresh_error: RefreshMalformed | None = None
    #: The claims of the access token, a credential or not.
    any_access: AccessClaims | None = None
    #: Whether the session is to be renewed before anybody is identified.
    is_due: bool = False


def presented_by(request: HttpRequest) -> Presented:
    """Return what the cookies of a request hold, read at the first call; nothing while it is swapped.

    Raises:
        StoreUnavailable: the keys that sign access tokens cannot be read.
    """
    if is_swapped(request):
        return Presented()
    state = request_state(request)
    if state.presented is None:
        state.presented = _read(request)
    presented: Presented = state.presented
    return presented


@sensitive_variables()
def _read(request: HttpRequest) -> Presented:
    sent = session_cookies(request)
    if sent is None:
        return Presented()
    access_token, refresh_token = sent
    refresh, refresh_error = _read_refresh_token(refresh_token)
    any_access, access_error = _read_access_token(access_token)
    access = any_access
    if access is not None and refresh is not None and access.sid != str(refresh.sid):
        access = None  # two sessions in one jar: the one that can go on counts
    is_due = access is None and refresh_token is not None
    return Presented(True, access, access_error, refresh, refresh_error, any_access, is_due)


@sensitive_variables()
def _read_access_token(token: str | None) -> tuple[AccessClaims | None, TokenError | None]:
    try:
        return (None, None) if token is None else (read_claims(token), None)
    except TokenError as error:
        return None, error


@sensitive_variables()
def _read_refresh_token(token: str | None) -> tuple[RefreshClaims | None, RefreshMalformed | None]:
    try:
        return (None, None) if token is None else (read_refresh_token(token, secret_keys()), None)
    except RefreshMalformed as error:
        return None, error
