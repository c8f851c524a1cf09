"""The journeys through the API: of an app that keeps its tokens, and of a page that keeps cookies."""

from datetime import timedelta

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from authx.models import DeviceSession
from tests.branches import generation_of

# Confirmation waits for a commit, so the transactions here are real ones.
pytestmark = pytest.mark.django_db(transaction=True)

AUTH = "/api/auth/"


class Phone:
    """An app: tokens in headers and bodies."""

    def __init__(self, name):
        self.name = name
        self.client = APIClient(enforce_csrf_checks=True)
        self.access_token = self.refresh_token = self.session_id = None

    def send(self, method, path, body=None):
        headers = {"Authorization": f"Bearer {self.access_token}"} if self.access_token else {}
        return getattr(self.client, method)(path, body, format="json", headers=headers)

    def sign_in(self, user, password):
        device = {"name": self.name, "type": "other"}
        answer = self.send(
            "post", f"{AUTH}login/", {"username": user.get_username(), "password": password, "device": device}
        )
        assert answer.status_code == 200, answer.content
        self.keep(answer.json())

    def keep(self, tokens):
        self.access_token = tokens["access_token"]
        self.refresh_token = tokens.get("refresh_token", self.refresh_token)
        self.session_id = tokens.get("session_id", self.session_id)

    def call(self):
        return self.send("get", "/api/whoami/")

    def refresh(self):
        answer = self.client.post(f"{AUTH}refresh/", {"refresh_token": self.refresh_token}, format="json")
        if answer.status_code == 200:
            self.keep(answer.json())
        return answer

    def reauthenticate(self, password):
        answer = self.send("post", f"{AUTH}reauthenticate/", {"password": password})
        if answer.status_code == 200:
            self.keep(answer.json())
        return answer

    def sessions(self):
        """The devices page: each session by the name of its device."""
        answer = self.send("get", f"{AUTH}sessions/")
        assert answer.status_code == 200, answer.content
        return {session["device"]["name"]: session for session in answer.json()}

    def rename(self, other, name):
        return self.send("patch", f"{AUTH}sessions/{other.session_id}/", {"name": name})

    def end(self, other):
        return self.send("delete", f"{AUTH}sessions/{other.session_id}/")

    def end_others(self):
        return self.send("post", f"{AUTH}sessions/end-others/").json()["ended"]

    def kick(self, other, reason=""):
        return self.send("post", f"{AUTH}staff/sessions/{other.session_id}/kick/", {"reason": reason})

    def kick_user(self, user):
        return self.send("post", f"{AUTH}staff/users/{user.pk}/kick/")

    def sign_out(self):
        return self.send("post", f"{AUTH}logout/")


class Browser(Phone):
    """A page with a script: tokens in cookies that the script cannot read, and a CSRF token that it can."""

    def send(self, method, path, body=None):
        jar = self.client.cookies
        headers = {"X-CSRFToken": jar["csrftoken"].value} if "csrftoken" in jar else {}
        answer = getattr(self.client, method)(path, body, format="json", headers=headers)
        for name in [name for name, cookie in jar.items() if cookie["max-age"] == 0]:
            del jar[name]  # as a browser does
        return answer

    def sign_in(self, user, password):
        assert self.send("get", f"{AUTH}login/").status_code == 204
        credentials = {"username": user.get_username(), "password": password, "transport": "cookie"}
        answer = self.send("post", f"{AUTH}login/", {**credentials, "device": {"name": self.name}})
        assert answer.status_code == 200, answer.content
        self.session_id = answer.json()["session_id"]

    def refresh(self):
        return self.send("post", f"{AUTH}refresh/")

    @property
    def refresh_token(self):
        return self.client.cookies["__Host-authx_refresh"].value

    @refresh_token.setter
    def refresh_token(self, value):
        """Only the server sets it."""


both_transports = pytest.mark.parametrize("device", [Phone, Browser])


def let_time_pass(visitor, **duration):
    """Everything that the session remembers happened so much longer ago."""
    passed = timedelta(**duration)
    session = DeviceSession.objects.get(pk=visitor.session_id)
    moved = ["created_at", "auth_time", "last_seen_at", "rotated_at", "idle_expires_at", "expires_at"]
    shifted = {name: getattr(session, name) - passed for name in moved}
    DeviceSession.objects.filter(pk=session.pk).update(**shifted)


