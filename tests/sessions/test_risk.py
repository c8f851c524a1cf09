"""What is odd is flagged once, announced, and ends the session where the site says so."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.test import RequestFactory

from authx.checks import check_settings
from authx.conf import conf
from authx.contrib.geo import country_of
from authx.core.risk import Alarm, Context, alarms
from authx.errors import RefreshConflict, RefreshReused, SessionEnded
from authx.models import DeviceSession, SessionEvent
from authx.sessions import open_session, recognize, refresh_session
from tests.branches import another_branch

pytestmark = pytest.mark.django_db(transaction=True)

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:{}.0) Gecko/20100101 Firefox/{}.0"
CHROME = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/140.0.0.0 Safari/537.36"
)
FIREFOX_140 = FIREFOX.format(140, 140)
LATER = conf.REFRESH_GRACE + timedelta(seconds=1)


def from_(user_agent=FIREFOX_140, ip="8.8.8.8"):
    return RequestFactory().post("/", HTTP_USER_AGENT=user_agent, REMOTE_ADDR=ip)


@pytest.fixture
def opened(ada, settings):
    settings.AUTHX_COUNTRY = "tests.sessions.test_risk.country"
    return open_session(ada, from_())


def country(ip):
    """A stand-in for a site's own lookup: 8.x is one country, 9.x another, the rest unknown."""
    return {"8": "US", "9": "DE"}.get(ip[0], "")


def refresh(credentials, request, *, after=LATER):
    return refresh_session(credentials.refresh_token, request, now=credentials.now + after)


def flagged():
    return list(SessionEvent.objects.filter(kind="flagged").values_list("outcome", flat=True))


def test_nothing_known_raises_nothing():
    assert alarms(Context(), Context("Firefox on Linux", "DE")) == []
    assert alarms(Context("Firefox on Linux", "DE"), Context()) == []


def test_a_refresh_from_the_same_place_is_not_flagged(opened, heard):
    refresh(opened, from_())
    assert (flagged(), heard) == ([], [])


def test_a_browser_update_or_another_address_is_not_flagged(opened):
    refresh(opened, from_(FIREFOX.format(141, 141), ip="8.8.4.4"))
    assert flagged() == []


def test_another_browser_is_a_split_context(opened, heard):
    refresh(opened, from_(CHROME))
    assert (flagged(), heard) == (["split_context"], ["split_context"])
    assert DeviceSession.objects.get().device_label == "Chrome on Windows"


def test_a_thief_inside_the_grace_is_flagged_though_nothing_rotates(opened):
    refresh(opened, from_(CHROME), after=timedelta(seconds=1))
    assert flagged() == ["split_context"]
    assert DeviceSession.objects.get().generation == 1


def test_what_was_flagged_is_not_flagged_again_until_it_changes(opened):
    second = refresh(opened, from_(CHROME))
    refresh(second, from_(CHROME))
    assert flagged() == ["split_context"]


def test_another_country_is_flagged(opened, heard):
    refresh(opened, from_(ip="9.9.9.9"))
    assert (flagged(), heard) == (["new_country"], ["new_country"])
    row = DeviceSession.objects.get()
    assert (row.country, row.ip) == ("DE", "9.9.9.9")


def test_a_country_that_is_not_known_is_not_flagged(opened):
    refresh(opened, from_(ip="1.1.1.1"))
    assert flagged() == []
    assert DeviceSession.objects.get().country == "US"


def test_a_site_may_end_the_session_instead(opened, settings, heard):
    settings.AUTHX_ALARMS = {"split_context": "end"}
    with pytest.raises(RefreshReused):
        refresh(opened, from_(CHROME))
    assert sorted(heard) == ["refresh_reused", "split_context"]
    with pytest.raises(SessionEnded) as ended:
        recognize(opened.access_token)
    assert ended.value.reason == "reused"
    assert SessionEvent.objects.filter(kind="ended").count() == 1


def test_a_rotation_that_an_alarm_ends_changes_nothing_but_the_ending(opened, settings):
    settings.AUTHX_ALARMS = {"new_country": "end"}
    before = DeviceSession.objects.values().get()
    with pytest.raises(RefreshReused):
        refresh(opened, from_(ip="9.9.9.9"))
    after = DeviceSession.objects.values().get()
    changed = {name for name, value in after.items() if before[name] != value}
    assert changed == {"ended_at", "end_reason", "country", "ip", "alarm_at"}


def test_a_site_may_ignore_it(opened, settings):
    settings.AUTHX_ALARMS = {"split_context": "ignore"}
    refresh(opened, from_(CHROME))
    assert flagged() == []


def test_reuse_is_flagged_beside_its_ending(opened, heard):
    second = refresh(opened, from_())
    third = refresh(second, from_())
    with pytest.raises(RefreshReused):
        refresh_session(opened.refresh_token, from_(), now=third.now + LATER)
    assert (flagged(), heard) == (["refresh_reused"], ["refresh_reused"])


# What the state machine notices: a twin, a strike, a rolled back storage


def copied(opened):
    """A copy of the jar comes second, on another branch of what the owner has just spent."""
    refresh(opened, from_())
    return another_branch(opened), LATER


