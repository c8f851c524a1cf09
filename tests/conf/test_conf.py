"""authx.conf: what each setting takes, what it is parsed as, and that it is read when asked."""

import importlib.util
import re
import subprocess
import sys
import uuid
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from textwrap import dedent

import grimp
import pytest
from django.conf import UserSettingsHolder, global_settings, settings
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed
from django.test import override_settings
from django.utils.translation import gettext_lazy
from django.views.debug import SafeExceptionReporterFilter

import authx
from authx import conf as module
from authx.conf import Conf, DottedPath, conf, rules
from authx.conf.setting import Derived, ParsedSettings, Setting
from authx.core.keys import Key
from authx.core.limits import Limit, WhenFull
from authx.core.notice_kinds import NoticeKind
from authx.core.rates import Rate
from authx.core.risk import Action, Alarm

HOUR = timedelta(hours=1)
DURATIONS = ["ACCESS_TOKEN_LIFETIME", "IDLE_LIFETIME", "SESSION_LIFETIME"]
COOKIES = ["ACCESS_COOKIE", "REFRESH_COOKIE", "DEVICE_COOKIE"]
FLAGS = ["COOKIE_SECURE", "COOKIE_PARTITIONED", "COOKIE_ENCRYPTION", "EXPOSE_ACCESS_TOKEN"]
PEM = "-----BEGIN PRIVATE KEY-----\n...\n-----END PRIVATE KEY-----\n"
ORIGINS = ["https://app.example", "http://app.example:8000", "https://[::1]:8443", "capacitor://localhost"]
LIMIT = {"types": ["ios", "android"], "limit": 1, "when_full": "end_least_recent"}
ASKS = {"limit": 1, "when_full": "refuse"}
ONE_PHONE = Limit(frozenset({"ios", "android"}), 1, WhenFull.END_LEAST_RECENT)


class SitesOwn:
    """Settings of a site that configures Django without a module."""

    AUTHX_CLIENT_ID = "on the class"

    def __getattr__(self, name):
        return getattr(global_settings, name)


