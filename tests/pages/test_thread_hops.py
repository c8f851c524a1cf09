"""How often a request under ASGI changes to a thread: no more often than with Django's own sessions."""

import asyncio
from datetime import timedelta

import pytest
from asgiref.sync import async_to_sync
from django.contrib.sessions.backends.db import SessionStore
from django.core.handlers.asgi import ASGIHandler
from django.db.transaction import non_atomic_requests
from django.http import HttpResponse
from django.test import AsyncClient
from django.urls import path
from rest_framework.response import Response
from rest_framework.views import APIView

from authx.gate.keys import keyring
from authx.issuer import signing_keys
from authx.models import DeviceSession
from authx.sessions import open_session
from tests.gate.test_stores import choose

pytestmark = pytest.mark.django_db(transaction=True)

ACCESS, REFRESH, DEVICE = "__Host-authx_access", "__Host-authx_refresh", "__Host-authx_device"
OURS = "authx.pages.middleware.DeviceSessionMiddleware"
DJANGOS = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
]


def untouched(request):
    return HttpResponse("untouched")


def asks(request):
    return HttpResponse(f"{request.user.is_authenticated}")


@non_atomic_requests
async def untouched_async(request):
    return HttpResponse("untouched")


@non_atomic_requests
async def asks_async(request):
    return HttpResponse(f"{(await request.auser()).is_authenticated}")


class Api(APIView):
    def get(self, request):
        return Response(request.user.is_authenticated)


urlpatterns = [
    path("untouched/", untouched),
    path("asks/", asks),
    path("untouched-async/", untouched_async),
    path("asks-async/", asks_async),
    path("api/", Api.as_view()),
]

PAGES = ["/untouched/", "/asks/", "/untouched-async/", "/asks-async/"]


@pytest.fixture(autouse=True)
def _urls(settings):
    settings.ROOT_URLCONF = __name__


@pytest.fixture
def credentials(ada):
    return open_session(ada)


@pytest.fixture
def handler(settings):
    """Make a handler of a site with only these middlewares."""

    def make(*middleware):
        settings.MIDDLEWARE = list(middleware)
        return ASGIHandler()

    return make


@pytest.fixture
def with_authx(handler):
    return handler(*DJANGOS, OURS)


def hops(app, url, **headers):
    """How often one request changed to a thread, and the body of its answer; the second of two."""

    async def both():
        await _ask(app, url, headers)
        return await _ask(app, url, headers)

    return asyncio.run(asyncio.wait_for(both(), 20))


async def _ask(app, url, headers):
    loop, sent, changed = asyncio.get_running_loop(), [], []
    plain, more = loop.run_in_executor, [{"type": "http.request", "body": b"", "more_body": False}]

    def counted(executor, function, *arguments):
        changed.append(function)
        return plain(executor, function, *arguments)

    async def receive():
        return more.pop() if more else await asyncio.Future()

    async def send(message):
        sent.append(message)

    sent_headers = {"host": "testserver", **headers}
    scope = {
        "type": "http",
        "method": "GET",
        "path": url,
        "query_string": b"",
        "headers": [(name.encode(), value.encode()) for name, value in sent_headers.items()],
    }
    loop.run_in_executor = counted
    try:
        await app(scope, receive, send)
    finally:
        del loop.run_in_executor
    assert sent[0]["status"] == 200, sent
    return len(changed), b"".join(each.get("body", b"") for each in sent).decode()


def jar(credentials):
    return f"{ACCESS}={credentials.access_token}; {REFRESH}={credentials.refresh_token}"


@pytest.fixture
def djangos(ada, handler):
    """As many as Django's own sessions cost, by URL, for a visitor with a session of theirs."""
    app, store = handler(*DJANGOS), SessionStore()
    store["_auth_user_id"], store["_auth_user_hash"] = str(ada.pk), ada.get_session_auth_hash()
    store["_auth_user_backend"] = "django.contrib.auth.backends.ModelBackend"
    store.create()
    found = {url: hops(app, url, cookie=f"sessionid={store.session_key}") for url in PAGES}
    assert found["/asks-async/"][1] == "True"
    return {url: number for url, (number, _body) in found.items()}


