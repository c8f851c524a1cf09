"""authx.checks: each mistake by its id, and nothing where there is none."""

from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from django.core.checks import Tags, run_checks
from django.core.management import call_command
from django.core.management.base import SystemCheckError

from authx.checks import (
    MIDDLEWARE,
    check_deployment,
    check_middleware,
    check_settings,
    check_together,
    named_code,
)
from authx.conf import Conf

AUTHENTICATION = "django.contrib.auth.middleware.AuthenticationMiddleware"
SESSIONS = "django.contrib.sessions.middleware.SessionMiddleware"
LOGIN_REQUIRED = "django.contrib.auth.middleware.LoginRequiredMiddleware"
REMOTE_USER = "django.contrib.auth.middleware.RemoteUserMiddleware"
OURS = "authx.api.authentication.BearerAuthentication"
DJANGOS = "rest_framework.authentication.SessionAuthentication"
HANDLER = "authx.api.exception_handler"


def ids(deploy=False):
    """The ids of authx's own messages, as ``manage.py check`` would find them."""
    found = run_checks(tags=[Tags.security], include_deployment_checks=deploy)
    return sorted(message.id for message in found if message.id.startswith("authx."))


def only(check):
    (message,) = check()
    return message


def private_pem(key):
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


# A good site


def test_a_good_site_has_nothing_to_hear():
    assert ids() == []


def test_a_site_that_sets_nothing_has_nothing_to_hear_either(settings):
    for name in dir(settings):
        if name.startswith("AUTHX_"):
            delattr(settings, name)
    del settings.REST_FRAMEWORK
    assert ids() == []


def test_a_good_site_in_production_has_nothing_to_hear(settings):
    settings.AUTHX_ISSUER = "https://id.example"
    settings.AUTHX_STAFF_MAX_AUTH_AGE = timedelta(hours=1)
    settings.AUTHX_TRUSTED_PROXIES = 1
    settings.CACHES = {"default": {"BACKEND": "django_redis.cache.RedisCache", "LOCATION": "redis://x"}}
    assert ids(deploy=True) == []


def test_the_checks_run_with_the_security_checks():
    found = run_checks(tags=[Tags.security], include_deployment_checks=True)
    assert {"authx.W006", "authx.W008"} <= {message.id for message in found}


def test_every_message_says_what_to_do(settings):
    settings.AUTHX_ISSUR = "x"
    settings.AUTHX_IDLE_LIFETIME = timedelta(minutes=1)
    settings.AUTHX_COOKIE_SECURE = False
    settings.USE_TZ = False
    settings.MIDDLEWARE = [MIDDLEWARE]
    found = run_checks(tags=[Tags.security], include_deployment_checks=True)
    said = [message for message in found if message.id.startswith("authx.")]
    assert len(said) >= 7
    assert all(message.hint for message in said)


def test_manage_check_fails_on_an_error_and_names_it(settings):
    settings.AUTHX_IDLE_LIFETIME = 7
    with pytest.raises(SystemCheckError, match=r"authx\.E001.*AUTHX_IDLE_LIFETIME must be"):
        call_command("check", tags=[Tags.security])


# E001, W001


def test_e001_a_value_of_the_wrong_kind_is_named_with_what_it_must_be(settings):
    settings.AUTHX_ACCESS_TOKEN_LIFETIME = 300
    message = only(check_settings)
    assert message.id == "authx.E001"
    assert message.msg == "AUTHX_ACCESS_TOKEN_LIFETIME must be a timedelta from one second to 36500 days."


def test_e001_every_wrong_value_is_named_at_once_and_not_judged_together(settings):
    settings.AUTHX_ACCESS_TOKEN_LIFETIME = None
    settings.AUTHX_COOKIE_SECURE = "no"
    settings.AUTHX_LOGIN_RATE = 10
    named = {message.msg.split()[0] for message in check_settings()}
    assert named == {"AUTHX_ACCESS_TOKEN_LIFETIME", "AUTHX_COOKIE_SECURE", "AUTHX_LOGIN_RATE"}
    assert check_together() == []


