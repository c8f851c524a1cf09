"""authx.sessions.refreshing: every transition end to end, and what is left when something breaks."""

from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from django.contrib.auth import get_user_model
from django.db import DatabaseError, connection, transaction
from django.test import RequestFactory

from authx import signals
from authx.conf import secret_keys
from authx.core.refresh_token import read_refresh_token, write_refresh_token
from authx.errors import (
    RefreshConflict,
    RefreshMalformed,
    RefreshReused,
    SessionEnded,
    StoreUnavailable,
)
from authx.models import DeviceSession, SessionEvent
from authx.sessions import end_session, open_session, recognize, refresh_session
from authx.sessions.activity import record_use
from authx.sessions.credentials import with_new_access_token
from tests.faults_in_database import broken_audit, deadlocks, outage, read_only

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
GRACE = timedelta(seconds=30)
TICK = timedelta(microseconds=1)
LATER = GRACE + timedelta(minutes=1)
IDLE = timedelta(days=7, minutes=15)  # AUTHX_IDLE_LIFETIME, and the life of an access token
ABSOLUTE = timedelta(days=30)


@pytest.fixture
def opened(ada):
    return open_session(ada, now=START)


@pytest.fixture
def rotated(opened):
    """Generation 2, not yet seen in use; ``opened`` is spent."""
    return refresh_session(opened.refresh_token, now=START + LATER)


@pytest.fixture
def confirmed(rotated):
    """Generation 2, seen in use: T2."""
    session = recognize(rotated.access_token, now=START + LATER)
    DeviceSession.objects.filter(pk=session.pk).update(confirmed_generation=2)
    return rotated


@pytest.fixture
def heard():
    """The names of the signals sent, in order, with the reason they gave."""
    names = []

    def opened(sender, **told):
        names.append("opened")

    def ended(sender, reason, **told):
        names.append(f"ended: {reason}")

    def reused(sender, **told):
        names.append("reused")

    heard = {
        signals.device_session_opened: opened,
        signals.device_session_ended: ended,
        signals.refresh_reused: reused,
    }
    for signal, receiver in heard.items():
        signal.connect(receiver)
    yield names
    for signal, receiver in heard.items():
        signal.disconnect(receiver)


def row(credentials):
    """All that the database holds of the session, but when it last raised an alarm: the events say that."""
    found = DeviceSession.objects.filter(pk=credentials.session.pk).values().get()
    del found["alarm_at"]
    return found


def changed(before, after):
    return {name: value for name, value in after.items() if before[name] != value}


def events(credentials):
    found = SessionEvent.objects.filter(session=credentials.session.pk)
    return list(found.values_list("kind", "outcome", "note"))[1:]  # the first says it was opened


def token(credentials, generation, branch=7):
    """A genuine refresh token of any generation and branch of the session."""
    session = credentials.session
    return write_refresh_token(session.pk, generation, branch, bytes(session.salt), secret_keys())


def read(credentials):
    return read_refresh_token(credentials.refresh_token, secret_keys())


def branch_of(credentials):
    return read(credentials).branch


# T0


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"is_active": False}, "user_disabled"),
        ({"password": "md5$another$0123456789abcdef0123456789abcdef"}, "password_changed"),
    ],
)
def test_t0_what_a_bulk_update_did_to_the_user_ends_the_session_at_its_refresh(opened, change, reason):
    get_user_model()._default_manager.filter(pk=opened.session.user_id).update(**change)
    before = row(opened)
    with pytest.raises(SessionEnded) as refused:
        refresh_session(opened.refresh_token, now=START + LATER)
    assert refused.value.reason == reason
    assert changed(before, row(opened)) == {"ended_at": START + LATER, "end_reason": reason}
    assert events(opened) == [("ended", reason, "T0")]


def test_t0_a_user_that_is_gone_ends_the_session_at_its_refresh(opened):
    DeviceSession.objects.filter(pk=opened.session.pk).update(user=None)
    with pytest.raises(SessionEnded) as refused:
        refresh_session(opened.refresh_token, now=START + LATER)
    assert refused.value.reason == "user_deleted"
    assert events(opened) == [("ended", "user_deleted", "T0")]


# T1


def test_t1_after_the_grace_the_session_moves_on_by_one(opened):
    before, now = row(opened), START + LATER
    successor = refresh_session(opened.refresh_token, now=now)
    assert changed(before, row(opened)) == {
        "generation": 2,
        "confirmed_generation": 1,
        "rotated_at": now,
        "last_seen_at": now,
        "idle_expires_at": now + IDLE,
        "spent_branch": branch_of(opened),
    }
    assert (read(successor).sid, read(successor).generation) == (opened.session.pk, 2)
    assert branch_of(successor) != branch_of(opened)
    assert successor.refresh_cookie == successor.refresh_token
    assert (successor.claims.gen, successor.claims.sid) == (2, str(opened.session.pk))
    assert recognize(successor.access_token, now=now).pk == opened.session.pk
    assert events(opened) == [("refreshed", "T1", "")]


