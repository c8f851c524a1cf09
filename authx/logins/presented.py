"""What a browser presents: its two session cookies, each read once per request."""

from __future__ import annotations

from dataclasses import dataclass, field
from uuid import UUID

from django.http import HttpRequest
from django.views.decorators.debug import sensitive_variables

from authx.conf import conf, secret_keys
from authx.core.claims import AccessClaims
from authx.core.refresh_token import RefreshClaims, names_session, read_refresh_token
from authx.errors import RefreshMalformed, TokenError, TokenExpired
from authx.gate.verify import is_key_at_hand, read_claims
from authx.http.cookies import has_credentials, is_sent, session_cookies
from authx.http.request_state import unswapped_state

#: What an access token holds, or why it is unusable; both None where there is none.
_Access = tuple[AccessClaims | None, TokenError | None]
#: The same of a refresh token.
_Refresh = tuple[RefreshClaims | None, RefreshMalformed | None]


@dataclass(slots=True)
class Presented:
    """The tokens in the session cookies; whether their sessions are alive has not been asked.

    Each is read at the first use of what it holds. The access token may need the managed signing keys, which
    are in the database: where the refresh token is enough, an outage of theirs does not matter. And where the
    access token counts, most pages have no use for the other.
    """

    #: Whether one of the cookies was sent, whatever it is worth.
    is_sent: bool = False
    _access_token: str | None = field(default=None, repr=False)
    _refresh_token: str | None = field(default=None, repr=False)
    _access_read: _Access | None = field(default=None, init=False, repr=False, compare=False)
    _refresh_read: _Refresh | None = field(default=None, init=False, repr=False, compare=False)

    @property
    def access(self) -> AccessClaims | None:
        """Return the claims of the access token, if it is a credential.

        Raises:
            StoreUnavailable: the keys that sign access tokens cannot be read.
        """
        claims, _error = self._access_read or self._read_access_token()
        if claims is None or self._is_beside(claims):
            return claims
        # Two sessions in one jar: the one that can go on counts.
        return claims if self.refresh is None else None

    @property
    def any_access(self) -> AccessClaims | None:
        """Return the claims of the access token, a credential or not; raises as ``access`` does."""
        claims, _error = self._access_read or self._read_access_token()
        return claims

    @property
    def access_error(self) -> TokenError | None:
        """Return why the access token is unusable; raises as ``access`` does.

        None where there is none, and where it belongs to another session than the refresh token.
        """
        _claims, error = self._access_read or self._read_access_token()
        return error

    @property
    def refresh(self) -> RefreshClaims | None:
        """Return the content of the refresh token, if its signature is ours."""
        claims, _error = self._refresh_read or self._read_refresh_token()
        return claims

    @property
    def refresh_error(self) -> RefreshMalformed | None:
        """Return why the refresh token is unusable; None if it may be usable, or if there is none."""
        _claims, error = self._refresh_read or self._read_refresh_token()
        return error

    @property
    def is_at_hand(self) -> bool:
        """Return whether nothing outside this process is asked to tell what the access token is worth."""
        if self._access_token is None or self._access_read is not None:
            return True
        return is_key_at_hand(self._access_token)

    @property
    def is_due(self) -> bool:
        """Return whether to renew the session before anybody is identified; raises as ``access`` does."""
        return self._refresh_token is not None and self.access is None

    @property
    def lasting(self) -> AccessClaims | None:
        """Return the claims of an access token beside which nothing is due until it expires.

        None also without a refresh token, where nothing is ever due. Raises as ``access`` does.
        """
        claims = None if self._refresh_token is None else self.access
        return claims if claims is not None and self._is_beside(claims) else None

    def _is_beside(self, claims: AccessClaims) -> bool:
        """Return whether the refresh token, if there is one, is of the session of these claims."""
        return self._refresh_token is None or names_session(self._refresh_token, claims.sid)

    @sensitive_variables()
    def _read_access_token(self) -> _Access:
        try:
            claims = None if self._access_token is None else read_claims(self._access_token)
            self._access_read = claims, None
        except TokenError as error:
            self._access_read = None, error
        return self._access_read

    @sensitive_variables()
    def _read_refresh_token(self) -> _Refresh:
        try:
            has_one = self._refresh_token is not None
            claims = read_refresh_token(self._refresh_token, secret_keys()) if has_one else None
            self._refresh_read = claims, None
        except RefreshMalformed as error:
            self._refresh_read = None, error
        return self._refresh_read


def presented_by(request: HttpRequest) -> Presented:
    """Return what the session cookies of a request hold, the same object each time; none while swapped."""
    state = unswapped_state(request)
    if state is None:
        return Presented()
    if state.presented is None:
        sent = session_cookies(request)
        state.presented = Presented() if sent is None else Presented(True, *sent)
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
