"""Session limits: whom a new login displaces, and whom it may not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from django.core.management import call_command

from authx.checks import check_settings
from authx.core.limits import Limit, Occupant, WhenFull, displaced, excess
from authx.errors import SessionEnded, SessionLimitReached
from authx.models import DeviceSession
from authx.sessions import Device, open_session, recognize, refresh_session

START = datetime(2026, 1, 1, tzinfo=UTC)
PHONES = {"types": ["ios", "android"], "limit": 1}


def occupant(number, type_="ios", *, created=0, seen=0):
    at = START + timedelta(minutes=created), START + timedelta(minutes=seen)
    return Occupant(UUID(int=number), type_, *at)


def limit(*types, at_most=1, when_full="end_least_recent"):
    return Limit.read({"types": list(types) or None, "limit": at_most, "when_full": when_full})


def test_a_login_of_another_type_displaces_nobody():
    assert displaced([limit("ios")], [occupant(1, "android")], "web") == []


def test_a_login_within_the_limit_displaces_nobody():
    assert displaced([limit("ios", at_most=2)], [occupant(1)], "ios") == []


def test_the_least_recently_seen_makes_way():
    there = [occupant(1, created=0, seen=9), occupant(2, created=1, seen=3)]
    assert displaced([limit("ios", at_most=2)], there, "ios") == [UUID(int=2)]


def test_or_the_oldest_where_the_limit_says_so():
    there = [occupant(1, created=0, seen=9), occupant(2, created=1, seen=3)]
    assert displaced([limit("ios", at_most=2, when_full="end_oldest")], there, "ios") == [UUID(int=1)]


def test_types_of_a_group_count_together():
    there = [occupant(1, "android")]
    assert displaced([limit("ios", "android")], there, "ios") == [UUID(int=1)]


def test_a_limit_without_types_counts_all_of_them():
    assert displaced([limit()], [occupant(1, "web")], "desktop") == [UUID(int=1)]


def test_a_lowered_limit_ends_all_that_is_too_much():
    there = [occupant(n, seen=n) for n in range(1, 6)]
    assert displaced([limit("ios", at_most=2)], there, "ios") == [UUID(int=n) for n in (1, 2, 3, 4)]


def test_a_limit_that_refuses_ends_nobody():
    refusing = limit("ios", when_full="refuse")
    with pytest.raises(SessionLimitReached):
        displaced([refusing], [occupant(1)], "ios")


def test_room_made_by_one_limit_is_room_for_one_that_refuses():
    limits = [limit(at_most=2, when_full="refuse"), limit("ios")]
    there = [occupant(1, "ios"), occupant(2, "web")]
    assert displaced(limits, there, "ios") == [UUID(int=1)]


def test_excess_names_who_is_beyond_the_limits_today():
    limits = [limit("ios", at_most=1), limit("web", at_most=1, when_full="refuse")]
    there = [occupant(1, seen=1), occupant(2, seen=2), occupant(3, "web", seen=1), occupant(4, "web", seen=2)]
    assert [one.sid.int for one, _limit in excess(limits, there)] == [1, 3]


@pytest.mark.parametrize(
    "rule",
    [
        "ios",
        {"types": "ios", "limit": 1},
        {"types": [], "limit": 1},
        {"types": ["ios"], "limit": 0},
        {"types": ["ios"], "limit": True},
        {"types": ["ios"], "limit": 1, "when_full": "explode"},
        {"types": ["ios"], "limit": 1, "count": 2},
        {"types": ["ios"]},
    ],
)
def test_a_rule_that_is_none_says_why(rule):
    with pytest.raises(ValueError, match="must"):
        Limit.read(rule)


def test_when_full_defaults_to_the_least_recent():
    assert Limit.read(PHONES).when_full is WhenFull.END_LEAST_RECENT


def test_the_other_phone_is_kicked_out_and_told_by_what(ada, settings):
    settings.AUTHX_SESSION_LIMITS = [PHONES]
    old = open_session(ada, device=Device(type="android"))
    open_session(ada, device=Device(type="ios"))
    for use in (lambda: recognize(old.access_token), lambda: refresh_session(old.refresh_token)):
        with pytest.raises(SessionEnded) as ended:
            use()
        assert (ended.value.reason, ended.value.replaced_by) == ("replaced", "ios")


def test_a_browser_beside_the_phone_stays(ada, settings):
    settings.AUTHX_SESSION_LIMITS = [PHONES]
    browser = open_session(ada, device=Device(type="web"))
    open_session(ada, device=Device(type="ios"))
    assert recognize(browser.access_token).pk == browser.session.pk


def test_logging_in_again_on_the_same_phone_counts_once(ada, settings):
    settings.AUTHX_SESSION_LIMITS = [{"types": ["ios"], "limit": 2, "when_full": "refuse"}]
    open_session(ada, device=Device(id="one", type="ios"))
    open_session(ada, device=Device(id="two", type="ios"))
    open_session(ada, device=Device(id="two", type="ios"))
    assert DeviceSession.objects.live().filter(user=ada).count() == 2


def test_a_login_that_is_refused_opens_nothing_and_ends_nothing(ada, settings):
    settings.AUTHX_SESSION_LIMITS = [PHONES | {"when_full": "refuse"}]
    first = open_session(ada, device=Device(type="ios"))
    with pytest.raises(SessionLimitReached):
        open_session(ada, device=Device(type="android"))
    assert list(DeviceSession.objects.values_list("pk", flat=True)) == [first.session.pk]


def test_limits_are_each_users_own(ada, bob, settings):
    settings.AUTHX_SESSION_LIMITS = [PHONES]
    adas = open_session(ada, device=Device(type="ios"))
    open_session(bob, device=Device(type="ios"))
    assert recognize(adas.access_token).pk == adas.session.pk


def test_the_api_says_who_took_the_place(ada, password, api, settings):
    settings.AUTHX_SESSION_LIMITS = [PHONES]
    body = {"username": ada.get_username(), "password": password}
    old = api.post("/api/auth/login/", body | {"device": {"type": "android"}}).json()
    api.post("/api/auth/login/", body | {"device": {"type": "ios"}})
    api.credentials(HTTP_AUTHORIZATION=f"Bearer {old['access_token']}")
    answer = api.get("/api/whoami/")
    assert answer.status_code == 401
    assert answer.json() == {
        "detail": "The session has ended. A newer login took its place: iOS app.",
        "code": "session_ended",
        "reason": "replaced",
    }


def test_the_api_refuses_with_409(ada, password, api, settings):
    settings.AUTHX_SESSION_LIMITS = [PHONES | {"when_full": "refuse"}]
    body = {"username": ada.get_username(), "password": password, "device": {"type": "ios"}}
    assert api.post("/api/auth/login/", body).status_code == 200
    answer = api.post("/api/auth/login/", body)
    assert (answer.status_code, answer.json()["code"]) == (409, "session_limit")


def test_the_login_page_says_so_and_nobody_is_logged_in(ada, password, client, settings):
    settings.AUTHX_SESSION_LIMITS = [{"limit": 1, "when_full": "refuse"}]
    open_session(ada)
    form = {"username": ada.get_username(), "password": password}
    answer = client.post("/account/login/", form)
    assert b"as many devices as allowed" in answer.content
    assert client.get("/whoami/").json() == {"user": None, "session": None}


def test_any_other_login_page_answers_409(ada, password, client, settings):
    settings.AUTHX_SESSION_LIMITS = [{"limit": 1, "when_full": "refuse"}]
    open_session(ada)
    form = {"username": ada.get_username(), "password": password}
    answer = client.post("/django-login/", form)
    assert answer.status_code == 409
    assert client.get("/whoami/").json()["user"] is None


@pytest.fixture
def two_phones(ada, settings):
    """Ada is on two phones, and only now may she be on one."""
    for name in ("old phone", "new phone"):
        open_session(ada, device=Device(type="ios", name=name))
    settings.AUTHX_SESSION_LIMITS = [PHONES]


def test_the_command_shows_whom_the_limits_would_end_and_ends_nobody(ada, two_phones, capsys):
    call_command("authx_limits")
    said = capsys.readouterr().out
    assert "old phone" in said
    assert "new phone" not in said
    assert "1 sessions of 1 users are beyond the limits. Nothing was changed." in said
    assert DeviceSession.objects.live().filter(user=ada).count() == 2


def test_without_limits_the_command_says_that_nobody_is_limited(db, capsys):
    call_command("authx_limits")
    assert "nobody is limited" in capsys.readouterr().out


def test_the_admin_shows_the_same(admin, two_phones, client):
    client.force_login(admin)
    page = client.get("/admin/authx/devicesession/limits/")
    assert b"old phone" in page.content
    assert b"new phone" not in page.content
    assert b"limits/" in client.get("/admin/authx/devicesession/").content


def test_the_admin_shows_it_to_nobody_without_permission(staff, two_phones, client):
    client.force_login(staff)
    assert client.get("/admin/authx/devicesession/limits/").status_code == 403


@pytest.mark.parametrize("limits", [{}, [{}], [{"types": ["fax"], "limit": 1}], ["one"], 3])
def test_a_limit_that_makes_no_sense_is_a_check_error(limits, settings):
    settings.AUTHX_SESSION_LIMITS = limits
    assert [error.id for error in check_settings()] == ["authx.E001"]
