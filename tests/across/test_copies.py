"""What ends every copy of a session's tokens, through the doors: step-ups, and ends by a former id."""

import json
import random
from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone
from rest_framework.test import APIClient

from authx.core.actor import NOBODY
from authx.models import DeviceSession, SessionEvent
from authx.sessions import Device, open_session
from authx.sessions.continuing import continue_session
from tests.gate.test_stores import NAMES, QUICK, choose
from tests.racing import race

pytestmark = pytest.mark.django_db(transaction=True)

API, LOGIN, CONFIRM, DEVICES = "/api/auth/", "/account/login/", "/account/confirm/", "/account/devices/"
ADMIN = "/admin/authx/devicesession/"
ACCESS, REFRESH = "__Host-authx_access", "__Host-authx_refresh"
STORES = [("database", timedelta(0)), *QUICK]


@pytest.fixture(params=[False, True], ids=["plain", "atomic"])
def atomic(request, monkeypatch):
    """With ATOMIC_REQUESTS, and without."""
    monkeypatch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", request.param)


def bearer(access_token):
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {access_token}")
    return client


def signed_in(user, password):
    client = Client()
    assert client.post(LOGIN, {"username": user.get_username(), "password": password}).status_code == 302
    client.get("/whoami/")
    return client


def prove(access_token, password):
    return bearer(access_token).post(f"{API}reauthenticate/", {"password": password})


def refresh(refresh_token):
    return APIClient().post(f"{API}refresh/", {"refresh_token": refresh_token})


def refusal(response):
    return response.status_code, response.json()["code"], response.json().get("reason")


def live(user):
    return DeviceSession.objects.live().filter(user=user)


# Every copy of the old tokens


@pytest.mark.parametrize("store", STORES, ids=["database", *NAMES])
def test_the_old_tokens_are_refused_at_the_next_request_whatever_the_store(store, settings, ada, password):
    choose(settings, *store)
    old = open_session(ada)
    assert bearer(old.access_token).get("/api/whoami/").status_code == 200
    new = prove(old.access_token, password).json()
    over = (401, "session_ended", "superseded")
    assert refusal(bearer(old.access_token).get("/api/whoami/")) == over
    assert refusal(prove(old.access_token, password)) == over
    assert refusal(refresh(old.refresh_token)) == over
    assert bearer(new["access_token"]).get("/api/whoami/").json()["sid"] == new["session_id"]


def test_a_bearer_client_touches_no_cookie_that_comes_with_it(ada, bob, password):
    browser, hers = signed_in(bob, password), open_session(ada)
    before = {name: cookie.value for name, cookie in browser.cookies.items()}
    headers = {"Authorization": f"Bearer {hers.access_token}"}
    sent = {"password": password}
    answer = browser.post(f"{API}reauthenticate/", sent, content_type="application/json", headers=headers)
    assert "refresh_token" in answer.json()
    assert not answer.cookies
    assert {name: cookie.value for name, cookie in browser.cookies.items()} == before
    assert browser.get("/whoami/").json()["user"] == "bob"


def test_nothing_but_a_form_that_was_posted_confirms(atomic, ada, password):
    browser = signed_in(ada, password)
    session, typed = live(ada).get(), {"password": password}
    for response in (
        browser.get(CONFIRM, typed),
        browser.head(CONFIRM, typed),
        browser.options(CONFIRM),
        browser.put(CONFIRM, f"password={password}", content_type="application/x-www-form-urlencoded"),
        browser.post(f"{CONFIRM}?password={password}"),
        browser.post(CONFIRM, json.dumps(typed), content_type="application/json"),
    ):
        assert response.status_code == 200
        assert {"private", "no-store"} <= set(response["Cache-Control"].split(", "))
        assert "Cookie" in response["Vary"]
        assert live(ada).get() == session
    assert browser.post(CONFIRM, typed).status_code == 302
    assert live(ada).get() != session


def test_who_is_disabled_meanwhile_confirms_nothing(atomic, ada, password, django_user_model):
    browser = signed_in(ada, password)
    django_user_model.objects.update(is_active=False)  # no signal
    assert browser.post(CONFIRM, {"password": password})["Location"].startswith(LOGIN)
    assert DeviceSession.objects.get().end_reason == "user_disabled"


# Whoever names a former session


@pytest.fixture
def line(ada):
    """The ids of a session and of the three that have continued it, one after the other."""
    sessions = [open_session(ada, device=Device(id="phone")).session]
    for _ in range(3):
        new = continue_session(sessions[-1], NOBODY, methods=["pwd"], came_back=True)
        sessions.append(new.session)
    return [str(session.pk) for session in sessions]


def by_api(line, ada, admin, password):
    client = bearer(open_session(ada).access_token)
    return [client.delete(f"{API}sessions/{line[0]}/").status_code for _ in range(2)]


def by_page(line, ada, admin, password):
    browser = signed_in(ada, password)
    return [browser.post(f"{DEVICES}{line[0]}/end/").status_code for _ in range(2)]


def by_staff(line, ada, admin, password):
    client = bearer(open_session(admin).access_token)
    return [client.post(f"{API}staff/sessions/{line[0]}/kick/").json()["ended"] for _ in range(2)]


def by_admin(line, ada, admin, password):
    browser = signed_in(admin, password)
    form = {"action": "kick", "_selected_action": line, "post": "yes"}
    pages = [browser.post(ADMIN, form, follow=True).content.decode() for _ in range(2)]
    return ["1 session was ended" in pages[0], "0 sessions were ended" in pages[1]]


@pytest.mark.parametrize(
    ("end", "answers", "reason"),
    [
        (by_api, [204, 204], "ended_by_user"),
        (by_page, [302, 302], "ended_by_user"),
        (by_staff, [1, 0], "kicked"),
        (by_admin, [True, True], "kicked"),
    ],
    ids=["api", "page", "staff", "admin"],
)
def test_the_last_of_three_step_ups_ends_once(atomic, line, ada, admin, password, end, answers, reason):
    assert end(line, ada, admin, password) == answers
    reasons = [DeviceSession.objects.get(pk=sid).end_reason for sid in line]
    assert reasons == ["superseded"] * 3 + [reason]
    assert SessionEvent.objects.filter(kind="ended", outcome=reason).count() == 1


# At once


@pytest.mark.parametrize("seed", range(6))
def test_a_kick_beside_step_ups_and_a_refresh_leaves_nobody_in(seed, ada, admin, password):
    old, boss = open_session(ada), bearer(open_session(admin).access_token)
    DeviceSession.objects.update(rotated_at=timezone.now() - timedelta(minutes=2))
    kick = [f"staff/sessions/{old.session.pk}/kick/", f"staff/users/{ada.pk}/kick/"][seed % 2]
    actors = [
        lambda: prove(old.access_token, password),
        lambda: prove(old.access_token, password),
        lambda: refresh(old.refresh_token),
        lambda: boss.post(f"{API}{kick}"),
    ]
    random.Random(seed).shuffle(actors)
    answers = race(*actors)
    assert {answer.status_code for answer in answers} <= {200, 401}, answers
    assert not live(ada).exists()
    for tokens in [answer.json() for answer in answers if answer.status_code == 200]:
        if "access_token" in tokens:
            assert bearer(tokens["access_token"]).get("/api/whoami/").status_code == 401
    ended = SessionEvent.objects.filter(kind="ended").values_list("session", flat=True)
    assert len(ended) == len(set(ended))