def test_t1_refreshing_never_goes_past_the_absolute_limit(opened):
    now, credentials = START, opened
    while now + timedelta(days=6) < START + ABSOLUTE:
        now += timedelta(days=6)
        credentials = refresh_session(credentials.refresh_token, now=now)
    assert row(opened)["idle_expires_at"] == row(opened)["expires_at"] == START + ABSOLUTE
    last = refresh_session(credentials.refresh_token, now=START + ABSOLUTE - timedelta(seconds=90))
    assert last.claims.expires_at == START + ABSOLUTE
    assert (last.expires_in, last.refresh_expires_in) == (90, 90)
    with pytest.raises(SessionEnded) as refused:
        refresh_session(last.refresh_token, now=START + ABSOLUTE)
    assert refused.value.reason == "expired"


# T1b


def test_t1b_within_the_grace_the_same_refresh_token_and_a_fresh_access_token(opened):
    before, now = row(opened), START + GRACE - TICK
    again = refresh_session(opened.refresh_token, now=now)
    assert again.refresh_token == opened.refresh_token
    assert again.refresh_cookie is None  # a late answer would put an old one back
    assert again.access_token != opened.access_token
    assert recognize(again.access_token, now=now).pk == opened.session.pk
    assert changed(before, row(opened)) == {"confirmed_generation": 1}
    assert events(opened) == []


def test_t1b_whichever_branch_is_presented_is_repeated_and_written_down_once(opened):
    before = row(opened)
    for branch in (7, 8, 7):
        presented = token(opened, 1, branch)
        assert refresh_session(presented, now=START + TICK).refresh_token == presented
    assert changed(before, row(opened)) == {"confirmed_generation": 1}
    assert events(opened) == []


def test_t1b_lasts_until_exactly_the_grace(opened):
    assert refresh_session(opened.refresh_token, now=START + GRACE - TICK).claims.gen == 1
    assert refresh_session(opened.refresh_token, now=START + GRACE).claims.gen == 2


# T3


def test_t3_a_burst_of_tabs_gets_the_same_generation_on_branches_of_their_own_and_nothing_changes(
    opened, rotated
):
    before, now = row(opened), START + LATER + GRACE - TICK
    tabs = [refresh_session(opened.refresh_token, now=now) for _ in range(9)]
    assert {read(tab).generation for tab in tabs} == {2}
    assert len({branch_of(tab) for tab in [rotated, *tabs]}) == 10
    assert {tab.refresh_cookie for tab in tabs} == {tab.refresh_token for tab in tabs}
    assert len({tab.access_token for tab in tabs}) == 9
    assert row(opened) == before
    assert events(opened) == [("refreshed", "T1", "")]


def test_t3_serves_tabs_although_another_has_used_the_successor_already(opened, confirmed):
    again = refresh_session(opened.refresh_token, now=START + LATER + GRACE - TICK)
    assert read(again).generation == 2
    assert events(opened) == [("refreshed", "T1", "")]


def test_t3_a_clock_put_back_revives_nothing(opened, confirmed):
    assert refresh_session(opened.refresh_token, now=START + LATER - GRACE + TICK).claims.gen == 2
    with pytest.raises(RefreshConflict):
        refresh_session(opened.refresh_token, now=START + LATER - GRACE)


# T4


def test_t4_an_answer_lost_days_ago_is_replayed_and_the_idle_limit_extended(opened, rotated):
    before, now = row(opened), START + LATER + timedelta(days=5)
    again = refresh_session(opened.refresh_token, now=now)
    assert (read(again).generation, branch_of(again) == branch_of(rotated)) == (2, False)
    assert changed(before, row(opened)) == {
        "rotated_at": now,
        "late_streak": 1,
        "late_at": now,
        "idle_expires_at": now + IDLE,
    }
    assert events(opened)[1:] == [("refreshed", "T4", "")]


def test_t4_a_session_that_lives_on_outlives_the_key_that_it_was_opened_under(opened, rotated, settings):
    """The old key is dropped once the sessions of its time have been idle too long; this one has not."""
    days = timedelta(days=1)
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "another-secret" * 4, [settings.SECRET_KEY]
    replayed = refresh_session(opened.refresh_token, now=START + 6 * days)
    settings.SECRET_KEY_FALLBACKS = []
    assert refresh_session(replayed.refresh_token, now=START + 8 * days).session == opened.session


def test_t4_each_counts_and_only_the_first_of_a_generation_is_recorded(opened, rotated):
    first = START + timedelta(days=5)
    refresh_session(opened.refresh_token, now=first)
    before, now = row(opened), START + timedelta(days=6)
    assert refresh_session(opened.refresh_token, now=now).claims.gen == 2
    assert changed(before, row(opened)) == {
        "rotated_at": now,
        "late_streak": 2,
        "idle_expires_at": now + IDLE,
    }
    assert row(opened)["late_at"] == first
    assert events(opened)[1:] == [("refreshed", "T4", "")]