@pytest.mark.parametrize("name", ["AUTHX_DEVICE_TYPES", "AUTHX_SESSION_LIMITS", "AUTHX_ALARMS"])
@pytest.mark.parametrize("value", [5, [{}], [[]], [None], {"a": []}, object()])
def test_e001_no_value_however_odd_breaks_the_checks(settings, name, value):
    setattr(settings, name, value)
    assert name in {message.msg.split()[0] for message in check_settings()}


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("AUTHX_ACCESS_TOKEN_LIFTIME", "AUTHX_ACCESS_TOKEN_LIFETIME"),
        ("AUTHX_REFRESH_GRACE_SECONDS", "AUTHX_REFRESH_GRACE"),
        ("AUTHX_TRUSTED_PROXY", "AUTHX_TRUSTED_PROXIES"),
    ],
)
def test_w001_an_unknown_name_comes_with_the_nearest_right_one(settings, wrong, right):
    setattr(settings, wrong, 1)
    message = only(check_settings)
    assert (message.id, message.hint) == ("authx.W001", f"Did you mean {right}?")
    assert message.msg.startswith(wrong)


def test_w001_a_name_like_none_of_ours_comes_without_a_guess(settings):
    settings.AUTHX_QWFPGJLUYXCVBKHDM = 1
    assert (only(check_settings).id, only(check_settings).hint) == ("authx.W001", None)


# Durations


def test_e002_an_access_token_that_lives_as_long_as_an_idle_session(settings):
    settings.AUTHX_ACCESS_TOKEN_LIFETIME = settings.AUTHX_IDLE_LIFETIME = timedelta(minutes=15)
    assert ids() == ["authx.E002"]
    settings.AUTHX_ACCESS_TOKEN_LIFETIME = timedelta(minutes=14)
    assert ids() == []


def test_e003_a_grace_that_lasts_as_long_as_an_idle_session(settings):
    settings.AUTHX_ACCESS_TOKEN_LIFETIME = timedelta(minutes=59)
    settings.AUTHX_REFRESH_GRACE = settings.AUTHX_IDLE_LIFETIME = timedelta(hours=1)
    assert ids() == ["authx.E003"]
    settings.AUTHX_REFRESH_GRACE = timedelta(minutes=59)
    assert ids() == []


def test_w002_an_idle_limit_beyond_the_absolute_one(settings):
    settings.AUTHX_IDLE_LIFETIME = timedelta(days=31)
    assert ids() == ["authx.W002"]
    settings.AUTHX_IDLE_LIFETIME = timedelta(days=30)
    assert ids() == []


def test_w013_a_grace_longer_than_the_access_tokens_life_is_a_warning(settings):
    settings.AUTHX_ACCESS_TOKEN_LIFETIME = settings.AUTHX_REFRESH_GRACE = timedelta(minutes=1)
    assert ids() == []
    settings.AUTHX_REFRESH_GRACE = timedelta(seconds=61)
    assert ids() == ["authx.W013"]


# Cookies


def test_e004_a_host_cookie_over_plain_http(settings):
    settings.AUTHX_COOKIE_SECURE = False
    assert ids() == ["authx.E004"]
    settings.AUTHX_ACCESS_COOKIE = "access"
    settings.AUTHX_REFRESH_COOKIE = "__Secure-refresh"
    settings.AUTHX_DEVICE_COOKIE = "device"
    assert ids() == ["authx.E004"]
    settings.AUTHX_REFRESH_COOKIE = "refresh"
    assert ids() == []


@pytest.mark.parametrize("name", ["__Host-authx_access", "sessionid", "csrftoken"])
def test_e005_two_cookies_of_one_name(settings, name):
    settings.AUTHX_REFRESH_COOKIE = name
    assert ids() == ["authx.E005"]


@pytest.fixture
def anywhere(settings):
    """A site whose cookies all go to frames of other sites."""
    for name in ("AUTHX", "SESSION", "CSRF"):
        setattr(settings, f"{name}_COOKIE_SAMESITE", "None")
        setattr(settings, f"{name}_COOKIE_SECURE", True)


def test_e006_a_cookie_for_other_sites_over_plain_http(anywhere, settings):
    assert ids() == []
    settings.AUTHX_COOKIE_SECURE = False
    assert ids() == ["authx.E004", "authx.E006"]


