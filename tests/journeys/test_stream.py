"""The live notice as a stream of real servers: uvicorn and daphne as processes."""

from __future__ import annotations

import time
from contextlib import contextmanager
from http.client import HTTPConnection

import pytest
from django.conf import settings as site
from django.db import connection

from authx.conf import conf
from authx.sessions import end_everyone, end_session, open_session
from tests.served import COMMANDS, SOON, serving

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]


@pytest.fixture(params=sorted(COMMANDS))
def served(request, tmp_path, db, transactional_db):
    name = str(connection.settings_dict["NAME"])
    database = {"AUTHX_TEST_DATABASE": site.DATABASE, "AUTHX_TEST_DATABASE_NAME": name}
    with serving(request.param, tmp_path, **database) as found:
        yield found


@pytest.fixture
def opened(ada):
    return open_session(ada)


@contextmanager
def listening(served, opened):
    """The answer to a page that asks for the stream."""
    client = HTTPConnection("127.0.0.1", served.port, timeout=10)
    cookie = f"{conf.REFRESH_COOKIE}={opened.refresh_token}"
    client.request("GET", "/account/live/", headers={"Accept": "text/event-stream", "Cookie": cookie})
    try:
        yield client.getresponse()
    finally:
        client.close()


def lines(stream):
    """What comes until the stream ends."""
    return [line.decode().strip() for line in stream if line.strip()]


def test_a_page_is_told_within_a_second(served, opened):
    with listening(served, opened) as stream:
        assert (stream.status, stream.headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
        assert stream.readline().startswith(b"retry: ")
        end_session(opened.session, "kicked")
        began = time.monotonic()
        assert lines(stream) == ["event: ended", "data: kicked"]
        assert time.monotonic() - began < SOON
    with listening(served, opened) as refused:
        assert refused.status == 401
        assert b"You were signed out by an administrator." in refused.read()
    assert opened.refresh_token not in served.log.read_text()


def test_many_streams_are_held_without_a_thread_or_a_connection_each(served, ada, settings):
    each = [open_session(ada) for _ in range(40)]
    open_now, streams = [], []
    for opened in each:
        open_now.append(manager := listening(served, opened))
        streams.append(manager.__enter__())
    try:
        assert [stream.readline()[:7] for stream in streams] == [b"retry: "] * 40
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()")
                assert cursor.fetchone()[0] < 12
        end_everyone("credentials_changed")
        began = time.monotonic()
        assert [lines(stream)[-1] for stream in streams] == ["data: credentials_changed"] * 40
        assert time.monotonic() - began < 2 * SOON
    finally:
        for manager in open_now:
            manager.__exit__(None, None, None)
    assert served.session(each[0].access_token)[0] == 401


def test_a_page_that_goes_away_leaves_no_trace(served, opened):
    for _ in range(30):
        with listening(served, opened) as stream:
            assert stream.status in {200, 204}
    time_limit = time.monotonic() + 10
    while True:  # those that are gone count no more
        with listening(served, opened) as stream:
            if stream.status == 200:
                break
        assert time.monotonic() < time_limit
    assert "Traceback" not in served.log.read_text()
