"""authx.core.rotation: what a session begins with, and what a verdict means to whoever carries it out."""

from dataclasses import FrozenInstanceError, fields, replace
from datetime import UTC, datetime, timedelta

import pytest

from authx.core.rotation import Refusal, RotationState, Transition, Verdict, judge

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
BEGUN = {"rotated_at": NOON, "idle_expires_at": NOON, "expires_at": NOON}


def test_a_session_begins_with_nothing_against_it():
    state = RotationState(generation=1, confirmed_generation=0, **BEGUN)
    remembered = {each.name: getattr(state, each.name) for each in fields(state)}
    counted = {name for name, value in remembered.items() if value == 0}
    assert counted == {"confirmed_generation", "late_streak", "twin_streak"}
    unknown = {name for name, value in remembered.items() if value is None}
    assert unknown == remembered.keys() - counted - BEGUN.keys() - {"generation"}


@pytest.mark.parametrize(("confirmed", "pending"), [(0, True), (1, False)])
def test_it_is_pending_until_its_newest_token_was_seen(confirmed, pending):
    for before in (0, 1000):
        state = RotationState(generation=before + 1, confirmed_generation=before + confirmed, **BEGUN)
        assert state.is_pending is pending


def session(**more):
    """A session at generation 5, of which generation 4 was spent at noon on branch 7."""
    limits = {"idle_expires_at": NOON + timedelta(days=7), "expires_at": NOON + timedelta(days=30)}
    given = {"generation": 5, "confirmed_generation": 5, "rotated_at": NOON, "spent_branch": 7}
    return RotationState(**given | limits | more)


#: What counts generations, or names a branch: all that an older session has more of.
NUMBERS = ("generation", "confirmed_generation", "strike_generation", "twin_generation", "spent_branch")


def older(numbered, by):
    """A state, or the columns that a verdict changes, so many generations later."""
    return {name: by + value for name, value in numbered.items() if name in NUMBERS and value is not None}


@pytest.mark.parametrize("confirmed", [4, 5], ids=["pending", "confirmed"])
@pytest.mark.parametrize("strike", [None, 3, 4], ids=["no strike", "old strike", "strike"])
@pytest.mark.parametrize("twin", [None, 2, 3, 4], ids=["no twin", "old twin", "twin before", "twin"])
@pytest.mark.parametrize("after", [1, 60], ids=["grace", "later"])
def test_its_age_in_generations_decides_nothing(confirmed, strike, twin, after):
    state = session(
        confirmed_generation=confirmed,
        strike_generation=strike,
        strike_at=strike and NOON,
        twin_generation=twin,
        twin_streak=1 if twin else 0,
    )
    clock = {
        "now": NOON + timedelta(seconds=after),
        "grace": timedelta(seconds=30),
        "idle": timedelta(days=7),
    }
    for presented in (2, 3, 4, 5, 6):
        for branch in (7, 8):
            young = judge(state, presented, branch=branch, **clock)
            by = 1000
            aged = replace(state, **older({name: getattr(state, name) for name in NUMBERS}, by))
            old = judge(aged, presented + by, branch=branch + by, **clock)
            issue = None if young.issue is None else young.issue + by
            assert old == replace(young, issue=issue, changes={**young.changes, **older(young.changes, by)})


def spent(state, *, branch=7, after):
    """The verdict on its token of generation 4, so many seconds after noon."""
    clock = {
        "now": NOON + timedelta(seconds=after),
        "grace": timedelta(seconds=30),
        "idle": timedelta(days=7),
    }
    return judge(state, 4, branch=branch, **clock)


def test_more_twins_in_a_row_than_end_a_session_end_it_too():
    """As where the limit was lowered while it lived."""
    verdict = spent(session(twin_generation=3, twin_streak=5), branch=8, after=1)
    assert (verdict.transition, verdict.end) == (Transition.TWIN, "reused")
    assert verdict.changes == {"twin_generation": 4, "twin_streak": 6}


@pytest.mark.parametrize("after", [90, 91, 3600, 86400])
def test_a_strike_has_not_been_forgotten_long_after(after):
    struck = session(strike_generation=4, strike_at=NOON + timedelta(seconds=60))
    assert spent(struck, after=after).transition is Transition.REUSE_AFTER_STRIKE


def test_a_verdict_says_no_more_than_it_was_given():
    verdict = Verdict(transition=Transition.REPLAY)
    assert (verdict.issue, verdict.end, verdict.refusal) == (None, None, None)
    assert (verdict.is_twin, verdict.answers_lost, verdict.changes) == (False, False, {})


@pytest.mark.parametrize(
    "transition", [Transition.ROTATE, Transition.KEEP, Transition.REPLAY, Transition.ROLLBACK]
)
def test_what_hands_out_a_token_and_nothing_else_counts_against_nobody(transition):
    assert not Verdict(transition=transition, issue=2).counts_against


@pytest.mark.parametrize(
    "verdict",
    [
        Verdict(transition=Transition.STRIKE, refusal=Refusal.CONFLICT),
        Verdict(transition=Transition.REUSE, end="reused", refusal=Refusal.REUSED),
        Verdict(transition=Transition.REPLAY, issue=2, is_twin=True),
        Verdict(transition=Transition.LATE_REPLAY, issue=2),
    ],
    ids=["refused", "ended", "twin", "late"],
)
def test_a_refusal_a_twin_and_a_late_replay_do(verdict):
    assert verdict.counts_against


def test_neither_is_changed_afterwards():
    for fact, name in (
        (RotationState(generation=1, confirmed_generation=0, **BEGUN), "generation"),
        (Verdict(transition=Transition.REPLAY), "issue"),
    ):
        assert not hasattr(fact, "__dict__")
        with pytest.raises(FrozenInstanceError):
            setattr(fact, name, 7)
