"""Statements that PostgreSQL has prepared, and the tables grow."""

import inspect
import sys
from contextlib import closing
from threading import Thread

import pytest
from django.db import DatabaseError, DataError, connection, connections
from django.test.utils import CaptureQueriesContext

from authx import clocks
from authx.store.prepared_statement import PLAN_SECONDS, RUNS_BEFORE_PREPARING, Prepared

ROWS = 300_000

pytestmark = [pytest.mark.databases("postgresql"), pytest.mark.django_db(transaction=True)]


def run(sql, *values):
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        return cursor.fetchall() if cursor.description else None


@pytest.fixture
def later():
    """Let the plans of this connection become old."""
    before = clocks.ahead()
    yield lambda: clocks.move(clocks.ahead() + PLAN_SECONDS)
    clocks.move(before)


def plan_of(statement):
    return "\n".join(line for (line,) in run(f"EXPLAIN EXECUTE {statement.name} (7)"))


@pytest.fixture
def growing():
    """The name of a table of ten rows; autovacuum leaves it alone."""
    connection.close()
    run("CREATE TEMPORARY TABLE growing (id integer PRIMARY KEY, filling text)")
    run("INSERT INTO growing SELECT number, 'x' FROM generate_series(1, 10) AS number")
    run("ANALYZE growing")
    yield "growing"
    connection.close()


def grow(table):
    run(f"INSERT INTO {table} SELECT number, 'x' FROM generate_series(11, %s) AS number", ROWS)


def often(act):
    """As often as it takes: five times PostgreSQL plans for the very values, then once for all."""
    return [act() for _ in range(RUNS_BEFORE_PREPARING + 6)]


def test_an_old_plan_for_a_small_table_is_dropped_at_the_first_slow_run(growing, later):
    statement = Prepared(f"SELECT filling FROM {growing} WHERE id = %s")
    assert set(often(lambda: statement.fetch(connection, [7]))) == {("x",)}
    grow(growing)
    later()
    assert "Seq Scan" in plan_of(statement)
    assert statement.fetch(connection, [ROWS]) == ("x",)
    assert "Index Scan" in plan_of(statement)
    assert statement.fetch(connection, [ROWS]) == ("x",)


def test_so_it_is_at_a_slow_write(growing, later):
    statement = Prepared(f"UPDATE {growing} SET filling = 'y' WHERE id = %s")
    assert often(lambda: statement.write(connection, [7]))[-1] == 1
    grow(growing)
    later()
    assert "Seq Scan" in plan_of(statement)
    assert statement.write(connection, [ROWS]) == 1
    assert "Index Scan" in plan_of(statement)


# The cursor that is kept


@pytest.fixture
def statement():
    connection.close()
    statement = Prepared("SELECT %s::text || pg_backend_pid()::text")
    often(lambda: statement.fetch(connection, ["a"]))
    yield statement
    connection.close()


def cursors(act):
    """How many cursors were made while ``act`` ran, and what it returned."""
    made = []
    original = inspect.unwrap(type(connections["default"]).create_cursor)

    def note(frame, event, argument):
        if event == "call" and frame.f_code is original.__code__:
            made.append(event)

    sys.setprofile(note)
    try:
        answer = act()
    finally:
        sys.setprofile(None)
    return len(made), answer


def pid(answer):
    return int(answer[0][1:])


def test_one_cursor_serves_all_runs_on_a_connection_and_a_new_one_has_its_own(statement):
    count, first = cursors(lambda: [statement.fetch(connection, [letter]) for letter in "abc"])
    assert (count, [value[0] for (value,) in first]) == (0, ["a", "b", "c"])
    connection.close()
    again = often(lambda: statement.fetch(connection, ["d"]))[-1]
    assert pid(again) != pid(first[0])
    assert cursors(lambda: statement.fetch(connection, ["e"]))[0] == 0


def test_it_is_seen_by_whoever_watches_statements(statement):
    seen = []

    def note(execute, sql, params, many, context):
        seen.append((sql, context["connection"]))
        return execute(sql, params, many, context)

    with connection.execute_wrapper(note):
        statement.fetch(connection, ["a"])
    assert seen == [(f"EXECUTE {statement.name} (%s)", connection)]
    with CaptureQueriesContext(connection) as captured:
        statement.fetch(connection, ["a"])
    assert len(captured) == 1


@pytest.mark.parametrize("name", ["cursor", "create_cursor", "make_cursor"])
def test_who_replaces_the_making_of_cursors_is_asked_for_each(name, statement, monkeypatch):
    """As django-debug-toolbar does."""
    watched, made = connections["default"], []
    original = getattr(watched, name)
    monkeypatch.setitem(vars(watched), name, lambda *args: made.append(1) or original(*args))
    statement.fetch(watched, ["a"])
    assert made == [1]


def test_one_that_failed_serves_the_next_run():
    connection.close()
    statement = Prepared("SELECT 10 / %s::integer")
    often(lambda: statement.fetch(connection, [5]))
    with pytest.raises(DataError):
        statement.fetch(connection, [0])
    assert often(lambda: statement.fetch(connection, [2]))[-1] == (5,)


def test_a_connection_that_was_lost_is_made_anew_where_its_health_is_checked(statement):
    first = pid(statement.fetch(connection, ["a"]))
    with closing(connection.copy()) as other, other.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s)", [first])
    connection.health_check_enabled, connection.health_check_done = True, False
    try:
        assert pid(statement.fetch(connection, ["a"])) != first
    finally:
        connection.health_check_enabled = False


def test_no_other_thread_is_served(statement):
    found = []

    def ask():
        try:
            statement.fetch(connection_of_this_test, ["a"])
        except DatabaseError as error:
            found.append(str(error))

    connection_of_this_test = connections["default"]
    other = Thread(target=ask)
    other.start()
    other.join()
    assert "can only be used in that same thread" in found[0]


# A plan that is old


def test_a_plan_is_kept_for_some_seconds_all_the_same(growing, later):
    """Where every run is slow, not every run is followed by a new plan."""
    statement = Prepared(f"SELECT filling, pg_sleep(0.003)::text FROM {growing} WHERE id = %s")
    often(lambda: statement.fetch(connection, [7]))
    grow(growing)
    assert statement.fetch(connection, [ROWS]) == ("x", "")
    assert "Seq Scan" in plan_of(statement)
    later()
    assert statement.fetch(connection, [ROWS]) == ("x", "")
    assert "Index Scan" in plan_of(statement)
