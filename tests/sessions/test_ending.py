"""authx.sessions.ending: once each, with one event, announced after the commit."""

from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.auth.models import AnonymousUser
from django.db import DatabaseError, OperationalError, connection, transaction
from django.test import RequestFactory

from authx import signals
from authx.errors import SessionEnded, StoreUnavailable
from authx.models import DeviceSession, EndReason, SessionEvent
from authx.sessions import end_session, end_sessions, open_session, recognize, refresh_session
from authx.store.database import ROWS_PER_TRANSACTION
from tests.faults_in_database import broken_audit, deadlocks, outage
from tests.rows import row

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
LATER = START + timedelta(minutes=1)


@pytest.fixture
def opened(ada):
    return open_session(ada, now=START)


@pytest.fixture
def heard():
    """What the signals told, and whether it was committed by then."""
    told = []

    def ended(sender, session, reason, by, **rest):
        told.append(("ended", session.pk, reason, by, not connection.in_atomic_block))

    def reused(sender, session, **rest):
        told.append(("reused", session.pk))

    signals.device_session_ended.connect(ended)
    signals.refresh_reused.connect(reused)
    yield told
    signals.device_session_ended.disconnect(ended)
    signals.refresh_reused.disconnect(reused)


@pytest.fixture
def crowd(ada):
    """Make so many live sessions of ada's, without opening each."""

    def make(count):
        pattern = open_session(ada, now=START).session
        copies = []
        for _ in range(count - 1):
            copy = DeviceSession.objects.get(pk=pattern.pk)
            copy.pk = DeviceSession._meta.pk.get_default()
            copies.append(copy)
        DeviceSession.objects.bulk_create(copies)
        return DeviceSession.objects.filter(user=ada)

    return make


def endings(**only):
    return SessionEvent.objects.filter(kind="ended", **only)


# One session


def test_an_ended_session_knows_when_why_and_by_whom(opened, admin):
    assert end_session(opened.session, "kicked", by=admin, now=LATER) is True
    ended = row(opened)
    assert (ended.ended_at, ended.end_reason, ended.ended_by) == (LATER, "kicked", admin)


def test_it_is_over_at_the_next_request_whatever_carries_it(opened):
    end_session(opened.session, "kicked", now=LATER)
    for use in (
        lambda: recognize(opened.access_token, now=LATER),
        lambda: refresh_session(opened.refresh_token, now=LATER),
    ):
        with pytest.raises(SessionEnded) as refused:
            use()
        assert refused.value.reason == "kicked"


def test_the_first_writer_wins_and_the_second_changes_nothing(opened, ada, admin):
    assert end_session(opened.session, "logout", by=ada, now=LATER) is True
    assert end_session(opened.session, "kicked", by=admin, now=LATER + timedelta(days=1)) is False
    ended = row(opened)
    assert (ended.end_reason, ended.ended_by, ended.ended_at) == ("logout", ada, LATER)
    assert endings().count() == 1


def test_what_has_expired_cannot_be_ended_any_more(opened):
    limit = START + timedelta(days=7, minutes=15)
    assert end_session(opened.session, "kicked", now=limit) is False
    assert (row(opened).end_reason, endings().count()) == ("", 0)
    last_moment = limit - timedelta(microseconds=1)
    assert end_session(opened.session, "kicked", now=last_moment) is True


@pytest.mark.parametrize("reason", EndReason.values)
def test_every_reason_may_be_given(opened, reason):
    assert end_session(opened.session, reason, now=LATER) is True
    assert (row(opened).end_reason, endings().get().outcome) == (reason, reason)


@pytest.mark.parametrize("reason", ["", "bored", "KICKED", None])
def test_a_reason_that_is_none_is_an_error_of_the_caller_and_ends_nobody(opened, reason):
    with pytest.raises(ValueError, match="is not a valid EndReason"):
        end_session(opened.session, reason, now=LATER)
    with pytest.raises(ValueError, match="is not a valid EndReason"):
        end_sessions(DeviceSession.objects.all(), reason, now=LATER)
    assert row(opened).ended_at is None


def test_a_wrong_reason_is_wrong_where_there_is_nobody_to_end_too(db):
    with pytest.raises(ValueError, match="is not a valid EndReason"):
        end_sessions(DeviceSession.objects.all(), "bored", now=LATER)


def test_nobody_in_particular_may_have_ended_it(opened):
    end_session(opened.session, "kicked", by=AnonymousUser(), now=LATER)
    assert row(opened).ended_by is None
    assert (endings().get().actor, endings().get().actor_label) == (None, "")


