"""The overview in the admin: sessions that began, ended and raised alarms, counted and drawn."""

import re
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from django.core.cache import cache
from django.core.cache.backends.locmem import LocMemCache
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone, translation

from authx.admin.overview.charts import chart_of
from authx.admin.overview.periods import NUMBERS, Per, slots_until
from authx.admin.overview.totals import Totals, key_of, totals_of
from authx.conf import conf
from authx.core.actor import NOBODY, Actor
from authx.core.reasons import EndReason
from authx.models import DeviceSession, HourTotals
from authx.sessions import end_session, end_user_sessions, refresh_session
from authx.sessions.continuing import continue_after_password_change, continue_session
from authx.sessions.hour_totals import count_hours, turnover_of
from authx.sessions.lookup import find_by_sid
from authx.sessions.pruning import mark_expired
from authx.sessions.risk import raise_refresh_rate
from tests.admin.test_admin import LIST, MARKUP, boss, change, desk, sign_in, text_of  # noqa: F401

OVERVIEW = f"{LIST}overview/"
BERLIN = ZoneInfo("Europe/Berlin")
NOON = datetime(2026, 6, 10, 12, 20, tzinfo=UTC)


# Periods


@pytest.mark.parametrize("per", list(Per))
@pytest.mark.parametrize(
    "zone", ["UTC", "Europe/Berlin", "Asia/Kathmandu", "Africa/Cairo", "Australia/Lord_Howe"]
)
@pytest.mark.parametrize(
    "now",
    [
        NOON,
        datetime(2026, 10, 25, 1, 30, tzinfo=UTC),
        datetime(2026, 3, 29, 1, 0, tzinfo=UTC),
        datetime(2026, 4, 24, 3, 0, tzinfo=UTC),
        datetime(2026, 4, 4, 15, 10, tzinfo=UTC),
        datetime(2026, 12, 31, 23, 59, 59, tzinfo=UTC),
    ],
)
def test_slots_follow_each_other_and_the_last_one_is_now(per, zone, now):
    with timezone.override(zone):
        slots = slots_until(now, per)
    assert len(slots) == NUMBERS[per]
    assert all(one.until == other.since and one.since < one.until for one, other in pairwise(slots))
    assert slots[-1].since <= now < slots[-1].until
    assert len({slot.name for slot in slots}) == len(slots)


def test_an_hour_that_comes_twice_is_there_twice():
    with timezone.override(BERLIN):
        slots = slots_until(datetime(2026, 10, 25, 5, 0, tzinfo=UTC), Per.HOUR)
    assert [slot.name for slot in slots][-6:-3] == [
        "October 25 02:00 CEST",
        "October 25 02:00 CET",
        "October 25 03:00",
    ]


@pytest.mark.parametrize(("day", "hours"), [(25, 25), (24, 24)])
def test_days_are_those_of_the_time_zone(day, hours):
    with timezone.override(BERLIN):
        (slot,) = (
            one
            for one in slots_until(datetime(2026, 11, 1, tzinfo=UTC), Per.DAY)
            if one.name == f"October {day}"
        )
    assert slot.since.astimezone(BERLIN).hour == 0
    assert slot.until - slot.since == timedelta(hours=hours)


@pytest.mark.parametrize(("language", "weekday"), [("en", 6), ("de", 0), ("fa", 5)])
def test_weeks_begin_as_in_the_language(language, weekday):
    with translation.override(language):
        assert {slot.since.weekday() for slot in slots_until(NOON, Per.WEEK)} == {weekday}


# Totals


def at(session, **columns):
    change(session.session, **columns)
    return session


def hours(now=None):
    now = now or timezone.now()
    slots = slots_until(now, Per.HOUR)
    cache.clear()
    return totals_of(slots, now)


@pytest.fixture
def now():
    """The middle of an hour, so that what happens in a test happens in one slot."""
    return timezone.now().replace(minute=30)


