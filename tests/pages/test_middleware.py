"""authx.pages.middleware: renew first, then look; and what leaves with the response."""

from contextlib import contextmanager
from datetime import timedelta
from http.cookies import SimpleCookie

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth import get_user_model
from django.contrib.sessions.models import Session
from django.db import InterfaceError, OperationalError, connection
from django.db.models import F
from django.test import AsyncClient, Client
from django.utils import timezone
from django.utils.cache import get_max_age

from authx.core.access_token import write_access_token
from authx.core.keys import Key
from authx.models import DeviceSession, SessionEvent
from authx.sessions import end_session, open_session, refresh_session
from authx.sessions.credentials import credentials_for
from tests.branches import generation_of
from tests.racing import race
from tests.signing_in import NAVIGATION

pytestmark = pytest.mark.django_db

ACCESS, REFRESH, DEVICE = "__Host-authx_access", "__Host-authx_refresh", "__Host-authx_device"
OURS = {ACCESS, REFRESH}
NOBODY = {"user": None, "session": None}
#: All that may be said to caches beside our cookies.
AGREEING = {"private", "no-store", "no-cache", "must-revalidate", "max-age=0"}
FETCH = {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty"}
LOGIN_REQUIRED = "django.contrib.auth.middleware.LoginRequiredMiddleware"


@pytest.fixture(autouse=True)
def more_urls(settings):
    settings.ROOT_URLCONF = "tests.more_urls"


@pytest.fixture
def credentials(ada):
    """Ada's, of a moment ago."""
    return open_session(ada)


@pytest.fixture
def browser(credentials):
    """A browser with both cookies, both good."""
    return browser_with({ACCESS: credentials.access_token, REFRESH: credentials.refresh_token})


@pytest.fixture
def due(credentials):
    """A browser that has only its refresh cookie left, an hour after its login."""
    pass_time(credentials.session, hours=1)
    return browser_with({REFRESH: credentials.refresh_token})


@pytest.fixture
def late(credentials):
    """A browser whose refresh token was spent an hour ago, by a tab whose successor is in use."""
    pass_time(credentials.session, hours=1)
    refresh_session(credentials.refresh_token)
    DeviceSession.objects.update(confirmed_generation=F("generation"))
    pass_time(credentials.session, hours=1)
    return browser_with({REFRESH: credentials.refresh_token})


def browser_with(cookies, **options):
    client = Client(**options)
    client.cookies = SimpleCookie(cookies)
    return client


def pass_time(session, **duration):
    """The last rotation was so much longer ago."""
    this = DeviceSession.objects.filter(pk=session.pk)
    this.update(rotated_at=F("rotated_at") - timedelta(**duration))


def row():
    return DeviceSession.objects.get()


def old_access_token(credentials, **age):
    """The one that the session would have been given so long ago."""
    then = timezone.now() - timedelta(**age)
    return credentials_for(credentials.session, generation=1, now=then).access_token


def foreign_access_token(credentials):
    return write_access_token(credentials.claims, Key.derive("the secret of another site altogether"))


def assert_is(response, user):
    """The view saw this user, and one of her sessions."""
    assert response.status_code == 200, response.content
    said = response.json()
    assert said["user"] == user.get_username()
    assert DeviceSession.objects.get(pk=said["session"]).user == user


def assert_nobody(response):
    assert response.status_code == 200, response.content
    assert response.json() == NOBODY


def assert_renewed(response):
    """Both cookies are set, and no cache may keep the response."""
    assert set(response.cookies) >= OURS
    assert all(response.cookies[name].value for name in OURS)
    assert {"private", "no-store"} <= set(response["Cache-Control"].split(", ")) <= AGREEING
    assert "Cookie" in [name.strip() for name in response["Vary"].split(",")]


def assert_sets_nothing(response):
    assert not OURS & set(response.cookies)


# Renew first


UNUSABLE = {
    "missing": lambda credentials: None,
    "empty": lambda credentials: "",
    "expired": lambda credentials: old_access_token(credentials, hours=1),
    "garbage": lambda credentials: "garbage",
    "truncated": lambda credentials: credentials.access_token[:-4],
    "of another key": foreign_access_token,
    "a refresh token": lambda credentials: credentials.refresh_token,
}


@pytest.mark.parametrize("access", UNUSABLE)
def test_without_a_usable_access_cookie_the_session_is_renewed(access, due, credentials, ada):
    if (value := UNUSABLE[access](credentials)) is not None:
        due.cookies[ACCESS] = value
    response = due.get("/whoami/")
    assert_is(response, ada)
    assert_renewed(response)
    assert response.cookies[REFRESH].value != credentials.refresh_token
    assert row().generation == 2

    # What it was given is good.
    response = due.get("/whoami/")
    assert_is(response, ada)
    assert_sets_nothing(response)


def test_a_page_that_is_renewed_says_to_caches_what_it_said_before_and_more(due):
    response = due.get("/account/devices/")  # Django's ``never_cache``
    assert set(response.cookies) >= OURS
    assert get_max_age(response) == 0
    said = set(response["Cache-Control"].split(", "))
    assert said >= {"no-cache", "must-revalidate", "private", "no-store"}


def test_a_good_access_cookie_is_not_renewed(browser, credentials, ada):
    pass_time(credentials.session, hours=1)
    response = browser.get("/whoami/")
    assert_is(response, ada)
    assert_sets_nothing(response)
    assert row().generation == 1


def test_within_the_grace_the_refresh_cookie_is_kept_and_not_set_again(credentials, ada):
    """Late, it would put an old one back."""
    browser = browser_with({REFRESH: credentials.refresh_token})
    response = browser.get("/whoami/")
    assert_is(response, ada)
    assert OURS & set(response.cookies) == {ACCESS}
    assert response["Cache-Control"] == "private, no-store"
    assert row().generation == 1
    assert browser.get("/whoami/").json()["session"] == str(credentials.session.pk)


def test_without_a_refresh_cookie_nothing_is_renewed(credentials):
    response = browser_with({ACCESS: old_access_token(credentials, hours=1)}).get("/whoami/")
    assert_nobody(response)
    assert_sets_nothing(response)


def test_a_renewal_makes_the_new_token_good_and_keeps_the_session(due, credentials, ada):
    said = due.get("/whoami/").json()
    assert said == {"user": ada.get_username(), "session": str(credentials.session.pk)}
    assert DeviceSession.objects.count() == 1


@pytest.mark.parametrize("method", ["get", "head", "post", "put", "patch", "delete"])
def test_every_method_but_options_renews(method, due):
    assert_renewed(getattr(due, method)("/untouched/"))


def test_options_renew_nothing(due):
    assert_sets_nothing(due.options("/untouched/"))
    assert row().generation == 1


SPECULATION = [
    {"Sec-Purpose": "prefetch"},
    {"Sec-Purpose": "prefetch;prerender"},
    {"Sec-Purpose": "prefetch;anonymous-client-ip"},
    {"Purpose": "prefetch"},
    {"X-Moz": "prefetch"},
]
FROM_ANOTHER_SITE = [
    {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": mode, "Sec-Fetch-Dest": dest}
    for mode, dest in [
        ("no-cors", "image"),
        ("no-cors", "script"),
        ("cors", "empty"),
        ("navigate", "iframe"),
        ("websocket", "websocket"),
    ]
]


@pytest.mark.parametrize("headers", SPECULATION + FROM_ANOTHER_SITE, ids=str)
def test_speculation_and_other_sites_subresources_renew_nothing(headers, due):
    response = due.get(
        "/whoami/", headers={**(NAVIGATION if "Sec-Fetch-Site" not in headers else {}), **headers}
    )
    assert_sets_nothing(response)
    assert row().generation == 1


VISITS = [
    {},
    NAVIGATION,
    FETCH,
    {**NAVIGATION, "Sec-Fetch-Site": "cross-site"},
    {**NAVIGATION, "Sec-Fetch-Site": "none"},
    {**FETCH, "Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"},
]


@pytest.mark.parametrize("destination", ["iframe", "frame"])
@pytest.mark.parametrize("site", ["cross-site", "same-site", "same-origin", "none"])
def test_where_our_cookies_go_into_frames_of_other_sites_a_frame_renews(
    site, destination, due, ada, settings
):
    settings.AUTHX_COOKIE_SAMESITE = "None"
    headers = {**NAVIGATION, "Sec-Fetch-Site": site, "Sec-Fetch-Dest": destination}
    response = due.get("/whoami/", headers=headers)
    assert_is(response, ada)
    assert_renewed(response)


@pytest.mark.parametrize("headers", SPECULATION, ids=str)
def test_but_nothing_else_of_other_sites_does(headers, due, settings):
    settings.AUTHX_COOKIE_SAMESITE = "None"
    framed = {**NAVIGATION, "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Dest": "iframe"}
    assert_sets_nothing(due.get("/whoami/", headers={**framed, **headers}))
    others = [each for each in FROM_ANOTHER_SITE if each["Sec-Fetch-Dest"] != "iframe"]
    for each in [*others, {**framed, "Sec-Fetch-Dest": "embed"}, {**framed, "Sec-Fetch-Mode": "no-cors"}]:
        assert_sets_nothing(due.get("/whoami/", headers=each))
    assert row().generation == 1


def test_a_late_frame_is_sent_to_itself_once_there(late, settings):
    framed = {**NAVIGATION, "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Dest": "iframe"}
    assert late.get("/private/", headers=framed)["Location"] == "/account/login/?next=/private/"
    settings.AUTHX_COOKIE_SAMESITE = "None"
    assert late.get("/private/", headers=framed)["Location"] == "/private/?authx_retry=1"


@pytest.mark.parametrize("headers", VISITS, ids=str)
def test_a_link_from_anywhere_and_our_own_subresources_renew(headers, due, ada):
    response = due.get("/whoami/", headers=headers)
    assert_is(response, ada)
    assert_renewed(response)


def test_a_post_with_an_expired_access_cookie_is_done_and_renewed(due, credentials, ada):
    due.cookies[ACCESS] = old_access_token(credentials, minutes=16)
    response = due.post("/whoami/", headers=NAVIGATION)
    assert_is(response, ada)
    assert_renewed(response)


# Cookies leave with whatever response there is, and no cache keeps it


ANY_RESPONSE = [
    ("get", "/whoami/", 200),
    ("get", "/untouched/", 200),
    ("get", "/cached/", 200),
    ("get", "/cached-greeting/", 200),
    ("get", "/streaming/", 200),
    ("get", "/not-modified/", 304),
    ("get", "/redirecting/", 302),
    ("get", "/missing/", 404),
    ("post", "/account/devices/", 405),
    ("get", "/boom/", 500),
    ("head", "/cached/", 200),
    ("head", "/missing/", 404),
]


@pytest.mark.parametrize("encrypted", [False, True])
@pytest.mark.parametrize(("method", "path", "status"), ANY_RESPONSE)
def test_cookies_leave_with_every_response_and_no_cache_keeps_it(
    method, path, status, encrypted, client, ada, settings
):
    settings.AUTHX_COOKIE_ENCRYPTION = encrypted
    sign_in_and_come_back_later(client, ada)
    client.raise_request_exception = False
    response = getattr(client, method)(path)
    assert response.status_code == status
    assert_renewed(response)


def sign_in_and_come_back_later(client, user):
    client.force_login(user)
    assert_renewed(client.get("/whoami/"))
    pass_time(row(), hours=1)
    del client.cookies[ACCESS]


@pytest.mark.parametrize("path", ["/cached/", "/streaming/", "/missing/", "/boom/", "/async-untouched/"])
def test_the_same_under_asgi(path, credentials):
    pass_time(credentials.session, hours=1)

    async def ask():
        client = AsyncClient(raise_request_exception=False)
        client.cookies = SimpleCookie({REFRESH: credentials.refresh_token})
        return await client.get(path)

    assert_renewed(async_to_sync(ask)())


def test_a_streamed_page_knows_its_user_when_the_headers_have_left(due, ada):
    response = due.get("/streaming/")
    assert response.getvalue().decode().split() == ["streaming", ada.get_username()]


def test_our_cookies_have_the_attributes_of_a_host_cookie(due):
    response = due.get("/untouched/")
    for name in OURS:
        cookie = response.cookies[name]
        assert cookie["secure"] is True
        assert cookie["httponly"] is True
        assert (cookie["path"], cookie["domain"], cookie["samesite"]) == ("/", "", "Lax")
        assert len(cookie.OutputString()) < 4096
    assert response.cookies[ACCESS]["max-age"] == 15 * 60
    assert 0 < response.cookies[REFRESH]["max-age"] <= 7 * 86400 + 900


def test_a_renewal_keeps_the_views_own_vary(due, settings):
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, "django.middleware.locale.LocaleMiddleware"]
    vary = {name.strip() for name in due.get("/untouched/")["Vary"].split(",")}
    assert {"Accept-Language", "Cookie"} <= vary


# What a page costs, and who may keep it


def test_a_page_that_never_asks_costs_no_query_and_may_be_kept_by_anybody(browser, django_assert_num_queries):
    with django_assert_num_queries(0):
        response = browser.get("/cached/")
    assert set(response["Cache-Control"].split(", ")) == {"public", "max-age=600"}
    assert "Vary" not in response


def test_nor_does_it_with_a_django_session_beside(ada, password, django_assert_num_queries):
    client = Client()
    client.post("/account/login/", {"username": ada.get_username(), "password": password})
    assert {ACCESS, REFRESH, "sessionid"} <= set(client.cookies)
    with django_assert_num_queries(0):
        client.get("/untouched/")


def test_a_page_that_asks_costs_one_query(browser, django_assert_num_queries):
    with django_assert_num_queries(1):
        browser.get("/whoami/")


def test_a_visitor_without_cookies_costs_no_query(client, django_assert_num_queries):
    with django_assert_num_queries(0):
        assert_nobody(client.get("/whoami/"))


@pytest.mark.parametrize("cookies", [{ACCESS: "x"}, {REFRESH: "x"}, {ACCESS: "x", REFRESH: "x"}], ids=str)
def test_a_forged_cookie_costs_no_query(cookies, django_assert_num_queries):
    with django_assert_num_queries(0):
        assert_nobody(browser_with(cookies).get("/whoami/"))


def test_a_page_that_asked_is_private_and_varies(browser):
    response = browser.get("/cached-greeting/")
    assert "private" in response["Cache-Control"]
    assert "public" not in response["Cache-Control"]
    assert "Cookie" in response["Vary"]


def test_a_page_that_asked_about_nobody_varies(client):
    response = client.get("/cached-greeting/")
    assert "Cookie" in response["Vary"]
    assert response.content == b"Hello, AnonymousUser"


def test_a_page_that_was_forbidden_to_be_kept_stays_so(browser):
    response = browser.get("/account/devices/")
    assert "no-store" in response["Cache-Control"]
    assert "Cookie" in response["Vary"]


# Many at once


def test_ten_requests_in_a_row_with_one_refresh_cookie_are_one_rotation(due, credentials, ada):
    given = set()
    for _tab in range(10):
        tab = browser_with({REFRESH: credentials.refresh_token})
        response = tab.get("/whoami/")
        assert_is(response, ada)
        given.add(response.cookies[REFRESH].value)
    assert {generation_of(token) for token in given} == {2}
    assert len(given) == 10  # each answer is on a branch of its own
    assert row().generation == 2
    assert SessionEvent.objects.filter(outcome="T1").count() == 1


@pytest.mark.django_db(transaction=True)
def test_ten_tabs_at_once_are_one_rotation(ada, password):
    browser = Client()
    browser.post("/account/login/", {"username": ada.get_username(), "password": password})
    pass_time(row(), hours=1)
    del browser.cookies[ACCESS]
    jar = {name: cookie.value for name, cookie in browser.cookies.items()}

    def open_tab():
        response = browser_with(jar).get("/private/", headers=NAVIGATION)
        assert response.status_code == 200, response
        assert_renewed(response)
        return response.cookies[REFRESH].value

    given = race(*[open_tab] * 10)
    assert {generation_of(token) for token in given} == {2}
    assert (row().generation, row().twin_generation) == (2, None)
    assert SessionEvent.objects.filter(outcome="T1").count() == 1


@pytest.mark.django_db(transaction=True)
def test_the_first_use_of_what_was_given_confirms_it(due):
    due.get("/untouched/")
    assert (row().generation, row().confirmed_generation) == (2, 1)
    due.get("/untouched/")
    assert row().confirmed_generation == 1, "nobody asked who it was"
    due.get("/whoami/")
    assert row().confirmed_generation == 2


@pytest.mark.django_db(transaction=True)
def test_a_token_minted_for_the_request_confirms_nothing(due, ada):
    assert_is(due.get("/whoami/"), ada)
    assert (row().generation, row().confirmed_generation) == (2, 1)


# A tab that comes late (T5)


def test_a_late_page_is_sent_to_itself_once(late):
    response = late.get("/private/?a=1&b=%C3%A4&a=2", headers=NAVIGATION)
    assert response.status_code == 302
    assert response["Location"] == "/private/?a=1&b=%C3%A4&a=2&authx_retry=1"
    assert (response["Cache-Control"], response["Vary"]) == ("private, no-store", "Cookie")
    assert not response.cookies
    assert row().ended_at is None


def test_a_late_page_without_a_query_is_sent_to_itself_too(late):
    response = late.get("/whoami/", headers={"Accept": "text/html,*/*;q=0.8"})
    assert response["Location"] == "/whoami/?authx_retry=1"


def test_a_late_head_request_is_sent_like_its_page(late):
    assert late.head("/whoami/", headers=NAVIGATION)["Location"] == "/whoami/?authx_retry=1"


def test_the_second_time_it_is_nobodys_page_and_the_cookies_stay(late):
    response = late.get("/whoami/?authx_retry=1", headers=NAVIGATION)
    assert_nobody(response)
    assert not response.cookies
    assert row().ended_at is None


def test_the_mark_of_the_second_time_is_not_the_views_business(late, browser):
    location = late.get("/private/?a=1&authx_retry=1", headers=NAVIGATION)["Location"]
    assert location == "/account/login/?next=/private/%3Fa%3D1"
    for client in (late, browser):
        assert query_seen(client, "/query/?a=1&b=%26&authx_retry=1") == {
            "query": "a=1&b=%26",
            "names": ["a", "b"],
        }
        assert query_seen(client, "/query/?authx_retry=1") == {"query": "", "names": []}


@pytest.mark.parametrize("query", ["notauthx_retry=1", "authx_retry=10", "x=1authx_retry=1", "authx_retry"])
def test_what_only_looks_like_the_mark_is_the_views(query, browser):
    assert query_seen(browser, f"/query/?{query}")["query"] == query


def query_seen(client, path):
    return client.get(path, headers=NAVIGATION).json()


def test_nor_does_the_login_page_take_a_late_tabs_cookies_back(late):
    response = late.get("/account/login/?authx_retry=1", headers=NAVIGATION)
    assert response.status_code == 200
    assert_sets_nothing(response)


def test_with_the_cookies_that_the_other_tab_was_given_the_page_is_shown(late, ada):
    location = late.get("/whoami/", headers=NAVIGATION)["Location"]
    current = credentials_for(row(), generation=2, now=timezone.now())
    late.cookies = SimpleCookie({ACCESS: current.access_token, REFRESH: current.refresh_token})
    assert_is(late.get(location, headers=NAVIGATION), ada)


EVIL_PATHS = [
    "//evil.example/",
    "//evil.example/%2e%2e",
    "///evil.example",
    "/\\evil.example",
    "/\n/evil.example",
]


@pytest.mark.parametrize("path", EVIL_PATHS)
def test_a_late_page_is_never_sent_to_another_site(path, late):
    response = late.get("/", PATH_INFO=path, headers=NAVIGATION)
    location = response["Location"]
    assert location.startswith("/")
    assert location[1] not in "/\\"
    assert not set("\\\r\n\t ") & set(location)
    assert location.endswith("?authx_retry=1")


@pytest.mark.parametrize("headers", [FETCH, {}, {"Accept": "application/json"}], ids=str)
def test_a_late_background_request_is_sent_nowhere(headers, late):
    response = late.get("/whoami/", headers=headers)
    assert_nobody(response)
    assert not response.cookies


@pytest.mark.parametrize("method", ["post", "put", "delete"])
def test_a_late_form_is_sent_nowhere(method, late):
    response = getattr(late, method)("/whoami/", headers=NAVIGATION)
    assert_nobody(response)
    assert not response.cookies


def test_a_late_tab_with_a_good_access_cookie_is_let_in(late, ada):
    late.cookies[ACCESS] = credentials_for(row(), generation=2, now=timezone.now()).access_token
    assert_is(late.get("/whoami/", headers=NAVIGATION), ada)


# Nothing is emitted for a session that has ended or moved on


@pytest.mark.parametrize("path", ["/end-myself/", "/move-on/"])
def test_a_session_that_ended_or_moved_on_meanwhile_is_given_no_cookies(path, due):
    response = due.get(path)
    assert response.status_code == 200
    assert not response.cookies
    assert "X-Access-Token" not in response


@pytest.mark.parametrize("reason", ["kicked", "logout", "password_changed"])
def test_an_ended_session_lets_nobody_in_and_keeps_its_cookies(reason, browser, credentials):
    end_session(credentials.session, reason)
    for cookies in ({ACCESS, REFRESH}, {REFRESH}, {ACCESS}):
        jar = {name: cookie.value for name, cookie in browser.cookies.items() if name in cookies}
        response = browser_with(jar).get("/whoami/")
        assert_nobody(response)
        assert not response.cookies


# A Bearer token is the API's business


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_beside_a_bearer_token_the_cookies_are_not_looked_at(scheme, browser, credentials, bob):
    bobs = open_session(bob).access_token
    for token in (credentials.access_token, bobs, "garbage"):
        response = browser.get("/whoami/", headers={"Authorization": f"{scheme} {token}"})
        assert_nobody(response)
        assert_sets_nothing(response)


def test_beside_a_bearer_token_nothing_is_renewed(due, credentials):
    response = due.get("/whoami/", headers={"Authorization": f"Bearer {credentials.access_token}"})
    assert_nobody(response)
    assert_sets_nothing(response)
    assert row().generation == 1


def test_beside_a_bearer_token_a_django_session_is_not_looked_at(client, ada):
    client.force_login(ada)
    assert_nobody(client.get("/whoami/", headers={"Authorization": "Bearer garbage"}))
    assert_is(client.get("/whoami/"), ada)


def test_another_scheme_changes_nothing(browser, ada):
    assert_is(browser.get("/whoami/", headers={"Authorization": "Basic YTpi"}), ada)


# Planted cookies


def ask_with(header, **more):
    """Send a Cookie header as it is."""
    return Client().get("/whoami/", HTTP_COOKIE=header, **more)


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_of_two_access_cookies_neither_is_believed(order, credentials, bob):
    both = [credentials.access_token, open_session(bob).access_token]
    assert_nobody(ask_with("; ".join(f"{ACCESS}={both[which]}" for which in order)))


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_of_two_refresh_cookies_neither_is_renewed(order, credentials, bob):
    both = [credentials.refresh_token, open_session(bob).refresh_token]
    response = ask_with("; ".join(f"{REFRESH}={both[which]}" for which in order))
    assert_nobody(response)
    assert_sets_nothing(response)
    assert set(DeviceSession.objects.values_list("confirmed_generation", flat=True)) == {0}


@pytest.mark.parametrize("sep", [";", "; ", ";  ", " ; "])
def test_however_the_two_are_spaced(sep, credentials):
    assert_nobody(ask_with(sep.join([f"{ACCESS}={credentials.access_token}"] * 2)))


LOOKALIKES = [
    "__HOST-authx_{}",
    "__host-authx_{}",
    "authx_{}",
    "__Host-Authx_{}",
    " __Host-authx_{}x",
    "__Secure-authx_{}",
    "__Host-authx-{}",
]


@pytest.mark.parametrize("name", LOOKALIKES)
def test_a_cookie_of_a_similar_name_lets_nobody_in(name, credentials):
    access, refresh = name.format("access"), name.format("refresh")
    response = ask_with(f"{access}={credentials.access_token}; {refresh}={credentials.refresh_token}")
    assert_nobody(response)
    assert_sets_nothing(response)


@pytest.mark.parametrize("name", LOOKALIKES)
def test_a_cookie_of_a_similar_name_takes_nobodys_place(name, credentials, ada, bob):
    planted = open_session(bob)
    twins = (
        f"{name.format('access')}={planted.access_token}; {name.format('refresh')}={planted.refresh_token}"
    )
    assert_is(ask_with(f"{twins}; {ACCESS}={credentials.access_token}"), ada)
    assert_is(ask_with(f"{ACCESS}={credentials.access_token}; {twins}"), ada)


# Hostile cookies


HOSTILE = {
    "stale": lambda credentials: old_access_token(credentials, days=1),
    "truncated access": lambda credentials: credentials.access_token[:-1],
    "truncated refresh": lambda credentials: credentials.refresh_token[:-1],
    "other kind": lambda credentials: credentials.claims.jti,
    "foreign": foreign_access_token,
    "4 KB": lambda credentials: "A" * 4096,
    "4 KB of dots": lambda credentials: "." * 4096,
    "NUL": lambda credentials: "a\x00b",
    "NUL in a token": lambda credentials: credentials.refresh_token + "\x00",
    "Latin-1": lambda credentials: "\xe9\xff\xfe",
    "UTF-8": lambda credentials: "电話".encode().decode("latin-1"),
    "quoted": lambda credentials: '"' + credentials.refresh_token[:20] + '"',
    "escaped": lambda credentials: '"\\000\\377"',
    "percent": lambda credentials: "%00%ff",
    "SQL": lambda credentials: "' OR 1=1 --",
    "JSON": lambda credentials: '{"alg":"none"}',
    "empty": lambda credentials: "",
    "only spaces": lambda credentials: "   ",
}
BOTH_WAYS = pytest.mark.parametrize("encrypted", [False, True])


def hostile_headers(value, credentials):
    """The value as either cookie, and as both; and each token where the other belongs."""
    yield f"{ACCESS}={value}"
    yield f"{REFRESH}={value}"
    yield f"{ACCESS}={value}; {REFRESH}={value}"
    yield f"{DEVICE}={value}"
    yield f"{ACCESS}={value}; {REFRESH}={value}; {DEVICE}={value}; csrftoken={value}; sessionid=old-one"


@BOTH_WAYS
@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_cookie_is_an_anonymous_visitor_who_can_sign_in(
    name, encrypted, credentials, ada, password, settings
):
    settings.AUTHX_COOKIE_ENCRYPTION = encrypted
    settings.AUTHX_LOGIN_RATE = None
    for header in hostile_headers(HOSTILE[name](credentials), credentials):
        for path in ("/whoami/", "/async-whoami/"):
            assert_nobody(Client().get(path, HTTP_COOKIE=header))
        assert Client().get("/account/login/", HTTP_COOKIE=header, headers=NAVIGATION).status_code == 200
        client = Client()
        typed = {"username": ada.get_username(), "password": password}
        response = client.post("/account/login/", typed, HTTP_COOKIE=header, headers=NAVIGATION)
        assert response.status_code == 302, header
        assert_is(client.get("/whoami/"), ada)


def test_swapped_cookies_are_an_anonymous_visitor(credentials):
    header = f"{ACCESS}={credentials.refresh_token}; {REFRESH}={credentials.access_token}"
    assert_nobody(ask_with(header))


# Cookies of two sessions: the access cookie is no credential


@pytest.fixture
def mixed(credentials, bobs):
    """A browser with ada's access cookie beside bob's refresh cookie, both good."""
    return browser_with({ACCESS: credentials.access_token, REFRESH: bobs.refresh_token})


@pytest.fixture
def bobs(bob):
    """Of an hour ago, so that renewing them rotates."""
    opened = open_session(bob)
    pass_time(opened.session, hours=1)
    return opened


def test_the_cookies_of_two_sessions_are_renewed_as_the_refresh_cookies(mixed, credentials, bobs, bob):
    response = mixed.get("/whoami/")
    assert_is(response, bob)
    assert_renewed(response)
    assert_is(mixed.get("/whoami/"), bob)
    assert DeviceSession.objects.get(pk=credentials.session.pk).confirmed_generation == 0


@pytest.mark.parametrize("mine", [True, False], ids=["same user", "another's"])
def test_whoever_the_two_belong_to(mine, credentials, ada, bob):
    other = open_session(ada if mine else bob)
    pass_time(other.session, hours=1)
    response = browser_with({ACCESS: credentials.access_token, REFRESH: other.refresh_token}).get("/whoami/")
    assert response.json()["session"] == str(other.session.pk)
    assert_renewed(response)


def test_within_the_grace_the_refresh_cookie_stays_as_it_came(credentials, bob):
    other = open_session(bob)
    response = browser_with({ACCESS: credentials.access_token, REFRESH: other.refresh_token}).get("/whoami/")
    assert_is(response, bob)
    assert OURS & set(response.cookies) == {ACCESS}


@pytest.mark.parametrize("reason", ["kicked", "logout", "password_changed"])
def test_the_access_cookie_does_not_rescue_an_ended_session(reason, mixed, bobs):
    end_session(bobs.session, reason)
    assert_nobody(mixed.get("/whoami/"))
    assert_nobody(mixed.get("/whoami/", headers={"Sec-Purpose": "prefetch"}))


def test_nor_a_renewal_that_came_too_late(late, bob):
    late.cookies[ACCESS] = open_session(bob).access_token
    assert late.get("/whoami/", headers=NAVIGATION).status_code == 302
    assert_nobody(late.get("/whoami/", headers=FETCH))


@pytest.mark.parametrize(
    ("method", "headers"),
    [("options", {}), ("get", {"Sec-Purpose": "prefetch"}), ("get", {"Sec-Fetch-Site": "cross-site"})],
    ids=["OPTIONS", "prefetch", "cross-site"],
)
def test_where_nothing_is_renewed_the_two_let_nobody_in(method, headers, mixed, django_assert_num_queries):
    with django_assert_num_queries(0):
        response = getattr(mixed, method)("/whoami/", headers=headers)
    assert_nobody(response)
    assert_sets_nothing(response)


def test_too_often_the_visitor_is_still_that_of_the_refresh_cookie(mixed, bob, settings):
    settings.AUTHX_REFRESH_RATE = "1/day"
    mixed.get("/whoami/")
    mixed.cookies[ACCESS] = ""
    again = browser_with({name: mixed.cookies[name].value for name in OURS})
    again.cookies[ACCESS] = open_session(get_user_model().objects.get(username="ada")).access_token
    response = again.get("/whoami/")
    assert_is(response, bob)
    assert_sets_nothing(response)


def test_signing_out_ends_the_session_of_the_refresh_cookie(mixed, credentials, bobs):
    mixed.post("/account/logout/")
    ended = dict(DeviceSession.objects.values_list("pk", "end_reason"))
    assert ended == {bobs.session.pk: "logout", credentials.session.pk: ""}


@pytest.mark.parametrize("refresh", ["garbage", ""], ids=["garbage", "empty"])
def test_a_refresh_cookie_that_names_no_session_says_nothing_of_the_access_cookie(refresh, browser, ada):
    browser.cookies[REFRESH] = refresh
    assert_is(browser.get("/whoami/"), ada)


def test_a_token_of_a_session_that_was_pruned_is_an_anonymous_visitor(browser, due):
    DeviceSession.objects.all().delete()
    assert_nobody(browser.get("/whoami/"))
    assert_nobody(due.get("/whoami/"))


# Settings


def test_a_renewal_tells_a_script_its_access_token_where_the_site_says_so(due, settings):
    settings.AUTHX_EXPOSE_ACCESS_TOKEN = True
    response = due.get("/untouched/")
    assert response["X-Access-Token"] == response.cookies[ACCESS].value
    assert "X-Access-Token" not in due.get("/whoami/")


def test_and_not_otherwise(due):
    assert "X-Access-Token" not in due.get("/untouched/")


def test_an_exposed_token_is_a_token_though_cookies_are_encrypted(client, ada, settings, api):
    settings.AUTHX_COOKIE_ENCRYPTION = True
    settings.AUTHX_EXPOSE_ACCESS_TOKEN = True
    sign_in_and_come_back_later(client, ada)
    token = client.get("/untouched/")["X-Access-Token"]
    assert api.get("/api/whoami/", headers={"Authorization": f"Bearer {token}"}).status_code == 200


def test_encrypted_cookies_show_no_token_and_work(ada, password, settings):
    settings.AUTHX_COOKIE_ENCRYPTION = True
    client = Client()
    client.post("/account/login/", {"username": ada.get_username(), "password": password})
    current = credentials_for(row(), generation=1, now=timezone.now())
    for name in (ACCESS, REFRESH, DEVICE):
        value = client.cookies[name].value
        assert "." not in value
        assert str(row().pk) not in value
        assert current.refresh_token[:40] not in value
        assert row().device_id not in value
        assert len(client.cookies[name].OutputString()) < 4096
    assert_is(client.get("/whoami/"), ada)

    # Renewed, they are encrypted again.
    pass_time(row(), hours=1)
    del client.cookies[ACCESS]
    response = client.get("/whoami/")
    assert_is(response, ada)
    assert_renewed(response)
    assert "." not in response.cookies[REFRESH].value
    assert_is(client.get("/whoami/"), ada)


def test_encrypted_cookies_outlive_a_change_of_the_secret_key(ada, password, settings):
    settings.AUTHX_COOKIE_ENCRYPTION = True
    client = Client()
    client.post("/account/login/", {"username": ada.get_username(), "password": password})
    old = settings.SECRET_KEY
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "a-new-secret-key-" + "x" * 40, [old]
    assert_is(client.get("/whoami/"), ada)
    settings.SECRET_KEY_FALLBACKS = []
    assert_nobody(client.get("/whoami/"))


@pytest.mark.parametrize("encrypted", [True, False])
def test_switching_encryption_on_or_off_logs_nobody_out(encrypted, ada, password, settings):
    settings.AUTHX_COOKIE_ENCRYPTION = not encrypted
    client = Client()
    client.post("/account/login/", {"username": ada.get_username(), "password": password})
    settings.AUTHX_COOKIE_ENCRYPTION = encrypted
    assert client.get("/whoami/").json()["user"] == ada.get_username()


def test_cookies_of_other_names_over_plain_http(ada, password, settings):
    settings.AUTHX_COOKIE_SECURE = False
    settings.AUTHX_COOKIE_SAMESITE = "Strict"
    settings.AUTHX_ACCESS_COOKIE = "a"
    settings.AUTHX_REFRESH_COOKIE = "r"
    settings.AUTHX_DEVICE_COOKIE = "d"
    client = Client()
    client.post("/account/login/", {"username": ada.get_username(), "password": password})
    assert {"a", "r", "d"} <= set(client.cookies)
    assert not {name for name in client.cookies if "authx" in name}
    for name in "ard":
        assert not client.cookies[name]["secure"]
        assert client.cookies[name]["httponly"] is True
        assert client.cookies[name]["samesite"] == ("Lax" if name == "d" else "Strict")
    assert_is(client.get("/whoami/"), ada)
    pass_time(row(), hours=1)
    del client.cookies["a"]
    response = client.get("/whoami/")
    assert_is(response, ada)
    assert {"a", "r"} <= set(response.cookies)
    assert_nobody(browser_with({ACCESS: client.cookies["a"].value}).get("/whoami/"))


def many_claims(session):
    return {"roles": ["x" * 50] * 80}


def test_a_cookie_too_large_for_browsers_is_complained_of_once(due, settings, caplog):
    settings.AUTHX_CLAIMS = f"{__name__}.many_claims"
    settings.AUTHX_ACCESS_COOKIE = "__Host-authx_large"  # a name that was not complained of before
    for _request in range(2):
        due.get("/untouched/")
        due.cookies.pop("__Host-authx_large")
    said = [record.getMessage() for record in caplog.records]
    assert len([text for text in said if "__Host-authx_large is too large" in text]) == 1


@pytest.mark.parametrize("path", ["/whoami/", "/async-whoami/"])
def test_the_device_session_of_a_request_is_the_session_or_none(path, client, browser, credentials):
    assert client.get(path).json()["session"] is None
    assert browser.get(path).json()["session"] == str(credentials.session.pk)


def test_where_every_view_needs_a_login_members_come_in_and_others_are_sent_to_sign_in(
    client, browser, due, ada, settings
):
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, LOGIN_REQUIRED]
    assert_is(browser.get("/whoami/"), ada)
    assert_is(due.get("/whoami/"), ada)
    response = client.get("/whoami/")
    assert (response.status_code, response["Location"]) == (302, "/account/login/?next=/whoami/")


