"""Parsers of settings: a rule has accepted each value before, so nothing here can fail."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from django.utils.module_loading import import_string

from authx.core.limits import Limit
from authx.core.notice_kinds import NoticeKind
from authx.core.risk import Action, Alarm


@dataclass(frozen=True, slots=True)
class DottedPath:
    """The dotted path of a function or class of the site.

    It is imported at each use, and not when the setting is read: a wrong path breaks only the code that needs
    it, and a test can replace the object at that path.
    """

    path: str

    def __str__(self) -> str:
        return self.path

    def __call__(self, *arguments: Any) -> Any:
        """Import the object and call it.

        Raises:
            ImportError: there is none.
        """
        return import_string(self.path)(*arguments)


def flag_or_path(value: bool | str) -> bool | DottedPath:
    """Return True and False as they are, and a text as a dotted path."""
    return DottedPath(value) if isinstance(value, str) else value


def texts(value: str | Iterable[str]) -> tuple[str, ...]:
    """Return a tuple of texts; one text becomes a tuple of one."""
    return (value,) if isinstance(value, str) else tuple(value)


def limits(value: Iterable[Mapping[str, Any]]) -> tuple[Limit, ...]:
    """Read each entry of AUTHX_SESSION_LIMITS."""
    return tuple(map(Limit.read, value))


def table(value: Mapping[str, Iterable[str]]) -> Mapping[str, tuple[str, ...]]:
    """Make a dict of lists, such as AUTHX_AMR and AUTHX_RESOURCES, a read-only table."""
    return MappingProxyType({name: tuple(words) for name, words in value.items()})


def alarm_actions(value: Mapping[str, str]) -> Mapping[Alarm, Action]:
    """Complete AUTHX_ALARMS: an alarm that it does not name is flagged."""
    return MappingProxyType({alarm: Action(value.get(alarm, Action.FLAG)) for alarm in Alarm})


def notice_kinds(value: bool | Iterable[str]) -> frozenset[NoticeKind]:
    """Return the kinds of AUTHX_NOTICE_MAIL: all of them, none, or those that it names."""
    named: Iterable[str] = (NoticeKind if value else ()) if isinstance(value, bool) else value
    return frozenset(map(NoticeKind, named))