def test_a_page_changes_no_more_often_than_with_djangos_own_sessions(djangos, with_authx, credentials):
    for url in PAGES:
        number, body = hops(with_authx, url, cookie=jar(credentials))
        assert body in {"untouched", "True"}
        assert number <= djangos[url], url
    assert hops(with_authx, "/untouched-async/", cookie=jar(credentials))[0] <= 5


@pytest.mark.parametrize("store", ["database", "redis"])
def test_not_even_where_a_copy_is_asked(store, djangos, with_authx, credentials, settings):
    choose(settings, store, timedelta(seconds=60))
    for url in PAGES:
        assert hops(with_authx, url, cookie=jar(credentials))[0] <= djangos[url], url


@pytest.mark.parametrize("url", PAGES)
def test_nor_does_a_stranger(url, djangos, with_authx):
    number, body = hops(with_authx, url)
    assert body in {"untouched", "False"}
    assert number <= djangos[url]


def test_a_stranger_to_an_async_page_is_known_without_a_change(with_authx):
    assert hops(with_authx, "/asks-async/")[0] == hops(with_authx, "/untouched-async/")[0]


def test_a_call_of_the_api_changes_as_often_as_without_the_middleware(handler, credentials):
    headers = {"authorization": f"Bearer {credentials.access_token}"}
    number, body = hops(handler(*DJANGOS), "/api/", **headers)
    assert hops(handler(*DJANGOS, OURS), "/api/", **headers) == (number, body) == (number, "true")


# What has to be read or written is, in a thread


def test_a_renewal_and_its_cookies_change_once_each(with_authx, credentials):
    plain, _body = hops(with_authx, "/untouched-async/", cookie=jar(credentials))
    number, _body = hops(with_authx, "/untouched-async/", cookie=f"{REFRESH}={credentials.refresh_token}")
    assert number == plain + 2


def test_the_confirmation_changes_once(with_authx, credentials):
    async def twice():
        return [await _ask(with_authx, "/asks/", {"cookie": jar(credentials)}) for _ in "12"]

    (first, _), (second, _) = asyncio.run(twice())
    assert first == second + 1
    assert DeviceSession.objects.get().confirmed_generation == 1


def test_managed_keys_are_read_in_a_thread(with_authx, ada, caplog):
    """In the event loop Django would refuse to read them."""
    plain, _body = hops(with_authx, "/untouched-async/")
    signing_keys.rotate(at_once=True)
    credentials = open_session(ada)
    keyring.keyset_of.cache_clear()  # as in a process that begins

    async def twice():
        return [await _ask(with_authx, "/untouched-async/", {"cookie": jar(credentials)}) for _ in "12"]

    assert [number for number, _body in asyncio.run(twice())] == [plain + 1, plain]
    assert hops(with_authx, "/asks-async/", cookie=jar(credentials))[1] == "True"
    assert not [each for each in caplog.records if each.name == "authx"]


def test_so_is_a_key_that_is_new(with_authx, credentials, caplog, monkeypatch):
    """Another process has made it since this one read them all."""
    plain, _body = hops(with_authx, "/untouched-async/", cookie=jar(credentials))
    ours = keyring.keyset()
    keyring.keyset_of.cache_clear()
    signing_keys.rotate(at_once=True)
    newer = open_session(credentials.session.user)
    assert newer.claims.kid not in ours._keys

    async def once():
        return await _ask(with_authx, "/untouched-async/", {"cookie": jar(newer)})

    with monkeypatch.context() as patched:
        patched.setattr(keyring, "keyset_of", lambda database: ours)
        assert asyncio.run(once()) == (plain + 1, "untouched")
    assert newer.claims.kid in ours._keys
    assert not [each for each in caplog.records if each.name == "authx"]


def test_a_visitor_of_the_login_page_gets_its_cookie(settings):
    settings.ROOT_URLCONF = "tests.urls"
    answer = async_to_sync(AsyncClient().get)("/account/login/")
    assert answer.cookies[DEVICE].value