GOOD = {
    "ISSUER": ["authx", "https://id.example"],
    "AUDIENCE": [None, "api", ["api", "reports"], ("api",)],
    **{key: [timedelta(seconds=1), HOUR, timedelta(days=36_500)] for key in DURATIONS},
    "REFRESH_GRACE": [timedelta(microseconds=1), timedelta(seconds=30)],
    "CLOCK_LEEWAY": [timedelta(0), timedelta(seconds=60)],
    "CLIENT_ID": ["first-party"],
    "SUBJECT_FIELD": [None, "public_id", "uuid"],
    "SIGNING_KEYS": [
        [],
        (),
        [PEM],
        [PEM.encode()],
        ["/etc/key.pem", Path("/etc/key.pem")],
        [{"key": PEM}],
        ["file:/run/secrets/key.pem", b"file:///run/secrets/key.pem", "FILE://localhost/run/key.pem"],
        [{"key": "file:/run/secrets/key.pem", "password": "file:/run/secrets/password"}],
    ],
    "CLAIMS": [None, "site.claims.roles"],
    "DEVICE_CLASSIFIER": [None, "site.devices.type_of"],
    "LOCKOUT": [None, "site.auth.Lockout"],
    "PLACE": [None, "site.places.city_of"],
    "DEVICE_TYPES": [["web"], ("web", "smart-tv", "kiosk_2")],
    "DEVICE_TYPE_LABELS": [{}, {"web": "Browser", "other": gettext_lazy("Other device")}],
    "SESSION_LIMITS": [[], [LIMIT], ({"limit": 3},), [{**ASKS, "choose": True}, {**ASKS, "choose": False}]],
    "REVOCATION_STORE": ["database", "redis", "site.stores.Store"],
    "REVOCATION_LAG": [timedelta(0), timedelta(milliseconds=500), timedelta(hours=1)],
    "REDIS_ALIAS": ["default", "sessions"],
    "SERVICE_CREDENTIALS": [
        None,
        ("service-1", "secret"),
        ["service-1", "secret"],
        ("service-1", "file:/run/secrets/orders"),
        ("file:/run/secrets/id", "file:///run/secrets/orders"),
        "file:/run/secrets/orders",
    ],
    "BIND_DJANGO_LOGIN": [True, False, "site.auth.is_person"],
    "PASSWORD_LOGIN": [True, False, "site.auth.second_factor"],
    "AMR": [
        {},
        {"site.Backend": ["pwd", "otp"], "django_otp": (), "allauth.socialaccount.my-idp": ["x:y/z", "hwk"]},
    ],
    **{key: ["__Host-authx", "a", "a.b_c-d!"] for key in COOKIES},
    **{key: [True, False] for key in FLAGS},
    "COOKIE_SAMESITE": ["Lax", "Strict", "None"],
    "LOGIN_RATE": [None, "1/s", "10/min", "999999999/day"],
    "ADDRESS_RATE": [None, "100/min"],
    "REFRESH_RATE": [None, "60/minute", "5/hour"],
    "DEVICES_MAX_AUTH_AGE": [None, timedelta(minutes=5)],
    "STAFF_MAX_AUTH_AGE": [None, timedelta(minutes=5)],
    "TRUSTED_PROXIES": [0, 1, 32],
    "METRICS": [None, "site.meters.Meter"],
    "NOTICE_MAIL": [True, False, [], ["new_device", "copied"], ("kicked",)],
    "NOTICE_LANGUAGE": [None, "site.people.language_of"],
    "RETENTION": [timedelta(days=90)],
    "MOVING_UNTIL": [None, datetime(2999, 12, 31, tzinfo=UTC)],
    "SOCKET_ORIGINS": [[], ORIGINS, tuple(ORIGINS)],
    "SOCKETS_PER_SESSION": [1, 20, 10_000],
    "SOCKET_MESSAGE_SIZE": [1, 65536, 2**30],
    "SOCKET_BLIND": [timedelta(seconds=1), HOUR],
    "SCOPES": [{}, {"orders:read": "See your orders", "a/b.c": gettext_lazy("Password")}],
    "RESOURCES": [{}, {"https://api.example/v1?x=1": ["orders:read"], "urn:orders": ()}],
    "SERVICE_TOKEN_LIFETIME": [timedelta(seconds=1), timedelta(minutes=10)],
    "GRANT_CLAIMS": [None, "site.claims.of_client"],
}
#: What conf gives, in the order of GOOD, where it is another value than the site has written.
PARSED = {
    "RESOURCES": [{}, {"https://api.example/v1?x=1": ("orders:read",), "urn:orders": ()}],
    "GRANT_CLAIMS": [None, DottedPath("site.claims.of_client")],
    "SOCKET_ORIGINS": [(), tuple(ORIGINS), tuple(ORIGINS)],
    "AUDIENCE": [("authx",), ("api",), ("api", "reports"), ("api",)],
    "SIGNING_KEYS": [tuple(entries) for entries in GOOD["SIGNING_KEYS"]],
    "CLAIMS": [None, DottedPath("site.claims.roles")],
    "METRICS": [None, DottedPath("site.meters.Meter")],
    "NOTICE_MAIL": [
        frozenset(NoticeKind),
        frozenset(),
        frozenset(),
        frozenset({NoticeKind.NEW_DEVICE, NoticeKind.COPIED}),
        frozenset({NoticeKind.KICKED}),
    ],
    "NOTICE_LANGUAGE": [None, DottedPath("site.people.language_of")],
    "DEVICE_CLASSIFIER": [None, DottedPath("site.devices.type_of")],
    "LOCKOUT": [None, DottedPath("site.auth.Lockout")],
    "PLACE": [None, DottedPath("site.places.city_of")],
    "DEVICE_TYPES": [("web",), ("web", "smart-tv", "kiosk_2")],
    "DEVICE_TYPE_LABELS": [{}, {"web": "Browser", "other": gettext_lazy("Other device")}],
    "SESSION_LIMITS": [
        (),
        (ONE_PHONE,),
        (Limit(None, 3, WhenFull.END_LEAST_RECENT),),
        (Limit(None, 1, WhenFull.REFUSE, choose=True), Limit(None, 1, WhenFull.REFUSE)),
    ],
    "BIND_DJANGO_LOGIN": [True, False, DottedPath("site.auth.is_person")],
    "PASSWORD_LOGIN": [True, False, DottedPath("site.auth.second_factor")],
    "AMR": [
        {},
        {
            "site.Backend": ("pwd", "otp"),
            "django_otp": (),
            "allauth.socialaccount.my-idp": ("x:y/z", "hwk"),
        },
    ],
    "LOGIN_RATE": [None, Rate(1, 1), Rate(10, 60), Rate(999999999, 86400)],
    "ADDRESS_RATE": [None, Rate(100, 60)],
    "REFRESH_RATE": [None, Rate(60, 60), Rate(5, 3600)],
}
#: So long that the end of a session is no date any more.
NO_DATE = [timedelta.max, timedelta(days=3_650_000)]
NO_DURATION = [None, 15, "15 min", -HOUR]
BAD = {
    "ISSUER": [None, "", 7, ["authx"]],
    "AUDIENCE": ["", [], [""], ["api", None], 7, {"api": 1}, b"api"],
    **{key: [*NO_DURATION, timedelta(0), timedelta(milliseconds=999), *NO_DATE] for key in DURATIONS},
    "REFRESH_GRACE": [*NO_DURATION, timedelta(0)],
    "CLOCK_LEEWAY": [*NO_DURATION, timedelta(seconds=61)],
    "CLIENT_ID": [None, "", 7],
    "SUBJECT_FIELD": ["", "public id", "person__uuid ", "-id", 7, b"uuid", ["uuid"], len],
    "SIGNING_KEYS": [
        None,
        PEM,
        [""],
        [None],
        [7],
        [{}],
        [{"key": ""}],
        [{"alg": "ES256"}],
        [{"key": PEM, "kid": "1"}],
        {"key": PEM},
        ["file:key.pem"],
        ["file:"],
        ["file://keys.example/key.pem"],
        [f"file:{PEM}"],
        [{"key": "file:key.pem"}],
        [{"key": PEM, "password": "file:password"}],
    ],
    "CLAIMS": ["", "roles", "site.", ".roles", "site claims.roles", 7, len],
    "DEVICE_CLASSIFIER": ["", "roles", "site.", ".roles", "site devices.type_of", 7, len],
    "LOCKOUT": ["", "axes", "site.", ".auth", "site auth.Lockout", 7, len],
    "PLACE": ["", "places", "site.", ".places", "site places.city_of", 7, len],
    "DEVICE_TYPES": [None, [], "web", 5, [""], ["Web"], ["two words"], [7], [["web"]], ["x" * 33]],
    "DEVICE_TYPE_LABELS": [
        None,
        ["web"],
        "web",
        {"web": ""},
        {"web": " "},
        {"web": 7},
        {"tv": "Television"},
        {7: "Seven"},
    ],
    "SESSION_LIMITS": [
        None,
        "ios",
        LIMIT,
        ["ios"],
        [{**LIMIT, "types": ["fridge"]}],
        [{**LIMIT, "types": [["ios"]]}],
        [{**LIMIT, "limit": 0}],
        [{**LIMIT, "when_full": "explode"}],
        [{**LIMIT, "extra": 1}],
        [{**LIMIT, "choose": True}],
        [{**ASKS, "choose": "yes"}],
    ],
    "REVOCATION_STORE": [None, "", "memory", 7, ["redis"]],
    "REVOCATION_LAG": [None, 1, "1s", timedelta(seconds=-1), timedelta(hours=2)],
    "REDIS_ALIAS": [None, "", 7],
    "SERVICE_CREDENTIALS": [
        "ab",
        ("a",),
        ("a", ""),
        ("a", 7),
        {"a": "b"},
        ("a", "b", "c"),
        "a:b",
        "file:orders",
        "file:",
        "file://host/orders",
        ("a", "file:b"),
        ("file:a", "b"),
        b"file:/run/secrets/orders",
        ["file:/run/secrets/orders"],
    ],
    "BIND_DJANGO_LOGIN": [None, 0, 1, "", "yes"],
    "PASSWORD_LOGIN": [None, 0, 1, "", "yes", "a b.c", len],
    "AMR": [
        None,
        [],
        {"site.Backend": "pwd"},
        {"site.Backend": None},
        {"site.Backend": ["a b"]},
        {"site.Backend": [""]},
        {"site.Backend": [7]},
        {"site.Backend": ["x" * 33]},
        {"site.Backend": ["pwd"] * 17},
        {"": ["pwd"]},
        {"a b": ["pwd"]},
        {".a": ["pwd"]},
        {7: ["pwd"]},
    ],
    **{key: [None, "", "a b", "a;b", "a=b", "a,b", "é", "a\n", "x" * 129, 7] for key in COOKIES},
    **{key: [None, 0, 1, "True"] for key in FLAGS},
    "COOKIE_SAMESITE": [None, "lax", "", False, []],
    "LOGIN_RATE": ["", "10", "0/min", "10/week", "-1/min", "10 / min", "1.5/s", 10, "10/min\n"],
    "ADDRESS_RATE": ["", "100", 100],
    "REFRESH_RATE": ["ten/min", ("10", "min")],
    "DEVICES_MAX_AUTH_AGE": [300, timedelta(0)],
    "STAFF_MAX_AUTH_AGE": [300, timedelta(0)],
    "TRUSTED_PROXIES": [None, -1, 33, 1.0, "1", True],
    "METRICS": ["", "Meter", "site meters.Meter", 7, dict],
    "NOTICE_MAIL": [None, 1, "new_device", ["newdevice"], [True], {"mail": True}, [[]]],
    "NOTICE_LANGUAGE": ["", "ar", "site people.language_of", 7, len],
    "RETENTION": [None, 90, timedelta(0), *NO_DATE],
    "MOVING_UNTIL": ["2999-12-31", date(2999, 12, 31), datetime(2999, 12, 31), timedelta(days=1), 0],
    "SOCKET_ORIGINS": [
        None,
        "https://app.example",
        [""],
        ["*"],
        ["null"],
        ["app.example"],
        ["https://*.example"],
        ["https://app.example/"],
        ["https://app.example/chat"],
        ["https://App.example"],
        ["https://app.example:443"],
        ["http://app.example:80"],
        ["https://app.example:0443"],
        ["https://ada@app.example"],
        ["https://app.example\n"],
        [b"https://app.example"],
    ],
    "SOCKETS_PER_SESSION": [None, 0, -1, 10_001, 1.0, "20", True],
    "SOCKET_MESSAGE_SIZE": [None, 0, 2**30 + 1, 65536.0, "64K", True],
    "SOCKET_BLIND": [None, 10, timedelta(0), timedelta(milliseconds=999), timedelta(hours=2)],
    "SCOPES": [
        None,
        ["orders:read"],
        {"": "x"},
        {"a b": "x"},
        {'a"b': "x"},
        {"a": ""},
        {"a": " "},
        {"a": None},
        {"a" * 101: "x"},
        {"ä": "x"},
        {1: "x"},
    ],
    "RESOURCES": [
        None,
        ["https://api.example/"],
        {"": []},
        {"api": []},
        {"/api/": []},
        {"https://api.example/#part": []},
        {"https://api.example/ ": []},
        {"https://[": []},
        {"https://me@api.example/": []},  # no client could be registered for it
        {"https:///": []},
        {1: []},
        {"urn:orders": "orders:read"},
        {"urn:orders": [""]},
        {"urn:orders": ["a b"]},
    ],
    "SERVICE_TOKEN_LIFETIME": [None, 300, timedelta(0), timedelta(minutes=10, seconds=1)],
    "GRANT_CLAIMS": ["nothing", 1, ""],
}


