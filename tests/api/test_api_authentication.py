"""authx.api.authentication: who is let in at the API's door, and how everybody else is told."""

import io
from datetime import timedelta

import pytest
from django.contrib.auth import get_user_model
from django.core.handlers.asgi import ASGIRequest
from django.db import connections
from django.test import override_settings
from django.utils import timezone
from rest_framework.authentication import BasicAuthentication, SessionAuthentication
from rest_framework.permissions import IsAuthenticated
from rest_framework.response import Response
from rest_framework.test import APIClient, APIRequestFactory
from rest_framework.views import APIView
from rest_framework.views import exception_handler as drf_exception_handler

from authx.api import exception_handler
from authx.api.authentication import BearerAuthentication, CookieAuthentication, session_of
from authx.core.claims import AccessClaims
from authx.models import DeviceSession, EndReason, SessionEvent
from authx.sessions import end_session, open_session, refresh_session
from tests.faults_in_database import broken_database
from tests.rows import disable

WHOAMI = "/api/whoami/"
LOGIN = "/api/auth/login/"
ACCESS, REFRESH = "__Host-authx_access", "__Host-authx_refresh"

BARE = 'Bearer realm="api"'
INVALID = 'Bearer realm="api", error="invalid_token"'


@pytest.fixture
def credentials(ada):
    return open_session(ada)


@pytest.fixture
def good(credentials):
    """A good access token."""
    return credentials.access_token


@pytest.fixture
def browser(credentials):
    """A browser with ada's cookies, that Django's CSRF check takes seriously."""
    client = APIClient(enforce_csrf_checks=True)
    client.cookies[ACCESS] = credentials.access_token
    client.cookies[REFRESH] = credentials.refresh_token
    return client


def ask(client, authorization, path=WHOAMI):
    return client.get(path, headers={"Authorization": authorization})


def csrf(client):
    """The header that proves the page is ours; fetches the cookie it repeats."""
    client.get(LOGIN)
    return {"X-CSRFToken": client.cookies["csrftoken"].value}


def assert_refused(response, code):
    assert response.status_code == 401, response.content
    assert response.json()["code"] == code
    if code == "not_authenticated":
        assert response["WWW-Authenticate"] == BARE
    else:
        assert response["WWW-Authenticate"].startswith(f"{INVALID}, error_description=")


# The header


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", "bEaReR"])
def test_the_scheme_is_spelled_in_any_case(scheme, api, ada, credentials):
    response = ask(api, f"{scheme} {credentials.access_token}")
    assert response.status_code == 200
    assert response.json() == {"user": str(ada.pk), "sid": str(credentials.session.pk)}


HOSTILE = {
    "no token": lambda good: "Bearer",
    "a space and no token": lambda good: "Bearer ",
    "two spaces": lambda good: f"Bearer  {good}",
    "a tab": lambda good: f"Bearer\t{good}",
    "a non-breaking space": lambda good: f"Bearer\xa0{good}",
    "a non-ASCII byte": lambda good: f"Bearer {good}\xff",
    "nothing but non-ASCII bytes": lambda good: "Bearer \xf0\x9f\x92\xa9",
    "a NUL": lambda good: f"Bearer {good}\x00",
    "a NUL alone": lambda good: "Bearer \x00",
    "a line break": lambda good: f"Bearer {good}\n",
    "a lone surrogate": lambda good: f"Bearer {good}\udcff",
    "10 MB": lambda good: "Bearer " + "A" * 10_000_000,
    "10 MB of dots": lambda good: "Bearer " + "." * 10_000_000,
    "10 MB after a good token": lambda good: f"Bearer {good}" + "A" * 10_000_000,
    "garbage": lambda good: "Bearer garbage",
    "three segments of garbage": lambda good: "Bearer eyJ.eyJ.AAAA",
    "a second word": lambda good: f"Bearer {good} junk",
    "the token twice": lambda good: f"Bearer {good} {good}",
    "padding": lambda good: f"Bearer {good}=",
    "a fourth segment": lambda good: f"Bearer {good}.AAAA",
    "a segment missing": lambda good: "Bearer " + good.rpartition(".")[0],
    "the end cut off": lambda good: f"Bearer {good[:-1]}",
    "quotes": lambda good: f'Bearer "{good}"',
    "a name": lambda good: f"Bearer token={good}",
    "a semicolon": lambda good: f"Bearer;{good}",
    "the scheme twice": lambda good: f"Bearer Bearer {good}",
    "the word null": lambda good: "Bearer null",
    "JSON": lambda good: 'Bearer {"alg":"none"}',
}