def assert_let_in(visitor, user):
    answer = visitor.call()
    assert answer.status_code == 200, answer.content
    assert answer.json() == {"user": str(user.pk), "sid": visitor.session_id}


def assert_told(visitor, reason):
    """Both the access token and the refresh token are refused, and say why."""
    for answer in (visitor.call(), visitor.refresh()):
        assert answer.status_code == 401
        said = answer.json()
        assert (said["code"], said["reason"]) == ("session_ended", reason)
        assert 'error="invalid_token"' in answer["WWW-Authenticate"]
        assert reason in answer["WWW-Authenticate"]
        assert not answer.cookies, "an ended session takes no cookies back: a newer login may have set them"


@both_transports
def test_from_signing_in_to_signing_out(device, ada, password):
    laptop, phone, tablet = device("laptop"), Phone("phone"), Phone("tablet")

    # Ada signs in on three devices, and each of them works.
    for each in (laptop, phone, tablet):
        each.sign_in(ada, password)
        assert_let_in(each, ada)

    # A minute later the laptop renews its tokens, and goes on.
    let_time_pass(laptop, minutes=1)
    spent = laptop.refresh_token
    assert laptop.refresh().status_code == 200
    assert laptop.refresh_token != spent
    assert_let_in(laptop, ada)

    # She looks at her devices, and calls one by another name.
    listed = laptop.sessions()
    assert {name: each["current"] for name, each in listed.items()} == {
        "laptop": True,
        "phone": False,
        "tablet": False,
    }
    assert laptop.rename(phone, "Ada's old phone").json()["device"]["name"] == "Ada's old phone"
    assert set(phone.sessions()) == {"laptop", "Ada's old phone", "tablet"}

    # She ends that one, and then all but this one.
    assert laptop.end(phone).status_code == 204
    assert_told(phone, "ended_by_user")
    assert_let_in(tablet, ada)
    assert laptop.end_others() == 1
    assert_told(tablet, "ended_by_user")
    assert set(laptop.sessions()) == {"laptop"}

    # She signs out, and nothing is left.
    assert_let_in(laptop, ada)
    assert laptop.sign_out().status_code == 204
    assert laptop.call().status_code == 401
    assert not DeviceSession.objects.live().exists()
    assert DeviceSession.objects.get(pk=laptop.session_id).end_reason == "logout"


def test_an_app_that_signed_out_is_told_so(ada, password):
    phone = Phone("phone")
    phone.sign_in(ada, password)
    phone.sign_out()
    assert_told(phone, "logout")


def test_a_browser_that_signed_out_keeps_no_credential(ada, password):
    laptop = Browser("laptop")
    laptop.sign_in(ada, password)
    laptop.sign_out()
    assert set(laptop.client.cookies) == {"csrftoken", "__Host-authx_device"}
    assert laptop.call().json()["code"] == "not_authenticated"


@both_transports
def test_kicked_out_by_an_administrator(device, ada, bob, admin, password):
    laptop, phone, bobs = device("laptop"), Phone("phone"), device("bob's")
    desk = device("the administrator's")
    for visitor, user in ((laptop, ada), (phone, ada), (bobs, bob), (desk, admin)):
        visitor.sign_in(user, password)
        assert_let_in(visitor, user)

    # One session is kicked: its very next call is refused, with the access token that was just good.
    assert desk.kick(laptop, "lost in a taxi").json() == {"ended": 1}
    assert_told(laptop, "kicked")
    assert_let_in(phone, ada)
    assert_let_in(bobs, bob)

    # To kick it again ends nothing.
    assert desk.kick(laptop).json() == {"ended": 0}

    # Then all of ada's, and nobody else's.
    assert desk.kick_user(ada).json() == {"ended": 1}
    assert_told(phone, "kicked")
    assert_let_in(bobs, bob)
    assert_let_in(desk, admin)

    # She may sign in again.
    laptop.sign_in(ada, password)
    assert_let_in(laptop, ada)