def test_where_every_view_needs_a_login_the_login_page_needs_none(client, ada, password, settings):
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, LOGIN_REQUIRED]
    assert client.get("/account/login/").status_code == 200
    client.post("/account/login/", {"username": ada.get_username(), "password": password})
    assert_is(client.get("/whoami/"), ada)


def test_where_every_view_needs_a_login_logging_out_needs_none(due, credentials, settings):
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, LOGIN_REQUIRED]
    assert due.post("/account/logout/").status_code == 200
    credentials.session.refresh_from_db()
    assert credentials.session.end_reason == "logout"


# The database is down


@contextmanager
def broken_database(error=OperationalError):
    """Every statement fails, as with a server that has gone away."""

    def fail(execute, sql, params, many, context):
        raise error("server has gone away")

    with connection.execute_wrapper(fail):
        yield


def assert_unavailable(response):
    assert response.status_code == 503
    assert int(response["Retry-After"]) > 0
    assert "no-store" in response["Cache-Control"]
    assert not response.cookies, "what we cannot know takes no cookie back"
    assert b"you have not been signed out" in response.content


@pytest.mark.parametrize("error", [OperationalError, InterfaceError])
@pytest.mark.parametrize("path", ["/whoami/", "/private/", "/account/devices/", "/async-whoami/", "/boom/"])
def test_a_page_that_asks_is_unavailable_while_the_database_is_down(path, error, browser, ada):
    browser.raise_request_exception = False
    with broken_database(error):
        assert_unavailable(browser.get(path, headers=NAVIGATION))
    assert_is(browser.get("/whoami/"), ada)


