"""Sessions listed, found and renamed: a user's own logins, and anybody's sessions for staff.

The sessions of clients that act for a user are in ``connected_apps``.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from contextlib import suppress
from typing import Any, cast
from uuid import UUID

from django.db.models import Q

from authx.core.actor import NOBODY, Actor
from authx.core.device import MAX_NAME_LENGTH, clean_text
from authx.core.reasons import EndReason
from authx.core.revocation_log import name_of_key
from authx.models import DeviceSession, SessionEvent, SigningKey
from authx.sessions import audit
from authx.sessions.subjects import find_subject, sessions_of
from authx.store import database
from authx.store.database import DatabaseNow


def live_sessions(user: Any) -> list[DeviceSession]:
    """Return the user's live logins, most recently seen first."""
    with database.store_errors():
        return list(_live(user).order_by("-last_seen_at", "-created_at"))


def unconfirmed_sessions(user: Any) -> list[DeviceSession]:
    """Return the user's live logins from new devices that nobody has confirmed yet, the newest first."""
    with database.store_errors():
        return list(_live(user).filter(is_unconfirmed=True).order_by("-created_at"))


def newest_live_sessions(user: Any, most: int, *, without: UUID | None) -> tuple[list[DeviceSession], int]:
    """Return the user's ``most`` live logins that were seen last, but one, and how many there are without it.

    First those that nobody has confirmed yet. One statement, and one to count them where there are more.
    """
    with database.store_errors():
        others = _live(user).exclude(pk=without) if without is not None else _live(user)
        found = list(others.order_by("-is_unconfirmed", "-last_seen_at", "-created_at")[: most + 1])
        return found[:most], len(found) if len(found) <= most else others.count()


def recent_events(user: Any, kinds: Collection[str], most: int) -> list[SessionEvent]:
    """Return the newest events of these kinds of the user's logins, and of attempts that opened none.

    Two statements: one condition on both tables would be asked of everybody's events, the newest first.
    """
    rows = SessionEvent.objects.using(database.alias()).filter(kind__in=kinds).order_by("-at", "-pk")
    subject = find_subject(user)
    with database.store_errors():
        found = list(rows.filter(session__user=user, session__client_id="").select_related("session")[:most])
        if subject is not None:
            # An end of no session is what ``contrib.moving`` notes about credentials of another package.
            attempts = rows.filter(session=None, subject=subject).exclude(kind=SessionEvent.Kind.ENDED)
            found += attempts[:most]
    return sorted(found, key=lambda event: (event.at, event.pk), reverse=True)[:most]


def find_live_session(user: Any, sid: UUID) -> DeviceSession | None:
    """Return the user's live login with that id, or the live one that continues it.

    None if it is missing, over, somebody else's, or a client's.
    """
    with database.store_errors():
        found = _live(user).filter(pk=sid).first() or _live(user).filter(pk__in=continuing([sid])).first()
    return cast("DeviceSession | None", found)


def find_own_session(user: Any, sid: UUID) -> DeviceSession | None:
    """Return the user's login with that id, live or ended; None if it is missing, or somebody else's."""
    with database.store_errors():
        return cast("DeviceSession | None", _owned(user).filter(pk=sid).first())


def other_sessions(user: Any, sid: UUID | None) -> Any:
    """Return a queryset of the user's logins except ``sid``, for ``end_sessions``; of all if it is None.

    The session that continues ``sid`` since its request has begun is left out too. Connected apps go on: they
    are no devices.
    """
    owned = _owned(user)
    if sid is None:
        return owned
    successor = owned.filter(pk=sid).exclude(successor=None).values("successor")
    return owned.exclude(Q(pk=sid) | Q(pk__in=successor))


def continuing(sids: Iterable[UUID]) -> set[UUID]:
    """Return the ids of the sessions that continue these, any number of steps on."""
    line: set[UUID] = set()
    found = set(sids)
    while found:
        rows = DeviceSession.objects.using(database.alias()).filter(pk__in=found)
        found = {sid for sid in rows.values_list("successor", flat=True) if sid is not None} - line
        line |= found
    return line


