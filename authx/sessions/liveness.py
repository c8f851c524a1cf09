"""Whether a session is alive, and what its user's own state says about it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.views.decorators.debug import sensitive_variables

from authx.core.actor import NOBODY
from authx.core.claims import AccessClaims
from authx.core.liveness import Liveness
from authx.core.reasons import EXPIRIES, EndReason
from authx.errors import KeyUnknown, TokenMalformed
from authx.gate.verify import check_grant, ensure_live, read_claims
from authx.models import DeviceSession
from authx.sessions.ending import end_session
from authx.sessions.live_lookup import LiveSession, find_live_session
from authx.sessions.login_backend import accepts
from authx.sessions.lookup import Snapshot, find_by_access_token, is_issued_in, sid_of
from authx.sessions.password_fingerprint import has_fingerprint
from authx.store.after_transaction import run_even_on_rollback


def user_end(session: DeviceSession | LiveSession) -> str | None:
    """Return why the user's own state ends ``session``, or None (its user must have just been read).

    Raises:
        StoreUnavailable: the backend that signed the user in has failed.
    """
    user: Any = session.user
    if user is None and session.is_of_a_service:
        return None  # a disabled client's sessions are ended when it is disabled
    if user is None:
        return EndReason.USER_DELETED.value
    if not accepts(session.backend, user):
        return EndReason.USER_DISABLED.value
    if not has_fingerprint(user, session.fingerprint):
        return EndReason.PASSWORD_CHANGED.value
    return None


def end_of(found: Snapshot, now: datetime | None = None) -> str | None:
    """Return why a session just found is over; None while it is live. All entry points ask this function.

    Judged by the database's clock when it was read, or by ``now``. If the user's own state has ended it, that
    is recorded, even if the request's transaction is rolled back.

    Raises:
        StoreUnavailable: the backend that signed its user in has failed.
    """
    session = found.session
    reason = session.ended_reason(now or found.now)
    if reason is None and (reason := user_end(session)):
        _record_end(session, reason, now)
    return reason


def ended_at(session: DeviceSession, reason: str, now: datetime) -> datetime:
    """Return when a session that is over for ``reason`` ended: ``now``, where that has just been noticed."""
    if reason in EXPIRIES:
        return session.limit_at
    end = session.recorded_end()
    return now if end is None else end.at


class DatabaseSource:
    """The truth: session, user and the database's clock, in one statement."""

    def answer(self, claims: AccessClaims, now: datetime | None) -> Liveness:
        """Return the answer with the ``Snapshot`` of the session; without one where it was pruned long ago.

        Raises:
            KeyUnknown: the key of the token has been withdrawn.
            TokenMalformed: there never was such a session, or it is another subject's.
            StoreUnavailable: the database cannot be asked.
        """
        found = find_by_access_token(claims)
        if found is None:
            return Liveness(EndReason.EXPIRED.value)
        if found.has_withdrawn_key:
            raise KeyUnknown("the token's key has been withdrawn")
        if found.session.subject != claims.sub:
            raise TokenMalformed("its session belongs to another subject")
        session, reason = found.session, end_of(found, now)
        at = None if reason is None else ended_at(session, reason, now or found.now)
        return Liveness(reason, found, session.replaced_by, session.answers_lost, at)


class LiveSource(DatabaseSource):
    """The same truth, with a ``LiveSession`` for a session that is live: its statement reads little else."""

    def answer(self, claims: AccessClaims, now: datetime | None) -> Liveness:
        """Return the answer with a ``LiveSession``, or with a ``Snapshot`` as ``DatabaseSource`` does.

        One statement where the session is live; one more says why it is not. That judges also at a given
        ``now``, and what belongs to no user.
        """
        if now is None and not (claims.is_delegated and claims.is_of_a_service):
            found = find_live_session(claims, sid_of(claims))
            if found is not None and _is_used_by(claims, found):
                return Liveness(None, found)
        return super().answer(claims, now)


def _is_used_by(claims: AccessClaims, found: LiveSession) -> bool:
    """Return whether this is the session of the token, and its user may still use it."""
    if found.subject != claims.sub or not is_issued_in(claims, found.client_id):
        return False
    return user_end(found) is None


def _record_end(session: DeviceSession, reason: str, now: datetime | None) -> None:
    """Record at this read what the user's state has ended: a bulk update sent no signal."""
    run_even_on_rollback(lambda: end_session(session, reason, NOBODY, now=now))


@sensitive_variables("access_token")
def recognize(access_token: object, *, now: datetime | None = None) -> DeviceSession:
    """Return the live session of an access token, with its user: gate, row and user in one statement.

    Raises:
        TokenError: see ``verify_access_token``; SessionEnded says why.
        StoreUnavailable: the database cannot be read.
    """
    return find_live(read_claims(access_token, now=now), now=now).session


def find_live(claims: AccessClaims, *, delegated: bool = False, now: datetime | None = None) -> Snapshot:
    """Return the live session, with its user, of a token that has been read already. One statement.

    ``delegated``: of a client's token, and of no other; see ``read_claims``.

    Raises:
        SessionEnded: it is over; the error says why.
        KeyUnknown: the key of the token has been withdrawn.
        TokenMalformed: there never was such a session, it is another subject's, or a client's.
        StoreUnavailable: the database cannot be asked.
    """
    check_grant(claims, delegated=delegated)
    found: Snapshot = ensure_live(claims, DatabaseSource(), now=now).snapshot
    return found
