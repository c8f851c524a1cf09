"""authx.core.choosing and the limits behind it: whom a user may choose to end, so that there is room."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import chain, combinations, product
from uuid import UUID

import pytest

from authx.core.choosing import can_choose, choosable, is_counted
from authx.core.limits import Limit, Occupant, WhenFull, displaced
from authx.errors import SessionLimitReached

START = datetime(2026, 1, 1, tzinfo=UTC)


def occupant(number, type_="ios", *, seen=0):
    return Occupant(UUID(int=number), type_, START, START + timedelta(minutes=seen))


def limit(*types, at_most=1, choose=True, when_full="refuse"):
    return Limit.read(
        {"types": list(types) or None, "limit": at_most, "when_full": when_full, "choose": choose}
    )


def numbers(found):
    sids, must_end = found
    return [sid.int for sid in sids], must_end


def test_each_session_that_the_limit_counts_can_be_chosen_the_least_recent_first():
    there = [occupant(1, seen=9), occupant(2, "android", seen=3), occupant(3, "web")]
    assert numbers(choosable([limit("ios", "android", at_most=2)], there, "ios")) == ([2, 1], 1)


def test_what_was_chosen_ends_beside_nobody_else():
    there = [occupant(1), occupant(2)]
    assert displaced([limit("ios", at_most=2)], there, "ios", {UUID(int=1)}) == []


def test_of_two_full_limits_only_what_makes_room_in_both_can_be_chosen():
    there = [occupant(1, "ios", seen=5), occupant(2, "web"), occupant(3, "web")]
    limits = [limit("ios"), limit(at_most=3)]
    assert numbers(choosable(limits, there, "ios")) == ([1], 1)


def test_two_limits_that_share_no_session_take_one_of_each():
    there = [occupant(1, "android"), occupant(2, "desktop")]
    limits = [limit("ios", "android"), limit("ios", "desktop")]
    assert numbers(choosable(limits, there, "ios")) == ([1, 2], 2)


def test_a_lowered_limit_takes_as_many_as_are_too_much():
    there = [occupant(n, seen=n) for n in range(1, 6)]
    assert numbers(choosable([limit("ios", at_most=2)], there, "ios")) == ([1, 2, 3, 4, 5], 4)


def test_nobody_can_choose_where_a_limit_without_choose_is_full_too():
    there = [occupant(1), occupant(2, "web")]
    limits = [limit("ios"), limit(at_most=2, choose=False)]
    assert numbers(choosable(limits, there, "ios")) == ([], 0)
    with pytest.raises(SessionLimitReached):
        displaced(limits, there, "ios", {UUID(int=1)})


def test_a_limit_without_choose_that_has_room_does_not_matter():
    there = [occupant(1), occupant(2, "web")]
    limits = [limit("ios"), limit(at_most=3, choose=False)]
    assert numbers(choosable(limits, there, "ios")) == ([1], 1)


def test_what_another_limit_ends_makes_room_only_as_it_does_at_the_login():
    """The oldest ends by the first limit only while it is full; with one chosen it is not."""
    there = [occupant(1, seen=1), occupant(2, seen=2), occupant(3, "web", seen=3)]
    limits = [limit(at_most=3, when_full="end_oldest", choose=False), limit("ios")]
    sids, must_end = choosable(limits, there, "ios")
    assert displaced(limits, there, "ios", set(sids[:must_end])) == []


@pytest.mark.parametrize(
    ("type_", "newcomer", "counted"), [("ios", "ios", True), ("web", "ios", False), ("ios", "web", False)]
)
def test_a_limit_counts_what_it_covers_for_a_login_that_it_covers(type_, newcomer, counted):
    assert is_counted([limit("ios")], type_, newcomer) is counted
    assert not is_counted([limit("ios", choose=False)], type_, newcomer)


def test_only_a_limit_that_covers_the_login_lets_it_choose():
    assert can_choose([limit("ios")], "ios")
    assert not can_choose([limit("web"), limit("ios", choose=False)], "ios")


KINDS = [
    limit("ios"),
    limit("ios", "web", at_most=2),
    limit(at_most=2),
    limit("ios", choose=False),
    limit(at_most=2, choose=False),
    limit("ios", choose=False, when_full="end_oldest"),
    limit(at_most=2, choose=False, when_full="end_least_recent"),
]


@pytest.mark.parametrize("types", list(product(["ios", "web", "desktop"], repeat=3)), ids="-".join)
def test_choosing_as_told_always_makes_room_and_what_is_left_out_never_would(types):
    there = [occupant(n, type_, seen=n % 3) for n, type_ in enumerate(types, 1)]
    for limits in chain.from_iterable(combinations(KINDS, n) for n in (1, 2, 3)):
        sids, must_end = choosable(limits, there, "ios")
        full = _is_full(limits, there)
        assert bool(must_end) == bool(sids)
        if not full:
            continue
        if sids:
            assert not _is_full(limits, there, set(sids[:must_end]))
        if must_end == 1:
            assert all(_is_full(limits, there, {one.sid}) for one in there if one.sid not in sids)
            assert not any(_is_full(limits, there, {sid}) for sid in sids)
        if not sids:
            everyone = chain.from_iterable(combinations([one.sid for one in there], n) for n in range(4))
            assert all(_is_full(limits, there, set(some)) for some in everyone)


def _is_full(limits, there, chosen=frozenset()):
    """Whether the login is refused, or names a session that no choosing limit counts."""
    if any(one.sid in chosen and not is_counted(limits, one.type, "ios") for one in there):
        return True
    try:
        displaced(limits, there, "ios", chosen)
    except SessionLimitReached:
        return True
    return False


@pytest.mark.parametrize("when_full", [None, *(each for each in WhenFull if each != "refuse")])
def test_only_a_limit_that_refuses_lets_anybody_choose(when_full):
    rule = {"limit": 1, "choose": True} | ({"when_full": when_full.value} if when_full else {})
    with pytest.raises(ValueError, match='must have "when_full": "refuse" beside choose'):
        Limit.read(rule)
    assert not Limit.read(rule | {"choose": False}).choose


@pytest.mark.parametrize("value", [1, "True", None, [True]])
def test_choose_is_true_or_false(value):
    with pytest.raises(ValueError, match="choose"):
        Limit.read({"limit": 1, "when_full": "refuse", "choose": value})


def test_processes_that_disagree_about_choosing_can_be_told_apart():
    assert str(limit("ios")) != str(limit("ios", choose=False))
