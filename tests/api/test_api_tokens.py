"""authx.api.views.tokens: getting tokens, renewing them, giving them back."""

import json
import logging
from datetime import timedelta

import pytest
from django.apps import apps
from django.contrib.auth.hashers import MD5PasswordHasher
from django.db import connection, connections
from django.test import override_settings
from django.utils import timezone
from rest_framework.test import APIClient

from authx.models import DeviceSession, EndReason, SessionEvent
from authx.sessions import end_session, open_session
from authx.signals import device_session_opened
from tests.branches import read
from tests.faults_in_database import broken_database

WHOAMI = "/api/whoami/"
LOGIN, REFRESH, LOGOUT = "/api/auth/login/", "/api/auth/refresh/", "/api/auth/logout/"
ACCESS_COOKIE, REFRESH_COOKIE = "__Host-authx_access", "__Host-authx_refresh"
DEVICE_COOKIE = "__Host-authx_device"
OURS = {ACCESS_COOKIE, REFRESH_COOKIE, DEVICE_COOKIE}

TOKEN_KEYS = {
    "access_token",
    "token_type",
    "expires_in",
    "refresh_token",
    "refresh_expires_in",
    "session_id",
    "user_id",
}


@pytest.fixture
def login(ada, password):
    """Log ada in, or whoever is named, with whatever else the body says; the response."""

    def post(client=None, headers=None, **more):
        body = {"username": ada.get_username(), "password": password, **more}
        return post_json(client or APIClient(), LOGIN, body, headers=headers)

    return post


def post_json(client, path, body, **more):
    """In ASCII, so that it can hold a lone surrogate."""
    return client.post(path, json.dumps(body), content_type="application/json", **more)


@pytest.fixture
def browser():
    """A browser, as far as Django's CSRF check is concerned."""
    return APIClient(enforce_csrf_checks=True)


@pytest.fixture
def sign_in(browser, login):
    """Log in by cookie, with the CSRF token; the response."""

    def post(client=browser, **more):
        return login(client, csrf(client), transport="cookie", **more)

    return post


def csrf(client):
    """The header that proves the page is ours; fetches the cookie it repeats if there is none."""
    if "csrftoken" not in client.cookies:
        client.get(LOGIN)
    return {"X-CSRFToken": client.cookies["csrftoken"].value}


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


def refresh(token, client=None):
    return post_json(client or APIClient(), REFRESH, {"refresh_token": token})


def refresh_by_cookie(client, **headers):
    return client.post(REFRESH, headers={**csrf(client), **headers})


def pass_the_grace(**columns):
    """The grace has passed since the last rotation (of every session), and since the strike."""
    long_ago = timezone.now() - timedelta(minutes=1)
    DeviceSession.objects.update(rotated_at=long_ago, **columns)
    DeviceSession.objects.exclude(strike_at=None).update(strike_at=long_ago)


def assert_error(response, status, code, reason=None):
    assert response.status_code == status, response.content
    said = response.json()
    assert said["code"] == code
    assert said.get("reason") == reason
    assert set(said) == {"detail", "code"} | ({"reason"} if reason else set())


def only_session():
    return DeviceSession.objects.get()


# Login: the answer


def test_a_login_answers_with_exactly_what_the_contract_names(login, ada):
    response = login()
    assert response.status_code == 200
    tokens = response.json()
    assert set(tokens) == TOKEN_KEYS
    assert tokens["token_type"] == "Bearer"
    assert tokens["expires_in"] == 15 * 60
    assert tokens["refresh_expires_in"] == 7 * 24 * 3600 + 900
    assert tokens["session_id"] == str(only_session().pk)
    assert tokens["user_id"] == str(ada.pk)
    assert all(isinstance(tokens[name], int) for name in ("expires_in", "refresh_expires_in"))


def test_a_body_login_sets_no_cookie_and_asks_for_no_csrf_token(login, browser):
    response = login(browser)
    assert response.status_code == 200
    assert not response.cookies


def test_the_access_token_works_at_once(login, api, ada):
    token = login().json()["access_token"]
    assert api.get(WHOAMI, headers=bearer(token)).json()["user"] == str(ada.pk)


def test_a_form_logs_in_too(api, ada, password):
    body = f"username={ada.get_username()}&password={password}"
    response = api.post(LOGIN, body, content_type="application/x-www-form-urlencoded")
    assert response.status_code == 200
    assert set(response.json()) == TOKEN_KEYS


def test_the_lifetimes_are_the_settings(login, settings):
    settings.AUTHX_ACCESS_TOKEN_LIFETIME = timedelta(minutes=3)
    settings.AUTHX_IDLE_LIFETIME = timedelta(hours=2)
    settings.AUTHX_SESSION_LIFETIME = timedelta(hours=1)
    tokens = login().json()
    assert tokens["expires_in"] == 180
    assert 3595 <= tokens["refresh_expires_in"] <= 3600


def test_a_login_is_remembered_with_where_it_came_from(login):
    firefox = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
    login(headers={"User-Agent": firefox}, device={"id": "d-1", "name": "Ada's laptop"})
    session = only_session()
    assert (session.device_id, session.device_name, session.device_type) == ("d-1", "Ada's laptop", "web")
    assert session.device_label == "Firefox on Linux"
    assert session.ip == "127.0.0.1"
    assert session.amr == ["pwd"]


def test_a_login_is_an_event_and_the_users_last_login(login, ada):
    login()
    assert SessionEvent.objects.get().kind == SessionEvent.Kind.OPENED
    ada.refresh_from_db()
    assert timezone.now() - ada.last_login < timedelta(minutes=1)


def test_fields_that_are_not_asked_for_change_nothing(login, ada, bob):
    extra = {
        "user": str(bob.pk),
        "user_id": str(bob.pk),
        "subject": str(bob.pk),
        "id": "00000000-0000-7000-8000-000000000000",
        "session_id": "00000000-0000-7000-8000-000000000000",
        "amr": ["hwk"],
        "is_staff": True,
        "expires_at": "2999-01-01T00:00:00Z",
        "generation": 7,
        "persistent": False,
    }
    device = {"id": "d", "label": "Root", "ip": "10.0.0.1", "country": "AQ"}
    assert login(**extra, device=device).status_code == 200
    session = only_session()
    assert (session.user, session.subject) == (ada, str(ada.pk))
    assert str(session.pk) != extra["id"]
    assert (session.amr, session.generation, session.persistent) == (["pwd"], 1, True)
    assert session.expires_at < timezone.now() + timedelta(days=31)
    assert session.device_label != "Root"
    assert (session.ip, session.country) == ("127.0.0.1", "")
    ada.refresh_from_db()
    assert not ada.is_staff


