"""Token exchange: a service that was called for a user calls another one, with less (RFC 8693).

The rules are those of ``authx.core.exchange``. Here their material is read, and their refusals are recorded.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from hashlib import sha256
from typing import Final

from django.utils import timezone
from django.views.decorators.debug import sensitive_variables

from authx.conf import conf
from authx.core.access_token import write_access_token
from authx.core.actor import NOBODY, Actor
from authx.core.claims import AccessClaims
from authx.core.exchange import exchanged_claims, judge_exchange
from authx.core.exchange_request import ExchangeRequest, read_exchange
from authx.core.exchange_rules import requester_rules
from authx.core.oauth_client import ClientFacts
from authx.errors import KeyUnknown, OAuthError, TokenError
from authx.gate.keys import keyring
from authx.gate.verify import read_anybodys_claims
from authx.models import DeviceSession, ServiceClient, SessionEvent
from authx.sessions import audit
from authx.sessions.client_facts import facts_of
from authx.sessions.clients_together import Together, read_together
from authx.sessions.liveness import DatabaseSource
from authx.sessions.service_tokens import service_lifetime
from authx.store import counters, database
from authx.store.after_transaction import run_even_on_rollback

#: Seconds in which the same refusal of the same client is recorded once: it may ask for every request.
_REPEATED: Final = 60


@dataclass(slots=True)
class _Attempt:
    """One exchange under way, as far as a refusal has to tell of it."""

    client: ServiceClient
    actor: Actor
    now: datetime
    known: Together | None
    #: The subject's, once it has been read.
    session: DeviceSession | None = field(default=None)


@sensitive_variables()
def exchange_token(
    client: ServiceClient,
    form: Mapping[str, Sequence[str]],
    *,
    actor: Actor = NOBODY,
    now: datetime | None = None,
    known: Together | None = None,
) -> tuple[AccessClaims, str]:
    """Return the claims and text of a token with which ``client`` calls another service for the same user.

    ``client`` has been authenticated; ``form`` holds all values of each parameter. Two statements, and one if
    ``known`` is what ``read_together`` has just found of those whom the request names. Nothing is written
    unless the exchange is refused, which an event then tells by the rule's name.

    Raises:
        OAuthError: a rule refuses, which ``rule`` names (E1 to E14).
        StoreUnavailable: the database cannot be read: whether the subject's session is live is not known.
    """
    by = replace(actor, user=None, client_id=client.client_id)
    attempt = _Attempt(client, by, now or timezone.now(), known)
    try:
        with database.store_errors():
            return _exchange(attempt, read_exchange(form), now)
    except OAuthError as error:
        _record(attempt, error)
        raise


@sensitive_variables()
def _exchange(attempt: _Attempt, asked: ExchangeRequest, now: datetime | None) -> tuple[AccessClaims, str]:
    requester = facts_of(attempt.client)
    for broken in requester_rules(requester):  # before anything is read
        raise OAuthError(broken.error, broken.text, rule=broken.rule)
    subject = _read_subject(asked.subject_token, attempt.now)
    _demand_live(attempt, subject, now)
    targets, subject_client = _services(attempt, asked, subject)
    grant = judge_exchange(
        asked,
        requester,
        subject,
        targets,
        subject_client=subject_client,
        site_audience=conf.AUDIENCE,
        lifetime=service_lifetime(),
        now=attempt.now,
    )
    key = keyring.keyset().signing
    claims = exchanged_claims(subject, grant, jti=secrets.token_urlsafe(16), now=attempt.now)
    claims = replace(claims, kid=key.kid)
    return claims, write_access_token(claims, key)


@sensitive_variables()
def _read_subject(token: str, now: datetime) -> AccessClaims:
    """Return the claims of an access token of ours, whoever it is for: that is a rule of its own (E5)."""
    try:
        return read_anybodys_claims(token, now=now)
    except TokenError as error:
        raise OAuthError("invalid_request", f"the subject token is no good: {error}", rule="E3") from error


def _demand_live(attempt: _Attempt, subject: AccessClaims, now: datetime | None) -> None:
    """Refuse a subject whose session is not live now, by the database, whatever store requests ask (E4)."""
    ask = partial(DatabaseSource().answer, subject, now)
    try:
        found = database.outside_transactions(ask)
    except KeyUnknown as error:
        keyring.keyset().reload()  # withdrawn elsewhere, a moment ago: it must not sign here either
        raise OAuthError(
            "invalid_request", "the key of the subject token has been withdrawn", rule="E4"
        ) from error
    except TokenError as error:
        raise OAuthError("invalid_request", f"the subject token is no good: {error}", rule="E3") from error
    attempt.session = found.snapshot.session if found.snapshot else None
    if found.reason is not None:
        description = f"the session of the subject token has ended: {found.reason}"
        raise OAuthError("invalid_request", description, rule="E4")


def _services(
    attempt: _Attempt, asked: ExchangeRequest, subject: AccessClaims
) -> tuple[dict[str, ClientFacts], ClientFacts | None]:
    """Return the services that are asked for, by audience, and the subject's client.

    One statement, if they are not known.
    """
    names = {*asked.audiences, *asked.resources}
    found = attempt.known
    if found is None or not found.answers(names, subject.client_id):
        found = read_together(attempt.client.client_id, names, subject.client_id)
    targets = {name: facts_of(one) for name in names for one in found.called(name)}
    subject_client = found.by_id(subject.client_id)
    return targets, None if subject_client is None else facts_of(subject_client)


def _record(attempt: _Attempt, error: OAuthError) -> None:
    """Write the event of a refusal, even if the request's transaction is rolled back."""
    session = attempt.session
    same = f"{attempt.client.client_id} {error.rule} {session.pk if session else ''}"
    if not counters.is_first("grant-refused", sha256(same.encode()).hexdigest(), _REPEATED):
        return
    run_even_on_rollback(
        partial(
            audit.record,
            SessionEvent.Kind.GRANT_REFUSED,
            session,
            at=attempt.now,
            outcome=error.rule,
            actor=attempt.actor,
            note=error.description,
        )
    )
