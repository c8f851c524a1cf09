"""benchmarks.rotation_simulation.search: which generations an owner and one copy can both be served in."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from random import Random

import pytest

from authx.core.rotation import Transition, judge
from benchmarks.rotation_simulation.moves import Moves
from benchmarks.rotation_simulation.renewals import renewals_outlived
from benchmarks.rotation_simulation.search import search
from benchmarks.rotation_simulation.situation import Situation

#: The copied generation and the next two.
BOUND = 2


def without_branches(state, presented, **given):
    """The judge, if it remembered no branch."""
    return judge(replace(state, spent_branch=None), presented, **given)


def with_patience(state, presented, **given):
    """The judge, if it took a third twin in a row to end a session."""
    verdict = judge(state, presented, **given)
    if verdict.transition is Transition.TWIN and verdict.changes["twin_streak"] == 2:
        return judge(replace(state, **verdict.changes), presented, **given)
    return verdict


def with_gaps(state, presented, **given):
    """The judge, if the second twin ended a session only in another way than the first: never in a row."""
    if state.twin_generation is not None and state.twin_generation < presented:
        state = replace(state, twin_generation=None, twin_streak=0)
    return judge(state, presented, **given)


def test_both_are_served_in_the_copied_generation_and_the_next_two_whatever_happens():
    found = search(Moves(under_way=0))
    assert found.is_complete
    assert found.widest == BOUND


def test_short_schedules_with_slow_requests_and_late_answers_keep_the_bound():
    found = search(Moves(under_way=2), depth=9)
    assert found.widest == BOUND


@pytest.mark.slow
@pytest.mark.parametrize(("under_way", "lost"), [(1, 0), (0, 1)], ids=["one-under-way", "one-lost-write"])
def test_the_bound_holds_for_schedules_of_any_length(under_way, lost):
    found = search(Moves(under_way=under_way), writes_to_lose=lost)
    assert found.is_complete
    assert found.widest == BOUND + 2 * lost


@pytest.mark.slow
def test_the_bound_holds_for_long_schedules_with_more_under_way():
    assert search(Moves(under_way=2), depth=12).widest == BOUND


@pytest.mark.parametrize("other", [without_branches, with_patience, with_gaps])
def test_the_search_finds_a_judge_that_lets_a_copy_live_longer(other):
    assert search(Moves(under_way=0, judge=other), stop_at=BOUND + 1).widest == BOUND + 1


@pytest.mark.slow
def test_random_schedules_in_which_nothing_is_left_out_agree():
    """The search takes situations for one that look the same; here each schedule is followed as it is."""
    moves, widest = Moves(under_way=3), set()
    for number in range(400):
        rng, here = Random(number), Situation()
        for _ in range(60):
            after = [situation for _, situation in moves.after(here) if situation.can_be_shared]
            here = rng.choice(after)
            widest.add(here.widest)
    assert max(widest) == BOUND


@pytest.mark.parametrize("minutes", [1, 15, 24 * 60])
@pytest.mark.parametrize(("asks_issuer", "renewals"), [(True, 3), (False, 5)], ids=["issuer", "elsewhere"])
def test_a_copy_outlives_few_of_the_owners_renewals(minutes, asks_issuer, renewals):
    outlived = renewals_outlived(timedelta(minutes=minutes), asks_issuer=asks_issuer)
    assert outlived == renewals


def test_without_branches_a_copy_outlives_every_renewal():
    moves = Moves(under_way=0, judge=without_branches)
    assert renewals_outlived(timedelta(minutes=15), asks_issuer=True, moves=moves, most=8) == 8