def test_t4_ten_tabs_that_find_the_loss_all_go_on(opened, rotated):
    """The first of them is late, the others are within the grace that it begins."""
    now = START + timedelta(days=5)
    first = refresh_session(opened.refresh_token, now=now)
    DeviceSession.objects.update(confirmed_generation=2)  # T2, before the second has come
    tabs = [refresh_session(opened.refresh_token, now=now + timedelta(seconds=n)) for n in range(9)]
    assert {read(tab).generation for tab in [first, *tabs]} == {2}
    assert row(opened)["late_streak"] == 1


def lose_answers(opened, *minutes):
    for minute in minutes:
        refresh_session(opened.refresh_token, now=START + LATER + timedelta(minutes=minute))


def test_t4_the_sixth_of_one_generation_an_hour_after_the_first_ends_it_and_says_why(opened, rotated):
    lose_answers(opened, 10, 20, 30, 40, 50, 60)
    with pytest.raises(RefreshReused) as refused:
        lose_answers(opened, 70)
    assert refused.value.answers_lost
    kept = row(opened)
    assert (kept["end_reason"], kept["answers_lost"], kept["late_streak"]) == ("reused", True, 6)
    assert events(opened)[-1] == ("ended", "reused", "T4")
    with pytest.raises(SessionEnded) as refused:
        lose_answers(opened, 71)
    assert (refused.value.reason, refused.value.answers_lost) == ("reused", True)
    with pytest.raises(SessionEnded) as refused:
        recognize(rotated.access_token, now=START + LATER)
    assert (refused.value.reason, refused.value.answers_lost) == ("reused", True)


def test_t4_an_outage_of_under_an_hour_ends_nobody(opened, rotated):
    lose_answers(opened, *range(1, 60))
    assert row(opened)["late_streak"] == 59
    assert refresh_session(token(opened, 2), now=START + LATER + timedelta(minutes=60)).claims.gen == 3
    assert row(opened)["late_streak"] == 0


def test_reuse_of_any_other_kind_says_nothing_of_lost_answers(opened, rotated):
    lose_answers(opened, 1, 2, 3, 4, 5, 6)
    refresh_session(rotated.refresh_token, now=START + 10 * LATER)
    with pytest.raises(RefreshReused) as refused:
        refresh_session(opened.refresh_token, now=START + 10 * LATER)
    assert (refused.value.answers_lost, row(opened)["answers_lost"]) == (False, False)


# T3x

OWNER = RequestFactory().post("/", REMOTE_ADDR="203.0.113.7", headers={"user-agent": "Fox/1"})
COPIER = RequestFactory().post("/", REMOTE_ADDR="2001:db8::66", headers={"user-agent": "Fox/2"})


def test_t3x_the_thief_who_only_ever_comes_second_is_noted_and_then_ends_the_session(ada):
    owner = thief = open_session(ada, OWNER, now=START)
    now = START
    for _ in range(2):
        now += LATER
        spent, owner = owner, refresh_session(owner.refresh_token, OWNER, now=now)
        before = row(owner)
        thief = refresh_session(thief.refresh_token, COPIER, now=now + TICK)
        assert read(thief).generation == read(owner).generation
    assert changed(before, row(owner)) == {"twin_generation": 2, "twin_streak": 1}
    now += LATER
    newest = refresh_session(owner.refresh_token, OWNER, now=now)
    with pytest.raises(RefreshReused) as refused:
        refresh_session(thief.refresh_token, COPIER, now=now + TICK)
    assert not refused.value.answers_lost
    assert (row(owner)["twin_generation"], row(owner)["twin_streak"]) == (3, 2)
    for credentials in (spent, owner, newest):
        with pytest.raises(SessionEnded):
            refresh_session(credentials.refresh_token, now=now + TICK)


def test_t3x_the_event_names_both_addresses_and_both_user_agents(ada):
    opened = open_session(ada, now=START)
    refresh_session(opened.refresh_token, OWNER, now=START + LATER)
    refresh_session(token(opened, 1), COPIER, now=START + LATER + TICK)
    event = SessionEvent.objects.get(session=opened.session.pk, kind="copied")
    assert (event.outcome, event.at) == ("T3x", START + LATER + TICK)
    assert (event.ip, event.user_agent) == ("2001:db8::66", "Fox/2")
    assert (event.other_ip, event.other_user_agent) == ("203.0.113.7", "Fox/1")
    assert (event.actor_id, event.actor_label) == (None, "")


def test_t3x_where_the_event_of_the_rotation_was_pruned_the_other_place_is_that_of_the_login(ada):
    opened = open_session(ada, OWNER, now=START)
    refresh_session(opened.refresh_token, now=START + LATER)
    SessionEvent._base_manager.filter(outcome="T1")._raw_delete("default")
    refresh_session(token(opened, 1), COPIER, now=START + LATER + TICK)
    event = SessionEvent.objects.get(session=opened.session.pk, kind="copied")
    assert (event.other_ip, event.other_user_agent) == ("203.0.113.7", "Fox/1")


