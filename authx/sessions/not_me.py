""" "This wasn't me": a link that ends one session, or what continues it, for whoever holds it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.utils import timezone
from django.views.decorators.debug import sensitive_variables

from authx.conf import conf, secret_keys
from authx.core.actor import Actor
from authx.core.not_me_link import read_not_me_token, write_not_me_token
from authx.core.reasons import EndReason
from authx.models import DeviceSession
from authx.sessions.connected_apps import disconnect
from authx.sessions.ending import end_session, end_sessions
from authx.sessions.notice_turns import PERIOD
from authx.sessions.queries import continuing, find_session
from authx.store import database
from authx.store.database import DatabaseNow


@dataclass(frozen=True, slots=True)
class NamedSession:
    """The session that a link names."""

    #: As it was opened: the device, the place and the time that the notice has told of.
    session: DeviceSession
    #: The session itself, or the one that continues it, or a later login of that device which nobody has
    #: confirmed: whoever signs in twice does not outrun the link. None where all of them are over.
    live: DeviceSession | None


def write_link_token(sid: UUID, *, now: datetime | None = None) -> str:
    """Return the token of a link for a session, good for seven days. No statement."""
    return write_not_me_token(sid, secret_keys(), now=(now or timezone.now()).timestamp())


@sensitive_variables("token")
def find_named(token: str, *, now: datetime | None = None) -> NamedSession | None:
    """Return the session that a link names; None if it has been pruned.

    Raises:
        TokenMalformed: it was never one of our links.
        TokenExpired: it is older than seven days.
        StoreUnavailable: the database cannot be read.
    """
    seconds, leeway = (now or timezone.now()).timestamp(), conf.CLOCK_LEEWAY.total_seconds()
    sid = read_not_me_token(token, secret_keys(), leeway=leeway, now=seconds)
    session = find_session(sid)
    return None if session is None else NamedSession(session, _live(session))


def end_named(named: NamedSession, actor: Actor) -> bool:
    """End what a link names, and the unconfirmed logins of that device since, as ``ended_by_user``.

    Returns False if all of it is over already. An app is disconnected: else it would come back by itself, on
    the consent that is remembered.

    Raises:
        StoreUnavailable: the database cannot be written.
    """
    session = named.session
    if session.client_id and session.user is not None:
        return named.live is not None and disconnect(session.user, session.client_id, actor) > 0
    ended = end_session(session, EndReason.ENDED_BY_USER, by=actor)
    return end_sessions(_later(session), EndReason.ENDED_BY_USER, by=actor) > 0 or ended


def _live(session: DeviceSession) -> DeviceSession | None:
    with database.store_errors():
        rows = DeviceSession.objects.using(database.alias()).live(DatabaseNow())
        found: DeviceSession | None = rows.filter(pk=session.pk).first()
        found = found or rows.filter(pk__in=continuing([session.pk])).first()
        return found or _later(session).live(DatabaseNow()).first()


def _later(session: DeviceSession) -> Any:
    """Return a queryset of the unconfirmed logins of the same device since.

    Without an id, those that the notice of this login holds back: they have no link of their own yet.
    """
    rows = DeviceSession.objects.using(database.alias()).first_party()
    if session.client_id or session.user_id is None:
        return rows.none()
    same = rows.filter(user_id=session.user_id, device_id=session.device_id, is_unconfirmed=True)
    if not session.device_id:
        until = session.created_at + PERIOD
        same = same.filter(device_label=session.device_label, created_at__lte=until)
    return same.filter(created_at__gte=session.created_at).exclude(pk=session.pk)
