"""Sessions listed, found and renamed: a user's own, and anybody's for staff."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from authx.core.actor import NOBODY, Actor
from authx.core.device import clean_text
from authx.models import DeviceSession, SessionEvent
from authx.sessions import audit
from authx.sessions.subjects import sessions_of
from authx.store import database
from authx.store.database import DatabaseNow


def live_sessions(user: Any) -> list[DeviceSession]:
    """Return the user's live sessions, most recently seen first."""
    with database.store_errors():
        return list(_live(user).order_by("-last_seen_at", "-created_at"))


def find_live_session(user: Any, sid: UUID) -> DeviceSession | None:
    """Return the user's live session with that id; None if it is missing, over, or somebody else's."""
    with database.store_errors():
        found: DeviceSession | None = _live(user).filter(pk=sid).first()
    return found


def other_sessions(user: Any, sid: UUID | None) -> Any:
    """Return a queryset of the user's sessions except ``sid``, for ``end_sessions``; of all if it is None."""
    owned = DeviceSession.objects.using(database.alias()).filter(user=user)
    return owned if sid is None else owned.exclude(pk=sid)


def rename_session(session: DeviceSession, name: str, actor: Actor = NOBODY) -> str:
    """Set the device name that the user chose; return it as it is stored, at most 100 characters."""
    kept = clean_text(name, 100)
    at = database.database_now()

    def write() -> None:
        live = DeviceSession.objects.using(database.alias()).filter(pk=session.pk, ended_at=None)
        if live.update(device_name=kept):
            audit.record(SessionEvent.Kind.RENAMED, session, at=at, actor=actor, note=kept)

    database.transact(write)
    session.device_name = kept
    return kept


def _live(user: Any) -> Any:
    return DeviceSession.objects.using(database.alias()).filter(user=user).live(DatabaseNow())


def find_session(sid: UUID) -> DeviceSession | None:
    """Return anybody's session with its user, live or ended; None if there is none with that id."""
    with database.store_errors():
        return DeviceSession.objects.using(database.alias()).filter(pk=sid).select_related("user").first()


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