def test_t3x_a_copier_can_write_one_event_in_a_generation(opened, rotated):
    for branch in range(9):
        refresh_session(token(opened, 1, branch), now=START + LATER + TICK)
    outcomes = [(kind, outcome) for kind, outcome, _note in events(opened)]
    assert outcomes == [("refreshed", "T1"), ("flagged", "copied"), ("copied", "T3x")]


def test_t3x_a_late_twin_is_noted_with_the_replay_in_one_write(opened, rotated):
    before, now = row(opened), START + 2 * LATER
    assert refresh_session(token(opened, 1), now=now).claims.gen == 2
    assert changed(before, row(opened)) == {
        "rotated_at": now,
        "late_streak": 1,
        "late_at": now,
        "idle_expires_at": now + IDLE,
        "twin_generation": 1,
        "twin_streak": 1,
    }


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("trouble", [broken_audit, partial(deadlocks, 9)], ids=["audit", "row"])
def test_t3x_is_committed_before_anything_is_handed_out_or_nothing_is(opened, rotated, trouble):
    before = row(opened)
    with trouble(), pytest.raises((DatabaseError, StoreUnavailable)):
        refresh_session(token(opened, 1), now=START + LATER + TICK)
    assert row(opened) == before
    assert refresh_session(opened.refresh_token, now=START + LATER + TICK).claims.gen == 2


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("trouble", [broken_audit, partial(deadlocks, 9)], ids=["audit", "row"])
def test_t3x_beside_t5b_is_no_less_certain(opened, confirmed, trouble):
    now = START + LATER + GRACE
    with pytest.raises(RefreshConflict):
        refresh_session(opened.refresh_token, now=now)
    before = row(opened)
    with trouble(), pytest.raises((DatabaseError, StoreUnavailable)):
        refresh_session(token(opened, 1), now=now)
    with pytest.raises(RefreshConflict):
        refresh_session(token(opened, 1), now=now)
    assert changed(before, row(opened)) == {"twin_generation": 1, "twin_streak": 1}


# T5, T5b, T6


def test_t5_a_spent_token_whose_successor_is_in_use_is_a_conflict_and_struck(opened, confirmed):
    before, now = row(opened), START + LATER + GRACE
    with pytest.raises(RefreshConflict):
        refresh_session(opened.refresh_token, now=now)
    assert changed(before, row(opened)) == {"strike_generation": 1, "strike_at": now}
    assert events(opened)[1:] == [("flagged", "late_replay", ""), ("late_replay", "T5", "")]
    assert recognize(confirmed.access_token, now=now).pk == opened.session.pk


def test_t5b_within_the_grace_of_the_strike_nothing_changes_and_nothing_is_recorded(opened, confirmed):
    now = START + LATER + GRACE
    with pytest.raises(RefreshConflict):
        refresh_session(opened.refresh_token, now=now)
    before, said = row(opened), events(opened)
    for _ in range(3):
        with pytest.raises(RefreshConflict):
            refresh_session(opened.refresh_token, now=now + GRACE - TICK)
    assert (row(opened), events(opened)) == (before, said)


def test_t5_is_recorded_once_in_each_generation(opened, confirmed):
    now = START + LATER + GRACE
    for _ in range(3):
        with pytest.raises(RefreshConflict):
            refresh_session(opened.refresh_token, now=now)
    third = refresh_session(confirmed.refresh_token, now=now + TICK)
    DeviceSession.objects.filter(pk=opened.session.pk).update(confirmed_generation=3)  # T2
    assert third.claims.gen == 3
    for _ in range(3):
        with pytest.raises(RefreshConflict):
            refresh_session(confirmed.refresh_token, now=now + LATER)
    kinds = [outcome for kind, outcome, _note in events(opened) if kind != "flagged"]
    assert kinds == ["T1", "T5", "T1", "T5"]


def test_t6_after_the_grace_of_the_strike_it_is_reuse(opened, confirmed):
    now = START + LATER + GRACE
    with pytest.raises(RefreshConflict):
        refresh_session(opened.refresh_token, now=now)
    before = row(opened)
    with pytest.raises(RefreshReused):
        refresh_session(opened.refresh_token, now=now + GRACE)
    assert changed(before, row(opened)) == {"ended_at": now + GRACE, "end_reason": "reused"}
    assert events(opened)[-1] == ("ended", "reused", "T6")


# T7


