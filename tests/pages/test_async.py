"""The same under ASGI: every answer that a sync site gives, an async site gives too."""

import asyncio
from contextlib import contextmanager, nullcontext
from datetime import timedelta
from http.cookies import SimpleCookie

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.contrib.auth import get_user_model
from django.core.handlers.asgi import ASGIRequest
from django.db import OperationalError, connection
from django.db.models import F
from django.http import HttpResponse
from django.test import AsyncClient, AsyncRequestFactory, Client
from django.utils import timezone

from authx.models import DeviceSession
from authx.pages.middleware import DeviceSessionMiddleware
from authx.sessions import end_session, open_session, refresh_session
from authx.sessions.credentials import credentials_for
from tests.signing_in import NAVIGATION

pytestmark = pytest.mark.django_db
# The use of a token is written down, and an opening announced, after the commit.
committing = pytest.mark.django_db(transaction=True)

ACCESS, REFRESH, DEVICE = "__Host-authx_access", "__Host-authx_refresh", "__Host-authx_device"
NOBODY = {"user": None, "session": None}


@pytest.fixture(autouse=True)
def more_urls(settings):
    settings.ROOT_URLCONF = "tests.more_urls"


class AsyncBrowser:
    """Asks the ASGI handler, and waits for the answer."""

    def __init__(self):
        self.client = AsyncClient(raise_request_exception=False)

    @property
    def cookies(self):
        return self.client.cookies

    @cookies.setter
    def cookies(self, jar):
        self.client.cookies = jar

    def get(self, path, **more):
        return async_to_sync(self.client.get)(path, **more)

    def post(self, path, data=None, **more):
        return async_to_sync(self.client.post)(path, data or {}, **more)


def sync_browser():
    return Client(raise_request_exception=False)


HANDLERS = {"wsgi": sync_browser, "asgi": AsyncBrowser}
VIEWS = ["/whoami/", "/async-whoami/"]
under_both = pytest.mark.parametrize("handler", HANDLERS)
either_view = pytest.mark.parametrize("view", VIEWS)


@pytest.fixture
def browser(handler):
    return HANDLERS[handler]()


def sign_in(browser, user, password):
    response = browser.post("/account/login/", {"username": user.get_username(), "password": password})
    assert response.status_code == 302, response.content
    return response


def is_(user, session):
    return {"user": user.get_username(), "session": str(session.pk)}


def pass_time(**duration):
    DeviceSession.objects.update(rotated_at=F("rotated_at") - timedelta(**duration))


@committing
@under_both
@either_view
def test_signing_in_and_coming_back(view, browser, ada, password):
    response = sign_in(browser, ada, password)
    assert {ACCESS, REFRESH, DEVICE} <= set(response.cookies)
    session = DeviceSession.objects.get()
    assert browser.get(view).json() == is_(ada, session)
    session.refresh_from_db()
    assert session.confirmed_generation == 1


@committing
@under_both
@either_view
def test_a_silent_renewal(view, browser, ada, password):
    sign_in(browser, ada, password)
    spent = browser.cookies[REFRESH].value
    pass_time(hours=1)
    del browser.cookies[ACCESS]
    response = browser.get(view)
    assert response.json() == is_(ada, DeviceSession.objects.get())
    assert response["Cache-Control"] == "private, no-store"
    assert browser.cookies[REFRESH].value != spent
    assert DeviceSession.objects.get().generation == 2
    response = browser.get(view)
    assert not response.cookies
    assert DeviceSession.objects.get().confirmed_generation == 2


@under_both
@either_view
def test_kicked_out(view, browser, ada, password):
    sign_in(browser, ada, password)
    end_session(DeviceSession.objects.get(), "kicked")
    assert browser.get(view).json() == NOBODY
    page = browser.get("/account/login/", headers=NAVIGATION)
    assert b'data-reason="kicked"' in page.content


@under_both
def test_signing_out(browser, ada, password):
    sign_in(browser, ada, password)
    response = browser.post("/account/logout/")
    assert response.cookies[REFRESH]["max-age"] == 0
    assert DeviceSession.objects.get().end_reason == "logout"


