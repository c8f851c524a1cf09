"""authx.http.throttle: how often somebody may try, and what does not count against them."""

import pytest
from django.core.cache import cache
from django.test import RequestFactory

from authx.http.throttle import is_first, login_wait, refresh_wait

NOON = 1_772_366_400.0  # a whole minute, hour and day
BROKEN = {
    "default": {
        "BACKEND": "django.core.cache.backends.filebased.FileBasedCache",
        "LOCATION": "/dev/null/not-a-directory",
    }
}


@pytest.fixture(autouse=True)
def three_a_minute(settings):
    settings.AUTHX_LOGIN_RATE = settings.AUTHX_REFRESH_RATE = "3/min"


def request(remote="203.0.113.7", **headers):
    return RequestFactory().post("/", REMOTE_ADDR=remote, headers=headers)


def attempts(count, username="ada", remote="203.0.113.7", now=NOON, **headers):
    """The waits of so many tries."""
    return [login_wait(request(remote, **headers), username, now=now) for _ in range(count)]


# Logins


def test_as_many_tries_as_the_rate_says_and_then_a_wait_for_the_next_window():
    assert attempts(4, now=NOON + 20) == [0, 0, 0, 41]


def test_the_wait_is_over_when_the_next_window_begins():
    attempts(9)
    assert attempts(1, now=NOON + 59.9) == [1]
    assert attempts(1, now=NOON + 60) == [0]


def test_whoever_waits_as_told_is_let_in():
    for n, at in enumerate((NOON, NOON + 0.5, NOON + 31.7, NOON + 59.999)):
        who = {"username": f"user-{n}", "remote": f"198.51.100.{n}"}
        *_, wait = attempts(4, now=at, **who)
        assert wait >= 1
        assert attempts(1, now=at + wait, **who) == [0]


def test_an_account_is_counted_wherever_it_is_tried_from():
    waits = [attempts(1, remote=f"198.51.100.{n}")[0] for n in range(4)]
    assert [bool(wait) for wait in waits] == [False, False, False, True]


def test_an_address_is_counted_whichever_account_it_tries():
    waits = [attempts(1, username=f"user-{n}")[0] for n in range(4)]
    assert [bool(wait) for wait in waits] == [False, False, False, True]


def test_another_account_from_another_address_is_free():
    attempts(9)
    assert attempts(1, username="bob", remote="198.51.100.1") == [0]


@pytest.mark.parametrize(
    "spellings",
    [["ada", "ADA", "Ada", "aDa"], ["straße", "STRASSE", "Strasse", "straSSe"], ["ada", "ada", "ªda", "ada"]],
    ids=["case", "casefold", "NFKC"],
)
def test_case_and_unicode_spelling_make_no_other_account(spellings):
    waits = [login_wait(request(f"198.51.100.{n}"), name, now=NOON) for n, name in enumerate(spellings)]
    assert [bool(wait) for wait in waits] == [False, False, False, True]


def test_any_text_is_a_name_to_count():
    for name in ("", "\0", "\ud800", "x" * 100_000, "電話"):
        assert attempts(4, username=name, remote=f"10.0.{len(name) % 250}.1")[3]


def test_names_longer_than_any_user_has_are_one_account():
    waits = [attempts(1, username="x" * 254 + str(n), remote=f"198.51.100.{n}")[0] for n in range(4)]
    assert [bool(wait) for wait in waits] == [False, False, False, True]
    assert attempts(1, username="x" * 253, remote="198.51.100.9") == [0]


def test_an_ipv6_caller_cannot_walk_through_their_own_network():
    waits = [attempts(1, username=f"user-{n}", remote=f"2001:db8:1:2::{n:x}")[0] for n in range(4)]
    assert [bool(wait) for wait in waits] == [False, False, False, True]
    assert attempts(1, username="other", remote="2001:db8:1:3::1") == [0]


def test_a_spoofed_address_makes_no_other_caller():
    waits = [attempts(1, username=f"user-{n}", **{"x-forwarded-for": f"6.6.6.{n}"})[0] for n in range(4)]
    assert [bool(wait) for wait in waits] == [False, False, False, True]


def test_who_has_no_address_is_counted_by_account_alone():
    assert [bool(wait) for wait in attempts(4, remote="")] == [False, False, False, True]
    assert attempts(1, username="bob", remote="") == [0]


def test_none_turns_it_off(settings):
    settings.AUTHX_LOGIN_RATE = None
    assert attempts(50) == 50 * [0]


def test_the_rate_is_read_at_every_try(settings):
    assert attempts(3) == 3 * [0]
    settings.AUTHX_LOGIN_RATE = "5/min"
    assert attempts(2) == 2 * [0]
    settings.AUTHX_LOGIN_RATE = "100/hour"
    assert attempts(1) == [0]


# Refreshes


def test_a_session_may_refresh_so_often():
    assert [refresh_wait("sid-1", now=NOON + 30) for _ in range(4)] == [0, 0, 0, 31]
    assert refresh_wait("sid-2", now=NOON + 30) == 0
    assert refresh_wait("sid-1", now=NOON + 60) == 0


def test_refreshes_and_logins_are_counted_apart():
    attempts(9, username="sid-1")
    assert refresh_wait("sid-1", now=NOON) == 0


def test_none_turns_that_off_too(settings):
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


def test_no_name_and_no_address_stands_in_the_cache(settings):
    attempts(1, username="ada@example.com")
    kept = repr(getattr(cache, "_cache"))  # noqa: B009 - of LocMemCache alone
    assert "authx" in kept
    assert "ada" not in kept
    assert "203.0.113.7" not in kept


def test_a_cache_that_is_down_locks_nobody_out_and_is_logged(settings, caplog):
    settings.CACHES = BROKEN
    assert attempts(9) == 9 * [0]
    assert refresh_wait("sid-1", now=NOON) == 0
    assert "The cache is down" in caplog.text
    assert caplog.records[0].name == "authx"


def test_a_cache_that_keeps_nothing_locks_nobody_out(settings):
    settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.dummy.DummyCache"}}
    assert attempts(9) == 9 * [0]


def test_neither_does_one_that_hides_that_it_is_down(settings):
    pytest.importorskip("django_redis")
    settings.CACHES = {
        "default": {
            "BACKEND": "django_redis.cache.RedisCache",
            "LOCATION": "redis://127.0.0.1:1/0",  # where nobody listens
            "OPTIONS": {"IGNORE_EXCEPTIONS": True},
        }
    }
    assert attempts(9) == 9 * [0]
    assert refresh_wait("sid-1", now=NOON) == 0