def complaint(name):
    (setting,) = (setting for setting in Conf.declared() if setting.name == f"AUTHX_{name}")
    return setting.complaint()


def cases(values):
    return [pytest.param(name, value, id=f"{name}={value!r}") for name in values for value in values[name]]


def parsed_cases():
    return [
        pytest.param(name, value, parsed, id=f"{name}={value!r}")
        for name in GOOD
        for value, parsed in zip(GOOD[name], PARSED.get(name, GOOD[name]), strict=True)
    ]


@pytest.mark.parametrize(("name", "value", "parsed"), parsed_cases())
def test_a_setting_takes(name, value, parsed, settings):
    setattr(settings, f"AUTHX_{name}", value)
    assert complaint(name) is None
    assert getattr(conf, name) == parsed
    assert getattr(conf, name) is getattr(conf, name)


@pytest.mark.parametrize(("name", "value"), cases(BAD))
def test_a_setting_refuses_and_says_what_it_takes(name, value, settings):
    setattr(settings, f"AUTHX_{name}", value)
    said = complaint(name)
    assert said is not None
    assert said.startswith(("must", "has", "names"))
    with pytest.raises(ImproperlyConfigured, match=f"^{re.escape(f'AUTHX_{name} {said}.')}$"):
        getattr(conf, name)


