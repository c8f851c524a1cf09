"""authx.store.revocation_log: every ending is told once it has committed, in whatever order they commit."""

import threading
from datetime import timedelta

import pytest
from django.db import connection, connections, transaction
from django.utils import timezone

from authx.errors import StoreUnavailable
from authx.gate.revocation.window import window
from authx.models import EndReason, RevocationLogEntry
from authx.sessions import end_session, end_sessions, open_session
from authx.store import revocation_log
from authx.store.revocation_log import EndedLog
from tests.sessions.test_refreshing import outage


def line(sid="a", reason="kicked", age=timedelta(0)):
    return RevocationLogEntry.objects.create(subject_key=sid, value=reason, at=timezone.now() - age)


def in_a_thread(function):
    """Run ``function`` on a connection of its own, and hand on what it raises."""
    failed = []

    def run():
        try:
            function()
        except BaseException as error:
            failed.append(error)
        finally:
            connections.close_all()

    thread = threading.Thread(target=run)
    thread.start()
    return thread, failed


def test_an_ending_writes_its_line(ada):
    session = open_session(ada).session
    end_session(session, "kicked")
    assert list(RevocationLogEntry.objects.values_list("subject_key", "value")) == [
        (str(session.pk), "kicked")
    ]
    end_session(session, "logout")
    assert RevocationLogEntry.objects.count() == 1


@pytest.mark.parametrize("reason", [EndReason.IDLE, EndReason.EXPIRED])
def test_what_no_token_outlives_needs_no_line(ada, reason):
    end_session(open_session(ada).session, reason)
    assert not RevocationLogEntry.objects.exists()


def test_many_write_a_line_each(ada, bob):
    sids = {str(open_session(user).session.pk) for user in (ada, ada, bob)}
    end_sessions(ada.device_sessions.all(), "logout")
    end_sessions(bob.device_sessions.all(), "kicked")
    assert set(RevocationLogEntry.objects.values_list("subject_key", flat=True)) == sids


@pytest.mark.django_db
def test_what_is_told_twice_does_not_hide_that_there_is_more():
    """Two marks of one user are one name: names may be few where lines are too many."""
    line("@7", "1:kicked")
    line("@7", "2:kicked")
    for number in range(6):
        line(f"sid-{number}")
    found = EndedLog(limit=5).read()
    assert (found.more, found.too_many, "sid-5" in found.ended) == (True, True, False)


@pytest.mark.django_db
def test_the_first_reading_is_whole_and_the_next_tells_what_is_new(django_assert_num_queries):
    line("old", age=2 * window())  # so that no number is missing before the first
    line("a")
    log = EndedLog()
    found = log.read()
    assert (found.ended, found.whole) == ({"a": "kicked"}, True)
    line("b", "logout")
    with django_assert_num_queries(1):
        found = log.read()
    assert (found.ended["b"], found.whole) == ("logout", False)


@pytest.mark.django_db
def test_what_no_longer_matters_is_not_read():
    line("old", age=window() + timedelta(seconds=5))
    line("recent", age=window() - timedelta(minutes=1))
    assert EndedLog().read().ended == {"recent": "kicked"}


@pytest.mark.django_db
def test_a_log_that_is_not_the_one_we_read_is_read_whole():
    """A restored database gives its numbers again."""
    first = line("a")
    log = EndedLog()
    log.read()
    RevocationLogEntry.objects.all().delete()
    RevocationLogEntry.objects.create(pk=first.pk, subject_key="other", value="logout", at=timezone.now())
    found = log.read()
    assert (found.ended, found.whole) == ({"other": "logout"}, True)


@pytest.mark.django_db
def test_a_pruned_log_is_read_whole_and_nothing_is_lost():
    line("a", age=3 * window())
    log = EndedLog()
    log.read()
    assert sum(revocation_log.prune(100)) == 1
    line("b")
    assert log.read().ended == {"b": "kicked"}
    line("c")
    assert "c" in log.read().ended


@pytest.mark.django_db
def test_pruning_keeps_what_a_copy_may_still_ask_for():
    line("needed", age=window())
    for number in range(5):
        line(f"old{number}", age=2 * window() + timedelta(seconds=number + 1))
    assert list(revocation_log.prune(2)) == [2, 2, 1]
    assert list(RevocationLogEntry.objects.values_list("subject_key", flat=True)) == ["needed"]


@pytest.mark.django_db(transaction=True)
def test_a_database_that_is_down_is_said_so():
    line("a")
    with outage(), pytest.raises(StoreUnavailable):
        EndedLog().read()


@pytest.mark.databases("postgresql", "mariadb")  # SQLite has one writer at a time
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("begun", ["before the first reading", "after it"])
def test_an_ending_that_commits_late_is_not_missed(ada, begun):
    slow, quick = open_session(ada).session, open_session(ada).session
    line("earlier")
    log = EndedLog()
    if begun == "after it":
        log.read()
    written, may_commit = threading.Event(), threading.Event()

    def end_slowly():
        with transaction.atomic():
            end_session(slow, "kicked")
            written.set()
            assert may_commit.wait(10)

    thread, failed = in_a_thread(end_slowly)
    assert written.wait(10)
    end_session(quick, "logout")
    found = log.read().ended
    assert str(quick.pk) in found
    assert str(slow.pk) not in found
    assert str(slow.pk) not in log.read().ended

    may_commit.set()
    thread.join()
    assert not failed
    assert log.read().ended[str(slow.pk)] == "kicked"
    assert str(slow.pk) not in log.read().ended


@pytest.mark.databases("postgresql", "mariadb")
@pytest.mark.django_db(transaction=True)
def test_inside_a_transaction_that_looks_at_the_past_the_log_is_of_now(ada):
    session = open_session(ada).session
    log = EndedLog()
    isolate = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"
    if connection.vendor == "mysql":  # which means the next one
        connection.cursor().execute(isolate)
    with transaction.atomic():
        if connection.vendor == "postgresql":
            connection.cursor().execute(isolate)
        assert not RevocationLogEntry.objects.exists()  # what this transaction sees from now on
        thread, failed = in_a_thread(lambda: end_session(session, "kicked"))
        thread.join()
        assert not failed
        assert not RevocationLogEntry.objects.exists()
        assert log.read().ended == {str(session.pk): "kicked"}


@pytest.mark.databases("postgresql", "mariadb")
@pytest.mark.django_db(transaction=True)
def test_what_is_rolled_back_was_never_told(ada):
    session, other = open_session(ada).session, open_session(ada).session
    log = EndedLog()
    with transaction.atomic():
        end_session(session, "kicked")
        assert log.read().ended == {}
        transaction.set_rollback(True)
    end_session(other, "logout")
    assert log.read().ended == {str(other.pk): "logout"}


@pytest.mark.django_db
def test_a_log_that_was_restored_is_told_by_its_last_line():
    """The same session ends again, under the same number; what else has ended meanwhile must be told."""
    line("before")
    log = EndedLog()
    last = line("a")
    log.read()
    RevocationLogEntry.objects.filter(pk__gte=last.pk - 1).delete()
    RevocationLogEntry.objects.create(pk=last.pk - 1, subject_key="b", value="kicked", at=timezone.now())
    RevocationLogEntry.objects.create(pk=last.pk, subject_key="a", value="kicked", at=timezone.now())
    found = log.read()
    assert (found.whole, set(found.ended)) == (True, {"a", "b"})