@pytest.mark.parametrize("path", ["/whoami/", "/private/", "/async-whoami/"])
def test_a_page_whose_renewal_is_due_is_unavailable_too(path, due, ada):
    with broken_database():
        assert_unavailable(due.get(path, headers=NAVIGATION))
    assert_is(due.get("/whoami/"), ada)


def test_a_page_that_never_asks_is_shown_all_the_same(browser, due):
    with broken_database():
        for client in (browser, due):
            response = client.get("/untouched/")
            assert (response.status_code, response.content) == (200, b"untouched")
            assert not response.cookies


def test_a_visitor_without_cookies_is_a_visitor_all_the_same(client):
    with broken_database():
        assert_nobody(client.get("/whoami/"))
        assert client.get("/account/login/").status_code == 200


def test_where_every_view_needs_a_login_it_is_unavailable_rather_than_an_error(browser, settings):
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, LOGIN_REQUIRED]
    browser.raise_request_exception = False
    with broken_database():
        assert_unavailable(browser.get("/whoami/"))


def test_the_same_under_asgi_where_the_database_is_down(credentials):
    async def ask(path):
        client = AsyncClient(raise_request_exception=False)
        client.cookies = SimpleCookie({ACCESS: credentials.access_token})
        return await client.get(path)

    with broken_database():
        for path in ("/whoami/", "/async-whoami/"):
            assert_unavailable(async_to_sync(ask)(path))
        assert async_to_sync(ask)("/async-untouched/").status_code == 200


