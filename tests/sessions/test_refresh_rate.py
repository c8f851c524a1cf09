"""AUTHX_REFRESH_RATE: pages count as the API does, and what becomes of who renews too often."""

from datetime import timedelta
from http.cookies import SimpleCookie

import pytest
from asgiref.sync import async_to_sync
from django.db import transaction
from django.db.models import F
from django.test import AsyncClient, Client, RequestFactory
from django.urls import reverse_lazy

from authx.errors import RefreshReused, SessionEnded
from authx.http.actor import actor_of
from authx.models import DeviceSession, SessionEvent
from authx.sessions import end_session, open_session, refresh_session
from authx.sessions.refreshing import admit_without_refresh
from tests.branches import another_branch
from tests.reading import refresh_claims
from tests.signing_in import NAVIGATION

pytestmark = pytest.mark.django_db(transaction=True)

ACCESS, REFRESH = "__Host-authx_access", "__Host-authx_refresh"
OURS = {ACCESS, REFRESH}
LIMIT = 5
LOGIN = reverse_lazy("authx:login")
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
CHROME = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/140.0.0.0 Safari/537.36"


@pytest.fixture(autouse=True)
def rate(settings):
    """A day: no test waits for the next window, or meets its beginning."""
    settings.AUTHX_REFRESH_RATE = f"{LIMIT}/day"


@pytest.fixture
def credentials(ada):
    return open_session(ada)


def page(refresh_token, path="/whoami/", method="get", **headers):
    """What a browser is shown that has this refresh cookie and no other."""
    client = Client()
    client.cookies = SimpleCookie({REFRESH: refresh_token})
    return getattr(client, method)(path, headers={**NAVIGATION, **headers})


def is_renewed(response):
    """Within the grace of the login, which keeps the refresh cookie as it is."""
    return OURS & set(response.cookies) == {ACCESS}


def who(response):
    return response.status_code, response.json()["session"]


def use_up(refresh_token):
    for _ in range(LIMIT):
        page(refresh_token)


def pass_time(**duration):
    DeviceSession.objects.update(rotated_at=F("rotated_at") - timedelta(**duration))


def rotate_twice(credentials):
    """Two successors of the first, each in use."""
    token = credentials.refresh_token
    for _ in range(2):
        pass_time(hours=1)
        token = refresh_session(token).refresh_token
    DeviceSession.objects.update(confirmed_generation=F("generation"))
    pass_time(hours=1)
    return token


def written():
    """All events but the opening."""
    return list(SessionEvent.objects.exclude(kind="opened").order_by("pk").values_list("kind", "outcome"))


def row():
    return DeviceSession.objects.get()


# Pages


def test_five_hundred_pages_with_one_cookie_are_shown_and_write_two_events(credentials, heard):
    pass_time(hours=1)
    shown = {who(page(credentials.refresh_token)) for _ in range(500)}
    assert shown == {(200, str(credentials.session.pk))}
    assert written() == [("refreshed", "T1"), ("flagged", "refresh_rate")]
    assert heard == ["refresh_rate"]
    assert (row().ended_at, row().generation) == (None, 2)


def test_within_the_grace_of_a_login_five_hundred_write_one(credentials):
    shown = {who(page(credentials.refresh_token)) for _ in range(500)}
    assert shown == {(200, str(credentials.session.pk))}
    assert written() == [("flagged", "refresh_rate")]


def test_who_comes_too_often_is_shown_the_page_and_given_nothing(credentials):
    pass_time(hours=1)
    use_up(credentials.refresh_token)
    before = DeviceSession.objects.values().get()
    for method in ("get", "head"):
        answer = page(credentials.refresh_token, method=method)
        assert (answer.status_code, OURS & set(answer.cookies)) == (200, set())
        assert "X-Access-Token" not in answer
    assert answer["Cache-Control"] == "private"
    after = DeviceSession.objects.values().get()
    assert after.pop("alarm_at") > before.pop("created_at")
    assert before.pop("alarm_at") is None
    del after["created_at"]
    assert after == before


