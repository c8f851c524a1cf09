"""The caller with a valid access token: known by its claims, read from the database when needed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import cache, lru_cache
from typing import Any

from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError

from authx.conf import conf
from authx.core.claims import AccessClaims
from authx.core.reasons import EndReason
from authx.errors import SessionEnded, TokenMalformed
from authx.gate.principal import Principal
from authx.gate.verify import approve, check_grant, ensure_live, plainly_good, read_before, read_claims
from authx.models import DeviceSession
from authx.sessions.activity import record_confirmation, record_use, uses
from authx.sessions.known_user import KnownUser
from authx.sessions.live_lookup import LiveSession
from authx.sessions.liveness import DatabaseSource, find_live
from authx.sessions.lookup import Snapshot, find_by_sid, sid_of
from authx.store import database


class Caller:
    """The claims of a token that has just been verified, and the session and user behind them."""

    __slots__ = ("_database", "_found", "claims")

    def __init__(
        self,
        claims: AccessClaims,
        found: Snapshot | LiveSession | None = None,
        *,
        alias: str | None = None,
    ) -> None:
        """Hold what the check has read of the live session too, if anything.

        ``alias`` is the present ``database.alias``, where that is known.
        """
        self.claims = claims
        self._found = found
        #: Where the row is to be read, perhaps when the request is out of the site's router's sight.
        self._database = "" if found is not None else alias or database.alias()

    @property
    def is_read(self) -> bool:
        """Return whether the session's row has been judged: then it is not judged again in this request."""
        return self._found is not None

    @property
    def session(self) -> DeviceSession:
        """Return the row with its user; read once, in one statement, if the check did not read it.

        Raises:
            SessionEnded: it was not judged before, and has ended after all, or its user may not use it any
                more; or it has been deleted since.
            StoreUnavailable: the database cannot be read.
        """
        if isinstance(self._found, LiveSession):
            self._found = _whole(self._found, self.claims)
        if self._found is None:
            with database.pinned(self._database):
                self._found = find_live(self.claims, delegated=self.claims.is_delegated)
        return self._found.session

    def keep(self, found: Snapshot) -> None:
        """Keep a row that was read, and judged, otherwise."""
        self._found = found

    def user(self, read: Callable[[], Any] | None = None) -> Any:
        """Return the user; if the row was not read, a lazy one that is read when it is used.

        Its key is read too if the token does not hold it. ``read`` does that in place of ``read_user``, and
        may translate its errors. A service that acts for itself has no user: a ``Principal`` without
        permissions stands for it.
        """
        claims, found = self.claims, self._found
        if claims.gty is not None and claims.is_of_a_service:  # a field first: most are no client's
            return Principal(claims)
        if found is not None:
            return found.user if isinstance(found, LiveSession) else found.session.user
        return KnownUser(self._user_key(), read or self.read_user)

    def nameless_user(self) -> Any:
        """Return a user of whom nothing is known but the key, if the token holds it."""
        return get_user_model()(pk=self._user_key())

    def _user_key(self) -> Any:
        return None if self.claims.opaque else _key(self.claims.sub)

    def read_user(self) -> Any:
        """Return the user of ``session``, raising as that does."""
        return self.session.user

    def record_use(self) -> None:
        """Record that the client used the token (T2, last seen)."""
        found = self._found
        if found is None:
            uses.record(self.claims)
        elif isinstance(found, LiveSession):
            found.record_use(self.claims)
        else:
            record_use(found.session, self.claims, now=found.now)


class KnownCaller:
    """The caller whom the middleware has identified: the session has been judged in this request."""

    is_read = True

    def __init__(self, claims: AccessClaims, session: DeviceSession, user: Any) -> None:
        """Hold the user whom the pages know: under an impersonation, not the session's own."""
        self.claims = claims
        self.session = session
        self._user = user

    def user(self, read: Any = None) -> Any:
        """Return the user; ``read`` is not needed, as nothing has to be read."""
        return self._user

    def record_use(self) -> None:
        """Do nothing: that has been recorded, or the client has not got the token of these claims yet."""


def admit(
    claims: AccessClaims,
    *,
    delegated: bool = False,
    reads_session: bool = True,
    now: datetime | None = None,
) -> Caller:
    """Return the caller of a token that has been read, if its session is live for AUTHX_REVOCATION_STORE.

    ``delegated``: of a client's token, and of no other; see ``read_claims``. ``reads_session``: where the
    database is asked, the session's whole row is read with it; without that, when somebody asks for it.

    Raises:
        TokenError: see ``ensure_live``; SessionEnded says why.
        StoreUnavailable: whether the session is alive cannot be known.
    """
    if (claims.gty is not None) is not delegated:
        check_grant(claims, delegated=delegated)
    source = DatabaseSource() if reads_session and conf.gate_policy.asks_database else None
    return Caller(claims, ensure_live(claims, source, now=now).snapshot)


def admit_token(access_token: str, *, reads_session: bool = True) -> Caller:
    """Return the caller of a login's access token, read and admitted as by ``admit``.

    Hides nothing in error reports: the authentication class that calls it does.

    Raises:
        TokenError: see ``verify_access_token``; SessionEnded says why.
        StoreUnavailable: whether the session is alive cannot be known.
    """
    policy, alias = conf.gate_policy, database.alias()
    if policy.asks_copy:
        if (claims := plainly_good(access_token, alias)) is not None:
            return Caller(claims, alias=alias)
    elif (claims := read_before(access_token, alias)) is not None:
        return admit(claims, reads_session=reads_session)
    caller = admit(read_claims(access_token), reads_session=reads_session)
    approve(access_token, policy)
    return caller


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


def _whole(found: LiveSession, claims: AccessClaims) -> Snapshot:
    """Return the whole row of a session that was judged in this request, with the user who is known.

    Raises:
        SessionEnded: it has been deleted since.
        StoreUnavailable: the database cannot be read.
    """
    sid = sid_of(claims)
    with database.pinned(found.database):
        whole = find_by_sid(sid, client_id=None)
    if whole is None:
        raise SessionEnded(EndReason.EXPIRED, sid=sid)
    if whole.session.user_id == found.user.pk:
        whole.session.user = found.user
    return whole


@lru_cache(maxsize=4096)
def _key(subject: str) -> Any:
    try:
        return _key_of_subject()(subject)
    except ValidationError:
        raise TokenMalformed("its subject is no key of a user") from None


@cache
def _key_of_subject() -> Callable[[str], Any]:
    to_python: Callable[[str], Any] = get_user_model()._meta.pk.to_python
    return to_python
