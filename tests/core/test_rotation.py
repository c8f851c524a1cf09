"""authx.core.rotation: one refresh token, one session, one row of the table that decides."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from authx.core.rotation import LATE_STREAK_LIMIT, Refusal, RotationState, Row, Verdict, judge

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
GRACE = timedelta(seconds=30)
IDLE = timedelta(days=7)
ABSOLUTE = timedelta(days=30)
TICK = timedelta(microseconds=1)
LATER = GRACE + timedelta(minutes=1)

OPENED = RotationState(
    generation=1,
    confirmed_generation=0,
    rotated_at=START,
    idle_expires_at=START + IDLE,
    expires_at=START + ABSOLUTE,
)
#: Generation 5 was issued at START; it has not come back yet, or it has.
PENDING = replace(OPENED, generation=5, confirmed_generation=4)
CONFIRMED = replace(PENDING, confirmed_generation=5)


def present(state, generation, after=timedelta(0), **more):
    """Judge a token of ``generation`` that comes so long after START."""
    return judge(state, generation, now=START + after, **{"grace": GRACE, "idle": IDLE, **more})


def then(state, verdict):
    """The session once the verdict has been carried out."""
    return replace(state, **verdict.changes)


# T0


@pytest.mark.parametrize("reason", ["user_deleted", "user_disabled", "password_changed"])
@pytest.mark.parametrize("generation", [3, 4, 5, 6], ids=["T7", "T3", "T1b", "T8"])
def test_t0_whatever_is_presented_the_users_own_state_ends_the_session_and_is_the_reason(reason, generation):
    verdict = present(CONFIRMED, generation, user_end=reason)
    assert verdict == Verdict(row=Row.USER_GONE, end=reason, refusal=Refusal.ENDED)


# T1


@pytest.mark.parametrize("state", [PENDING, CONFIRMED], ids=["pending", "confirmed"])
def test_t1_the_current_token_after_the_grace_moves_the_session_on_and_is_itself_confirmed(state):
    now = START + LATER
    verdict = present(state, 5, LATER)
    assert (verdict.row, verdict.issue, verdict.end, verdict.refusal) == (Row.ROTATE, 6, None, None)
    moved = replace(
        state, generation=6, confirmed_generation=5, rotated_at=now, idle_expires_at=now + IDLE, late_streak=0
    )
    assert then(state, verdict) == moved
    assert moved.is_pending


def test_t1_the_grace_counts_from_the_opening_too():
    assert present(OPENED, 1, GRACE - TICK).row is Row.KEEP
    assert present(OPENED, 1, GRACE).row is Row.ROTATE


def test_t1_never_extends_the_absolute_limit():
    late = replace(PENDING, idle_expires_at=START + ABSOLUTE)
    verdict = present(late, 5, ABSOLUTE - timedelta(hours=1))
    assert verdict.changes["idle_expires_at"] == START + ABSOLUTE
    assert "expires_at" not in verdict.changes


# T1b


def test_t1b_within_the_grace_the_current_token_is_given_back_and_confirmed_by_its_return():
    verdict = present(PENDING, 5, GRACE - TICK)
    assert verdict == Verdict(row=Row.KEEP, issue=5, changes={"confirmed_generation": 5})


def test_t1b_a_second_time_there_is_nothing_left_to_change():
    assert present(CONFIRMED, 5, GRACE - TICK) == Verdict(row=Row.KEEP, issue=5)


def test_t1b_ends_exactly_at_the_grace():
    assert present(CONFIRMED, 5, GRACE).row is Row.ROTATE


# T2 is no refresh: see test_standing. What it leaves is CONFIRMED.
# T3


@pytest.mark.parametrize("state", [PENDING, CONFIRMED], ids=["pending", "confirmed"])
def test_t3_the_spent_token_within_the_grace_buys_the_same_successor_and_changes_nothing(state):
    assert present(state, 4, GRACE - TICK) == Verdict(row=Row.REPLAY, issue=5)


def test_t3_ends_exactly_at_the_grace():
    assert present(PENDING, 4, GRACE).row is Row.LATE_REPLAY
    assert present(CONFIRMED, 4, GRACE).row is Row.STRIKE


# T4


def test_t4_a_lost_response_is_replayed_counted_and_the_idle_limit_extended():
    verdict = present(PENDING, 4, LATER)
    assert verdict == Verdict(
        row=Row.LATE_REPLAY,
        issue=5,
        changes={
            "rotated_at": START + LATER,
            "late_generation": 5,
            "late_streak": 1,
            "idle_expires_at": START + LATER + IDLE,
        },
    )


def test_t4_counts_and_extends_once_per_generation_however_often_the_response_is_lost():
    state = then(PENDING, present(PENDING, 4, LATER))
    for days in range(1, 7):
        again = present(state, 4, timedelta(days=days))
        assert again == Verdict(
            row=Row.LATE_REPLAY, issue=5, changes={"rotated_at": START + timedelta(days=days)}
        )
        state = then(state, again)
    assert present(state, 4, LATER + IDLE).end == "idle"


def test_t4_the_grace_begins_anew_for_the_whole_burst_of_tabs_that_finds_the_loss():
    found = then(PENDING, present(PENDING, 4, LATER))
    used = then(found, present(found, 5, LATER))
    assert used.confirmed_generation == 5
    for state in (found, used):
        assert present(state, 4, LATER + GRACE - TICK) == Verdict(row=Row.REPLAY, issue=5)
        assert present(state, 5, LATER + GRACE - TICK).row is Row.KEEP
    assert present(used, 4, LATER + GRACE).row is Row.STRIKE


def test_t4_never_extends_idle_beyond_absolute():
    late = replace(PENDING, idle_expires_at=START + ABSOLUTE)
    verdict = present(late, 4, ABSOLUTE - timedelta(days=1))
    assert verdict.changes["idle_expires_at"] == START + ABSOLUTE


def lose_a_response(state, now):
    """The newest token is lost: its parent comes back late, and the replayed one a grace later."""
    late = judge(state, state.generation - 1, now=now, grace=GRACE, idle=IDLE)
    if late.end:
        return late, state
    state = then(state, late)
    rotated = judge(state, state.generation, now=now + GRACE, grace=GRACE, idle=IDLE)
    assert rotated.row is Row.ROTATE
    return late, then(state, rotated)


def test_t4_three_generations_in_a_row_may_lose_their_response_and_the_fourth_is_theft():
    state, now = PENDING, START
    for streak in range(1, LATE_STREAK_LIMIT + 1):
        now += LATER
        verdict, state = lose_a_response(state, now)
        assert (verdict.row, verdict.changes["late_streak"]) == (Row.LATE_REPLAY, streak)
    fourth, _ = lose_a_response(state, now + LATER)
    assert LATE_STREAK_LIMIT == 3
    assert fourth == Verdict(row=Row.LATE_REPLAY, end="reused", refusal=Refusal.REUSED)


def test_t4_the_third_generation_goes_on_being_replayed_for_it_was_counted_already():
    state, now = PENDING, START
    for _ in range(2):
        now += LATER
        _, state = lose_a_response(state, now)
    for _ in range(5):
        now += LATER
        third = judge(state, state.generation - 1, now=now, grace=GRACE, idle=IDLE)
        assert third.issue == state.generation
        state = then(state, third)
    assert state.late_streak == 3


def test_t4_a_generation_that_passes_without_one_resets_the_streak():
    state, now = PENDING, START
    for _ in range(3):
        now += LATER
        _, state = lose_a_response(state, now)
    assert state.late_streak == 3
    now += LATER
    state = then(state, judge(state, state.generation, now=now, grace=GRACE, idle=IDLE))  # none lost
    assert state.late_streak == 0
    verdict, state = lose_a_response(state, now + LATER)
    assert (verdict.end, state.late_streak) == (None, 1)


def test_t4_nothing_is_late_once_the_successor_was_seen():
    seen = replace(PENDING, confirmed_generation=5)
    assert present(seen, 4, LATER).row is Row.STRIKE


# T5, T5b, T6


def test_t5_a_spent_token_whose_successor_is_in_use_is_a_conflict_and_a_strike():
    strike = {"strike_generation": 4, "strike_at": START + LATER}
    verdict = Verdict(row=Row.STRIKE, changes=strike, refusal=Refusal.CONFLICT)
    assert present(CONFIRMED, 4, LATER) == verdict


def test_t5_a_strike_against_an_older_generation_does_not_count_against_this_one():
    struck_before = replace(CONFIRMED, strike_generation=3, strike_at=START - LATER)
    verdict = present(struck_before, 4, LATER)
    assert (verdict.row, verdict.end) == (Row.STRIKE, None)
    assert then(struck_before, verdict).strike_generation == 4


def test_t5b_again_within_the_grace_of_the_strike_is_a_conflict_and_changes_nothing():
    struck = then(CONFIRMED, present(CONFIRMED, 4, LATER))
    for after in (timedelta(0), GRACE - TICK):
        again = present(struck, 4, LATER + after)
        assert again == Verdict(row=Row.STRIKE_AGAIN, refusal=Refusal.CONFLICT)


def test_t6_once_the_grace_of_the_strike_has_passed_it_is_reuse():
    struck = then(CONFIRMED, present(CONFIRMED, 4, LATER))
    verdict = present(struck, 4, LATER + GRACE)
    assert verdict == Verdict(row=Row.REUSE_AFTER_STRIKE, end="reused", refusal=Refusal.REUSED)


def test_t6_the_honest_successor_goes_on_beside_a_strike():
    struck = then(CONFIRMED, present(CONFIRMED, 4, LATER))
    verdict = present(struck, 5, LATER)
    assert (verdict.row, verdict.issue) == (Row.ROTATE, 6)


# T7


@pytest.mark.parametrize("generation", [1, 2, 3])
@pytest.mark.parametrize("state", [PENDING, CONFIRMED], ids=["pending", "confirmed"])
@pytest.mark.parametrize("after", [timedelta(0), LATER], ids=["in grace", "after it"])
def test_t7_two_generations_back_is_reuse_whatever_the_clock_says(state, generation, after):
    verdict = present(state, generation, after)
    assert verdict == Verdict(row=Row.REUSE, end="reused", refusal=Refusal.REUSED)


# T8


@pytest.mark.parametrize("generation", [6, 7, 900])
@pytest.mark.parametrize("after", [timedelta(0), LATER], ids=["in grace", "after it"])
def test_t8_a_token_of_the_future_means_our_storage_was_rolled_back_so_it_is_caught_up_with(
    generation, after
):
    verdict = present(replace(PENDING, late_streak=3), generation, after)
    now = START + after
    assert (verdict.row, verdict.issue, verdict.end) == (Row.ROLLBACK, generation + 1, None)
    assert verdict.changes == {
        "generation": generation + 1,
        "confirmed_generation": generation,
        "rotated_at": now,
        "idle_expires_at": now + IDLE,
        "late_streak": 0,
    }


# T9 never reaches judge(): see test_refreshing.
# T10


@pytest.mark.parametrize("generation", [3, 4, 5, 6], ids=["T7", "T3", "T1", "T8"])
def test_t10_idle_exactly_at_its_limit_and_not_before(generation):
    assert present(PENDING, generation, IDLE - TICK).row is not Row.EXPIRED
    verdict = present(PENDING, generation, IDLE)
    assert verdict == Verdict(row=Row.EXPIRED, end="idle", refusal=Refusal.ENDED)


def test_t10_expired_exactly_at_the_absolute_limit_and_not_before():
    active = replace(PENDING, idle_expires_at=START + ABSOLUTE)
    assert present(active, 5, ABSOLUTE - TICK).row is Row.ROTATE
    verdict = present(active, 5, ABSOLUTE)
    assert verdict == Verdict(row=Row.EXPIRED, end="expired", refusal=Refusal.ENDED)


def test_t10_the_limit_that_came_first_is_the_reason_long_after_both_have_passed():
    long_after = START + 2 * ABSOLUTE
    assert PENDING.expiry_reason(long_after) == "idle"
    assert replace(PENDING, idle_expires_at=START + ABSOLUTE).expiry_reason(long_after) == "expired"
    assert replace(PENDING, expires_at=START).expiry_reason(long_after) == "expired"


def test_t10_an_expired_session_is_expired_even_if_its_user_has_gone_meanwhile():
    assert present(PENDING, 5, IDLE, user_end="user_deleted").end == "idle"


# T11


@pytest.mark.parametrize("generation", [3, 4, 5, 6], ids=["T7", "T3", "T1", "T8"])
@pytest.mark.parametrize("after", [timedelta(0), LATER, 2 * ABSOLUTE], ids=["grace", "later", "expired"])
def test_t11_an_ended_session_stays_ended_and_nothing_is_written_over_its_reason(generation, after):
    ended = replace(CONFIRMED, end_reason="kicked")
    verdict = present(ended, generation, after, user_end="user_disabled")
    assert verdict == Verdict(row=Row.ENDED, refusal=Refusal.ENDED)


# In all of them


def test_every_row_that_judge_may_give_is_one_of_the_table():
    table = {"T0", "T1", "T1b", "T3", "T4", "T5", "T5b", "T6", "T7", "T8", "T10", "T11"}
    assert {row.value for row in Row} == table


def test_the_grace_and_the_idle_limit_are_the_callers_to_choose():
    assert present(PENDING, 5, timedelta(seconds=1), grace=timedelta(seconds=1)).row is Row.ROTATE
    verdict = present(PENDING, 5, LATER, idle=timedelta(hours=1))
    assert verdict.changes["idle_expires_at"] == START + LATER + timedelta(hours=1)
