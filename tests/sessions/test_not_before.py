"""Ending all sessions in one write: every door refuses at once, and the rows follow."""

import threading
from dataclasses import replace
from datetime import timedelta
from functools import partial
from io import StringIO

import pytest
from django.contrib.auth import get_user_model, update_session_auth_hash
from django.contrib.auth.models import AnonymousUser
from django.core.management import call_command
from django.db import connections, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from authx.core.actor import NOBODY
from authx.core.revocation_log import NAME_OF_EVERYBODY, end_reason, mark, merge_entries, names_for_token
from authx.errors import KeyUnknown
from authx.gate import verify_access_token
from authx.gate.revocation import sources
from authx.gate.revocation.window import window
from authx.http.django_session import BOUND_KEY
from authx.http.request_state import request_state
from authx.identity.password_change import own_password_change
from authx.identity.visit import visit_of
from authx.issuer.introspection import introspect
from authx.issuer.revocation_feed import endings_since
from authx.models import DeviceSession, NotBeforeMark, RevocationLogEntry, SessionEvent
from authx.sessions import (
    end_everyone,
    end_session,
    end_user_sessions,
    not_before,
    open_session,
    recognize,
    refresh_session,
)
from authx.sessions.continuing import continue_after_password_change, continue_session
from authx.sessions.liveness import end_of
from authx.sessions.lookup import find_by_sid
from authx.sessions.not_before import catch_up, prune_marks
from authx.sessions.queries import live_sessions
from authx.signals import device_session_ended
from authx.store import revocation_log
from tests.core.test_access_token import CLAIMS
from tests.gate.test_stores import NAMES, QUICK, choose
from tests.racing import race
from tests.reading import reason_of

WHOAMI = "/api/whoami/"


@pytest.fixture
def only_mark(monkeypatch):
    """The mark is written, and the process dies before any row follows."""
    monkeypatch.setattr(not_before, "end_together", lambda *args, **kwargs: iter(()))


def marks():
    return NotBeforeMark.objects.exclude(number=0)


# --- one write


def test_everybody_ends_and_who_comes_after_does_not(ada, bob):
    theirs = [open_session(user) for user in (ada, ada, bob)]
    assert end_everyone("kicked", note="leak") == 3
    newer = open_session(ada)
    for one in theirs:
        assert reason_of(lambda one=one: recognize(one.access_token)) == "kicked"
        assert reason_of(lambda one=one: refresh_session(one.refresh_token)) == "kicked"
    assert recognize(newer.access_token) == newer.session
    assert refresh_session(newer.refresh_token).session == newer.session


def test_one_user_ends_and_nobody_else(ada, bob):
    hers, his = open_session(ada), open_session(bob)
    assert end_user_sessions(ada, "kicked") == 1
    assert reason_of(lambda: recognize(hers.access_token)) == "kicked"
    assert recognize(his.access_token) == his.session
    assert recognize(open_session(ada).access_token)


def test_the_rows_say_who_ended_them_and_why(ada, admin, rf):
    session = open_session(ada).session
    told = []

    def listen(session, reason, by, **kwargs):
        told.append((session.pk, reason, by))

    device_session_ended.connect(listen)
    try:
        end_everyone("kicked", by=admin, note="leak", request=rf.get("/", REMOTE_ADDR="203.0.113.7"))
    finally:
        device_session_ended.disconnect(listen)
    session.refresh_from_db()
    assert (session.end_reason, session.ended_by) == ("kicked", admin)
    event = session.events.get(kind=SessionEvent.Kind.ENDED)
    assert (event.actor, event.note, event.ip) == (admin, "leak", "203.0.113.7")


@pytest.mark.django_db(transaction=True)
def test_it_is_announced_once_it_is_committed(ada):
    session, told = open_session(ada).session, []

    def listen(session, reason, by, **kwargs):
        told.append((session.pk, reason))

    device_session_ended.connect(listen)
    try:
        with transaction.atomic():
            end_everyone("kicked")
            assert told == []
    finally:
        device_session_ended.disconnect(listen)
    assert told == [(session.pk, "kicked")]


@pytest.mark.parametrize("users", [1, 7])
def test_what_refuses_them_is_one_write_however_many_they_are(make_user, only_mark, users):
    for number in range(users):
        open_session(make_user(f"user{number}"))
    connection = connections["default"]
    with CaptureQueriesContext(connection) as captured:
        end_everyone("kicked")
    writes = [query["sql"] for query in captured if query["sql"].startswith(("INSERT", "UPDATE", "DELETE"))]
    assert len(writes) <= 5  # its turn, which the first makes; the line of the log; the mark
    assert not any(DeviceSession._meta.db_table in sql for sql in writes)
    assert not DeviceSession.objects.live().exists()