@pytest.mark.parametrize("header", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_header_is_refused_and_nothing_more(header, api, good):
    response = ask(api, header(good))
    assert_refused(response, "token_malformed")
    assert response.json() == {"detail": "Invalid token.", "code": "token_malformed"}
    assert good not in response["WWW-Authenticate"]


@pytest.mark.parametrize(
    "header",
    [
        "Bearer {0}, Bearer {0}",
        "Bearer {0},Bearer other",
        "Bearer other,Bearer {0}",
        "Basic YTpi, Bearer {0}",
        "Bearer {0}, Basic YTpi",
        "Bearer {0},",
        "Token abc,bearer {0}",
        "Bearer {0}" + "," * 10_000_000,
    ],
)
def test_two_authorization_headers_are_a_bad_request(header, api, good):
    response = ask(api, header.format(good))
    assert response.status_code == 400
    assert response.json()["code"] == "invalid_request"
    assert response["WWW-Authenticate"] == 'Bearer realm="api", error="invalid_request"'
    assert good not in response.content.decode()


def test_two_authorization_headers_are_a_bad_request_under_asgi_too(good):
    headers = [(b"host", b"testserver")] + [(b"authorization", f"Bearer {good}".encode())] * 2
    scope = {"type": "http", "method": "GET", "path": "/", "headers": headers}
    response = only_ours(ASGIRequest(scope, io.BytesIO()))
    assert response.status_code == 400
    assert response.data["code"] == "invalid_request"


@pytest.mark.parametrize(
    "header", ["Basic YWRhOnB3", "Token abc", "Negotiate abc", "Bearertoken", "Bear er", "", " "]
)
def test_another_scheme_is_not_our_business(header, api, db):
    response = ask(api, header)
    assert_refused(response, "not_authenticated")


def test_another_scheme_leaves_the_cookie_alone(browser):
    assert ask(browser, "Basic YWRhOnB3").status_code == 200


def test_a_refresh_token_is_no_access_token(api, credentials):
    assert_refused(ask(api, f"Bearer {credentials.refresh_token}"), "token_malformed")


def test_a_token_in_the_query_never_authenticates(api, good):
    for name in ("access_token", "token", "authorization", "Authorization", "jwt"):
        for value in (good, f"Bearer {good}"):
            response = api.get(WHOAMI, {name: value})
            assert_refused(response, "not_authenticated")


@pytest.mark.parametrize("content_type", ["application/x-www-form-urlencoded", "application/json"])
def test_a_token_in_the_body_never_authenticates(content_type, good, db):
    client = APIClient()
    if content_type == "application/json":
        response = client.post(WHOAMI, {"access_token": good, "token": good}, format="json")
    else:
        body = f"access_token={good}&token={good}"
        response = client.post(WHOAMI, body, content_type=content_type)
    assert_refused(response, "not_authenticated")


def test_no_other_header_authenticates(api, good):
    names = ["X-Authorization", "Proxy-Authorization", "X-Access-Token", "X-Forwarded-Authorization"]
    response = api.get(WHOAMI, headers=dict.fromkeys(names, f"Bearer {good}"))
    assert_refused(response, "not_authenticated")


# What is said to those who are refused


def test_nobody_is_told_anything_but_how_to_come_in(api, db):
    response = api.get(WHOAMI)
    assert response.status_code == 401
    assert response["WWW-Authenticate"] == 'Bearer realm="api"'
    assert response.json() == {
        "detail": "Authentication credentials were not provided.",
        "code": "not_authenticated",
    }


def test_the_challenge_names_the_error_of_a_bad_token(api, db):
    challenge = ask(api, "Bearer garbage")["WWW-Authenticate"]
    assert challenge == 'Bearer realm="api", error="invalid_token", error_description="token_malformed"'


def test_the_challenge_says_why_a_session_ended(api, credentials):
    end_session(credentials.session, EndReason.KICKED)
    challenge = ask(api, f"Bearer {credentials.access_token}")["WWW-Authenticate"]
    assert challenge == f'{INVALID}, error_description="session_ended kicked"'


def test_an_expired_token(api, ada):
    old = open_session(ada, now=timezone.now() - timedelta(hours=1))
    assert_refused(ask(api, f"Bearer {old.access_token}"), "token_expired")


def test_a_token_of_another_issuer(api, ada):
    with override_settings(AUTHX_ISSUER="https://other.example"):
        other = open_session(ada)
    assert_refused(ask(api, f"Bearer {other.access_token}"), "token_not_for_us")


def test_a_token_for_another_audience(api, ada):
    with override_settings(AUTHX_AUDIENCE="https://other.example"):
        other = open_session(ada)
    assert_refused(ask(api, f"Bearer {other.access_token}"), "token_not_for_us")


def test_a_token_signed_with_another_key(api, ada):
    with override_settings(SECRET_KEY="another site's secret, of the same length as ours"):
        other = open_session(ada)
    assert_refused(ask(api, f"Bearer {other.access_token}"), "key_unknown")


def test_a_token_of_a_session_that_was_pruned(api, credentials):
    SessionEvent._base_manager.all()._raw_delete("default")
    DeviceSession.objects.all().delete()
    response = ask(api, f"Bearer {credentials.access_token}")
    assert_refused(response, "session_ended")
    assert response.json()["reason"] == "expired"


both_carriers = pytest.mark.parametrize("carrier", ["bearer", "cookie"])


def ask_by(carrier, credentials):
    client = APIClient()
    if carrier == "bearer":
        return ask(client, f"Bearer {credentials.access_token}")
    client.cookies[ACCESS] = credentials.access_token
    client.cookies[REFRESH] = credentials.refresh_token
    return client.get(WHOAMI)


@both_carriers
@pytest.mark.parametrize("reason", EndReason.values)
def test_an_ended_session_says_why(reason, carrier, credentials):
    end_session(credentials.session, reason)
    response = ask_by(carrier, credentials)
    assert_refused(response, "session_ended")
    assert response.json() == {
        "detail": "The session has ended.",
        "code": "session_ended",
        "reason": reason,
    }
    assert not response.cookies


def change_the_password_of(user):
    user.set_password("another-password-entirely")
    get_user_model()._default_manager.filter(pk=user.pk).update(password=user.password)


def delete(user):
    user.delete()


@both_carriers
@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (disable, "user_disabled"),
        (change_the_password_of, "password_changed"),
        (delete, "user_deleted"),
    ],
)
def test_a_user_who_is_no_longer_what_they_were_is_refused(change, reason, carrier, ada, credentials):
    assert ask_by(carrier, credentials).status_code == 200
    change(ada)
    response = ask_by(carrier, credentials)
    assert_refused(response, "session_ended")
    assert response.json()["reason"] == reason