def test_a_session_that_is_not_there_cannot_be_ended(opened):
    missing = DeviceSession(pk=DeviceSession._meta.pk.get_default())
    assert end_session(missing, "kicked", now=LATER) is False
    assert endings().count() == 0


def test_without_an_injected_clock_it_is_the_databases(ada):
    opened = open_session(ada)
    assert end_session(opened.session, "logout") is True
    assert row(opened).created_at <= row(opened).ended_at
    assert row(opened).ended_at - row(opened).created_at < timedelta(minutes=1)


def test_the_event_says_who_from_where_and_what_they_noted(opened, admin):
    request = RequestFactory().post("/", REMOTE_ADDR="203.0.113.9", headers={"user-agent": "curl/8"})
    end_session(opened.session, "kicked", by=admin, request=request, note="lost\nphone\u202e", now=LATER)
    event = endings().get()
    assert (event.session_id, event.outcome, event.at) == (opened.session.pk, "kicked", LATER)
    assert (event.actor, event.actor_label) == (admin, admin.get_username())
    assert (event.ip, event.user_agent, event.note) == ("203.0.113.9", "curl/8", "lost phone")


def test_ending_costs_one_conditional_statement_its_event_and_its_line_in_the_log(
    opened, django_assert_num_queries
):
    with django_assert_num_queries(5) as asked:  # begin, end, event, line, commit
        end_session(opened.session, "logout", now=LATER)
    update, insert = asked.captured_queries[1:3]
    assert "ended_at" in update["sql"].partition("WHERE")[2]
    assert insert["sql"].startswith("INSERT")


# Many


def test_ending_many_counts_those_that_ended_now(ada, bob):
    live = [open_session(ada, now=START) for _ in range(3)]
    gone = open_session(ada, now=START)
    end_session(gone.session, "logout", now=START)
    idle = open_session(ada, now=START - timedelta(days=8))
    others = open_session(bob, now=START)
    assert end_sessions(DeviceSession.objects.filter(user=ada), "kicked", now=LATER) == 3
    assert {row(one).end_reason for one in live} == {"kicked"}
    assert (row(gone).end_reason, row(idle).end_reason, row(others).end_reason) == ("logout", "", "")
    assert end_sessions(DeviceSession.objects.filter(user=ada), "kicked", now=LATER) == 0
    assert endings(outcome="kicked").count() == 3


def test_ending_nobody_is_fine(db):
    assert end_sessions(DeviceSession.objects.none(), "kicked") == 0
    assert end_sessions(DeviceSession.objects.all(), "kicked") == 0


def test_any_queryset_of_sessions_will_do(ada, admin):
    keep, lose = open_session(ada, now=START), open_session(ada, now=START)
    found = DeviceSession.objects.select_related("user").exclude(pk=keep.session.pk).order_by("-created_at")
    assert end_sessions(found, "ended_by_user", by=ada, note="all others", now=LATER) == 1
    assert (row(keep).ended_at, row(lose).ended_by) == (None, ada)
    assert endings().get().note == "all others"


def test_so_will_a_slice_of_one_and_a_union(ada, bob):
    first, second, third = (open_session(ada, now=START + timedelta(seconds=each)) for each in range(3))
    oldest = ada.device_sessions.order_by("created_at")
    assert end_sessions(oldest[:1], "kicked", now=LATER) == 1
    assert end_sessions(oldest[:2], "logout", now=LATER) == 1
    assert [row(each).end_reason for each in (first, second, third)] == ["kicked", "logout", ""]
    other = open_session(bob, now=START)
    both = ada.device_sessions.order_by().union(bob.device_sessions.order_by())
    assert end_sessions(both, "kicked", now=LATER) == 2
    assert [row(each).end_reason for each in (third, other)] == ["kicked", "kicked"]


def test_more_than_a_transactions_worth_are_all_ended_each_with_its_event(crowd):
    sessions = crowd(2 * ROWS_PER_TRANSACTION + 3)
    assert end_sessions(sessions, "kicked", now=LATER) == 2 * ROWS_PER_TRANSACTION + 3
    assert sessions.filter(end_reason="kicked", ended_at=LATER).count() == 2 * ROWS_PER_TRANSACTION + 3
    assert endings().count() == 2 * ROWS_PER_TRANSACTION + 3


@pytest.mark.django_db(transaction=True)
def test_each_chunk_is_a_transaction_of_its_own_and_says_so_as_it_commits(crowd, heard):
    sessions, seen = crowd(ROWS_PER_TRANSACTION + 1), []

    def count(sender, **told):
        seen.append(sessions.filter(ended_at=None).count())

    signals.device_session_ended.connect(count)
    try:
        end_sessions(sessions, "kicked", now=LATER)
    finally:
        signals.device_session_ended.disconnect(count)
    assert seen == ROWS_PER_TRANSACTION * [1] + [0]
    assert len({pk for _, pk, *_ in heard}) == len(heard) == ROWS_PER_TRANSACTION + 1


