"""authx.sessions.swap: on PostgreSQL a rotation and its event are one statement, and one transaction."""

from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from threading import Event

import pytest
from django.db import DatabaseError, OperationalError, connection, connections, transaction
from django.db.backends.utils import CursorWrapper
from django.test import RequestFactory

from authx.conf import conf
from authx.errors import RefreshConflict, SessionEnded, StoreUnavailable
from authx.models import DeviceSession, SessionEvent
from authx.sessions import end_session, open_session, recognize, refresh_session
from tests.branches import generation_of
from tests.faults_in_database import broken_audit, read_only
from tests.racing import race
from tests.rows import row

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.databases("postgresql")]

PRESENTERS = 12


@pytest.fixture(autouse=True)
def at_first_run(monkeypatch):
    """Prepare at a statement's first run on a connection, not its fifth."""
    monkeypatch.setattr("authx.store.prepared_statement.RUNS_BEFORE_PREPARING", 1)


@pytest.fixture
def due(ada):
    return make_due(ada)


def make_due(user):
    """Credentials whose refresh token is due for a rotation: the grace since the login has passed."""
    credentials = open_session(user)
    travel(credentials.session, conf.REFRESH_GRACE + timedelta(seconds=1))
    return credentials


def travel(session, past):
    row = DeviceSession.objects.get(pk=session.pk)
    DeviceSession.objects.filter(pk=row.pk).update(rotated_at=row.rotated_at - past)


def events(credentials):
    found = SessionEvent.objects.filter(session=credentials.session.pk).exclude(kind="opened")
    return list(found.values_list("kind", "outcome"))


@contextmanager
def watched(around=None):
    """The statements of this connection's writes, without an ``execute_wrapper``; ``around`` runs each."""
    said, here = [], connections["default"]

    class Watching(CursorWrapper):
        def execute(self, sql, params=None):
            execute = partial(super().execute, sql, params)
            if not sql.startswith(("UPDATE", "INSERT")) and not (
                sql.startswith("EXECUTE") and len(params) > 2
            ):
                return execute()
            said.append(sql.split()[0])
            return execute() if around is None else around(execute)

    here.make_cursor = lambda cursor: Watching(cursor, here)
    try:
        yield said
    finally:
        del here.make_cursor


def test_it_is_one_statement_and_says_what_two_would(due, ada):
    request = RequestFactory().post("/", REMOTE_ADDR="2001:db8::1", headers={"user-agent": "Fox/1 (100%s)"})
    with watched() as said:
        refresh_session(due.refresh_token, request)
    assert said == ["EXECUTE"]
    event = SessionEvent.objects.get(kind="refreshed")
    assert (event.session_id, event.outcome, event.at) == (due.session.pk, "T1", row(due).rotated_at)
    assert (event.actor, event.actor_label) == (ada, ada.get_username())
    assert (event.ip, event.user_agent, event.other_ip) == ("2001:db8::1", "Fox/1 (100%s)", None)
    assert (event.subject, event.client_id, event.note, event.other_user_agent) == ("", "", "", "")


def test_so_is_a_late_replay_but_what_has_more_to_write_is_a_transaction_as_elsewhere(due):
    successor = refresh_session(due.refresh_token)
    for expected in (["EXECUTE"], ["UPDATE"]):  # of the second there is no event
        travel(due.session, timedelta(minutes=1))
        with watched() as said:
            refresh_session(due.refresh_token)
        assert said == expected
    assert (row(due).late_streak, events(due)) == (2, [("refreshed", "T1"), ("refreshed", "T4")])
    refresh_session(successor.refresh_token)  # confirms it
    travel(due.session, timedelta(minutes=1))
    with watched() as said, pytest.raises(RefreshConflict):
        refresh_session(due.refresh_token)
    assert said == ["UPDATE", "INSERT", "UPDATE", "INSERT"]  # the alarm stands in the row too
    assert events(due)[2:] == [("flagged", "late_replay"), ("late_replay", "T5")]


def test_of_many_presenters_one_rotates_and_one_event_says_so(ada):
    """Each on a connection that has prepared the statement before."""
    for _ in range(3):
        due, own, said = make_due(ada), [make_due(ada) for _ in range(PRESENTERS)], []

        def present(mine, due=due, said=said):
            refresh_session(mine.refresh_token)
            with watched() as written:
                found = refresh_session(due.refresh_token)
            said.extend(written)
            return found.refresh_token

        results = race(*[partial(present, mine) for mine in own])
        assert {generation_of(token) for token in results} == {2}
        assert {*said} == {"EXECUTE"}
        assert (row(due).generation, events(due)) == (2, [("refreshed", "T1")])
        assert all(events(mine) == [("refreshed", "T1")] for mine in own)


