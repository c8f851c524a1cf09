"""authx.sessions.hour_totals: what the overview need not count again."""

from datetime import UTC, datetime, timedelta

import pytest
from django.core.management import call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from authx.models import DeviceSession, HourTotals
from authx.sessions import end_session, open_session
from authx.sessions.hour_totals import HOUR, LONGEST, count_hours, prune_totals, turnover_of
from authx.sessions.pruning import prune
from authx.sessions.turnover import Span

pytestmark = pytest.mark.django_db

NOON = datetime(2026, 6, 10, 12, 20, tzinfo=UTC)
KEEP = timedelta(days=30)


@pytest.fixture
def opened(ada):
    """A function that opens a session so long before noon."""

    def opened(ago, reason="", after=timedelta(0)):
        session = open_session(ada, now=NOON - ago).session
        far = {"idle_expires_at": NOON + KEEP, "expires_at": NOON + KEEP}
        DeviceSession.objects.filter(pk=session.pk).update(created_at=NOON - ago, **far)
        if reason:
            end_session(session, reason, now=NOON - ago + after)
        return session

    return opened


def kept():
    return {row.since: (row.opened, row.ended) for row in HourTotals.objects.all()}


def hour(number):
    """The beginning of a full hour so long before that of noon."""
    return NOON.replace(minute=0) - number * HOUR


def test_each_hour_that_is_long_over_is_counted_once(opened):
    opened(timedelta(hours=4), "logout", after=HOUR)
    opened(timedelta(hours=3))
    opened(timedelta(minutes=70))
    assert sum(count_hours(KEEP, now=NOON)) == 3
    assert kept() == {hour(4): (1, {}), hour(3): (1, {"logout": 1}), hour(2): (0, {})}
    assert list(count_hours(KEEP, now=NOON)) == []
    assert sum(count_hours(KEEP, now=NOON + HOUR)) == 1
    assert kept()[hour(1)] == (1, {})


def test_where_nobody_has_ever_signed_in_there_is_nothing_to_count():
    assert list(count_hours(KEEP, now=NOON)) == []


@pytest.mark.parametrize("days", [3, 400])
def test_what_is_forgotten_or_never_shown_is_not_counted(opened, days):
    opened(timedelta(days=300))
    keep = timedelta(days=days)
    sum(count_hours(keep, now=NOON))
    assert min(kept()) == NOON.replace(minute=0) + HOUR - min(keep, LONGEST)


def test_only_days_on_which_something_happened_are_asked_for_each_hour(opened):
    opened(timedelta(days=6), "logout", after=timedelta(days=4))
    with CaptureQueriesContext(connection) as asked:
        hours = sum(count_hours(KEEP, now=NOON))
    parts = [query["sql"].count("UNION ALL") + 1 for query in asked if "UNION ALL" in query["sql"]]
    assert parts == [5, 24 * 5, 5, 5, 5, 5, 24 * 5, 5]
    assert (hours, len(kept())) == (6 * 24 - 1, 6 * 24 - 1)
    assert {since for since, row in kept().items() if row != (0, {})} == {hour(6 * 24), hour(2 * 24)}


@pytest.mark.parametrize("minutes", [0, 61])
def test_a_day_that_adds_up_to_nothing_is_not_taken_for_quiet(opened, minutes):
    """One session begins where another goes on as it: neither a sign-in nor an end."""
    first, second = opened(timedelta(days=2, hours=5)), opened(timedelta(hours=5))
    end = NOON - timedelta(hours=5, minutes=minutes)
    ended = {"ended_at": end, "end_reason": "superseded", "successor": second.pk}
    DeviceSession.objects.filter(pk=first.pk).update(**ended)
    assert sum(count_hours(KEEP, now=NOON)) == 2 * 24 + 4
    found = {since: row for since, row in kept().items() if row != (0, {}) and since >= hour(24)}
    assert found == ({hour(6): (-1, {}), hour(5): (1, {})} if minutes else {})


def test_a_day_is_a_transaction(opened):
    opened(timedelta(hours=50))
    assert list(count_hours(KEEP, now=NOON)) == [24, 24, 1]


def test_of_two_that_count_each_finishes(opened):
    opened(timedelta(hours=50))
    one, other = (count_hours(KEEP, now=NOON) for _ in range(2))
    assert [next(one), next(other), next(one), next(other)] == [24, 24, 24, 1]  # the same, the third time
    assert (sum(one), sum(other)) == (1, 0)
    assert len(kept()) == 49


def test_totals_go_when_their_sessions_go(opened):
    old = opened(timedelta(days=5), "logout").pk
    opened(timedelta(days=2), "logout")
    sum(count_hours(KEEP, now=NOON))
    keep = timedelta(days=3)
    assert sum(prune(keep, 10, now=NOON)) == 1
    assert not DeviceSession.objects.filter(pk=old).exists()
    assert sum(prune_totals(keep, 10, now=NOON)) == 48 + 1
    assert min(kept()) == hour(72) + HOUR


def test_totals_from_before_the_retention_are_not_shown(opened, settings):
    opened(timedelta(days=5), "logout")
    sum(count_hours(KEEP, now=NOON))
    DeviceSession.objects.all().delete()
    week = [Span(NOON - timedelta(days=7), NOON)]
    assert turnover_of(week, NOON)[0].opened == 1
    settings.AUTHX_RETENTION = timedelta(days=3)
    assert turnover_of(week, NOON)[0].opened == 0


def test_what_is_counted_is_not_read_again(opened):
    opened(timedelta(hours=5), "logout")
    spans = [Span(hour(6), hour(4)), Span(hour(4), NOON)]
    sum(count_hours(KEEP, now=NOON))
    opened(timedelta(hours=5))  # of which nothing takes notice
    opened(timedelta(minutes=10))
    assert [(one.opened, one.ended) for one in turnover_of(spans, NOON)] == [(1, {"logout": 1}), (1, {})]


def test_authx_prune_counts(ada):
    session = open_session(ada).session
    then = timezone.now() - timedelta(hours=30)
    DeviceSession.objects.filter(pk=session.pk).update(created_at=then)
    call_command("authx_prune", pause=0)
    hour_of_it = then.replace(minute=0, second=0, microsecond=0)
    assert kept()[hour_of_it] == (1, {})
    HourTotals.objects.create(since=hour_of_it - 2 * LONGEST, opened=1)
    call_command("authx_prune", pause=0)
    assert hour_of_it - 2 * LONGEST not in kept()
