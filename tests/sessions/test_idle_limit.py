"""The idle limit is a promise about use: whoever used a session within it finds it again."""

from datetime import UTC, datetime, timedelta

import pytest
from django.test import Client
from django.utils import timezone

from authx.conf import conf
from authx.core.time_limits import expiry_reason, idle_expiry, idle_period
from authx.errors import SessionEnded
from authx.models import DeviceSession
from authx.sessions import open_session, recognize, refresh_session

pytestmark = pytest.mark.django_db

ACCESS, REFRESH = "__Host-authx_access", "__Host-authx_refresh"
START = datetime(2026, 3, 1, 12, tzinfo=UTC)
TICK, MINUTE = timedelta(microseconds=1), timedelta(minutes=1)
IDLE, LIFE = 20 * MINUTE, 15 * MINUTE


@pytest.fixture(autouse=True)
def short(settings):
    settings.AUTHX_IDLE_LIFETIME, settings.AUTHX_ACCESS_TOKEN_LIFETIME = IDLE, LIFE


def aged(session, age):
    """Let ``age`` go by for this session alone."""
    names = ["created_at", "rotated_at", "last_seen_at", "idle_expires_at", "expires_at"]
    row = DeviceSession.objects.get(pk=session.pk)
    DeviceSession.objects.filter(pk=row.pk).update(**{name: getattr(row, name) - age for name in names})


def idle_from(opened):
    """Return the first moment at which its session is idle, for whoever comes back then."""
    at = opened.session.limit_at
    assert opened.session.ended_reason(at - TICK) is None
    assert opened.session.ended_reason(at) == "idle"
    return at


def test_the_last_click_at_minute_14_is_good_at_minute_21(ada):
    opened = open_session(ada, now=START)
    assert recognize(opened.access_token, now=START + 14 * MINUTE)
    assert refresh_session(opened.refresh_token, now=START + 21 * MINUTE).session.pk == opened.session.pk


def test_so_it_is_on_a_page(ada):
    opened = open_session(ada)
    aged(opened.session, 21 * MINUTE)
    browser = Client()
    browser.cookies.load({REFRESH: opened.refresh_token})
    assert browser.get("/whoami/").json()["session"] == str(opened.session.pk)


def test_one_life_of_a_token_after_the_limit_it_has_ended(ada):
    opened = open_session(ada, now=START)
    with pytest.raises(SessionEnded, match="idle"):
        refresh_session(opened.refresh_token, now=START + IDLE + LIFE)


@pytest.mark.parametrize("used", [0, 1, 14, 15], ids=lambda minutes: f"minute-{minutes}")
@pytest.mark.parametrize("refreshed", [False, True], ids=["new", "refreshed"])
def test_it_ends_between_the_limit_and_one_life_more_after_the_last_use(ada, refreshed, used):
    now, credentials = START, open_session(ada, now=START)
    if refreshed:
        now = START + 30 * MINUTE
        credentials = refresh_session(credentials.refresh_token, now=now)
    last_use = min(now + used * MINUTE, credentials.claims.expires_at - timedelta(seconds=1))
    assert recognize(credentials.access_token, now=last_use)
    assert last_use + IDLE <= idle_from(credentials) <= last_use + IDLE + LIFE


def test_a_token_handed_out_within_the_grace_is_promised_a_grace_less(ada):
    """T1b moves no limit: it writes nothing."""
    opened = open_session(ada, now=START)
    again = refresh_session(opened.refresh_token, now=START + conf.REFRESH_GRACE - timedelta(seconds=1))
    assert idle_from(again) == idle_from(opened)
    assert again.claims.expires_at + IDLE - idle_from(again) < conf.REFRESH_GRACE


def test_the_absolute_limit_stays_the_last_word(ada, settings):
    settings.AUTHX_SESSION_LIFETIME = 30 * MINUTE
    opened = open_session(ada, now=START)
    assert opened.session.limit_at == START + 30 * MINUTE
    refreshed = refresh_session(opened.refresh_token, now=START + 25 * MINUTE)
    assert refreshed.session.limit_at == START + 30 * MINUTE
    with pytest.raises(SessionEnded, match="expired"):
        refresh_session(refreshed.refresh_token, now=START + 30 * MINUTE)


def test_the_list_and_the_row_go_by_the_same_limit(ada):
    opened = open_session(ada)
    ends = opened.session.limit_at
    assert timezone.now() + IDLE + LIFE - ends < MINUTE
    assert DeviceSession.objects.live(ends - TICK).exists()
    assert not DeviceSession.objects.live(ends).exists()
    assert DeviceSession.objects.expired(ends).exists()


def test_it_is_a_sum_that_the_absolute_limit_cuts_off():
    period = idle_period(IDLE, LIFE)
    assert period == IDLE + LIFE
    assert idle_expiry(START, period, START + period + TICK) == START + period
    assert idle_expiry(START, period, START + period - TICK) == START + period - TICK
    assert expiry_reason(START + period, START + period, START + period) == "expired"
