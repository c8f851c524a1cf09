"""Refreshing a client's session: the machine of every session, for its own client alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from django.views.decorators.debug import sensitive_variables

from authx.conf import secret_keys
from authx.core.actor import NOBODY, Actor
from authx.core.oauth_client import REFRESH_TOKEN
from authx.core.refresh_token import read_refresh_token
from authx.core.rotation import Verdict
from authx.errors import OAuthError, RefreshConflict, RefreshError, RefreshReused, SessionEnded
from authx.models import DeviceSession, ServiceClient
from authx.sessions.client_facts import demand_grant_type, grant_claims, narrowed
from authx.sessions.client_sessions import idle_period_of
from authx.sessions.credentials import Credentials
from authx.sessions.refreshing import Party, exchange
from authx.sessions.site_answers import SiteAnswers
from authx.store import database


@sensitive_variables("refresh_token")
def refresh_for_client(
    client: ServiceClient,
    refresh_token: str,
    *,
    scope: str | None = None,
    resources: Sequence[str] = (),
    actor: Actor = NOBODY,
    now: datetime | None = None,
) -> Credentials:
    """Exchange a refresh token of a session of ``client``, who has been authenticated, for new tokens.

    ``scope`` and ``resources`` narrow this access token alone (RFC 6749 §6, RFC 8707 §2.2). Idempotent as
    ``refresh_session`` is, and like it not to be run inside a transaction.

    Raises:
        OAuthError: ``invalid_grant``, the token buys nothing; only a sign of theft has ended the session.
            ``invalid_scope`` or ``invalid_target``, it does not buy what is asked for; nothing was spent.
        StoreUnavailable: the database cannot be read or written; nothing changed.
        Exception: whatever AUTHX_GRANT_CLAIMS raises; nothing was spent.
    """
    database.demand_no_transaction()
    demand_grant_type(client, REFRESH_TOKEN)
    by = replace(actor, client_id=client.client_id)
    asked = _Asked(client, scope, tuple(resources))
    party = Party(client_id=client.client_id, idle=idle_period_of(client), ask=asked.answers)
    try:
        return exchange(read_refresh_token(refresh_token, secret_keys()), by, party=party, now=now)
    except RefreshError as error:
        raise OAuthError("invalid_grant", _description(error)) from error


@dataclass(frozen=True, slots=True)
class _Asked:
    """What a client asks its new access token for."""

    client: ServiceClient
    scope: str | None
    resources: tuple[str, ...]

    def answers(self, session: DeviceSession, verdict: Verdict, actor: Actor) -> SiteAnswers:
        """Answer for this client: no alarm, for where a server calls from says nothing about its user."""
        if verdict.issue is None:
            return SiteAnswers()
        try:
            granted = narrowed(self.client, session, scope=self.scope, resources=self.resources)
            return SiteAnswers(claims=grant_claims(session, self.client), granted=granted)
        except Exception as error:
            return SiteAnswers(error=error)


def _description(error: RefreshError) -> str:
    if isinstance(error, RefreshConflict):
        return "the refresh token is spent, and a newer one is in use: the session goes on with that"
    if isinstance(error, RefreshReused):
        return "the refresh token was spent before: the session has been ended"
    if isinstance(error, SessionEnded):
        return f"the session has ended: {error.reason}"
    return "the refresh token is not one of this client's"
