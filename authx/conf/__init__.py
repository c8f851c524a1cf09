"""Every setting, declared once: default, rule, help, parser. ``checks`` walks the declaration."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings

from authx.conf import device_rules, grant_rules, parsers, rules, secret_rules
from authx.conf.gate_policy import GatePolicy
from authx.conf.parsers import DottedPath
from authx.conf.setting import Derived, ParsedSettings, Setting
from authx.core.limits import Limit
from authx.core.notice_kinds import NoticeKind
from authx.core.rates import Rate
from authx.core.risk import Action, Alarm
from authx.core.time_limits import idle_period

__all__ = ["Conf", "DottedPath", "Setting", "conf", "secret_keys"]


def secret_keys() -> tuple[str | bytes, ...]:
    """Return the site's SECRET_KEY, then its fallbacks: the first signs, all verify."""
    return settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS


class Conf(ParsedSettings):
    """The settings of authx. Durations are timedeltas.

    Reading one that breaks its rule raises ImproperlyConfigured, in the words of the system check. A process
    parses each once, and again after ``setting_changed``: use ``override_settings`` in tests. A bare
    assignment to ``django.conf.settings``, which Django advises against, is not noticed before ``forget()``.
    """

    ISSUER = Setting("authx", rules.filled, "The iss of our tokens; an https URL in production.")
    AUDIENCE = Setting(
        None,
        rules.filled_or_list,
        "The aud put in and demanded of our tokens.",
        parse=parsers.texts,
        follows=ISSUER,
    )
    ACCESS_TOKEN_LIFETIME = Setting(timedelta(minutes=15), rules.lifetime, "Life of an access token.")
    IDLE_LIFETIME = Setting(timedelta(days=7), rules.lifetime, "A session not used for this long has ended.")
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
    SIGNING_KEYS: Setting[tuple[Any, ...]] = Setting(
        [],
        secret_rules.signing_keys,
        "PEM texts, paths or file: paths; the first signs, all verify. Empty: from SECRET_KEY.",
        parse=tuple,
    )
    CLAIMS: Setting[DottedPath | None] = Setting(
        None,
        rules.optional(rules.dotted),
        "Function (session) -> dict: extra claims, such as roles.",
        parse=DottedPath,
    )
    DEVICE_TYPES: Setting[tuple[str, ...]] = Setting(
        ("web", "ios", "android", "desktop", "other"),
        device_rules.type_names,
        "The device types a login may name.",
        parse=tuple,
    )
    DEVICE_TYPE_LABELS: Setting[Mapping[str, Any]] = Setting(
        {},
        device_rules.type_labels(DEVICE_TYPES.configured),
        "What people read for a device type, above all one of your own.",
    )
    DEVICE_CLASSIFIER: Setting[DottedPath | None] = Setting(
        None,
        rules.optional(rules.dotted),
        "Function (request, claimed) -> type: decides what kind of device a login comes from.",
        parse=DottedPath,
    )
    SESSION_LIMITS: Setting[tuple[Limit, ...]] = Setting(
        [],
        device_rules.session_limits(DEVICE_TYPES.configured),
        "How many sessions a user may have per device type or group of types.",
        parse=parsers.limits,
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
    TOKEN_URL: Setting[str | None] = Setting(
        None, rules.optional(rules.address), "Where a service fetches tokens to call other services with."
    )
    SERVICE_CREDENTIALS: Setting[Any] = Setting(
        None,
        rules.optional(secret_rules.credentials),
        "Client id and secret of a service, each or both as the file: that holds it; or id and private key.",
    )
    BIND_DJANGO_LOGIN = Setting(
        True,
        rules.boolean_or_function("(request, user) -> bool"),
        "Open a device session at every Django login; or a function that decides.",
        parse=parsers.flag_or_path,
    )
    PASSWORD_LOGIN = Setting(
        True,
        rules.boolean_or_function("(request, user) -> None or a word"),
        "Whether our login page and login/ take a password; or a function that may refuse one login.",
        parse=parsers.flag_or_path,
    )
    AMR = Setting(
        {},
        rules.methods,
        "What a backend or another proof puts into amr, beside the built-in table.",
        parse=parsers.table,
    )
    ACCESS_COOKIE = Setting("__Host-authx_access", rules.cookie_name, "Name of the access token's cookie.")
    REFRESH_COOKIE = Setting("__Host-authx_refresh", rules.cookie_name, "Name of the refresh token's cookie.")
    DEVICE_COOKIE = Setting(
        "__Host-authx_device", rules.cookie_name, "Name of the cookie that knows the device."
    )
    COOKIE_SECURE = Setting(True, rules.boolean, "Send our cookies over https alone.")
    COOKIE_SAMESITE = Setting("Lax", rules.one_of("Lax", "Strict", "None"), "SameSite of our cookies.")
    COOKIE_PARTITIONED = Setting(
        False, rules.boolean, "In frames, keep our cookies apart for each site that holds the frame (CHIPS)."
    )
    COOKIE_ENCRYPTION = Setting(False, rules.boolean, "Encrypt cookie values as well as signing them.")
    EXPOSE_ACCESS_TOKEN = Setting(False, rules.boolean, "Answer a silent renewal with X-Access-Token too.")
    LOGIN_RATE: Setting[Rate | None] = Setting(
        "10/min", rules.optional(rules.rate), "Failed logins per account; None for no limit.", parse=Rate.read
    )
    ADDRESS_RATE: Setting[Rate | None] = Setting(
        "100/min",
        rules.optional(rules.rate),
        "Failed logins per address; None for no limit.",
        parse=Rate.read,
    )
    LOCKOUT: Setting[DottedPath | None] = Setting(
        None,
        rules.optional(rules.dotted),
        "Class that another package's lockout is asked by; None for django-axes where that is installed.",
        parse=DottedPath,
    )
    REFRESH_RATE: Setting[Rate | None] = Setting(
        "60/min",
        rules.optional(rules.rate),
        "Refreshes per session, by API and pages; None for no limit.",
        parse=Rate.read,
    )
    DEVICES_MAX_AUTH_AGE: Setting[timedelta | None] = Setting(
        timedelta(hours=12),
        rules.optional(rules.positive),
        "How recent a user's own login must be to sign out other devices on our page; None for any.",
    )
    STAFF_MAX_AUTH_AGE: Setting[timedelta | None] = Setting(
        None, rules.optional(rules.positive), "How recent a staff member's own login must be to kick."
    )
    ALARMS: Setting[Mapping[Alarm, Action]] = Setting(
        {},
        rules.alarm_actions,
        'What each alarm but refresh_reused does: "flag", "end" or "ignore".',
        parse=parsers.alarm_actions,
    )
    COUNTRY: Setting[DottedPath | None] = Setting(
        None,
        rules.optional(rules.dotted),
        "Function (ip) -> country code, such as authx.contrib.geo.country_of.",
        parse=DottedPath,
    )
    PLACE: Setting[DottedPath | None] = Setting(
        None,
        rules.optional(rules.dotted),
        "Function (session) -> its place within the country, such as a city, or None.",
        parse=DottedPath,
    )
    TRUSTED_PROXIES = Setting(
        0, rules.whole_number(0, 32), "How many proxies' X-Forwarded-For entries to believe."
    )
    SOCKET_ORIGINS: Setting[tuple[str, ...]] = Setting(
        [],
        rules.origins,
        "Origins beside the site's own whose pages may open a WebSocket by cookie.",
        parse=tuple,
    )
    SOCKETS_PER_SESSION = Setting(
        20, rules.whole_number(1, 10_000), "WebSockets and streams of one session in one process."
    )
    SOCKET_MESSAGE_SIZE = Setting(
        65536, rules.whole_number(1, 2**30), "Bytes of a message that a WebSocket takes from its client."
    )
    SOCKET_BLIND = Setting(
        timedelta(seconds=10),
        rules.between(timedelta(seconds=1), timedelta(hours=1)),
        "WebSockets are closed if the endings could not be read for this long.",
    )
    SCOPES: Setting[Mapping[str, str]] = Setting(
        {},
        grant_rules.scopes,
        "What clients may be allowed: the name of each scope, and what users read about it.",
    )
    RESOURCES: Setting[Mapping[str, tuple[str, ...]]] = Setting(
        {},
        grant_rules.resources,
        "Whom clients' tokens may be for: the URI of each API, and the scopes it knows.",
        parse=parsers.table,
    )
    SERVICE_TOKEN_LIFETIME = Setting(
        timedelta(minutes=5),
        rules.between(timedelta(seconds=1), timedelta(minutes=10)),
        "Life of a token that one service calls another with.",
    )
    GRANT_CLAIMS: Setting[DottedPath | None] = Setting(
        None,
        rules.optional(rules.dotted),
        "Function (session, client) -> dict: extra claims of a client's tokens.",
        parse=DottedPath,
    )
    NOTICE_MAIL: Setting[frozenset[NoticeKind]] = Setting(
        False,
        rules.notice_kinds,
        "Mail notices to users: True, or a list of kinds.",
        parse=parsers.notice_kinds,
    )
    NOTICE_LANGUAGE: Setting[DottedPath | None] = Setting(
        None,
        rules.optional(rules.dotted),
        "Function (user) -> language code: the language of a user's mail; None for LANGUAGE_CODE.",
        parse=DottedPath,
    )
    METRICS: Setting[DottedPath | None] = Setting(
        None,
        rules.optional(rules.dotted),
        "Class of the meter that is told what is counted, such as authx.contrib.prometheus.Meter.",
        parse=DottedPath,
    )
    MOVING_UNTIL: Setting[datetime | None] = Setting(
        None,
        rules.optional(rules.moment),
        "Until when authx.contrib.moving takes the credentials of the package that it replaces.",
    )
    RETENTION = Setting(
        timedelta(days=90), rules.lifetime, "authx_prune keeps ended sessions and their events this long."
    )

    gate_policy = Derived(GatePolicy.of)

    @property
    def idle_period(self) -> timedelta:
        """Return how long after its last refresh a session is idle."""
        return idle_period(self.IDLE_LIFETIME, self.ACCESS_TOKEN_LIFETIME)


conf = Conf()