def test_a_reason_that_is_none_ends_nobody(ada):
    session = open_session(ada).session
    with pytest.raises(ValueError, match="because"):
        end_everyone("because")
    assert DeviceSession.objects.live().get() == session


@pytest.mark.parametrize("nobody", [None, AnonymousUser(), "unsaved"])
def test_nobodys_sessions_are_not_everybodys(ada, nobody):
    session = open_session(ada).session
    with pytest.raises(ValueError, match="not saved"):
        end_user_sessions(get_user_model()() if nobody == "unsaved" else nobody, "kicked")
    assert DeviceSession.objects.live().get() == session


# --- before the rows follow


@pytest.fixture
def marked(ada, only_mark):
    """Credentials of a session that a mark has ended, and whose row does not say so."""
    credentials = open_session(ada)
    assert end_everyone("kicked") == 0
    assert DeviceSession.objects.get().ended_at is None
    return credentials


def test_every_question_is_answered_as_if_they_did(marked, ada):
    assert reason_of(lambda: recognize(marked.access_token)) == "kicked"
    assert reason_of(lambda: verify_access_token(marked.access_token)) == "kicked"
    assert reason_of(lambda: refresh_session(marked.refresh_token)) == "kicked"
    assert introspect(marked.access_token) is None
    assert introspect(marked.refresh_token) is None
    assert live_sessions(ada) == []
    assert not DeviceSession.objects.live().exists()
    assert end_of(find_by_sid(marked.session.pk)) == "kicked"
    assert end_session(marked.session, "logout") is False


def test_the_pages_send_them_away(client, ada, only_mark):
    client.force_login(ada)
    assert client.get("/whoami/").json()["user"] == "ada"
    end_everyone("kicked")
    assert client.get("/whoami/").json()["user"] is None
    client = Client()
    client.force_login(ada)
    assert client.get("/whoami/").json()["user"] == "ada"


def test_a_django_session_alone_is_no_way_in(ada, only_mark):
    """One whose cookies have not come back yet."""
    client = Client()
    client.force_login(ada)
    end_everyone("kicked")
    for _ in range(2):
        assert client.get("/whoami/").json()["user"] is None


def test_nor_is_an_adopted_one(ada, only_mark, settings):
    settings.AUTHX_BIND_DJANGO_LOGIN = False
    client = Client()
    client.force_login(ada)  # as before authx was installed
    session = client.session
    session.pop(BOUND_KEY, None)
    session.save()
    settings.AUTHX_BIND_DJANGO_LOGIN = True
    copied = client.cookies["sessionid"].value
    assert client.get("/whoami/").json()["user"] == "ada"
    assert DeviceSession.objects.get().adopted_from
    end_everyone("kicked")
    thief = Client()
    thief.cookies["sessionid"] = copied
    assert thief.get("/whoami/").json()["user"] is None


def test_a_step_up_says_why_it_is_too_late(ada, only_mark):
    session = open_session(ada).session
    end_everyone("kicked")
    proof = lambda: continue_session(session, NOBODY, methods=["pwd"], came_back=True)  # noqa: E731
    assert reason_of(proof) == "kicked"


def test_who_changes_a_password_after_the_kick_is_not_let_back_in(ada, only_mark, rf):
    """The row has ended as password_changed before the mark; the response would open another session."""
    client = Client()
    client.force_login(ada)
    assert client.get("/whoami/").json()["user"] == "ada"
    request = client.get("/whoami/").wsgi_request
    visit = visit_of(request)
    assert request.user == ada  # before the kick
    ada.set_password("another")
    ada.save()
    update_session_auth_hash(request, ada)
    end_user_sessions(ada, "kicked")
    assert own_password_change(request, visit.identity, request_state(request)) is None


@pytest.mark.parametrize("everybody", [False, True])
def test_nor_where_the_kick_comes_between_that_look_and_the_new_session(ada, only_mark, everybody):
    session = open_session(ada).session
    end_session(session, "password_changed")
    found = find_by_sid(session.pk)
    assert not found.is_marked
    end_everyone("kicked") if everybody else end_user_sessions(ada, "kicked")
    assert continue_after_password_change(found.session, NOBODY, came_back=True) is None
    assert not DeviceSession.objects.live().exists()


