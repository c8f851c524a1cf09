"""What a browser presents: its two session cookies, each read once per request."""

from __future__ import annotations

from dataclasses import dataclass, field
from uuid import UUID

from django.http import HttpRequest
from django.views.decorators.debug import sensitive_variables

from authx.conf import conf, secret_keys
from authx.core.claims import AccessClaims
from authx.core.refresh_token import RefreshClaims, read_refresh_token
from authx.errors import RefreshMalformed, TokenError, TokenExpired
from authx.gate.verify import read_claims
from authx.http.cookies import has_credentials, is_sent, session_cookies
from authx.http.request_state import unswapped_state

#: What an access token holds, or why it is unusable; both None where there is none.
_Access = tuple[AccessClaims | None, TokenError | None]


@dataclass(slots=True)
class Presented:
    """The tokens in the session cookies; whether their sessions are alive has not been asked.

    The access token is read at the first use of what it holds: that may need the managed signing keys, which
    are in the database. Where the refresh token is enough, an outage of theirs does not matter.
    """

    #: Whether one of the cookies was sent, whatever it is worth.
    is_sent: bool = False
    #: The content of the refresh token, if its signature is ours.
    refresh: RefreshClaims | None = None
    #: Why the refresh token is unusable; None if it may be usable, or if there is none.
    refresh_error: RefreshMalformed | None = None
    _access_token: str | None = field(default=None, repr=False)
    _access_read: _Access | None = field(default=None, init=False, repr=False, compare=False)

    @property
    def access(self) -> AccessClaims | None:
        """Return the claims of the access token, if it is a credential.

        Raises:
            StoreUnavailable: the keys that sign access tokens cannot be read.
        """
        claims = self.any_access
        if claims is not None and self.refresh is not None and claims.sid != str(self.refresh.sid):
            return None  # two sessions in one jar: the one that can go on counts
        return claims

    @property
    def any_access(self) -> AccessClaims | None:
        """Return the claims of the access token, a credential or not; raises as ``access`` does."""
        claims, _error = self._read_access_token()
        return claims

    @property
    def access_error(self) -> TokenError | None:
        """Return why the access token is unusable; raises as ``access`` does.

        None where there is none, and where it belongs to another session than the refresh token.
        """
        _claims, error = self._read_access_token()
        return error

    @property
    def is_due(self) -> bool:
        """Return whether to renew the session before anybody is identified; raises as ``access`` does."""
        has_refresh_token = self.refresh is not None or self.refresh_error is not None
        return has_refresh_token and self.access is None

    @sensitive_variables()
    def _read_access_token(self) -> _Access:
        if self._access_read is None:
            token = self._access_token
            try:
                self._access_read = (None, None) if token is None else (read_claims(token), None)
            except TokenError as error:
                self._access_read = None, error
        return self._access_read


def presented_by(request: HttpRequest) -> Presented:
    """Return what the session cookies of a request hold, the same object each time; none while swapped."""
    state = unswapped_state(request)
    if state is None:
        return Presented()
    if state.presented is None:
        state.presented = _read(session_cookies(request))
    presented: Presented = state.presented
    return presented


def is_in_cookies(request: HttpRequest, sid: UUID) -> bool:
    """Return whether the browser keeps the refresh token of session ``sid`` in a cookie."""
    refresh = presented_by(request).refresh
    return refresh is not None and refresh.sid == sid


def holds_ours(request: HttpRequest) -> bool:
    """Return whether the browser keeps a session cookie that may be ours; raises as ``cookies_of_others``."""
    names = {name for name in (conf.ACCESS_COOKIE, conf.REFRESH_COOKIE) if is_sent(request, name)}
    return has_credentials(request) and not names <= cookies_of_others(request)


def cookies_of_others(request: HttpRequest) -> set[str]:
    """Return the names of its session cookies that are not ours, such as those of a site on another port.

    With our refresh cookie the access cookie beside it is taken for ours, unread: that may need the managed
    signing keys.

    Raises:
        StoreUnavailable: the keys that sign access tokens cannot be read.
    """
    presented, found = presented_by(request), set()
    if presented.refresh_error is not None:
        found.add(conf.REFRESH_COOKIE)
    if presented.refresh is None and not isinstance(presented.access_error, TokenExpired | None):
        found.add(conf.ACCESS_COOKIE)
    return found


@sensitive_variables()
def _read(sent: tuple[str | None, str | None] | None) -> Presented:
    if sent is None:
        return Presented()
    access_token, refresh_token = sent
    refresh, error = _read_refresh_token(refresh_token)
    return Presented(True, refresh, error, access_token)


@sensitive_variables()
def _read_refresh_token(token: str | None) -> tuple[RefreshClaims | None, RefreshMalformed | None]:
    try:
        return (None, None) if token is None else (read_refresh_token(token, secret_keys()), None)
    except RefreshMalformed as error:
        return None, error
