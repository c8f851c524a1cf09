"""Sessions of clients: those that a user's consent opens, and those of services that act for themselves.

The same rows as logins, refreshed, ended and logged alike, but nobody's login (``DeviceSession.client_id``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from authx import signals
from authx.conf import conf
from authx.core.actor import NOBODY, Actor
from authx.core.client_sessions import CLIENT, SERVICE, subject_of_client
from authx.core.time_limits import idle_expiry, idle_period
from authx.models import DeviceSession, ServiceClient, SessionEvent, uuid7
from authx.sessions import audit
from authx.sessions.not_before import opening_moment
from authx.sessions.opening import new_life
from authx.sessions.password_fingerprint import renewed_fingerprint
from authx.store import database


def new_granted_session(
    client: ServiceClient,
    login: DeviceSession,
    *,
    scope: str,
    audience: Sequence[str],
    refreshable: bool,
    at: datetime,
    not_before_number: int,
    sid: UUID | None = None,
) -> DeviceSession:
    """Return a session in which ``client`` acts for the user of ``login``, to be saved by ``save_opened``.

    ``login`` is the live session in which that user has consented, read with its user. Without
    ``refreshable`` the session ends with its first access token. ``sid`` is its id, if it was chosen before.
    ``not_before_number`` is that of the newest mark; whatever shows that the login is live has to be read
    after it, or a mark between them would be missed.
    """
    columns = {
        "user": login.user,
        "subject": login.subject,
        "amr": login.amr,
        "auth_time": login.auth_time,
        "backend": login.backend,
        "fingerprint": renewed_fingerprint(login.user, login.fingerprint),
        "not_before_number": not_before_number,
        **(_life(client, at) if refreshable else _short_life(at)),
    }
    return _new(client, CLIENT, id=sid or uuid7(), scope=scope, audience=list(audience), **columns)


def open_service_session(
    client: ServiceClient,
    *,
    login_key: str | None = None,
    actor: Actor = NOBODY,
    now: datetime | None = None,
) -> DeviceSession:
    """Open the session in which ``client`` acts for itself, for no user; in the caller's transaction.

    It is never idle, and has no scope and no audience of its own: each of its tokens has. By ``login_key`` it
    is found again.
    """
    moment, number = opening_moment()
    at = now or moment
    life = _life(client, at)
    columns = {
        "subject": subject_of_client(client.client_id),
        "auth_time": at,
        "not_before_number": number,
        **life,
        "idle_expires_at": life["expires_at"],
    }
    return save_opened(_new(client, SERVICE, scope="", audience=[], login_key=login_key, **columns), actor)


def idle_period_of(client: ServiceClient) -> timedelta:
    """Return how long after its last refresh a session of ``client`` is idle."""
    return idle_period(client.idle_lifetime or conf.IDLE_LIFETIME, conf.ACCESS_TOKEN_LIFETIME)


def _life(client: ServiceClient, at: datetime) -> dict[str, Any]:
    expires_at = at + (client.session_lifetime or conf.SESSION_LIFETIME)
    limits = {
        "expires_at": expires_at,
        "idle_expires_at": idle_expiry(at, idle_period_of(client), expires_at),
    }
    return new_life(at) | limits


def _short_life(at: datetime) -> dict[str, Any]:
    """Return the columns of a life that ends with an access token, whose times are whole seconds."""
    expires_at = at.replace(microsecond=0) + conf.ACCESS_TOKEN_LIFETIME
    return new_life(at) | {"expires_at": expires_at, "idle_expires_at": expires_at}


def _new(client: ServiceClient, device_type: str, **columns: Any) -> DeviceSession:
    return DeviceSession(
        client_id=client.client_id, device_type=device_type, device_label=client.name, **columns
    )


def save_opened(session: DeviceSession, actor: Actor = NOBODY) -> DeviceSession:
    """Save a client's new session with its event, in the caller's transaction; announce it after that."""
    session.save(using=database.alias(), force_insert=True)
    by = replace(actor, client_id=session.client_id)
    audit.record(SessionEvent.Kind.OPENED, session, at=session.created_at, actor=by)
    opened = {"session": session, "user": session.user, "request": None, "is_new": False}
    database.after_commit(lambda: signals.device_session_opened.send_robust(DeviceSession, **opened))
    return session
