"""Whether a session is alive, and what its user's own state says about it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import datetime
from typing import Any
from uuid import UUID

from django.contrib.auth.base_user import AbstractBaseUser
from django.utils.crypto import constant_time_compare
from django.views.decorators.debug import sensitive_variables

from authx.core.claims import AccessClaims
from authx.errors import KeyUnknown, SessionEnded, TokenMalformed
from authx.gate import verify_access_token
from authx.models import DeviceSession, EndReason
from authx.sessions.reading import read, read_session
from authx.store import database


def fingerprint(user: AbstractBaseUser) -> str:
    """Return SHA-256 hex of the user's session auth hash: changes with the password, does not reveal it."""
    return fingerprint_of(user.get_session_auth_hash())


def fingerprint_of(auth_hash: str) -> str:
    """Return the fingerprint of a session auth hash, such as Django keeps in its sessions."""
    return hashlib.sha256(auth_hash.encode()).hexdigest()


def has_fingerprint(user: AbstractBaseUser, stored: str) -> bool:
    """Return whether ``stored`` was taken from the user's current password, also under a fallback key."""
    return any(constant_time_compare(stored, fingerprint_of(found)) for found in _auth_hashes(user))


def _auth_hashes(user: AbstractBaseUser) -> Iterator[str]:
    yield user.get_session_auth_hash()
    yield from user.get_session_auth_fallback_hash()


def user_end(session: DeviceSession) -> str | None:
    """Return why the user's own state ends ``session``, or None (its user must be loaded)."""
    user: Any = session.user
    if user is None:
        return EndReason.USER_DELETED.value
    if not user.is_active:
        return EndReason.USER_DISABLED.value
    if not has_fingerprint(user, session.fingerprint):
        return EndReason.PASSWORD_CHANGED.value
    return None


def end_of(session: DeviceSession, now: datetime | None = None) -> str | None:
    """Return why a session just read is over; None while it is live. All entry points ask this function.

    Judged by the database's clock when it was read, or by ``now``; its user must be loaded. If the user's own
    state has ended it, that is recorded, even if the request's transaction is rolled back.
    """
    reason = session.ended_reason(now or session.database_now)
    if reason is None and (reason := user_end(session)):
        _write_down(session, reason, now)
    return reason


class DatabaseSource:
    """A revocation source that reads session, user and the database's clock in one statement; keeps them."""

    def __init__(self) -> None:
        self.session: DeviceSession | None = None

    def end_reason(self, claims: AccessClaims, now: datetime | None) -> str | None:
        found = read(_uuid(claims.sid), kid=claims.kid)
        if found is None:
            return EndReason.EXPIRED.value  # pruned long after it ended
        session = found.session
        if found.has_withdrawn_key:
            raise KeyUnknown("the token's key has been withdrawn")
        if session.subject != claims.sub:
            raise TokenMalformed("its session belongs to another subject")
        self.session = session
        return end_of(session, now)


def _uuid(sid: str) -> UUID:
    try:
        return UUID(sid)
    except ValueError:
        raise TokenMalformed("its sid is not one of ours") from None


def _write_down(session: DeviceSession, reason: str, now: datetime | None) -> None:
    """Record at this read what the user's state has ended: a bulk update sent no signal."""
    from authx.sessions.ending import end_session

    database.run_even_on_rollback(lambda: end_session(session, reason, now=now))


@sensitive_variables("access_token")
def recognize(access_token: object, *, now: datetime | None = None) -> DeviceSession:
    """Verify an access token and return its live session, with its user, in one statement.

    ``session.access_claims`` holds the token's claims.

    Raises:
        TokenError: see ``verify_access_token``; SessionEnded says why.
        StoreUnavailable: the database cannot be read.
    """
    source = DatabaseSource()
    try:
        claims = verify_access_token(access_token, store=source, now=now)
    except SessionEnded as error:
        if source.session is not None:
            error.sid, error.replaced_by = source.session.pk, source.session.replaced_by
        raise
    session = source.session
    if session is None:  # a store that reads no rows
        raise SessionEnded(EndReason.EXPIRED.value)
    session.access_claims = claims
    return session


def read_again(session: DeviceSession) -> DeviceSession | None:
    """Return the session as it is now, live or ended, with its user; None if it is not there."""
    return read_session(session.pk)


def is_current(session: DeviceSession, claims: AccessClaims) -> bool:
    """Return whether the session is live and has issued no token since ``claims``. One statement."""
    found = read_again(session)
    return found is not None and end_of(found) is None and found.generation == claims.gen
