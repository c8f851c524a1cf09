"""authx.sessions.queries: a user's own sessions; listed, found, renamed. And everybody's, for staff."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test import RequestFactory
from django.test.utils import CaptureQueriesContext

from authx.errors import StoreUnavailable
from authx.http.actor import actor_of
from authx.models import DeviceSession, SessionEvent
from authx.sessions import Device, end_session, end_sessions, open_session
from authx.sessions.queries import (
    find_live_session,
    find_session,
    live_sessions,
    other_sessions,
    recent_events,
    rename_session,
    search_sessions,
)
from tests.faults_in_database import outage
from tests.granted import granted, make_client

MISSING = DeviceSession._meta.pk.get_default()


def open_on(user, type_="web", **columns):
    """A session on a device of that type, whose row then says ``columns``."""
    session = open_session(user, device=Device(type=type_)).session
    DeviceSession.objects.filter(pk=session.pk).update(**columns)
    return DeviceSession.objects.get(pk=session.pk)


@pytest.fixture
def laptop(ada):
    return open_on(ada, "desktop")


@pytest.fixture
def ended(ada):
    session = open_on(ada)
    end_session(session, "logout")
    return session


@pytest.fixture
def idle(ada, laptop):
    return open_on(ada, idle_expires_at=laptop.created_at)


@pytest.fixture
def expired(ada, laptop):
    return open_on(ada, expires_at=laptop.created_at)


# A user's own


def test_a_user_sees_their_live_sessions_and_no_others(ada, bob, laptop, ended, idle, expired):
    open_on(bob)
    assert live_sessions(ada) == [laptop]


def test_the_most_recently_seen_comes_first(ada, laptop):
    old = open_on(ada, last_seen_at=laptop.last_seen_at - timedelta(days=2))
    new = open_on(ada, last_seen_at=laptop.last_seen_at + timedelta(minutes=1))
    assert live_sessions(ada) == [new, laptop, old]


def test_listing_is_one_statement(ada, laptop, django_assert_num_queries):
    with django_assert_num_queries(1):
        live_sessions(ada)


def test_a_user_finds_their_own_live_session(ada, laptop):
    assert find_live_session(ada, laptop.pk) == laptop


def test_somebody_elses_is_as_missing_as_a_missing_one(ada, bob, laptop):
    assert find_live_session(bob, laptop.pk) is None
    assert find_live_session(ada, MISSING) is None


@pytest.mark.parametrize("state", ["ended", "idle", "expired"])
def test_what_is_over_is_not_found(ada, state, request):
    assert find_live_session(ada, request.getfixturevalue(state).pk) is None


def test_the_others_are_all_of_the_users_but_this_one(ada, bob, laptop):
    phone, theirs = open_on(ada, "ios"), open_on(bob)
    assert set(other_sessions(ada, laptop.pk)) == {phone}
    assert set(other_sessions(ada, None)) == {laptop, phone}
    assert end_sessions(other_sessions(ada, laptop.pk), "ended_by_user", by=ada) == 1
    assert live_sessions(ada) == [laptop]
    assert live_sessions(bob) == [theirs]


# Renaming


def test_a_device_is_called_what_its_user_calls_it(ada, laptop):
    request = RequestFactory().patch("/", REMOTE_ADDR="203.0.113.7")
    assert rename_session(laptop, "Kitchen laptop", actor_of(request, ada)) == "Kitchen laptop"
    kept = DeviceSession.objects.get(pk=laptop.pk)
    assert (kept.device_name, str(kept), laptop.device_name) == 3 * ("Kitchen laptop",)
    event = SessionEvent.objects.get(kind="renamed")
    assert (event.session_id, event.note, event.actor, event.ip) == (
        laptop.pk,
        "Kitchen laptop",
        ada,
        "203.0.113.7",
    )


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("  my\tphone\n", "my phone"),
        ("\u202egpj.exe", "gpj.exe"),
        ("x" * 101, "x" * 100),
        ("", ""),
        ("<b>bold</b>", "<b>bold</b>"),
        ("電話 📱", "電話 📱"),
    ],
)
def test_a_name_is_one_safe_line_of_at_most_a_hundred_characters(laptop, name, kept):
    assert rename_session(laptop, name) == kept
    assert DeviceSession.objects.get(pk=laptop.pk).device_name == kept


def test_without_a_name_a_device_is_called_what_it_seems_to_be(laptop):
    rename_session(laptop, "")
    assert str(DeviceSession.objects.get(pk=laptop.pk)) == "Unknown device"


def test_an_ended_session_keeps_its_name_and_no_event_says_otherwise(ended):
    rename_session(ended, "too late")
    assert DeviceSession.objects.get(pk=ended.pk).device_name == ""
    assert not SessionEvent.objects.filter(kind="renamed").exists()


# Everybody's


def test_anybodys_session_is_found_live_or_not(laptop, ended):
    assert find_session(laptop.pk) == laptop
    assert find_session(ended.pk) == ended
    assert find_session(MISSING) is None


def search(**only):
    return list(search_sessions(**{"user": None, "device_type": None, "status": None, **only}))


def test_the_live_ones_are_what_is_searched_newest_first(ada, bob, laptop, ended, idle, expired):
    newer = open_on(bob, created_at=laptop.created_at + timedelta(minutes=1))
    assert search() == [newer, laptop]


def test_a_search_may_be_for_one_user_one_type_or_the_ended_ones(ada, bob, laptop, ended):
    phone = open_on(bob, "ios")
    assert search(user=str(bob.pk)) == [phone]
    assert search(device_type="ios") == [phone]
    assert search(user=str(ada.pk), device_type="ios") == []
    assert search(status="ended") == [ended]
    assert set(search(status="all")) == {laptop, ended, phone}
    assert set(search(status="nonsense")) == {laptop, phone}


@pytest.mark.parametrize("odd", ["\0", "ada\0", "x" * 5000, "\u202e", "%", "' OR 1=1 --"], ids=ascii)
def test_a_search_for_what_cannot_be_finds_nothing_and_is_no_error(laptop, odd):
    assert search(user=odd) == []
    assert search(device_type=odd) == []


def test_a_deleted_users_sessions_are_found_by_the_key_they_had(bob):
    session, key = open_on(bob), str(bob.pk)
    bob.delete()
    assert search(user=key, status="ended") == [session]


def test_a_search_reads_the_users_with_it(ada, bob, laptop, django_assert_num_queries):
    open_on(bob)
    with django_assert_num_queries(1):
        assert {session.user for session in search()} == {ada, bob}


@pytest.mark.django_db(transaction=True)
def test_without_a_database_nothing_is_known(ada, laptop):
    questions = [
        lambda: live_sessions(ada),
        lambda: find_live_session(ada, laptop.pk),
        lambda: find_session(laptop.pk),
        lambda: rename_session(laptop, "name"),
    ]
    for ask in questions:
        with outage(), pytest.raises(StoreUnavailable):
            ask()
    assert DeviceSession.objects.get(pk=laptop.pk).device_name == ""


# What happened


def test_events_are_of_ones_own_logins_and_attempts_newest_first(ada, bob):
    first = open_session(ada).session
    end_session(first, "logout")
    granted(make_client(), open_session(ada).session)
    open_session(bob)
    at = SessionEvent.objects.latest("at").at
    for number, subject in enumerate([str(ada.pk), str(bob.pk), str(ada.pk), ""]):
        SessionEvent.objects.create(kind="login_failed", subject=subject, at=at + timedelta(seconds=number))
    found = recent_events(ada, ["opened", "ended", "login_failed"], 10)
    assert [event.kind for event in found] == ["login_failed", "login_failed", "opened", "ended", "opened"]
    assert found == sorted(found, key=lambda event: (event.at, event.pk), reverse=True)
    assert [event.session and event.session.user_id for event in found] == [None, None, *[ada.pk] * 3]
    assert recent_events(ada, ["opened", "ended", "login_failed"], 2) == found[:2]
    assert recent_events(ada, ["renamed"], 10) == []


@pytest.mark.databases("sqlite")  # whose plan does not depend on how many rows there are
def test_ones_own_events_are_found_without_looking_at_everybodys(ada):
    open_session(ada)
    with CaptureQueriesContext(connection) as asked:
        recent_events(ada, ["opened"], 5)
    assert len(asked) <= 2
    for one in asked.captured_queries:
        with connection.cursor() as cursor:
            cursor.execute(f"EXPLAIN QUERY PLAN {one['sql']}")
            plan = [step[-1] for step in cursor.fetchall()]
        assert any("SEARCH authx_sessionevent" in step for step in plan)
        assert [step for step in plan if "SCAN authx_" in step] == []
