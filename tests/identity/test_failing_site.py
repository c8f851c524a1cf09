"""Code of the site that fails for one user: no page fails by it but those that ask who that is."""

import logging
from datetime import timedelta

import pytest
from asgiref.sync import async_to_sync
from django.db.models import F
from django.test import AsyncClient, Client

from authx.errors import RefreshReused
from authx.models import DeviceSession, SessionEvent
from authx.sessions import open_session, refresh_session
from tests.branches import another_branch

pytestmark = pytest.mark.django_db

ACCESS, REFRESH, DEVICE = "__Host-authx_access", "__Host-authx_refresh", "__Host-authx_device"
LOGIN_PAGES = ["/account/login/", "/django-login/", "/admin/login/"]
HOUR = timedelta(hours=1)

#: The users for whom the site's code fails, by key.
broken: set = set()


one_user_alone = pytest.mark.parametrize("code", ["claims"], indirect=True)


class SiteBug(Exception):
    """The site's own code has failed."""


def claims(session):
    if session.user_id in broken:
        raise SiteBug("no such role")
    return {"role": "reader"}


def country(ip):
    if broken:
        raise SiteBug("no such file")
    return "DE"


def classify(request, claimed):
    if broken:
        raise SiteBug("no such device")
    return "web"


@pytest.fixture(params=["claims", "country"])
def code(request, settings):
    """One of the functions that are asked while tokens are made."""
    broken.clear()
    setattr(settings, f"AUTHX_{request.param.upper()}", f"{__name__}.{request.param}")
    yield request.param
    broken.clear()


@pytest.fixture
def credentials(ada, code):
    """Ada's, of an hour ago; since then the site's code fails for her."""
    made = open_session(ada)
    back = {name: F(name) - HOUR for name in ("created_at", "rotated_at")}
    DeviceSession.objects.update(**back)
    broken.add(ada.pk)
    return made


@pytest.fixture
def due(credentials):
    """Her browser, whose access cookie has run out; errors of a view become a 500."""
    browser = Client(raise_request_exception=False)
    browser.cookies.load({REFRESH: credentials.refresh_token})
    return browser


def row():
    return DeviceSession.objects.values().get()


def test_a_page_that_does_not_ask_is_served(due):
    response = due.get("/untouched/")
    assert response.status_code == 200
    assert not {ACCESS, REFRESH} & set(response.cookies)


def test_on_an_async_site_too(credentials, settings):
    settings.ROOT_URLCONF = "tests.more_urls"
    browser = AsyncClient()
    browser.cookies.load({REFRESH: credentials.refresh_token})
    assert async_to_sync(browser.get)("/async-untouched/").status_code == 200


@pytest.mark.parametrize("path", ["/whoami/", "/api/whoami/", "/account/devices/"])
def test_whoever_asks_gets_the_error_itself(due, path):
    assert due.get(path).status_code == 500
    due.raise_request_exception = True
    with pytest.raises(SiteBug):
        due.get(path)


def test_it_is_logged_whoever_asks(due, caplog):
    with caplog.at_level(logging.ERROR, "authx"):
        due.get("/untouched/")
    (record,) = [record for record in caplog.records if record.name == "authx"]
    assert record.exc_info is not None
    assert issubclass(record.exc_info[0], SiteBug)
    assert due.cookies[REFRESH].value not in caplog.text


def test_nothing_is_renewed_spent_or_counted_however_often_it_comes(due):
    before, events = row(), SessionEvent.objects.count()
    for _ in range(8):  # six lost answers in an hour would end it
        due.get("/untouched/")
        due.get("/whoami/")
        assert due.post("/api/auth/refresh/").status_code == 500
    assert (row(), SessionEvent.objects.count()) == (before, events)


def test_once_it_is_mended_the_browser_goes_on(due):
    due.get("/whoami/")
    broken.clear()
    response = due.get("/whoami/")
    assert response.json()["session"] == str(row()["id"])
    assert REFRESH in response.cookies


@pytest.mark.parametrize("page", LOGIN_PAGES)
def test_the_login_page_is_shown_and_keeps_the_cookies(due, page):
    navigation = {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    response = due.get(page, headers=navigation)
    assert response.status_code == 200
    assert not {ACCESS, REFRESH} & set(response.cookies)


@one_user_alone
def test_somebody_else_can_sign_in_there(due, bob, password):
    response = due.post("/account/login/", {"username": bob.get_username(), "password": password})
    assert response.status_code == 302
    assert due.get("/whoami/").json()["user"] == bob.get_username()


def test_the_same_user_cannot_and_nothing_is_opened(due, ada, password):
    response = due.post("/account/login/", {"username": ada.get_username(), "password": password})
    assert response.status_code == 500
    assert DeviceSession.objects.count() == 1


@one_user_alone
def test_other_users_notice_nothing(due, bob):
    other = Client()
    other.cookies.load({REFRESH: open_session(bob).refresh_token})
    assert other.get("/whoami/").json()["user"] == bob.get_username()


def test_who_still_has_an_access_token_notices_nothing(credentials):
    browser = Client()
    browser.cookies.load({ACCESS: credentials.access_token, REFRESH: credentials.refresh_token})
    assert browser.get("/whoami/").json()["session"] == str(row()["id"])


def test_a_page_that_stores_something_is_served(due, settings):
    """What was stored belongs to nobody who is known; the page does not fail by that."""
    settings.ROOT_URLCONF = "tests.more_urls"
    assert due.get("/basket/").json() == {"basket": None}


def test_a_theft_is_not_hidden_by_it(ada, code, rf):
    """Twins are noted, and end the session, although nobody can be answered."""
    made = open_session(ada)
    for number in (1, 2):
        DeviceSession.objects.update(rotated_at=F("rotated_at") - HOUR)
        broken.clear()
        newer = refresh_session(made.refresh_token, rf.get("/"))
        broken.add(ada.pk)
        with pytest.raises(SiteBug if number == 1 else RefreshReused):
            refresh_session(another_branch(made), rf.get("/"))
        made = newer
    assert SessionEvent.objects.filter(kind="copied").count() == 2
    assert row()["end_reason"] == "reused"


def test_the_classifier_of_an_adopted_login_fails_for_whoever_asks_alone(ada, password, settings):
    from tests.identity.test_adoption import logged_in_before

    settings.ROOT_URLCONF = "tests.more_urls"
    browser = logged_in_before(ada, password)
    settings.AUTHX_DEVICE_CLASSIFIER = f"{__name__}.classify"
    broken.add(ada.pk)
    try:
        browser.raise_request_exception = False
        assert browser.get("/untouched/").status_code == 200
        assert browser.get("/account/login/").status_code == 200
        assert browser.get("/whoami/").status_code == 500
        assert not DeviceSession.objects.exists()
    finally:
        broken.clear()
    assert browser.get("/whoami/").json()["user"] == ada.get_username()
