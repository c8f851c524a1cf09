"""The caller with a valid access token: known by its claims, read from the database when needed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import cache
from typing import Any

from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError

from authx.core.claims import AccessClaims
from authx.errors import TokenMalformed
from authx.gate.principal import Principal
from authx.gate.verify import check_grant, ensure_live
from authx.models import DeviceSession
from authx.sessions.activity import record_confirmation, record_use, uses
from authx.sessions.known_user import KnownUser
from authx.sessions.liveness import find_live
from authx.sessions.lookup import Snapshot


class Caller:
    """The claims of a token that has just been verified, and the session and user behind them."""

    def __init__(self, claims: AccessClaims, found: Snapshot | None = None) -> None:
        """Hold the live session too, if the check has read it."""
        self.claims = claims
        self._found = found

    @property
    def is_read(self) -> bool:
        """Return whether the row has been read."""
        return self._found is not None

    @property
    def session(self) -> DeviceSession:
        """Return the live row with its user; read once, in one statement, if the check did not read it.

        Raises:
            SessionEnded: it has ended after all, or its user may not use it any more.
            StoreUnavailable: the database cannot be read.
        """
        if self._found is None:
            self._found = find_live(self.claims, delegated=self.claims.is_delegated)
        return self._found.session

    def user(self, wrapped: Callable[[Callable[[], Any]], Any] = lambda read: read()) -> Any:
        """Return the user; if the row was not read, a lazy one that is read when it is used.

        Its key is read too if the token does not hold it. ``wrapped`` calls the reading, and may translate
        its errors. A service that acts for itself has no user: a ``Principal`` without permissions stands for
        it.
        """
        if self.claims.is_of_a_service:
            return Principal(self.claims)
        if self._found is not None:
            return self._found.session.user
        key = None if self.claims.opaque else _key(self.claims.sub)
        return KnownUser(key, lambda: wrapped(lambda: self.session.user))

    def record_use(self) -> None:
        """Record that the client used the token (T2, last seen)."""
        if self._found is not None:
            record_use(self._found.session, self.claims, now=self._found.now)
        else:
            uses.record(self.claims)


class KnownCaller:
    """The caller whom the middleware has identified: the session has been judged in this request."""

    is_read = True

    def __init__(self, claims: AccessClaims, session: DeviceSession, user: Any) -> None:
        """Hold the user whom the pages know: under an impersonation, not the session's own."""
        self.claims = claims
        self.session = session
        self._user = user

    def user(self, wrapped: Any = None) -> Any:
        """Return the user; ``wrapped`` is not needed, as nothing has to be read."""
        return self._user

    def record_use(self) -> None:
        """Do nothing: that has been recorded, or the client has not got the token of these claims yet."""


def admit(claims: AccessClaims, *, delegated: bool = False, now: datetime | None = None) -> Caller:
    """Return the caller of a token that has been read, if its session is live for AUTHX_REVOCATION_STORE.

    ``delegated``: of a client's token, and of no other; see ``read_claims``.

    Raises:
        TokenError: see ``ensure_live``; SessionEnded says why.
        StoreUnavailable: whether the session is alive cannot be known.
    """
    check_grant(claims, delegated=delegated)
    return Caller(claims, ensure_live(claims, now=now).snapshot)


def admit_exactly(claims: AccessClaims, *, delegated: bool = False, now: datetime | None = None) -> Caller:
    """Return the caller of a token that has been read, if its session is live in the database.

    For what lives long, such as a socket: no copy is asked. The token is confirmed (T2), nobody is seen.
    One statement, and one more where the token is used for the first time.

    Raises:
        TokenError: see ``find_live``; SessionEnded says why.
        StoreUnavailable: the database cannot be asked.
    """
    found = find_live(claims, delegated=delegated, now=now)
    record_confirmation(found.session, claims)
    return Caller(claims, found)


def _key(subject: str) -> Any:
    try:
        return _key_of_subject()(subject)
    except ValidationError:
        raise TokenMalformed("its subject is no key of a user") from None


@cache
def _key_of_subject() -> Callable[[str], Any]:
    to_python: Callable[[str], Any] = get_user_model()._meta.pk.to_python
    return to_python
