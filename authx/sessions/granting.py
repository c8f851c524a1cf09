"""Authorization codes: issued once a user has consented, and redeemed for a session of the client.

The state machine is that of ``authx.core.codes``. A code's own row is the lock: of many who redeem it at
once, one opens its session, and the others are judged again.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Final, NoReturn

from django.db import IntegrityError
from django.db.models import DateTimeField, Exists, ExpressionWrapper, UUIDField, Value
from django.utils import timezone
from django.views.decorators.debug import sensitive_variables

from authx.conf import conf
from authx.core.actor import NOBODY, Actor
from authx.core.authorization import AuthorizationRequest
from authx.core.codes import LIFETIME, CodeDecision, CodeVerdict, PresentedCode, judge_code
from authx.core.oauth_client import AUTHORIZATION_CODE, REFRESH_TOKEN
from authx.core.reasons import EndReason
from authx.core.redirects import is_registered
from authx.core.scopes import join_scope
from authx.errors import OAuthError, StoreUnavailable
from authx.models import AuthorizationCode, DeviceSession, ServiceClient, uuid7
from authx.sessions.client_facts import demand_grant_type, grant_claims, narrowed
from authx.sessions.client_locks import lock_enabled
from authx.sessions.client_sessions import new_granted_session, save_opened
from authx.sessions.code_lookup import FoundCode, find_code, hash_of
from authx.sessions.code_pruning import tidying
from authx.sessions.credentials import Credentials, credentials_for
from authx.sessions.ending import Ending, end_all
from authx.store import database
from authx.store.compiled import CompiledUpdate, Given, Parameter
from authx.store.database import DatabaseNow


@sensitive_variables()
def issue_code(
    client: ServiceClient,
    login: DeviceSession,
    asked: AuthorizationRequest,
    *,
    now: datetime | None = None,
) -> str:
    """Return a new code, good once and for a minute: its user has consented to what is ``asked``.

    ``login`` is a live session, read with its user: the code dies with it. Only a hash is stored. One
    statement, in the caller's transaction if there is one.

    Raises:
        StoreUnavailable: the database cannot be written, or has just lost the user, the login or the client.
    """
    code = secrets.token_urlsafe(32)
    clock = ExpressionWrapper(DatabaseNow() + Value(LIFETIME), output_field=DateTimeField())
    row = AuthorizationCode(
        code_hash=hash_of(code),
        client=client,
        user=login.user,
        login=login,
        redirect_uri=asked.redirect_uri,
        challenge=asked.challenge,
        scope=join_scope(asked.scope),
        resources=list(asked.resources),
        expires_at=clock if now is None else now + LIFETIME,
        session_id=uuid7(),
    )
    with database.store_errors():
        try:
            row.save(using=database.alias(), force_insert=True)
        except IntegrityError as error:
            raise StoreUnavailable("who allows it, or what, has just been deleted") from error
        tidying.after_commit(now)
    return code


@sensitive_variables()
def redeem_code(
    client: ServiceClient,
    code: str,
    *,
    redirect_uri: str | None,
    verifier: str | None,
    resources: Sequence[str] = (),
    actor: Actor = NOBODY,
    now: datetime | None = None,
) -> Credentials:
    """Open the session of a code that ``client``, who has been authenticated, presents; return its tokens.

    The session may have all that the user has consented to; ``resources`` are those that the first access
    token is for, if not for all (RFC 8707 §2.2). A spent code opens nothing: within the grace its session
    goes on, for callbacks are fired twice, and after it the session ends as ``reused``. That is committed
    before anything is raised, so this must not run inside a transaction (``non_atomic_requests``).

    Raises:
        OAuthError: the code buys nothing, or nothing of what is asked; a code that is not spent stays good.
        StoreUnavailable: the database cannot be read or written; nothing changed.
        Exception: whatever AUTHX_GRANT_CLAIMS raises; nothing was spent.
    """
    database.demand_no_transaction()
    demand_grant_type(client, AUTHORIZATION_CODE)
    presented = PresentedCode(client_id=client.client_id, redirect_uri=redirect_uri, verifier=verifier)
    by = replace(actor, client_id=client.client_id)
    with database.store_errors():
        for _ in range(database.MAX_ATTEMPTS):
            found = find_code(code)
            at = now or (found.now if found else timezone.now())
            facts = found.facts(client, at) if found else None
            verdict = judge_code(facts, presented, now=at, grace=conf.REFRESH_GRACE)
            if found is None or verdict.decision is not CodeDecision.REDEEM:
                _refuse(found, verdict, at, by)
            credentials = _redeem(client, found, resources, at, by, now)
            if credentials is not None:
                return credentials
    raise StoreUnavailable("too many others are redeeming this code")


def _refuse(found: FoundCode | None, verdict: CodeVerdict, at: datetime, by: Actor) -> NoReturn:
    if found is not None and verdict.decision is CodeDecision.REPLAY_ENDS:
        nobody = replace(by, user=None)  # it may have been a thief
        end_all([found.row.session_id], Ending(EndReason.REUSED, at, nobody, verdict.rule))
    raise verdict.refusal


@sensitive_variables()
def _redeem(
    client: ServiceClient,
    found: FoundCode,
    resources: Sequence[str],
    at: datetime,
    by: Actor,
    now: datetime | None,
) -> Credentials | None:
    """Open the session of a good code; return None if another was first, or it is not good any more."""
    if not is_registered(found.row.redirect_uri, client.redirect_uris or ()):
        raise OAuthError("invalid_grant", "the code was sent to where this client is registered no more")
    refreshable = REFRESH_TOKEN in (client.grant_types or ())
    session = new_granted_session(
        client,
        found.login.session,
        scope=found.row.scope,
        audience=found.row.resources,
        refreshable=refreshable,
        sid=found.row.session_id,
        at=at,
        not_before_number=found.not_before_number,
    )
    granted = narrowed(client, session, scope=None, resources=resources)
    claims = grant_claims(session, client)

    def write() -> Credentials | None:
        if not _spend(found, at):
            return None
        save_opened(session, by)
        lock_enabled(client)
        return credentials_for(
            session,
            generation=1,
            now=now or timezone.now(),
            extra=claims,
            granted=granted,
            refreshable=refreshable,
        )

    try:
        return database.transact(write, durable=True)
    except IntegrityError:  # its user has just been deleted, and the code with them
        return None


def _spend(found: FoundCode, at: datetime) -> bool:
    """Mark the code as redeemed in one conditional statement: only if it is unspent, and its login live."""
    connection = database.current_connection()
    login = DeviceSession._meta.pk.get_db_prep_value(found.login.session.pk, connection)
    moment = connection.ops.adapt_datetimefield_value(at)
    return _SPENDING.run({"code_hash": found.row.code_hash, "login": login, "at": moment}) == 1


def _spending(alias: str) -> tuple[Any, dict[str, Any]]:
    moment = Parameter("at", DateTimeField())
    login = DeviceSession.objects.using(alias).live(moment).filter(pk=Parameter("login", UUIDField()))
    codes = AuthorizationCode.objects.using(alias).filter(code_hash=Given("code_hash"), redeemed_at=None)
    return codes.filter(Exists(login)), {"redeemed_at": moment}


_SPENDING: Final = CompiledUpdate(_spending)