@pytest.mark.parametrize("samesite", ["Lax", "Strict"])
def test_e024_partitions_of_a_cookie_that_comes_into_no_frame(samesite, settings):
    settings.AUTHX_COOKIE_SAMESITE, settings.AUTHX_COOKIE_PARTITIONED = samesite, True
    assert ids() == ["authx.E024"]


@pytest.mark.parametrize("kind", ["SESSION", "CSRF"])
@pytest.mark.parametrize(
    ("name", "value"),
    [("SAMESITE", "Lax"), ("SAMESITE", "Strict"), ("SAMESITE", None), ("SAMESITE", False), ("SECURE", False)],
)
def test_w025_a_cookie_of_djangos_that_stays_out_of_the_frames_that_ours_go_to(
    name, value, kind, anywhere, settings
):
    setattr(settings, f"{kind}_COOKIE_{name}", value)
    message = only(check_together)
    assert message.id == "authx.W025"
    assert message.msg.endswith(f": {kind}_COOKIE_{name}.")
    settings.AUTHX_COOKIE_SAMESITE = "Lax"
    assert ids() == []


def test_w025_is_not_about_a_cookie_that_is_not_used(anywhere, settings):
    settings.CSRF_COOKIE_SAMESITE, settings.CSRF_USE_SESSIONS = "Lax", True
    assert ids() == []


PARTITIONING = "authx.pages.partitioned.PartitionedCookiesMiddleware"
CSRF = "django.middleware.csrf.CsrfViewMiddleware"


def test_w026_cookies_of_djangos_that_are_not_partitioned_as_ours_are(anywhere, settings):
    settings.AUTHX_COOKIE_PARTITIONED = True
    assert ids() == ["authx.W026"]
    before = list(settings.MIDDLEWARE)
    settings.MIDDLEWARE = [*before, PARTITIONING]
    assert ids() == ["authx.W026"]
    for late in (SESSIONS, CSRF):
        settings.MIDDLEWARE = [late, PARTITIONING, *(name for name in before if name != late)]
        assert ids() == ["authx.W026"]
    settings.MIDDLEWARE = ["django.middleware.security.SecurityMiddleware", PARTITIONING, *before]
    assert ids() == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("FORCE_SCRIPT_NAME", "/shop"),
        ("FORCE_SCRIPT_NAME", "/shop/"),
        ("SESSION_COOKIE_PATH", "/shop"),
        ("CSRF_COOKIE_PATH", "/shop/"),
    ],
)
def test_w027_a_site_beneath_a_path_whose_cookies_another_one_may_have_too(name, value, settings):
    setattr(settings, name, value)
    assert ids() == ["authx.W027"]
    for ours in ("ACCESS", "REFRESH"):
        setattr(settings, f"AUTHX_{ours}_COOKIE", f"__Host-shop_{ours}")
    assert only(check_together).msg.endswith(": AUTHX_DEVICE_COOKIE.")
    settings.AUTHX_DEVICE_COOKIE = "__Host-shop_device"
    assert ids() == []


@pytest.mark.parametrize("value", [None, "", "/"])
def test_w027_a_site_that_has_its_host_to_itself(value, settings):
    settings.FORCE_SCRIPT_NAME = value
    assert ids() == []


# Keys


def test_e007_a_good_key_is_fine_by_text_and_by_path(settings, tmp_path):
    pem = private_pem(ec.generate_private_key(ec.SECP256R1()))
    settings.AUTHX_SIGNING_KEYS = [pem]
    assert ids() == []
    (tmp_path / "key.pem").write_text(pem)
    settings.AUTHX_SIGNING_KEYS = [tmp_path / "key.pem"]
    assert ids() == []


@pytest.fixture(scope="module")
def keys():
    weak = private_pem(rsa.generate_private_key(65537, 1024))
    good = ec.generate_private_key(ec.SECP256R1())
    public = good.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    return {
        "weak": weak,
        "of a curve that is none of ours": private_pem(ec.generate_private_key(ec.SECP384R1())),
        "public, and first": public,
        "mangled": private_pem(good).replace("BEGIN PRIVATE KEY", "BEGIN PRIVATE KEY X"),
        "a path to nowhere": "/no/such/key.pem",
        "for another algorithm": {"key": private_pem(good), "alg": "RS256"},
        "with a password it does not need": {"key": private_pem(good), "password": "secret"},
    }