# What is announced


@pytest.mark.django_db(transaction=True)
def test_an_ending_is_announced_once_and_after_its_commit(opened, admin, heard):
    with transaction.atomic():
        end_session(opened.session, "kicked", by=admin, now=LATER)
        assert heard == []
    end_session(opened.session, "kicked", by=admin, now=LATER)
    assert heard == [("ended", opened.session.pk, "kicked", admin, True)]


@pytest.mark.django_db(transaction=True)
def test_the_session_told_of_is_as_the_database_has_it(opened, admin):
    told = []

    def receive(sender, session, **rest):
        told.append((session.end_reason, session.ended_at, session.user.get_username()))

    signals.device_session_ended.connect(receive)
    try:
        end_session(opened.session, "kicked", by=admin, now=LATER)
    finally:
        signals.device_session_ended.disconnect(receive)
    assert told == [("kicked", LATER, opened.session.user.get_username())]


@pytest.mark.django_db(transaction=True)
def test_theft_is_announced_as_an_ending_and_as_theft(opened, heard):
    end_session(opened.session, "reused", now=LATER)
    pk = opened.session.pk
    assert heard == [("ended", pk, "reused", None, True), ("reused", pk)]


@pytest.mark.django_db(transaction=True)
def test_what_the_transaction_around_it_takes_back_was_never_announced(opened, heard):
    with transaction.atomic():
        end_session(opened.session, "kicked", now=LATER)
        transaction.set_rollback(True)
    assert heard == []
    assert (row(opened).ended_at, endings().count()) == (None, 0)
    assert recognize(opened.access_token, now=LATER).pk == opened.session.pk


@pytest.mark.django_db(transaction=True)
def test_a_receiver_that_fails_neither_undoes_the_ending_nor_deafens_the_next(opened, heard):
    def explode(sender, **told):
        raise RuntimeError("a receiver's own trouble")

    signals.device_session_ended.connect(explode)
    try:
        assert end_session(opened.session, "kicked", now=LATER) is True
    finally:
        signals.device_session_ended.disconnect(explode)
    assert row(opened).end_reason == "kicked"
    assert len(heard) == 1


@pytest.mark.django_db(transaction=True)
def test_where_nobody_listens_nothing_is_read_for_them(opened, django_assert_max_num_queries):
    with django_assert_max_num_queries(5):  # begin, end, event, line in the log, commit
        end_session(opened.session, "kicked", now=LATER)


# When it cannot be written


@pytest.mark.django_db(transaction=True)
def test_a_deadlock_in_somebody_elses_transaction_is_theirs_to_begin_again(opened, heard):
    with deadlocks(1) as left:
        with pytest.raises(StoreUnavailable), transaction.atomic():
            end_session(opened.session, "kicked", now=LATER)
        assert left == [0]
        assert row(opened).ended_at is None
        with transaction.atomic():
            assert end_session(opened.session, "kicked", now=LATER) is True
    assert [reason for _, _, reason, *_ in heard] == ["kicked"]


@pytest.mark.django_db(transaction=True)
def test_of_many_only_the_chunks_before_the_failure_have_ended(crowd, heard):
    sessions, seen = crowd(ROWS_PER_TRANSACTION + 5), []

    def fail_later(execute, sql, params, many, context):
        seen.append(sql.startswith("UPDATE"))
        if sum(seen) > 1:  # one for each chunk
            raise OperationalError("server has gone away")
        return execute(sql, params, many, context)

    with connection.execute_wrapper(fail_later), pytest.raises(StoreUnavailable):
        end_sessions(sessions, "kicked", now=LATER)
    assert sessions.filter(ended_at=None).count() == 5
    assert len(heard) == endings().count() == ROWS_PER_TRANSACTION


@pytest.mark.django_db(transaction=True)
def test_an_ending_that_cannot_be_audited_does_not_happen(opened, heard):
    with broken_audit(), pytest.raises((DatabaseError, StoreUnavailable)):
        end_session(opened.session, "kicked", now=LATER)
    assert (row(opened).ended_at, heard) == (None, [])


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("clock", [None, LATER], ids=["the database's clock", "an injected one"])
def test_without_a_database_nobody_is_told_that_it_ended(opened, heard, clock):
    with outage():
        with pytest.raises(StoreUnavailable):
            end_session(opened.session, "kicked", now=clock)
        with pytest.raises(StoreUnavailable):
            end_sessions(DeviceSession.objects.all(), "kicked", now=clock)
    assert (row(opened).ended_at, heard) == (None, [])
