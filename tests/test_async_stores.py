"""Under ASGI nobody waits for another's database or Redis: the event loop goes on while a store is slow.

The stores answer after 300 ms: through a proxy of the test's own, or on SQLite, which has no line to be slow,
in each statement. Meanwhile a heartbeat runs in the loop; how late it comes says how long that was blocked.
"""

import asyncio
import json
import time
from contextlib import contextmanager
from datetime import timedelta
from urllib.parse import urlsplit

import pytest
from asgiref.testing import ApplicationCommunicator
from django.core.asgi import get_asgi_application
from django.db import connection
from django.db.backends.signals import connection_created
from django.db.models import F

from authx.gate import redis_connection, revocation
from authx.models import DeviceSession
from authx.sessions import open_session
from authx.sessions.using import uses
from tests.faults import Proxy
from tests.test_stores import LAG, choose

#: Seconds: what a store takes to answer, how late the heartbeat may be at worst, and how often it beats.
SLOW, LATEST, BEAT = 0.3, 0.15, 0.005

STORES = [("database", timedelta(0)), ("database", LAG), ("redis", timedelta(0)), ("redis", LAG)]


def by_cookies(opened, **named):
    cookies = "; ".join(f"__Host-authx_{name}={value}" for name, value in named.items())
    return {"cookie": cookies}


ASKS = {
    "page": ("/whoami/", lambda opened: by_cookies(opened, access=opened.access_token)),
    "renewal": ("/whoami/", lambda opened: by_cookies(opened, refresh=opened.refresh_token)),
    "async view": ("/async-whoami/", lambda opened: by_cookies(opened, access=opened.access_token)),
    "api": ("/api/whoami/", lambda opened: {"authorization": f"Bearer {opened.access_token}"}),
    "api by cookie": ("/api/whoami/", lambda opened: by_cookies(opened, access=opened.access_token)),
}


@pytest.fixture(autouse=True)
def _forgetful():
    """Each test is a process of its own, as far as copies go."""
    uses.clear()
    revocation._copies.clear()
    yield
    uses.clear()
    revocation._copies.clear()


async def answer(application, path, headers):
    """Status and JSON of one GET, from scope to the last piece of the body."""
    given = {"host": "testserver", **headers}
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "path": path,
        "query_string": b"",
        "headers": [(name.encode(), value.encode()) for name, value in given.items()],
        "client": ("192.0.2.7", 1234),
    }
    caller = ApplicationCommunicator(application, scope)
    await caller.send_input({"type": "http.request", "body": b"", "more_body": False})
    started = await caller.receive_output(timeout=30)
    body = await caller.receive_output(timeout=30)
    await caller.wait(timeout=30)
    return started["status"], json.loads(body["body"])


async def with_heartbeat(*coroutines):
    """What they return, how many seconds it took, and how late the heartbeat was at worst meanwhile."""
    worst = 0.0

    async def beat():
        nonlocal worst
        while True:
            before = time.perf_counter()
            await asyncio.sleep(BEAT)
            worst = max(worst, time.perf_counter() - before - BEAT)

    heart = asyncio.create_task(beat())
    await asyncio.sleep(0)
    start = time.perf_counter()
    found = await asyncio.gather(*coroutines)
    took = time.perf_counter() - start
    await asyncio.sleep(2 * BEAT)  # a beat that is overdue comes
    heart.cancel()
    return found, took, worst


@contextmanager
def slow_database(monkeypatch):
    """Every connection made from now on has a long way to the database."""
    if connection.vendor != "sqlite":
        where = connection.settings_dict
        with Proxy(int(where["PORT"])) as proxy:
            proxy.latency = SLOW / 2
            monkeypatch.setitem(where, "PORT", str(proxy.port))
            yield
        return

    def wait(execute, *statement):
        time.sleep(SLOW)
        return execute(*statement)

    def slow_down(connection, **kwargs):
        connection.execute_wrappers.append(wait)

    connection_created.connect(slow_down)
    try:
        yield
    finally:
        connection_created.disconnect(slow_down)


@contextmanager
def slow_redis(settings, monkeypatch):
    """The same for the Redis of the store, and nobody gives up on it."""
    if settings.AUTHX_REVOCATION_STORE != "redis":
        yield
        return
    cache = settings.CACHES["sessions"]
    where = urlsplit(cache["LOCATION"])
    monkeypatch.setattr(redis_connection, "TIMEOUT", 10)
    with Proxy(where.port or 6379) as proxy:
        proxy.latency = SLOW / 2
        far = where._replace(netloc=f"127.0.0.1:{proxy.port}").geturl()
        settings.CACHES = {**settings.CACHES, "sessions": {**cache, "LOCATION": far}}
        yield


@contextmanager
def slow_stores(settings, monkeypatch):
    with slow_database(monkeypatch), slow_redis(settings, monkeypatch):
        revocation._copies.clear()  # a lag's copy has to be read anew
        yield


def ask_all(*questions):
    """Ask an ASGI site at once; the answers, how long it took, and how late the heartbeat was at worst."""
    application = get_asgi_application()

    async def main():
        return await with_heartbeat(*(answer(application, path, headers) for path, headers in questions))

    return asyncio.run(main())


@pytest.fixture(params=STORES, ids=lambda store: f"{store[0]}, lag" if store[1] else store[0])
def opened(request, settings, transactional_db, ada):
    """A session that has been used before: what is done once per process has been done."""
    choose(settings, *request.param)
    opened = open_session(ada)
    for path, headers in ASKS.values():
        ((status, _),), _took, _worst = ask_all((path, headers(opened)))
        assert status == 200
    DeviceSession.objects.update(rotated_at=F("rotated_at") - timedelta(hours=1))
    return opened


@pytest.mark.parametrize("asked", ASKS)
def test_the_loop_goes_on_while_a_store_is_slow(asked, opened, ada, settings, monkeypatch):
    path, headers = ASKS[asked]
    with slow_stores(settings, monkeypatch):
        ((status, said),), took, worst = ask_all((path, headers(opened)))
    assert (status, said["user"] in {ada.get_username(), str(ada.pk)}) == (200, True)
    assert took >= SLOW  # it was asked, and it was slow
    assert worst < LATEST


def test_and_while_many_ask_at_once(opened, settings, monkeypatch):
    questions = [(path, headers(opened)) for path, headers in ASKS.values()] * 2
    with slow_stores(settings, monkeypatch):
        answers, took, worst = ask_all(*questions)
    assert {status for status, _ in answers} == {200}
    assert took >= SLOW
    assert worst < LATEST


def test_a_loop_that_is_blocked_is_noticed():
    async def block():
        time.sleep(SLOW)

    async def main():
        return await with_heartbeat(block())

    _, _, worst = asyncio.run(main())
    assert worst > LATEST
