"""authx.sessions.pruning: what has expired is marked, what is old is forgotten, a batch at a time."""

from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db import DatabaseError, connection

from authx import signals
from authx.core.device import UNKNOWN
from authx.errors import StoreUnavailable
from authx.models import DeviceSession, SessionEvent
from authx.sessions import Device, end_session, open_session, refresh_session
from authx.sessions.pruning import mark_expired, prune
from tests.faults_in_database import broken_audit

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
TICK = timedelta(microseconds=1)
IDLE = timedelta(days=7, minutes=15)  # AUTHX_IDLE_LIFETIME, and the life of an access token
ABSOLUTE = timedelta(days=30)
KEEP = timedelta(days=90)


def opened_at(user, start, **columns):
    session = open_session(user, now=start).session
    DeviceSession.objects.filter(pk=session.pk).update(**columns)
    return session


def reason(session):
    return DeviceSession.objects.values_list("end_reason", flat=True).get(pk=session.pk)


def ended_events(session):
    found = SessionEvent.objects.filter(session=session.pk, kind="ended")
    return list(found.values_list("outcome", "at"))


# Marking


def test_what_was_left_idle_is_marked_exactly_at_its_limit(ada):
    session = opened_at(ada, START)
    assert sum(mark_expired(10, now=START + IDLE - TICK)) == 0
    assert reason(session) == ""
    assert list(mark_expired(10, now=START + IDLE)) == [1]
    assert (reason(session), ended_events(session)) == ("idle", [("idle", START + IDLE)])


def test_what_reached_its_absolute_limit_is_marked_as_expired(ada):
    session = opened_at(ada, START, idle_expires_at=START + ABSOLUTE)
    assert sum(mark_expired(10, now=START + ABSOLUTE)) == 1
    assert (reason(session), ended_events(session)) == ("expired", [("expired", START + ABSOLUTE)])


def test_long_after_both_limits_the_first_is_the_reason(ada):
    idle = opened_at(ada, START)
    expired = opened_at(ada, START, idle_expires_at=START + ABSOLUTE)
    assert sum(mark_expired(10, now=START + 2 * ABSOLUTE)) == 2
    assert (reason(idle), reason(expired)) == ("idle", "expired")


def test_marking_leaves_the_live_and_the_ended_as_they_are(ada):
    live, ended = opened_at(ada, START + timedelta(days=5)), opened_at(ada, START)
    end_session(ended, "kicked", now=START)
    assert sum(mark_expired(10, now=START + IDLE)) == 0
    assert (reason(live), reason(ended)) == ("", "kicked")
    assert len(ended_events(ended)) == 1


def test_marking_again_marks_nothing(ada):
    session = opened_at(ada, START)
    assert sum(mark_expired(10, now=START + IDLE)) == 1
    assert sum(mark_expired(10, now=START + 2 * IDLE)) == 0
    assert len(ended_events(session)) == 1


def test_marking_goes_batch_by_batch(ada):
    for _ in range(5):
        opened_at(ada, START)
    assert list(mark_expired(2, now=START + IDLE)) == [2, 2, 1]


def test_a_session_refreshed_while_its_batch_is_marked_stays(ada):
    quick, slow = open_session(ada, now=START), opened_at(ada, START)
    at = START + timedelta(hours=1)
    DeviceSession.objects.update(idle_expires_at=at)
    waiting = [quick]

    def refresh(execute, sql, params, many, context):
        if waiting and sql.startswith("SAVEPOINT"):  # between finding the batch and marking it
            credentials = waiting.pop()
            refresh_session(credentials.refresh_token, now=at - TICK)
        return execute(sql, params, many, context)

    with connection.execute_wrapper(refresh):
        assert sum(mark_expired(10, now=at)) == 1
    assert (reason(quick.session), reason(slow)) == ("", "idle")
    assert ended_events(quick.session) == []


