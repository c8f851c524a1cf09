"""What a reviewer from outside broke once: each must stay mended."""

from __future__ import annotations

import logging
from dataclasses import replace
from importlib import import_module

import pytest
from django.conf import settings as site
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.core.management import call_command
from django.db import connection
from django.test import Client
from rest_framework.test import APIClient

from authx.checks import check_settings, check_together
from authx.conf import conf
from authx.core.access_token import write_access_token
from authx.errors import TokenMalformed
from authx.gate import verify_access_token
from authx.gate.keys import keyring
from authx.models import DeviceSession
from authx.sessions import open_session, recognize

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.outside_urls")]

TO_A_PAGE = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document", "Accept": "text/html"}
CACHED = [
    "django.middleware.cache.UpdateCacheMiddleware",
    *site.MIDDLEWARE,
    "django.middleware.cache.FetchFromCacheMiddleware",
]


@pytest.fixture
def browser(ada, password):
    client = Client()
    form = {"username": ada.get_username(), "password": password, "remember": "on"}
    assert client.post("/account/login/", form).status_code == 302
    return client


@pytest.fixture
def atomic_requests():
    connection.settings_dict["ATOMIC_REQUESTS"] = True
    yield
    connection.settings_dict["ATOMIC_REQUESTS"] = False


def older_than_authx(user):
    """A browser whose Django login is older than authx."""
    store = import_module(site.SESSION_ENGINE).SessionStore()
    store[SESSION_KEY] = str(user.pk)
    store[BACKEND_SESSION_KEY] = "django.contrib.auth.backends.ModelBackend"
    store[HASH_SESSION_KEY] = user.get_session_auth_hash()
    store.save()
    client = Client()
    client.cookies[site.SESSION_COOKIE_NAME] = store.session_key
    return client


def test_a_prefetch_that_ends_on_the_login_page_takes_no_cookie_away(browser, ada):
    del browser.cookies[conf.ACCESS_COOKIE]
    headers = TO_A_PAGE | {"Sec-Purpose": "prefetch"}
    answer = browser.get("/private/", headers=headers, follow=True)
    assert answer.redirect_chain
    assert conf.REFRESH_COOKIE not in answer.cookies
    assert browser.get("/whoami/").json()["user"] == ada.get_username()


def test_no_shared_cache_serves_one_callers_answer_to_another(browser, ada, bob, settings):
    settings.MIDDLEWARE = CACHED
    assert browser.get("/api/whoami/").json()["user"] == str(ada.pk)
    assert Client().get("/api/whoami/").status_code == 401
    headers = {"Authorization": f"Bearer {open_session(bob).access_token}"}
    assert Client().get("/api/whoami/", headers=headers).json()["user"] == str(bob.pk)
    assert Client().get("/api/whoami/").status_code == 401


def test_a_password_is_changed_where_the_devices_own_type_is_no_longer_known(browser, password, settings):
    settings.AUTHX_DEVICE_TYPES = ("phone",)
    form = {"old_password": password, "new_password1": "q8-horse-w", "new_password2": "q8-horse-w"}
    assert browser.post("/password-change/", form).status_code == 302
    assert browser.get("/private/").status_code == 200


def test_a_token_apis_login_is_no_login_of_this_browser(ada, client):
    answer = client.get("/token-login/")
    assert not answer.cookies
    assert not DeviceSession.objects.exists()


@pytest.mark.urls("tests.without_pages_urls")
def test_a_refused_login_is_a_page_where_ours_are_not_mounted(ada, password, client, settings):
    settings.AUTHX_SESSION_LIMITS = [{"limit": 1, "when_full": "refuse"}]
    open_session(ada)
    form = {"username": ada.get_username(), "password": password}
    assert client.post("/django-login/", form).status_code == 409


def test_a_sid_that_is_none_makes_a_malformed_token(ada, api):
    claims = replace(open_session(ada).claims, sid="nope")
    token = write_access_token(claims, keyring.keyset().signing)
    for refuse in (verify_access_token, recognize):
        with pytest.raises(TokenMalformed):
            refuse(token)
    api.cookies[conf.ACCESS_COOKIE] = token
    assert api.post("/api/auth/logout/").status_code == 204


def broken_claims(session):
    raise ValueError("the site's own mistake")