# Login: what it refuses

DEEP = "[" * 100_000 + "]" * 100_000
MALFORMED = {
    "no body": "",
    "an empty object": "{}",
    "null": "null",
    "a list": '["ada", "secret"]',
    "a string": '"ada"',
    "a number": "7",
    "not JSON": "{",
    "two values": "{}{}",
    "NaN": '{"username": NaN, "password": "x"}',
    "Infinity": '{"username": "ada", "password": Infinity}',
    "deep lists": DEEP,
    "a deep value": '{"username": ' + DEEP + ', "password": "x"}',
    "a deep device": '{"username": "a", "password": "b", "device": ' + DEEP + "}",
    "deep objects": '{"a":' * 100_000 + "1" + "}" * 100_000,
    "5,000 digits": '{"username": ' + "9" * 5_000 + ', "password": "x"}',
    "4,000 digits": '{"username": ' + "9" * 4_000 + ', "password": "x"}',
    "Latin-1": '{"username": "\xe9", "password": "x"}'.encode("latin-1"),
    "UTF-16": '{"username": "a", "password": "x"}'.encode("utf-16"),
    "bytes": b"\x80\x81\xff\x00",
}


@pytest.mark.parametrize("path", [LOGIN, REFRESH, LOGOUT])
@pytest.mark.parametrize("body", MALFORMED.values(), ids=MALFORMED)
def test_a_malformed_body_is_refused(body, path, api, db):
    response = api.post(path, body, content_type="application/json")
    assert response.status_code in ({400} if path == LOGIN else {400, 401})
    assert "no-store" in response["Cache-Control"]


@pytest.mark.parametrize("content_type", ["text/plain", "application/xml", "image/png"])
def test_a_login_of_another_media_type_is_not_read(content_type, api, db):
    response = api.post(LOGIN, b"<a/>", content_type=content_type)
    assert response.status_code == 415
    assert response.json()["code"] == "unsupported_media_type"


@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/xml", "image/png", "multipart/form-data"]
)
@pytest.mark.parametrize("path", [REFRESH, LOGOUT])
def test_where_a_cookie_will_do_an_odd_body_is_no_matter(path, content_type, login, api):
    login(transport="cookie")
    boundary = f"{content_type}; boundary=x" if content_type.startswith("multipart") else content_type
    assert_error(api.post(path, b"<a/>", content_type=boundary), 401, "not_authenticated")


WRONG = {
    "username": [None, [], {}, ["ada"], True, "", "a" * 255, "a\x00da", "\ud800", "\udfff ada"],
    "password": [None, [], {}, ["x"], False, "", "x" * 4097, "se\x00cret", "\ud800"],
    "device": [[], "laptop", 7, True, [{}]],
    "device.id": [[], {}, True, "d" * 129, "d\x00", "a\nb", "a\u202eb", "\ud800"],
    "device.name": [[], {}, True, "n\x00", "\ud800", "n" * 513],
    "device.type": [[], {}, True, "toaster", "WEB", "web\x00", "\ud800", "x" * 33],
    "transport": [[], {}, True, "", "pigeon", "Cookie", ["cookie"], "\ud800"],
    "remember": [[], {}, "", "perhaps", 7, "\ud800"],
}


@pytest.mark.parametrize(
    ("field", "value"), [(field, value) for field, values in WRONG.items() for value in values]
)
def test_a_wrong_value_is_a_400_that_names_its_field(field, value, login):
    outer, _, inner = field.partition(".")
    response = login(**{outer: {inner: value} if inner else value})
    assert response.status_code == 400, response.content
    assert outer in response.json()
    assert not DeviceSession.objects.exists()


@pytest.mark.parametrize("missing", ["username", "password"])
def test_a_missing_field_is_a_400(missing, api, db):
    body = {"username": "ada", "password": "x"}
    del body[missing]
    response = api.post(LOGIN, body)
    assert response.status_code == 400
    assert set(response.json()) == {missing}


def test_an_unknown_device_type_is_told_the_known_ones(login):
    response = login(device={"type": "toaster"})
    assert response.status_code == 400
    assert "ios" in str(response.json()["device"])
    assert "toaster" not in str(response.json())


@pytest.mark.parametrize("type_", ["web", "ios", "android", "desktop", "other"])
def test_a_known_device_type_is_taken(type_, login):
    assert login(device={"type": type_}).status_code == 200
    assert only_session().device_type == type_


def test_without_a_type_what_is_no_browser_is_other(login):
    login(headers={"User-Agent": "ada-app/1.0"})
    assert only_session().device_type == "other"


def test_a_long_device_name_is_cut_and_made_one_safe_line(login):
    assert login(device={"name": "a\u202eb\r\nc" + "n" * 200}).status_code == 200
    name = only_session().device_name
    assert len(name) == 100
    assert name.startswith("ab cnnn")


@pytest.mark.parametrize("blank", [{}, {"id": "", "name": "", "type": ""}])
def test_an_empty_device_is_no_device(blank, login):
    assert login(device=blank).status_code == 200
    assert only_session().device_id == ""


def test_a_refusal_never_says_which_part_was_wrong(api, ada, make_user, password):
    make_user("inactive", is_active=False)
    inactive = ada.get_username().replace("ada", "inactive")
    attempts = [("nobody", password), (ada.get_username(), "wrong"), (inactive, password)]
    answers = [api.post(LOGIN, {"username": name, "password": given}) for name, given in attempts]
    assert {answer.status_code for answer in answers} == {401}
    assert len({answer.content for answer in answers}) == 1
    assert len({str(sorted(answer.items())) for answer in answers}) == 1
    assert_error(answers[0], 401, "invalid_credentials")
    assert not DeviceSession.objects.exists()


def test_an_unknown_user_costs_a_hash_too(api, ada, settings):
    """The hasher is asked as often for a name that nobody has as for one that somebody has."""
    settings.PASSWORD_HASHERS = ["tests.api.test_api_tokens.CountingHasher"]
    ada.set_password("right")
    ada.save()
    counts = []
    for name in ("nobody", ada.get_username()):
        CountingHasher.calls = 0
        api.post(LOGIN, {"username": name, "password": "wrong"})
        counts.append(CountingHasher.calls)
    assert counts == [1, 1]


