"""authx.http.ago: how long ago, in sentences that translators get whole."""

from datetime import UTC, datetime, timedelta

import pytest
from django.test import override_settings
from django.utils import translation

from authx.http.ago import active_ago, used_ago

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)
SECOND, MINUTE, HOUR, DAY = (timedelta(**{unit: 1}) for unit in ("seconds", "minutes", "hours", "days"))


@pytest.mark.parametrize(
    ("age", "words"),
    [
        (-HOUR, "Active just now"),
        (0 * SECOND, "Active just now"),
        (59 * SECOND, "Active just now"),
        (MINUTE, "Active 1 minute ago"),
        (2 * MINUTE + 59 * SECOND, "Active 2 minutes ago"),
        (59 * MINUTE, "Active 59 minutes ago"),
        (HOUR, "Active 1 hour ago"),
        (23 * HOUR + 59 * MINUTE, "Active 23 hours ago"),
        (DAY, "Active 1 day ago"),
        (7 * DAY - SECOND, "Active 6 days ago"),
        (7 * DAY, "Active on March 3, 2026"),
        (400 * DAY, "Active on Feb. 3, 2025"),
    ],
)
def test_when_a_device_was_active(age, words):
    assert active_ago(NOW - age, NOW) == words
    assert used_ago(NOW - age, NOW) == words.replace("Active", "Used")


@override_settings(TIME_ZONE="Pacific/Auckland")
def test_a_date_is_that_of_the_readers_time_zone():
    assert active_ago(datetime(2026, 2, 28, 12, tzinfo=UTC), NOW) == "Active on March 1, 2026"


def test_a_date_is_written_as_in_the_readers_language():
    with translation.override("de"):
        assert "3. März 2026" in active_ago(NOW - 7 * DAY, NOW)