def test_t7_two_generations_back_leaves_nothing_usable_of_the_session(opened, rotated):
    third = refresh_session(rotated.refresh_token, now=START + 2 * LATER)
    now = START + 2 * LATER + TICK  # well within the grace
    with pytest.raises(RefreshReused):
        refresh_session(opened.refresh_token, now=now)
    assert events(opened)[-1] == ("ended", "reused", "T7")
    for refresh_token in (opened.refresh_token, rotated.refresh_token, third.refresh_token):
        with pytest.raises(SessionEnded) as refused:
            refresh_session(refresh_token, now=now)
        assert refused.value.reason == "reused"
    for access_token in (rotated.access_token, third.access_token):
        with pytest.raises(SessionEnded):
            recognize(access_token, now=now)


def test_t7_generations_are_told_apart_within_one_instant(opened, settings):
    settings.AUTHX_REFRESH_GRACE = TICK
    second = refresh_session(opened.refresh_token, now=START + TICK)
    refresh_session(second.refresh_token, now=START + 2 * TICK)
    with pytest.raises(RefreshReused):
        refresh_session(opened.refresh_token, now=START + 2 * TICK)


# T8


def test_t8_a_restored_backup_is_caught_up_with_and_nobody_logged_out(opened):
    before, now = row(opened), START + LATER
    ahead = refresh_session(token(opened, 7, branch=9), now=now)
    assert read(ahead).generation == 8
    assert changed(before, row(opened)) == {
        "generation": 8,
        "confirmed_generation": 7,
        "rotated_at": now,
        "last_seen_at": now,
        "idle_expires_at": now + IDLE,
        "spent_branch": 9,
    }
    assert events(opened) == [("flagged", "state_rollback", ""), ("state_rollback", "T8", "")]


# T9


def forgeries(credentials):
    good = credentials.refresh_token
    payload, _, signature = good.partition(".")
    salt = bytes(32)
    session = credentials.session
    return {
        "another signature": good[:-2] + ("AA" if good[-2:] != "AA" else "QA"),
        "another payload": ("B" if good[0] == "A" else "A") + good[1:],
        "no signature": payload,
        "cut": good[:-1],
        "padded": good + "=",
        "spaced": f" {good}",
        "signature of another": payload + "." + signature[::-1],
        "an access token": credentials.access_token,
        "nothing": "",
        "None": None,
        "bytes": good.encode(),
        "a number": 7,
        "a NUL": good + "\0",
        "a surrogate": "\ud800" + good[1:],
        "without the salt": write_refresh_token(session.pk, 1, 7, salt, secret_keys()),
        "without the secret": write_refresh_token(session.pk, 1, 7, bytes(session.salt), ["guessed"]),
        "without the secret, of the future": write_refresh_token(session.pk, 9, 7, salt, secret_keys()),
    }


def test_t9_what_was_never_ours_is_refused_and_changes_nothing(opened):
    before = row(opened)
    for name, forged in forgeries(opened).items():
        with pytest.raises(RefreshMalformed):
            pytest.fail(f"{name}: {refresh_session(forged, now=START + LATER)}")
    assert row(opened) == before
    assert events(opened) == []


def test_t9_a_forged_signature_never_reaches_the_database(opened, django_assert_num_queries):
    forged = forgeries(opened)
    for name in ("another signature", "another payload", "cut", "an access token", "without the secret"):
        with django_assert_num_queries(0), pytest.raises(RefreshMalformed):
            refresh_session(forged[name], now=START + LATER)


def test_t9_a_token_of_a_session_that_was_pruned_is_no_token(opened, ada):
    other = open_session(ada, now=START)
    SessionEvent._base_manager.filter(session=opened.session.pk)._raw_delete("default")
    DeviceSession.objects.filter(pk=opened.session.pk).delete()
    with pytest.raises(RefreshMalformed):
        refresh_session(opened.refresh_token, now=START + LATER)
    assert row(other)["ended_at"] is None


def test_t9_the_salt_of_another_session_proves_nothing(opened, bob):
    foreign = open_session(bob, now=START)
    crossed = write_refresh_token(opened.session.pk, 1, 7, bytes(foreign.session.salt), secret_keys())
    with pytest.raises(RefreshMalformed):
        refresh_session(crossed, now=START + LATER)


# T10


def test_t10_a_session_left_idle_ends_at_exactly_its_limit(opened):
    now = START + IDLE
    with pytest.raises(SessionEnded) as refused:
        refresh_session(opened.refresh_token, now=now)
    assert refused.value.reason == "idle"
    assert (row(opened)["ended_at"], row(opened)["end_reason"]) == (now, "idle")
    assert events(opened) == [("ended", "idle", "T10")]


def test_t10_and_not_a_moment_before(opened):
    assert refresh_session(opened.refresh_token, now=START + IDLE - TICK).claims.gen == 2


# T11


@pytest.mark.parametrize("reason", ["logout", "kicked", "ended_by_user", "superseded"])
def test_t11_an_ended_session_is_refused_with_its_reason_stays_as_it_is_and_says_so_once(opened, reason):
    end_session(opened.session, reason, now=START + TICK)
    before, said = row(opened), events(opened)
    for _ in range(3):
        with pytest.raises(SessionEnded) as refused:
            refresh_session(opened.refresh_token, now=START + LATER)
        assert refused.value.reason == reason
    assert (row(opened), events(opened)) == (before, [*said, ("refused", "T11", "")])


