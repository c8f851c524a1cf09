"""``Client.force_login``: a login that no cookies came with wins over those that the client holds."""

from datetime import timedelta
from http.cookies import SimpleCookie

import pytest
from django.db.models import F
from django.test import AsyncClient, Client
from rest_framework.test import APIClient

from authx.models import DeviceSession
from authx.sessions import end_session, open_session
from tests.gate.test_stores import choose

pytestmark = pytest.mark.django_db

ACCESS, REFRESH = "__Host-authx_access", "__Host-authx_refresh"
BOUND_KEY, FORCED_KEY = "_authx_session", "_authx_forced"


def page_user(client):
    return client.get("/whoami/").json()["user"]


def api_user(client):
    response = client.get("/api/whoami/")
    return response.json()["user"] if response.status_code == 200 else None


@pytest.fixture(params=["db", "cache", "signed_cookies"], autouse=True)
def engine(request, settings):
    settings.SESSION_ENGINE = f"django.contrib.sessions.backends.{request.param}"


@pytest.fixture(params=["page", "API"])
def user_of(request):
    """Whom a page or the API takes a client for, by name."""
    return page_user if request.param == "page" else api_user


def name(user, user_of):
    return user.get_username() if user_of is page_user else str(user.pk)


@pytest.mark.parametrize("kind", [Client, APIClient])
@pytest.mark.parametrize("cookies", ["fresh", "expired", "refresh alone", "ended"])
def test_a_second_user_is_that_user_and_the_first_has_left(cookies, kind, user_of, ada, bob):
    client = kind()
    client.force_login(ada)
    assert user_of(client) == name(ada, user_of)
    first = DeviceSession.objects.get()
    if cookies == "ended":
        end_session(first, "kicked")
    elif cookies != "fresh":
        client.cookies.pop(ACCESS)
    if cookies == "expired":
        client.cookies[ACCESS] = "old"
    client.force_login(bob)
    for _time in range(2):
        assert user_of(client) == name(bob, user_of)
    assert page_user(client) == bob.get_username()
    first.refresh_from_db()
    assert first.end_reason == ("kicked" if cookies == "ended" else "superseded")
    assert DeviceSession.objects.live().get().user == bob


def test_the_same_user_twice_is_that_user(user_of, ada):
    client = Client()
    for _time in range(3):
        client.force_login(ada)
        for _again in range(2):
            assert user_of(client) == name(ada, user_of)
    assert DeviceSession.objects.live().get().user == ada


def test_back_and_forth(user_of, ada, bob):
    client = Client()
    for user in (ada, bob, ada, bob):
        client.force_login(user)
        assert user_of(client) == name(user, user_of)
    assert DeviceSession.objects.live().get().user == bob


def test_two_clients_that_take_turns(user_of, ada, bob):
    clients = [Client(), Client()]
    for users in ((ada, bob), (bob, ada)):
        for client, user in zip(clients, users, strict=True):
            client.force_login(user)
        for client, user in zip(clients, users, strict=True):
            assert user_of(client) == name(user, user_of)


def test_its_mark_is_spent_with_its_cookies(ada, bob):
    client = Client()
    client.force_login(ada)
    page_user(client)
    client.force_login(bob)
    assert client.session[FORCED_KEY] == client.session[BOUND_KEY]
    page_user(client)
    assert FORCED_KEY not in client.session


def test_an_ended_one_does_not_win(user_of, ada, bob):
    client = Client()
    client.force_login(ada)
    user_of(client)
    client.force_login(bob)
    end_session(DeviceSession.objects.get(user=bob), "kicked")
    assert user_of(client) == name(ada, user_of)


def test_a_login_by_http_after_it_takes_its_place(user_of, ada, bob, password):
    client = Client()
    client.force_login(ada)
    client.post("/django-login/", {"username": bob.get_username(), "password": password})
    assert user_of(client) == name(bob, user_of)


def test_whoever_has_no_django_session_pays_nothing_for_it(ada, bob, settings, django_assert_num_queries):
    """The API goes on believing the copy of the endings, whatever was forced in this process."""
    choose(settings, "database", timedelta(seconds=300))
    Client().force_login(ada)
    credentials, browser = open_session(bob), Client()
    browser.cookies = SimpleCookie({ACCESS: credentials.access_token, REFRESH: credentials.refresh_token})
    assert api_user(browser) == str(bob.pk)
    with django_assert_num_queries(0):
        assert api_user(browser) == str(bob.pk)


async def _asked(client, user):
    await client.aforce_login(user)
    return (await client.get("/async-whoami/")).json()["user"]


@pytest.mark.django_db(transaction=True)
def test_so_it_is_under_asgi(ada, bob):
    from asgiref.sync import async_to_sync

    client = AsyncClient()
    for user in (ada, bob, bob):
        assert async_to_sync(_asked)(client, user) == user.get_username()


# A sibling domain can plant a Django session over our cookies, but never a mark


@pytest.mark.parametrize("back", [False, True], ids=["its cookies never came back", "they did"])
@pytest.mark.parametrize("minutes", [0, 11], ids=["fresh", "old"])
def test_a_planted_login_by_http_never_wins(minutes, back, user_of, ada, bob, password):
    victim, attacker = Client(), Client()
    for client, user in ((victim, ada), (attacker, bob)):
        client.post("/django-login/", {"username": user.get_username(), "password": password})
    page_user(victim)
    if back:
        page_user(attacker)
    DeviceSession.objects.filter(user=bob).update(created_at=F("created_at") - timedelta(minutes=minutes))
    assert FORCED_KEY not in attacker.session
    victim.cookies["sessionid"] = attacker.cookies["sessionid"].value
    for _time in range(2):
        assert user_of(victim) == name(ada, user_of)
    assert DeviceSession.objects.live().count() == 2
