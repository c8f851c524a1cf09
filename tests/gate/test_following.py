"""authx.gate.revocation.following: what is new is passed on, and a failure shows."""

from __future__ import annotations

import logging
import threading

import pytest

from authx.errors import StoreUnavailable
from authx.gate.revocation import following, local_copy, sources
from authx.gate.revocation.following import Follower, follower
from authx.gate.revocation.local_copy import LocalCopy
from authx.gate.revocation.window import Endings
from tests.gate.test_local_copy import Clock, Store
from tests.processes import wait_for


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def store():
    return Store()


@pytest.fixture
def heard():
    return []


@pytest.fixture
def copy(store, clock):
    return LocalCopy(store, clock, keep=lambda: 4500.0)


@pytest.fixture
def following_it(copy, clock, heard):
    """A follower that reads when told to, with a listener."""
    found = Follower(copy, 0.4, clock=clock, run_in_background=lambda run: None)
    found.add(heard.append)
    return found


def look(follower, clock, seconds=0.4):
    clock.now += seconds
    follower.look()


def test_each_reading_passes_on_what_it_has_brought(following_it, store, clock, heard):
    store.end("a")
    look(following_it, clock)
    look(following_it, clock)
    store.end("b", "logout")
    look(following_it, clock)
    assert heard == [{"a": "kicked"}, {"b": "logout"}]


def test_an_ending_of_this_process_is_passed_on_at_once(following_it, copy, heard):
    copy.add({"a": "kicked"})
    assert heard == [{"a": "kicked"}]


def test_a_reading_by_somebody_else_is_passed_on_too(following_it, copy, store, heard):
    store.end("a")
    assert copy.entries(["a"], lag=1.0) == ["kicked"]
    assert heard == [{"a": "kicked"}]


def test_who_has_stopped_listening_hears_nothing(following_it, copy, heard):
    following_it.remove(heard.append)
    copy.add({"a": "kicked"})
    assert heard == []


def test_it_shows_when_the_endings_were_read_last(following_it, store, clock):
    look(following_it, clock)
    assert following_it.read_at == clock.now
    before, store.down = clock.now, True
    for _ in range(20):
        look(following_it, clock)
    assert following_it.read_at == before
    store.down = False
    look(following_it, clock, local_copy.MAX_REST_SECONDS)
    assert following_it.read_at == clock.now


def test_what_nobody_has_foreseen_is_logged_once_and_tried_again(following_it, store, clock, caplog):
    store.read = lambda: 1 / 0
    for _ in range(3):
        look(following_it, clock)
    assert [record.message for record in caplog.records] == ["The endings cannot be followed."]
    assert following_it.read_at < clock.now
    del store.read
    look(following_it, clock)
    assert following_it.read_at == clock.now


def test_too_many_endings_pause_it(following_it, store, clock, monkeypatch):
    monkeypatch.setattr("authx.gate.revocation.window.MAX_ENDINGS", 0)
    store.end("a")
    look(following_it, clock)
    assert following_it.is_paused
    monkeypatch.undo()
    look(following_it, clock, 61)
    assert not following_it.is_paused


def test_what_was_missed_while_nobody_listened_is_not_counted_as_blindness(following_it, clock, heard):
    following_it.remove(heard.append)
    clock.now += 1000
    following_it.add(heard.append)
    assert following_it.read_at == clock.now


def test_its_thread_lives_while_somebody_listens(store, heard):
    found = Follower(LocalCopy(store, keep=lambda: 4500.0), 0.01)
    for _ in range(2):
        found.add(heard.append)
        readings = store.readings
        wait_for(lambda readings=readings: store.readings > readings)
        (thread,) = [each for each in threading.enumerate() if each.name == "authx"]
        found.remove(heard.append)
        thread.join(10)
        assert not thread.is_alive()


def test_where_no_thread_can_be_started_nobody_listens_in_vain(store, heard, monkeypatch):
    def full(thread):
        raise RuntimeError("can't start new thread")

    copy = LocalCopy(store, keep=lambda: 4500.0)
    found = Follower(copy, 0.01)
    with monkeypatch.context() as limit:
        limit.setattr(threading.Thread, "start", full)
        with pytest.raises(StoreUnavailable):
            found.add(heard.append)
    copy.add({"a": "kicked"})
    assert heard == []
    found.add(heard.append)
    wait_for(lambda: store.readings)
    found.remove(heard.append)
    wait_for(lambda: not [each for each in threading.enumerate() if each.name == "authx"])


def test_the_feed_is_that_of_the_store(settings, db):
    assert follower() is follower()
    assert list(following._followers) == [("database", "default")]
    assert follower().interval == following.INTERVAL_SECONDS
    settings.AUTHX_REVOCATION_STORE = "tests.gate.test_following.Own"
    assert follower() is not None, "a site's own source: the log in our tables"
    assert list(following._followers) == [("database", "default")]


class Own:
    """A source of the site's own."""


def test_a_service_reads_the_feed_of_its_issuer_no_more_often_than_it_may(settings):
    settings.DEBUG = True
    settings.AUTHX_REVOCATION_STORE = "remote"
    assert follower() is None, "nobody reports endings: a socket closes when its token expires"
    settings.AUTHX_REVOCATIONS_URL = "http://issuer.example/revocations/"
    assert follower().interval == 1.0
    from datetime import timedelta

    settings.AUTHX_REVOCATION_LAG = timedelta(seconds=30)
    assert follower().interval == 15.0


@pytest.fixture(autouse=True)
def _none_left():
    yield
    following._drop()
    sources._drop()


def test_a_failed_reading_closes_a_connection_that_may_be_lost(following_it, store, clock, monkeypatch):
    closed = []
    monkeypatch.setattr(following, "close_connections", lambda: closed.append(True))
    look(following_it, clock)
    assert closed == []
    store.down = True
    look(following_it, clock)
    assert closed == [True]


def test_a_whole_reading_is_passed_on_whole(following_it, store, clock, heard):
    store.end("a")
    look(following_it, clock)
    store.whole = True
    store.end("b")
    look(following_it, clock)
    assert heard[1:] == [{"a": "kicked", "b": "kicked"}]
    assert Endings({}, None, True).ended == {}


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_thread_that_dies_is_replaced_when_the_next_one_listens(store, heard, monkeypatch):
    """As where a log handler of the site's raises, while what goes wrong is logged."""

    class Broken(logging.Filter):
        def filter(self, record):
            raise SystemExit

    def start(work):
        started.append(threading.Thread(target=work, daemon=True))
        started[-1].start()

    broken, started = Broken(), []
    found = Follower(LocalCopy(store, keep=lambda: 4500.0), 0.01, run_in_background=start)
    following.logger.addFilter(broken)
    try:
        with monkeypatch.context() as wrong:
            wrong.setattr(Store, "read", lambda self: 1 / 0)
            found.add(heard.append)
            started[0].join(10)
    finally:
        following.logger.removeFilter(broken)
    assert not started[0].is_alive()
    found.add(heard.append)
    wait_for(lambda: store.readings)
    found.remove(heard.append)
    found.remove(heard.append)
    started[1].join(10)
