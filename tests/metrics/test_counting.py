"""What is counted, and where it happens."""

from datetime import timedelta

import pytest
from django.contrib.auth import get_user_model
from django.test import Client

from authx.core.risk import Alarm
from authx.core.rotation import Transition
from authx.errors import RefreshConflict, RefreshReused, SessionEnded
from authx.models import DeviceSession
from authx.sessions import end_session, end_sessions, open_session, recognize, refresh_session
from authx.sessions.end_everywhere import end_user_sessions
from tests.faults_in_database import outage
from tests.metrics.conftest import counted

LOGIN, REFRESH, SESSIONS = "/api/auth/login/", "/api/auth/refresh/", "/api/auth/sessions/"
GRACE = timedelta(seconds=30)
LATER = timedelta(minutes=2)

#: Those of the next test.
NOT_HERE = {Transition.ROLLBACK, Transition.EXPIRED}

# Other databases commit as this one does: see test_committed.
pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.databases("sqlite")]


def test_logins_by_door_and_outcome(tally, ada, api, password):
    body = {"username": "ada", "password": password}
    assert api.post(LOGIN, body).status_code == 200
    assert api.post(LOGIN, {**body, "password": "wrong"}).status_code == 401
    client = Client()
    client.post("/account/login/", {**body, "password": "wrong"})
    assert client.post("/account/login/", body).status_code == 302
    open_session(ada)
    assert counted(tally, "logins") == {
        ("api", "opened"): 1,
        ("api", "failed"): 1,
        ("pages", "failed"): 1,
        ("pages", "opened"): 1,
        ("code", "opened"): 1,
    }


def test_logins_that_had_to_wait(tally, ada, api, settings):
    settings.AUTHX_LOGIN_RATE = "1/min"
    for _ in range(3):
        api.post(LOGIN, {"username": "ada", "password": "wrong"})
    assert counted(tally, "logins") == {("api", "failed"): 1, ("api", "limited"): 2}


def test_logins_for_which_there_is_no_room(tally, ada, api, password, settings):
    settings.AUTHX_SESSION_LIMITS = [{"limit": 1, "when_full": "refuse"}]
    for _ in range(2):
        api.post(LOGIN, {"username": "ada", "password": password, "device": {"type": "ios"}})
    assert counted(tally, "logins") == {("api", "opened"): 1, ("api", "session_limit"): 1}


def test_endings_of_many_by_reason(tally, ada, bob):
    for _ in range(3):
        open_session(ada)
        open_session(bob)
    end_sessions(DeviceSession.objects.filter(user=ada), "logout")
    end_user_sessions(bob, "kicked")
    assert counted(tally, "endings") == {("logout",): 3, ("kicked",): 3}


def test_a_changed_password_ends_by_that_reason(tally, ada):
    open_session(ada)
    ada.set_password("another")
    ada.save()
    assert counted(tally, "endings") == {("password_changed",): 1}


def refreshed(token, now):
    try:
        return refresh_session(token, now=now)
    except (RefreshConflict, RefreshReused, SessionEnded):
        return None


def transitions(tally):
    return {Transition(value): count for (value,), count in counted(tally, "refreshes").items()}


def test_refreshes_by_transition(tally, ada):
    first = open_session(ada)
    at = first.session.created_at + LATER
    refreshed(first.refresh_token, at - LATER)  # T1b
    second = refreshed(first.refresh_token, at)  # T1
    refreshed(first.refresh_token, at)  # T3
    refreshed(first.refresh_token, at + LATER)  # T4
    DeviceSession.objects.update(confirmed_generation=2)
    refreshed(first.refresh_token, at + 2 * LATER)  # T5
    refreshed(first.refresh_token, at + 2 * LATER)  # T5b
    refreshed(first.refresh_token, at + 3 * LATER)  # T6
    refreshed(second.refresh_token, at + 3 * LATER)  # T11
    assert transitions(tally) == dict.fromkeys(
        set(Transition) - {Transition.USER_GONE, Transition.TWIN, Transition.REUSE, *NOT_HERE}, 1
    )
    assert counted(tally, "endings") == {("reused",): 1}
    assert counted(tally, "alarms") == {(Alarm.LATE_REPLAY,): 1, (Alarm.REFRESH_REUSED,): 1}


def test_the_other_transitions(tally, ada, bob):
    of_ada, of_bob, third = open_session(ada), open_session(bob), open_session(ada)
    at = of_ada.session.created_at + LATER
    newest = of_ada
    for number in range(3):
        newest = refreshed(newest.refresh_token, at + number * LATER)
    DeviceSession.objects.filter(pk=of_ada.session.pk).update(generation=2, confirmed_generation=2)
    refreshed(newest.refresh_token, at + 4 * LATER)  # T8
    refreshed(of_ada.refresh_token, at + 5 * LATER)  # T7
    get_user_model()._default_manager.filter(pk=bob.pk).update(is_active=False)
    refreshed(of_bob.refresh_token, at)  # T0
    refreshed(third.refresh_token, at + timedelta(days=40))  # T10
    assert transitions(tally) == {
        Transition.ROTATE: 3,
        Transition.ROLLBACK: 1,
        Transition.REUSE: 1,
        Transition.USER_GONE: 1,
        Transition.EXPIRED: 1,
    }


