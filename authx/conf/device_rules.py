"""Rules of the settings about device types: their names, the words for them, and limits per type."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

from django.utils.functional import Promise

from authx.conf.rules import Rule
from authx.core.limits import Limit

_TYPE_NAME = re.compile(r"[a-z][a-z0-9_-]{0,31}")


def type_names(value: Any) -> str | None:
    listed = isinstance(value, list | tuple) and value
    if listed and all(isinstance(name, str) and _TYPE_NAME.fullmatch(name) for name in value):
        return None
    return "must be a list of short lower-case names"


def type_labels(device_types: Callable[[], Any]) -> Rule:
    """Return a rule for the words for some of ``device_types()``, which may itself be invalid."""

    def rule(value: Any) -> str | None:
        if not isinstance(value, dict) or not all(_is_label(label) for label in value.values()):
            return 'must map device types to what people read, such as {"tv": _("Television")}'
        return _unknown(value, device_types())

    return rule


def session_limits(device_types: Callable[[], Any]) -> Rule:
    """Return a rule for limits whose types are all in ``device_types()``, which may itself be invalid."""

    def rule(value: Any) -> str | None:
        if not isinstance(value, list | tuple):
            return "must be a list of dicts with types, limit and when_full"
        try:
            limits = [Limit.read(entry) for entry in value]
        except ValueError as error:
            return str(error)
        return _unknown((type_ for limit in limits for type_ in limit.types or ()), device_types())

    return rule


def _is_label(value: Any) -> bool:
    """Return whether it is a text; one that is translated is not looked at, as settings come first."""
    return isinstance(value, Promise) or (isinstance(value, str) and bool(value.strip()))


def _unknown(named: Iterable[Any], known: Any) -> str | None:
    """Return the complaint about types that are not ``known``; None if the complaint is about those."""
    if type_names(known) is None and (unknown := set(named) - set(known)):
        return f"names types that AUTHX_DEVICE_TYPES does not: {', '.join(sorted(map(str, unknown)))}"
    return None