def test_t11_says_from_where_it_came_and_not_that_it_was_the_user(opened):
    end_session(opened.session, "kicked", now=START + TICK)
    request = RequestFactory().post("/", REMOTE_ADDR="198.51.100.66", headers={"user-agent": "Fox/1"})
    with pytest.raises(SessionEnded):
        refresh_session(opened.refresh_token, request, now=START + LATER)
    event = SessionEvent.objects.get(session=opened.session.pk, outcome="T11")
    assert (event.at, event.ip, event.user_agent) == (START + LATER, "198.51.100.66", "Fox/1")
    assert (event.actor_id, event.actor_label) == (None, "")


def test_t11_repeated_costs_a_question_and_no_transaction(opened, django_assert_num_queries):
    end_session(opened.session, "kicked", now=START + TICK)
    with pytest.raises(SessionEnded):
        refresh_session(opened.refresh_token, now=START + LATER)
    with django_assert_num_queries(2), pytest.raises(SessionEnded):
        refresh_session(opened.refresh_token, now=START + LATER)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("trouble", [broken_audit, read_only])
def test_t11_what_cannot_be_written_down_is_logged_and_refused_all_the_same(opened, caplog, trouble):
    end_session(opened.session, "kicked", now=START + TICK)
    said = events(opened)
    with trouble(), pytest.raises(SessionEnded) as refused:
        refresh_session(opened.refresh_token, now=START + LATER)
    assert (refused.value.reason, events(opened)) == ("kicked", said)
    assert f"T11 of session {opened.session.pk} could not be recorded" in caplog.text


def test_t11_a_site_that_cannot_tell_the_country_refuses_all_the_same(opened, settings):
    settings.AUTHX_COUNTRY = "tests.sessions.test_refreshing.no_country_today"
    end_session(opened.session, "kicked", now=START + TICK)
    with pytest.raises(SessionEnded):
        refresh_session(opened.refresh_token, RequestFactory().post("/"), now=START + LATER)
    assert events(opened)[-1] == ("refused", "T11", "")


def no_country_today(ip):
    raise RuntimeError("no country today")


def test_a_refusal_knows_which_session_it_is_about(opened, confirmed):
    now = START + LATER + GRACE
    for after, error in ((timedelta(0), RefreshConflict), (GRACE, RefreshReused), (GRACE, SessionEnded)):
        with pytest.raises(error) as refused:
            refresh_session(opened.refresh_token, now=now + after)
        assert refused.value.sid == opened.session.pk
    with pytest.raises(RefreshMalformed) as refused:
        refresh_session("garbage", now=now)
    assert refused.value.sid is None


# Others at the same time


@contextmanager
def interloper(interfere, times):
    """Somebody else writes ``times`` times, each between our reading and our writing."""
    left = [times]

    def execute(execute, sql, params, many, context):
        if left[0] and sql.startswith("SAVEPOINT"):  # our transaction, within the test's
            left[0] -= 1
            waiting, left[0] = left[0], 0
            interfere()
            left[0] = waiting
        return execute(sql, params, many, context)

    with connection.execute_wrapper(execute):
        yield


def test_who_loses_the_race_to_rotate_gets_the_same_generation(opened):
    now, winner = START + LATER, []

    def win():
        winner.append(read(refresh_session(opened.refresh_token, now=now)).generation)

    with interloper(win, times=1):
        loser = refresh_session(opened.refresh_token, now=now)
    assert [read(loser).generation] == winner == [2]
    assert row(opened)["generation"] == 2
    assert events(opened) == [("refreshed", "T1", "")]


def test_who_loses_the_race_to_an_ending_is_told_its_reason(opened):
    kick = partial(end_session, opened.session, "kicked", now=START + LATER)
    with interloper(kick, times=1), pytest.raises(SessionEnded) as refused:
        refresh_session(opened.refresh_token, now=START + LATER)
    assert refused.value.reason == "kicked"
    assert events(opened) == [("ended", "kicked", ""), ("refused", "T11", "")]


def test_who_loses_every_race_is_told_to_come_back_and_has_changed_nothing(opened):
    def interfere():
        session = DeviceSession.objects.get(pk=opened.session.pk)
        strike = (session.strike_generation or 100) + 1
        DeviceSession.objects.filter(pk=session.pk).update(strike_generation=strike)

    with interloper(interfere, times=99), pytest.raises(StoreUnavailable):
        refresh_session(opened.refresh_token, now=START + LATER)
    assert (row(opened)["generation"], row(opened)["strike_generation"]) == (1, 103)
    assert events(opened) == []