@pytest.mark.parametrize(
    "which",
    [
        "weak",
        "of a curve that is none of ours",
        "public, and first",
        "mangled",
        "a path to nowhere",
        "for another algorithm",
        "with a password it does not need",
    ],
)
def test_e007_a_key_that_is_no_good_is_found_before_the_first_login_and_not_shown(settings, keys, which):
    settings.AUTHX_SIGNING_KEYS = [keys[which]]
    message = only(check_together)
    assert message.id == "authx.E007"
    text = f"{message.msg} {message.hint}"
    source = keys[which]["key"] if isinstance(keys[which], dict) else keys[which]
    assert not [line for line in source.splitlines() if line in text]


# Paths


@pytest.mark.parametrize(
    "name",
    [
        "AUTHX_CLAIMS",
        "AUTHX_BIND_DJANGO_LOGIN",
        "AUTHX_PASSWORD_LOGIN",
        "AUTHX_REVOCATION_STORE",
        "AUTHX_COUNTRY",
        "AUTHX_DEVICE_CLASSIFIER",
        "AUTHX_METRICS",
        "AUTHX_PLACE",
    ],
)
@pytest.mark.parametrize("path", ["nowhere.to.be.found", "authx.conf.no_such_name"])
def test_e011_code_that_a_setting_names_must_be_there(settings, name, path):
    setattr(settings, name, path)
    message = only(check_together)
    assert message.id == "authx.E011"
    assert message.msg.startswith(name)
    setattr(settings, name, GOOD.get(name, "authx.http.places.place_of"))
    assert ids() == []


GOOD = {
    "AUTHX_REVOCATION_STORE": "authx.sessions.liveness.DatabaseSource",
    "AUTHX_METRICS": "authx.contrib.opentelemetry.Meter",
}
FUNCTIONS = [
    *("AUTHX_CLAIMS", "AUTHX_GRANT_CLAIMS", "AUTHX_DEVICE_CLASSIFIER", "AUTHX_BIND_DJANGO_LOGIN"),
    *("AUTHX_COUNTRY", "AUTHX_PLACE", "AUTHX_NOTICE_LANGUAGE"),
]
#: What a site may name by mistake, and where: a constant, a function that nobody awaits, another class.
MISNAMED = [
    *((name, "authx.http.places.MAX_LENGTH") for name in [*FUNCTIONS, *GOOD]),
    *((name, "authx.testing.logins.alogin_device") for name in FUNCTIONS),
    *((name, "authx.sessions.Device") for name in GOOD),
]


@pytest.mark.parametrize(("name", "path"), MISNAMED)
def test_e058_what_a_setting_names_must_be_such_as_is_asked(settings, name, path):
    setattr(settings, name, path)
    message = only(check_together)
    assert message.id == "authx.E058"
    assert message.msg.startswith(f"{name} names {path}")


@pytest.mark.parametrize("path", ["tests.gate.test_stores.Nobody", "tests.gate.test_stores.nobody"])
def test_a_store_of_the_sites_own_has_either_method_or_is_made_by_a_function(settings, path):
    settings.AUTHX_REVOCATION_STORE = path
    assert ids() == []


def test_whatever_names_code_is_looked_at():
    known = named_code._FUNCTIONS | named_code._OTHERS | named_code._CLASSES.keys()
    named = {setting.name for setting in Conf.declared() if setting.help.startswith(("Function", "Class"))}
    assert named <= {f"AUTHX_{name}" for name in known}


def test_e011_a_backend_that_the_table_of_methods_names_must_be_there(settings):
    settings.AUTHX_AMR = {"site.auth.Backnd": ["pwd"], "django_otp.otp_static": ["kba"], "allauth.mfa": []}
    message = only(check_together)
    assert message.id == "authx.E011"
    assert message.msg.startswith("AUTHX_AMR names site.auth.Backnd, which cannot be imported")
    settings.AUTHX_AMR = {"django.contrib.auth.backends.ModelBackend": ["pwd"]}
    assert ids() == []


# What is around us


def test_e008_times_without_a_time_zone(settings):
    settings.USE_TZ = False
    assert ids() == ["authx.E008"]


def middleware(*names):
    return [SESSIONS, *names, "django.contrib.messages.middleware.MessageMiddleware"]


