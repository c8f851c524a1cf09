"""authx.store.counters: how often something may happen, whoever counts at the same time."""

import threading
import time
from typing import ClassVar

import pytest
from django.core.cache import cache, caches
from django.core.cache.backends.base import DEFAULT_TIMEOUT
from django.core.cache.backends.locmem import LocMemCache

from authx.core.rates import Rate
from authx.store.counters import count, is_first, refresh_wait

NOON = 1_772_366_400.0  # a whole minute, hour and day
BROKEN = {
    "default": {
        "BACKEND": "django.core.cache.backends.filebased.FileBasedCache",
        "LOCATION": "/dev/null/not-a-directory",
    }
}


def waits(tries, subject="ada", rate="3/min", now=NOON):
    rate = rate and Rate.read(rate)
    return [count("test", subject, rate, now=now).wait for _ in range(tries)]


def test_as_many_tries_as_the_rate_says_and_then_a_wait_for_the_end_of_the_period():
    assert waits(1, now=NOON + 20) == [0]
    assert waits(4, now=NOON + 30) == [0, 0, 50, 50]


def test_the_period_begins_with_the_first_try_and_not_on_a_full_minute():
    waits(3, now=NOON + 59)
    assert waits(1, now=NOON + 61) == [58]


def test_whoever_waits_as_told_is_let_in():
    for n, at in enumerate((NOON, NOON + 0.5, NOON + 31.7, NOON + 59.999)):
        *_, wait = waits(4, subject=f"user-{n}", now=at)
        assert wait >= 1
        assert waits(1, subject=f"user-{n}", now=at + wait) == [0]


def test_who_is_refused_has_tried_nothing():
    waits(50)
    assert waits(1, rate="4/min") == [0]


def test_what_is_given_back_was_never_counted():
    for _ in range(20):
        counted = count("test", "ada", Rate(3, 60), now=NOON)
        assert counted.wait == 0
        counted.give_back()
    assert waits(4) == [0, 0, 0, 60]


def test_giving_back_what_was_refused_makes_no_room():
    waits(3)
    for _ in range(3):
        count("test", "ada", Rate(3, 60), now=NOON).give_back()
    assert waits(1) == [60]


def test_giving_back_after_the_period_does_no_harm():
    counted = count("test", "ada", Rate(3, 60), now=NOON)
    waits(3, now=NOON + 61)
    counted.give_back()
    assert waits(1, now=NOON + 62) == [59]


def test_a_period_ends_to_the_millisecond():
    waits(3, now=NOON + 0.5)
    assert waits(1, now=NOON + 1.2) == [60]
    assert waits(1, now=NOON + 60.4994) == [1]
    assert waits(4, now=NOON + 60.5) == [0, 0, 0, 60]


def test_a_try_is_within_the_limit_if_it_was_counted_and_not_one_too_many():
    found = [count("test", "ada", Rate(2, 60), now=NOON) for _try in range(3)]
    assert [each.is_within for each in found] == [True, True, False]
    assert not count("test", "ada", None).is_within


def test_subjects_and_purposes_are_counted_apart():
    waits(9)
    assert waits(1, subject="bob") == [0]
    assert count("other", "ada", Rate(3, 60), now=NOON).wait == 0


def test_any_text_is_a_subject():
    for subject in ("", "\0", "\ud800", "x" * 100_000, "電話"):
        assert waits(4, subject=subject)[3]


def test_texts_that_only_a_lax_encoding_takes_for_one_are_two_subjects():
    waits(3, subject="\ud800")
    assert waits(1, subject="?") == waits(1, subject="") == waits(1, subject="\udfff") == [0]


def test_none_is_no_limit():
    assert waits(50, rate=None) == 50 * [0]


def test_a_clock_that_was_put_back_locks_nobody_out_for_longer_than_a_period():
    waits(3, now=NOON + 7200)
    assert waits(1, now=NOON) == [0]


def test_after_it_periods_begin_by_the_clock_as_it_is_now():
    waits(3, now=NOON + 7200)
    waits(3, now=NOON)
    assert waits(1, now=NOON + 59) == [1]
    assert waits(1, now=NOON + 60) == [0]


