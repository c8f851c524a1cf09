"""allauth.usersessions: what signs a user out there ends the device sessions too."""

import pytest
from allauth.usersessions.models import UserSession
from django.test import Client
from django.urls import reverse

from authx.models import DeviceSession

pytestmark = pytest.mark.django_db


@pytest.fixture
def sign_in(ada, password):
    """Open a browser in which ada has signed in with allauth, and whose cookies have come back."""

    def sign_in():
        browser = Client(headers={"X-Forwarded-Proto": "https"})
        answer = browser.post("/accounts/login/", {"login": ada.get_username(), "password": password})
        assert answer.status_code == 302, answer.content
        assert whoami(browser)["user"] == "ada"
        return browser

    return sign_in


def whoami(browser):
    return browser.get("/whoami/").json()


def reasons():
    return list(DeviceSession.objects.order_by("created_at").values_list("end_reason", flat=True))


def test_sign_out_other_sessions_ends_them_and_says_why(sign_in):
    phone, laptop = sign_in(), sign_in()
    assert UserSession.objects.count() == 2
    laptop.post(reverse("usersessions_list"))
    assert reasons() == ["ended_by_user", ""]
    assert whoami(phone)["user"] is None
    assert whoami(laptop)["user"] == "ada"
    ended = DeviceSession.objects.get(end_reason="ended_by_user")
    assert ended.ended_by.get_username() == "ada"
    assert [event.outcome for event in ended.events.filter(kind="ended")] == ["ended_by_user"]
    page = phone.get(reverse("authx:login")).content
    assert b"from another of your devices" in page


def test_all_of_them_end_and_the_own_one_as_a_logout(sign_in):
    phone, laptop = sign_in(), sign_in()
    laptop.get("/end-all/")
    assert reasons() == ["ended_by_user", "logout"]
    assert not UserSession.objects.exists()
    assert [whoami(browser)["user"] for browser in (phone, laptop)] == [None, None]
    assert DeviceSession.objects.filter(events__kind="ended").count() == 2  # an event for each
