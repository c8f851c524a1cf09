"""Under ASGI nobody waits for another's database or Redis: the event loop goes on while a store is slow.

A heartbeat runs in the loop, and the stores answer only when it has beaten again since they were asked:
through a proxy of the test's own, or on SQLite, which has no line to be slow, before each statement. Where
the loop itself waits for an answer, none comes.
"""

import asyncio
import json
from contextlib import contextmanager
from datetime import timedelta
from threading import Condition
from urllib.parse import urlsplit

import pytest
from asgiref.testing import ApplicationCommunicator
from django.core.asgi import get_asgi_application
from django.db import connection
from django.db.backends.signals import connection_created
from django.db.models import F

from authx.gate.revocation import redis_connection, sources
from authx.models import DeviceSession
from authx.sessions import open_session
from authx.sessions.activity import uses
from tests.faults import Proxy
from tests.gate.test_stores import LAG, choose

#: Seconds between two beats of the heart, and what a store waits for the next ones at most.
BEAT, PATIENCE = 0.005, 10
#: Beats for which a store keeps back its answer.
BEATS = 3

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
    sources._copies.clear()
    yield
    uses.clear()
    sources._copies.clear()


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


class Heart:
    """Beats in an event loop, and is waited for in other threads."""

    def __init__(self, patience=PATIENCE):
        #: How often somebody waited for it, and whether that was once in vain.
        self.waits, self.has_missed = 0, False
        self._patience, self._beats, self._is_beating = patience, 0, False
        self._beaten = Condition()

    async def beside(self, *coroutines):
        """What they return; it beats meanwhile."""
        self._is_beating = True
        beating = asyncio.create_task(self._beat())
        try:
            return await asyncio.gather(*coroutines)
        finally:
            self._is_beating = False
            await beating

    async def _beat(self):
        while self._is_beating:
            await asyncio.sleep(BEAT)
            with self._beaten:
                self._beats += 1
                self._beaten.notify_all()

    def wait(self):
        """Return when the loop has gone on since, or has nothing to do any more."""
        with self._beaten:
            if not self._is_beating or self.has_missed:
                return
            self.waits += 1
            due = self._beats + BEATS
            has_beaten = self._beaten.wait_for(
                lambda: self._beats >= due or not self._is_beating, timeout=self._patience
            )
            self.has_missed |= not has_beaten


@contextmanager
def slow_database(heart, monkeypatch):
    """Every connection made from now on has a long way to the database."""
    if connection.vendor != "sqlite":
        where = connection.settings_dict
        with Proxy(int(where["PORT"])) as proxy:
            proxy.hold = heart.wait
            monkeypatch.setitem(where, "PORT", str(proxy.port))
            yield
        return

    def wait(execute, *statement):
        heart.wait()
        return execute(*statement)

    def slow_down(connection, **kwargs):
        connection.execute_wrappers.append(wait)

    connection_created.connect(slow_down)
    try:
        yield
    finally:
        connection_created.disconnect(slow_down)


@contextmanager
def slow_redis(heart, settings, monkeypatch):
    """The same for the Redis of the store, and nobody gives up on it."""
    if settings.AUTHX_REVOCATION_STORE != "redis":
        yield
        return
    cache = settings.CACHES["sessions"]
    where = urlsplit(cache["LOCATION"])
    monkeypatch.setattr(redis_connection, "TIMEOUT_SECONDS", 3 * PATIENCE)
    with Proxy(where.port or 6379) as proxy:
        proxy.hold = heart.wait
        far = where._replace(netloc=f"127.0.0.1:{proxy.port}").geturl()
        settings.CACHES = {**settings.CACHES, "sessions": {**cache, "LOCATION": far}}
        yield


@contextmanager
def slow_stores(heart, settings, monkeypatch):
    with slow_database(heart, monkeypatch), slow_redis(heart, settings, monkeypatch):
        sources._copies.clear()  # a lag's copy has to be read anew
        yield


def ask_all(*questions, heart=None):
    """Ask an ASGI site at once, with a heartbeat beside it; the answers."""
    application, heart = get_asgi_application(), heart or Heart()

    async def main():
        return await heart.beside(*(answer(application, path, headers) for path, headers in questions))

    return asyncio.run(main())


@pytest.fixture(params=STORES, ids=lambda store: f"{store[0]}, lag" if store[1] else store[0])
def opened(request, settings, transactional_db, ada):
    """A session that has been used before: what is done once per process has been done."""
    choose(settings, *request.param)
    opened = open_session(ada)
    for path, headers in ASKS.values():
        ((status, _),) = ask_all((path, headers(opened)))
        assert status == 200
    DeviceSession.objects.update(rotated_at=F("rotated_at") - timedelta(hours=1))
    return opened


@pytest.mark.parametrize("asked", ASKS)
def test_the_loop_goes_on_while_a_store_is_slow(asked, opened, ada, settings, monkeypatch):
    (path, headers), heart = ASKS[asked], Heart()
    with slow_stores(heart, settings, monkeypatch):
        ((status, said),) = ask_all((path, headers(opened)), heart=heart)
    assert (status, said["user"] in {ada.get_username(), str(ada.pk)}) == (200, True)
    assert heart.waits  # a store was asked
    assert not heart.has_missed


def test_and_while_many_ask_at_once(opened, settings, monkeypatch):
    questions, heart = [(path, headers(opened)) for path, headers in ASKS.values()] * 2, Heart()
    with slow_stores(heart, settings, monkeypatch):
        answers = ask_all(*questions, heart=heart)
    assert {status for status, _ in answers} == {200}
    assert heart.waits
    assert not heart.has_missed


def test_a_loop_that_waits_for_a_store_is_noticed():
    heart = Heart(patience=0.1)

    async def ask():
        heart.wait()

    asyncio.run(heart.beside(ask()))
    assert (heart.waits, heart.has_missed) == (1, True)