def test_the_api_says_why(marked, api):
    answer = api.get(WHOAMI, headers={"Authorization": f"Bearer {marked.access_token}"})
    assert (answer.status_code, answer.data["code"], answer.data["reason"]) == (
        401,
        "session_ended",
        "kicked",
    )


def test_limits_do_not_count_them(marked, ada, settings):
    settings.AUTHX_SESSION_LIMITS = [{"types": ["other"], "limit": 1, "when_full": "refuse"}]
    assert recognize(open_session(ada).access_token)


def test_the_admin_shows_them_as_ended(marked, client, admin):
    client.force_login(admin)
    listed = client.get("/admin/authx/devicesession/").content.decode()
    assert "Kicked out</span>" in listed
    shown = client.get(f"/admin/authx/devicesession/{marked.session.pk}/change/").content.decode()
    assert "<code>kicked</code>" in shown
    live = client.get("/admin/authx/devicesession/?status=live").content.decode()
    assert str(marked.session.pk) not in live
    ended = client.get("/admin/authx/devicesession/?status=ended").content.decode()
    assert str(marked.session.pk) in ended


def test_staff_see_them_as_ended(marked, api, admin):
    client = api
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {open_session(admin).access_token}")
    live = client.get("/api/auth/staff/sessions/").data
    assert str(marked.session.pk) not in [one["id"] for one in live]
    (ended,) = client.get("/api/auth/staff/sessions/?status=ended").data
    assert (ended["id"], ended["end_reason"]) == (str(marked.session.pk), "kicked")


def test_a_later_mark_changes_no_reason(marked):
    end_everyone("password_changed")
    assert reason_of(lambda: recognize(marked.access_token)) == "kicked"


def test_what_had_expired_before_says_so_everywhere(ada, only_mark):
    credentials = open_session(ada)
    DeviceSession.objects.update(idle_expires_at=timezone.now() - timedelta(minutes=1))
    end_everyone("kicked")
    assert reason_of(lambda: recognize(credentials.access_token)) == "idle"
    assert DeviceSession.objects.with_marks().get().ended_reason() == "idle"
    assert not DeviceSession.objects.ended().exists()


def test_no_clock_lets_anybody_back_in(ada, only_mark):
    """The mark's clock was ahead of ours, and the session would have expired by then."""
    credentials = open_session(ada)
    now = timezone.now()
    DeviceSession.objects.update(idle_expires_at=now + timedelta(seconds=10))
    end_everyone("kicked", now=now + timedelta(seconds=20))
    assert reason_of(lambda: recognize(credentials.access_token)) == "idle"
    assert reason_of(lambda: refresh_session(credentials.refresh_token)) == "idle"


def test_a_mark_that_was_pruned_in_between_lets_nobody_in(ada, only_mark):
    """The row is read; another process catches up with it and prunes the mark; then the mark is asked for."""
    credentials = open_session(ada)
    end_everyone("kicked")
    pruned = []

    def between(execute, sql, params, many, context):
        if not pruned and "authx_notbeforemark" in sql and "EXISTS" not in sql:
            pruned.append(sql)
            DeviceSession.objects.update(ended_at=timezone.now(), end_reason="kicked")
            marks().delete()
        return execute(sql, params, many, context)

    with connections["default"].execute_wrapper(between):
        assert reason_of(lambda: recognize(credentials.access_token)) == "kicked"
    assert pruned


# --- the rows that follow


def test_a_catching_up_that_was_cut_short_is_finished_by_pruning(marked, monkeypatch):
    monkeypatch.undo()
    call_command("authx_prune", pause=0, stdout=StringIO())
    row = DeviceSession.objects.get()
    assert (row.end_reason, row.ended_at) == ("kicked", marks().get().at)
    assert row.events.filter(kind=SessionEvent.Kind.ENDED).count() == 1
    call_command("authx_prune", pause=0, stdout=StringIO())
    assert row.events.filter(kind=SessionEvent.Kind.ENDED).count() == 1


def test_the_first_mark_is_what_the_rows_tell_of(ada, only_mark, monkeypatch):
    open_session(ada)
    end_everyone("kicked")
    later = open_session(ada)
    end_everyone("password_changed")
    monkeypatch.undo()
    assert list(catch_up(10)) == [1, 1]
    told = dict(DeviceSession.objects.values_list("pk", "end_reason"))
    assert told.pop(later.session.pk) == "password_changed"
    assert list(told.values()) == ["kicked"]


