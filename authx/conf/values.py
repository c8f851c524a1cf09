"""What a setting is read as: a rule has found it fit, so nothing here can fail."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from django.utils.module_loading import import_string

from authx.core.limits import Limit
from authx.core.risk import Action, Alarm


@dataclass(frozen=True, slots=True)
class DottedPath:
    """The dotted path of something that the site has written.

    It is imported at each use, and not when the setting is read: a path that leads nowhere breaks what needs
    it and nothing else, and what a test puts in that place is found.
    """

    path: str

    def __str__(self) -> str:
        return self.path

    def __call__(self, *arguments: Any) -> Any:
        """Call what is there.

        Raises:
            ImportError: there is nothing.
        """
        return import_string(self.path)(*arguments)


def flag_or_path(value: bool | str) -> bool | DottedPath:
    """Leave True and False as they are; a text is a dotted path."""
    return DottedPath(value) if isinstance(value, str) else value


def texts(value: str | Iterable[str]) -> tuple[str, ...]:
    """Take one text as a list of one."""
    return (value,) if isinstance(value, str) else tuple(value)


def limits(value: Iterable[Mapping[str, Any]]) -> tuple[Limit, ...]:
    """Read each entry of AUTHX_SESSION_LIMITS."""
    return tuple(map(Limit.read, value))


def methods(value: Mapping[str, Iterable[str]]) -> Mapping[str, tuple[str, ...]]:
    """Make AUTHX_AMR a table that nobody changes."""
    return MappingProxyType({name: tuple(words) for name, words in value.items()})


def alarm_actions(value: Mapping[str, str]) -> Mapping[Alarm, Action]:
    """Complete AUTHX_ALARMS: an alarm that it does not name is flagged."""
    return MappingProxyType({alarm: Action(value.get(alarm, Action.FLAG)) for alarm in Alarm})
