"""authx.sessions.last_seen: who writes when sessions were last seen, how often, and in which statements."""

import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from threading import Lock

import pytest
from django.core.handlers.wsgi import WSGIHandler
from django.core.management import call_command
from django.db import connection, transaction
from django.test import RequestFactory
from django.test.utils import CaptureQueriesContext

from authx.api.authentication import BearerAuthentication
from authx.models import DeviceSession
from authx.sessions import end_session, open_session
from authx.sessions.activity import uses
from authx.sessions.last_seen import LastSeen, last_seen
from tests.racing import race

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _as_a_process_begins():
    last_seen.clear()
    uses.clear()
    yield
    last_seen.clear()
    uses.clear()


@pytest.fixture
def sessions(ada):
    """Twenty sessions, last seen at START."""
    opened = [open_session(ada) for _ in range(20)]
    DeviceSession.objects.update(last_seen_at=START, confirmed_generation=1)
    return opened


def process(clock=(0.0,)):
    """What one process remembers; ``clock`` in seconds, the last one counts."""
    return LastSeen(clock=lambda: clock[-1])


def seen(credentials):
    return DeviceSession.objects.get(pk=credentials.session.pk).last_seen_at


def updates(act):
    with CaptureQueriesContext(connection) as asked:
        act()
    return [query["sql"] for query in asked.captured_queries if query["sql"].startswith("UPDATE")]


def test_many_sessions_cost_one_statement(sessions):
    this = process()
    for number, each in enumerate(sessions):
        this.record(str(each.session.pk), START + HOUR + number * SECOND)
    assert len(updates(this.flush)) == 1
    assert [seen(each) for each in sessions] == [START + HOUR + number * SECOND for number in range(20)]
    assert len(this) == 0
    assert updates(this.flush) == []


def test_more_cost_one_for_a_few_hundred(sessions, monkeypatch):
    monkeypatch.setattr("authx.store.database.ROWS_PER_TRANSACTION", 8)
    this = process()
    for each in sessions:
        this.record(str(each.session.pk), START + HOUR)
    assert len(updates(this.flush)) == 3
    assert {seen(each) for each in sessions} == {START + HOUR}


def test_the_first_use_is_written_at_once_and_those_of_the_minute_after_it_together(sessions):
    clock = [0.0]
    this = process(clock)
    this.record(str(sessions[0].session.pk), START + HOUR)
    assert len(updates(this.flush)) == 1
    for each in sessions[1:]:
        this.record(str(each.session.pk), START + HOUR + SECOND)
        assert updates(this.flush) == []
    clock.append(59.9)
    assert updates(this.flush) == []
    clock.append(60.0)
    assert len(updates(this.flush)) == 1
    assert {seen(each) for each in sessions[1:]} == {START + HOUR + SECOND}


@pytest.mark.parametrize(
    ("before", "is_written"), [(59 * SECOND, False), (MINUTE, True), (HOUR, True), (-HOUR, False)]
)
def test_only_what_is_a_minute_old_is_written_and_it_never_goes_back(sessions, before, is_written):
    now = START + HOUR
    DeviceSession.objects.update(last_seen_at=now - before)
    this = process()
    for each in sessions[:2]:
        this.record(str(each.session.pk), now)
    this.flush()
    assert {seen(each) for each in sessions[:2]} == {now if is_written else now - before}


def test_of_one_process_s_uses_the_last_one_counts(sessions):
    this = process()
    for at in (START + HOUR, START + HOUR + 3 * SECOND, START + HOUR + SECOND):
        this.record(str(sessions[0].session.pk), at)
    this.flush()
    assert seen(sessions[0]) == START + HOUR + 3 * SECOND


def test_a_session_that_has_ended_is_not_touched(sessions):
    this = process()
    this.record(str(sessions[0].session.pk), START + HOUR)
    end_session(sessions[0].session, "logout")
    this.flush()
    assert seen(sessions[0]) == START


def test_it_waits_for_the_commit_and_is_lost_with_a_rollback(sessions):
    this = process()
    with transaction.atomic():
        this.record(str(sessions[0].session.pk), START + HOUR)
        assert len(this) == 0
        this.flush()
    assert len(this) == 1
    with transaction.atomic():
        this.record(str(sessions[1].session.pk), START + HOUR)
        transaction.set_rollback(True)
    this.flush()
    assert [seen(each) for each in sessions[:2]] == [START + HOUR, START]


def test_no_request_that_ends_inside_a_transaction_writes(sessions):
    this = process()
    this.record(str(sessions[0].session.pk), START + HOUR)
    with transaction.atomic():
        assert updates(this.flush) == []
    assert len(updates(this.flush)) == 1


def test_what_could_not_be_written_is_tried_again_after_a_while(sessions, caplog):
    clock = [0.0]
    this = process(clock)
    this.record(str(sessions[0].session.pk), START + HOUR)
    this.record("no id of a session", START + HOUR)
    this.flush()
    assert "could not be written" in caplog.text
    assert len(this) == 2
    this._by_alias[connection.alias].seen.pop("no id of a session")
    this.record(str(sessions[0].session.pk), START + HOUR + SECOND)
    assert updates(this.flush) == []
    clock.append(5.0)
    this.flush()
    assert seen(sessions[0]) == START + HOUR + SECOND


def test_memory_is_bounded(sessions):
    this = LastSeen(max_sessions=3)
    for each in sessions:
        this.record(str(each.session.pk), START + HOUR)
    assert len(this) == 3


