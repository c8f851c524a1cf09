"""CookieAuthentication knows a Django session as pages do: it adopts and follows it."""

from datetime import timedelta

import pytest
from django.contrib.auth import user_logged_in
from django.db.models import F
from rest_framework.test import APIClient

from authx.gate.verify import read_claims
from authx.models import DeviceSession
from authx.pages import login_signals
from authx.sessions import end_session

pytestmark = pytest.mark.django_db

ACCESS = "__Host-authx_access"
API = "/api/whoami/"


@pytest.fixture
def spa(ada, password):
    """A single-page app in which ada has been signed in since before authx was installed."""
    client = APIClient(enforce_csrf_checks=True)
    user_logged_in.disconnect(dispatch_uid="authx.pages.login")
    try:
        client.login(username=ada.get_username(), password=password)
    finally:
        login_signals.connect()
    assert not DeviceSession.objects.exists()
    return client


def test_a_login_of_before_is_adopted_by_its_first_request(spa, ada):
    first = spa.get(API)
    session = DeviceSession.objects.get()
    assert first.json() == {"user": str(ada.pk), "sid": str(session.pk)}
    assert read_claims(first.cookies[ACCESS].value).sid == str(session.pk)
    assert spa.get(API).json() == first.json()
    assert DeviceSession.objects.get() == session


def test_an_unsafe_request_needs_the_csrf_token_as_ever(spa, ada):
    assert spa.post(API).status_code == 403
    token = spa.get("/api/auth/login/").headers["X-CSRFToken"]
    assert spa.post(API, headers={"X-CSRFToken": token}).json()["user"] == str(ada.pk)


def test_the_test_client_signs_in(ada, password):
    client = APIClient()
    assert client.login(username=ada.get_username(), password=password)
    for _time in range(2):
        said = client.get(API).json()
        assert said == {"user": str(ada.pk), "sid": str(DeviceSession.objects.get().pk)}
    assert client.get("/api/auth/session/").json()["id"] == said["sid"]


def test_the_api_agrees_with_the_page_that_came_first(spa):
    page = spa.get("/whoami/").json()
    assert spa.get(API).json()["sid"] == page["session"]


def test_an_ended_one_says_why(spa):
    spa.get(API)
    alone = APIClient()
    alone.cookies["sessionid"] = spa.cookies["sessionid"].value
    end_session(DeviceSession.objects.get(), "kicked")
    refused = alone.get(API)
    assert (refused.status_code, refused.json()["reason"]) == (401, "kicked")
    assert alone.get(API).status_code == 401
    assert DeviceSession.objects.count() == 1


def test_after_ten_minutes_it_is_no_credential_as_on_pages(ada, password):
    client = APIClient()
    client.login(username=ada.get_username(), password=password)
    DeviceSession.objects.update(created_at=F("created_at") - timedelta(minutes=11))
    assert client.get(API).status_code == 401
    assert client.get("/whoami/").json()["user"] is None


def test_a_bearer_token_leaves_it_alone(spa):
    refused = spa.get(API, headers={"Authorization": "Bearer nonsense"})
    assert (refused.status_code, refused.json()["code"]) == (401, "token_malformed")
    assert not DeviceSession.objects.exists()