@pytest.mark.parametrize("batch", [1, 2, 3, 100])
def test_they_follow_in_batches(ada, only_mark, monkeypatch, batch):
    for _ in range(5):
        open_session(ada)
    end_everyone("kicked")
    monkeypatch.undo()
    counts = list(catch_up(batch))
    assert sum(counts) == 5
    assert max(counts) == min(batch, 5)


def test_who_was_ended_meanwhile_keeps_the_first_word(ada, monkeypatch):
    sessions = [open_session(ada).session for _ in range(3)]
    real = not_before.end_together

    def meanwhile(found, *args, **kwargs):
        DeviceSession.objects.filter(pk=sessions[1].pk).update(ended_at=timezone.now(), end_reason="logout")
        return real(found, *args, **kwargs)

    monkeypatch.setattr(not_before, "end_together", meanwhile)
    assert end_everyone("kicked") == 2
    assert DeviceSession.objects.get(pk=sessions[1].pk).end_reason == "logout"
    assert sessions[1].events.filter(kind=SessionEvent.Kind.ENDED).count() == 0


@pytest.mark.django_db(transaction=True)
@pytest.mark.databases("postgresql", "mariadb")
def test_one_that_ends_between_two_statements_costs_the_others_nothing(ada):
    """The batch's one UPDATE finds fewer than were counted: then each on its own."""
    sessions = [open_session(ada).session for _ in range(4)]
    done = threading.Event()

    def elsewhere():
        # As a logout does whose statement found it live, before the mark was committed.
        this = DeviceSession.objects.filter(pk=sessions[2].pk)
        this.update(ended_at=timezone.now(), end_reason="logout")
        connections.close_all()
        done.set()

    seen = []

    def between(execute, sql, params, many, context):
        if sql.startswith("UPDATE") and not seen:
            seen.append(sql)
            threading.Thread(target=elsewhere).start()
            assert done.wait(10)
        return execute(sql, params, many, context)

    with connections["default"].execute_wrapper(between):
        assert end_everyone("kicked") == 3
    reasons = dict(DeviceSession.objects.values_list("pk", "end_reason"))
    assert reasons.pop(sessions[2].pk) == "logout"
    assert set(reasons.values()) == {"kicked"}


def test_marks_are_kept_until_nothing_from_before_can_be_left(ada, only_mark):
    open_session(ada)
    end_everyone("kicked")
    now = timezone.now()
    end_everyone("kicked")
    assert prune_marks(now=now + 2 * window() - timedelta(minutes=1)) == 0
    assert prune_marks(now=now + 2 * window() + timedelta(minutes=1)) == 1
    assert prune_marks(now=now + 20 * window()) == 0  # the newest stays, so that no era goes back
    assert open_session(ada).session.not_before_number == marks().get().number == 2


@pytest.mark.parametrize("whose", [end_everyone, None], ids=["everybody", "one user"])
def test_eras_of_a_table_that_was_lost_are_ended_all_the_same(ada, whose):
    for _ in range(3):
        end_everyone("kicked")
    credentials = open_session(ada)
    assert credentials.session.not_before_number == 3
    NotBeforeMark.objects.all().delete()
    RevocationLogEntry.objects.all().delete()
    later = open_session(ada)
    assert later.session.not_before_number == 0
    assert (whose("kicked") if whose else end_user_sessions(ada, "kicked")) == 2
    for one in (credentials, later):
        assert reason_of(lambda one=one: recognize(one.access_token)) == "kicked"
    assert recognize(open_session(ada).access_token)


# --- logins and refreshes at the same moment


@pytest.mark.django_db(transaction=True)
@pytest.mark.databases("postgresql", "mariadb")  # SQLite has one writer at a time: the mark waits
def test_a_login_that_began_before_and_commits_after_is_not_spared(ada):
    opened, marked, told = threading.Event(), threading.Event(), []

    def login():
        with transaction.atomic():
            told.append(open_session(ada))
            opened.set()
            assert marked.wait(10)
        connections.close_all()

    thread = threading.Thread(target=login)
    thread.start()
    assert opened.wait(10)
    assert end_everyone("kicked") == 0  # it is not there yet
    marked.set()
    thread.join()
    assert DeviceSession.objects.get().ended_at is None
    assert reason_of(lambda: recognize(told[0].access_token)) == "kicked"
    assert list(catch_up(10)) == [1]


