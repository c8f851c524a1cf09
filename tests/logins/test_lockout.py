"""authx.logins.lockout: a package of the site's that locks logins out, as every door asks and tells it."""

import re
from typing import ClassVar

import pytest
from django.contrib.auth import authenticate, user_login_failed
from django.core.checks import run_checks
from django.test import Client
from rest_framework.test import APIClient

from authx.logins.lockout import Lockout
from authx.models import DeviceSession, SessionEvent
from authx.sessions import open_session

pytestmark = pytest.mark.django_db

LOGIN, PAGE, CONFIRM = "/api/auth/login/", "/account/login/", "/account/confirm/"
HERE = "tests.logins.test_lockout"


class Register(Lockout):
    """Knows by heart whom it refuses, and what it was told."""

    refused: ClassVar[dict] = {}
    told: ClassVar[list] = []

    def refuses(self, request, credentials):
        return self.refused.get(credentials.get("username"))

    def succeeded(self, request, user):
        self.told.append((user.get_username(), request.path))

    def leave_answer(self, request):
        self.told.append(("left to", request.path))


class Broken(Lockout):
    def succeeded(self, request, user):
        raise RuntimeError("a bug of the package's")


class NoLockout:
    pass


@pytest.fixture(autouse=True)
def register(settings):
    settings.AUTHX_LOCKOUT = f"{HERE}.Register"
    yield Register
    Register.refused.clear()
    Register.told.clear()


def by_api(password, name="ada"):
    return APIClient().post(LOGIN, {"username": name, "password": password})


def by_page(password, name="ada"):
    return Client().post(PAGE, {"username": name, "password": password})


@pytest.mark.parametrize(("answer", "after"), [(True, None), (90, "90"), (1, "1"), (b"1", None)])
def test_who_is_locked_out_tries_no_password_at_any_door(answer, after, register, admin, password):
    register.refused["admin"] = answer
    api, page = by_api(password, "admin"), by_page(password, "admin")
    other = Client().post("/admin/login/", {"username": "admin", "password": password})
    assert [found.status_code for found in (api, page, other)] == [429] * 3
    assert [found.get("Retry-After") for found in (api, page, other)] == [after] * 3
    assert api.json()["code"] == "throttled"
    text = "Signing in is locked" if after is None else "Please try again in "
    assert text in page.content.decode()
    assert not DeviceSession.objects.exists()


@pytest.mark.parametrize("answer", [False, None, 0, -5, b""])
def test_any_other_answer_lets_them_try(answer, register, ada, password):
    register.refused["ada"] = answer
    assert (by_api(password).status_code, by_page(password).status_code) == (200, 302)


@pytest.mark.parametrize("backends", [1, 0], ids=["without our backend", "with it"])
def test_a_refusal_is_an_event_and_no_failure(backends, register, ada, password, settings):
    settings.AUTHENTICATION_BACKENDS = settings.AUTHENTICATION_BACKENDS[backends:]
    settings.AUTHX_LOGIN_RATE = "2/min"
    register.refused["ada"] = True
    assert {by_api(password).status_code for _try in range(5)} == {429}
    found = SessionEvent.objects.values_list("kind", "outcome", "subject")
    assert set(found) == {("login_limited", "lockout", str(ada.pk))}
    register.refused.clear()
    assert by_api(password).status_code == 200


def test_the_wrong_password_that_was_the_last_one_allowed_says_so(register, ada):
    def lock(sender, credentials, **kwargs):
        register.refused[credentials["username"]] = 60

    user_login_failed.connect(lock)
    try:
        for door, code in ((by_api, 429), (by_page, 429)):
            register.refused.clear()
            answer = door("wrong")
            assert (answer.status_code, answer["Retry-After"]) == (code, "60")
    finally:
        user_login_failed.disconnect(lock)
    assert {event.kind for event in SessionEvent.objects.all()} == {"login_failed"}
    assert ("left to", LOGIN) in register.told


def test_it_is_told_of_right_passwords_that_django_announces_to_nobody(register, ada, password):
    answer = by_api(password).json()
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {answer['access_token']}")
    client.post("/api/auth/reauthenticate/", {"password": password})
    browser = Client()
    browser.post(PAGE, {"username": "ada", "password": password})
    browser.get("/whoami/")
    browser.post(CONFIRM, {"password": password})
    paths = [LOGIN, "/api/auth/reauthenticate/", CONFIRM]
    assert register.told == [("ada", path) for path in paths], "the page's login sends user_logged_in"


def test_it_is_told_of_no_other(register, ada, bob, password, settings):
    by_api("wrong")
    settings.AUTHX_PASSWORD_LOGIN = f"{HERE}.second_factor"
    assert by_api(password).status_code == 401
    assert register.told == []


def second_factor(request, user):
    return "second_factor_required"


def test_what_it_raises_at_a_right_password_fails_nobody(settings, ada, password, caplog):
    settings.AUTHX_LOCKOUT = f"{HERE}.Broken"
    assert by_api(password).status_code == 200
    assert "Broken did not take note of a right password." in caplog.text


FULL = {"limit": 1, "when_full": "refuse", "choose": True}


@pytest.mark.parametrize(("answer", "after", "text"), [(True, None, "is locked"), (90, "90", "try again")])
def test_a_login_proof_is_no_way_around_it(answer, after, text, register, ada, password, settings):
    settings.AUTHX_SESSION_LIMITS = [FULL]
    end = str(open_session(ada).session.pk)
    proof = by_api(password).json()["proof"]
    browser = Client()
    page = browser.post(PAGE, {"username": "ada", "password": password})
    fields = {"proof": re.search(r'name="proof" value="([^"]+)"', page.content.decode())[1], "end": end}
    register.refused["ada"] = answer
    api, page = APIClient().post(LOGIN, {"proof": proof, "end": end}), browser.post(PAGE, fields)
    assert [found.status_code for found in (api, page)] == [429] * 2
    assert [found.get("Retry-After") for found in (api, page)] == [after] * 2
    assert text in page.content.decode()
    assert register.told == [("left to", LOGIN), ("left to", PAGE)], "of no right password"
    found = SessionEvent.objects.filter(kind="login_limited").values_list("outcome", "subject")
    assert list(found) == [("lockout", str(ada.pk))] * 2
    register.refused.clear()
    assert APIClient().post(LOGIN, {"proof": proof, "end": end}).status_code == 200, "it is not spent"


def test_code_without_a_request_is_not_locked_out(register, ada, password):
    register.refused["ada"] = True
    assert authenticate(None, username="ada", password=password) == ada


def test_without_a_package_nobody_is_asked(settings, ada, password, register):
    settings.AUTHX_LOCKOUT = None
    register.refused["ada"] = True
    assert by_api(password).status_code == 200


@pytest.mark.parametrize(
    ("path", "found"),
    [
        (f"{HERE}.Register", []),
        (f"{HERE}.NoLockout", ["authx.E030"]),
        (f"{HERE}.by_api", ["authx.E030"]),
        (f"{HERE}.Missing", ["authx.E011"]),
        ("nonsense", ["authx.E001"]),
        (7, ["authx.E001"]),
    ],
)
def test_a_check_says_what_is_no_such_class(path, found, settings):
    settings.AUTHX_LOCKOUT = path
    told = [message for message in run_checks() if "LOCKOUT" in message.msg]
    assert [message.id for message in told] == found
