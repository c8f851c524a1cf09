"""Every setting, declared once: default, rule, help. ``checks`` walks the declaration."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any, Generic, TypeVar

from django.conf import Settings, UserSettingsHolder, global_settings, settings

from authx.conf import rules
from authx.conf.rules import Rule

T = TypeVar("T")


def _configured(name: str, default: T) -> T:
    """``getattr(settings, name, default)``, which costs ten times as much where the name is not set.

    A request reads eight of ours, most of them at their defaults.
    """
    holder: Any = object.__getattribute__(settings, "_wrapped")
    while type(holder) is UserSettingsHolder:  # of override_settings, or of settings.configure
        members = holder.__dict__
        if name in members or name in members["_deleted"]:
            break
        holder = members["default_settings"]
    if type(holder) in {Settings, UserSettingsHolder} or holder is global_settings:
        found: T = holder.__dict__.get(name, default)
        return found
    return getattr(settings, name, default)  # not set up yet, or something of the site's own


def secret_keys() -> tuple[str | bytes, ...]:
    """The site's SECRET_KEY, then its fallbacks: the first signs, all verify."""
    return settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS


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

    ISSUER = Setting("authx", rules.filled, "The iss of our tokens; an https URL in production.")
    AUDIENCE: Setting[Any] = Setting(
        None, rules.filled_or_list, "The aud put in and demanded of our tokens.", follows="ISSUER"
    )
    ACCESS_TOKEN_LIFETIME = Setting(timedelta(minutes=15), rules.lifetime, "Life of an access token.")
    IDLE_LIFETIME = Setting(
        timedelta(days=7), rules.lifetime, "A session not refreshed for this long has ended."
    )
    SESSION_LIFETIME = Setting(
        timedelta(days=30), rules.lifetime, "Absolute life of a session; refreshing never extends it."
    )
    REFRESH_GRACE = Setting(
        timedelta(seconds=30), rules.positive, "A spent refresh token stays harmless this long."
    )
    CLOCK_LEEWAY = Setting(
        timedelta(seconds=10), rules.at_most(timedelta(seconds=60)), "For exp, nbf and iat."
    )
    CLIENT_ID = Setting("first-party", rules.filled, "The client_id of our own logins (RFC 9068).")
    SUBJECT_FIELD: Setting[str | None] = Setting(
        None,
        rules.optional(rules.field_name),
        "A unique column of the user, never changed, whose value is the sub; None for the key.",
    )
    SIGNING_KEYS: Setting[Any] = Setting(
        [],
        rules.signing_keys,
        "PEM texts, paths or file: paths; the first signs, all verify. Empty: from SECRET_KEY.",
    )
    CLAIMS: Setting[str | None] = Setting(
        None, rules.optional(rules.dotted), "Function (session) -> dict: extra claims, such as roles."
    )
    DEVICE_TYPES: Setting[Any] = Setting(
        ("web", "ios", "android", "desktop", "other"),
        rules.type_names,
        "The device types a login may name.",
    )
    SESSION_LIMITS: Setting[Any] = Setting(
        [], rules.session_limits, "How many sessions a user may have per device type or group of types."
    )
    REVOCATION_STORE = Setting("database", rules.store, "Where the gate asks whether a session has ended.")
    REVOCATION_LAG = Setting(
        timedelta(0),
        rules.at_most(timedelta(hours=1)),
        "How old a process's own copy of the ended sessions may be; 0 asks at every request.",
    )
    REDIS_ALIAS = Setting("default", rules.filled, "The django-redis cache alias whose Redis is used.")
    JWKS_URL: Setting[str | None] = Setting(
        None, rules.optional(rules.address), "Where a verify-only service finds the issuer's public keys."
    )
    REVOCATIONS_URL: Setting[str | None] = Setting(
        None, rules.optional(rules.address), "Where a verify-only service reads the recent endings."
    )
    INTROSPECTION_URL: Setting[str | None] = Setting(
        None,
        rules.optional(rules.address),
        "Where a verify-only service asks about each token, without the feed.",
    )
    SERVICE_CREDENTIALS: Setting[Any] = Setting(
        None,
        rules.optional(rules.credentials),
        "Client id and secret of a verify-only service, each or both as the file: that holds it.",
    )
    BIND_DJANGO_LOGIN: Setting[Any] = Setting(
        True,
        rules.boolean_or_dotted,
        "Open a device session at every Django login; or a function that decides.",
    )
    PASSWORD_LOGIN: Setting[Any] = Setting(
        True,
        rules.boolean_or_word,
        "Whether our login page and login/ take a password; or a function that may refuse one login.",
    )
    AMR: Setting[Any] = Setting(
        {},
        rules.methods,
        "What a backend or another proof puts into amr, beside the built-in table.",
    )
    ACCESS_COOKIE = Setting("__Host-authx_access", rules.cookie_name, "Name of the access token's cookie.")
    REFRESH_COOKIE = Setting("__Host-authx_refresh", rules.cookie_name, "Name of the refresh token's cookie.")
    DEVICE_COOKIE = Setting(
        "__Host-authx_device", rules.cookie_name, "Name of the cookie that knows the device."
    )
    COOKIE_SECURE = Setting(True, rules.boolean, "Send our cookies over https alone.")
    COOKIE_SAMESITE = Setting("Lax", rules.one_of("Lax", "Strict", "None"), "SameSite of our cookies.")
    COOKIE_ENCRYPTION = Setting(False, rules.boolean, "Encrypt cookie values as well as signing them.")
    EXPOSE_ACCESS_TOKEN = Setting(False, rules.boolean, "Answer a silent renewal with X-Access-Token too.")
    LOGIN_RATE: Setting[str | None] = Setting(
        "10/min", rules.optional(rules.rate), "Failed logins per account; None for no limit."
    )
    ADDRESS_RATE: Setting[str | None] = Setting(
        "100/min", rules.optional(rules.rate), "Failed logins per address; None for no limit."
    )
    REFRESH_RATE: Setting[str | None] = Setting(
        "60/min", rules.optional(rules.rate), "Refreshes per session, by API and pages; None for no limit."
    )
    STAFF_MAX_AUTH_AGE: Setting[timedelta | None] = Setting(
        None, rules.optional(rules.lifetime), "How recent a staff member's own login must be to kick."
    )
    ALARMS: Setting[Any] = Setting(
        {},
        rules.alarm_actions,
        'What refresh_rate, split_context and new_country do: "flag", "end" or "ignore".',
    )
    COUNTRY: Setting[str | None] = Setting(
        None,
        rules.optional(rules.dotted),
        "Function (ip) -> country code, such as authx.contrib.geo.country_of.",
    )
    TRUSTED_PROXIES = Setting(0, rules.count, "How many proxies' X-Forwarded-For entries to believe.")
    RETENTION = Setting(
        timedelta(days=90), rules.positive, "authx_prune keeps ended sessions and their events this long."
    )

    @classmethod
    def declared(cls) -> Iterator[Setting[Any]]:
        """Every setting, in the order of the documentation's table."""
        return (value for value in vars(cls).values() if isinstance(value, Setting))


conf = Conf()