@pytest.mark.django_db
def test_sessions_are_counted_in_their_hours_and_by_reason(ada, bob, now):
    at(sign_in(ada), created_at=now - timedelta(hours=2))
    at(sign_in(bob), created_at=now - timedelta(hours=2))
    gone = at(sign_in(ada), created_at=now - timedelta(hours=30)).session
    end_session(gone, "kicked", now=now - timedelta(hours=1))
    found = hours(now)
    assert (found.opened[-3], sum(found.opened)) == (2, 2)
    assert (found.ended[-2], found.reasons) == ({"kicked": 1}, {"kicked": 1})
    assert (found.live, found.users) == ({"web": 2}, 2)


@pytest.mark.django_db
def test_refreshes_are_no_sign_ins(ada, settings):
    settings.AUTHX_REFRESH_GRACE = timedelta(milliseconds=1)
    credentials = sign_in(ada)
    for _ in range(3):
        credentials = refresh_session(credentials.refresh_token)
    assert sum(hours().opened) == 1


@pytest.mark.django_db
def test_who_proves_the_password_again_is_signed_in_once(ada):
    session = find_by_sid(sign_in(ada).session.pk).session
    continue_session(session, NOBODY, methods=("pwd",), came_back=True)
    found = hours()
    assert (sum(found.opened), found.reasons, found.live) == (1, {}, {"web": 1})


@pytest.mark.django_db
def test_who_changes_the_own_password_is_signed_in_once_and_the_others_are_out(ada):
    own, other = sign_in(ada), sign_in(ada)
    for one in (own, other):
        end_session(one.session, "password_changed")
    ada.set_password("another")
    ada.save()
    continue_after_password_change(find_by_sid(own.session.pk).session, NOBODY, came_back=True)
    found = hours()
    assert (sum(found.opened), found.reasons) == (2, {"password_changed": 1})


@pytest.mark.django_db
@pytest.mark.parametrize("is_pruned", [False, True])
@pytest.mark.parametrize(("limit", "reason"), [("idle_expires_at", "idle"), ("expires_at", "expired")])
def test_a_time_limit_ends_a_session_when_it_is_reached_and_not_when_that_is_noticed(
    ada, now, limit, reason, is_pruned
):
    over = now - timedelta(hours=5)
    columns = {"created_at": now - timedelta(days=9), "idle_expires_at": over, "expires_at": now}
    at(sign_in(ada), **{**columns, limit: over})
    if is_pruned:
        assert sum(mark_expired(10, now=now)) == 1
    found = hours(now)
    assert (found.ended[-6], found.reasons, found.live) == ({reason: 1}, {reason: 1}, {})


@pytest.mark.django_db
def test_what_one_mark_ends_counts_session_by_session(ada):
    for _ in range(3):
        sign_in(ada)
    end_user_sessions(ada, EndReason.KICKED)
    assert (hours().reasons, hours().live) == ({"kicked": 3}, {})


@pytest.mark.django_db
def test_the_sessions_of_clients_are_no_sign_ins(ada, now):
    at(sign_in(ada), client_id="reader")
    gone = at(sign_in(ada), client_id="reader").session
    end_session(gone, "kicked")
    found = hours()
    assert (sum(found.opened), found.reasons) == (0, {})


@pytest.mark.django_db
@pytest.mark.databases("sqlite", "postgresql")
@pytest.mark.parametrize("per", list(Per))
@pytest.mark.parametrize("are_counted", [False, True])
def test_totals_take_four_statements_however_many_slots(ada, per, are_counted):
    at(sign_in(ada), created_at=timezone.now() - timedelta(days=3))
    now = timezone.now()
    slots = slots_until(now, per)
    if are_counted:
        sum(count_hours(conf.RETENTION))
    with CaptureQueriesContext(connection) as counted:
        found = totals_of(slots, now)
    reading = [one["sql"] for one in counted if "authx_devicesession" in one["sql"]]
    assert len(reading) == 3
    assert len(counted) <= 7  # PostgreSQL: in a transaction, in which it is told not to compile
    sign_in(ada)
    with CaptureQueriesContext(connection) as again:
        assert totals_of(slots, now) == found
    assert len(again) == 0