def test_signing_in_is_unavailable_and_takes_no_cookie_back(browser, client, ada, password):
    typed = {"username": ada.get_username(), "password": password}
    with broken_database():
        for each in (browser, client):
            assert_unavailable(each.post("/account/login/", typed))
            assert each.get("/account/login/", headers=NAVIGATION).status_code in {200, 503}
    assert_is(browser.get("/whoami/"), ada)


def test_signing_out_is_refused_rather_than_pretended(browser, ada):
    with broken_database():
        for path in ("/account/logout/", "/django-logout/"):
            assert_unavailable(browser.post(path))
    assert_is(browser.get("/whoami/"), ada)


def test_a_django_session_that_cannot_be_read_is_unavailable(client, ada):
    client.force_login(ada)
    client.raise_request_exception = False
    with broken_database():
        assert_unavailable(client.get("/whoami/"))
    assert_is(client.get("/whoami/"), ada)


def test_a_page_that_was_made_is_shown_though_its_cookies_cannot_be_delivered(due, credentials, ada):
    """The renewal is kept; the next request is given its cookies."""

    renewed = []

    def fail_once_renewed(execute, sql, params, many, context):
        if renewed and "authx_devicesession" in sql:
            raise OperationalError("server has gone away")
        if sql.startswith("UPDATE") and "generation" in sql:
            renewed.append(sql)
        return execute(sql, params, many, context)

    with connection.execute_wrapper(fail_once_renewed):
        response = due.get("/untouched/")
    assert (response.status_code, response.content) == (200, b"untouched")
    assert not response.cookies
    assert row().generation == 2
    response = due.get("/whoami/")
    assert_is(response, ada)
    assert_renewed(response)


# The user's own state


def disable(user):
    get_user_model()._default_manager.filter(pk=user.pk).update(is_active=False)


def change_password(user):
    get_user_model()._default_manager.filter(pk=user.pk).update(password="!")


@pytest.mark.parametrize("change", [disable, change_password])
@pytest.mark.parametrize("carrier", ["browser", "due"])
def test_a_user_changed_in_bulk_is_nobody_at_the_next_request(change, carrier, ada, request):
    client = request.getfixturevalue(carrier)
    change(ada)
    response = client.get("/whoami/")
    assert_nobody(response)
    assert not response.cookies


def test_a_visitor_without_a_django_session_is_given_none(browser):
    browser.get("/whoami/")
    assert not Session.objects.exists()
    assert "sessionid" not in browser.cookies