def test_who_refreshes_while_the_session_ends_is_left_with_nothing(ada):
    for _ in range(3):
        due, own = make_due(ada), [make_due(ada) for _ in range(4)]

        def present(mine, due=due):
            refresh_session(mine.refresh_token)
            return refresh_session(due.refresh_token)

        def end(due=due):
            return end_session(due.session, "kicked")

        *refreshed, ended = race(*[partial(present, mine) for mine in own], end)
        assert ended is True
        for result in refreshed:
            if isinstance(result, Exception):
                assert isinstance(result, SessionEnded), result
            else:
                with pytest.raises(SessionEnded):
                    recognize(result.access_token)
        written = [kind for kind, _outcome in events(due)]
        assert (written.count("ended"), written.count("refreshed")) == (1, row(due).generation - 1)


# Connections that are lost


def lose_connection():
    connection.connection.close()
    raise OperationalError("server closed the connection unexpectedly")


def test_a_connection_lost_after_the_commit_has_rotated_once(due):
    answered = []

    def answer_once(execute):
        result = execute()
        if not answered:
            answered.append(result)
            lose_connection()
        return result

    with watched(answer_once) as said:
        found = refresh_session(due.refresh_token)
    assert said[0] == "EXECUTE"
    assert generation_of(found.refresh_token) == row(due).generation == 2
    assert events(due) == [("refreshed", "T1")]


def test_a_server_that_stays_away_is_an_outage_and_changes_nothing(due):
    with watched(lambda execute: lose_connection()), pytest.raises(StoreUnavailable):
        refresh_session(due.refresh_token)
    assert (row(due).generation, events(due)) == (1, [])


#: Ends whoever waits for a lock of ours.
KILL = (
    "SELECT pg_terminate_backend(pid) FROM pg_locks"
    " WHERE NOT granted AND pg_backend_pid() = ANY(pg_blocking_pids(pid))"
)


def test_a_connection_killed_while_it_waits_for_the_row_has_changed_nothing_and_tries_again(due):
    held = Event()

    def hold_and_kill():
        with transaction.atomic(), connection.cursor() as cursor:
            DeviceSession.objects.select_for_update().get(pk=due.session.pk)
            held.set()
            for _ in range(500):
                cursor.execute(KILL)
                if cursor.fetchall():
                    return True
                cursor.execute("SELECT pg_sleep(0.02)")

    def present():
        held.wait(timeout=20)
        with watched() as said:
            return refresh_session(due.refresh_token), said

    has_killed, (found, said) = race(hold_and_kill, present)
    assert (has_killed, said[0]) == (True, "EXECUTE")
    assert len(said) > 1
    assert generation_of(found.refresh_token) == row(due).generation == 2
    assert events(due) == [("refreshed", "T1")]


# Where it cannot be one statement


def test_an_event_that_cannot_be_written_undoes_the_rotation(due, ada):
    refresh_session(make_due(ada).refresh_token)  # it is prepared
    for trouble in (broken_audit, read_only):
        with trouble(), pytest.raises((DatabaseError, StoreUnavailable)):
            refresh_session(due.refresh_token)
        assert (row(due).generation, events(due)) == (1, [])
    assert refresh_session(due.refresh_token).claims.gen == 2


def test_in_a_transaction_it_is_refused_and_without_autocommit_it_waits_for_the_sites_commit(due):
    with transaction.atomic(), pytest.raises(RuntimeError, match="durable"):
        refresh_session(due.refresh_token)
    transaction.set_autocommit(False)
    try:
        with watched() as said:
            refresh_session(due.refresh_token)
        transaction.rollback()
    finally:
        transaction.set_autocommit(True)
    assert "EXECUTE" not in said
    assert (row(due).generation, events(due)) == (1, [])


def test_behind_a_pooler_it_is_two_also_where_nobody_has_told_us_of_it(due, ada, monkeypatch):
    refresh_session(make_due(ada).refresh_token)
    with connection.cursor() as cursor:
        cursor.execute("DEALLOCATE ALL")  # another server
    with watched() as said:
        refresh_session(due.refresh_token)
    assert said == ["EXECUTE", "UPDATE", "INSERT"]
    connection.close()
    other = make_due(ada)
    monkeypatch.setitem(connection.settings_dict, "DISABLE_SERVER_SIDE_CURSORS", True)
    with watched() as said:
        refresh_session(other.refresh_token)
    assert said == ["UPDATE", "INSERT"]
    for each in (due, other):
        assert (row(each).generation, events(each)) == (2, [("refreshed", "T1")])


def test_whoever_watches_or_guards_the_statements_is_shown_the_two(due, ada):
    """As ``connection.execute_wrapper`` lets a site do, such as to refuse writes for a while."""
    refresh_session(make_due(ada).refresh_token)
    seen = []

    def refuse_inserts(execute, sql, params, many, context):
        seen.append(sql.split()[0])
        if sql.startswith("INSERT"):
            raise DatabaseError("no writes today")
        return execute(sql, params, many, context)

    with connection.execute_wrapper(refuse_inserts), pytest.raises(DatabaseError, match="no writes today"):
        refresh_session(due.refresh_token)
    assert seen[-2:] == ["UPDATE", "INSERT"]
    assert (row(due).generation, events(due)) == (1, [])
    with watched() as said:
        refresh_session(due.refresh_token)
    assert said == ["EXECUTE"]