@pytest.mark.parametrize(
    "order",
    [
        [MIDDLEWARE, SESSIONS, AUTHENTICATION],
        [SESSIONS, MIDDLEWARE, AUTHENTICATION],
        [SESSIONS, AUTHENTICATION, "django.middleware.common.CommonMiddleware", MIDDLEWARE],
        [SESSIONS, MIDDLEWARE],
    ],
    ids=["first", "before", "later", "alone"],
)
def test_e009_our_middleware_directly_after_djangos(settings, order):
    settings.MIDDLEWARE = order
    message = only(check_middleware)
    assert message.id == "authx.E009"
    assert message.hint == f"Put {MIDDLEWARE} directly after {AUTHENTICATION}."


@pytest.mark.parametrize("early", [LOGIN_REQUIRED, REMOTE_USER])
def test_e010_who_asks_for_the_user_comes_after_us(settings, early):
    settings.MIDDLEWARE = [SESSIONS, early, AUTHENTICATION, MIDDLEWARE]
    message = only(check_middleware)
    assert message.id == "authx.E010"
    assert message.msg.startswith(early)
    settings.MIDDLEWARE = [SESSIONS, AUTHENTICATION, MIDDLEWARE, early]
    assert check_middleware() == []


def test_a_site_may_use_the_api_alone(settings):
    settings.MIDDLEWARE = []
    assert check_middleware() == []


def test_w004_djangos_own_class_first_turns_401_into_403(settings):
    settings.REST_FRAMEWORK = {
        "DEFAULT_AUTHENTICATION_CLASSES": [DJANGOS, OURS],
        "EXCEPTION_HANDLER": HANDLER,
    }
    assert ids() == ["authx.W004"]
    settings.REST_FRAMEWORK = {
        "DEFAULT_AUTHENTICATION_CLASSES": [OURS, DJANGOS],
        "EXCEPTION_HANDLER": HANDLER,
    }
    assert ids() == []


def test_w009_a_login_shared_among_hosts_whose_device_sessions_are_not(settings):
    settings.SESSION_COOKIE_DOMAIN = ".example.com"
    assert ids() == ["authx.W009"]


@pytest.mark.parametrize("handler", [{}, {"EXCEPTION_HANDLER": "rest_framework.views.exception_handler"}])
def test_w005_our_classes_without_our_words_for_what_went_wrong(settings, handler):
    settings.REST_FRAMEWORK = {"DEFAULT_AUTHENTICATION_CLASSES": [OURS], **handler}
    assert ids() == ["authx.W005"]


def test_w005_a_handler_of_the_sites_own_is_its_own_affair(settings):
    settings.REST_FRAMEWORK = {
        "DEFAULT_AUTHENTICATION_CLASSES": [OURS],
        "EXCEPTION_HANDLER": "site.api.handle",
    }
    assert ids() == []


@pytest.mark.parametrize("rest_framework", [{}, {"DEFAULT_AUTHENTICATION_CLASSES": []}, None])
def test_a_site_that_configures_no_classes_is_not_advised_about_them(settings, rest_framework):
    settings.REST_FRAMEWORK = rest_framework
    assert ids() == []


# In production


@pytest.mark.parametrize("issuer", ["authx", "http://id.example", "https://", "id.example"])
def test_w006_an_issuer_whose_keys_nobody_could_find(settings, issuer):
    settings.AUTHX_ISSUER = issuer
    assert "authx.W006" in [message.id for message in check_deployment()]
    assert ids() == []


def test_w007_cookies_over_plain_http(settings):
    settings.AUTHX_COOKIE_SECURE = False
    assert "authx.W007" in [message.id for message in check_deployment()]


def test_w008_staff_whose_login_may_be_as_old_as_it_likes(settings):
    assert "authx.W008" in [message.id for message in check_deployment()]
    settings.AUTHX_STAFF_MAX_AUTH_AGE = timedelta(hours=1)
    assert "authx.W008" not in [message.id for message in check_deployment()]


def test_a_wrong_issuer_does_not_break_the_deploy_checks(settings):
    settings.AUTHX_ISSUER = None
    assert ids(deploy=True) == [
        *("authx.E001", "authx.E001"),
        *("authx.W006", "authx.W008", "authx.W023", "authx.W024"),
    ]