def test_every_setting_is_tried_here_or_beside_what_it_is_for():
    elsewhere = {"ALARMS", "COUNTRY"}  # test_alarms
    elsewhere |= {"JWKS_URL", "REVOCATIONS_URL", "INTROSPECTION_URL", "TOKEN_URL"}  # test_remote
    declared = {setting.name.removeprefix("AUTHX_") for setting in Conf.declared()}
    assert set(GOOD) == set(BAD)
    assert declared - elsewhere == set(GOOD)


def test_every_default_is_within_its_own_rule():
    assert {setting.name: setting.complaint() for setting in Conf.declared()} == {
        setting.name: None for setting in Conf.declared()
    }


def test_every_setting_is_prefixed_and_says_what_it_is_for():
    for setting in Conf.declared():
        assert setting.name.startswith("AUTHX_")
        assert setting.help.endswith(".")


def test_the_defaults_are_those_of_the_contract():
    assert (conf.ISSUER, conf.AUDIENCE, conf.CLIENT_ID) == ("authx", ("authx",), "first-party")
    assert timedelta(minutes=15) == conf.ACCESS_TOKEN_LIFETIME
    assert (timedelta(days=7), timedelta(days=30)) == (conf.IDLE_LIFETIME, conf.SESSION_LIFETIME)
    assert (timedelta(seconds=30), timedelta(seconds=10)) == (conf.REFRESH_GRACE, conf.CLOCK_LEEWAY)
    assert (conf.SIGNING_KEYS, conf.CLAIMS, conf.SESSION_LIMITS) == ((), None, ())
    assert conf.DEVICE_TYPES == ("web", "ios", "android", "desktop", "other")
    assert (conf.REVOCATION_STORE, conf.BIND_DJANGO_LOGIN) == ("database", True)
    assert (conf.PASSWORD_LOGIN, conf.AMR) == (True, {})
    assert [conf.ACCESS_COOKIE, conf.REFRESH_COOKIE, conf.DEVICE_COOKIE] == [
        "__Host-authx_access",
        "__Host-authx_refresh",
        "__Host-authx_device",
    ]
    assert (conf.COOKIE_SECURE, conf.COOKIE_SAMESITE, conf.COOKIE_ENCRYPTION) == (True, "Lax", False)
    assert conf.EXPOSE_ACCESS_TOKEN is False
    assert (Rate(10, 60), Rate(60, 60)) == (conf.LOGIN_RATE, conf.REFRESH_RATE)
    assert dict(conf.ALARMS) == dict.fromkeys(Alarm, Action.FLAG)
    assert (conf.STAFF_MAX_AUTH_AGE, conf.TRUSTED_PROXIES) == (None, 0)


