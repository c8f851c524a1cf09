"""The confirmation of a generation (T2) is written after the view, whatever became of that."""

import asyncio
import json
from http.cookies import SimpleCookie

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.core.handlers.asgi import ASGIHandler
from django.db import connection, transaction
from django.http import HttpResponse, StreamingHttpResponse
from django.test import AsyncClient, Client
from django.test.utils import CaptureQueriesContext
from django.urls import path
from rest_framework.response import Response
from rest_framework.test import APIRequestFactory
from rest_framework.views import APIView

from authx.models import DeviceSession
from authx.sessions import end_session, open_session
from authx.sessions.activity import uses
from authx.store.after_transaction import AfterView, after_view, view_under_way
from tests.gate.test_stores import QUICK, choose

pytestmark = pytest.mark.django_db(transaction=True)

ACCESS, REFRESH = "__Host-authx_access", "__Host-authx_refresh"
#: What the view under test saw of the row, while it ran.
seen = []


def note():
    seen.append(DeviceSession.objects.get().confirmed_generation)


def shown(request):
    assert request.user.is_authenticated
    note()
    return HttpResponse("shown")


def raising(request):
    shown(request)
    raise RuntimeError("after it has been seen")


def streamed(request):
    assert request.user.is_authenticated
    return StreamingHttpResponse(iter(["one", str(note() or "")]))


def asked_in_the_stream(request):
    def lines():
        yield request.user.get_username()

    return StreamingHttpResponse(lines())


def ended(request):
    shown(request)
    end_session(DeviceSession.objects.get(), "kicked")
    return HttpResponse("ended")


def asked_twice(request):
    assert request.user.is_authenticated
    return HttpResponse(Api.as_view()(request).rendered_content)


@transaction.non_atomic_requests
async def shown_async(request):
    assert (await request.auser()).is_authenticated
    await sync_to_async(note)()
    return HttpResponse("shown")


@transaction.non_atomic_requests
async def raising_async(request):
    await shown_async(request)
    raise RuntimeError


@transaction.non_atomic_requests
async def streamed_async(request):
    await shown_async(request)

    async def lines():
        yield (await request.auser()).get_username()

    return StreamingHttpResponse(lines())


@transaction.non_atomic_requests
async def hung(request):
    await shown_async(request)
    await asyncio.sleep(60)


class Api(APIView):
    def get(self, request):
        note()
        return Response(request.user.is_authenticated)


class RaisingApi(APIView):
    def get(self, request):
        note()
        raise RuntimeError


urlpatterns = [
    path("shown/", shown),
    path("raising/", raising),
    path("streamed/", streamed),
    path("asked-in-the-stream/", asked_in_the_stream),
    path("ended/", ended),
    path("asked-twice/", asked_twice),
    path("shown-async/", shown_async),
    path("raising-async/", raising_async),
    path("streamed-async/", streamed_async),
    path("hung/", hung),
    path("api/", Api.as_view()),
    path("raising-api/", RaisingApi.as_view()),
]


@pytest.fixture(autouse=True)
def _as_a_process_begins(settings):
    settings.ROOT_URLCONF = __name__
    seen.clear()
    uses.clear()
    yield
    uses.clear()


@pytest.fixture(
    params=[
        pytest.param(("database",), id="database"),
        pytest.param(QUICK[0], id="lag", marks=pytest.mark.slow),
    ]
)
def store(request, settings):
    choose(settings, *request.param)


@pytest.fixture(params=QUICK[1:2], ids=["redis"])
def redis(request, settings):
    choose(settings, *request.param)


@pytest.fixture
def credentials(ada):
    return open_session(ada)


def cookies(credentials):
    return SimpleCookie({ACCESS: credentials.access_token, REFRESH: credentials.refresh_token})


def ask(credentials, url, *, asynchronous=False, **headers):
    """The answer, read to its end."""
    client = (AsyncClient if asynchronous else Client)(raise_request_exception=False)
    if not headers:
        client.cookies = cookies(credentials)
    answer = (async_to_sync(client.get) if asynchronous else client.get)(url, headers=headers)
    if answer.streaming:
        answer.getvalue() if not answer.is_async else async_to_sync(read)(answer)
    return answer


async def read(answer):
    return b"".join([part async for part in answer])


def confirmed():
    return DeviceSession.objects.get().confirmed_generation


def updates(asked):
    return [each["sql"] for each in asked.captured_queries if each["sql"].startswith("UPDATE")]


PAGES = ["/shown/", "/raising/", "/streamed/", "/shown-async/", "/raising-async/", "/streamed-async/"]


@pytest.mark.parametrize("asynchronous", [False, True], ids=["WSGI", "ASGI"])
@pytest.mark.parametrize("url", [*PAGES, "/api/", "/raising-api/"])
def test_it_is_written_after_the_view(url, asynchronous, store, credentials):
    ask(credentials, url, asynchronous=asynchronous)
    assert (seen, confirmed()) == ([0], 1)


