"""What happened to a session, as a person reads it: newest first, in words, with refreshes folded."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from django.utils.translation import gettext as _

from authx.admin.words import ALARMS, ENDED
from authx.core.reasons import EndReason
from authx.http.direction import isolated
from authx.http.words import device_type, methods
from authx.models import DeviceSession, SessionEvent

#: Events read for one page; whatever is older stands in the export of the person's data.
MAX_EVENTS: Final = 500
#: How the note begins where a client has revoked a token; its name follows.
_REVOKED: Final = "revoked by "
_Kind = SessionEvent.Kind
_LOOKS: Final = {
    _Kind.FLAGGED: "alarm",
    _Kind.COPIED: "alarm",
    _Kind.DISOWNED: "alarm",
    _Kind.LATE_REPLAY: "warning",
    _Kind.STATE_ROLLBACK: "warning",
    _Kind.REFUSED: "warning",
    _Kind.RENAMED: "quiet",
}


@dataclass(frozen=True, slots=True)
class Item:
    """One line of the history, or many refreshes in a row."""

    at: datetime
    words: str
    #: Where from, and by whom if it was not its user; ``""`` if nothing is known.
    detail: str
    look: str = ""
    #: How many refreshes it stands for, and the time of the first.
    times: int = 1
    since: datetime | None = None
    kind: str = ""


def newest_events(session: DeviceSession) -> list[SessionEvent]:
    """Return the events of a session, newest first, at most ``MAX_EVENTS``. One statement."""
    return list(session.events.order_by("-at", "-pk")[:MAX_EVENTS])


def history_of(session: DeviceSession, events: Iterable[SessionEvent]) -> list[Item]:
    """Return in words what happened to a session; ``events`` are its own, newest first."""
    return list(_folded(_item(event, session) for event in events))


def alarms_of(history: Iterable[Item]) -> list[Item]:
    """Return the alarms among them, newest first."""
    return [item for item in history if item.kind == _Kind.FLAGGED]


def _folded(items: Iterable[Item]) -> Iterable[Item]:
    last: Item | None = None
    for item in items:
        if last is not None and item.kind == last.kind == _Kind.REFRESHED:
            last = replace(last, times=last.times + 1, since=item.at)
            continue
        if last is not None:
            yield last
        last = item
    if last is not None:
        yield last


def _item(event: SessionEvent, session: DeviceSession) -> Item:
    return Item(event.at, _words(event, session), _detail(event, session), _look(event), kind=event.kind)


def _look(event: SessionEvent) -> str:
    if event.kind == _Kind.ENDED:
        return "alarm" if event.outcome == EndReason.REUSED else "warning"
    return _LOOKS.get(_Kind(event.kind), "") if event.kind in _Kind.values else ""


def _words(event: SessionEvent, session: DeviceSession) -> str:
    kind = event.get_kind_display()
    if event.kind == _Kind.FLAGGED:
        return _("Alarm: %(alarm)s") % {"alarm": ALARMS.get(event.outcome, event.outcome)}
    if event.kind == _Kind.ENDED:
        return str(ENDED.get(event.outcome, event.outcome or kind))
    if event.kind == _Kind.OPENED and session.amr:
        return _("%(event)s: %(methods)s") % {"event": kind, "methods": methods(session.amr)}
    if event.kind == _Kind.RENAMED and event.note:
        return _("%(event)s: %(name)s") % {"event": kind, "name": isolated(event.note)}
    return str(kind)


def _detail(event: SessionEvent, session: DeviceSession) -> str:
    by = event.actor_label or event.client_id
    is_own = event.actor_id is not None and event.actor_id == session.user_id
    places = [isolated(ip) for ip in (event.ip, event.other_ip) if ip]
    who = "" if is_own or not by else _("by %(name)s") % {"name": isolated(by)}
    parts = [who, *places, isolated(_note(event, session))]
    return " · ".join(str(part) for part in parts if part)


def _note(event: SessionEvent, session: DeviceSession) -> str:
    """Return what was noted with it, in words where it was not a person who noted it."""
    if event.kind == _Kind.RENAMED:  # stands in the line itself
        return ""
    if event.kind == _Kind.REAUTHENTICATED:
        return methods(event.note.split())
    if event.kind == _Kind.ENDED and event.outcome == EndReason.REPLACED and session.replaced_by:
        return _("newer sign-in: %(device)s") % {"device": device_type(session.replaced_by)}
    if event.kind == _Kind.ENDED and event.outcome == EndReason.LOGOUT and event.note.startswith(_REVOKED):
        return _("revoked by %(client)s") % {"client": isolated(event.note.removeprefix(_REVOKED))}
    return event.note