# Read late


def test_a_setting_is_read_when_it_is_asked_for():
    with override_settings(AUTHX_IDLE_LIFETIME=HOUR):
        assert conf.IDLE_LIFETIME == HOUR
        with override_settings(AUTHX_IDLE_LIFETIME=2 * HOUR):
            assert conf.IDLE_LIFETIME == 2 * HOUR
        assert conf.IDLE_LIFETIME == HOUR
    assert timedelta(days=7) == conf.IDLE_LIFETIME


def test_the_audience_follows_the_issuer_unless_it_is_set():
    with override_settings(AUTHX_ISSUER="https://id.example"):
        assert conf.AUDIENCE == ("https://id.example",)
        with override_settings(AUTHX_AUDIENCE=["api"]):
            assert conf.AUDIENCE == ("api",)
        assert conf.AUDIENCE == ("https://id.example",)
    assert conf.AUDIENCE == ("authx",)


def test_types_of_limits_are_checked_against_the_types_there_are(settings):
    settings.AUTHX_SESSION_LIMITS = [{"types": ["kiosk"], "limit": 1}]
    assert "kiosk" in complaint("SESSION_LIMITS")
    settings.AUTHX_DEVICE_TYPES = ["kiosk"]
    assert complaint("SESSION_LIMITS") is None


def test_a_wrong_value_of_one_setting_is_not_blamed_on_another(settings):
    settings.AUTHX_DEVICE_TYPES = 5
    assert complaint("SESSION_LIMITS") is None
    assert complaint("DEVICE_TYPES")


def test_importing_the_settings_reads_none():
    """Read at import, ``override_settings`` would have no effect."""
    with override_settings(AUTHX_ISSUER="https://id.example"):
        spec = importlib.util.spec_from_file_location("authx_conf_again", module.__file__)
        again = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(again)
    assert again.conf.ISSUER == "authx"


# Rates


