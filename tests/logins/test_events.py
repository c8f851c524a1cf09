"""authx.logins.events: failures in the audit trail, enough of them to see an attack and no more."""

import pytest
from django.core.signals import request_finished
from django.db import DatabaseError, OperationalError, connection, transaction

from authx.logins.events import record_failure
from authx.models import DeviceSession, SessionEvent
from authx.sessions import open_session

Kind = SessionEvent.Kind
pytestmark = pytest.mark.django_db


@pytest.fixture
def record(rf):
    """Record a failed login, from an address of its own if it is given, or without a request."""

    def record(subject=None, *, address=None, kind=Kind.LOGIN_FAILED, **more):
        request = address and rf.post("/", REMOTE_ADDR=address, headers={"User-Agent": "Fox/1"})
        record_failure(kind, request, subject, **more)

    return record


def recorded(**wanted):
    return SessionEvent.objects.filter(**wanted).count()


def test_who_failed_where_and_why(record):
    record("7", address="203.0.113.7", kind=Kind.LOGIN_LIMITED, outcome="account")
    event = SessionEvent.objects.get()
    assert (event.kind, event.subject, event.outcome) == (Kind.LOGIN_LIMITED, "7", "account")
    assert (event.ip, event.user_agent, event.session, event.actor) == ("203.0.113.7", "Fox/1", None, None)


def test_what_nobody_knows_is_left_empty(record):
    record()
    event = SessionEvent.objects.get()
    assert (event.kind, event.subject, event.outcome) == (Kind.LOGIN_FAILED, "", "")
    assert (event.ip, event.user_agent, event.session) == (None, "", None)


def test_whose_proof_failed(record, ada):
    session = open_session(ada).session
    record(str(ada.pk), kind=Kind.PROOF_FAILED, session=session)
    assert SessionEvent.objects.get(kind=Kind.PROOF_FAILED).session == session == DeviceSession.objects.get()


def test_ten_an_hour_for_each_account_and_kind_whatever_the_address(record):
    for n in range(12):
        record("7", address=f"203.0.113.{n + 1}")
    record("8", address="203.0.113.1")
    record("7", kind=Kind.LOGIN_LIMITED)
    assert (recorded(subject="7", kind=Kind.LOGIN_FAILED), recorded(subject="8")) == (10, 1)
    assert recorded(subject="7", kind=Kind.LOGIN_LIMITED) == 1


def test_an_empty_subject_is_an_account_too(record):
    for _try in range(12):
        record("")
    record()
    assert recorded() == 11


def test_ten_an_hour_for_each_network_whatever_the_name(record):
    for n in range(12):
        record(address=f"2001:db8::{n}")
        record(address="203.0.113.7")
        record()
    assert recorded(ip="203.0.113.7") == 10
    assert recorded(ip__startswith="2001:db8::") == 10
    assert recorded(ip=None) == 10


def test_a_hundred_an_hour_for_all_strangers_together(record):
    for n in range(110):
        record(address=f"203.0.113.{n + 1}")
    record("7", address="203.0.113.1")
    assert (recorded(subject=""), recorded(subject="7")) == (100, 1)


def test_of_strangers_too_every_kind_is_counted_apart(record):
    for n in range(101):
        record(address=f"203.0.113.{n + 1}")
    record(address="198.51.100.7", kind=Kind.LOGIN_LIMITED)
    assert (recorded(kind=Kind.LOGIN_FAILED), recorded(kind=Kind.LOGIN_LIMITED)) == (100, 1)


def test_one_kind_from_an_address_leaves_room_for_another(record):
    for _try in range(11):
        record(address="198.51.100.7")
    record(address="198.51.100.7", kind=Kind.LOGIN_LIMITED)
    assert recorded() == 11


def test_strangers_do_not_use_up_what_an_account_has(record):
    for _try in range(10):
        record(address="203.0.113.7")
    record("address:203.0.113.7")
    record("strangers")
    assert recorded() == 12


def test_they_are_counted_by_the_hour(record, monkeypatch):
    now = 1_772_366_400.0
    monkeypatch.setattr("time.time", lambda: now)
    for _try in range(11):
        record("7")
        record(address="203.0.113.7")
    now += 3599
    record("7")
    record(address="203.0.113.7")
    assert recorded() == 20
    now += 1
    record("7")
    record(address="203.0.113.7")
    assert recorded() == 22


def test_so_are_all_strangers_together(record, monkeypatch):
    now = 1_772_366_400.0
    monkeypatch.setattr("time.time", lambda: now)
    for n in range(101):
        record(address=f"203.0.113.{n + 1}")
    now += 3599
    record(address="198.51.100.7")
    assert recorded() == 100
    now += 1
    record(address="198.51.100.7")
    assert recorded() == 101


def test_without_a_cache_none_is_written_lest_there_be_no_end(record, settings):
    settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.dummy.DummyCache"}}
    record("7")
    record(address="203.0.113.7")
    assert recorded() == 0


@pytest.mark.django_db(transaction=True)
def test_it_stays_where_the_request_is_rolled_back(record):
    with transaction.atomic():
        record("7")
        transaction.set_rollback(True)
    request_finished.send(sender=None)
    assert recorded(subject="7") == 1


def break_down(execute, sql, params, many, context):
    if "sessionevent" in sql:
        raise DatabaseError("the disk is full")
    return execute(sql, params, many, context)


def test_one_that_cannot_be_written_is_logged_and_refuses_nobody(record, caplog):
    with connection.execute_wrapper(break_down):
        record("7")
    (said,) = caplog.records
    assert (said.name, said.levelname, said.exc_info[0]) == ("authx", "ERROR", DatabaseError)
    assert "login_failed could not be recorded" in said.getMessage()
    assert recorded() == 0


@pytest.mark.django_db(transaction=True)
def test_one_that_a_busy_database_refuses_is_not_tried_again_while_somebody_waits(record, caplog):
    tries = []

    def refuse(execute, sql, params, many, context):
        if "sessionevent" in sql:
            tries.append(sql)
            raise OperationalError("database is locked")
        return execute(sql, params, many, context)

    with connection.execute_wrapper(refuse):
        record("7")
        request_finished.send(sender=None)
    assert (len(tries), len(caplog.records)) == (1, 1)
    assert recorded() == 0
