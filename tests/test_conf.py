"""authx.conf: what each setting takes, and that it is read when asked."""

import importlib.util
from datetime import timedelta
from pathlib import Path

import pytest
from django.conf import UserSettingsHolder, global_settings, settings
from django.test import override_settings

from authx import conf as module
from authx.conf import Conf, conf
from authx.conf.rules import parse_rate
from authx.core.keys import Key

HOUR = timedelta(hours=1)
DURATIONS = ["ACCESS_TOKEN_LIFETIME", "IDLE_LIFETIME", "SESSION_LIFETIME"]
COOKIES = ["ACCESS_COOKIE", "REFRESH_COOKIE", "DEVICE_COOKIE"]
FLAGS = ["COOKIE_SECURE", "COOKIE_ENCRYPTION", "EXPOSE_ACCESS_TOKEN"]
PEM = "-----BEGIN PRIVATE KEY-----\n...\n-----END PRIVATE KEY-----\n"
LIMIT = {"types": ["ios", "android"], "limit": 1, "when_full": "end_least_recent"}


class SitesOwn:
    """Settings of a site that configures Django without a module."""

    AUTHX_CLIENT_ID = "on the class"

    def __getattr__(self, name):
        return getattr(global_settings, name)


GOOD = {
    "ISSUER": ["authx", "https://id.example"],
    "AUDIENCE": [None, "api", ["api", "reports"], ("api",)],
    **{key: [timedelta(seconds=1), HOUR] for key in DURATIONS},
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
    "DEVICE_TYPES": [["web"], ("web", "smart-tv", "kiosk_2")],
    "SESSION_LIMITS": [[], [LIMIT], ({"limit": 3},)],
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
    "STAFF_MAX_AUTH_AGE": [None, timedelta(minutes=5)],
    "TRUSTED_PROXIES": [0, 1, 32],
    "RETENTION": [timedelta(days=90)],
}
NO_DURATION = [None, 15, "15 min", -HOUR]
BAD = {
    "ISSUER": [None, "", 7, ["authx"]],
    "AUDIENCE": ["", [], [""], ["api", None], 7, {"api": 1}, b"api"],
    **{key: [*NO_DURATION, timedelta(0), timedelta(milliseconds=999)] for key in DURATIONS},
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
    "DEVICE_TYPES": [None, [], "web", 5, [""], ["Web"], ["two words"], [7], [["web"]], ["x" * 33]],
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
    "STAFF_MAX_AUTH_AGE": [300, timedelta(0)],
    "TRUSTED_PROXIES": [None, -1, 33, 1.0, "1", True],
    "RETENTION": [None, 90, timedelta(0)],
}


def complaint(name):
    (setting,) = (setting for setting in Conf.declared() if setting.name == f"AUTHX_{name}")
    return setting.complaint()


def cases(values):
    return [pytest.param(name, value, id=f"{name}={value!r}") for name in values for value in values[name]]


@pytest.mark.parametrize(("name", "value"), cases(GOOD))
def test_a_setting_takes(name, value, settings):
    setattr(settings, f"AUTHX_{name}", value)
    assert complaint(name) is None
    assert getattr(conf, name) == (value if value is not None or name != "AUDIENCE" else "authx")


@pytest.mark.parametrize(("name", "value"), cases(BAD))
def test_a_setting_refuses_and_says_what_it_takes(name, value, settings):
    setattr(settings, f"AUTHX_{name}", value)
    said = complaint(name)
    assert said is not None
    assert said.startswith(("must", "has", "names"))


def test_every_setting_is_tried_here_or_beside_what_it_is_for():
    elsewhere = {"ALARMS", "COUNTRY"}  # test_alarms
    elsewhere |= {"JWKS_URL", "REVOCATIONS_URL", "INTROSPECTION_URL"}  # test_remote
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
    assert (conf.ISSUER, conf.AUDIENCE, conf.CLIENT_ID) == ("authx", "authx", "first-party")
    assert timedelta(minutes=15) == conf.ACCESS_TOKEN_LIFETIME
    assert (timedelta(days=7), timedelta(days=30)) == (conf.IDLE_LIFETIME, conf.SESSION_LIFETIME)
    assert (timedelta(seconds=30), timedelta(seconds=10)) == (conf.REFRESH_GRACE, conf.CLOCK_LEEWAY)
    assert (conf.SIGNING_KEYS, conf.CLAIMS, conf.SESSION_LIMITS) == ([], None, [])
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
    assert (conf.LOGIN_RATE, conf.REFRESH_RATE) == ("10/min", "60/min")
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
        assert conf.AUDIENCE == "https://id.example"
        with override_settings(AUTHX_AUDIENCE=["api"]):
            assert conf.AUDIENCE == ["api"]


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
    assert parse_rate(rate) == read


@pytest.mark.parametrize("rate", [*BAD["LOGIN_RATE"][:7], "10/minutes", "1e3/min", "٣/min", "10/min\n"])
def test_what_is_no_rate_is_refused(rate):
    with pytest.raises(ValueError, match="not a rate"):
        parse_rate(rate)


def test_a_derived_key_is_not_what_a_signing_key_setting_takes(settings):
    settings.AUTHX_SIGNING_KEYS = [Key.derive("secret")]
    assert complaint("SIGNING_KEYS") == "must list PEM texts, paths, or dicts with key, alg and password"


def test_settings_are_read_as_django_reads_them(settings):
    """At every access: overridden, overridden again, deleted, assigned."""
    from django.conf import settings as ours
    from django.test import override_settings

    assert conf.ISSUER == "authx"
    with override_settings(AUTHX_ISSUER="one"):
        assert conf.ISSUER == "one"
        with override_settings(AUTHX_CLIENT_ID="other"):
            assert conf.ISSUER == "one"
            del ours.AUTHX_ISSUER
            assert conf.ISSUER == "authx"
        ours.AUTHX_ISSUER = "two"
        assert conf.ISSUER == "two"
    assert conf.ISSUER == "authx"
    settings.AUTHX_ISSUER = "three"
    assert conf.ISSUER == ours.AUTHX_ISSUER == "three"


def test_settings_that_are_no_module_are_read_as_django_reads_them(monkeypatch):
    """As with ``settings.configure(SitesOwn())``."""
    monkeypatch.setattr(settings, "_wrapped", UserSettingsHolder(SitesOwn()))
    assert conf.CLIENT_ID == settings.AUTHX_CLIENT_ID == "on the class"
    with override_settings(AUTHX_CLIENT_ID="overridden", DEBUG=True):
        assert conf.CLIENT_ID == "overridden"
        del settings.AUTHX_CLIENT_ID
        assert conf.CLIENT_ID == "first-party"
    monkeypatch.setattr(settings, "_wrapped", UserSettingsHolder(global_settings))
    assert conf.CLIENT_ID == "first-party"
