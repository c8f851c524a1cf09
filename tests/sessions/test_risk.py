"""What is odd is flagged once, announced, and ends the session where the site says so."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.test import RequestFactory

from authx.checks import check_settings
from authx.conf import conf
from authx.contrib.geo import country_of
from authx.core.risk import Alarm, Context, alarms
from authx.errors import RefreshReused, SessionEnded
from authx.models import DeviceSession, SessionEvent
from authx.sessions import open_session, recognize, refresh_session
from authx.signals import session_flagged

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


@pytest.fixture
def heard():
    told = []

    def hear(sender, session, alarm, **kwargs):
        told.append(alarm)

    session_flagged.connect(hear)
    yield told
    session_flagged.disconnect(hear)


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