@pytest.mark.parametrize(
    ("rate", "read"),
    [
        ("1/s", (1, 1)),
        ("2/sec", (2, 1)),
        ("3/second", (3, 1)),
        ("10/m", (10, 60)),
        ("10/min", (10, 60)),
        ("10/minute", (10, 60)),
        ("100/h", (100, 3600)),
        ("100/hour", (100, 3600)),
        ("1000/d", (1000, 86400)),
        ("1000/day", (1000, 86400)),
    ],
)
def test_a_rate_is_read_as_how_many_in_how_many_seconds(rate, read):
    assert Rate.read(rate) == Rate(*read)


@pytest.mark.parametrize("rate", [*BAD["LOGIN_RATE"][:7], "10/minutes", "1e3/min", "٣/min", "10/min\n"])
def test_what_is_no_rate_is_refused(rate):
    with pytest.raises(ValueError, match="not a rate"):
        Rate.read(rate)


def test_a_derived_key_is_not_what_a_signing_key_setting_takes(settings):
    settings.AUTHX_SIGNING_KEYS = [Key.derive("secret")]
    assert complaint("SIGNING_KEYS") == "must list PEM texts, paths, or dicts with key, alg and password"


# Parsed once, and forgotten when it changes


def test_settings_are_read_as_django_reads_them(settings):
    """Overridden, overridden again, deleted, assigned, and back again each time."""
    from django.conf import settings as ours

    assert conf.ISSUER == "authx"
    with override_settings(AUTHX_ISSUER="one"):
        assert conf.ISSUER == "one"
        with override_settings(AUTHX_CLIENT_ID="other"):
            assert conf.ISSUER == "one"
        with override_settings():  # which sends no signal
            del ours.AUTHX_ISSUER
            assert conf.ISSUER == "authx"
        assert conf.ISSUER == "one"
        with override_settings():
            ours.AUTHX_ISSUER = "two"
            assert conf.ISSUER == "two"
        assert conf.ISSUER == "one"
    assert conf.ISSUER == "authx"
    settings.AUTHX_ISSUER = "three"
    assert conf.ISSUER == ours.AUTHX_ISSUER == "three"
    del settings.AUTHX_ISSUER
    assert conf.ISSUER == "authx"


def test_settings_that_are_no_module_are_read_as_django_reads_them(monkeypatch):
    """As with ``settings.configure(SitesOwn())``."""
    monkeypatch.setattr(settings, "_wrapped", UserSettingsHolder(SitesOwn()))
    assert conf.CLIENT_ID == settings.AUTHX_CLIENT_ID == "on the class"
    with override_settings(AUTHX_CLIENT_ID="overridden", DEBUG=True):
        assert conf.CLIENT_ID == "overridden"
    with override_settings():
        del settings.AUTHX_CLIENT_ID
        assert conf.CLIENT_ID == "first-party"
    monkeypatch.setattr(settings, "_wrapped", UserSettingsHolder(global_settings))
    assert conf.CLIENT_ID == "first-party"


def test_what_one_setting_takes_of_another_changes_with_it(settings):
    settings.AUTHX_DEVICE_TYPES = ["kiosk"]
    settings.AUTHX_SESSION_LIMITS = [{"types": ["kiosk"], "limit": 1}]
    assert len(conf.SESSION_LIMITS) == 1
    settings.AUTHX_DEVICE_TYPES = ["web"]
    with pytest.raises(ImproperlyConfigured, match="kiosk"):
        _ = conf.SESSION_LIMITS
    settings.DEBUG = True
    settings.AUTHX_JWKS_URL = "http://issuer.example/jwks"
    assert conf.JWKS_URL == "http://issuer.example/jwks"
    settings.DEBUG = False
    with pytest.raises(ImproperlyConfigured, match="AUTHX_JWKS_URL must be an https URL"):
        _ = conf.JWKS_URL


def test_a_value_parsed_while_the_settings_change_is_not_kept():
    changed = override_settings(AUTHX_CLIENT_ID="new")

    def slowly(value):
        if value == "first-party":
            changed.enable()  # as another thread may
        return value

    class Site(ParsedSettings):
        CLIENT_ID = Setting("first-party", rules.filled, "Help.", parse=slowly)

    site = Site()
    try:
        assert site.CLIENT_ID == "first-party"
        assert site.CLIENT_ID == "new"
    finally:
        changed.disable()