@pytest.mark.django_db
@pytest.mark.parametrize("per", list(Per))
def test_totals_are_counted_anew_after_five_minutes(monkeypatch, per):
    kept = {}
    monkeypatch.setattr(LocMemCache, "set", lambda self, key, value, timeout: kept.update({key: timeout}))
    slots = slots_until(NOON, per)
    totals_of(slots, NOON)
    assert kept == {key_of(slots): 300}


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "Asia/Kathmandu", "Australia/Lord_Howe"])
@pytest.mark.parametrize("is_pruned", [False, True])
def test_hours_that_are_counted_already_change_no_number(ada, everything, now, zone, is_pruned):
    """As after a night, with some hours since, and where nights have been left out."""
    with timezone.override(ZoneInfo(zone)):
        slots = [slots_until(now, per) for per in Per]
    whole = [turnover_of(some, now) for some in slots]
    assert sum(one.opened for one in whole[-1]) > 20
    if is_pruned:
        assert sum(mark_expired(50, now=now)) > 0
    sum(count_hours(timedelta(days=21), now=now - timedelta(hours=5)))
    assert HourTotals.objects.count() > 480
    assert [turnover_of(some, now) for some in slots] == whole
    for begin in (now - timedelta(days=20, hours=5), now - timedelta(days=3, hours=1)):
        HourTotals.objects.filter(since__gte=begin, since__lt=begin + timedelta(days=2)).delete()
    assert [turnover_of(some, now) for some in slots] == whole


@pytest.mark.django_db
def test_a_cache_that_is_down_only_costs_time(boss, monkeypatch, caplog):  # noqa: F811
    def fail(self, key, *args, **kwargs):
        raise ConnectionError("down")

    monkeypatch.setattr(LocMemCache, "get", fail)
    monkeypatch.setattr(LocMemCache, "set", fail)
    assert boss.get(OVERVIEW).status_code == 200
    assert "cache_failed" in {getattr(record, "event", "") for record in caplog.records}


# The chart


def chart(opened, ended=None, language="en"):
    slots = slots_until(NOON, Per.HOUR)
    rest = [0] * (len(slots) - len(opened))
    counted = [*(ended or []), *({} for _ in range(len(slots) - len(ended or [])))]
    with translation.override(language):
        return chart_of(slots, Totals(NOON.timestamp(), [*opened, *rest], counted), Per.HOUR)


@pytest.mark.parametrize("highest", [0, 1, 3, 4, 5, 9, 40, 41, 999, 1_000_000])
def test_the_axis_has_a_few_round_numbers_and_the_highest_bar_fits(highest):
    found = chart([highest])
    values = [int(value.replace(",", "")) for _y, _below, value in found.lines]
    assert values[0] == 0
    assert 2 <= len(values) <= 6
    assert values[-1] >= highest
    assert all(float(rect.y) >= 0 for column in found.columns for rect in column.rects)


def test_bars_stand_on_each_other():
    found = chart([10], [{"logout": 4, "kicked": 3, "reused": 2}]).columns[0]
    opened, *ended = found.rects
    assert (opened.look, [one.look for one in ended]) == ("in", ["out", "kicked", "copied"])
    for lower, upper in pairwise(ended):
        assert float(upper.y) + float(upper.height) == pytest.approx(float(lower.y), abs=0.11)
    assert sum(float(one.height) for one in ended) == pytest.approx(0.9 * float(opened.height), abs=0.2)
    assert found.mark is not None
    assert float(found.mark[1]) < float(ended[-1].y)


def test_the_first_bar_stands_where_reading_begins():
    (left,), (right,) = (chart([10], language=name).columns[0].rects for name in ("en", "ar"))
    begin, width = float(left.x[:-1]), float(left.width[:-1])
    assert float(right.x[:-1]) == pytest.approx(100 - begin - width, abs=0.02)