@under_both
def test_changing_the_password(browser, ada, password):
    sign_in(browser, ada, password)
    typed = {"old_password": password, "new_password1": "another-horse-9", "new_password2": "another-horse-9"}
    assert browser.post("/password-change/", typed).status_code == 302
    assert browser.get("/async-whoami/").json() == is_(ada, DeviceSession.objects.live().get())


@under_both
def test_devices(browser, ada, password):
    sign_in(browser, ada, password)
    other = open_session(ada).session
    assert browser.get("/account/devices/").status_code == 200
    assert browser.post(f"/account/devices/{other.pk}/end/").status_code == 302
    other.refresh_from_db()
    assert other.end_reason == "ended_by_user"


@under_both
def test_the_api_behind_a_silent_renewal(browser, ada, password):
    sign_in(browser, ada, password)
    pass_time(hours=1)
    del browser.cookies[ACCESS]
    response = browser.get("/api/whoami/")
    assert response.json() == {"user": str(ada.pk), "sid": str(DeviceSession.objects.get().pk)}
    assert {ACCESS, REFRESH} <= set(response.cookies)


# A table: whatever a browser brings, a sync and an async view say the same under either handler


def good(ada):
    return tokens(open_session(ada))


def tokens(credentials):
    return {ACCESS: credentials.access_token, REFRESH: credentials.refresh_token}


def access_only(ada):
    return {ACCESS: open_session(ada).access_token}


def refresh_only(ada):
    return {REFRESH: open_session(ada).refresh_token}


def due(ada):
    cookies = refresh_only(ada)
    pass_time(hours=1)
    return cookies


def ended(ada):
    credentials = open_session(ada)
    end_session(credentials.session, "kicked")
    return tokens(credentials)


def late(ada):
    cookies = due(ada)
    refresh_session(cookies[REFRESH])
    DeviceSession.objects.update(confirmed_generation=F("generation"))
    pass_time(hours=1)
    return cookies


def reused(ada):
    cookies = due(ada)
    token = refresh_session(cookies[REFRESH]).refresh_token
    pass_time(hours=1)
    refresh_session(token)
    return cookies


def expired(ada):
    session = open_session(ada).session
    then = timezone.now() - timedelta(hours=1)
    return {ACCESS: credentials_for(session, generation=1, now=then).access_token}


def disabled(ada):
    cookies = good(ada)
    get_user_model()._default_manager.filter(pk=ada.pk).update(is_active=False)
    return cookies


def garbage(ada):
    return {ACCESS: "garbage", REFRESH: "garbage"}


def nothing(ada):
    return {}


STATES = [
    good,
    access_only,
    refresh_only,
    due,
    ended,
    late,
    reused,
    expired,
    disabled,
    garbage,
    nothing,
]
REQUESTS = {
    "page": {"headers": NAVIGATION},
    "script": {"headers": {"Accept": "*/*"}},
    "prefetch": {"headers": {**NAVIGATION, "Sec-Purpose": "prefetch"}},
    "bearer": {"headers": {"Authorization": "Bearer garbage"}},
}


@contextmanager
def broken_database():
    def fail(execute, sql, params, many, context):
        raise OperationalError("server has gone away")

    with connection.execute_wrapper(fail):
        yield


def outcome(browser, view, asked):
    """What can be compared: status, where to, who, and what becomes of the cookies."""
    response = browser.get(view, **asked)
    location = response.get("Location", "").replace("/async-", "/")
    who = response.json()["user"] if response.status_code == 200 else None
    cookies = {name: bool(cookie.value) for name, cookie in response.cookies.items()}
    headers = {name: response.get(name) for name in ("Cache-Control", "Vary", "Retry-After")}
    return response.status_code, location, who, cookies, headers


def outcomes(ada, state, asked, database):
    for handler in HANDLERS:
        for view in VIEWS:
            DeviceSession.objects.all().delete()
            get_user_model()._default_manager.filter(pk=ada.pk).update(is_active=True)
            ada.refresh_from_db()
            browser = HANDLERS[handler]()
            browser.cookies = SimpleCookie(state(ada))
            with database():
                yield (handler, view), outcome(browser, view, asked)


