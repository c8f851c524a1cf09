"""Erasing personal data: names, addresses, user agents and devices, from sessions and events.

What happened, when, and to which subject stays.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any
from uuid import UUID

from django.apps import apps
from django.db.models import Case, F, Q, QuerySet, Value, When

from authx.core.client_sessions import SUBJECT_PREFIX
from authx.core.device import UNKNOWN
from authx.models import DeviceSession, NotBeforeMark
from authx.models.exactly import is_exactly
from authx.sessions.connected_apps import forget_grants
from authx.sessions.notice_turns import forget_turns
from authx.sessions.people import Person, all_events, attempts_on, events_about, events_by, marks_on
from authx.sessions.personal_columns import (
    DEVICE_ID,
    EVENT_COLUMNS,
    MARK_COLUMNS,
    SESSION_COLUMNS,
    is_unerased,
    unerased,
)
from authx.sessions.row_changes import Change, at_once, count_only, in_batches
from authx.sessions.subjects import in_use
from authx.store import database
from authx.store.database import DatabaseNow


@dataclass(slots=True)
class Erased:
    """How many rows of each kind had something erased."""

    sessions: int = 0
    events: int = 0
    marks: int = 0
    log_entries: int = 0
    #: Deleted: what the user had granted to apps, as consents and codes.
    grants: int = 0
    #: Deleted, too: what notices have told the user.
    notices: int = 0

    def total(self) -> int:
        """Return how many rows that were in all."""
        return sum(getattr(self, field.name) for field in fields(self))


def forget(who: Any, *, dry_run: bool = False) -> Erased:
    """Erase the personal data about a user, or about a subject whose user has been deleted.

    Runs in transactions of a few hundred rows; a second run finds nothing. Live sessions go on, and what
    their devices do afterwards is recorded as before. So do connected apps, but their consents are deleted.
    With ``dry_run`` nothing is changed.

    Raises:
        ValueError: ``who`` is None, empty, or a user who is not saved.
        StoreUnavailable: the database cannot be written; some rows may have been erased.
    """
    with database.store_errors():
        person = Person.of(who)
        keys = list(person.sessions().order_by("pk").values_list("pk", flat=True))
        live = set(person.sessions().live(DatabaseNow()).exclude(user=None).values_list("pk", flat=True))
        erased = _erase([person], keys, live, count_only() if dry_run else in_batches)
        if person.key is not None:
            erased.grants = forget_grants(person.key, dry_run=dry_run)
            erased.notices = forget_turns(person.key, dry_run=dry_run)
        return erased


def forget_deleted(users: Sequence[Any], owned: Iterable[tuple[UUID, str, Any]]) -> Erased:
    """Erase in the transaction that deletes these users and has ended their sessions.

    ``owned`` yields of each session its id, its subject and its user's primary key. Five statements for a few
    hundred sessions, rolled back with the deletion.
    """
    keys, had = [], defaultdict[Any, set[str]](set)
    for key, subject, owner in owned:
        keys.append(key)
        had[owner].add(subject)
    return _erase(Person.of_deleted(users, had), keys, set(), at_once)


def forget_gone(batch: int, *, acts: bool = False, dry_run: bool = False) -> Iterator[Erased]:
    """Erase the personal data about deleted users: those deleted by SQL, for example, which sends no signal.

    With ``acts``, erase also the names of deleted actors in events on others' sessions, which reads all
    events. Yields the counts each time that something was erased.
    """
    change = count_only() if dry_run else in_batches
    gone = DeviceSession.objects.using(database.alias()).of_people().filter(user=None).order_by("pk")
    last = UUID(int=0)
    while keys := list(gone.filter(pk__gt=last).values_list("pk", flat=True)[:batch]):
        last = keys[-1]
        erased = _erase_sessions(keys, [], change, acts=False)
        if erased.total():
            yield erased
    for events in _of_nobody(all_events().filter(session=None), EVENT_COLUMNS, batch):
        yield Erased(events=change(events, EVENT_COLUMNS))
    for marks in _of_nobody(NotBeforeMark.objects.using(database.alias()).all(), MARK_COLUMNS, batch):
        yield Erased(marks=change(marks, MARK_COLUMNS))
    if acts:
        named = all_events().filter(Q(actor=None) & ~is_exactly("actor_label", ""))
        if count := change(named, {**EVENT_COLUMNS, "actor_label": ""}):
            yield Erased(events=count)


def _of_nobody(found: QuerySet[Any], columns: dict[str, Any], batch: int) -> Iterator[QuerySet[Any]]:
    """Yield those of ``found`` that have something to erase, and whose subject nobody has any more."""
    left = unerased(found.filter(~is_exactly("subject", "")), columns).order_by("pk")
    last = 0
    while rows := list(left.filter(pk__gt=last).values_list("pk", "subject")[:batch]):
        last = rows[-1][0]
        used = in_use({subject for _key, subject in rows})
        # A service's subject has never been anybody's.
        if keys := [key for key, name in rows if name not in used and not name.startswith(SUBJECT_PREFIX)]:
            yield unerased(found.filter(pk__in=keys), columns)


def _erase(people: Sequence[Person], keys: Sequence[UUID], live: set[UUID], change: Change) -> Erased:
    erased = Erased()
    users = [person.key for person in people if person.key is not None]
    chunks = list(database.chunks(keys)) or [[]]
    for chunk in chunks:
        # Events they caused elsewhere come with the last chunk: those of their own sessions are done by then.
        found = _erase_sessions(chunk, users, change, live=live, acts=chunk is chunks[-1])
        for field in fields(found):
            setattr(erased, field.name, getattr(erased, field.name) + getattr(found, field.name))
    attempts = all_events().filter(attempts_on(*people))
    erased.events += change(unerased(attempts, EVENT_COLUMNS), EVENT_COLUMNS)
    erased.marks = change(unerased(marks_on(*people), MARK_COLUMNS), MARK_COLUMNS)
    return erased


def _erase_sessions(
    keys: Sequence[UUID], users: Sequence[Any], change: Change, *, acts: bool, live: set[UUID] | None = None
) -> Erased:
    erased = Erased()
    sessions = DeviceSession.objects.using(database.alias())
    for kept, columns in ((True, SESSION_COLUMNS), (False, SESSION_COLUMNS | DEVICE_ID)):
        if mine := [key for key in keys if (key in (live or ())) is kept]:
            erased.sessions += change(unerased(sessions.filter(pk__in=mine), columns), columns)
    if keys or acts:
        erased.events = change(*_events(keys, users, acts=acts))
    if keys:
        erased.log_entries = _change_log(keys, change)
    return erased


def _events(
    keys: Sequence[UUID], users: Sequence[Any], *, acts: bool
) -> tuple[QuerySet[Any], dict[str, Any]]:
    """Return the events that have something to erase, and the new values of their columns.

    Events about a person lose addresses, user agents and notes, whoever caused them; another actor stays
    named. Events that the person caused elsewhere lose the person's name, address and user agent.
    """
    about = events_about(list(keys))
    theirs = Q(actor=None)
    found = about
    if users:
        theirs |= events_by(*users)
        if acts:
            found |= events_by(*users)
    condition = is_unerased(EVENT_COLUMNS)
    condition |= about & ~is_exactly("note", "") | theirs & ~is_exactly("actor_label", "")
    blank = Value("")
    columns = {
        **EVENT_COLUMNS,
        "note": Case(When(about, then=blank), default=F("note")),
        "actor_label": Case(When(theirs, then=blank), default=F("actor_label")),
    }
    return all_events().filter(found).filter(condition), columns


def erase_log(keys: Sequence[UUID]) -> int:
    """Erase the admin's log entries about sessions that will be deleted: they could not be found later."""
    return _change_log(keys, at_once)


def _change_log(keys: Sequence[UUID], change: Change) -> int:
    """Change the admin's log entries about sessions: they name the device, and the reason that staff gave."""
    if not apps.is_installed("django.contrib.admin"):
        return 0
    from django.contrib.admin.models import LogEntry
    from django.contrib.contenttypes.models import ContentType

    columns = {"object_repr": UNKNOWN, "change_message": ""}
    kind = ContentType.objects.db_manager(database.alias()).get_for_model(DeviceSession)
    entries = LogEntry._base_manager.using(database.alias()).filter(content_type=kind)
    return change(unerased(entries.filter(object_id__in=[str(key) for key in keys]), columns), columns)
