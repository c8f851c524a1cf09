"""Raising alarms: a flagged event in the transaction, a signal after it, and the action the site chose."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from authx import metrics, signals
from authx.conf import conf
from authx.core.actor import Actor
from authx.core.device import clean_text, describe_user_agent
from authx.core.reasons import EndReason
from authx.core.refresh_token import RefreshClaims
from authx.core.risk import Action, Alarm, Context, alarms
from authx.core.rotation import Transition, Verdict
from authx.models import DeviceSession, SessionEvent
from authx.sessions import audit
from authx.sessions.ending import Ending, end_all
from authx.sessions.liveness import end_of
from authx.sessions.lookup import Snapshot, find_by_refresh_token
from authx.store import counters, database

_ALARMS = {Transition.STRIKE: Alarm.LATE_REPLAY, Transition.ROLLBACK: Alarm.STATE_ROLLBACK}


def action_of(alarm: Alarm) -> Action:
    """Return the action that AUTHX_ALARMS sets for the alarm; one that it does not name is flagged."""
    return conf.ALARMS[alarm]


def alarms_of(verdict: Verdict) -> list[Alarm]:
    """Return the alarms that a verdict on a refresh token raises, but for reuse, which no site can ignore."""
    found = [Alarm.COPIED] if verdict.is_twin else []
    found += [_ALARMS[verdict.transition]] if verdict.transition in _ALARMS else []
    return [alarm for alarm in found if action_of(alarm) is not Action.IGNORE]


def country_of(ip: str | None) -> str:
    """Return an address's country (ISO 3166-1 alpha-2); ``""`` where AUTHX_COUNTRY does not know it."""
    if ip is None or conf.COUNTRY is None:
        return ""
    return clean_text(conf.COUNTRY(ip), 2)


def new_context(session: DeviceSession, actor: Actor) -> tuple[list[Alarm], dict[str, Any]]:
    """Return the alarms that a refresh by ``actor`` raises, and the columns that record its origin.

    None in a client's session: where the client's server stands says nothing about its user.
    """
    if session.client_id:
        return [], {}
    label = describe_user_agent(actor.user_agent)[1] if actor.user_agent and session.user_agent else ""
    country = country_of(actor.ip)
    before = Context(session.device_label, session.country)
    found = [
        alarm for alarm in alarms(before, Context(label, country)) if action_of(alarm) is not Action.IGNORE
    ]
    columns: dict[str, Any] = {}
    if Alarm.SPLIT_CONTEXT in found:
        columns |= {"device_label": label, "user_agent": actor.user_agent}
    if Alarm.NEW_COUNTRY in found:
        columns |= {"country": country, "ip": actor.ip}
    return found, columns


def record_alarm(session: DeviceSession, alarm: Alarm, *, at: datetime, actor: Actor) -> None:
    """Write the flagged event, in the caller's transaction, and announce it after the commit."""
    audit.record(SessionEvent.Kind.FLAGGED, session, at=at, outcome=alarm.value, actor=actor)
    DeviceSession.objects.using(database.alias()).filter(pk=session.pk).update(alarm_at=at)
    database.after_commit(lambda: _announce(session, alarm))


def count_refresh(presented: RefreshClaims, actor: Actor) -> int:
    """Count a refresh of this token's session in the cache; return the seconds until the next one, 0 for now.

    The first refresh beyond AUTHX_REFRESH_RATE in a window raises the alarm.

    Raises:
        RefreshMalformed: an alarm is due, and no session has issued it.
        StoreUnavailable: an alarm is due, and the database cannot be read or written.
    """
    sid = str(presented.sid)
    wait = counters.refresh_wait(sid)
    if wait and counters.is_first("refresh-rate", sid, wait):
        raise_refresh_rate(find_by_refresh_token(presented), actor)
    return wait


def raise_refresh_rate(found: Snapshot, actor: Actor) -> None:
    """Flag or end a session that refreshes more often than AUTHX_REFRESH_RATE allows."""
    session, alarm, at = found.session, Alarm.REFRESH_RATE, found.now
    action = action_of(alarm)
    if action is Action.IGNORE or end_of(found) is not None:
        return

    def write() -> None:
        record_alarm(session, alarm, at=at, actor=actor)
        if action is Action.END:
            end_all([session.pk], Ending(EndReason.REUSED, at, actor, alarm.value))

    database.transact(write)


def _announce(session: DeviceSession, alarm: Alarm) -> None:
    metrics.ALARMS.count(alarm=alarm.value)
    signals.session_flagged.send_robust(DeviceSession, session=session, alarm=alarm.value)