def late_replay(opened):
    """The spent token comes back after the grace, and its successor is in use."""
    second = refresh(opened, from_())
    refresh_session(second.refresh_token, from_(), now=opened.now + LATER)
    return opened.refresh_token, 2 * LATER


def state_rollback(opened):
    """The database has lost a rotation: the client holds a token of the future."""
    second = refresh(opened, from_())
    DeviceSession.objects.update(generation=1, confirmed_generation=0)
    return second.refresh_token, 2 * LATER


NOTICED = {"copied": copied, "late_replay": late_replay, "state_rollback": state_rollback}
KINDS = set(NOTICED)


def present(opened, noticed):
    """Do what is noticed; return the generation that was handed out, or the error."""
    token, after = NOTICED[noticed](opened)
    try:
        return refresh_session(token, from_(), now=opened.now + after).claims.gen
    except (RefreshConflict, RefreshReused) as error:
        return type(error)


SERVED = {"copied": 2, "late_replay": RefreshConflict, "state_rollback": 3}


@pytest.mark.parametrize("noticed", NOTICED)
def test_what_the_machine_notices_is_flagged_announced_and_recorded(opened, heard, noticed):
    assert present(opened, noticed) == SERVED[noticed]
    assert (flagged(), heard) == ([noticed], [noticed])
    assert kinds_noticed() == [noticed]
    assert DeviceSession.objects.get().ended_at is None


def kinds_noticed():
    return [kind for kind in SessionEvent.objects.values_list("kind", flat=True) if kind in KINDS]


@pytest.mark.parametrize("noticed", NOTICED)
def test_a_site_may_have_the_first_one_end_the_session_and_nothing_is_handed_out(
    opened, heard, settings, noticed
):
    settings.AUTHX_ALARMS = {noticed: "end"}
    assert present(opened, noticed) is RefreshReused
    assert sorted(heard) == sorted([noticed, "refresh_reused"]) == sorted(flagged())
    row = DeviceSession.objects.get()
    assert (row.end_reason, row.answers_lost) == ("reused", False)
    assert SessionEvent.objects.filter(kind="ended").count() == 1


@pytest.mark.parametrize("noticed", NOTICED)
def test_or_ignore_it_and_the_machine_decides_as_ever(opened, heard, settings, noticed):
    settings.AUTHX_ALARMS = {noticed: "ignore"}
    assert present(opened, noticed) == SERVED[noticed]
    assert (flagged(), heard) == ([], [])
    assert kinds_noticed() == [noticed]


def test_an_ignored_twin_ends_the_session_all_the_same_in_the_second_generation(opened, heard, settings):
    settings.AUTHX_ALARMS = {"copied": "ignore"}
    present(opened, "copied")
    DeviceSession.objects.update(twin_generation=0, twin_streak=1)
    at = opened.now + LATER
    with pytest.raises(RefreshReused):
        refresh_session(another_branch(opened), from_(), now=at)
    assert heard == ["refresh_reused"]
    assert kinds_noticed() == ["copied", "copied"]


def test_a_late_replay_that_another_alarm_ends_says_nothing_of_lost_answers(opened, settings):
    settings.AUTHX_ALARMS = {"new_country": "end"}
    refresh(opened, from_())
    with pytest.raises(RefreshReused) as refused:
        refresh(opened, from_(ip="9.9.9.9"), after=3 * LATER)  # T4
    assert (refused.value.answers_lost, DeviceSession.objects.get().answers_lost) == (False, False)


def test_too_many_refreshes_are_flagged_once(ada, api, settings, heard):
    settings.AUTHX_REFRESH_RATE = "2/day"
    token = {"refresh_token": open_session(ada).refresh_token}
    statuses = [api.post("/api/auth/refresh/", token).status_code for _ in range(5)]
    assert statuses == [200, 200, 429, 429, 429]
    assert (flagged(), heard) == (["refresh_rate"], ["refresh_rate"])
    assert DeviceSession.objects.live().count() == 1


def test_or_end_the_session_where_the_site_says_so(ada, api, settings):
    settings.AUTHX_REFRESH_RATE, settings.AUTHX_ALARMS = "1/day", {"refresh_rate": "end"}
    token = {"refresh_token": open_session(ada).refresh_token}
    assert [api.post("/api/auth/refresh/", token).status_code for _ in range(2)] == [200, 429]
    assert DeviceSession.objects.get().end_reason == "reused"


def test_or_are_nobodys_business(ada, api, settings):
    settings.AUTHX_REFRESH_RATE, settings.AUTHX_ALARMS = "1/day", {"refresh_rate": "ignore"}
    token = {"refresh_token": open_session(ada).refresh_token}
    assert [api.post("/api/auth/refresh/", token).status_code for _ in range(2)] == [200, 429]
    assert flagged() == []


@pytest.mark.parametrize("value", [None, [], {"reused": "flag"}, {"split_context": "explode"}])
def test_alarms_that_make_no_sense_are_a_check_error(value, settings):
    settings.AUTHX_ALARMS = value
    assert [error.id for error in check_settings()] == ["authx.E001"]


def test_every_alarm_has_a_name_that_events_have_room_for():
    assert all(len(alarm) <= 32 for alarm in Alarm)


def test_the_geo_extra_knows_countries_without_asking_anybody():
    assert country_of("8.8.8.8") == "US"
    assert country_of("127.0.0.1") == ""
