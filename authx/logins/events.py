"""Failed logins, refused logins and failed step-ups in the audit trail: enough to see an attack."""

from __future__ import annotations

import logging
from functools import partial

from django.http import HttpRequest

from authx import metrics
from authx.core.rates import Rate
from authx.http.actor import actor_of
from authx.http.client_address import client_network
from authx.http.door import door_of
from authx.models import DeviceSession, SessionEvent
from authx.sessions import audit
from authx.store import database
from authx.store.after_transaction import run_even_on_rollback
from authx.store.counters import count

logger = logging.getLogger("authx")

#: What metrics call each kind.
_OUTCOMES = {
    SessionEvent.Kind.LOGIN_FAILED: "failed",
    SessionEvent.Kind.LOGIN_LIMITED: "limited",
    SessionEvent.Kind.PROOF_FAILED: "proof_failed",
}
#: Limits on events of one kind: per account; for names of no account, per address and in total.
PER_ACCOUNT, PER_ADDRESS, OF_STRANGERS = Rate(10, 3600), Rate(10, 3600), Rate(100, 3600)


def record_failure(
    kind: SessionEvent.Kind,
    request: HttpRequest | None,
    subject: str | None,
    *,
    outcome: str = "",
    session: DeviceSession | None = None,
) -> None:
    """Record that somebody failed to sign in as ``subject``, or to prove that they are ``session``'s user.

    The name that was tried is not kept: people type passwords there. The event is written even if the
    request's transaction is rolled back; if it cannot be written, that is logged, and the refusal stands.
    """
    if metrics.is_on():
        metrics.LOGINS.count(door=door_of(request), outcome=_OUTCOMES[kind])
    if not _is_within_bounds(kind, request, subject):
        return

    def write() -> None:
        try:
            at, actor = database.database_now(), actor_of(request)
            append = partial(audit.record, kind, session, at=at, outcome=outcome, actor=actor)
            database.transact(partial(append, subject=subject or ""), attempts=1)
        except Exception:  # any error: refusing must not depend on it
            logger.exception("%s could not be recorded.", kind, extra={"event": "event_not_recorded"})

    run_even_on_rollback(write)


def _is_within_bounds(kind: SessionEvent.Kind, request: HttpRequest | None, subject: str | None) -> bool:
    """Return whether one more event may be written; False too while the cache cannot count."""
    purpose = f"event-{kind}"
    if subject is not None:
        return count(purpose, f"subject:{subject}", PER_ACCOUNT).is_within
    network = client_network(request) if request is not None else ""
    return (
        count(purpose, f"address:{network}", PER_ADDRESS).is_within
        and count(purpose, "strangers", OF_STRANGERS).is_within
    )