@both_carriers
@pytest.mark.parametrize(("column", "reason"), [("idle_expires_at", "idle"), ("expires_at", "expired")])
def test_an_expired_session_is_refused_though_its_token_is_fresh(column, reason, carrier, credentials):
    now = timezone.now()
    expiries = {"idle_expires_at": now, "expires_at": now, column: now - timedelta(seconds=1)}
    DeviceSession.objects.filter(pk=credentials.session.pk).update(**expiries)
    response = ask_by(carrier, credentials)
    assert_refused(response, "session_ended")
    assert response.json()["reason"] == reason


def test_a_token_of_another_subject_than_its_session_is_refused(api, good):
    DeviceSession.objects.update(subject="somebody else")
    assert_refused(ask(api, f"Bearer {good}"), "token_malformed")


def test_an_open_view_refuses_a_bad_bearer_too(api, db):
    assert api.get("/api/public/").status_code == 200
    assert_refused(ask(api, "Bearer garbage", "/api/public/"), "token_malformed")


# Beside the cookie


@pytest.mark.parametrize("header", ["Bearer garbage", "Bearer", "bearer\tx", "Bearer a, Bearer b"])
def test_a_bad_bearer_never_falls_back_to_a_good_cookie(header, browser):
    assert browser.get(WHOAMI).status_code == 200
    assert ask(browser, header).status_code in {400, 401}


def test_a_bearer_token_wins_over_a_cookie(browser, bob):
    bobs = open_session(bob)
    response = ask(browser, f"Bearer {bobs.access_token}")
    assert response.json() == {"user": str(bob.pk), "sid": str(bobs.session.pk)}