class CountingHasher(MD5PasswordHasher):
    calls = 0

    def encode(self, password, salt):
        type(self).calls += 1
        return super().encode(password, salt)


def test_the_backend_decides_whether_the_inactive_are_let_in(api, make_user, password, settings):
    user = make_user("inactive", is_active=False)
    response = api.post(LOGIN, {"username": user.get_username(), "password": password})
    assert_error(response, 401, "invalid_credentials")
    settings.AUTHENTICATION_BACKENDS = ["django.contrib.auth.backends.AllowAllUsersModelBackend"]
    response = api.post(LOGIN, {"username": user.get_username(), "password": password})
    assert response.status_code == 200


# Throttles


def test_the_eleventh_try_for_an_account_waits(api, ada):
    body = {"username": ada.get_username(), "password": "wrong"}
    answers = [api.post(LOGIN, body, REMOTE_ADDR=f"10.0.0.{n}") for n in range(11)]
    assert [answer.status_code for answer in answers] == [401] * 10 + [429]
    assert answers[-1].json()["code"] == "throttled"
    assert 0 < int(answers[-1]["Retry-After"]) <= 61
    assert "no-store" in answers[-1]["Cache-Control"]


def test_a_throttled_account_is_refused_the_right_password_too(login, settings):
    settings.AUTHX_LOGIN_RATE = "1/day"
    assert login(password="wrong").status_code == 401
    assert login().status_code == 429


def test_a_success_counts_for_nothing_and_clears_no_counter(login, settings):
    settings.AUTHX_LOGIN_RATE = "2/day"
    answers = [login(password="wrong"), login(), login(), login(password="wrong"), login()]
    assert [answer.status_code for answer in answers] == [401, 200, 200, 401, 429]


def test_the_case_of_the_name_does_not_matter_to_its_throttle(api, settings, db):
    settings.AUTHX_LOGIN_RATE = "2/day"
    names = ["somebody", "SomeBody", "\uff33omebody"]
    answers = [
        api.post(LOGIN, {"username": name, "password": "x"}, REMOTE_ADDR=f"10.0.0.{n}")
        for n, name in enumerate(names)
    ]
    assert [answer.status_code for answer in answers] == [401, 401, 429]


@pytest.mark.parametrize(
    ("first", "second", "third", "status"),
    [
        ("192.0.2.1", "192.0.2.1", "192.0.2.1", 429),
        ("192.0.2.1", "192.0.2.1", "192.0.2.2", 401),
        ("2001:db8::1", "2001:db8::2", "2001:db8::ffff:3", 429),
        ("2001:db8::1", "2001:db8::2", "2001:db8:0:1::1", 401),
        ("192.0.2.1", "::ffff:192.0.2.1", "192.0.2.1", 429),
    ],
)
def test_an_address_is_throttled_whatever_the_name(first, second, third, status, api, settings, db):
    settings.AUTHX_ADDRESS_RATE = "2/day"
    answers = [
        api.post(LOGIN, {"username": f"user-{n}", "password": "x"}, REMOTE_ADDR=address)
        for n, address in enumerate([first, second, third])
    ]
    assert [answer.status_code for answer in answers] == [401, 401, status]


def test_a_forwarded_address_is_believed_only_from_our_proxies(api, settings, db):
    def attempt(name, forwarded):
        body = {"username": name, "password": "x"}
        sent = {"X-Forwarded-For": forwarded}
        return api.post(LOGIN, body, headers=sent, REMOTE_ADDR="203.0.113.1").status_code

    settings.AUTHX_ADDRESS_RATE = "1/day"
    assert [attempt("a", "192.0.2.1"), attempt("b", "192.0.2.2")] == [401, 429]
    settings.AUTHX_TRUSTED_PROXIES = 1
    assert [attempt("c", "192.0.2.1"), attempt("d", "192.0.2.2")] == [401, 401]
    assert attempt("e", "192.0.2.9, 192.0.2.1") == 429


def test_no_rate_is_no_throttle(login, settings):
    settings.AUTHX_LOGIN_RATE = None
    assert {login(password="wrong").status_code for _ in range(20)} == {401}


def test_a_body_that_is_no_login_counts_against_nobody(login, settings):
    settings.AUTHX_LOGIN_RATE = "1/day"
    assert login(device={"type": "toaster"}).status_code == 400
    assert login(transport="pigeon").status_code == 400
    assert login().status_code == 200