def test_what_is_worked_out_from_settings_is_forgotten_with_them(settings):
    """The same object while nothing changes; after any change another one, be its values the same."""
    first = conf.gate_policy
    assert conf.gate_policy is first
    assert (first.issuer, first.audience, first.lag) == (conf.ISSUER, conf.AUDIENCE, 0)
    settings.AUTHX_CLIENT_ID = "app"
    assert conf.gate_policy == first
    assert conf.gate_policy is not first
    settings.AUTHX_ISSUER, settings.AUTHX_REVOCATION_LAG = "https://id.example", HOUR
    policy = conf.gate_policy
    assert (policy.issuer, policy.audience) == ("https://id.example", ("https://id.example",))
    assert (policy.lag, policy.asks_database, policy.asks_copy) == (3600, False, True)
    with override_settings(), override_settings(AUTHX_REVOCATION_STORE="remote"):
        assert (conf.gate_policy.asks_database, conf.gate_policy.asks_copy) == (False, False)
    settings.AUTHX_CLOCK_LEEWAY = "10 s"
    with pytest.raises(ImproperlyConfigured, match="AUTHX_CLOCK_LEEWAY"):
        _ = conf.gate_policy


def test_what_is_worked_out_while_the_settings_change_is_not_kept():
    changed = override_settings(AUTHX_CLIENT_ID="new")

    def slowly(site):
        found = site.CLIENT_ID
        if found == "first-party":
            changed.enable()
        return found

    class Site(ParsedSettings):
        CLIENT_ID = Setting("first-party", rules.filled, "Help.")
        name = Derived(slowly)

    site = Site()
    try:
        assert site.name == "first-party"
        assert site.name == "new"
    finally:
        changed.disable()


def test_whoever_hears_of_a_change_reads_the_new_value():
    heard = []

    def listen(**kwargs):
        heard.append(conf.ISSUER)

    assert conf.ISSUER == "authx"
    setting_changed.connect(listen)
    try:
        with override_settings(AUTHX_ISSUER="new"):
            pass
    finally:
        setting_changed.disconnect(listen)
    assert heard == ["new", "authx"]


def test_a_service_without_installed_apps_notices_a_change_too():
    program = """
        from django.conf import settings
        from authx.conf import conf
        settings.configure(SECRET_KEY="a secret for this test alone", AUTHX_ISSUER="one")
        from django.test import override_settings
        assert conf.ISSUER == "one" and conf.AUDIENCE == ("one",)
        with override_settings(AUTHX_ISSUER="two"):
            assert conf.ISSUER == "two" and conf.AUDIENCE == ("two",)
        assert conf.ISSUER == "one" and conf.AUDIENCE == ("one",)
    """
    root = Path(authx.__file__).parent.parent
    done = subprocess.run([sys.executable, "-c", dedent(program)], cwd=root, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


# What goes wrong


def test_a_path_that_leads_nowhere_breaks_only_what_needs_it(settings):
    settings.AUTHX_CLAIMS = settings.AUTHX_COUNTRY = "nowhere.to_be.found"
    assert str(conf.CLAIMS) == str(conf.COUNTRY) == "nowhere.to_be.found"
    assert conf.ISSUER == "authx"
    with pytest.raises(ImportError):
        conf.CLAIMS(None)


def test_a_value_that_cannot_even_be_judged_is_a_complaint(settings):
    settings.AUTHX_ALARMS = {"refresh_rate": []}
    with pytest.raises(ImproperlyConfigured, match="AUTHX_ALARMS has a value of the wrong type"):
        _ = conf.ALARMS


@pytest.mark.parametrize("name", ["SERVICE_CREDENTIALS", "SIGNING_KEYS"])
def test_a_wrong_value_shows_no_secret_in_a_report_of_the_error(name, settings):
    secret = uuid.uuid4().hex
    setattr(settings, f"AUTHX_{name}", [secret, 7])
    with pytest.raises(ImproperlyConfigured) as raised:
        getattr(conf, name)
    assert secret not in str(raised.value)
    frames, report = raised.value.__traceback__.tb_next, SafeExceptionReporterFilter()
    seen = 0
    while frames is not None:
        shown = report.get_traceback_frame_variables(None, frames.tb_frame)
        assert secret not in repr(shown)
        frames, seen = frames.tb_next, seen + 1
    assert seen


def test_the_modules_of_conf_know_nothing_of_the_package_that_gathers_them():
    graph = grimp.build_graph("authx", cache_dir=None)
    for part in graph.find_children("authx.conf"):
        assert graph.find_shortest_chain(part, "authx.conf") is None
