"""Every setting, declared once: default, rule, help. ``checks.py`` is the second half."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any, Generic, TypeVar
from urllib.parse import urlsplit

from django.conf import settings
from django.utils.functional import empty

from authx.core.alarms import CHOSEN, Action
from authx.core.limits import Limit

T = TypeVar("T")
#: The complaint about a value, to be read after the setting's name; None when it is fine.
Rule = Callable[[Any], "str | None"]

_RATE = re.compile(r"([1-9]\d{0,8})/(s|sec|second|m|min|minute|h|hour|d|day)")
_PERIODS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_COOKIE_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,128}")
_DOTTED = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+")
_TYPE_NAME = re.compile(r"[a-z][a-z0-9_-]{0,31}")


def parse_rate(rate: str) -> tuple[int, int]:
    """Read ``"10/min"`` as (10 requests, 60 seconds)."""
    matched = _RATE.fullmatch(rate)
    if matched is None:
        raise ValueError(f"not a rate: {rate!r}")
    return int(matched[1]), _PERIODS[matched[2][0]]


def positive(value: Any) -> str | None:
    if isinstance(value, timedelta) and value > timedelta(0):
        return None
    return "must be a positive timedelta, such as timedelta(minutes=15)"


def lifetime(value: Any) -> str | None:
    if isinstance(value, timedelta) and value >= timedelta(seconds=1):
        return None
    return "must be a timedelta of at least one second"


def at_most(limit: timedelta) -> Rule:
    def rule(value: Any) -> str | None:
        if isinstance(value, timedelta) and timedelta(0) <= value <= limit:
            return None
        return f"must be a timedelta from 0 to {limit.total_seconds():.0f} seconds"

    return rule


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


def optional(rule: Rule) -> Rule:
    def either(value: Any) -> str | None:
        return None if value is None or (complaint := rule(value)) is None else f"{complaint}, or None"

    return either


def boolean_or_dotted(value: Any) -> str | None:
    if isinstance(value, bool) or dotted(value) is None:
        return None
    return "must be True, False, or the dotted path of a function (request, user) -> bool"


def store(value: Any) -> str | None:
    if value in ("database", "redis", "remote") or dotted(value) is None:
        return None
    return 'must be "database", "redis", "remote", or the dotted path of a revocation source'


def address(value: Any) -> str | None:
    """A URL we fetch: https, or http where the site is in DEBUG."""
    parts = urlsplit(value) if isinstance(value, str) else None
    schemes = {"https", "http"} if settings.DEBUG else {"https"}
    if parts is None or parts.scheme not in schemes or not parts.hostname or parts.username:
        return "must be an https URL (http too in DEBUG), without a user name in it"
    return None


def credentials(value: Any) -> str | None:
    pair = isinstance(value, list | tuple) and len(value) == 2
    if pair and all(isinstance(part, str) and part for part in value):
        return None
    return "must be a pair of texts: client id and secret"


def rate(value: Any) -> str | None:
    if isinstance(value, str) and _RATE.fullmatch(value):
        return None
    return 'must be a rate such as "10/min" (per s, min, hour or day)'


def count(value: Any) -> str | None:
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 32:
        return None
    return "must be a whole number from 0 to 32"


def type_names(value: Any) -> str | None:
    listed = isinstance(value, list | tuple) and value
    if listed and all(isinstance(name, str) and _TYPE_NAME.fullmatch(name) for name in value):
        return None
    return "must be a list of short lower-case names"


def session_limits(value: Any) -> str | None:
    if not isinstance(value, list | tuple):
        return "must be a list of dicts with types, limit and when_full"
    try:
        limits = [Limit.read(rule) for rule in value]
    except ValueError as error:
        return str(error)
    if type_names(conf.DEVICE_TYPES):
        return None  # that is the setting to complain about
    known = set(conf.DEVICE_TYPES)
    if unknown := set().union(*(limit.types or () for limit in limits)) - known:
        return f"names types that AUTHX_DEVICE_TYPES does not: {', '.join(sorted(map(str, unknown)))}"
    return None


def alarm_actions(value: Any) -> str | None:
    if isinstance(value, dict) and set(value) <= set(CHOSEN) and set(value.values()) <= set(Action):
        return None
    return f"must map {', '.join(CHOSEN)} to one of {', '.join(Action)}"


def signing_keys(value: Any) -> str | None:
    if not isinstance(value, list | tuple):
        return "must be a list of PEM texts, paths, or dicts with key, alg and password"
    for entry in value:
        if isinstance(entry, dict):
            if extra := set(entry) - {"key", "alg", "password"}:
                return f"has an entry with unknown members: {', '.join(sorted(map(str, extra)))}"
            if not entry.get("key"):
                return "has an entry without its key"
        elif not entry or not (isinstance(entry, str | bytes) or hasattr(entry, "__fspath__")):
            return "must list PEM texts, paths, or dicts with key, alg and password"
    return None


def _configured(name: str, default: T) -> T:
    """``getattr(settings, name, default)``, which costs ten times as much where the name is not set.

    A request reads eight of ours, most of them at their defaults.
    """
    holder: Any = object.__getattribute__(settings, "_wrapped")
    if holder is empty:
        return getattr(settings, name, default)  # the first to ask sets them up
    while holder is not None:
        members = holder.__dict__
        if name in members:
            found: T = members[name]
            return found
        if "default_settings" not in members:
            return default
        if name in members["_deleted"]:
            return default
        holder = members["default_settings"]  # what these override
    return default


class Setting(Generic[T]):
    """One setting: default, rule, help. Reads ``settings.AUTHX_<name>`` at every access."""

    name: str

    def __init__(self, default: T, rule: Rule, help: str, *, follows: str = "") -> None:
        self.default, self.rule, self.help, self.follows = default, rule, help, follows

    def complaint(self) -> str | None:
        """What is wrong with the value configured, or None."""
        try:
            return self.rule(self.__get__(conf))
        except (TypeError, ValueError):
            return "has a value of the wrong type"

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = f"AUTHX_{name}"

    def __get__(self, instance: Conf, owner: type | None = None) -> T:
        value: T = _configured(self.name, self.default)
        if value is None and self.follows:
            value = getattr(instance, self.follows)
        return value


class Conf:
    """The settings of authx, read when asked. Durations are timedeltas."""

    ISSUER = Setting("authx", filled, "The iss of our tokens; an https URL in production.")
    AUDIENCE: Setting[Any] = Setting(
        None, filled_or_list, "The aud put in and demanded of our tokens.", follows="ISSUER"
    )
    ACCESS_TOKEN_LIFETIME = Setting(timedelta(minutes=15), lifetime, "Life of an access token.")
    IDLE_LIFETIME = Setting(timedelta(days=7), lifetime, "A session not refreshed for this long has ended.")
    SESSION_LIFETIME = Setting(
        timedelta(days=30), lifetime, "Absolute life of a session; refreshing never extends it."
    )
    REFRESH_GRACE = Setting(
        timedelta(seconds=30), positive, "A spent refresh token stays harmless this long."
    )
    CLOCK_LEEWAY = Setting(timedelta(seconds=10), at_most(timedelta(seconds=60)), "For exp, nbf and iat.")
    CLIENT_ID = Setting("first-party", filled, "The client_id of our own logins (RFC 9068).")
    SIGNING_KEYS: Setting[Any] = Setting(
        [], signing_keys, "PEM texts or paths; the first signs, all verify. Empty: from SECRET_KEY."
    )
    CLAIMS: Setting[str | None] = Setting(
        None, optional(dotted), "Function (session) -> dict: extra claims, such as roles."
    )
    DEVICE_TYPES: Setting[Any] = Setting(
        ("web", "ios", "android", "desktop", "other"),
        type_names,
        "The device types a login may name.",
    )
    SESSION_LIMITS: Setting[Any] = Setting(
        [], session_limits, "How many sessions a user may have per device type or group of types."
    )
    REVOCATION_STORE = Setting("database", store, "Where the gate asks whether a session has ended.")
    REVOCATION_LAG = Setting(
        timedelta(0),
        at_most(timedelta(hours=1)),
        "How old a process's own copy of the ended sessions may be; 0 asks at every request.",
    )
    REDIS_ALIAS = Setting("default", filled, "The django-redis cache alias whose Redis is used.")
    JWKS_URL: Setting[str | None] = Setting(
        None, optional(address), "Where a verify-only service finds the issuer's public keys."
    )
    REVOCATIONS_URL: Setting[str | None] = Setting(
        None, optional(address), "Where a verify-only service reads the recent endings."
    )
    INTROSPECTION_URL: Setting[str | None] = Setting(
        None, optional(address), "Where a verify-only service asks about each token, without the feed."
    )
    SERVICE_CREDENTIALS: Setting[Any] = Setting(
        None, optional(credentials), "Client id and secret of a verify-only service."
    )
    BIND_DJANGO_LOGIN: Setting[Any] = Setting(
        True,
        boolean_or_dotted,
        "Open a device session at every Django login; or a function that decides.",
    )
    ACCESS_COOKIE = Setting("__Host-authx_access", cookie_name, "Name of the access token's cookie.")
    REFRESH_COOKIE = Setting("__Host-authx_refresh", cookie_name, "Name of the refresh token's cookie.")
    DEVICE_COOKIE = Setting("__Host-authx_device", cookie_name, "Name of the cookie that knows the device.")
    COOKIE_SECURE = Setting(True, boolean, "Send our cookies over https alone.")
    COOKIE_SAMESITE = Setting("Lax", one_of("Lax", "Strict", "None"), "SameSite of our cookies.")
    COOKIE_ENCRYPTION = Setting(False, boolean, "Encrypt cookie values as well as signing them.")
    EXPOSE_ACCESS_TOKEN = Setting(False, boolean, "Answer a silent renewal with X-Access-Token too.")
    LOGIN_RATE: Setting[str | None] = Setting(
        "10/min", optional(rate), "Logins per account and per address; None for no limit."
    )
    REFRESH_RATE: Setting[str | None] = Setting(
        "60/min", optional(rate), "Refreshes per session through the API; None for no limit."
    )
    STAFF_MAX_AUTH_AGE: Setting[timedelta | None] = Setting(
        None, optional(lifetime), "How recent a staff member's own login must be to kick."
    )
    ALARMS: Setting[Any] = Setting(
        {}, alarm_actions, 'What refresh_rate, split_context and new_country do: "flag", "end" or "ignore".'
    )
    COUNTRY: Setting[str | None] = Setting(
        None, optional(dotted), "Function (ip) -> country code, such as authx.contrib.geo.country_of."
    )
    TRUSTED_PROXIES = Setting(0, count, "How many proxies' X-Forwarded-For entries to believe.")
    RETENTION = Setting(
        timedelta(days=90), positive, "authx_prune keeps ended sessions and their events this long."
    )

    @classmethod
    def declared(cls) -> Iterator[Setting[Any]]:
        """Every setting, in the order of the documentation's table."""
        return (value for value in vars(cls).values() if isinstance(value, Setting))


conf = Conf()