def test_who_loses_the_race_to_rotate_on_another_branch_is_the_twin(opened):
    def win():
        refresh_session(opened.refresh_token, now=START + LATER)

    with interloper(win, times=1):
        assert refresh_session(token(opened, 1), now=START + LATER).claims.gen == 2
    kept = row(opened)
    assert kept["spent_branch"] == branch_of(opened)
    assert (kept["twin_generation"], kept["twin_streak"]) == (1, 1)


def test_of_two_twins_at_once_one_is_noted_and_counted(opened, rotated):
    now = START + LATER + TICK
    for refresh_token in (opened.refresh_token, token(opened, 1)):
        with interloper(lambda: refresh_session(token(opened, 1, 8), now=now), times=1):
            assert refresh_session(refresh_token, now=now).claims.gen == 2
    assert row(opened)["twin_streak"] == 1
    assert [kind for kind, _outcome, _note in events(opened)].count("copied") == 1


def test_of_two_late_replays_at_once_one_counts(opened, rotated):
    now = START + 2 * LATER
    with interloper(lambda: refresh_session(opened.refresh_token, now=now), times=1):
        assert refresh_session(opened.refresh_token, now=now).claims.gen == 2
    assert row(opened)["late_streak"] == 1


def test_of_two_from_another_browser_at_once_one_raises_the_alarm(ada):
    def from_(user_agent):
        return RequestFactory().post("/", headers={"user-agent": user_agent})

    opened = open_session(ada, from_("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Firefox/140.0"))
    thief = from_("Mozilla/5.0 (Windows NT 10.0; Win64; x64) Chrome/140.0.0.0 Safari/537.36")
    now = opened.session.created_at
    refresh_session(opened.refresh_token, now=now)  # confirms

    def win():
        refresh_session(opened.refresh_token, thief, now=now)

    with interloper(win, times=1):
        refresh_session(opened.refresh_token, thief, now=now)
    flagged = SessionEvent.objects.filter(session=opened.session.pk, kind="flagged")
    assert [event.outcome for event in flagged] == ["split_context"]


# The answer


def test_the_database_is_asked_and_told_in_few_statements(opened, django_assert_max_num_queries):
    with django_assert_max_num_queries(5):  # read; begin, swap, event, commit
        refresh_session(opened.refresh_token, now=START + LATER)


@pytest.mark.parametrize("after", [TICK, LATER], ids=["T1b", "T1"])
def test_an_answer_with_another_access_token_has_the_same_refresh_token(opened, after):
    """What is added to the session in the same request is no reason for another branch."""
    given = refresh_session(opened.refresh_token, now=START + after)
    given.session.amr = ["pwd", "otp"]
    again = with_new_access_token(given, given.session, now=START + after)
    assert (again.refresh_token, again.refresh_cookie) == (given.refresh_token, given.refresh_cookie)
    assert (again.claims.gen, again.claims.amr) == (given.claims.gen, ("pwd", "otp"))
    assert again.access_token != given.access_token


def test_without_an_injected_clock_the_databases_own_decides(ada):
    credentials = open_session(ada)
    assert refresh_session(credentials.refresh_token).refresh_token == credentials.refresh_token  # T1b
    past = credentials.session.rotated_at - timedelta(seconds=31)
    DeviceSession.objects.filter(pk=credentials.session.pk).update(rotated_at=past)
    assert refresh_session(credentials.refresh_token).claims.gen == 2
    assert row(credentials)["rotated_at"] > credentials.session.created_at


def test_the_event_says_who_refreshed_and_from_where(opened):
    request = RequestFactory().post("/", REMOTE_ADDR="203.0.113.7", headers={"user-agent": "Fox/1\r\n\u202e"})
    refresh_session(opened.refresh_token, request, now=START + LATER)
    event = SessionEvent.objects.get(session=opened.session.pk, outcome="T1")
    assert (event.ip, event.user_agent, event.at) == ("203.0.113.7", "Fox/1", START + LATER)
    assert (event.actor_id, event.actor_label) == (
        opened.session.user_id,
        opened.session.user.get_username(),
    )


def test_a_thief_is_seen_in_the_audit_trail_and_not_taken_for_the_user(opened, rotated):
    refresh_session(rotated.refresh_token, now=START + 2 * LATER)
    request = RequestFactory().post("/", REMOTE_ADDR="198.51.100.66")
    with pytest.raises(RefreshReused):
        refresh_session(opened.refresh_token, request, now=START + 2 * LATER)
    event = SessionEvent.objects.get(session=opened.session.pk, kind="ended")
    assert (event.ip, event.actor_id, event.actor_label) == ("198.51.100.66", None, "")


def test_no_secret_is_kept_in_the_database(opened, rotated):
    secrets = [opened.refresh_token, rotated.refresh_token, opened.access_token, rotated.access_token]
    kept = repr([row(opened), *SessionEvent.objects.values()])
    for secret in secrets:
        assert not [part for part in secret.split(".") if part in kept]


