"""authx.store.batches: old rows go in batches, the oldest first, and none that has changed meanwhile."""

from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection

from authx.models import UsedTicket
from authx.store.batches import delete_in_batches

pytestmark = pytest.mark.django_db

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
NOW = START + timedelta(minutes=4)


@pytest.fixture(autouse=True)
def tickets():
    """One of each minute; the last is not old yet."""
    for minute in (3, 0, 4, 1, 2):
        UsedTicket.objects.create(name=f"minute {minute}", at=START + timedelta(minutes=minute))


def old():
    return UsedTicket.objects.filter(at__lt=NOW)


def left():
    return sorted(UsedTicket.objects.values_list("name", flat=True))


def test_the_oldest_go_first_so_many_at_a_time():
    batches = delete_in_batches(old(), 3, by="at")
    assert left() == [f"minute {minute}" for minute in range(5)], "nothing before it is asked for"
    assert next(batches) == 3
    assert left() == ["minute 3", "minute 4"]
    assert list(batches) == [1]
    assert left() == ["minute 4"]


def test_one_that_has_changed_since_it_was_found_stays():
    def use_again(execute, sql, params, many, context):
        if sql.startswith("DELETE"):
            UsedTicket.objects.filter(name="minute 1").update(at=NOW)
        return execute(sql, params, many, context)

    with connection.execute_wrapper(use_again):
        assert list(delete_in_batches(old(), 10, by="at")) == [3]
    assert left() == ["minute 1", "minute 4"]
