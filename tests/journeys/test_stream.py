"""The live notice as a stream of real servers."""

from __future__ import annotations

import time

import pytest
from django.db import connection

from authx.sessions import end_everyone, end_session, open_session
from tests.served import SOON, lines

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]


def test_a_page_is_told_within_a_second(served, opened):
    with served.listening(opened.refresh_token) as stream:
        assert (stream.status, stream.headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
        assert stream.readline().startswith(b"retry: ")
        end_session(opened.session, "kicked")
        began = time.monotonic()
        assert lines(stream) == ["event: ended", "data: kicked"]
        assert time.monotonic() - began < SOON
    with served.listening(opened.refresh_token) as refused:
        assert refused.status == 401
        assert b"You were signed out by an administrator." in refused.read()
    assert opened.refresh_token not in served.log.read_text()


def test_many_streams_are_held_without_a_thread_or_a_connection_each(served, ada, settings):
    each = [open_session(ada) for _ in range(40)]
    open_now, streams = [], []
    for opened in each:
        open_now.append(manager := served.listening(opened.refresh_token))
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
        with served.listening(opened.refresh_token) as stream:
            assert stream.status in {200, 204}
    time_limit = time.monotonic() + 10
    while True:  # those that are gone count no more
        with served.listening(opened.refresh_token) as stream:
            if stream.status == 200:
                break
        assert time.monotonic() < time_limit
    assert "Traceback" not in served.log.read_text()