@both_transports
def test_an_administrator_whose_login_is_old_gives_the_password_again(device, ada, admin, password, settings):
    settings.AUTHX_STAFF_MAX_AUTH_AGE = timedelta(minutes=5)
    phone, desk = Phone("phone"), device("the administrator's")
    phone.sign_in(ada, password)
    desk.sign_in(admin, password)
    let_time_pass(desk, minutes=6)

    refused = desk.kick(phone)
    assert refused.status_code == 401
    assert refused.json()["code"] == "insufficient_user_authentication"
    assert_let_in(phone, ada)

    assert desk.reauthenticate("wrong").json()["code"] == "invalid_credentials"
    assert desk.kick(phone).status_code == 401
    assert desk.reauthenticate(password).status_code == 200
    assert desk.kick(phone).json() == {"ended": 1}
    assert_told(phone, "kicked")


@both_transports
def test_a_stolen_refresh_token_ends_the_session_for_both(device, ada, password):
    owner = device("laptop")
    owner.sign_in(ada, password)
    stolen = owner.refresh_token

    # The owner renews twice, so the thief's copy is two generations old.
    for _ in range(2):
        let_time_pass(owner, minutes=1)
        assert owner.refresh().status_code == 200
        assert_let_in(owner, ada)

    thief = Phone("thief")
    thief.refresh_token = stolen
    caught = thief.refresh()
    assert (caught.status_code, caught.json()["code"]) == (401, "refresh_reused")
    assert_told(owner, "reused")
    assert thief.refresh().json()["reason"] == "reused"


def test_a_copied_token_used_only_after_its_owner_is_found_in_its_second_generation(ada, password):
    owner, thief = Phone("phone"), Phone("thief")
    owner.sign_in(ada, password)
    thief.refresh_token = owner.refresh_token

    for _generation in range(2):
        let_time_pass(owner, minutes=20)
        assert owner.refresh().status_code == 200
        assert thief.refresh().status_code == 200  # within the grace

    let_time_pass(owner, minutes=20)
    assert owner.refresh().status_code == 200
    caught = thief.refresh()
    assert (caught.status_code, caught.json()["code"]) == (401, "refresh_reused")
    assert_told(owner, "reused")


def test_an_expired_access_cookie_is_renewed_by_the_way(ada, password):
    laptop = Browser("laptop")
    laptop.sign_in(ada, password)
    let_time_pass(laptop, minutes=20)
    spent = laptop.refresh_token
    del laptop.client.cookies["__Host-authx_access"]  # its Max-Age has passed

    assert_let_in(laptop, ada)
    assert laptop.refresh_token != spent
    assert_let_in(laptop, ada)


@both_transports
def test_a_session_left_alone_for_a_week_has_ended(device, ada, password):
    laptop = device("laptop")
    laptop.sign_in(ada, password)
    let_time_pass(laptop, days=7, minutes=15)
    assert_told(laptop, "idle")


def test_using_the_newest_token_spends_the_one_before(ada, password):
    phone = Phone("phone")
    phone.sign_in(ada, password)
    let_time_pass(phone, minutes=1)
    spent = phone.refresh_token
    phone.refresh()
    assert_let_in(phone, ada)  # the new access token has arrived, so the new refresh token has, too

    let_time_pass(phone, minutes=1)
    stale_tab = Phone("stale tab")
    stale_tab.refresh_token = spent
    refused = stale_tab.refresh()
    assert (refused.status_code, refused.json()["code"]) == (409, "refresh_conflict")
    assert_let_in(phone, ada)


def test_a_lost_answer_costs_nothing(ada, password):
    phone = Phone("phone")
    phone.sign_in(ada, password)
    let_time_pass(phone, minutes=1)
    spent = phone.refresh_token
    lost = phone.refresh().json()  # the answer never arrives: the phone still has the old token

    phone.refresh_token = spent
    let_time_pass(phone, hours=5)
    again = phone.refresh()
    assert again.status_code == 200
    assert generation_of(again.json()["refresh_token"]) == generation_of(lost["refresh_token"]) == 2
    assert_let_in(phone, ada)


def test_last_seen_moves_when_the_session_is_used(ada, password):
    phone = Phone("phone")
    phone.sign_in(ada, password)
    let_time_pass(phone, minutes=10)
    phone.call()
    seen = DeviceSession.objects.get(pk=phone.session_id).last_seen_at
    assert timezone.now() - seen < timedelta(minutes=1)