@pytest.mark.django_db
@pytest.mark.parametrize("language", ["en", "de", "ar"])
def test_lengths_have_a_point_in_every_language(boss, ada, language):  # noqa: F811
    for _ in range(3):
        sign_in(ada)
    with translation.override(language):
        page = boss.get(OVERVIEW).content.decode()
    lengths = re.findall(r'<rect [^>]*?width="([^"]*)" height="([^"]*)"', page)
    assert lengths
    assert all(re.fullmatch(r"[\d.]+%?", length) for pair in lengths for length in pair)


# The page


@pytest.mark.django_db
def test_the_table_says_what_the_chart_shows(boss, ada, bob):  # noqa: F811
    sign_in(ada)
    end_session(sign_in(bob).session, "kicked")
    page = boss.get(OVERVIEW).content.decode()
    table = re.search(r'<details id="chart-table">.*?</details>', page, re.DOTALL)[0]
    rows = re.findall(r"<tr>(.*?)</tr>", table, re.DOTALL)[1:]
    cells = [[text_of(cell) for cell in re.findall(r"<td>(.*?)</td>", row)] for row in rows]
    assert len(cells) == 24
    assert [sum(int(row[column]) for row in cells) for column in range(4)] == [
        3,
        0,
        1,
        0,
    ]  # the boss's is one


@pytest.mark.django_db
@pytest.mark.parametrize("per", [*Per, ""])
def test_each_period_has_a_page(boss, per):  # noqa: F811
    page = boss.get(OVERVIEW, **({"per": per} if per else {}))
    assert page.status_code == 200
    assert f'<a href="?per={per or "hour"}" aria-current="page">' in page.content.decode()


@pytest.mark.django_db
@pytest.mark.parametrize("per", ["year", "", "\x00", "HOUR"])
def test_another_period_is_a_bad_request(boss, per):  # noqa: F811
    assert boss.get(OVERVIEW, per=per).status_code == 400


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("permissions", "status"),
    [
        ((), 403),
        (("view_devicesession",), 200),
        (("kick_devicesession",), 200),
        (("view_serviceclient",), 403),
    ],
)
def test_who_sees_the_sessions_sees_the_overview(desk, staff, permissions, status):  # noqa: F811
    assert desk(staff, *permissions).get(OVERVIEW).status_code == status


@pytest.mark.django_db
def test_a_stranger_is_sent_to_the_login_page(client):
    assert client.get(OVERVIEW).url == f"/admin/login/?next={OVERVIEW}"


@pytest.mark.django_db
def test_the_list_leads_to_it_and_its_links_lead_to_sessions(boss, ada):  # noqa: F811
    assert 'href="overview/"' in boss.get().content.decode()
    end_session(sign_in(ada, type="ios").session, "kicked")
    sign_in(ada, type="ios")
    page = boss.get(OVERVIEW).content.decode()
    links = {link.replace("&amp;", "&") for link in re.findall(rf'href="({LIST}\?[^"]*)"', page)}
    assert len(links) >= 6
    for link in links:
        found = boss.client.get(link)
        assert found.status_code == 200, link
        assert found.context["cl"].result_count >= ("reused" not in link and "alarm" not in link), link


