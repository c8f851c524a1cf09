"""All that is kept about one person, as JSON, piece by piece; docs/personal-data.md has the schema."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

from django.db.models import Q, QuerySet

from authx.models import Consent, DeviceSession, NotBeforeMark, SentNotice, SessionEvent
from authx.sessions.connected_apps import consents_of
from authx.sessions.notice_turns import turns_of
from authx.sessions.people import Person, all_events, events_about, events_by
from authx.store import database

#: Incremented when a member is removed or changes its meaning, not when one is added.
FORMAT_VERSION: Final = 1
#: Rows read in one statement and held in memory.
ROWS_PER_PAGE: Final = 500


def export(who: Any, *, now: datetime | None = None) -> Iterator[str]:
    """Yield the pieces of a JSON document: all data about a user, or about the subject of a deleted one.

    Rows are in the order of their keys: two exports of the same rows differ only in ``exported_at``. The
    document contains no secrets, and nothing about anybody else.

    Raises:
        ValueError: ``who`` is None, empty, or a user who is not saved.
        StoreUnavailable: the database cannot be read; the document is then incomplete, and not valid JSON.
    """
    with database.store_errors():
        person = Person.of(who)
    return _document(person, now)


def _document(person: Person, now: datetime | None) -> Iterator[str]:
    with database.store_errors():
        head = {
            "authx_export": FORMAT_VERSION,
            "exported_at": _time(now or database.database_now()),
            "subject": person.subject,
            "username": person.username,
        }
        yield json.dumps(head, indent=2).removesuffix("\n}")
        yield from _array("sessions", (_session(row, person) for row in _sessions(person)))
        yield from _array("attempts", (_event(event, person) for event in _attempts(person)))
        yield from _array("acts", map(_act, _acts(person)))
        yield from _array("not_before_marks", (_mark(mark, person) for mark in _pages(person.marks(), 0)))
        if consents := [] if person.key is None else consents_of(person.key):
            yield from _array("consents", map(_consent, consents))
        if notices := [] if person.key is None else turns_of(person.key):
            yield from _array("notices", map(_notice, notices))
        yield "\n}\n"


def _array(name: str, items: Iterator[Any]) -> Iterator[str]:
    yield f",\n  {json.dumps(name)}: ["
    before = "\n    "
    for item in items:
        # A session may have many events, so it comes in pieces itself.
        yield before
        yield from item if isinstance(item, Iterator) else (json.dumps(item),)
        before = ",\n    "
    yield "]"


def _pages(found: QuerySet[Any], last: Any) -> Iterator[Any]:
    """Yield all rows in the order of their keys, in pages: no cursor is held open, on any database."""
    found = found.order_by("pk")
    while rows := list(found.filter(pk__gt=last)[:ROWS_PER_PAGE]):
        yield from rows
        last = rows[-1].pk


def _sessions(person: Person) -> Iterator[DeviceSession]:
    yield from _pages(person.sessions().with_marks(), UUID(int=0))


def _session(row: DeviceSession, person: Person) -> Iterator[str]:
    end = row.recorded_end()
    head = {
        "id": str(row.pk),
        "device": {
            "id": row.device_id,
            "name": row.device_name,
            "type": row.device_type,
            "label": row.device_label,
        },
        "user_agent": row.user_agent,
        "ip": row.ip,
        "country": row.country,
        "authentication_methods": row.amr,
        "auth_time": _time(row.auth_time),
        "remembered": row.persistent,
        "unconfirmed": row.is_unconfirmed,
        "created_at": _time(row.created_at),
        "last_seen_at": _time(row.last_seen_at),
        "generation": row.generation,
        "refreshed_at": _time(row.rotated_at),
        "idle_expires_at": _time(row.idle_expires_at),
        "expires_at": _time(row.expires_at),
        "ended_at": _time(end.at if end else None),
        "end_reason": end.reason if end else None,
        "replaced_by": row.replaced_by,
        "ended_by": _who(row.ended_by_id, person),
        "successor": str(row.successor) if row.successor not in {None, row.pk} else None,
    }
    if row.client_id:
        head["client"] = {"id": row.client_id, "scope": row.scope, "audience": row.audience}
    yield json.dumps(head).removesuffix("}") + ', "events": ['
    before = "\n      "
    for event in _pages(all_events().filter(events_about([row.pk])), 0):
        yield before + json.dumps(_event(event, person))
        before = ",\n      "
    yield "]}"


def _event(event: SessionEvent, person: Person) -> dict[str, Any]:
    """Return an event of the person; another actor's address and user agent are that actor's data."""
    by = _who(event.actor_id, person) or ("other" if event.actor_label else None)
    is_another = by == "other"
    return {
        "kind": event.kind,
        "outcome": event.outcome,
        "at": _time(event.at),
        "by": by,
        "ip": None if is_another else event.ip,
        "user_agent": None if is_another else event.user_agent,
        "other_ip": event.other_ip,
        "other_user_agent": event.other_user_agent,
        "note": event.note,
        **({"client_id": event.client_id} if event.client_id else {}),
    }


def _attempts(person: Person) -> Iterator[SessionEvent]:
    """Yield what anybody tried on their account outside a session, such as a failed login."""
    yield from _pages(all_events().filter(person.attempts()), 0)


def _acts(person: Person) -> Iterator[SessionEvent]:
    """Yield the events that they caused on others' sessions."""
    if person.key is None:
        return
    own = Q(session__user=person.key)
    yield from _pages(all_events().filter(events_by(person.key)).exclude(own), 0)


def _act(event: SessionEvent) -> dict[str, Any]:
    """Return an event that they caused, without session and note: these are its owner's data."""
    return {
        "kind": event.kind,
        "outcome": event.outcome,
        "at": _time(event.at),
        "ip": event.ip,
        "user_agent": event.user_agent,
    }


def _mark(mark: NotBeforeMark, person: Person) -> dict[str, Any]:
    return {
        "at": _time(mark.at),
        "reason": mark.reason,
        "by": _who(mark.by_id, person),
        "note": mark.note,
    }


def _consent(consent: Consent) -> dict[str, Any]:
    return {
        "client": {"id": consent.client.client_id, "name": consent.client.name},
        "scope": consent.scope,
        "resources": consent.resources,
        "at": _time(consent.at),
    }


def _notice(notice: SentNotice) -> dict[str, Any]:
    return {
        "kind": notice.kind,
        "sent_at": _time(notice.sent_at),
        "held_back": notice.held_back or [],
        "held_back_count": notice.held_back_count,
    }


def _who(key: Any, person: Person) -> str | None:
    if key is None:
        return None
    return "self" if key == person.key else "other"


def _time(at: datetime | None) -> str | None:
    """Format a time as ISO 8601, UTC, to the microsecond."""
    return (
        None if at is None else at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    )
