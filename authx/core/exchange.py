"""Token exchange: one service calls another for a user, with less than it was given (RFC 8693).

``read_exchange`` reads the request, ``judge_exchange`` applies the rules E1 to E14 to it, but for the two
that need more than values: that the subject token is ours (E3), which is read before, and that its session is
live (E4), which is asked in the same transaction.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any, Final, NoReturn

from authx.core.claim_forms import MAX_ACTORS
from authx.core.claims import TOKEN_EXCHANGE, AccessClaims
from authx.core.exchange_request import ExchangeRequest
from authx.core.exchange_rules import Broken, requester_rules, target_rules
from authx.core.oauth_client import ClientFacts
from authx.core.scopes import OFFLINE_ACCESS, intersection, join_scope
from authx.errors import OAuthError

#: What a ``may_act`` may name its party by; whatever else it holds would have to be understood, too.
_PARTY: Final = frozenset({"sub", "client_id", "iss"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ExchangeGrant:
    """What a service gets for its subject token."""

    #: The requester's, whose token it becomes.
    client_id: str
    audience: tuple[str, ...]
    scope: tuple[str, ...]
    #: The requester around whoever acted before it (RFC 8693 §4.1).
    act: Mapping[str, Any]
    expires_at: datetime


def judge_exchange(
    request: ExchangeRequest,
    requester: ClientFacts,
    subject: AccessClaims,
    targets: Mapping[str, ClientFacts],
    *,
    subject_client: ClientFacts | None,
    site_audience: Collection[str],
    lifetime: timedelta,
    now: datetime,
) -> ExchangeGrant:
    """Decide what ``requester``, who has been authenticated, gets for a subject token of ours.

    ``targets`` are the services by their ``audience``, at least those of them that the request names.
    ``subject_client`` is the client whose token the subject is; None for a token of the site's own login.

    Raises:
        OAuthError: a rule is broken; ``rule`` names it.
    """
    _refuse_first(requester_rules(requester))
    _check_subject(subject, requester, subject_client, now)
    audience = _audience(request, requester, targets, site_audience)
    scope = _scope(request, requester, subject)
    act = {"sub": requester.subject} | ({} if subject.act is None else {"act": dict(subject.act)})
    if len(subject.actors) >= MAX_ACTORS:
        _refuse("E10", f"{MAX_ACTORS} services act for this user already: the chain of calls is too long")
    last = min(int((now + lifetime).timestamp()), subject.exp)
    return ExchangeGrant(
        client_id=requester.client_id,
        audience=audience,
        scope=scope,
        act=MappingProxyType(act),
        expires_at=datetime.fromtimestamp(last, now.tzinfo),
    )


def exchanged_claims(subject: AccessClaims, grant: ExchangeGrant, *, jti: str, now: datetime) -> AccessClaims:
    """Return the claims of the exchanged token: the user's session, and nothing its client was told (E8).

    ``may_act`` is kept, for rights only shrink.
    """
    issued = int(now.timestamp())
    kept = {name: subject.extra[name] for name in ("may_act",) if name in subject.extra}
    return AccessClaims(
        iss=subject.iss,
        sub=subject.sub,
        aud=grant.audience,
        exp=int(grant.expires_at.timestamp()),
        iat=issued,
        nbf=issued,
        jti=jti,
        client_id=grant.client_id,
        sid=subject.sid,
        auth_time=subject.auth_time,
        amr=subject.amr,
        era=subject.era,
        opaque=subject.opaque,
        db=subject.db,
        gty=TOKEN_EXCHANGE,
        scope=join_scope(grant.scope),
        act=grant.act,
        extra=MappingProxyType(kept),
    )


def explain(requester: ClientFacts, target: ClientFacts, *, site_audience: Collection[str]) -> list[Broken]:
    """Return every rule that refuses ``requester`` any exchange for ``target``, whatever the subject token.

    An empty list says that there are subject tokens for which it gets one.
    """
    return [*requester_rules(requester), *target_rules(requester, target, site_audience)]


def _check_subject(
    subject: AccessClaims,
    requester: ClientFacts,
    subject_client: ClientFacts | None,
    now: datetime,
) -> None:
    if subject.exp <= now.timestamp():
        _refuse("E3", "the subject token has expired")
    if subject.is_delegated and (
        subject_client is None or subject_client.client_id != subject.client_id or not subject_client.enabled
    ):
        _refuse("E4", "the client that the subject token was issued to is disabled")
    if requester.audience not in subject.aud:
        _refuse("E5", f"the subject token is not for {_shown(requester.audience)}, as this client is known")
    if "may_act" in subject.extra and not _may_act(subject.extra["may_act"], requester, subject.iss):
        _refuse("E11", "the subject token names another party that may act for the user")
    if "cnf" in subject.extra:
        _refuse("E14", "the subject token is bound to a key, and such tokens are not exchanged here")


def _may_act(party: Any, requester: ClientFacts, issuer: str) -> bool:
    """Return whether ``may_act`` means the requester, and names it by nothing that we do not know."""
    if not isinstance(party, Mapping) or not party.keys() & {"sub", "client_id"} or party.keys() - _PARTY:
        return False
    expected = {"sub": requester.subject, "client_id": requester.client_id, "iss": issuer}
    return all(expected[name] == value for name, value in party.items())


def _audience(
    request: ExchangeRequest,
    requester: ClientFacts,
    targets: Mapping[str, ClientFacts],
    site_audience: Collection[str],
) -> tuple[str, ...]:
    names = tuple(dict.fromkeys((*request.audiences, *request.resources)))
    if not names:
        _refuse("E6", "the request names no audience and no resource", "invalid_target")
    for name in names:
        target = targets.get(name)
        if name in site_audience:
            _refuse(
                "E6", f"{_shown(name)} is the site itself, for which no token is exchanged", "invalid_target"
            )
        if target is None or target.audience != name:
            # The same words as for a service that there is: what exists is not the requester's to learn.
            _refuse("E6", f"this client may not call {_shown(name)}", "invalid_target")
        _refuse_first(target_rules(requester, target, site_audience))
    return names


def _scope(request: ExchangeRequest, requester: ClientFacts, subject: AccessClaims) -> tuple[str, ...]:
    """Return what the request, the subject and the requester have in common (E7).

    A token of the site's own login without a scope is good for everything. Any other without one is good for
    nothing: it was issued for no scope.
    """
    is_unlimited = not subject.is_delegated and not subject.has_scope
    held = requester.scope if is_unlimited else intersection(requester.scope, subject.scopes)
    allowed = tuple(scope for scope in held if scope != OFFLINE_ACCESS)
    if not allowed:
        _refuse("E7", "the subject token and this client have no scope in common", "invalid_scope")
    for scope in request.scope or ():
        if scope not in requester.scope:
            _refuse("E7", f"this client may not have the scope {_shown(scope)}", "invalid_scope")
        if scope not in allowed:
            _refuse("E7", f"the subject token has no scope {_shown(scope)}", "invalid_scope")
    return allowed if request.scope is None else request.scope


def _shown(name: str) -> str:
    """Return a name as a description may have it: as it is, if it is short and of plain characters."""
    is_plain = 0 < len(name) <= 128 and name.isascii() and all(c.isalnum() or c in "-._:/" for c in name)
    return name if is_plain else "what it names"


def _refuse_first(broken: Collection[Broken]) -> None:
    for rule in broken:
        _refuse(rule.rule, rule.text, rule.error)


def _refuse(rule: str, description: str, error: str = "invalid_request") -> NoReturn:
    raise OAuthError(error, description, rule=rule)