@pytest.mark.django_db(transaction=True)
@pytest.mark.databases("postgresql", "mariadb")
def test_marks_commit_in_the_order_of_their_numbers(ada, bob):
    """Or a session opened between two of them would be of a later era than a mark that is yet to come."""
    written, go, done = threading.Event(), threading.Event(), threading.Event()

    def slow():
        with transaction.atomic():
            end_user_sessions(ada, "kicked")
            written.set()
            assert go.wait(10)
        connections.close_all()

    def quick():
        end_user_sessions(bob, "kicked")
        done.set()
        connections.close_all()

    threads = [threading.Thread(target=slow), threading.Thread(target=quick)]
    threads[0].start()
    assert written.wait(10)
    threads[1].start()
    assert not done.wait(0.3)
    between = open_session(ada)  # before the first of them has committed
    go.set()
    for thread in threads:
        thread.join()
    assert done.is_set()
    assert reason_of(lambda: recognize(between.access_token)) == "kicked"
    assert list(marks().order_by("number").values_list("number", "subject")) == [
        (1, str(ada.pk)),
        (2, str(bob.pk)),
    ]


@pytest.mark.django_db(transaction=True)
def test_the_first_marks_of_all_may_come_at_once(make_user):
    users = [make_user(f"user{number}") for number in range(4)]
    race(*(partial(end_user_sessions, user, "kicked") for user in users))
    assert sorted(marks().values_list("number", flat=True)) == [1, 2, 3, 4]


@pytest.mark.django_db(transaction=True)
def test_logins_at_the_same_time_are_before_or_after_it(make_user):
    """Whoever returned from a login before the mark was begun is out; whoever began one after it is in."""
    users = [make_user(f"user{number}") for number in range(4)]
    before = [open_session(user) for user in users]
    start = threading.Barrier(5)

    def login(user):
        start.wait()
        during.append(open_session(user))
        connections.close_all()

    during = []
    threads = [threading.Thread(target=login, args=(user,)) for user in users]
    for thread in threads:
        thread.start()
    start.wait()
    end_everyone("kicked")
    after = [open_session(user) for user in users]
    for thread in threads:
        thread.join()
    for one in before:
        assert reason_of(lambda one=one: recognize(one.access_token)) == "kicked"
    for one in after:
        assert recognize(one.access_token) == one.session
    list(catch_up(100))
    for one in during:  # one or the other, and every place agrees
        row = DeviceSession.objects.get(pk=one.session.pk)
        if row.ended_at is None:
            assert recognize(one.access_token) == row
        else:
            assert reason_of(lambda one=one: recognize(one.access_token)) == "kicked"


# --- copies, Redis and services


@pytest.fixture(params=QUICK, ids=NAMES)
def quick(request, settings, transactional_db):
    sources._copies.clear()  # marks of another test's database, whose numbers are as good here
    choose(settings, *request.param)


def test_copies_refuse_without_a_line_for_each(quick, make_user):
    theirs = [open_session(make_user(f"user{number}")) for number in range(5)]
    for one in theirs:
        assert verify_access_token(one.access_token)
    end_everyone("kicked")
    assert RevocationLogEntry.objects.count() == 1
    for one in theirs:
        assert reason_of(lambda one=one: verify_access_token(one.access_token)) == "kicked"


def test_one_users_sessions_have_lines_too_for_readers_that_know_no_marks(transactional_db, ada, bob):
    hers = {str(open_session(ada).session.pk) for _ in range(3)}
    open_session(bob)
    end_user_sessions(ada, "kicked")
    told = endings_since("")
    assert {sid for sid, _reason in told["endings"]} == hers
    assert len(told["not_before"]) == 1


def test_who_comes_after_is_not_even_looked_up(quick, ada, settings):
    settings.AUTHX_REVOCATION_LAG *= 60  # a machine that stands still for a second must not matter here
    old = open_session(ada)
    end_everyone("kicked")
    new = open_session(ada)
    assert reason_of(lambda: verify_access_token(old.access_token)) == "kicked"
    with CaptureQueriesContext(connections["default"]) as asked:  # the log, if a reading of it is due
        verify_access_token(new.access_token)
    assert not any(DeviceSession._meta.db_table in query["sql"] for query in asked)


def test_one_users_mark_is_nobody_elses(quick, ada, bob):
    hers, his = open_session(ada), open_session(bob)
    verify_access_token(hers.access_token)
    end_user_sessions(ada, "kicked")
    assert reason_of(lambda: verify_access_token(hers.access_token)) == "kicked"
    verify_access_token(his.access_token)