@pytest.mark.parametrize("database", [nullcontext, broken_database], ids=["up", "down"])
@pytest.mark.parametrize("asked", REQUESTS)
@pytest.mark.parametrize("state", STATES)
def test_whatever_a_browser_brings_all_four_say_the_same(state, asked, database, ada):
    found = dict(outcomes(ada, state, REQUESTS[asked], database))
    assert len(found) == 4
    expected = found["wsgi", "/whoami/"]
    assert expected[0] in {200, 302, 503}
    assert found == dict.fromkeys(found, expected)


LET_IN = {(state, asked) for state in (good, access_only) for asked in ("page", "script", "prefetch")} | {
    (state, asked) for state in (refresh_only, due) for asked in ("page", "script")
}


@pytest.mark.parametrize("asked", REQUESTS)
@pytest.mark.parametrize("state", STATES)
def test_and_it_is_what_they_ought_to_say(state, asked, ada):
    _where, (status, _location, who, *_rest) = next(outcomes(ada, state, REQUESTS[asked], nullcontext))
    if (state, asked) == (late, "page"):
        assert status == 302
    else:
        assert (status, who) == (200, ada.get_username() if (state, asked) in LET_IN else None)


UNKNOWN = {*LET_IN, *((state, asked) for state in (ended, late, reused, disabled) for asked in REQUESTS)}


@pytest.mark.parametrize("asked", ["page", "script"])
@pytest.mark.parametrize("state", STATES)
def test_and_nobody_is_let_in_or_refused_while_the_database_is_down(state, asked, ada):
    _where, (status, _location, who, cookies, _headers) = next(
        outcomes(ada, state, REQUESTS[asked], broken_database)
    )
    assert (status, who, cookies) == (503 if (state, asked) in UNKNOWN else 200, None, {})


# auser is the same as user


@pytest.fixture
def ask():
    """Run a coroutine function as the view behind the async middleware; what it returned."""

    def run(view, cookies):
        async def get_response(request):
            request.answer = await view(request)
            return HttpResponse()

        async def through():
            sent = "; ".join(f"{name}={value}" for name, value in cookies.items())
            request = AsyncRequestFactory().get("/untouched/", headers={"cookie": sent})
            await DeviceSessionMiddleware(get_response)(request)
            return request.answer

        return async_to_sync(through)()

    return run


def test_the_user_is_looked_up_once_whoever_asks_and_how(ask, ada, django_assert_num_queries):
    async def view(request):
        first = await request.auser()
        second = await request.auser()
        third = await sync_to_async(lambda: request.user.get_username())()
        return first, second is first, third, request.device_session.user == first

    cookies = access_only(ada)
    ask(view, cookies)  # T2 is written once
    with django_assert_num_queries(1):
        first, same, name, of_session = ask(view, cookies)
    assert (first, same, name, of_session) == (ada, True, ada.get_username(), True)


def test_whoever_sets_the_user_sets_auser_too(ask, ada, bob):
    async def view(request):
        request.user = bob
        return await request.auser()

    assert ask(view, access_only(ada)) == bob


def test_the_request_is_still_what_it_was(ask, ada):
    async def view(request):
        await request.auser()
        return request

    request = ask(view, access_only(ada))
    assert isinstance(request, ASGIRequest)
    assert type(request).__name__ == "ASGIRequest"
    assert request.device_session.user == ada


def test_many_users_at_once_never_meet(make_user):
    """Interleaved requests of many users each see their own."""
    users = [make_user(f"user{number}") for number in range(12)]
    jars = [SimpleCookie(tokens(open_session(user))) for user in users]

    async def one(user, jar):
        client = AsyncClient()
        client.cookies = jar
        answers = [(await client.get("/async-whoami/")).json()["user"] for _request in range(5)]
        return user.get_username(), set(answers)

    async def everybody():
        return await asyncio.gather(*(one(user, jar) for user, jar in zip(users, jars, strict=True)))

    for name, seen in async_to_sync(everybody)():
        assert seen == {name}
