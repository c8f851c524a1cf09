"""The swap of a session's row: one conditional UPDATE, alone or in one statement with its event."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any, Final

from authx.models import DeviceSession, SessionEvent
from authx.sessions.audit import APPENDING
from authx.store import database
from authx.store.compiled import CompiledUpdate, Parameter
from authx.store.compiled_insert import UpdateAndInsert

#: What a verdict is based on, and each of these changes with another verdict.
_JUDGED: Final = (
    "id",
    "generation",
    "confirmed_generation",
    "strike_generation",
    "late_streak",
    "twin_generation",
    "fingerprint",
)


@dataclass(frozen=True, slots=True)
class Swap:
    """One conditional UPDATE of a session's row, with its values."""

    _statement: UpdateAndInsert
    _given: Mapping[str, Any]

    def run(self) -> bool:
        """Return whether the row was as it was judged, and has been changed; in the caller's transaction."""
        return self._statement.update.run(self._given) == 1

    def run_at_once(self, make_event: Callable[[], SessionEvent] | None) -> bool | None:
        """Do the same in one statement, a transaction of its own, with its event, if there is to be one.

        None where that cannot be; then nothing was done.
        """
        if make_event is None:
            rows = self._statement.update.run_at_once(self._given)
        else:
            rows = self._statement.run_at_once(self._given, make_event)
        return None if rows is None else rows == 1


def swap_of(session: DeviceSession, changes: Mapping[str, Any], context: Mapping[str, Any]) -> Swap:
    """Return the swap that makes the changes only if the session is still as it was judged.

    The columns of ``context`` must be unchanged too, or each tab of a burst would raise the same alarm.
    """
    judged = {name: getattr(session, name) for name in (*_JUDGED, *context)} | {"ended_at": None}
    connection = database.current_connection()
    given = {f"new {name}": _column(name).get_db_prep_save(changes[name], connection) for name in changes}
    known = {name: value for name, value in judged.items() if value is not None}
    given |= {f"old {name}": _column(name).get_db_prep_value(known[name], connection) for name in known}
    return Swap(_swapping(frozenset(changes), frozenset(known), frozenset(judged.keys() - known)), given)


@cache
def _column(name: str) -> Any:
    return DeviceSession._meta.get_field(name)


@lru_cache(maxsize=64)
def _swapping(changed: frozenset[str], judged: frozenset[str], unset: frozenset[str]) -> UpdateAndInsert:
    """Return the swap that sets these columns where those are as judged, and the unset ones NULL."""

    def build(alias: str) -> tuple[Any, dict[str, Any]]:
        conditions: dict[str, Any] = {
            name: Parameter(f"old {name}", _column(name)) for name in sorted(judged)
        }
        conditions |= {f"{name}__isnull": True for name in sorted(unset)}
        values = {name: Parameter(f"new {name}", _column(name)) for name in sorted(changed)}
        return DeviceSession.objects.using(alias).filter(**conditions), values

    return UpdateAndInsert(CompiledUpdate(build), APPENDING)