@pytest.fixture
def everything(ada, bob, make_user, now):
    """Sessions that began and ended in every way, lately and long ago."""
    carol = make_user("carol")
    for days in (0, 3, 20, 60, 100):
        then = now - timedelta(days=days)
        began = {"created_at": then - timedelta(hours=3)}
        for reason in ("kicked", "logout", "reused", "superseded", "password_changed"):
            gone = at(sign_in(ada), **began).session
            end_session(gone, reason)
            at(sign_in(ada), **began)  # one that goes on
            change(gone, ended_at=then - timedelta(hours=2))
        idle = {"idle_expires_at": then - timedelta(hours=1), "expires_at": then + timedelta(days=20)}
        at(sign_in(bob), **began, **idle)
        expired = {"idle_expires_at": then - timedelta(hours=1), "expires_at": then - timedelta(hours=1)}
        at(sign_in(bob), **began, **expired)
        for columns in ({}, idle, expired):
            at(sign_in(bob), **began, **columns, alarm_at=then - timedelta(hours=2))
        app = at(sign_in(bob), **began, client_id="reader", device_type="client").session
        other = at(sign_in(bob), **began, client_id="reader", device_type="client").session
        end_session(other, "kicked")
        change(other, ended_at=then - timedelta(hours=2))
        at(sign_in(carol), created_at=app.created_at, client_id="worker", device_type="service")
    step_up(sign_in(carol).session)
    own, other = sign_in(carol), sign_in(carol)
    for one in (own, other):
        end_session(one.session, "password_changed")
    continue_after_password_change(find_by_sid(own.session.pk).session, NOBODY, came_back=True)
    end_user_sessions(make_user("dora"), EndReason.KICKED)


def step_up(session):
    return continue_session(find_by_sid(session.pk).session, NOBODY, methods=("pwd",), came_back=True)


def counted(page):
    """Each number of the page that is a link, by that link."""
    tiles = re.findall(r'<li[^>]*><a href="([^"]*)"><strong>(?:<span[^>]*>▲</span> )?([\d,]+)</strong>', page)
    rows = re.findall(r'<th scope="row"><a href="([^"]*)">.*?<span>([\d,]+)</span>', page, re.DOTALL)
    assert len(tiles) == 5
    assert len(rows) >= 8
    return {link.replace("&amp;", "&"): int(number.replace(",", "")) for link, number in [*tiles, *rows]}


@pytest.mark.parametrize("is_pruned", [False, True])
@pytest.mark.parametrize("per", list(Per))
def test_each_number_is_that_of_the_list_behind_it(boss, everything, per, is_pruned):  # noqa: F811
    if is_pruned:
        assert sum(mark_expired(50)) > 0
        sum(count_hours(timedelta(days=21)))
    numbers = counted(boss.get(OVERVIEW, per=per).content.decode())
    assert {link: boss.client.get(link).context["cl"].result_count for link in numbers} == numbers
    assert {"idle", "expired", "kicked", "superseded"} <= set(
        re.findall(r"end_reason__exact=(\w+)", str(numbers))
    )


def test_the_list_says_since_when_and_finds_its_way_back(boss, everything):  # noqa: F811
    page = boss.get(begun_since="2026-06-10T10:20:00+00:00").content.decode()
    assert "June 10, 2026, 10:20 a.m." in page
    assert "signed in since" in page
    assert "signed in since" not in boss.get().content.decode()
    assert "ended since" in boss.get(ended_since="2026-06-10T10:20:00+00:00").content.decode()


@pytest.mark.parametrize("name", ["begun_since", "ended_since"])
@pytest.mark.parametrize(
    "value", ["", "yesterday", "2026-06-10", "2026-06-10T10:20:00", "2026-13-40T00:00:00+00:00"]
)
def test_a_time_that_is_none_is_refused_as_django_does(boss, name, value):  # noqa: F811
    answer = boss.get(**{name: value})
    assert answer.status_code == 302
    assert answer.url.endswith("?e=1")


def test_who_was_away_too_long_is_found_by_that_reason_before_anybody_notes_it(boss, ada, now):  # noqa: F811
    over = now - timedelta(days=1)
    idle, expired = (sign_in(ada, name=name) for name in ("idle", "expired"))
    at(idle, idle_expires_at=over, expires_at=now + timedelta(days=1))
    at(expired, idle_expires_at=over, expires_at=over)
    for is_pruned in (False, True):
        if is_pruned:
            assert sum(mark_expired(10)) == 2
        for reason in ("idle", "expired"):
            assert [str(one) for one in boss.get(end_reason__exact=reason).context["cl"].result_list] == [
                reason
            ]