def test_a_page_hears_nothing_of_a_bearer_token_nor_of_the_cookie_beside_it(browser, good):
    assert ask(browser, f"Bearer {good}", "/whoami/").json() == {"user": None, "session": None}


def test_a_bearer_request_renews_no_cookie(browser, credentials, good):
    del browser.cookies[ACCESS]
    assert not ask(browser, f"Bearer {good}").cookies
    credentials.session.refresh_from_db()
    assert (credentials.session.generation, credentials.session.confirmed_generation) == (1, 0)


# The cookie


def test_a_cookie_lets_its_user_in(browser, ada, credentials):
    response = browser.get(WHOAMI)
    assert response.json() == {"user": str(ada.pk), "sid": str(credentials.session.pk)}


def test_a_cookie_needs_the_csrf_token_to_change_anything(browser):
    refused = browser.post(WHOAMI)
    assert refused.status_code == 403
    assert refused.json()["code"] == "permission_denied"
    assert refused.json()["detail"].startswith("CSRF Failed")
    assert browser.post(WHOAMI, headers=csrf(browser)).status_code == 200


def test_the_csrf_token_of_another_browser_is_no_use(browser):
    elsewhere = csrf(APIClient(enforce_csrf_checks=True))
    csrf(browser)
    assert browser.post(WHOAMI, headers=elsewhere).status_code == 403


def test_the_csrf_token_does_not_help_another_site(browser):
    headers = {**csrf(browser), "Origin": "https://evil.example"}
    assert browser.post(WHOAMI, headers=headers).status_code == 403


@pytest.mark.parametrize("method", ["get", "head", "options"])
def test_a_safe_request_by_cookie_needs_no_csrf_token(method, browser):
    assert getattr(browser, method)(WHOAMI).status_code == 200


def test_a_bearer_token_needs_no_csrf_token(good):
    client = APIClient(enforce_csrf_checks=True)
    response = client.post(WHOAMI, headers={"Authorization": f"Bearer {good}"})
    assert response.status_code == 200


def test_an_unsafe_request_with_a_bad_cookie_is_anonymous_rather_than_forged(db):
    client = APIClient(enforce_csrf_checks=True)
    client.cookies[ACCESS] = "garbage"
    assert_refused(client.post(WHOAMI), "token_malformed")


