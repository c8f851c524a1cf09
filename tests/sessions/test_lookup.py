"""authx.sessions.lookup: one statement, compiled once, that reads what a queryset would."""

from uuid import uuid4

import pytest
from django.contrib.auth import get_user_model
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from authx.errors import StoreUnavailable
from authx.models import DeviceSession
from authx.sessions import Device, lookup, open_session
from authx.sessions.lookup import find_by_sid
from authx.store.database import database_now
from authx.store.prepared_statement import RUNS_BEFORE_PREPARING
from tests.sessions.test_refreshing import outage


def columns(instance):
    return {field.attname: getattr(instance, field.attname) for field in instance._meta.concrete_fields}


def test_every_column_is_what_a_queryset_reads(ada, django_assert_num_queries):
    sid = open_session(ada, device=Device(id="phone-1", name="A phone", type="ios")).session.pk
    expected = DeviceSession.objects.select_related("user").get(pk=sid)
    before = database_now()

    with django_assert_num_queries(1):
        snapshot = find_by_sid(sid)
        found, user = snapshot.session, snapshot.session.user
    assert columns(found) == columns(expected)
    assert columns(user) == columns(expected.user)
    assert type(user) is get_user_model()
    assert (found._state.db, found._state.adding) == ("default", False)
    assert before <= snapshot.now <= database_now()


def test_a_session_whose_user_is_gone_has_none(ada, django_assert_num_queries):
    sid = open_session(ada).session.pk
    get_user_model().objects.filter(pk=ada.pk).delete()

    with django_assert_num_queries(1):
        assert find_by_sid(sid).session.user is None


def test_what_is_read_can_be_changed_and_saved(ada):
    sid = open_session(ada).session.pk
    found = find_by_sid(sid).session
    found.device_name = "renamed"
    found.save(update_fields=["device_name"])
    assert DeviceSession.objects.get(pk=sid).device_name == "renamed"
    assert found == DeviceSession.objects.get(pk=sid)


def test_a_session_that_is_not_there_is_none(db):
    assert find_by_sid(uuid4()) is None


@pytest.mark.django_db(transaction=True)
def test_a_database_that_is_down_is_said_so(ada):
    sid = open_session(ada).session.pk
    with outage(), pytest.raises(StoreUnavailable):
        find_by_sid(sid)


# --- prepared, on PostgreSQL


def read_often(sid, times=RUNS_BEFORE_PREPARING + 2):
    with CaptureQueriesContext(connection) as asked:
        found = [find_by_sid(sid).session for _ in range(times)]
    return found, [query["sql"].split()[0] for query in asked.captured_queries]


@pytest.fixture
def sid(transactional_db, ada):
    connection.close()
    return open_session(ada).session.pk


@pytest.mark.databases("postgresql")
def test_what_is_read_often_is_prepared_once_and_reads_the_same(sid):
    expected = columns(DeviceSession.objects.get(pk=sid))
    found, asked = read_often(sid)
    assert asked == ["SELECT"] * (RUNS_BEFORE_PREPARING - 1) + ["EXECUTE"] * 3
    assert [columns(session) for session in found] == [expected] * len(found)


@pytest.mark.databases("postgresql")
def test_a_new_connection_is_begun_with_again(sid):
    read_often(sid)
    connection.close()
    found, asked = read_often(sid)
    assert asked[0] == "SELECT"
    assert asked[-1] == "EXECUTE"
    assert all(session.pk == sid for session in found)


@pytest.mark.databases("postgresql")
def test_inside_a_transaction_nothing_is_prepared(sid):
    read_often(sid)
    with transaction.atomic():
        _, asked = read_often(sid)
    assert set(asked) == {"SELECT"}


@pytest.mark.databases("postgresql")
def test_behind_a_pooler_nothing_is_prepared(sid, monkeypatch):
    monkeypatch.setitem(connection.settings_dict, "DISABLE_SERVER_SIDE_CURSORS", True)
    _, asked = read_often(sid)
    assert set(asked) == {"SELECT"}


@pytest.mark.databases("postgresql")
def test_a_server_that_does_not_know_it_is_asked_plainly(sid):
    """As behind a pooler that hands each statement to another server."""
    read_often(sid)
    with connection.cursor() as cursor:
        cursor.execute("DEALLOCATE ALL")
    found, asked = read_often(sid)
    assert asked[0] == "EXECUTE"
    assert set(asked[1:]) == {"SELECT"}
    assert all(session.pk == sid for session in found)


@pytest.mark.databases("postgresql")
def test_a_name_that_is_taken_is_left_alone(sid):
    find_by_sid(sid)
    (statement,) = lookup._statements.values()
    name = statement.prepared.name
    connection.close()
    with connection.cursor() as cursor:
        cursor.execute(f"PREPARE {name} AS SELECT 'not a session'")
    found, asked = read_often(sid)
    assert set(asked) == {"SELECT"}
    assert all(session.pk == sid for session in found)


@pytest.mark.databases("postgresql")
def test_a_lost_connection_is_said_so_and_not_tried_twice(sid):
    read_often(sid)
    pid = connection.connection.info.backend_pid
    other = connection.copy()
    with other.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s)", [pid])
    other.close()
    with pytest.raises(StoreUnavailable):
        find_by_sid(sid)
    connection.close()
    assert find_by_sid(sid).session.pk == sid


@pytest.mark.databases("sqlite", "mariadb")
def test_elsewhere_nothing_is_prepared(sid):
    _, asked = read_often(sid)
    assert set(asked) == {"SELECT"}