@pytest.mark.django_db
def test_nothing_on_it_needs_a_script_or_a_style_of_its_own(boss, ada, bob):  # noqa: F811
    sign_in(ada, name=MARKUP)
    raise_refresh_rate(find_by_sid(sign_in(bob, name=MARKUP).session.pk), Actor(None, "203.0.113.9", ""))
    page = boss.get(OVERVIEW).content.decode()
    content = page[page.index('id="content-main"') :]
    assert " style=" not in content
    assert "<script>alert" not in page
    assert "javascript:" not in page


@pytest.mark.django_db
def test_alarms_say_what_they_were_and_what_was_done(boss, ada, bob):  # noqa: F811
    for user in (ada, bob):
        raise_refresh_rate(find_by_sid(sign_in(user).session.pk), NOBODY)
    end_session(DeviceSession.objects.get(user=bob), "kicked", by=ada)
    page = boss.get(OVERVIEW)
    (newest, oldest) = page.context["alarms"]
    assert [str(word) for word in newest.alarms] == ["Renewed too often"]
    assert "Kicked out" in newest.badge
    assert "by ada" in newest.badge
    assert "Live" in oldest.badge
    assert {str(line.name): line.number for line in page.context["fates"]} == {
        "Still live": "1",
        "Kicked out": "1",
    }


@pytest.mark.django_db
@pytest.mark.parametrize("reason", ["idle", "expired"])
def test_an_alarmed_session_that_ran_out_did_so_as_its_own_page_says(ada, now, reason):
    session = sign_in(ada).session
    over = now - timedelta(minutes=1)
    last = over if reason == "expired" else now + timedelta(days=1)
    change(session, alarm_at=over, idle_expires_at=over, expires_at=last)
    session.refresh_from_db()
    totals = totals_of(slots_until(now, Per.HOUR), now)
    assert totals.alarmed == totals.reasons == {session.ended_reason(now): 1} == {reason: 1}


def test_an_alarm_before_the_period_is_not_in_it(boss, ada):  # noqa: F811
    session = sign_in(ada).session
    raise_refresh_rate(find_by_sid(session.pk), NOBODY)
    change(session, alarm_at=timezone.now() - timedelta(days=2))
    assert boss.get(OVERVIEW).context["alarms"] == []
    cache.clear()
    assert len(boss.get(OVERVIEW, per="day").context["alarms"]) == 1


@pytest.mark.django_db
def test_a_site_without_sessions_says_so(boss):  # noqa: F811
    DeviceSession.objects.update(created_at=timezone.now() - timedelta(days=3))
    page = boss.get(OVERVIEW).content.decode()
    assert "Nobody signed in or out in this time." in page
    assert "No session raised an alarm in this time." in page


@pytest.mark.django_db
def test_what_has_been_forgotten_is_owned_up_to(boss, settings):  # noqa: F811
    assert "have been forgotten" not in boss.get(OVERVIEW, per="week").content.decode()
    settings.AUTHX_RETENTION = timedelta(days=10)
    assert "have been forgotten" in boss.get(OVERVIEW, per="week").content.decode()
    assert "have been forgotten" not in boss.get(OVERVIEW).content.decode()


@pytest.mark.django_db
@pytest.mark.databases("sqlite", "postgresql")
def test_it_takes_few_statements(boss, ada):  # noqa: F811
    for _ in range(5):
        raise_refresh_rate(find_by_sid(sign_in(ada).session.pk), NOBODY)
    with CaptureQueriesContext(connection) as first:
        boss.get(OVERVIEW)
    with CaptureQueriesContext(connection) as second:
        boss.get(OVERVIEW)
    assert len(second) == 4
    assert len(first) <= 10


@pytest.mark.django_db
def test_times_are_those_of_the_sites_time_zone(boss, settings):  # noqa: F811
    settings.TIME_ZONE = "Asia/Kathmandu"
    page = boss.get(OVERVIEW).content.decode()
    assert "(Asia/Kathmandu)" in page
    assert re.search(r'<time datetime="[^"]*:00:00\+05:45">', page)