@pytest.mark.parametrize("backend", ["locmem", "redis"])
def test_of_many_at_once_no_more_than_the_rate_get_through(backend, settings):
    if backend == "redis":
        pytest.importorskip("django_redis")
        settings.CACHES = {
            "default": {
                "BACKEND": "django_redis.cache.RedisCache",
                "LOCATION": "redis://127.0.0.1:6379/0",
                "KEY_PREFIX": f"authx-test-{time.time_ns()}",
            }
        }
        try:
            cache.get("anything")
        except Exception:
            pytest.skip("no Redis on 127.0.0.1:6379")
    barrier, found = threading.Barrier(40), []

    def attempt():
        barrier.wait()
        found.append(count("race", "ada", Rate(10, 60)).wait)
        caches.close_all()

    threads = [threading.Thread(target=attempt) for _ in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(bool(wait) for wait in found) == [False] * 10 + [True] * 30


# Refreshes


def test_a_session_may_refresh_so_often(settings):
    settings.AUTHX_REFRESH_RATE = "3/min"
    assert [refresh_wait("sid-1", now=NOON) for _ in range(4)] == [0, 0, 0, 60]
    assert refresh_wait("sid-2", now=NOON) == 0
    assert refresh_wait("sid-1", now=NOON + 60) == 0


def test_none_turns_that_off(settings):
    settings.AUTHX_REFRESH_RATE = None
    assert {refresh_wait("sid-1", now=NOON) for _ in range(50)} == {0}


def test_without_an_injected_clock_it_is_the_systems(settings):
    settings.AUTHX_REFRESH_RATE = "1/day"
    assert refresh_wait("sid-1") == 0
    assert 0 < refresh_wait("sid-1") <= 86401


# What is said once


def test_what_should_be_said_once_is_first_once():
    assert is_first("flag", "sid-1", 60)
    assert not is_first("flag", "sid-1", 60)
    assert is_first("flag", "sid-2", 60)
    assert is_first("other", "sid-1", 60)


def test_without_a_cache_nothing_is_first_lest_it_be_said_without_end(settings, caplog):
    settings.CACHES = BROKEN
    assert not is_first("flag", "sid-1", 60)
    assert "The cache is down" in caplog.text


# The cache


def test_no_name_stands_in_the_cache():
    waits(1, subject="ada@example.com")
    kept = repr(getattr(cache, "_cache"))  # noqa: B009 - of LocMemCache alone
    assert "authx" in kept
    assert "ada" not in kept


class Clocked(LocMemCache):
    """Forgets by a clock that the test sets, in seconds."""

    seconds: ClassVar[float] = 0

    def get_backend_timeout(self, timeout=DEFAULT_TIMEOUT):
        return None if timeout is None else Clocked.seconds + timeout

    def _has_expired(self, key):
        expires = self._expire_info.get(key, -1)
        return expires is not None and expires <= Clocked.seconds


@pytest.fixture
def at(settings):
    """Set the clock, of the caller and the cache alike; tell how many entries the cache still has."""
    settings.CACHES = {"default": {"BACKEND": f"{__name__}.Clocked", "LOCATION": "clocked"}}

    def at(seconds):
        Clocked.seconds = seconds
        return sum(not cache._has_expired(key) for key in cache._expire_info)

    at(NOON)
    cache.clear()
    return at


def test_a_period_is_kept_as_long_as_it_lasts_and_a_count_for_one_more(at):
    waits(4, now=NOON)
    assert at(NOON + 59.9) == 2
    assert waits(1, now=NOON + 59.9) == [1]
    assert at(NOON + 60) == 1
    assert at(NOON + 119.9) == 1
    assert at(NOON + 120) == 0


def test_so_is_a_day(at):
    waits(1, rate="3/day")
    assert at(NOON + 86399.9) == 2
    assert at(NOON + 86400) == 1
    assert at(NOON + 2 * 86400) == 0


def test_so_is_one_that_began_anew_because_the_clock_was_put_right(at):
    waits(1, now=NOON - 86400)
    waits(4, now=NOON)
    assert at(NOON + 59.9) == 3
    assert waits(1, now=NOON + 59.9) == [1]
    assert at(NOON + 60) == 2
    assert at(NOON + 120) == 0


def test_the_tries_after_it_belong_to_that_period(at):
    waits(1, now=NOON - 86400)
    waits(1, now=NOON)
    at(NOON + 30)
    assert waits(3, now=NOON + 30) == [0, 0, 30]


class Asked(LocMemCache):
    """Counts what it is asked."""

    times: ClassVar[int] = 0

    def make_and_validate_key(self, key, version=None):
        Asked.times += 1
        return super().make_and_validate_key(key, version)


def test_the_first_try_asks_the_cache_four_times_and_the_next_three(settings):
    settings.CACHES = {"default": {"BACKEND": f"{__name__}.Asked", "LOCATION": "asked"}}
    cache.clear()
    for expected in (4, 3, 3):
        Asked.times = 0
        waits(1)
        assert Asked.times == expected


class Breaking(LocMemCache):
    """Breaks down at the next decrement."""

    def decr(self, key, delta=1, version=None):
        raise ConnectionError("gone")


def test_a_cache_that_breaks_before_a_try_is_given_back_is_logged(settings, caplog):
    settings.CACHES = {"default": {"BACKEND": f"{__name__}.Breaking", "LOCATION": "breaking"}}
    counted = count("test", "ada", Rate(3, 60), now=NOON)
    assert counted.is_within
    counted.give_back()
    assert "was not given back" in caplog.text
    assert caplog.records[0].exc_info[0] is ConnectionError


def test_a_count_of_nothing_is_given_back_without_a_word(caplog):
    count("test", "ada", None).give_back()
    assert not caplog.records


class Evicting(LocMemCache):
    """Has lost what it was given, as a full one may, when it is counted."""

    def incr(self, key, delta=1, version=None):
        raise ValueError(f"Key '{key}' not found")


def test_a_cache_that_evicts_at_once_locks_nobody_out_and_has_counted_nothing(settings, caplog):
    settings.CACHES = {"default": {"BACKEND": f"{__name__}.Evicting", "LOCATION": "evicting"}}
    assert waits(9) == 9 * [0]
    assert not count("test", "ada", Rate(3, 60), now=NOON).is_within
    assert not caplog.records


class Lagging(LocMemCache):
    """Reads from a replica that has heard of nothing yet."""

    def get(self, key, default=None, version=None):
        return default


def test_where_reading_lags_behind_a_period_began_when_it_was_written_that_it_did(settings):
    settings.CACHES = {"default": {"BACKEND": f"{__name__}.Lagging", "LOCATION": "lagging-counters"}}
    cache.clear()
    assert [waits(1, now=NOON + second) for second in range(4)] == [[0], [0], [0], [57]]


class Elsewhere(LocMemCache):
    """Another process has just begun the period, and it is over before one can ask when."""

    def get(self, key, default=None, version=None):
        return default

    def add(self, key, value, timeout=DEFAULT_TIMEOUT, version=None):
        return super().add(key, value, timeout, version) and key.count(":") > 3

    def incr(self, key, delta=1, version=None):
        if delta == 0:
            raise ValueError(f"Key '{key}' not found")
        return super().incr(key, delta, version)


def test_a_period_that_ends_while_it_is_looked_up_begins_now(settings):
    settings.CACHES = {"default": {"BACKEND": f"{__name__}.Elsewhere", "LOCATION": "elsewhere"}}
    assert waits(4) == [0, 0, 0, 60]


def test_a_cache_that_is_down_locks_nobody_out_and_is_logged(settings, caplog):
    settings.CACHES = BROKEN
    assert waits(9) == 9 * [0]
    assert not count("test", "ada", Rate(3, 60)).is_within  # but nothing is known to be within a limit
    assert "The cache is down" in caplog.text
    assert caplog.records[0].name == "authx"


def test_a_cache_that_keeps_nothing_locks_nobody_out(settings):
    settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.dummy.DummyCache"}}
    assert waits(9) == 9 * [0]


def test_neither_does_one_that_hides_that_it_is_down(settings):
    pytest.importorskip("django_redis")
    settings.CACHES = {
        "default": {
            "BACKEND": "django_redis.cache.RedisCache",
            "LOCATION": "redis://127.0.0.1:1/0",  # where nobody listens
            "OPTIONS": {"IGNORE_EXCEPTIONS": True},
        }
    }
    assert waits(9) == 9 * [0]
