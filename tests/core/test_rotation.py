"""authx.core.rotation: one refresh token, one session, one transition that is decided on."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from authx.core.rotation import (
    LATE_PERIOD,
    LATE_STREAK_LIMIT,
    TWIN_STREAK_LIMIT,
    Refusal,
    RotationState,
    Transition,
    Verdict,
    judge,
)

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
GRACE = timedelta(seconds=30)
IDLE = timedelta(days=7)
ABSOLUTE = timedelta(days=30)
TICK = timedelta(microseconds=1)
LATER = GRACE + timedelta(minutes=1)
HOUR = timedelta(hours=1)

#: Branches: of the token that the last rotation was asked with, and of any other.
OURS, OTHER = 0xA, 0xB

OPENED = RotationState(
    generation=1,
    confirmed_generation=0,
    rotated_at=START,
    idle_expires_at=START + IDLE,
    expires_at=START + ABSOLUTE,
)
#: Generation 5 was issued at START; it has not come back yet, or it has.
PENDING = replace(OPENED, generation=5, confirmed_generation=4, spent_branch=OURS)
CONFIRMED = replace(PENDING, confirmed_generation=5)


def present(state, generation, after=timedelta(0), branch=OURS, **more):
    """Judge a token of ``generation`` and ``branch`` that comes so long after START."""
    now = START + after
    return judge(state, generation, branch=branch, now=now, **{"grace": GRACE, "idle": IDLE, **more})


def then(state, verdict):
    """The session once the verdict has been carried out."""
    return replace(state, **verdict.changes)


# T0


@pytest.mark.parametrize("reason", ["user_deleted", "user_disabled", "password_changed"])
@pytest.mark.parametrize("generation", [3, 4, 5, 6], ids=["T7", "T3", "T1b", "T8"])
def test_t0_whatever_is_presented_the_users_own_state_ends_the_session_and_is_the_reason(reason, generation):
    verdict = present(CONFIRMED, generation, user_end=reason)
    assert verdict == Verdict(transition=Transition.USER_GONE, end=reason, refusal=Refusal.ENDED)


# T1


@pytest.mark.parametrize("state", [PENDING, CONFIRMED], ids=["pending", "confirmed"])
def test_t1_the_current_token_after_the_grace_moves_the_session_on_and_is_itself_confirmed(state):
    now = START + LATER
    verdict = present(replace(state, late_streak=4, late_at=START), 5, LATER, branch=OTHER)
    assert (verdict.transition, verdict.issue, verdict.end) == (Transition.ROTATE, 6, None)
    assert (verdict.refusal, verdict.is_twin) == (None, False)
    moved = replace(
        state,
        generation=6,
        confirmed_generation=5,
        rotated_at=now,
        idle_expires_at=now + IDLE,
        spent_branch=OTHER,
        late_streak=0,
    )
    assert then(state, verdict) == moved
    assert moved.is_pending


def test_t1_the_grace_counts_from_the_opening_too():
    assert present(OPENED, 1, GRACE - TICK).transition is Transition.KEEP
    assert present(OPENED, 1, GRACE).transition is Transition.ROTATE


def test_t1_never_extends_the_absolute_limit():
    late = replace(PENDING, idle_expires_at=START + ABSOLUTE)
    verdict = present(late, 5, ABSOLUTE - timedelta(hours=1))
    assert verdict.changes["idle_expires_at"] == START + ABSOLUTE
    assert "expires_at" not in verdict.changes


def test_t1_a_clock_put_back_rotates_nothing():
    for before in (TICK, GRACE, 2 * HOUR):
        assert present(CONFIRMED, 5, -before) == Verdict(transition=Transition.KEEP, issue=5)


# T1b


def test_t1b_within_the_grace_the_current_token_is_given_back_and_confirmed_by_its_return():
    verdict = present(PENDING, 5, GRACE - TICK)
    assert verdict == Verdict(transition=Transition.KEEP, issue=5, changes={"confirmed_generation": 5})


def test_t1b_a_second_time_there_is_nothing_left_to_change():
    assert present(CONFIRMED, 5, GRACE - TICK) == Verdict(transition=Transition.KEEP, issue=5)


def test_t1b_no_branch_of_the_current_generation_is_a_twin():
    assert present(CONFIRMED, 5, GRACE - TICK, branch=OTHER) == Verdict(transition=Transition.KEEP, issue=5)


def test_t1b_ends_exactly_at_the_grace():
    assert present(CONFIRMED, 5, GRACE).transition is Transition.ROTATE


# T2 is no refresh: see test_standing. What it leaves is CONFIRMED.
# T3


@pytest.mark.parametrize("state", [PENDING, CONFIRMED], ids=["pending", "confirmed"])
def test_t3_the_spent_token_within_the_grace_buys_the_same_successor_and_changes_nothing(state):
    assert present(state, 4, GRACE - TICK) == Verdict(transition=Transition.REPLAY, issue=5)


@pytest.mark.parametrize("direction", [1, -1], ids=["after", "before"])
def test_t3_ends_exactly_at_the_grace_on_either_side(direction):
    """A clock that is put back revives nothing."""
    for state, afterwards in ((PENDING, Transition.LATE_REPLAY), (CONFIRMED, Transition.STRIKE)):
        assert present(state, 4, direction * (GRACE - TICK)).transition is Transition.REPLAY
        assert present(state, 4, direction * GRACE).transition is afterwards


# T3x


#: Each way in which the spent token of generation 4 may come back, and when.
SPENT = {
    "T3": (PENDING, TICK),
    "T3 confirmed": (CONFIRMED, TICK),
    "T3 before": (CONFIRMED, -TICK),
    "T4": (PENDING, LATER),
    "T4 counted": (replace(PENDING, late_streak=2, late_at=START), LATER),
    "T5": (CONFIRMED, LATER),
    "T5b": (replace(CONFIRMED, strike_generation=4, strike_at=START + LATER), LATER),
    "T6": (replace(CONFIRMED, strike_generation=4, strike_at=START), LATER),
}


@pytest.mark.parametrize(("state", "after"), SPENT.values(), ids=SPENT)
def test_t3x_another_branch_of_the_spent_generation_is_noted_beside_whatever_is_decided(state, after):
    same = present(state, 4, after)
    twin = present(state, 4, after, branch=OTHER)
    noted = {"twin_generation": 4, "twin_streak": 1}
    assert twin == replace(same, changes={**same.changes, **noted}, is_twin=True)
    assert not same.is_twin
    assert not noted.keys() & same.changes.keys()


@pytest.mark.parametrize(("state", "after"), SPENT.values(), ids=SPENT)
def test_t3x_is_noted_once_per_generation(state, after):
    noted = replace(state, twin_generation=4, twin_streak=1)
    for branch in (OTHER, OTHER + 1):
        assert present(noted, 4, after, branch=branch) == present(state, 4, after)


@pytest.mark.parametrize(("state", "after"), SPENT.values(), ids=SPENT)
def test_t3x_in_the_second_generation_in_a_row_the_session_ends_and_nothing_is_handed_out(state, after):
    before = replace(state, twin_generation=3, twin_streak=1)
    assert TWIN_STREAK_LIMIT == 2
    assert present(before, 4, after, branch=OTHER) == Verdict(
        transition=Transition.TWIN,
        changes={"twin_generation": 4, "twin_streak": 2},
        end="reused",
        refusal=Refusal.REUSED,
        is_twin=True,
    )
    assert present(before, 4, after) == present(state, 4, after)


def test_t3x_a_generation_without_a_twin_between_begins_a_new_count():
    before = replace(PENDING, twin_generation=2, twin_streak=1)
    verdict = present(before, 4, branch=OTHER)
    assert (verdict.transition, verdict.end) == (Transition.REPLAY, None)
    assert verdict.changes == {"twin_generation": 4, "twin_streak": 1}


def test_t3x_before_the_first_rotation_is_known_nothing_is_a_twin():
    unknown = replace(PENDING, spent_branch=None)
    assert present(unknown, 4, branch=OTHER) == Verdict(transition=Transition.REPLAY, issue=5)


def test_t3x_a_branch_may_be_zero():
    assert not present(replace(PENDING, spent_branch=0), 4, branch=0).is_twin
    assert present(replace(PENDING, spent_branch=0), 4, branch=OURS).is_twin
    assert present(PENDING, 4, branch=0).is_twin


def test_t3x_the_thief_who_only_ever_comes_second_inside_the_grace_is_found_in_the_second_generation():
    """Owner and thief hold one copied token each time: the perfect shadow, which is never first or late."""
    state, now = OPENED, START
    owner = thief = OURS
    served = []
    for generation in range(1, 9):
        now += HOUR
        rotated = judge(state, generation, branch=owner, now=now, grace=GRACE, idle=IDLE)
        state = then(state, rotated)
        shadow = judge(state, generation, branch=thief, now=now + TICK, grace=GRACE, idle=IDLE)
        if shadow.end:
            break
        served.append(generation)
        state = then(state, shadow)
        owner, thief = 2 * generation + 100, 2 * generation + 101  # each answer is on a new branch
    assert served == [1, 2]  # the copied generation buys the second, that one the third
    assert (shadow.transition, generation) == (Transition.TWIN, 3)


# T4


def test_t4_a_lost_answer_is_replayed_counted_and_the_idle_limit_extended():
    verdict = present(PENDING, 4, LATER)
    now = START + LATER
    assert verdict == Verdict(
        transition=Transition.LATE_REPLAY,
        issue=5,
        changes={"rotated_at": now, "late_streak": 1, "late_at": now, "idle_expires_at": now + IDLE},
    )


def test_t4_each_late_replay_counts_and_the_first_ones_time_stays():
    state = then(PENDING, present(PENDING, 4, LATER))
    again = present(state, 4, 2 * LATER)
    now = START + 2 * LATER
    assert again.changes == {
        "rotated_at": now,
        "late_streak": 2,
        "late_at": START + LATER,
        "idle_expires_at": now + IDLE,
    }


def test_t4_the_grace_begins_anew_for_the_whole_burst_of_tabs_that_finds_the_loss():
    found = then(PENDING, present(PENDING, 4, LATER))
    used = then(found, present(found, 5, LATER))
    assert used.confirmed_generation == 5
    for state in (found, used):
        assert present(state, 4, LATER + GRACE - TICK) == Verdict(transition=Transition.REPLAY, issue=5)
        assert present(state, 5, LATER + GRACE - TICK).transition is Transition.KEEP
    assert present(used, 4, LATER + GRACE).transition is Transition.STRIKE


def test_t4_never_extends_idle_beyond_absolute():
    late = replace(PENDING, idle_expires_at=START + ABSOLUTE)
    verdict = present(late, 4, ABSOLUTE - timedelta(days=1))
    assert verdict.changes["idle_expires_at"] == START + ABSOLUTE


def lose_answers(state, *times):
    """Present generation 4 at each of these times after START; return the last verdict and the session."""
    for after in times:
        verdict = present(state, 4, after)
        if verdict.end:
            break
        state = then(state, verdict)
    return verdict, state


def minutes(*numbers):
    return [timedelta(minutes=number) for number in numbers]


ENDED_BY_LOSS = Verdict(
    transition=Transition.LATE_REPLAY, end="reused", refusal=Refusal.REUSED, answers_lost=True
)


def test_t4_the_sixth_of_one_generation_an_hour_after_the_first_ends_the_session():
    assert (LATE_STREAK_LIMIT, LATE_PERIOD) == (6, HOUR)
    verdict, state = lose_answers(PENDING, *minutes(10, 20, 30, 40, 50, 70))
    assert verdict == ENDED_BY_LOSS
    assert state.late_streak == 5


def test_t4_the_sixth_before_the_hour_does_not_end_it_and_one_later_does():
    verdict, state = lose_answers(PENDING, *minutes(10, 20, 30, 40, 50, 60, 65), timedelta(minutes=70) - TICK)
    assert (verdict.end, state.late_streak) == (None, 8)
    assert present(state, 4, timedelta(minutes=70, seconds=29)).transition is Transition.REPLAY
    assert present(state, 4, timedelta(minutes=71)) == ENDED_BY_LOSS


def test_t4_the_fifth_does_not_end_it_however_late():
    verdict, state = lose_answers(PENDING, *[timedelta(days=day) for day in range(1, 6)])
    assert (verdict.end, state.late_streak) == (None, 5)
    assert present(state, 4, timedelta(days=6)) == ENDED_BY_LOSS


def test_t4_a_rotation_begins_a_new_count():
    _, state = lose_answers(PENDING, *minutes(10, 20, 30, 40, 50))
    state = then(state, present(state, 5, timedelta(minutes=60), branch=OTHER))
    assert state.late_streak == 0
    late = present(state, 5, timedelta(minutes=120), branch=OTHER)
    assert (late.changes["late_streak"], late.changes["late_at"]) == (1, START + timedelta(minutes=120))


def test_t4_many_generations_may_lose_their_answers_one_after_the_other():
    state, now, branch = PENDING, START, OURS
    for generation in range(4, 40):
        now += HOUR
        late = judge(state, generation, branch=branch, now=now, grace=GRACE, idle=IDLE)
        assert (late.transition, late.issue) == (Transition.LATE_REPLAY, generation + 1)
        state, branch, now = then(state, late), branch + 1, now + LATER
        state = then(state, judge(state, generation + 1, branch=branch, now=now, grace=GRACE, idle=IDLE))
    assert (state.generation, state.late_streak, state.twin_streak) == (41, 0, 0)


def test_t4_a_clock_put_back_by_more_than_the_grace_is_late_too():
    assert present(PENDING, 4, -HOUR).changes["late_at"] == START - HOUR


def test_t4_nothing_is_late_once_the_successor_was_seen():
    seen = replace(PENDING, confirmed_generation=5)
    assert present(seen, 4, LATER).transition is Transition.STRIKE


# T5, T5b, T6


def test_t5_a_spent_token_whose_successor_is_in_use_is_a_conflict_and_a_strike():
    strike = {"strike_generation": 4, "strike_at": START + LATER}
    verdict = Verdict(transition=Transition.STRIKE, changes=strike, refusal=Refusal.CONFLICT)
    assert present(CONFIRMED, 4, LATER) == verdict


def test_t5_a_strike_against_an_older_generation_does_not_count_against_this_one():
    struck_before = replace(CONFIRMED, strike_generation=3, strike_at=START - LATER)
    verdict = present(struck_before, 4, LATER)
    assert (verdict.transition, verdict.end) == (Transition.STRIKE, None)
    assert then(struck_before, verdict).strike_generation == 4


def test_t5b_again_within_the_grace_of_the_strike_is_a_conflict_and_changes_nothing():
    struck = then(CONFIRMED, present(CONFIRMED, 4, LATER))
    for after in (timedelta(0), GRACE - TICK):
        again = present(struck, 4, LATER + after)
        assert again == Verdict(transition=Transition.STRIKE_AGAIN, refusal=Refusal.CONFLICT)


def test_t6_once_the_grace_of_the_strike_has_passed_it_is_reuse():
    struck = then(CONFIRMED, present(CONFIRMED, 4, LATER))
    verdict = present(struck, 4, LATER + GRACE)
    assert verdict == Verdict(transition=Transition.REUSE_AFTER_STRIKE, end="reused", refusal=Refusal.REUSED)


def test_t6_the_honest_successor_goes_on_beside_a_strike():
    struck = then(CONFIRMED, present(CONFIRMED, 4, LATER))
    verdict = present(struck, 5, LATER)
    assert (verdict.transition, verdict.issue) == (Transition.ROTATE, 6)


# T7


@pytest.mark.parametrize("generation", [1, 2, 3])
@pytest.mark.parametrize("state", [PENDING, CONFIRMED], ids=["pending", "confirmed"])
@pytest.mark.parametrize("after", [timedelta(0), LATER], ids=["in grace", "after it"])
def test_t7_two_generations_back_is_reuse_whatever_the_clock_says(state, generation, after):
    verdict = present(state, generation, after)
    assert verdict == Verdict(transition=Transition.REUSE, end="reused", refusal=Refusal.REUSED)


# T8


@pytest.mark.parametrize("generation", [6, 7, 900])
@pytest.mark.parametrize("after", [timedelta(0), LATER], ids=["in grace", "after it"])
def test_t8_a_token_of_the_future_means_our_storage_was_rolled_back_so_it_is_caught_up_with(
    generation, after
):
    verdict = present(replace(PENDING, late_streak=3), generation, after, branch=OTHER)
    now = START + after
    assert (verdict.transition, verdict.issue, verdict.end) == (Transition.ROLLBACK, generation + 1, None)
    assert verdict.changes == {
        "generation": generation + 1,
        "confirmed_generation": generation,
        "rotated_at": now,
        "idle_expires_at": now + IDLE,
        "spent_branch": OTHER,
        "late_streak": 0,
    }
    assert not verdict.is_twin


# T9 never reaches judge(): see test_refreshing.
# T10


@pytest.mark.parametrize("generation", [3, 4, 5, 6], ids=["T7", "T3", "T1", "T8"])
def test_t10_idle_exactly_at_its_limit_and_not_before(generation):
    assert present(PENDING, generation, IDLE - TICK).transition is not Transition.EXPIRED
    verdict = present(PENDING, generation, IDLE)
    assert verdict == Verdict(transition=Transition.EXPIRED, end="idle", refusal=Refusal.ENDED)


def test_t10_expired_exactly_at_the_absolute_limit_and_not_before():
    active = replace(PENDING, idle_expires_at=START + ABSOLUTE)
    assert present(active, 5, ABSOLUTE - TICK).transition is Transition.ROTATE
    verdict = present(active, 5, ABSOLUTE)
    assert verdict == Verdict(transition=Transition.EXPIRED, end="expired", refusal=Refusal.ENDED)


def test_t10_the_limit_that_came_first_is_the_reason_long_after_both_have_passed():
    long_after = 2 * ABSOLUTE
    assert present(PENDING, 5, long_after).end == "idle"
    assert present(replace(PENDING, idle_expires_at=START + ABSOLUTE), 5, long_after).end == "expired"
    assert present(replace(PENDING, expires_at=START), 5, long_after).end == "expired"


def test_t10_an_expired_session_is_expired_even_if_its_user_has_gone_meanwhile():
    assert present(PENDING, 5, IDLE, user_end="user_deleted").end == "idle"


# T11


@pytest.mark.parametrize("generation", [3, 4, 5, 6], ids=["T7", "T3", "T1", "T8"])
@pytest.mark.parametrize("after", [timedelta(0), LATER, 2 * ABSOLUTE], ids=["grace", "later", "expired"])
def test_t11_an_ended_session_stays_ended_and_nothing_is_written_over_its_reason(generation, after):
    ended = replace(CONFIRMED, end_reason="kicked")
    verdict = present(ended, generation, after, user_end="user_disabled")
    assert verdict == Verdict(transition=Transition.ENDED, refusal=Refusal.ENDED)


# In all of them


def test_every_transition_that_judge_may_decide_on_is_one_of_the_table():
    table = {"T0", "T1", "T1b", "T3", "T3x", "T4", "T5", "T5b", "T6", "T7", "T8", "T10", "T11"}
    assert {transition.value for transition in Transition} == table


def test_the_grace_and_the_idle_limit_are_the_callers_to_choose():
    assert (
        present(PENDING, 5, timedelta(seconds=1), grace=timedelta(seconds=1)).transition is Transition.ROTATE
    )
    verdict = present(PENDING, 5, LATER, idle=timedelta(hours=1))
    assert verdict.changes["idle_expires_at"] == START + LATER + timedelta(hours=1)
