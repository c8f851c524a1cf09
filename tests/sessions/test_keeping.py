"""Ending all sessions of a user but one: the others are refused everywhere, and that one nowhere."""

import json
from datetime import timedelta
from functools import partial

import pytest
from django.test import Client

from authx.core.actor import NOBODY
from authx.core.revocation_log import end_reason, mark, names_for_token, read_mark
from authx.gate import verify_access_token
from authx.gate.revocation.remote import RemoteFeed
from authx.issuer.introspection import introspect
from authx.issuer.revocation_feed import endings_since
from authx.models import DeviceSession, NotBeforeMark, RevocationLogEntry, SessionEvent
from authx.sessions import (
    end_everyone,
    end_session,
    end_user_sessions,
    new_devices,
    not_before,
    open_session,
    recognize,
    refresh_session,
)
from authx.sessions.continuing import continue_session
from authx.signals import device_session_ended
from tests.gate.test_stores import NAMES, QUICK, choose
from tests.racing import race
from tests.reading import reason_of

REASON = "credentials_changed"


@pytest.fixture(params=[("database", timedelta(0)), *QUICK], ids=["database", *NAMES])
def store(request, settings, transactional_db):
    """Each store in turn, filled and asked by this process."""
    choose(settings, *request.param)


@pytest.fixture
def hers(transactional_db, ada):
    """Three sessions of Ada's: the first is the one in her hand."""
    return [open_session(ada) for _ in range(3)]


def reasons_at_service(*all_credentials):
    """What a service that has just read the feed, over JSON, says of each access token."""

    def fetch(url, **kwargs):
        return json.loads(json.dumps(endings_since("")))

    known = RemoteFeed("https://issuer.example/revocations/", fetch=fetch).read().ended
    found = [credentials.claims for credentials in all_credentials]
    return [end_reason(claims, [known.get(name) for name in names_for_token(claims)]) for claims in found]


def test_the_others_end_and_this_one_does_not(store, ada, hers):
    kept, *others = hers
    for one in hers:
        verify_access_token(one.access_token)
    assert end_user_sessions(ada, REASON, by=ada, keep=kept.session) == 2
    for one in others:
        assert reason_of(lambda one=one: verify_access_token(one.access_token)) == REASON
        assert reason_of(lambda one=one: refresh_session(one.refresh_token)) == REASON
    assert verify_access_token(kept.access_token) == kept.claims
    assert recognize(kept.access_token) == kept.session
    renewed = refresh_session(kept.refresh_token)
    assert recognize(renewed.access_token) == kept.session
    assert reasons_at_service(*hers, renewed) == [None, REASON, REASON, None]


def test_while_the_rows_have_not_followed_too(store, ada, hers, monkeypatch):
    monkeypatch.setattr(not_before, "end_together", lambda *args, **kwargs: iter(()))
    kept, *others = hers
    end_user_sessions(ada, REASON, keep=kept.session)
    assert not DeviceSession.objects.filter(end_reason=REASON).exists()
    for one in others:
        assert reason_of(lambda one=one: verify_access_token(one.access_token)) == REASON
    assert verify_access_token(kept.access_token)
    assert reasons_at_service(*hers) == [None, REASON, REASON]
    assert list(DeviceSession.objects.live()) == [kept.session]


def test_where_the_database_does_not_answer_a_copy_knows_it_too(settings, ada, hers):
    """As far as it is known: the entries themselves, not a question to the row."""
    kept, other, _ = hers
    end_user_sessions(ada, REASON, keep=kept.session)
    value = RevocationLogEntry.objects.get(subject_key=f"@{ada.pk}").value
    assert read_mark(value) == (NotBeforeMark.objects.get(reason=REASON).number, REASON, str(kept.session.pk))
    assert end_reason(kept.claims, [None, value, None, None]) is None
    assert end_reason(other.claims, [None, value, None, None]) == REASON


def test_a_login_in_progress_is_no_exception(ada, hers, monkeypatch):
    found = new_devices.foresee(ada, "", None)
    end_user_sessions(ada, REASON, keep=hers[0].session)
    monkeypatch.setattr("authx.sessions.opening.foresee", lambda *asked: found)
    assert reason_of(lambda: recognize(open_session(ada).access_token)) == REASON


