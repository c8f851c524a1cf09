"""authx.core.key_schedule: what each managed key is for, told by the times of all of them."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authx.core.key_schedule import (
    IN_USE,
    LEAD_TIME,
    POLL_INTERVAL,
    KeyState,
    KeyTimes,
    finished_for_long,
    judge_keys,
    verifies_for,
)
from authx.wellknown.published import MAX_AGE_SECONDS

START = datetime(2026, 3, 1, tzinfo=UTC)
VERIFY_PERIOD = timedelta(minutes=16)
DAY = timedelta(days=1)


def at(minutes):
    return START + timedelta(minutes=minutes)


def key(kid, signs, withdrawn=None):
    return KeyTimes(kid, at(signs), None if withdrawn is None else at(withdrawn))


def states(*keys, now):
    """The states at a minute, as ``a=signing b=next``; the settings' keys as ``*``."""
    judged = judge_keys(keys, now=at(now), verify_period=VERIFY_PERIOD)
    return " ".join([f"*={judged.settings}", *(f"{kid}={state}" for kid, state in judged.states.items())])


def test_without_managed_keys_the_settings_keys_sign():
    judged = judge_keys([], now=START, verify_period=VERIFY_PERIOD)
    assert (judged.settings, judged.states) == (KeyState.SIGNING, {})
    assert judged.signing is judged.changes_at is None


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        (0, "*=signing a=next b=next"),
        (9.99, "*=signing a=next b=next"),
        (10, "*=retiring a=signing b=next"),
        (25.99, "*=retiring a=signing b=next"),
        (26, "*=retired a=signing b=next"),
        (100, "*=retired a=retiring b=signing"),
        (115.99, "*=retired a=retiring b=signing"),
        (116, "*=retired a=retired b=signing"),
        (10_000, "*=retired a=retired b=signing"),
    ],
)
def test_keys_are_published_sign_retire_and_are_gone(now, expected):
    assert states(key("b", 100), key("a", 10), now=now) == expected


def test_it_says_when_something_changes_next():
    keys = [key("a", 10), key("b", 100)]
    found, now = [], START
    while (now := judge_keys(keys, now=now, verify_period=VERIFY_PERIOD).changes_at) is not None:
        found.append(now)
    assert found == [at(10), at(26), at(100), at(116)]


def test_a_withdrawn_key_is_withdrawn_whatever_the_clock_says():
    for now in (0, 10, 19, 20, 50, 1000):
        assert "a=withdrawn" in states(key("a", 10, withdrawn=20), key("b", 500), now=now)


def test_the_waiting_key_takes_the_place_of_a_withdrawn_one_before_its_turn():
    assert states(key("a", 10, withdrawn=50), key("b", 60), now=51) == "*=retired a=withdrawn b=signing"


def test_a_superseded_key_does_not_sign_again_because_its_successor_was_withdrawn():
    keys = [key("a", 10), key("b", 100, withdrawn=105), key("c", 105)]
    assert states(*keys, now=105) == "*=retired a=retiring b=withdrawn c=signing"
    # Counted from where it was superseded, not from the withdrawal.
    assert states(*keys, now=116) == "*=retired a=retired b=withdrawn c=signing"
    # A clock behind that which stamped the withdrawal.
    assert states(*keys, now=104) == "*=retired a=retiring b=withdrawn c=signing"


def test_a_key_withdrawn_before_its_turn_has_never_superseded_anybody():
    keys = [key("a", 10), key("b", 100, withdrawn=90)]
    assert states(*keys, now=1000) == "*=retired a=signing b=withdrawn"
    assert states(key("a", 10, withdrawn=5), now=1000) == "*=signing a=withdrawn"


def test_where_all_are_withdrawn_nobody_signs_and_the_settings_keys_do_not_come_back():
    keys = [key("a", 10, withdrawn=50)]
    judged = judge_keys(keys, now=at(51), verify_period=VERIFY_PERIOD)
    assert judged.signing is None
    assert judged.settings is KeyState.RETIRED


