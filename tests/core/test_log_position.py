"""authx.core.log_position: numbers drawn in order, committed in any, and not one missed."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authx.core.log_position import MAX_GAPS, MAX_TRANSACTION_SECONDS, Gap, LogPosition


def lines(*numbers):
    return [(number, f"sid-{number}") for number in numbers]


def asked(position, log):
    """What a reader asks a log for: the last it knows, its gaps, and all beyond."""
    return [
        (number, mark)
        for number, mark in sorted(log.items())
        if number >= position.last or any(gap.first <= number <= gap.last for gap in position.gaps)
    ]


def test_what_comes_in_order_leaves_no_gap():
    position = LogPosition().advanced(lines(1, 2, 3), 0)
    assert (position.last, position.mark, position.gaps) == (3, "sid-3", ())


def test_a_number_that_is_missing_is_watched():
    position = LogPosition().advanced(lines(1, 2, 5), 7.0)
    assert position.gaps == (Gap(3, 4, 7.0),)


def test_a_late_number_closes_its_gap_and_splits_what_is_left():
    position = LogPosition().advanced(lines(10), 0)
    assert position.gaps == (Gap(1, 9, 0),)
    position = position.advanced(lines(4, 6, 10), 1)
    assert position.gaps == (Gap(1, 3, 0), Gap(5, 5, 0), Gap(7, 9, 0))
    assert (position.last, position.mark) == (10, "sid-10")


def test_a_gap_is_forgotten_when_no_transaction_can_be_that_long():
    position = LogPosition().advanced(lines(1, 3), 0)
    assert position.advanced(lines(3), MAX_TRANSACTION_SECONDS - 1).gaps == (Gap(2, 2, 0),)
    assert position.advanced(lines(3), MAX_TRANSACTION_SECONDS).gaps == ()


def test_below_the_first_line_of_a_window_somebody_may_still_be_writing():
    position = LogPosition(6, "sid-6").advanced(lines(8, 9), 0)
    assert position.gaps == (Gap(7, 7, 0),)


def test_many_gaps_are_joined_and_still_cover_every_missing_number():
    numbers = range(1, 4 * MAX_GAPS, 2)
    position = LogPosition().advanced(lines(*numbers), 0)
    assert len(position.gaps) <= MAX_GAPS
    covered = {n for gap in position.gaps for n in range(gap.first, gap.last + 1)}
    assert covered >= set(range(2, 4 * MAX_GAPS - 1, 2))


def test_joined_gaps_live_as_long_as_the_younger_one():
    old = LogPosition().advanced(lines(*range(1, 2 * MAX_GAPS, 2)), 0)
    young = old.advanced(lines(*range(old.last, old.last + 4 * MAX_GAPS, 2)), 100)
    assert max(gap.since for gap in young.gaps) == 100
    assert all(gap.since == 100 for gap in young.gaps if gap.last > old.last)


def test_it_travels_as_json():
    position = LogPosition().advanced(lines(1, 5, 9), 3.5)
    assert LogPosition.from_json(json.loads(json.dumps(position.as_json()))) == position


@pytest.mark.parametrize("text", ["null", "7", "[]", "[1]", '[1, "a", [[1]]]', '["x", "a", []]', '{"a": 1}'])
def test_what_is_no_position_is_refused(text):
    with pytest.raises(ValueError, match="not a position in a log"):
        LogPosition.from_json(json.loads(text))


@given(
    st.lists(
        st.one_of(
            st.just("begin"),
            st.just("read"),
            st.tuples(st.sampled_from(["commit", "roll back"]), st.integers(0, 30)),
        ),
        max_size=80,
    )
)
def test_whatever_is_committed_before_a_reading_is_told_by_it_or_before(history):
    log, open_numbers, told, drawn = {}, [], {}, 0
    position = LogPosition()
    for time, step in enumerate(history):
        if step == "begin":
            drawn += 1
            open_numbers.append(drawn)
        elif step == "read":
            rows = asked(position, log)
            told.update(rows)
            position = position.advanced(rows, float(time))
            assert told == log
        elif open_numbers:
            number = open_numbers.pop(step[1] % len(open_numbers))
            if step[0] == "commit":
                log[number] = f"sid-{number}"