def test_a_rotation_that_is_due_waits_until_it_may_be_made(credentials, settings):
    use_up(credentials.refresh_token)
    pass_time(hours=1)
    assert who(page(credentials.refresh_token)) == (200, str(credentials.session.pk))
    assert row().generation == 1
    settings.AUTHX_REFRESH_RATE = "5000/day"
    answer = page(credentials.refresh_token)
    assert set(answer.cookies) >= OURS
    assert row().generation == 2


def test_a_view_of_the_api_is_answered_too(credentials):
    use_up(credentials.refresh_token)
    answer = page(credentials.refresh_token, path="/api/whoami/")
    assert (answer.status_code, answer.json()["user"]) == (200, credentials.session.subject)
    assert OURS & set(answer.cookies) == set()
    assert DeviceSession.objects.get().ended_at is None


def test_the_login_page_takes_no_cookie_back_from_who_comes_too_often(credentials):
    use_up(credentials.refresh_token)
    answer = page(credentials.refresh_token, path=LOGIN)
    assert (answer.status_code, OURS & set(answer.cookies)) == (200, set())


def test_a_login_over_a_session_that_comes_too_often_supersedes_it(credentials, password):
    use_up(credentials.refresh_token)
    client = Client()
    client.cookies = SimpleCookie({REFRESH: credentials.refresh_token})
    client.post(LOGIN, {"username": "ada", "password": password})
    credentials.session.refresh_from_db()
    assert credentials.session.end_reason == "superseded"


def test_async_pages_count_too(credentials):
    async def ask():
        client = AsyncClient()
        client.cookies = SimpleCookie({REFRESH: credentials.refresh_token})
        return await client.get("/whoami/", headers=NAVIGATION)

    use_up(credentials.refresh_token)
    answer = async_to_sync(ask)()
    assert (who(answer), OURS & set(answer.cookies)) == ((200, str(credentials.session.pk)), set())


def test_pages_and_the_api_count_together(credentials, api, heard):
    use_up(credentials.refresh_token)
    answer = api.post("/api/auth/refresh/", {"refresh_token": credentials.refresh_token})
    assert (answer.status_code, int(answer["Retry-After"]) > 0) == (429, True)
    assert who(page(credentials.refresh_token)) == (200, str(credentials.session.pk))
    assert heard == ["refresh_rate"]


def test_what_renews_nothing_does_not_count(credentials):
    for _ in range(2 * LIMIT):
        page(credentials.refresh_token, **{"Sec-Purpose": "prefetch"})
        page(credentials.refresh_token[:-1])
        client = Client()
        client.cookies = SimpleCookie({ACCESS: credentials.access_token, REFRESH: credentials.refresh_token})
        client.get("/whoami/")
    assert is_renewed(page(credentials.refresh_token))


def test_a_session_counts_for_itself_alone(credentials, ada):
    use_up(credentials.refresh_token)
    assert is_renewed(page(open_session(ada).refresh_token))


def test_without_a_rate_all_are_renewed(credentials, settings):
    settings.AUTHX_REFRESH_RATE = None
    assert all(is_renewed(page(credentials.refresh_token)) for _ in range(100))
    assert written() == []


def test_a_cache_that_is_down_limits_nobody(credentials, settings):
    broken = {"BACKEND": "django.core.cache.backends.filebased.FileBasedCache", "LOCATION": "/dev/null/no"}
    settings.CACHES = {"default": broken}
    assert all(is_renewed(page(credentials.refresh_token)) for _ in range(2 * LIMIT))
    assert written() == []


# The alarm


def test_a_site_may_have_the_session_ended(credentials, settings, heard):
    settings.AUTHX_ALARMS = {"refresh_rate": "end"}
    use_up(credentials.refresh_token)
    assert row().ended_at is None
    for _ in range(10):
        assert who(page(credentials.refresh_token)) == (200, None)
    assert row().end_reason == "reused"
    assert heard == ["refresh_rate"]
    assert written() == [("flagged", "refresh_rate"), ("ended", "reused"), ("refused", "T11")]
    shown = page(credentials.refresh_token, path=LOGIN).content.decode()
    assert "copied" in shown


def test_or_ignore_it(credentials, settings, heard):
    settings.AUTHX_ALARMS = {"refresh_rate": "ignore"}
    use_up(credentials.refresh_token)
    assert who(page(credentials.refresh_token)) == (200, str(credentials.session.pk))
    assert (written(), heard) == ([], [])