def test_a_key_that_signs_at_once_leaves_the_waiting_one_its_turn():
    keys = [key("a", 10), key("waiting", 110), key("urgent", 105)]
    assert states(*keys, now=106) == "*=retired a=retiring urgent=signing waiting=next"
    assert states(*keys, now=110) == "*=retired a=retiring urgent=retiring waiting=signing"


def test_the_lead_is_longer_than_anybody_keeps_an_older_set():
    leeway = timedelta(seconds=60)  # the greatest that AUTHX_CLOCK_LEEWAY may be
    assert timedelta(seconds=MAX_AGE_SECONDS) + 2 * leeway + POLL_INTERVAL < LEAD_TIME


def test_a_superseded_key_outlives_the_last_token_it_can_have_signed():
    lifetime, leeway = timedelta(minutes=15), timedelta(seconds=10)
    # Signed POLL_INTERVAL too late by a clock that is behind, judged with leeway.
    assert verifies_for(lifetime=lifetime, leeway=leeway) >= POLL_INTERVAL + leeway + lifetime + leeway


minutes = st.integers(0, 5000)
keyrings = st.lists(st.tuples(minutes, st.none() | minutes), max_size=8).map(
    lambda rows: [key(f"k{number}", *row) for number, row in enumerate(rows)]
)
ORDER = list(KeyState)


@given(keyrings, minutes, minutes)
def test_no_state_is_ever_gone_back_to(keys, one, other):
    """Except that all who might sign were withdrawn: then the last of the old ones signs on."""
    earlier, later = sorted([one, other])
    before, after = (judge_keys(keys, now=at(now), verify_period=VERIFY_PERIOD) for now in (earlier, later))
    assert ORDER.index(after.settings) >= ORDER.index(before.settings)
    for kid, state in before.states.items():
        if after.states[kid] is KeyState.SIGNING:
            continue
        assert ORDER.index(after.states[kid]) >= ORDER.index(state)


@given(keyrings, minutes)
def test_at_most_one_key_signs_and_somebody_does_unless_all_are_withdrawn(keys, now):
    judged = judge_keys(keys, now=at(now), verify_period=VERIFY_PERIOD)
    signing = [kid for kid, state in judged.states.items() if state is KeyState.SIGNING]
    assert len(signing) <= 1
    assert signing == ([judged.signing] if judged.signing else [])
    if judged.settings is not KeyState.SIGNING and any(key.withdrawn_at is None for key in keys):
        assert signing


@given(keyrings, minutes)
def test_nothing_changes_before_it_says_so(keys, now):
    judged = judge_keys(keys, now=at(now), verify_period=VERIFY_PERIOD)
    later = judged.changes_at - timedelta(microseconds=1) if judged.changes_at else at(100_000)
    again = judge_keys(keys, now=later, verify_period=VERIFY_PERIOD)
    assert (again.states, again.settings) == (judged.states, judged.settings)


@given(keyrings, minutes)
def test_forgetting_finished_keys_changes_nothing_for_those_that_are_left(keys, now):
    before = judge_keys(keys, now=at(now), verify_period=VERIFY_PERIOD)
    gone = finished_for_long(keys, now=at(now), verify_period=VERIFY_PERIOD, keep=timedelta(0))
    assert not {before.states[kid] for kid in gone} & IN_USE
    left = [each for each in keys if each.kid not in gone]
    after = judge_keys(left, now=at(now), verify_period=VERIFY_PERIOD)
    assert after.states == {kid: state for kid, state in before.states.items() if kid not in gone}
    assert after.settings is before.settings


def test_finished_keys_are_forgotten_from_the_oldest_on_and_never_the_last():
    keys = [key("a", 0), key("b", 10), key("c", 20), key("d", 30)]
    now, periods = at(30) + VERIFY_PERIOD + DAY, {"verify_period": VERIFY_PERIOD, "keep": DAY}
    assert finished_for_long(keys, now=now, **periods) == ["a", "b", "c"]
    assert finished_for_long(keys, now=now - timedelta(seconds=1), **periods) == ["a", "b"]
    assert finished_for_long(keys[:1], now=now, **periods) == []
    withdrawn = [key("a", 0), key("b", 10, withdrawn=15)]
    assert finished_for_long(withdrawn, now=now, **periods) == []  # "a" signs after all
