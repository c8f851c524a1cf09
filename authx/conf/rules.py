"""What a setting's value must look like: each rule returns its complaint, or None."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings

from authx.core.methods import is_word
from authx.core.notice_kinds import NoticeKind
from authx.core.rates import Rate
from authx.core.risk import CHOSEN, Action
from authx.core.time_limits import LONGEST_LIFE

#: The complaint about a value, to be read after the setting's name; None when it is fine.
Rule = Callable[[Any], "str | None"]

_COOKIE_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,128}")
_DOTTED = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+")
#: As RFC 6454 §6.2 writes an origin: a default port is left out.
_ORIGIN = re.compile(
    r"(?!https://[^/]*:443$|http://[^/]*:80$)[a-z][a-z0-9+.-]*://([a-z0-9_.-]+|\[[0-9a-f:.]+\])(:[1-9][0-9]{0,4})?"
)
_PROOF = re.compile(r"[A-Za-z_]\w*([.-]\w+)*")


def positive(value: Any) -> str | None:
    if isinstance(value, timedelta) and value > timedelta(0):
        return None
    return "must be a positive timedelta, such as timedelta(minutes=15)"


def lifetime(value: Any) -> str | None:
    if isinstance(value, timedelta) and timedelta(seconds=1) <= value <= LONGEST_LIFE:
        return None
    return f"must be a timedelta from one second to {LONGEST_LIFE.days} days"


def between(least: timedelta, most: timedelta) -> Rule:
    def rule(value: Any) -> str | None:
        if isinstance(value, timedelta) and least <= value <= most:
            return None
        return f"must be a timedelta from {least.total_seconds():.0f} to {most.total_seconds():.0f} seconds"

    return rule


def at_most(limit: timedelta) -> Rule:
    return between(timedelta(0), limit)


def moment(value: Any) -> str | None:
    if isinstance(value, datetime) and value.utcoffset() is not None:
        return None
    return "must be an aware datetime, such as datetime(2030, 3, 31, tzinfo=UTC)"


def filled(value: Any) -> str | None:
    return None if isinstance(value, str) and value else "must be a non-empty string"


def filled_or_list(value: Any) -> str | None:
    members = value if isinstance(value, list | tuple) and value else [value]
    if all(isinstance(member, str) and member for member in members):
        return None
    return "must be a non-empty string or a list of them"


def boolean(value: Any) -> str | None:
    return None if isinstance(value, bool) else "must be True or False"


def one_of(*choices: object) -> Rule:
    def rule(value: Any) -> str | None:
        named = ", ".join(map(repr, choices))
        return None if any(value == choice for choice in choices) else f"must be one of {named}"

    return rule


def cookie_name(value: Any) -> str | None:
    if isinstance(value, str) and _COOKIE_NAME.fullmatch(value):
        return None
    return "must be a cookie name: letters, digits and - _ . alone"


def dotted(value: Any) -> str | None:
    if isinstance(value, str) and _DOTTED.fullmatch(value):
        return None
    return "must be a dotted path to an importable name"


def field_name(value: Any) -> str | None:
    if isinstance(value, str) and value.isidentifier():
        return None
    return "must be the name of a column of the user model"


def optional(rule: Rule) -> Rule:
    def either(value: Any) -> str | None:
        return None if value is None or (complaint := rule(value)) is None else f"{complaint}, or None"

    return either


def boolean_or_function(signature: str) -> Rule:
    def rule(value: Any) -> str | None:
        if isinstance(value, bool) or dotted(value) is None:
            return None
        return f"must be True, False, or the dotted path of a function {signature}"

    return rule


def methods(value: Any) -> str | None:
    if isinstance(value, dict) and all(_is_proof(key) and _are_words(value[key]) for key in value):
        return None
    return 'must map names of backends and proofs to lists of words, such as {"site.Backend": ["pwd", "otp"]}'


def _is_proof(name: Any) -> bool:
    return isinstance(name, str) and _PROOF.fullmatch(name) is not None


def _are_words(value: Any) -> bool:
    return isinstance(value, list | tuple) and len(value) <= 16 and all(map(is_word, value))


def store(value: Any) -> str | None:
    if value in ("database", "redis", "remote") or dotted(value) is None:
        return None
    return 'must be "database", "redis", "remote", or the dotted path of a revocation source'


def address(value: Any) -> str | None:
    """Check a URL that we fetch: https, or http where the site is in DEBUG."""
    try:
        parts = urlsplit(value) if isinstance(value, str) else None
    except ValueError:
        parts = None
    schemes = {"https", "http"} if settings.DEBUG else {"https"}
    if parts is None or parts.scheme not in schemes or not parts.hostname or parts.username:
        return "must be an https URL (http too in DEBUG), without a user name in it"
    return None


def rate(value: Any) -> str | None:
    try:
        Rate.read(value)
    except (TypeError, ValueError):
        return 'must be a rate such as "10/min" (per s, min, hour or day)'
    return None


def whole_number(least: int, most: int) -> Rule:
    def rule(value: Any) -> str | None:
        if isinstance(value, int) and not isinstance(value, bool) and least <= value <= most:
            return None
        return f"must be a whole number from {least} to {most}"

    return rule


def origins(value: Any) -> str | None:
    if isinstance(value, list | tuple) and all(
        isinstance(item, str) and _ORIGIN.fullmatch(item) for item in value
    ):
        return None
    return (
        'must be a list of origins as browsers send them, such as "https://app.example.com": lower case, '
        "no path, no slash at the end, no *"
    )


def alarm_actions(value: Any) -> str | None:
    if isinstance(value, dict) and set(value) <= set(CHOSEN) and set(value.values()) <= set(Action):
        return None
    return f"must map {', '.join(CHOSEN)} to one of {', '.join(Action)}"


def notice_kinds(value: Any) -> str | None:
    if isinstance(value, bool) or (isinstance(value, list | tuple) and set(value) <= set(NoticeKind)):
        return None
    return f"must be True, False, or a list of kinds: {', '.join(NoticeKind)}"