def test_a_twin_counts_beside_what_answers_it_and_the_second_in_a_row_alone(tally, ada):
    first = open_session(ada)
    at = first.session.created_at + LATER
    twin = refreshed(first.refresh_token, at)
    newest = refreshed(first.refresh_token, at)  # another branch
    for number in (1, 2):
        now = at + number * LATER
        rotated = refreshed(newest.refresh_token, now)
        twin_next = refreshed(twin.refresh_token, now)
        newest, twin = rotated, twin_next
    assert transitions(tally) == {Transition.ROTATE: 3, Transition.REPLAY: 2, Transition.TWIN: 2}
    assert counted(tally, "alarms")[Alarm.COPIED,] == 2


def test_a_refresh_that_is_not_carried_out_is_none(tally, ada, settings):
    """The site's own code fails, so nothing is handed out and nothing spent."""
    opened = open_session(ada)
    settings.AUTHX_CLAIMS = "tests.metrics.test_counting.failing"
    with pytest.raises(ZeroDivisionError):
        refresh_session(opened.refresh_token)
    assert not transitions(tally)


def failing(session):
    raise ZeroDivisionError


def test_refusals_of_the_api_by_code(tally, ada, api):
    opened = open_session(ada)
    end_session(opened.session, "kicked")
    for token in (opened.access_token, "nonsense"):
        api.get(SESSIONS, headers={"authorization": f"Bearer {token}"})
    api.post(REFRESH, {"refresh_token": "nonsense"})
    api.post(REFRESH, {"refresh_token": opened.refresh_token})
    api.get(SESSIONS)  # nothing was presented, so nothing is refused
    assert counted(tally, "refusals") == {
        ("api", "session_ended"): 2,
        ("api", "token_malformed"): 1,
        ("api", "refresh_malformed"): 1,
    }


def signed_in(password):
    client = Client()
    client.post("/account/login/", {"username": "ada", "password": password})
    return client


def test_renewals_and_cookies_that_are_refused(tally, ada, password, settings):
    client = signed_in(password)
    del client.cookies[settings_name(settings, "ACCESS")]
    client.get("/whoami/")
    del client.cookies[settings_name(settings, "ACCESS")]
    end_sessions(DeviceSession.objects.all(), "kicked")
    client.get("/whoami/")
    assert counted(tally, "renewals") == {("renewed",): 1, ("session_ended",): 1}
    assert counted(tally, "refusals") == {("pages", "session_ended"): 1}


def test_a_page_with_an_access_cookie_of_an_ended_session(tally, ada, password):
    client = signed_in(password)
    end_sessions(DeviceSession.objects.all(), "kicked")
    client.get("/whoami/")
    assert counted(tally, "refusals") == {("pages", "session_ended"): 1}
    assert not counted(tally, "renewals")


def test_cookies_that_an_api_view_refuses_count_once(tally, ada, password):
    client = signed_in(password)
    end_sessions(DeviceSession.objects.all(), "kicked")
    assert client.get(SESSIONS).status_code == 401
    assert counted(tally, "refusals") == {("api", "session_ended"): 1}


def settings_name(settings, kind):
    return getattr(settings, f"AUTHX_{kind}_COOKIE", f"__Host-authx_{kind.lower()}")


def test_outages_of_the_database(tally, ada, api):
    opened = open_session(ada)
    with outage():
        api.get(SESSIONS, headers={"authorization": f"Bearer {opened.access_token}"})
    assert counted(tally, "store_failures")["database",] >= 1
    assert counted(tally, "refusals") == {("api", "store_unavailable"): 1}


def test_outages_of_the_cache(tally, ada, api, settings):
    pytest.importorskip("django_redis", reason="django-redis is not installed")
    settings.CACHES = {
        "default": {
            "BACKEND": "django_redis.cache.RedisCache",
            "LOCATION": "redis://127.0.0.1:1/0",
        }
    }
    api.post(LOGIN, {"username": "ada", "password": "wrong"})
    assert counted(tally, "store_failures")["cache",] >= 1


def test_what_is_live_counts_nothing(tally, ada, api):
    opened = open_session(ada)
    api.get(SESSIONS, headers={"authorization": f"Bearer {opened.access_token}"})
    before = dict(tally)
    for _ in range(3):
        assert recognize(opened.access_token).pk == opened.session.pk
        api.get(SESSIONS, headers={"authorization": f"Bearer {opened.access_token}"})
    assert dict(tally) == before
