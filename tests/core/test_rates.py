"""authx.core.rates: how often, as settings spell it."""

from dataclasses import FrozenInstanceError

import pytest

from authx.core.rates import Rate

PERIODS = {
    1: ("s", "sec", "second"),
    60: ("m", "min", "minute"),
    3600: ("h", "hour"),
    86400: ("d", "day"),
}


@pytest.mark.parametrize(("seconds", "words"), PERIODS.items(), ids=str)
def test_a_period_has_a_letter_and_names(seconds, words):
    for word in words:
        assert Rate.read(f"7/{word}") == Rate(7, seconds)


@pytest.mark.parametrize(("text", "limit"), [("1/s", 1), ("10/s", 10), ("123456789/s", 123_456_789)])
def test_a_rate_has_one_to_nine_digits(text, limit):
    assert Rate.read(text).limit == limit


@pytest.mark.parametrize(
    "text",
    [
        *("", "10", "/min", "10/", "10/week", "10/M", "10/MIN", "10/mins", "10/minutes", "ten/min"),
        *("0/min", "01/min", "1234567890/s", "-1/min", "+1/min", "1.5/s", "1_0/s"),
        *(" 10/min", "10 /min", "10/ min", "10/min ", "10/min\n", "\n10/min", "10/min/min"),
    ],
    ids=repr,
)
def test_anything_else_is_no_rate_and_the_error_quotes_it(text):
    with pytest.raises(ValueError, match="not a rate") as caught:
        Rate.read(text)
    assert repr(text) in str(caught.value)


def test_a_rate_that_was_read_stays_as_it_is():
    with pytest.raises(FrozenInstanceError):
        Rate.read("10/min").limit = 1_000_000
