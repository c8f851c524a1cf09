"""Statements that PostgreSQL has prepared, and the tables grow."""

import pytest
from django.db import connection

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