def test_a_session_that_has_ended_raises_no_alarm(credentials, heard, api):
    end_session(credentials.session, "kicked")
    for _ in range(3 * LIMIT):
        assert who(page(credentials.refresh_token)) == (200, None)
        api.post("/api/auth/refresh/", {"refresh_token": credentials.refresh_token})
    assert heard == []
    assert written() == [("ended", "kicked"), ("refused", "T11")]


def test_two_browsers_in_turns_are_flagged_within_the_rate(ada):
    opened = open_session(ada, RequestFactory().get("/", headers={"User-Agent": FIREFOX}))
    for _ in range(5 * LIMIT):
        for agent in (CHROME, FIREFOX):
            assert who(page(opened.refresh_token, **{"User-Agent": agent}))[0] == 200
    assert written() == [("flagged", "split_context")] * LIMIT + [("flagged", "refresh_rate")]


# Theft is found out, however often somebody comes


def test_a_flood_does_not_hide_a_spent_token(credentials):
    newest = rotate_twice(credentials)
    for _ in range(2 * LIMIT):
        page(newest)
    assert who(page(credentials.refresh_token)) == (200, None)
    assert row().end_reason == "reused"


def test_nor_one_that_conflicts(credentials):
    pass_time(hours=1)
    newest = refresh_session(credentials.refresh_token).refresh_token
    DeviceSession.objects.update(confirmed_generation=F("generation"))
    for _ in range(2 * LIMIT):
        page(newest)
    pass_time(hours=1)
    assert page(credentials.refresh_token).status_code == 302  # to itself, once
    assert (row().strike_generation, row().ended_at) == (1, None)
    assert ("late_replay", "T5") in written()


def test_nor_a_twin(credentials):
    """The owner has rotated; the copier presents another branch of what was spent, and is held."""
    pass_time(hours=1)
    newest = refresh_session(credentials.refresh_token).refresh_token
    for _ in range(2 * LIMIT):
        page(newest)
    held = page(another_branch(credentials))
    assert (who(held), OURS & set(held.cookies)) == ((200, str(credentials.session.pk)), set())
    assert (row().twin_generation, row().twin_streak) == (1, 1)
    assert ("copied", "T3x") in written()


def test_nor_twins_in_two_generations_in_a_row(credentials):
    use_up(credentials.refresh_token)
    pass_time(hours=1)
    refresh_session(credentials.refresh_token)
    DeviceSession.objects.update(twin_generation=0, twin_streak=1)
    assert who(page(another_branch(credentials))) == (200, None)
    assert row().end_reason == "reused"


def test_nor_that_answers_kept_getting_lost(credentials):
    """However long the rate's window is, held or not: the sixth late replay, after an hour, is the last."""
    use_up(credentials.refresh_token)
    pass_time(hours=1)
    refresh_session(credentials.refresh_token)
    for _ in range(6):
        pass_time(minutes=1)
        assert who(page(credentials.refresh_token)) == (200, str(credentials.session.pk))
    assert row().late_streak == 6
    pass_time(minutes=1)
    DeviceSession.objects.update(late_at=F("late_at") - timedelta(hours=1))
    assert who(page(credentials.refresh_token)) == (200, None)
    assert (row().end_reason, row().answers_lost) == ("reused", True)


def test_nor_another_browser_where_that_ends_the_session(ada, settings):
    settings.AUTHX_ALARMS = {"split_context": "end"}
    opened = open_session(ada, RequestFactory().get("/", headers={"User-Agent": FIREFOX}))
    request = RequestFactory().get("/", headers={"User-Agent": CHROME})
    with pytest.raises(RefreshReused):
        admit_without_refresh(refresh_claims(opened.refresh_token), actor_of(request))
    assert row().end_reason == "reused"


def test_a_held_session_is_told_why_it_has_ended(credentials):
    end_session(credentials.session, "kicked")
    with pytest.raises(SessionEnded) as ended:
        admit_without_refresh(refresh_claims(credentials.refresh_token))
    assert ended.value.reason == "kicked"


# A refresh that writes nothing


def test_it_is_refused_inside_a_transaction_as_any_other(credentials):
    refresh_session(credentials.refresh_token)
    with transaction.atomic(), pytest.raises(RuntimeError):
        refresh_session(credentials.refresh_token)
