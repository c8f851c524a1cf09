"""The rules of token exchange that two registrations decide: who may call whom, whatever the token."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from authx.core.oauth_client import TOKEN_EXCHANGE, ClientFacts


class Broken(NamedTuple):
    """A rule that refuses, the word for it (RFC 6749 §5.2, RFC 8693 §2.2.2), and why in plain words."""

    rule: str
    error: str
    text: str


def requester_rules(requester: ClientFacts) -> list[Broken]:
    """Return the rules that refuse this client every exchange."""
    broken = []
    if not requester.enabled:
        broken.append(Broken("E1", "invalid_client", "the client is disabled"))
    if requester.is_public:
        text = "the client is public, and an exchange needs one that can prove who it is"
        broken.append(Broken("E1", "unauthorized_client", text))
    if not requester.may_use(TOKEN_EXCHANGE):
        text = "the client is not registered for the grant type token-exchange"
        broken.append(Broken("E1", "unauthorized_client", text))
    if not requester.audience:
        text = "the client has no audience of its own, so no subject token is for it"
        broken.append(Broken("E5", "invalid_request", text))
    if not requester.scope:
        broken.append(Broken("E7", "invalid_scope", "the client is registered for no scope"))
    return broken


def target_rules(requester: ClientFacts, target: ClientFacts, site_audience: Collection[str]) -> list[Broken]:
    """Return the rules that refuse this client tokens for ``target``."""
    broken = []
    if target.client_id not in requester.may_call:
        broken.append(f"this client may not call {target.audience or target.client_id}")
    if not target.audience:
        broken.append(f"the service {target.client_id} has no audience, so no token can be for it")
    if target.audience in site_audience:
        broken.append(f"{target.audience} is the site itself, for which no token is exchanged")
    if not target.enabled:
        broken.append(f"the service {target.client_id} is disabled")
    return [Broken("E6", "invalid_target", text) for text in broken]
