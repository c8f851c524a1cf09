"""An open page: whether the session that its browser has now is live, and its user's.

Asking is no use of the session: nothing is renewed, spent, confirmed or seen.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from hmac import compare_digest
from typing import Final

from django.views.decorators.debug import sensitive_variables

from authx.conf import secret_keys
from authx.core.claims import AccessClaims
from authx.core.derivation import keyed_hash
from authx.core.ended import Ended
from authx.core.reasons import EndReason
from authx.core.refresh_token import read_refresh_token
from authx.errors import RefreshMalformed, TokenError
from authx.gate.verify import read_claims
from authx.models import DeviceSession
from authx.sessions.credentials import claims_of
from authx.sessions.liveness import end_of, ended_at
from authx.sessions.lookup import Snapshot, find_by_access_token, find_by_refresh_token

_HASH_LENGTH: Final = 32


#: The live session, or that there is none.
Answer = DeviceSession | Ended


def user_hash(session: DeviceSession) -> str:
    """Return what a page shows to ask about its own user alone: 32 hex characters that name nobody."""
    return _hashes(session)[0]


@sensitive_variables()
def ask(access_token: str | None, refresh_token: str | None, user: str = "") -> Answer:
    """Return the live session of a browser's cookies, or why it is not, or not that of ``user``.

    ``user`` is the ``user_hash`` in the page; ``""`` stands for anybody. Any refresh token that we have made
    is enough, however old. One statement.

    Raises:
        StoreUnavailable: it cannot be known.
    """
    found = _find(access_token, refresh_token)
    if found is None:
        return Ended()
    session = found.session
    if user and not any(compare_digest(user.encode(), each.encode()) for each in _hashes(session)):
        return Ended(EndReason.SUPERSEDED.value)
    reason = end_of(found)
    if reason is None:
        return session
    at = ended_at(session, reason, found.now)
    return Ended(reason, at, session.replaced_by, session.answers_lost)


def claims_until_limit(session: DeviceSession) -> AccessClaims:
    """Return claims by which a session can be watched until the earlier of its limits, in no token."""
    claims = claims_of(session, generation=session.generation, now=session.rotated_at, extra={})
    return replace(claims, exp=int(session.limit_at.timestamp()))


@sensitive_variables()
def _find(access_token: str | None, refresh_token: str | None) -> Snapshot | None:
    with suppress(RefreshMalformed):
        if refresh_token is not None:
            return find_by_refresh_token(read_refresh_token(refresh_token, secret_keys()))
    with suppress(TokenError):
        if access_token is not None:
            return find_by_access_token(read_claims(access_token))
    return None


def _hashes(session: DeviceSession) -> list[str]:
    """Return the hash under each of the site's secrets."""
    return [keyed_hash(secret, "open-page", session.subject)[:_HASH_LENGTH] for secret in secret_keys()]