def test_however_often_it_is_refreshed_a_session_is_one_row(opened):
    now, credentials = START, opened
    for _ in range(20):
        now += LATER
        credentials = refresh_session(credentials.refresh_token, now=now)
    assert DeviceSession.objects.count() == 1
    assert row(opened)["generation"] == 21


def test_changed_lifetimes_hold_from_the_next_refresh_on(opened, settings):
    settings.AUTHX_IDLE_LIFETIME = timedelta(hours=1)
    settings.AUTHX_ACCESS_TOKEN_LIFETIME = timedelta(minutes=2)
    credentials = refresh_session(opened.refresh_token, now=START + LATER)
    assert (credentials.expires_in, credentials.refresh_expires_in) == (120, 3720)


# What is committed, and when


@pytest.mark.django_db(transaction=True)
def test_a_refresh_inside_a_transaction_is_refused_loudly_for_that_could_undo_its_verdict(opened):
    before = row(opened)
    with pytest.raises(RuntimeError, match="durable"), transaction.atomic():
        refresh_session(opened.refresh_token, now=START + LATER)
    assert row(opened) == before


@pytest.mark.django_db(transaction=True)
def test_the_verdict_is_committed_before_it_is_raised(opened, rotated, heard):
    refresh_session(rotated.refresh_token, now=START + 2 * LATER)
    assert heard == []
    with pytest.raises(RefreshReused):
        refresh_session(opened.refresh_token, now=START + 2 * LATER)
    assert not connection.in_atomic_block
    assert heard == ["ended: reused", "reused"]
    connection.close()  # whatever was not committed is lost
    assert row(opened)["end_reason"] == "reused"


@pytest.mark.django_db(transaction=True)
def test_an_ending_is_announced_once_and_every_refusal_after_it_silently(opened, heard):
    with pytest.raises(SessionEnded):
        refresh_session(opened.refresh_token, now=START + IDLE)
    with pytest.raises(SessionEnded):
        refresh_session(opened.refresh_token, now=START + IDLE)
    assert heard == ["ended: idle"]


@pytest.mark.django_db(transaction=True)
def test_a_receiver_that_fails_takes_nothing_back(opened, caplog):
    def explode(sender, **told):
        raise RuntimeError("a receiver's own trouble")

    signals.device_session_ended.connect(explode)
    try:
        with pytest.raises(SessionEnded):
            refresh_session(opened.refresh_token, now=START + IDLE)
    finally:
        signals.device_session_ended.disconnect(explode)
    assert row(opened)["end_reason"] == "idle"
    assert "a receiver's own trouble" in caplog.text


# When the database is not there


@pytest.mark.django_db(transaction=True)
def test_without_a_database_nothing_is_known_so_nothing_is_refused_or_changed(opened):
    before = row(opened)
    with outage(), pytest.raises(StoreUnavailable):
        refresh_session(opened.refresh_token, now=START + LATER)
    assert row(opened) == before
    assert refresh_session(opened.refresh_token, now=START + LATER).claims.gen == 2


@pytest.mark.django_db(transaction=True)
def test_a_deadlock_is_tried_again_and_nobody_hears_of_it(opened):
    with deadlocks(2):
        successor = refresh_session(opened.refresh_token, now=START + LATER)
    assert successor.claims.gen == 2
    assert events(opened) == [("refreshed", "T1", "")]


@pytest.mark.django_db(transaction=True)
def test_a_database_that_stays_busy_is_not_asked_for_ever(opened):
    before = row(opened)
    with deadlocks(9) as left, pytest.raises(StoreUnavailable):
        refresh_session(opened.refresh_token, now=START + LATER)
    assert left == [6]
    assert (row(opened), events(opened)) == (before, [])


@pytest.mark.django_db(transaction=True)
def test_a_forgery_is_a_forgery_even_without_a_database(opened):
    forged = forgeries(opened)["another signature"]
    with outage(), pytest.raises(RefreshMalformed):
        refresh_session(forged, now=START + LATER)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("after", [LATER, IDLE], ids=["a rotation", "an ending"])
def test_what_cannot_be_audited_does_not_happen(opened, heard, after):
    """I8: the event and what it tells of are one transaction."""
    before, said = row(opened), events(opened)
    with broken_audit(), pytest.raises((DatabaseError, StoreUnavailable)):
        refresh_session(opened.refresh_token, now=START + after)
    assert (row(opened), events(opened), heard) == (before, said, [])
    assert refresh_session(opened.refresh_token, now=START + LATER).claims.gen == 2


def test_t2_is_what_makes_the_difference_between_a_lost_response_and_a_conflict(
    opened, rotated, django_capture_on_commit_callbacks
):
    now = START + LATER
    with django_capture_on_commit_callbacks(execute=True):
        record_use(recognize(rotated.access_token, now=now), rotated.claims, now=now)
    with pytest.raises(RefreshConflict):
        refresh_session(opened.refresh_token, now=now + LATER)