def test_a_later_mark_ends_it_whomever_that_one_keeps(store, ada, hers):
    first = hers[0]
    end_user_sessions(ada, REASON, keep=first.session)
    second = open_session(ada)
    verify_access_token(first.access_token)
    assert end_user_sessions(ada, REASON, keep=second.session) == 1
    assert reason_of(lambda: verify_access_token(first.access_token)) == REASON
    assert verify_access_token(second.access_token)
    assert reasons_at_service(first, second) == [REASON, None]
    assert end_user_sessions(ada, "kicked") == 1
    assert reasons_at_service(first, second) == ["credentials_changed", "kicked"]


def test_it_may_be_kept_again_and_again(store, ada, hers):
    kept = hers[0]
    for _ in range(3):
        end_user_sessions(ada, REASON, keep=kept.session)
    assert verify_access_token(kept.access_token)
    assert recognize(kept.access_token).not_before_number == 3
    end_everyone("kicked")
    assert reason_of(lambda: verify_access_token(kept.access_token)) == "kicked"


@pytest.mark.parametrize(
    "end",
    [lambda one, ada: end_session(one, "logout"), lambda one, ada: end_user_sessions(ada, "logout")],
    ids=["alone", "by a mark"],
)
def test_what_is_over_is_not_revived(store, ada, hers, end):
    kept = hers[0]
    end(kept.session, ada)
    end_user_sessions(ada, REASON, keep=kept.session)
    assert reason_of(lambda: verify_access_token(kept.access_token)) == "logout"
    assert None not in reasons_at_service(*hers)
    assert not DeviceSession.objects.live().exists()


def test_nor_what_has_expired(ada, hers):
    kept = hers[0]
    DeviceSession.objects.filter(pk=kept.session.pk).update(idle_expires_at=kept.now)
    assert end_user_sessions(ada, REASON, keep=kept.session) == 2
    assert reason_of(lambda: recognize(kept.access_token)) == "idle"
    assert reasons_at_service(kept) == [REASON]


def test_without_one_to_keep_all_end(ada, hers):
    assert end_user_sessions(ada, REASON, keep=None) == 3


def test_a_session_of_another_subject_may_be_kept_or_end(store, settings, ada, hers):
    """AUTHX_SUBJECT_FIELD was changed since: no mark ends those, so each is ended by itself."""
    kept, *others = hers
    DeviceSession.objects.update(subject="former")
    newer = open_session(ada)
    assert end_user_sessions(ada, REASON, keep=kept.session) == 3
    assert list(DeviceSession.objects.live()) == [kept.session]
    assert {one.session.pk for one in (newer, *others)} == set(
        DeviceSession.objects.filter(end_reason=REASON).values_list("pk", flat=True)
    )


def test_the_session_of_somebody_else_keeps_none(store, ada, bob, hers):
    """Whoever changes another's address in the admin, or follows a link of another's, acts from there."""
    his = open_session(bob)
    assert end_user_sessions(ada, REASON, by=bob, keep=his.session) == 3
    assert reasons_at_service(*hers, his) == [REASON, REASON, REASON, None]
    assert list(DeviceSession.objects.live()) == [his.session]
    assert recognize(his.access_token).not_before_number == 0


@pytest.mark.parametrize("end", [end_user_sessions, end_session], ids=["all", "one"])
def test_an_unknown_reason_is_answered_with_those_there_are(ada, hers, end):
    with pytest.raises(ValueError, match=r"'mfa_changed' is not a valid EndReason: .*credentials_changed"):
        end(ada if end is end_user_sessions else hers[0].session, "mfa_changed")
    assert DeviceSession.objects.live().count() == 3


def test_each_of_the_others_has_its_event_and_its_signal(ada, hers, rf):
    kept, *others = hers
    heard = []

    def listen(session, reason, by, **kwargs):
        heard.append((session.pk, reason, by))

    device_session_ended.connect(listen)
    try:
        request = rf.get("/", REMOTE_ADDR="203.0.113.7")
        end_user_sessions(ada, REASON, by=ada, request=request, keep=kept.session)
    finally:
        device_session_ended.disconnect(listen)
    assert sorted(heard) == sorted((one.session.pk, REASON, ada) for one in others)
    events = SessionEvent.objects.filter(kind=SessionEvent.Kind.ENDED)
    assert {event.session_id for event in events} == {one.session.pk for one in others}
    assert {(event.outcome, event.actor, event.ip) for event in events} == {(REASON, ada, "203.0.113.7")}