def test_claims_that_fail_leave_no_session_and_no_login_behind(ada, password, settings):
    settings.AUTHX_CLAIMS = "tests.across.test_outside_review.broken_claims"
    client = Client(raise_request_exception=False)
    form = {"username": ada.get_username(), "password": password}
    assert client.post("/api/auth/login/", form, content_type="application/json").status_code == 500
    assert client.post("/account/login/", form).status_code == 500
    assert not DeviceSession.objects.exists()
    assert client.get("/whoami/").json()["user"] is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("AUTHX_DEVICE_TYPES", None),
        ("AUTHX_DEVICE_TYPES", 5),
        ("AUTHX_SESSION_LIMITS", [{"types": [["ios"]], "limit": 1}]),
        ("AUTHX_ALARMS", {"new_country": []}),
    ],
)
def test_a_wrong_type_is_an_error_and_no_traceback(name, value, settings):
    setattr(settings, name, value)
    (error,) = check_settings()
    assert (error.id, error.msg.split()[0]) == ("authx.E001", name)


def test_odd_settings_of_drf_are_no_traceback_either(settings):
    settings.REST_FRAMEWORK = {"DEFAULT_AUTHENTICATION_CLASSES": None}
    assert check_together() == []


@pytest.mark.parametrize("scheme", ["Bearer-x", "Bearer:x", "Bearer_"])
def test_a_scheme_that_only_begins_like_ours_is_another(scheme, ada, api):
    headers = {"Authorization": f"{scheme} {open_session(ada).access_token}"}
    assert api.get("/api/whoami/", headers=headers).status_code == 401


def test_the_csrf_cookie_comes_without_the_middleware_too(client, settings):
    settings.MIDDLEWARE = [name for name in settings.MIDDLEWARE if "Csrf" not in name]
    answer = client.get("/api/auth/login/")
    assert answer.status_code == 204
    assert "csrftoken" in answer.cookies


@pytest.mark.django_db(transaction=True)
def test_an_adoption_rolled_back_with_its_view_logs_nobody_out(ada, atomic_requests):
    client = older_than_authx(ada)
    assert client.get("/missing/").status_code == 404
    assert not DeviceSession.objects.exists()
    assert client.get("/whoami/").json()["user"] == ada.get_username()
    assert DeviceSession.objects.count() == 1


def test_a_browsers_script_that_changes_the_password_stays_signed_in(ada, password):
    client = Client()
    body = {"username": ada.get_username(), "password": password, "transport": "cookie"}
    client.post("/api/auth/login/", body, content_type="application/json")
    assert client.post("/api/change/").status_code == 200
    assert client.get("/api/whoami/").status_code == 200
    assert DeviceSession.objects.live().count() == 1


def test_so_does_one_whose_password_changed_past_every_signal(browser, ada):
    assert browser.get("/bulk-change/").status_code == 200
    assert browser.get("/whoami/").json()["user"] == ada.get_username()
    assert list(DeviceSession.objects.exclude(ended_at=None).values_list("end_reason", flat=True)) == [
        "password_changed"
    ]


def test_other_services_find_the_keys_where_every_view_needs_a_login(client, settings):
    required = "django.contrib.auth.middleware.LoginRequiredMiddleware"
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, required]
    assert client.get("/.well-known/jwks.json").status_code == 200


def many_roles(session):
    return {"roles": [f"role-number-{n}" for n in range(250)]}


def test_a_cookie_no_browser_would_keep_is_complained_of(ada, password, settings, caplog):
    settings.AUTHX_CLAIMS = "tests.across.test_outside_review.many_roles"
    settings.AUTHX_ACCESS_COOKIE = "large"
    form = {"username": ada.get_username(), "password": password}
    with caplog.at_level(logging.WARNING, "authx"):
        Client().post("/account/login/", form)
        Client().post("/account/login/", form)
    assert [record.getMessage() for record in caplog.records].count(
        "The cookie large is too large for browsers: put fewer claims in AUTHX_CLAIMS."
    ) == 1


def test_a_site_check_finds_nothing_to_say_about_the_defaults(db):
    call_command("check", "--fail-level", "WARNING")


def test_a_login_by_api_needs_no_last_login_of_the_user_model(ada, password, api, monkeypatch):
    monkeypatch.setattr(type(ada), "last_login", None)
    body = {"username": ada.get_username(), "password": password}
    assert APIClient().post("/api/auth/login/", body).status_code == 200