@pytest.mark.django_db(transaction=True)
def test_a_marked_session_is_announced_like_every_ending(ada):
    session, told = opened_at(ada, START), []

    def receive(sender, session, reason, by, **rest):
        told.append((session.pk, reason, by))

    signals.device_session_ended.connect(receive)
    try:
        sum(mark_expired(10, now=START + IDLE))
    finally:
        signals.device_session_ended.disconnect(receive)
    assert told == [(session.pk, "idle", None)]


@pytest.mark.django_db(transaction=True)
def test_what_cannot_be_audited_is_not_marked(ada):
    session = opened_at(ada, START)
    with broken_audit(), pytest.raises((DatabaseError, StoreUnavailable)):
        sum(mark_expired(10, now=START + IDLE))
    assert reason(session) == ""


def test_without_an_injected_clock_marking_goes_by_the_databases(ada):
    live, idle = opened_at(ada, None), opened_at(ada, START)
    assert sum(mark_expired(10)) == 1
    assert (reason(live), reason(idle)) == ("", "idle")


# Forgetting


def test_what_ended_longer_ago_than_is_kept_is_deleted_with_its_events(ada):
    session = opened_at(ada, START)
    end_session(session, "kicked", now=START)
    assert sum(prune(KEEP, 10, now=START + KEEP)) == 0
    assert DeviceSession.objects.count() == 1
    assert list(prune(KEEP, 10, now=START + KEEP + TICK)) == [1]
    assert (DeviceSession.objects.count(), SessionEvent.objects.count()) == (0, 0)


def test_forgetting_leaves_the_live_and_the_recently_ended_with_their_events(ada):
    old, recent, live = (opened_at(ada, START) for _ in range(3))
    end_session(old, "kicked", now=START)
    end_session(recent, "kicked", now=START + TICK)
    assert sum(prune(KEEP, 10, now=START + KEEP + TICK)) == 1
    assert set(DeviceSession.objects.all()) == {recent, live}
    assert SessionEvent.objects.count() == 3


def test_a_session_that_nobody_marked_is_never_forgotten(ada):
    session = opened_at(ada, START)
    assert sum(prune(KEEP, 10, now=START + 10 * KEEP)) == 0
    assert DeviceSession.objects.get() == session


def test_forgetting_goes_batch_by_batch(ada):
    for _ in range(5):
        end_session(opened_at(ada, START), "logout", now=START)
    assert list(prune(KEEP, 2, now=START + KEEP + TICK)) == [2, 2, 1]


def test_forgetting_costs_few_statements_however_many_there_are(ada, django_assert_max_num_queries):
    for _ in range(30):
        end_session(opened_at(ada, START), "logout", now=START)
    ContentType.objects.get_for_model(DeviceSession)  # each process asks once
    with django_assert_max_num_queries(9):  # find, begin, events, codes, log, sessions, commit, find no more
        assert sum(prune(KEEP, 1000, now=START + KEEP + TICK)) == 30


def test_failed_logins_are_forgotten_with_the_rest(ada):
    for age in (KEEP + timedelta(days=1), KEEP - timedelta(days=1)):
        kind = SessionEvent.Kind.LOGIN_FAILED
        SessionEvent.objects.create(kind=kind, at=START - age, subject=str(ada.pk))
    assert list(prune(KEEP, 1, now=START)) == []
    assert SessionEvent.objects.get().at == START - KEEP + timedelta(days=1)


def test_the_admins_log_does_not_keep_what_a_pruned_session_was(ada, admin, bob):
    """Whoever is forgotten later has no session any more by which its entry would be found."""
    old, new = (open_session(user, device=Device(name=f"{user}'s phone")).session for user in (ada, bob))
    LogEntry.objects.log_actions(str(admin.pk), [old, new], CHANGE, "phone lost")
    end_session(old, "kicked", now=START)
    DeviceSession.objects.filter(pk=old.pk).update(ended_at=START)
    assert sum(prune(KEEP, 10, now=START + KEEP + TICK)) == 1
    told = {entry.object_id: (entry.object_repr, entry.change_message) for entry in LogEntry.objects.all()}
    assert told == {str(old.pk): (UNKNOWN, ""), str(new.pk): (f"{bob}'s phone", "phone lost")}