def test_refreshing_is_throttled_per_session(login, settings):
    settings.AUTHX_REFRESH_RATE = "2/day"
    one, other = login().json(), login().json()
    answers = [refresh(one["refresh_token"]) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert answers[-1].json()["code"] == "throttled"
    assert int(answers[-1]["Retry-After"]) > 0
    assert refresh(other["refresh_token"]).status_code == 200


def test_garbage_counts_against_no_session(login, settings):
    settings.AUTHX_REFRESH_RATE = "1/day"
    token = login().json()["refresh_token"]
    for garbage in (token[:-1], token + "A", "_" + token[1:]):
        assert refresh(garbage).status_code == 401
    assert refresh(token).status_code == 200


# Caches


def test_no_answer_about_tokens_may_be_kept(login, sign_in, browser, api, ada):
    tokens = login().json()
    answers = [
        api.get(LOGIN),
        login(),
        login(password="wrong"),
        login(device={"type": "toaster"}),
        sign_in(),
        refresh_by_cookie(browser),
        refresh(tokens["refresh_token"]),
        refresh("garbage"),
        api.post(REFRESH),
        api.get(REFRESH),
        api.post("/api/auth/reauthenticate/", {"password": "wrong"}, headers=bearer(tokens["access_token"])),
        api.get("/api/auth/session/", headers=bearer(tokens["access_token"])),
        api.post(LOGOUT, {"refresh_token": tokens["refresh_token"]}),
        api.post(LOGOUT),
    ]
    assert {answer.status_code for answer in answers} == {200, 204, 400, 401, 405}
    for answer in answers:
        assert "no-store" in answer["Cache-Control"]
        assert "public" not in answer["Cache-Control"]
        assert "Cookie" in answer["Vary"]


# Login by cookie


def test_asking_for_the_login_gives_the_csrf_cookie_and_nothing_else(browser, db):
    response = browser.get(LOGIN)
    assert response.status_code == 204
    assert response.content == b""
    assert set(response.cookies) == {"csrftoken"}
    assert not DeviceSession.objects.exists()


def test_a_login_by_cookie_needs_the_csrf_token(login, browser):
    refused = login(browser, transport="cookie")
    assert_error(refused, 403, "permission_denied")
    assert not refused.cookies.keys() & OURS
    assert not DeviceSession.objects.exists()


def test_a_wrong_csrf_token_costs_no_try(login, browser, settings):
    settings.AUTHX_LOGIN_RATE = "1/day"
    for _ in range(3):
        assert login(browser, {"X-CSRFToken": "x" * 32}, transport="cookie").status_code == 403
    assert login().status_code == 200


def test_a_login_by_cookie_from_another_site_is_refused(login, browser):
    headers = {**csrf(browser), "Origin": "https://evil.example"}
    assert login(browser, headers, transport="cookie").status_code == 403


def test_a_login_by_cookie_keeps_the_refresh_token_out_of_the_body(sign_in, browser, ada):
    response = sign_in()
    assert set(response.json()) == TOKEN_KEYS - {"refresh_token"}
    assert browser.cookies[REFRESH_COOKIE].value not in response.content.decode()
    assert browser.get(WHOAMI).json() == {"user": str(ada.pk), "sid": response.json()["session_id"]}


def assert_safe(cookie, path="/"):
    assert cookie["httponly"] is True
    assert cookie["secure"] is True
    assert cookie["path"] == path
    assert cookie["samesite"] == "Lax"
    assert cookie["domain"] == ""
    assert len(cookie.OutputString()) < 4096


def test_a_login_by_cookie_sets_three_safe_cookies(sign_in):
    response = sign_in()
    assert set(response.cookies) == OURS | {"csrftoken"}
    for name in OURS:
        assert_safe(response.cookies[name])
    assert response.cookies[ACCESS_COOKIE]["max-age"] == response.json()["expires_in"]
    assert response.cookies[REFRESH_COOKIE]["max-age"] == response.json()["refresh_expires_in"]
    assert response.cookies[DEVICE_COOKIE]["max-age"] == 400 * 24 * 3600
    assert response["Cache-Control"] == "private, no-store"
    assert "Cookie" in response["Vary"]


def test_no_personal_data_is_in_the_device_cookie(sign_in, ada):
    value = sign_in().cookies[DEVICE_COOKIE].value
    assert ada.get_username() not in value


def test_a_login_not_to_be_remembered_lasts_as_long_as_the_browser_runs(sign_in, browser):
    response = sign_in(remember=False)
    pass_the_grace()
    renewed = refresh_by_cookie(browser)
    assert renewed.status_code == 200
    for answer in (response, renewed):
        for name in (ACCESS_COOKIE, REFRESH_COOKIE):
            assert_safe(answer.cookies[name])
            assert answer.cookies[name]["max-age"] == ""
            assert answer.cookies[name]["expires"] == ""


def test_cookies_take_their_names_and_attributes_from_the_settings(sign_in, browser, settings):
    settings.AUTHX_ACCESS_COOKIE = "a"
    settings.AUTHX_REFRESH_COOKIE = "r"
    settings.AUTHX_DEVICE_COOKIE = "d"
    settings.AUTHX_COOKIE_SECURE = False
    settings.AUTHX_COOKIE_SAMESITE = "Strict"
    response = sign_in()
    assert set(response.cookies) == {"a", "r", "d", "csrftoken"}
    for name in "ard":
        assert response.cookies[name]["secure"] == ""
        assert response.cookies[name]["samesite"] == ("Lax" if name == "d" else "Strict")
        assert response.cookies[name]["httponly"] is True


def test_a_login_by_cookie_changes_the_csrf_token(sign_in, browser):
    csrf(browser)
    before = browser.cookies["csrftoken"].value
    sign_in()
    assert browser.cookies["csrftoken"].value != before


def test_a_login_over_cookies_supersedes_their_session(sign_in, browser):
    first = sign_in().json()
    second = sign_in().json()
    assert DeviceSession.objects.get(pk=first["session_id"]).end_reason == EndReason.SUPERSEDED
    response = APIClient().get(WHOAMI, headers=bearer(first["access_token"]))
    assert_error(response, 401, "session_ended", "superseded")
    assert APIClient().get(WHOAMI, headers=bearer(second["access_token"])).status_code == 200


def test_somebody_elses_login_over_cookies_supersedes_their_session(sign_in, browser, bob, password):
    adas = sign_in().json()
    body = {"username": bob.get_username(), "password": password, "transport": "cookie"}
    bobs = browser.post(LOGIN, body, headers=csrf(browser)).json()
    assert DeviceSession.objects.get(pk=adas["session_id"]).end_reason == EndReason.SUPERSEDED
    assert browser.get(WHOAMI).json() == {"user": str(bob.pk), "sid": bobs["session_id"]}


def test_a_login_over_the_access_cookie_alone_supersedes_its_session(sign_in, browser):
    first = sign_in().json()
    del browser.cookies[REFRESH_COOKIE], browser.cookies[DEVICE_COOKIE]
    sign_in()
    assert DeviceSession.objects.get(pk=first["session_id"]).end_reason == EndReason.SUPERSEDED


def test_a_failed_login_leaves_the_cookies_and_their_session_alone(sign_in, browser):
    sign_in()
    refused = sign_in(password="wrong")
    assert_error(refused, 401, "invalid_credentials")
    assert not refused.cookies.keys() & OURS
    assert browser.get(WHOAMI).status_code == 200


def test_a_body_login_leaves_the_cookies_session_alone(sign_in, login, browser):
    first = sign_in().json()
    login(browser)
    assert DeviceSession.objects.live().filter(pk=first["session_id"]).exists()


def test_a_browser_known_by_its_cookie_replaces_its_own_session(sign_in, browser):
    first = sign_in().json()
    del browser.cookies[ACCESS_COOKIE], browser.cookies[REFRESH_COOKIE]
    sign_in()
    assert DeviceSession.objects.get(pk=first["session_id"]).end_reason == EndReason.REPLACED


def test_a_planted_device_cookie_is_no_device_of_ours(sign_in, browser, login):
    adas = login(device={"id": "adas-phone"}).json()
    browser.cookies[DEVICE_COOKIE] = "adas-phone"
    sign_in()
    assert DeviceSession.objects.live().filter(pk=adas["session_id"]).exists()


@pytest.mark.parametrize("bad", ["garbage", "", "A" * 5000, "a.b.c", '"x', "%00", "\xff\xfe"])
def test_bad_cookies_never_stop_anybody_from_logging_in(bad, login):
    client = APIClient(enforce_csrf_checks=True)
    token = csrf(client)
    cookies = "; ".join(
        [f"{name}={bad}" for name in sorted(OURS)] + [f"csrftoken={client.cookies['csrftoken'].value}"]
    )
    response = login(client, {**token, "Cookie": cookies}, transport="cookie")
    assert response.status_code == 200
    assert set(response.cookies) >= OURS


def test_a_session_that_has_ended_never_stops_anybody_from_logging_in(sign_in, browser, ada):
    first = sign_in().json()
    end_session(DeviceSession.objects.get(pk=first["session_id"]), EndReason.KICKED)
    second = sign_in()
    assert second.status_code == 200
    assert DeviceSession.objects.get(pk=first["session_id"]).end_reason == EndReason.KICKED
    assert browser.get(WHOAMI).json() == {"user": str(ada.pk), "sid": second.json()["session_id"]}


@pytest.mark.parametrize("id_", ["d-1", "with space", 'quote"d', "semi;colon", "düsseldorf", "電話", "📱"])
@pytest.mark.parametrize("encrypted", [False, True], ids=["plain", "encrypted"])
def test_a_browser_is_known_by_its_cookie_whatever_its_scripts_say(id_, encrypted, sign_in, settings):
    settings.AUTHX_COOKIE_ENCRYPTION = encrypted
    response = sign_in(device={"id": id_})
    assert response.status_code == 200
    for cookie in response.cookies.values():
        cookie.OutputString().encode("latin-1")  # all that a WSGI header can carry (PEP 3333)
    sign_in()
    (known,) = set(DeviceSession.objects.values_list("device_id", flat=True))
    assert known != id_


@pytest.mark.django_db(transaction=True)
def test_a_session_that_ended_while_its_login_was_answered_sets_no_token_cookies(sign_in):
    def end_at_once(session, **kwargs):
        end_session(session, EndReason.KICKED)

    device_session_opened.connect(end_at_once)
    try:
        response = sign_in()
    finally:
        device_session_opened.disconnect(end_at_once)
    assert only_session().end_reason == "kicked"
    assert not response.cookies.keys() & {ACCESS_COOKIE, REFRESH_COOKIE}


def test_encrypted_cookies_do_all_that_plain_ones_do(sign_in, browser, settings):
    settings.AUTHX_COOKIE_ENCRYPTION = True
    sign_in()
    spent = browser.cookies[REFRESH_COOKIE].value
    pass_the_grace()
    renewed = refresh_by_cookie(browser)
    assert renewed.status_code == 200
    assert renewed.cookies[REFRESH_COOKIE].value != spent
    assert_safe(renewed.cookies[REFRESH_COOKIE])
    assert browser.get(WHOAMI).status_code == 200
    sign_in()
    reasons = set(DeviceSession.objects.values_list("end_reason", flat=True))
    assert reasons == {"superseded", ""}
    assert browser.post(LOGOUT, headers=csrf(browser)).status_code == 204
    assert not DeviceSession.objects.live().exists()


# Known devices


def test_a_login_from_a_known_device_replaces_its_session(login):
    first = login(device={"id": "phone"}).json()
    second = login(device={"id": "phone"}).json()
    client = APIClient()
    assert_error(client.get(WHOAMI, headers=bearer(first["access_token"])), 401, "session_ended", "replaced")
    assert client.get(WHOAMI, headers=bearer(second["access_token"])).status_code == 200


def test_another_device_and_another_user_replace_nothing(login, bob, password, api):
    login(device={"id": "phone"})
    login(device={"id": "tablet"})
    login()
    login()
    api.post(LOGIN, {"username": bob.get_username(), "password": password, "device": {"id": "phone"}})
    assert DeviceSession.objects.live().count() == 5


# Refresh


def test_a_refresh_answers_as_a_login_does(login, ada):
    tokens = login().json()
    pass_the_grace()
    response = refresh(tokens["refresh_token"])
    assert response.status_code == 200
    renewed = response.json()
    assert set(renewed) == TOKEN_KEYS
    assert renewed["refresh_token"] != tokens["refresh_token"]
    assert renewed["access_token"] != tokens["access_token"]
    assert (renewed["session_id"], renewed["user_id"]) == (tokens["session_id"], str(ada.pk))
    assert not response.cookies


def test_a_retry_is_given_the_same_generation_on_another_branch(login):
    tokens = login().json()
    pass_the_grace()
    answers = [refresh(tokens["refresh_token"]).json()["refresh_token"] for _ in range(3)]
    given = [read(answer) for answer in answers]
    assert [claims.generation for claims in given] == [2, 2, 2]
    assert len({claims.branch for claims in given}) == 3
    assert only_session().generation == 2


def test_right_after_the_login_the_token_is_kept(login):
    tokens = login().json()
    assert refresh(tokens["refresh_token"]).json()["refresh_token"] == tokens["refresh_token"]


def test_right_after_the_login_the_cookie_is_kept_and_not_set_again(sign_in, browser):
    sign_in()
    kept = browser.cookies[REFRESH_COOKIE].value
    renewed = refresh_by_cookie(browser)
    assert set(renewed.cookies) & {ACCESS_COOKIE, REFRESH_COOKIE} == {ACCESS_COOKIE}
    assert browser.cookies[REFRESH_COOKIE].value == kept
    assert renewed["Cache-Control"] == "private, no-store"


def test_a_session_whose_answers_kept_getting_lost_says_so_and_not_that_it_was_copied(login):
    tokens = login().json()
    pass_the_grace()
    refresh(tokens["refresh_token"])
    pass_the_grace(late_streak=5, late_at=timezone.now() - timedelta(hours=1, seconds=1))
    ended, later = refresh(tokens["refresh_token"]), refresh(tokens["refresh_token"])
    assert (ended.status_code, ended.json()["code"]) == (401, "refresh_reused")
    assert (later.json()["code"], later.json()["reason"]) == ("session_ended", "reused")
    bearer = {"Authorization": f"Bearer {tokens['access_token']}"}
    refused = APIClient().get("/api/whoami/", headers=bearer)
    assert (refused.status_code, refused.json()["reason"]) == (401, "reused")
    for answer in (ended, later, refused):
        assert "kept getting lost" in answer.json()["detail"]


def test_refreshing_never_extends_the_absolute_limit(login, settings):
    settings.AUTHX_SESSION_LIFETIME = timedelta(hours=1)
    token = login().json()["refresh_token"]
    DeviceSession.objects.update(
        expires_at=timezone.now() + timedelta(minutes=5), rotated_at=timezone.now() - timedelta(minutes=55)
    )
    renewed = refresh(token).json()
    assert renewed["refresh_expires_in"] <= 300
    assert renewed["expires_in"] <= 300


@pytest.mark.parametrize(
    "token",
    [
        None,
        7,
        7.5,
        True,
        [],
        {},
        ["x"],
        "",
        " ",
        "garbage",
        "a.b",
        "\x00",
        "\ud800",
        "é" * 91,
        "A" * 1_000_000,
    ],
    ids=lambda value: repr(value)[:12],
)
def test_what_was_never_a_refresh_token_is_refused(token, db):
    response = refresh(token)
    assert_error(response, 401, "refresh_malformed")
    assert response["WWW-Authenticate"].startswith('Bearer realm="api", error="invalid_token"')


def test_ten_megabytes_are_refused_unread(db):
    assert refresh("A" * 10_000_000).status_code in {400, 413}


def test_an_access_token_is_no_refresh_token(login):
    assert_error(refresh(login().json()["access_token"]), 401, "refresh_malformed")


def test_a_foreign_refresh_token_is_refused(ada):
    with override_settings(SECRET_KEY="another site's secret, of the same length as ours"):
        other = open_session(ada)
    assert_error(refresh(other.refresh_token), 401, "refresh_malformed")


def test_the_key_alone_makes_no_refresh_token(login):
    token = login().json()["refresh_token"]
    DeviceSession.objects.update(salt=b"another salt of thirty-two bytes")
    assert_error(refresh(token), 401, "refresh_malformed")
    assert only_session().ended_at is None


def test_a_spent_token_comes_back_and_the_session_lives_and_comes_back_again_and_it_ends(login):
    spent = login().json()["refresh_token"]
    pass_the_grace()
    current = refresh(spent).json()["refresh_token"]
    assert refresh(current).status_code == 200  # seen in use
    pass_the_grace()

    conflict = refresh(spent)
    assert_error(conflict, 409, "refresh_conflict")
    assert "WWW-Authenticate" not in conflict
    assert_error(refresh(spent), 409, "refresh_conflict")
    assert only_session().ended_at is None

    pass_the_grace()
    assert_error(refresh(spent), 401, "refresh_reused")
    assert_error(refresh(spent), 401, "session_ended", "reused")
    assert_error(refresh(current), 401, "session_ended", "reused")


def stolen(spent):
    """What a thief has made of a copied refresh token: tokens of the generation that came next, in use."""
    pass_the_grace()
    loot = refresh(spent).json()
    assert refresh(loot["refresh_token"]).status_code == 200  # seen in use
    pass_the_grace()
    return loot


def assert_worth_nothing(tokens, reason):
    assert_error(
        APIClient().get(WHOAMI, headers=bearer(tokens["access_token"])), 401, "session_ended", reason
    )
    if "refresh_token" in tokens:
        assert_error(refresh(tokens["refresh_token"]), 401, "session_ended", reason)


def test_after_a_conflict_the_old_token_at_logout_ends_it_for_whoever_has_the_successor(login):
    """As docs/errors.md advises a client that has no newer token."""
    mine = login().json()
    loot = stolen(mine["refresh_token"])
    assert_error(refresh(mine["refresh_token"]), 409, "refresh_conflict")
    assert post_json(APIClient(), LOGOUT, {"refresh_token": mine["refresh_token"]}).status_code == 204
    for tokens in (mine, loot):
        assert_worth_nothing(tokens, "logout")
    anew = login().json()
    assert APIClient().get(WHOAMI, headers=bearer(anew["access_token"])).status_code == 200


def test_a_browser_that_meets_a_conflict_may_log_out_by_its_old_cookies(browser, sign_in, login):
    mine = sign_in().json()
    loot = stolen(browser.cookies[REFRESH_COOKIE].value)
    conflict = refresh_by_cookie(browser)
    assert_error(conflict, 409, "refresh_conflict")
    assert not OURS & set(conflict.cookies)
    assert browser.post(LOGOUT, headers=csrf(browser)).status_code == 204
    for tokens in (mine, loot):
        assert_worth_nothing(tokens, "logout")
    sign_in()
    assert browser.get(WHOAMI).status_code == 200


def test_a_login_alone_leaves_the_session_to_the_thief(login):
    """Why the advice is given: the new session is another one."""
    mine = login().json()
    loot = stolen(mine["refresh_token"])
    assert_error(refresh(mine["refresh_token"]), 409, "refresh_conflict")
    login()
    assert APIClient().get(WHOAMI, headers=bearer(loot["access_token"])).status_code == 200
    assert refresh(loot["refresh_token"]).status_code == 200


def test_a_token_two_generations_old_ends_the_session_at_once(login):
    token = oldest = login().json()["refresh_token"]
    for _ in range(2):
        pass_the_grace()
        newest = refresh(token).json()
        token = newest["refresh_token"]
    assert_error(refresh(oldest), 401, "refresh_reused")
    assert_error(refresh(token), 401, "session_ended", "reused")
    response = APIClient().get(WHOAMI, headers=bearer(newest["access_token"]))
    assert_error(response, 401, "session_ended", "reused")


@pytest.mark.parametrize("reason", EndReason.values)
def test_an_ended_session_refreshes_no_more_and_says_why(reason, login):
    token = login().json()["refresh_token"]
    end_session(only_session(), reason)
    response = refresh(token)
    assert_error(response, 401, "session_ended", reason)
    assert reason in response["WWW-Authenticate"]


def test_a_disabled_user_refreshes_no_more(login, ada):
    token = login().json()["refresh_token"]
    type(ada)._default_manager.filter(pk=ada.pk).update(is_active=False)
    assert_error(refresh(token), 401, "session_ended", "user_disabled")
    assert only_session().end_reason == "user_disabled"


@pytest.mark.django_db(transaction=True)
def test_a_theft_is_written_down_though_its_request_fails_in_a_transaction(login, monkeypatch):
    monkeypatch.setitem(connections.settings["default"], "ATOMIC_REQUESTS", True)
    token = oldest = login().json()["refresh_token"]
    for _ in range(2):
        pass_the_grace()
        token = refresh(token).json()["refresh_token"]
    assert_error(refresh(oldest), 401, "refresh_reused")
    assert only_session().end_reason == "reused"
    assert SessionEvent.objects.filter(kind="ended", outcome="reused").count() == 1
    assert_error(refresh(token), 401, "session_ended", "reused")


@pytest.mark.django_db(transaction=True)
def test_a_session_that_ends_while_its_refresh_is_answered_sets_no_cookies(sign_in, browser):
    sign_in()
    pass_the_grace()
    sid, asked = only_session().pk, []

    def end_before_the_second_look(execute, sql, params, many, context):
        if sql.startswith("SELECT") and "salt" in sql:
            asked.append(sql)
            if len(asked) == 2:
                end_session(DeviceSession(pk=sid), EndReason.KICKED)
        return execute(sql, params, many, context)

    with connection.execute_wrapper(end_before_the_second_look):
        response = refresh_by_cookie(browser)
    assert len(asked) == 2
    assert only_session().end_reason == "kicked"
    assert not response.cookies.keys() & OURS


# Refresh by cookie


def test_a_refresh_by_cookie_needs_the_csrf_token(sign_in, browser):
    sign_in()
    refused = browser.post(REFRESH)
    assert_error(refused, 403, "permission_denied")
    assert not refused.cookies.keys() & OURS
    assert only_session().confirmed_generation == 0, "nothing was spent"


def test_a_refresh_by_cookie_sets_the_next_cookies(sign_in, browser):
    sign_in()
    spent = browser.cookies[REFRESH_COOKIE].value
    pass_the_grace()
    response = refresh_by_cookie(browser)
    assert response.status_code == 200
    assert set(response.json()) == TOKEN_KEYS - {"refresh_token"}
    assert set(response.cookies) & OURS == {ACCESS_COOKIE, REFRESH_COOKIE}
    for name in (ACCESS_COOKIE, REFRESH_COOKIE):
        assert_safe(response.cookies[name])
    assert response.cookies[REFRESH_COOKIE].value not in (spent, "")
    assert response.cookies[REFRESH_COOKIE]["max-age"] == response.json()["refresh_expires_in"]


def test_a_refresh_by_cookie_is_the_only_one_of_its_request(sign_in, browser):
    """The middleware leaves a refresh cookie to the view that reads it itself."""
    sign_in()
    pass_the_grace()
    del browser.cookies[ACCESS_COOKIE]
    assert refresh_by_cookie(browser).status_code == 200
    assert only_session().generation == 2
    assert SessionEvent.objects.filter(kind=SessionEvent.Kind.REFRESHED).count() == 1


def test_a_token_in_the_body_is_taken_before_the_cookie(sign_in, login, browser):
    sign_in()
    phone = login().json()
    response = browser.post(REFRESH, {"refresh_token": phone["refresh_token"]})
    assert response.json()["session_id"] == phone["session_id"]
    assert not response.cookies.keys() & OURS


def test_without_token_or_cookie_there_is_nobody_to_refresh(api, db):
    for body in ({}, {"token": "x"}, []):
        response = api.post(REFRESH, body)
        assert_error(response, 401, "not_authenticated")
        assert response["WWW-Authenticate"] == 'Bearer realm="api"'


def test_a_refused_refresh_leaves_the_cookies_alone(sign_in, browser):
    """A failing background response that clears cookies could wipe those of a fresh login (design §4)."""
    sign_in()
    spent = browser.cookies[REFRESH_COOKIE].value
    pass_the_grace()
    refresh_by_cookie(browser)
    refresh_by_cookie(browser)

    def present_the_spent_one():
        browser.cookies[REFRESH_COOKIE] = spent
        return refresh_by_cookie(browser)

    pass_the_grace()
    answers = [present_the_spent_one()]
    pass_the_grace()
    answers += [present_the_spent_one(), present_the_spent_one()]
    assert [answer.json()["code"] for answer in answers] == [
        "refresh_conflict",
        "refresh_reused",
        "session_ended",
    ]
    browser.cookies[REFRESH_COOKIE] = "garbage"
    answers.append(refresh_by_cookie(browser))
    assert answers[-1].json()["code"] == "refresh_malformed"
    for answer in answers:
        assert not answer.cookies.keys() & OURS


def test_two_refresh_cookies_refresh_nothing(sign_in, browser):
    sign_in()
    token = csrf(browser)
    jar = [f"{name}={cookie.value}" for name, cookie in browser.cookies.items()]
    doubled = "; ".join([*jar, f"{REFRESH_COOKIE}={browser.cookies[REFRESH_COOKIE].value}"])
    response = APIClient(enforce_csrf_checks=True).post(REFRESH, headers={**token, "Cookie": doubled})
    assert response.status_code == 401
    assert not response.cookies.keys() & OURS


# Logout


def test_logging_out_by_bearer_ends_the_session(login, api):
    tokens = login().json()
    response = api.post(LOGOUT, headers=bearer(tokens["access_token"]))
    assert (response.status_code, response.content) == (204, b"")
    assert not response.cookies
    assert only_session().end_reason == "logout"
    assert_error(refresh(tokens["refresh_token"]), 401, "session_ended", "logout")
    answer = api.get(WHOAMI, headers=bearer(tokens["access_token"]))
    assert_error(answer, 401, "session_ended", "logout")


def test_logging_out_by_body_ends_the_session(login, api):
    tokens = login().json()
    assert api.post(LOGOUT, {"refresh_token": tokens["refresh_token"]}).status_code == 204
    answer = api.get(WHOAMI, headers=bearer(tokens["access_token"]))
    assert_error(answer, 401, "session_ended", "logout")


def test_logging_out_by_cookie_ends_the_session_and_takes_the_cookies_back(sign_in, browser):
    sign_in()
    response = browser.post(LOGOUT, headers=csrf(browser))
    assert response.status_code == 204
    assert only_session().end_reason == "logout"
    for name in (ACCESS_COOKIE, REFRESH_COOKIE):
        assert_safe(response.cookies[name])
        assert response.cookies[name].value == ""
        assert response.cookies[name]["max-age"] == 0
    assert "no-store" in response["Cache-Control"]


def test_logging_out_by_cookie_needs_the_csrf_token(sign_in, browser):
    sign_in()
    refused = browser.post(LOGOUT)
    assert_error(refused, 403, "permission_denied")
    assert not refused.cookies.keys() & OURS
    assert only_session().ended_at is None


@pytest.mark.parametrize("left", [ACCESS_COOKIE, REFRESH_COOKIE])
def test_one_cookie_is_enough_to_log_out(left, sign_in, browser):
    sign_in()
    for name in {ACCESS_COOKIE, REFRESH_COOKIE} - {left}:
        del browser.cookies[name]
    assert browser.post(LOGOUT, headers=csrf(browser)).status_code == 204
    assert only_session().end_reason == "logout"


def test_what_is_not_ours_in_the_cookies_stays(browser, db):
    browser.cookies[ACCESS_COOKIE] = browser.cookies[REFRESH_COOKIE] = "another site's"
    response = browser.post(LOGOUT, headers=csrf(browser))
    assert response.status_code == 204
    assert not response.cookies


def test_any_generation_may_log_out_and_is_no_theft(login, api):
    token = oldest = login().json()["refresh_token"]
    for _ in range(3):
        pass_the_grace()
        token = refresh(token).json()["refresh_token"]
    assert api.post(LOGOUT, {"refresh_token": oldest}).status_code == 204
    assert only_session().end_reason == "logout"


def test_a_stale_tab_logs_out_by_cookie(sign_in, browser):
    sign_in()
    stale = browser.cookies[REFRESH_COOKIE].value
    for _ in range(2):
        pass_the_grace()
        refresh_by_cookie(browser)
    browser.cookies[REFRESH_COOKIE] = stale
    del browser.cookies[ACCESS_COOKIE]  # nor does the middleware call it theft
    assert browser.post(LOGOUT, headers=csrf(browser)).status_code == 204
    assert only_session().end_reason == "logout"


def test_an_ended_session_logs_out_once_more_without_harm(login, sign_in, browser, api):
    tokens = login().json()
    sign_in()
    for session in DeviceSession.objects.all():
        end_session(session, EndReason.KICKED)
    assert api.post(LOGOUT, {"refresh_token": tokens["refresh_token"]}).status_code == 204
    assert api.post(LOGOUT, headers=bearer(tokens["access_token"])).status_code == 204
    assert browser.post(LOGOUT, headers=csrf(browser)).status_code == 204
    assert set(DeviceSession.objects.values_list("end_reason", flat=True)) == {"kicked"}


def test_without_any_credential_there_is_nobody_to_log_out(api, db):
    response = api.post(LOGOUT)
    assert_error(response, 401, "not_authenticated")
    assert response["WWW-Authenticate"] == 'Bearer realm="api"'


def test_a_bad_credential_logs_nobody_out(login, api):
    tokens = login().json()
    assert_error(api.post(LOGOUT, {"refresh_token": "garbage"}), 401, "refresh_malformed")
    assert_error(api.post(LOGOUT, {"refresh_token": tokens["access_token"]}), 401, "refresh_malformed")
    refused = api.post(LOGOUT, headers=bearer("garbage"))
    assert_error(refused, 401, "token_malformed")
    assert 'error="invalid_token"' in refused["WWW-Authenticate"]
    assert api.post(LOGOUT, headers=bearer("a, Bearer b")).status_code == 400
    assert only_session().ended_at is None


def test_a_bad_bearer_never_logs_out_the_cookies_session(sign_in, browser):
    sign_in()
    response = browser.post(LOGOUT, headers={**csrf(browser), **bearer("garbage")})
    assert response.status_code == 401
    assert not response.cookies.keys() & OURS
    assert only_session().ended_at is None


def test_only_the_presented_session_is_logged_out(login, api):
    one, other = login().json(), login().json()
    api.post(LOGOUT, {"refresh_token": one["refresh_token"]})
    assert api.get(WHOAMI, headers=bearer(other["access_token"])).status_code == 200


@pytest.mark.parametrize("path", [LOGOUT, REFRESH])
def test_a_get_changes_nothing(path, sign_in, browser):
    sign_in()
    assert browser.get(path).status_code == 405
    assert only_session().ended_at is None


# When the truth cannot be asked or written


def assert_unavailable(response):
    assert_error(response, 503, "store_unavailable")
    assert int(response["Retry-After"]) > 0
    assert not response.cookies.keys() & OURS
    assert "no-store" in response["Cache-Control"]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("statement", ["", "INSERT INTO"])
def test_a_login_that_cannot_be_kept_is_503(statement, login):
    with broken_database(statement):
        assert_unavailable(login())
    assert not DeviceSession.objects.exists()
    assert login().status_code == 200


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("statement", ["", "UPDATE"])
def test_a_refresh_that_cannot_be_kept_is_503_and_costs_nothing(statement, login, sign_in, browser):
    token = login().json()["refresh_token"]
    sign_in()
    pass_the_grace()
    with broken_database(statement):
        assert_unavailable(refresh(token))
        assert_unavailable(refresh_by_cookie(browser))
    assert refresh(token).status_code == 200
    assert refresh_by_cookie(browser).status_code == 200


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("statement", ["", "UPDATE"])
def test_a_logout_that_cannot_be_kept_is_503_and_keeps_the_cookies(statement, login, sign_in, browser, api):
    tokens = login().json()
    sign_in()
    with broken_database(statement):
        assert_unavailable(api.post(LOGOUT, {"refresh_token": tokens["refresh_token"]}))
        assert_unavailable(api.post(LOGOUT, headers=bearer(tokens["access_token"])))
        assert_unavailable(browser.post(LOGOUT, headers=csrf(browser)))
    assert DeviceSession.objects.live().count() == 2


# Secrets


def test_no_token_and_no_password_is_logged_stored_or_repeated(
    login, sign_in, browser, api, password, caplog
):
    caplog.set_level(logging.DEBUG)
    tokens = login().json()
    sign_in()
    secrets = {
        password,
        tokens["access_token"],
        tokens["refresh_token"],
        browser.cookies[ACCESS_COOKIE].value,
        browser.cookies[REFRESH_COOKIE].value,
        "canary-5e3d",
    }
    refused = [
        refresh("canary-5e3d"),
        login(password="canary-5e3d"),
        login(device={"type": "canary-5e3d"}),
        login(transport="canary-5e3d"),
        api.get(WHOAMI, headers=bearer("canary-5e3d")),
        api.post(LOGOUT, {"refresh_token": "canary-5e3d"}),
        api.post(LOGOUT, headers=bearer(tokens["access_token"] + "canary-5e3d")),
    ]
    assert {answer.status_code for answer in refused} == {400, 401}

    said = [answer.content.decode() + str(answer.headers) for answer in refused]
    rows = [str(row) for model in apps.get_models() for row in model._base_manager.values_list()]
    for secret in secrets:
        assert secret not in caplog.text
        assert not any(secret in text for text in rows)
        assert not any(secret in text for text in said)
