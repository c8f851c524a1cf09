"""A site whose user model has nothing of Django's ``AbstractBaseUser``: every door works all the same."""

import json

import django
import pytest
from django.core.checks import run_checks
from django.core.management import call_command
from django.test import Client

from authx.models import DeviceSession, SessionEvent
from authx.sessions import export, forget, open_session
from tests.members.models import Member

pytestmark = pytest.mark.django_db(transaction=True)

CARD = {"username": "7", "password": "blue-moon"}
BACKEND = "tests.members.backends.ByCard"


@pytest.fixture
def member():
    return Member.objects.create(name=7, card="blue-moon")


@pytest.fixture
def tokens(api, member):
    answer = api.post("/api/auth/login/", CARD)
    assert answer.status_code == 200, answer.content
    api.credentials(HTTP_AUTHORIZATION=f"Bearer {answer.json()['access_token']}")
    return answer.json()


def test_the_site_passes_its_checks():
    assert not [found for found in run_checks() if found.is_serious()]


def test_the_api_signs_in_refreshes_and_lists(api, tokens):
    assert [one["current"] for one in api.get("/api/auth/sessions/").json()] == [True]
    assert api.get("/api/auth/session/").status_code == 200
    assert api.post("/api/auth/refresh/", {"refresh_token": tokens["refresh_token"]}).status_code == 200
    assert api.post("/api/auth/reauthenticate/", {"password": CARD["password"]}).status_code == 200
    assert DeviceSession.objects.filter(ended_at=None).get().backend == BACKEND


@pytest.mark.parametrize(
    "typed", [{"password": "wrong"}, {"username": "8"}, {"username": "a@b.example"}], ids=str
)
def test_a_wrong_card_is_refused(api, member, typed):
    answer = api.post("/api/auth/login/", CARD | typed)
    assert (answer.status_code, answer.json()["code"]) == (401, "invalid_credentials")


def test_nobody_may_kick_where_there_are_no_permissions(api, tokens):
    assert api.get("/api/auth/staff/sessions/").status_code == 403


def test_logging_out_ends_the_session(api, tokens):
    assert api.post("/api/auth/logout/").status_code == 204
    assert api.get("/api/auth/session/").status_code == 401
    assert SessionEvent.objects.get(kind="ended").actor_label == "7"


def test_pages_sign_in_by_cookie_and_show_the_devices(member):
    browser = Client()
    signed_in = browser.post("/api/auth/login/", {**CARD, "transport": "cookie"}, "application/json")
    assert signed_in.status_code == 200
    assert browser.get("/account/devices/").status_code == 200
    del browser.cookies["__Host-authx_access"]
    assert browser.get("/account/devices/").status_code == 200
    assert browser.post("/account/logout/").status_code == 200
    assert DeviceSession.objects.get().end_reason == "logout"


#: Since 6.1 Django's own ``login`` asks every user for a session auth hash. The API's does without.
if django.VERSION < (6, 1):

    def test_our_login_page_signs_in(member):
        browser = Client()
        assert browser.get("/account/login/").status_code == 200
        assert browser.post("/account/login/", CARD | {"password": "wrong"}).status_code == 200
        assert browser.post("/account/login/", CARD).status_code == 302
        assert DeviceSession.objects.get().backend == BACKEND

    def test_a_django_login_opens_a_session(member):
        browser = Client()
        browser.force_login(member)
        assert browser.get("/account/devices/").status_code == 200
        assert DeviceSession.objects.get().backend == BACKEND


def test_saving_a_member_ends_nobody_and_deleting_one_ends_all(member, api, tokens):
    member.card = "red-sun"
    member.save()
    assert api.get("/api/auth/session/").status_code == 200
    member.delete()
    answer = api.get("/api/auth/session/")
    assert (answer.status_code, answer.json()["reason"]) == (401, "user_deleted")


def test_limits_count_members(member, settings):
    settings.AUTHX_SESSION_LIMITS = [{"types": ["other"], "limit": 1, "when_full": "end_oldest"}]
    for _ in range(2):
        open_session(member)
    assert DeviceSession.objects.filter(end_reason="replaced").count() == 1


def test_export_and_erasure_know_them(member, tokens, capsys):
    assert json.loads("".join(export(member)))["username"] == "7"
    assert forget(member).total()
    call_command("authx_end", user="7")
    assert DeviceSession.objects.live().count() == 0