BAD_COOKIES = {
    "empty": lambda c: "",
    "garbage": lambda c: "garbage",
    "truncated": lambda c: c.access_token[:-1],
    "cut to a half": lambda c: c.access_token[: len(c.access_token) // 2],
    "doubled in itself": lambda c: c.access_token * 2,
    "swapped": lambda c: c.refresh_token,
    "quoted": lambda c: f'"{c.access_token}x"',
    "non-ASCII": lambda c: "\xff\xfe",
    "NUL": lambda c: f"{c.access_token}\x00",
    "long": lambda c: "A" * 100_000,
    "padded": lambda c: f"{c.access_token}=",
    "uuid": lambda c: str(c.session.pk),
}


@pytest.mark.parametrize("encrypted", [False, True], ids=["plain", "encrypted"])
@pytest.mark.parametrize("value", BAD_COOKIES.values(), ids=BAD_COOKIES)
def test_a_bad_access_cookie_is_an_anonymous_visitor(value, encrypted, credentials, settings):
    settings.AUTHX_COOKIE_ENCRYPTION = encrypted
    client = APIClient()
    header = {"Cookie": f"{ACCESS}={value(credentials)}"}
    assert client.get(WHOAMI, headers=header).status_code == 401
    assert client.get("/api/public/", headers=header).status_code == 200
    assert client.get("/whoami/", headers=header).json()["user"] is None


@pytest.mark.parametrize("encrypted", [False, True], ids=["plain", "encrypted"])
@pytest.mark.parametrize("value", BAD_COOKIES.values(), ids=BAD_COOKIES)
def test_a_bad_refresh_cookie_is_an_anonymous_visitor(value, encrypted, credentials, settings):
    settings.AUTHX_COOKIE_ENCRYPTION = encrypted
    bad = value(credentials) if value is not BAD_COOKIES["swapped"] else credentials.access_token
    header = {"Cookie": f"{REFRESH}={bad}"}
    client = APIClient()
    assert client.get(WHOAMI, headers=header).status_code == 401
    assert client.get("/api/public/", headers=header).status_code == 200


def test_a_foreign_cookie_says_whose_key_it_lacks(ada):
    with override_settings(SECRET_KEY="another site's secret, of the same length as ours"):
        other = open_session(ada)
    client = APIClient()
    client.cookies[ACCESS] = other.access_token
    assert_refused(client.get(WHOAMI), "key_unknown")


def test_a_stale_cookie_says_so(ada):
    old = open_session(ada, now=timezone.now() - timedelta(hours=1))
    client = APIClient()
    client.cookies[ACCESS] = old.access_token
    assert_refused(client.get(WHOAMI), "token_expired")


def test_of_two_cookies_of_one_name_neither_is_believed(ada, bob):
    adas, bobs = open_session(ada).access_token, open_session(bob).access_token
    for pair in ((adas, bobs), (bobs, adas), (adas, adas), (adas, "x"), ("x", adas)):
        header = "; ".join(f"{ACCESS}={value}" for value in pair)
        assert APIClient().get(WHOAMI, headers={"Cookie": header}).status_code == 401


def test_the_access_cookie_of_another_session_than_the_refresh_cookies_is_no_credential(browser, bob):
    bobs = open_session(bob, now=timezone.now() - timedelta(hours=1))
    browser.cookies[REFRESH] = bobs.refresh_token
    response = browser.get(WHOAMI)
    assert response.json() == {"user": str(bob.pk), "sid": str(bobs.session.pk)}
    assert {ACCESS, REFRESH} <= set(response.cookies)


@pytest.mark.parametrize("middleware", [True, False], ids=["prefetch", "without our middleware"])
def test_nor_is_it_where_nothing_is_renewed(middleware, browser, bob, settings, django_assert_num_queries):
    if not middleware:
        settings.MIDDLEWARE = []
    browser.cookies[REFRESH] = open_session(bob).refresh_token
    with django_assert_num_queries(0):
        response = browser.get(WHOAMI, headers={"Sec-Purpose": "prefetch"} if middleware else {})
    assert (response.status_code, response.json()["code"]) == (401, "not_authenticated")
    assert not response.cookies


def test_two_refresh_cookies_renew_nothing(credentials):
    header = f"{REFRESH}={credentials.refresh_token}; {REFRESH}={credentials.refresh_token}"
    response = APIClient().get(WHOAMI, headers={"Cookie": header})
    assert response.status_code == 401
    assert not response.cookies


@pytest.mark.parametrize(
    "name", ["authx_access", "__HOST-authx_access", "__host-authx_access", "__Host-AUTHX_ACCESS"]
)
def test_a_cookie_of_a_similar_name_is_not_ours(name, good):
    response = APIClient().get(WHOAMI, headers={"Cookie": f"{name}={good}"})
    assert_refused(response, "not_authenticated")


def test_an_encrypted_cookie_lets_its_user_in_and_so_does_one_set_before(ada, password, settings):
    settings.AUTHX_COOKIE_ENCRYPTION = True
    client = APIClient(enforce_csrf_checks=True)
    body = {"username": ada.get_username(), "password": password, "transport": "cookie"}
    answer = client.post(LOGIN, body, headers=csrf(client))
    assert client.cookies[ACCESS].value != answer.json()["access_token"]
    assert client.get(WHOAMI).json()["user"] == str(ada.pk)

    client.cookies[ACCESS] = answer.json()["access_token"]
    del client.cookies[REFRESH]
    assert client.get(WHOAMI).json()["user"] == str(ada.pk)


# The silent renewal before it


def forget_access(client):
    """The browser has dropped the access cookie, whose Max-Age has passed."""
    del client.cookies[ACCESS]


def test_a_renewed_request_is_let_in_and_given_its_cookies(browser, ada):
    DeviceSession.objects.update(rotated_at=timezone.now() - timedelta(hours=1))
    forget_access(browser)
    response = browser.get(WHOAMI)
    assert response.json()["user"] == str(ada.pk)
    assert {ACCESS, REFRESH} <= set(response.cookies)
    assert "no-store" in response["Cache-Control"]


def test_a_renewed_request_needs_the_csrf_token_too(browser):
    forget_access(browser)
    assert browser.post(WHOAMI).status_code == 403
    forget_access(browser)
    assert browser.post(WHOAMI, headers=csrf(browser)).status_code == 200


def test_an_ended_session_says_why_when_the_access_cookie_is_gone(browser, credentials):
    end_session(credentials.session, EndReason.KICKED)
    forget_access(browser)
    response = browser.get(WHOAMI)
    assert_refused(response, "session_ended")
    assert response.json()["reason"] == "kicked"


def test_an_ended_session_says_why_when_the_access_cookie_is_stale(ada):
    old = open_session(ada, now=timezone.now() - timedelta(hours=1))
    end_session(old.session, EndReason.KICKED)
    client = APIClient()
    client.cookies[ACCESS], client.cookies[REFRESH] = old.access_token, old.refresh_token
    response = client.get(WHOAMI)
    assert_refused(response, "session_ended")
    assert response.json()["reason"] == "kicked"


def grow_older(session, **duration):
    long_ago = timezone.now() - timedelta(**duration)
    DeviceSession.objects.filter(pk=session.pk).update(rotated_at=long_ago)


def test_a_renewal_that_came_too_late_is_a_conflict_and_leaves_the_cookies_alone(browser, credentials):
    grow_older(credentials.session, minutes=1)
    current = refresh_session(credentials.refresh_token)
    refresh_session(current.refresh_token)  # seen in use
    grow_older(credentials.session, minutes=1)

    forget_access(browser)
    response = browser.get(WHOAMI)
    assert response.status_code == 409
    assert response.json()["code"] == "refresh_conflict"
    assert not response.cookies
    assert DeviceSession.objects.live().filter(pk=credentials.session.pk).exists()


def test_a_theft_that_a_renewal_uncovers_says_so(browser, credentials):
    newest = credentials
    for _ in range(2):
        grow_older(credentials.session, minutes=1)
        newest = refresh_session(newest.refresh_token)
    forget_access(browser)
    response = browser.get(WHOAMI)
    assert_refused(response, "refresh_reused")
    assert not response.cookies
    assert browser.get(WHOAMI).json()["reason"] == "reused"
    assert ask(APIClient(), f"Bearer {newest.access_token}").json()["reason"] == "reused"


# What it costs and what it writes


@both_carriers
@pytest.mark.django_db(transaction=True)
def test_an_authenticated_request_costs_one_statement(carrier, credentials, django_assert_num_queries, ada):
    assert ask_by(carrier, credentials).status_code == 200  # the first use of a token is written down
    with django_assert_num_queries(1):
        assert ask_by(carrier, credentials).json()["user"] == str(ada.pk)


def test_a_forged_token_costs_no_statement(api, db, django_assert_num_queries):
    with django_assert_num_queries(0):
        ask(api, "Bearer garbage")
        ask(api, "Bearer " + "A" * 10_000_000)


@both_carriers
@pytest.mark.django_db(transaction=True)
def test_the_first_use_of_a_token_confirms_its_generation(carrier, credentials):
    ask_by(carrier, credentials)
    credentials.session.refresh_from_db()
    assert credentials.session.confirmed_generation == 1


@pytest.mark.django_db(transaction=True)
def test_a_token_minted_in_the_same_request_confirms_nothing(browser, credentials):
    row = DeviceSession.objects.filter(pk=credentials.session.pk)
    row.update(rotated_at=timezone.now() - timedelta(minutes=1))
    forget_access(browser)
    assert browser.get(WHOAMI).status_code == 200
    session = row.get()
    assert (session.generation, session.confirmed_generation) == (2, 1)

    assert browser.get(WHOAMI).status_code == 200  # now the new cookie has come back
    assert row.get().confirmed_generation == 2


@both_carriers
@pytest.mark.parametrize("atomic", [False, True], ids=["plain", "ATOMIC_REQUESTS"])
@pytest.mark.django_db(transaction=True)
def test_what_has_ended_once_stays_ended(atomic, carrier, credentials, ada, monkeypatch):
    """A bulk update sends no signal: the first read that notices must write it down."""
    monkeypatch.setitem(connections.settings["default"], "ATOMIC_REQUESTS", atomic)
    users = get_user_model()._default_manager.filter(pk=ada.pk)
    users.update(is_active=False)
    assert ask_by(carrier, credentials).json()["reason"] == "user_disabled"
    users.update(is_active=True)
    assert_refused(ask_by(carrier, credentials), "session_ended")
    assert DeviceSession.objects.get().end_reason == "user_disabled"


# Beside other classes, and on other sites


class Who(APIView):
    permission_classes = [IsAuthenticated]
    authentication_classes = [BearerAuthentication, CookieAuthentication]
    handler = staticmethod(exception_handler)

    def get_exception_handler(self):
        return self.handler

    def get(self, request):
        return Response({"user": request.user.pk, "auth": type(request.auth).__name__})


only_ours = Who.as_view()

ORDERS = {
    "ours": [BearerAuthentication, CookieAuthentication],
    "ours, the other way": [CookieAuthentication, BearerAuthentication],
    "bearer alone": [BearerAuthentication],
    "ours, then Django's": [BearerAuthentication, CookieAuthentication, SessionAuthentication],
    "Django's in between": [BearerAuthentication, SessionAuthentication, CookieAuthentication],
    "Django's first": [SessionAuthentication, BearerAuthentication, CookieAuthentication],
    "basic first": [BasicAuthentication, BearerAuthentication, CookieAuthentication],
}
any_order = pytest.mark.parametrize("classes", ORDERS.values(), ids=ORDERS)


def request_with(token):
    return APIRequestFactory().get("/", headers={"Authorization": f"Bearer {token}"})


@any_order
def test_in_any_order_a_good_token_is_let_in(classes, good, ada):
    response = Who.as_view(authentication_classes=classes)(request_with(good))
    assert response.status_code == 200
    assert response.data == {"user": ada.pk, "auth": AccessClaims.__name__}


@any_order
def test_in_any_order_a_bad_token_is_401_with_its_challenge(classes, db):
    response = Who.as_view(authentication_classes=classes)(request_with("garbage"))
    assert response.status_code == 401
    assert response["WWW-Authenticate"].startswith(INVALID)
    assert response.data["code"] == "token_malformed"


@pytest.mark.parametrize("header", ["Bearer garbage", "Basic x, Bearer garbage"])
@pytest.mark.parametrize("classes", [[CookieAuthentication], *ORDERS.values()], ids=["cookie alone", *ORDERS])
def test_in_any_order_a_bad_bearer_is_not_saved_by_a_good_cookie(classes, header, credentials):
    view = Who.as_view(authentication_classes=classes)
    factory = APIRequestFactory()
    factory.cookies[ACCESS] = credentials.access_token
    assert view(factory.get("/", headers={"Authorization": header})).status_code in {400, 401}


@pytest.mark.parametrize(
    "classes",
    [ORDERS["ours"], ORDERS["ours, the other way"], ORDERS["ours, then Django's"]],
)
def test_nobody_is_challenged_whichever_of_ours_stands_first(classes, db):
    response = Who.as_view(authentication_classes=classes)(APIRequestFactory().get("/"))
    assert response.status_code == 401
    assert response["WWW-Authenticate"] == BARE
    assert response.data["code"] == "not_authenticated"


def test_a_site_with_drfs_own_handler_still_says_which_error_it_was(credentials):
    view = Who.as_view(handler=drf_exception_handler)
    bad = view(request_with("garbage"))
    assert (bad.status_code, bad.data["code"]) == (401, "token_malformed")
    assert bad["WWW-Authenticate"].startswith(INVALID)

    end_session(credentials.session, EndReason.KICKED)
    ended = view(request_with(credentials.access_token))
    assert ended.status_code == 401
    assert (ended.data["code"], ended.data["reason"]) == ("session_ended", "kicked")
    assert 'error_description="session_ended kicked"' in ended["WWW-Authenticate"]


def test_a_site_with_drfs_own_handler_challenges_nobody(db):
    response = Who.as_view(handler=drf_exception_handler)(APIRequestFactory().get("/"))
    assert (response.status_code, response["WWW-Authenticate"]) == (401, BARE)


@pytest.fixture
def session_auth_beside_ours(monkeypatch):
    from tests.site.views import ApiWhoami

    beside = ORDERS["ours, then Django's"]
    monkeypatch.setattr(ApiWhoami, "authentication_classes", beside)


def test_beside_djangos_class_a_bad_bearer_is_not_saved_by_a_django_session(session_auth_beside_ours, ada):
    client = APIClient()
    client.force_login(ada)
    assert client.get(WHOAMI).status_code == 200
    assert ask(client, "Bearer garbage").status_code == 401


def test_beside_djangos_class_an_ended_session_is_not_saved_by_a_django_session(
    session_auth_beside_ours, ada, password
):
    client = APIClient()
    client.post("/django-login/", {"username": ada.get_username(), "password": password}, format="multipart")
    assert client.get(WHOAMI).json()["sid"] == str(DeviceSession.objects.get().pk)

    end_session(DeviceSession.objects.get(), EndReason.KICKED)
    response = client.get(WHOAMI)
    assert_refused(response, "session_ended")
    assert response.json()["reason"] == "kicked"
    del client.cookies[ACCESS], client.cookies[REFRESH]
    assert client.get(WHOAMI).status_code == 401


def test_a_site_of_nothing_but_an_api_needs_no_middleware(ada, password, settings):
    settings.MIDDLEWARE = []
    client = APIClient()
    body = {"username": ada.get_username(), "password": password}
    tokens = client.post(LOGIN, body).json()
    assert ask(client, f"Bearer {tokens['access_token']}").json()["sid"] == tokens["session_id"]
    spent = {"refresh_token": tokens["refresh_token"]}
    assert client.post("/api/auth/refresh/", spent).status_code == 200
    assert client.post("/api/auth/logout/", spent).status_code == 204
    assert_refused(ask(client, f"Bearer {tokens['access_token']}"), "session_ended")


@pytest.mark.parametrize("path", ["login/", "refresh/", "logout/"])
def test_a_bad_bearer_is_no_obstacle_where_the_body_speaks(path, ada, password, credentials):
    body = {"username": ada.get_username(), "password": password}
    body |= {"refresh_token": credentials.refresh_token}
    headers = {"Authorization": "Bearer garbage"}
    assert APIClient().post(f"/api/auth/{path}", body, headers=headers).status_code in {200, 204}


# When the truth cannot be asked


def assert_unavailable(response):
    assert response.status_code == 503, response.content
    assert response.json()["code"] == "store_unavailable"
    assert int(response["Retry-After"]) > 0
    assert not response.cookies
    assert "server closed" not in response.content.decode()


@both_carriers
@pytest.mark.django_db(transaction=True)
def test_what_cannot_be_known_is_503_and_no_refusal(carrier, credentials):
    with broken_database():
        assert_unavailable(ask_by(carrier, credentials))
    assert ask_by(carrier, credentials).status_code == 200


@pytest.mark.django_db(transaction=True)
def test_a_renewal_that_cannot_be_made_is_503_and_no_refusal(browser):
    forget_access(browser)
    with broken_database():
        assert_unavailable(browser.get(WHOAMI))
    assert browser.get(WHOAMI).status_code == 200


@pytest.mark.django_db(transaction=True)
def test_a_use_that_cannot_be_noted_lets_its_user_in_all_the_same(credentials):
    with broken_database(only="UPDATE"):
        assert ask_by("bearer", credentials).status_code == 200
    ask_by("bearer", credentials)
    credentials.session.refresh_from_db()
    assert credentials.session.confirmed_generation == 1


# What it reads of the session


class Reads(APIView):
    authentication_classes = [BearerAuthentication]

    def get(self, request):
        session = session_of(request) if request.query_params else None
        return Response({"user": request.user.get_username(), "label": session and session.device_label})


class SaysSo(Reads):
    reads_session = True


@pytest.mark.parametrize(
    ("view", "query", "statements"),
    [(Reads, "", 1), (Reads, "?session=1", 2), (SaysSo, "", 1), (SaysSo, "?session=1", 1)],
    ids=["user alone", "and its session", "says so", "and reads it"],
)
@pytest.mark.django_db(transaction=True)
def test_the_session_costs_a_statement_more_where_the_view_does_not_say_so(
    view, query, statements, credentials, rf, django_assert_num_queries
):
    def ask_it():
        request = rf.get(f"/{query}", headers={"Authorization": f"Bearer {credentials.access_token}"})
        return view.as_view()(request).data

    ask_it()  # the first use of a token is written down
    with django_assert_num_queries(statements):
        answer = ask_it()
    assert answer["user"] == credentials.session.user.get_username()
    assert answer["label"] == (credentials.session.device_label if query else None)