@pytest.mark.django_db
def test_within_a_test_s_own_transaction_nothing_is_left(ada, api, django_capture_on_commit_callbacks):
    opened = open_session(ada)
    DeviceSession.objects.update(last_seen_at=START, confirmed_generation=1)
    api.credentials(HTTP_AUTHORIZATION=f"Bearer {opened.access_token}")
    with django_capture_on_commit_callbacks(execute=True):
        assert api.get("/api/whoami/").status_code == 200
    assert len(last_seen) == 0
    assert seen(opened) > START


def test_when_the_tables_are_emptied_nothing_is_left(sessions):
    """As at the end of a test that commits."""
    last_seen.record(str(sessions[0].session.pk), START + HOUR)
    call_command("flush", interactive=False, verbosity=0)
    assert len(last_seen) == 0


# Requests


@pytest.fixture(params=[0, 60], ids=["database", "lag"])
def bearers(request, sessions, settings, client):
    """Requests of each session that a browser-less client sends, in a process that has seen them before."""
    settings.AUTHX_REVOCATION_LAG = timedelta(seconds=request.param)

    def ask(each):
        headers = {"authorization": f"Bearer {each.access_token}"}
        return client.get("/api/whoami/", headers=headers)

    for each in sessions[:3]:
        assert ask(each).status_code == 200
    last_seen.clear()
    for sid, (generation, at) in uses._recorded.items():
        uses._recorded[sid] = generation, at - 60
    DeviceSession.objects.update(last_seen_at=START)
    return [lambda each=each: ask(each) for each in sessions[:3]]


def test_a_request_writes_nothing_until_it_has_been_answered(sessions):
    """As a WSGI server has it: ``request_finished`` is sent when the response is closed."""
    bearer = f"Bearer {sessions[0].access_token}"
    environ = RequestFactory()._base_environ(PATH_INFO="/api/whoami/", HTTP_AUTHORIZATION=bearer)
    statuses = []
    response = WSGIHandler()(environ, lambda status, headers: statuses.append(status))
    assert (statuses, seen(sessions[0])) == (["200 OK"], START)
    response.close()
    assert seen(sessions[0]) > START


def test_three_sessions_in_a_minute_cost_two_writes_and_then_none(bearers, monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(last_seen, "_clock", lambda: clock[0])
    assert [len(updates(ask)) for ask in bearers] == [1, 0, 0]
    clock[0] += 60
    assert [len(updates(ask)) for ask in bearers] == [1, 0, 0]
    assert DeviceSession.objects.filter(last_seen_at__gt=START).count() == 3


def test_without_a_server_t2_is_written_at_once(ada):
    opened = open_session(ada)
    request = RequestFactory().get("/", headers={"authorization": f"Bearer {opened.access_token}"})
    from rest_framework.request import Request

    assert BearerAuthentication().authenticate(Request(request))
    assert DeviceSession.objects.get(pk=opened.session.pk).confirmed_generation == 1


# Many workers


def rows_written(act):
    """How many rows the UPDATEs of this thread have changed."""
    rows = []

    def count(execute, sql, params, many, context):
        result = execute(sql, params, many, context)
        if sql.startswith("UPDATE"):
            rows.append(context["cursor"].rowcount)
        return result

    with connection.execute_wrapper(count):
        act()
    return sum(rows)


def test_threads_that_see_the_same_sessions_at_once_write_each_once(sessions):
    written, lock = [], Lock()
    workers = [process() for _ in range(4)]
    for number, worker in enumerate(workers):
        for each in sessions:
            worker.record(str(each.session.pk), START + HOUR + number * SECOND)

    def end_a_request(worker):
        rows = rows_written(worker.flush)
        with lock:
            written.append(rows)

    race(*[lambda worker=worker: end_a_request(worker) for worker in workers])
    for worker in workers:  # where SQLite was busy, or a deadlock was found
        worker._by_alias[connection.alias].due = 0.0
        written.append(rows_written(worker.flush))
    assert sum(written) == len(sessions)
    assert [len(worker) for worker in workers] == [0] * 4


WORKER = """
import json, sys, django
from datetime import datetime
django.setup()
from django.core.signals import request_finished
from django.db import connection
from authx.sessions.last_seen import last_seen
sids, at = json.load(sys.stdin)
for sid in sids:
    last_seen.record(sid, datetime.fromisoformat(at))
rows = []
def count(execute, sql, params, many, context):
    result = execute(sql, params, many, context)
    if sql.startswith("UPDATE"):
        rows.append(context["cursor"].rowcount)
    return result
with connection.execute_wrapper(count):
    request_finished.send(object)
print(len(rows), sum(rows), len(last_seen))
"""


def test_processes_that_begin_write_no_row_more(sessions):
    """A cold start: each has seen all sessions, and none knows what the others have written."""
    sids = [str(each.session.pk) for each in sessions]
    environ = {**os.environ, "AUTHX_TEST_DATABASE_NAME": str(connection.settings_dict["NAME"])}
    environ["DJANGO_SETTINGS_MODULE"] = os.environ.get("DJANGO_SETTINGS_MODULE", "tests.settings.base")
    told = []
    for number in range(3):
        at = (START + HOUR + 20 * number * SECOND).isoformat()
        done = subprocess.run(
            [sys.executable, "-c", WORKER],
            input=json.dumps([sids, at]),
            env=environ,
            capture_output=True,
            text=True,
            check=True,
        )
        told.append(done.stdout.split())
    assert told == [["1", "20", "0"], ["1", "0", "0"], ["1", "0", "0"]]
    assert {seen(each) for each in sessions} == {START + HOUR}