@pytest.mark.parametrize("url", ["/shown/", "/raising/", "/streamed/", "/api/"])
def test_so_it_is_where_redis_is_asked(url, redis, credentials):
    ask(credentials, url)
    assert (seen, confirmed()) == ([0], 1)


@pytest.mark.parametrize("url", ["/api/", "/raising-api/"])
def test_so_it_is_for_a_bearer_token(url, store, credentials):
    ask(credentials, url, Authorization=f"Bearer {credentials.access_token}")
    assert (seen, confirmed()) == ([0], 1)


@pytest.mark.parametrize("url", ["/shown/", "/raising/", "/api/", "/raising-api/"])
def test_a_request_that_is_rolled_back_has_been_seen_all_the_same(url, store, credentials, monkeypatch):
    monkeypatch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", True)
    ask(credentials, url)
    assert (seen, confirmed()) == ([0], 1)


def test_one_that_asks_when_the_headers_have_left_is_confirmed_then(store, credentials):
    ask(credentials, "/asked-in-the-stream/")
    assert confirmed() == 1


@pytest.mark.parametrize("asynchronous", [False, True], ids=["WSGI", "ASGI"])
def test_a_session_that_the_view_has_ended_is_not_confirmed(asynchronous, store, credentials):
    ask(credentials, "/ended/", asynchronous=asynchronous)
    assert (DeviceSession.objects.get().end_reason, confirmed()) == ("kicked", 0)


def test_it_is_one_statement_however_many_doors_have_asked(store, credentials):
    with CaptureQueriesContext(connection) as asked:
        answer = ask(credentials, "/asked-twice/")
    assert (answer.content, confirmed()) == (b"true", 1)
    assert len([sql for sql in updates(asked) if "confirmed_generation" in sql]) == 1


def test_it_is_written_once(store, credentials):
    ask(credentials, "/shown/")
    with CaptureQueriesContext(connection) as asked:
        ask(credentials, "/shown/")
    assert [sql for sql in updates(asked) if "confirmed_generation" in sql] == []


def test_without_the_middleware_it_is_written_when_the_caller_is_let_in(store, credentials):
    request = APIRequestFactory().get("/", headers={"Authorization": f"Bearer {credentials.access_token}"})
    assert Api.as_view()(request).data is True
    assert (seen, confirmed()) == ([1], 1)


def test_a_view_that_is_cancelled_has_been_called_with_the_token(credentials):
    """The client has hung up: Django cancels the view."""
    sent, answers = [], []

    async def receive():
        sent.append(None)
        if len(sent) == 1:
            return {"type": "http.request", "body": b"", "more_body": False}
        while not seen:
            await asyncio.sleep(0.01)
        return {"type": "http.disconnect"}

    async def send(message):
        answers.append(message)

    jar = cookies(credentials)
    header = "; ".join(f"{name}={jar[name].value}" for name in jar).encode()
    scope = {
        "type": "http",
        "method": "GET",
        "path": "/hung/",
        "query_string": b"",
        "headers": [(b"host", b"testserver"), (b"cookie", header)],
    }
    asyncio.run(asyncio.wait_for(ASGIHandler()(scope, receive, send), 20))
    assert (answers, seen, confirmed()) == ([], [0], 1)


def test_what_a_task_of_the_view_leaves_later_is_done_at_once():
    left, done = AfterView(), []
    token = view_under_way.set(left)
    try:
        after_view("one", lambda: done.append("one"))
        after_view("one", lambda: done.append("again"))
        assert (done, bool(left)) == ([], True)
        left.run()
        assert (done, bool(left)) == (["one"], False)
        after_view("two", lambda: done.append("two"))
        assert done == ["one", "two"]
    finally:
        view_under_way.reset(token)


class Slow:
    """A site's router, in which the view ends meanwhile: it was cancelled, and this thread of it was not."""

    left: AfterView

    def db_for_write(self, model, **hints):
        self.left.run()


def test_what_is_left_while_the_view_ends_is_done_once(settings):
    Slow.left, done = AfterView(), []
    token = view_under_way.set(Slow.left)
    settings.DATABASE_ROUTERS = [f"{__name__}.Slow"]
    try:
        after_view("one", lambda: done.append("one"))
        Slow.left.run()
    finally:
        view_under_way.reset(token)
    assert (done, bool(Slow.left)) == (["one"], False)


def test_what_fails_keeps_nothing_else_from_being_done(caplog):
    left, done = AfterView(), []
    left.add("one", lambda: json.loads("no"))
    left.add("two", lambda: done.append("two"))
    left.run()
    assert done == ["two"]
    assert "ERROR" in caplog.text