def test_introspection_says_the_same(ada, hers):
    kept, *others = hers
    end_user_sessions(ada, REASON, keep=kept.session)
    assert introspect(kept.access_token)
    assert introspect(kept.refresh_token)
    for one in others:
        assert introspect(one.access_token) is None
        assert introspect(one.refresh_token) is None


def test_a_browser_that_is_sent_away_reads_why(transactional_db, ada):
    here, there = Client(), Client()
    for browser in (here, there):
        browser.force_login(ada)
        browser.get("/whoami/")
    kept = DeviceSession.objects.get(pk=verify_access_token(here.cookies["__Host-authx_access"].value).sid)
    end_user_sessions(ada, REASON, keep=kept)
    assert "the way you sign in was changed" in there.get("/account/login/").content.decode()
    assert here.get("/whoami/").json()["user"] == str(ada)


@pytest.mark.parametrize("seed", range(4))
def test_two_devices_at_once_never_leave_a_third(seed, ada, hers):
    """One of them comes first; the one that it ended cannot keep itself."""
    first, second, third = hers
    race(*(partial(end_user_sessions, ada, REASON, keep=one.session) for one in (first, second)))
    assert DeviceSession.objects.live().count() <= 1
    assert reason_of(lambda: recognize(third.access_token)) == REASON


@pytest.mark.parametrize("seed", range(4))
def test_the_one_that_is_kept_may_refresh_meanwhile(seed, ada, hers):
    kept = hers[0]
    DeviceSession.objects.update(rotated_at=kept.now - timedelta(minutes=1))  # the grace is over
    refresh = partial(refresh_session, kept.refresh_token)
    renewed, ended = race(refresh, partial(end_user_sessions, ada, REASON, keep=kept.session))
    assert ended == 2
    assert recognize(renewed.access_token) == kept.session
    assert renewed.claims.gen == 2
    assert reasons_at_service(kept, renewed) == [None, None]


def step_up(credentials):
    return continue_session(credentials.session, NOBODY, methods=["pwd"], came_back=True)


def test_what_has_continued_it_since_is_kept(store, ada, hers):
    """The request had begun with the old session when another tab confirmed the password."""
    kept, *others = hers
    last = step_up(step_up(kept))
    assert end_user_sessions(ada, REASON, keep=kept.session) == 2
    assert list(DeviceSession.objects.live()) == [last.session]
    assert verify_access_token(last.access_token)
    assert reasons_at_service(last, *others) == [None, REASON, REASON]
    assert reason_of(lambda: verify_access_token(kept.access_token)) == "superseded"


def test_also_where_the_sessions_end_one_by_one(ada, hers):
    """AUTHX_SUBJECT_FIELD was changed since."""
    last = step_up(step_up(hers[0]))
    DeviceSession.objects.update(subject="former")
    assert end_user_sessions(ada, REASON, keep=hers[0].session) == 2
    assert list(DeviceSession.objects.live()) == [last.session]


def test_what_continues_it_afterwards_goes_on(store, ada, hers):
    kept = hers[0]
    end_user_sessions(ada, REASON, keep=kept.session)
    last = step_up(kept)
    assert verify_access_token(last.access_token)
    assert reasons_at_service(last) == [None]


def test_what_continues_somebody_elses_keeps_none(ada, bob, hers):
    his = open_session(bob)
    new = step_up(his)
    assert end_user_sessions(ada, REASON, by=bob, keep=his.session) == 3
    assert list(DeviceSession.objects.live()) == [new.session]
    assert recognize(new.access_token).not_before_number == 0


def test_one_that_nothing_may_continue_keeps_none(ada, hers):
    first = hers[0].session
    end_session(first, "password_changed")
    end_session(first, "kicked")  # before the response to the change
    assert end_user_sessions(ada, REASON, keep=first) == 2
    assert not DeviceSession.objects.live().exists()


@pytest.mark.parametrize("seed", range(8))
def test_the_one_that_is_kept_may_be_continued_meanwhile(seed, ada, hers):
    kept = hers[0]
    new, ended = race(partial(step_up, kept), partial(end_user_sessions, ada, REASON, keep=kept.session))
    assert ended == 2
    assert list(DeviceSession.objects.live()) == [new.session]
    assert recognize(new.access_token) == new.session
    assert reasons_at_service(new, *hers[1:]) == [None, REASON, REASON]


# --- facts


@pytest.mark.parametrize("kept", ["", "0192-a"])
def test_a_mark_is_read_as_it_was_written(kept):
    assert read_mark(mark(7, REASON, kept)) == (7, REASON, kept)