def live_or_continued(sessions: Any) -> Any:
    """Return a queryset of the live ones of ``sessions``, and of the live ones that continue the others."""
    rows = DeviceSession.objects.using(database.alias())
    keys = sessions.using(database.alias()).order_by()
    line = continuing(keys.exclude(successor=None).values_list("pk", flat=True))
    return rows.filter(Q(pk__in=keys.values("pk")) | Q(pk__in=line)).live()


def rename_session(session: DeviceSession, name: str, actor: Actor = NOBODY) -> str:
    """Set the device name that the user chose; return it as it is stored, at most 100 characters."""
    kept = clean_text(name, MAX_NAME_LENGTH)
    at = database.database_now()

    def write() -> None:
        live = DeviceSession.objects.using(database.alias()).filter(pk=session.pk, ended_at=None)
        if live.update(device_name=kept):
            audit.record(SessionEvent.Kind.RENAMED, session, at=at, actor=actor, note=kept)

    database.transact(write)
    session.device_name = kept
    return kept


def _live(user: Any) -> Any:
    return _owned(user).live(DatabaseNow())


def _owned(user: Any) -> Any:
    return DeviceSession.objects.using(database.alias()).first_party().filter(user=user)


def find_session(sid: UUID) -> DeviceSession | None:
    """Return anybody's session with its user, live or ended; None if there is none with that id."""
    with database.store_errors():
        return DeviceSession.objects.using(database.alias()).filter(pk=sid).select_related("user").first()


def find_sessions(sids: Collection[UUID]) -> list[DeviceSession]:
    """Return the sessions with these ids, in their order; without those that there are not."""
    with database.store_errors():
        found = DeviceSession.objects.using(database.alias()).in_bulk(list(sids))
    return [found[sid] for sid in sids if sid in found]


def search_sessions(*, user: str | None, device_type: str | None, status: str | None) -> Any:
    """Return everybody's sessions, newest first; live ones unless ``status`` is ``ended`` or ``all``.

    None leaves a filter out; ``user`` is a subject or a key, and an empty one is nobody's.
    """
    found = DeviceSession.objects.using(database.alias()).select_related("user").with_marks()
    if user == "" or "\x00" in f"{user}{device_type}":  # PostgreSQL rejects NUL, and no row has it
        return found.none()
    if user is not None:
        found = found.filter(sessions_of(user))
    if device_type is not None:
        found = found.filter(device_type=device_type)
    if status == "ended":
        found = found.ended()
    elif status != "all":
        found = found.live()
    return found.order_by("-created_at", "-pk")


def entries_of(sids: Collection[str], kids: Collection[str]) -> dict[str, str]:
    """Return the entries that the revocation log would have for these sessions and keys, by their rows.

    For when there are too many endings to read the log. Two statements.

    Raises:
        StoreUnavailable: the database cannot be read.
    """
    with database.store_errors():
        rows = DeviceSession.objects.using(database.alias()).filter(pk__in=_uuids(sids)).with_marks()
        ends = {str(row.pk): row.recorded_end() for row in rows.only("ended_at", "end_reason")}
        keys = SigningKey.objects.using(database.alias()).filter(kid__in=kids).exclude(withdrawn_at=None)
        withdrawn = list(keys.values_list("kid", flat=True))
    ended = {sid: end.reason for sid, end in ends.items() if end is not None}
    pruned = {sid: EndReason.EXPIRED.value for sid in sids if sid not in ends}
    return {**ended, **pruned, **{name_of_key(kid): "" for kid in withdrawn}}


def _uuids(sids: Iterable[str]) -> set[UUID]:
    found = set()
    for sid in sids:
        with suppress(ValueError):
            found.add(UUID(sid))
    return found