@pytest.mark.parametrize("lag", [timedelta(0), timedelta(seconds=1)])
def test_garbage_in_redis_is_a_question_for_the_database(transactional_db, settings, ada, lag):
    choose(settings, "redis", lag)
    opened = open_session(ada)
    verify_access_token(opened.access_token)
    store = sources._redis("sessions", "default")
    for told in ("", "x", "x:kicked", ":"):
        store._client.execute_command("HSET", store.key, "*", told)
        sources._copies.clear()
        assert verify_access_token(opened.access_token)
    end_everyone("kicked")
    assert reason_of(lambda: verify_access_token(opened.access_token)) == "kicked"


def test_of_two_marks_the_later_counts(quick, ada):
    first = open_session(ada)
    verify_access_token(first.access_token)
    end_user_sessions(ada, "kicked")
    second = open_session(ada)
    verify_access_token(second.access_token)
    end_user_sessions(ada, "kicked")
    third = open_session(ada)
    for one in (first, second):
        assert reason_of(lambda one=one: verify_access_token(one.access_token)) == "kicked"
    verify_access_token(third.access_token)


def test_the_feed_tells_of_marks(transactional_db, ada):
    gone = open_session(ada).session
    end_session(gone, "logout")
    cursor = endings_since("")["cursor"]
    end_user_sessions(ada, "kicked")
    end_everyone("kicked")
    hers, all_ = marks().order_by("number")
    told = endings_since(cursor)
    assert told["endings"] == []
    assert told["not_before"] == [(str(ada.pk), hers.number, "kicked"), (None, all_.number, "kicked")]


def test_marks_that_commit_out_of_order_are_both_told(transactional_db):
    log = revocation_log.EndedLog()
    log.read()
    RevocationLogEntry.objects.create(
        pk=1007, subject_key=NAME_OF_EVERYBODY, value="7:kicked", at=timezone.now()
    )
    assert log.read().ended == {NAME_OF_EVERYBODY: "7:kicked"}
    RevocationLogEntry.objects.create(
        pk=1005, subject_key=NAME_OF_EVERYBODY, value="5:logout", at=timezone.now()
    )
    assert log.read().ended == {NAME_OF_EVERYBODY: "5:logout"}
    assert merge_entries([(NAME_OF_EVERYBODY, "5:logout")], {NAME_OF_EVERYBODY: "7:kicked"}) == {
        NAME_OF_EVERYBODY: "7:kicked"
    }


# --- facts


@pytest.mark.parametrize(
    ("era", "told", "reason"),
    [
        (None, {}, None),
        (None, {"*": mark(1, "kicked")}, "kicked"),
        (1, {"*": mark(1, "kicked")}, None),
        (1, {"*": mark(2, "kicked")}, "kicked"),
        (7, {"@7": mark(8, "kicked"), "*": mark(6, "logout")}, "kicked"),
        (7, {"@7": mark(6, "kicked"), "*": mark(8, "logout")}, "logout"),
        (7, {"@8": mark(9, "kicked")}, None),
        (7, {"own": "reused", "*": mark(8, "logout")}, "reused"),
        (7, {"other": "reused"}, None),
        (9, {"*": mark(10, "kicked")}, "kicked"),  # numbers, not words
    ],
)
def test_a_mark_ends_what_is_of_an_earlier_era(era, told, reason):
    claims = replace(CLAIMS, sid="own", sub="7", era=era)
    assert end_reason(claims, [told.get(name) for name in names_for_token(claims)]) == reason


def test_a_withdrawn_key_ends_the_matter():
    claims = replace(CLAIMS, kid="k1")
    with pytest.raises(KeyUnknown):
        end_reason(claims, [{"!k1": ""}.get(name) for name in names_for_token(claims)])
    assert end_reason(claims, [{"!k2": ""}.get(name) for name in names_for_token(claims)]) is None


# --- the command


def test_the_command_ends_everybody_in_one_write_and_then_the_rows(ada, bob):
    for user in (ada, bob):
        open_session(user)
    out = StringIO()
    call_command("authx_end", all=True, note="leak", stdout=out)
    assert out.getvalue() == "2 sessions ended.\n"
    assert marks().get().subject == ""
    assert set(DeviceSession.objects.values_list("end_reason", flat=True)) == {"kicked"}


def test_a_browser_that_is_sent_away_is_told_why(ada, only_mark):
    client = Client()
    client.force_login(ada)
    client.get("/whoami/")
    end_everyone("kicked")
    assert "administrator" in client.get("/account/login/", follow=True).content.decode()
