"""authx.api.views.connected_apps: the apps of the user who asks."""

from datetime import timedelta
from urllib.parse import quote

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from authx.models import Consent, DeviceSession, SessionEvent
from authx.sessions import open_session
from authx.sessions.credentials import credentials_for
from tests.api.calls import client_of
from tests.api.test_api_sessions import AUTH, SESSION_KEYS, both_carriers
from tests.apps import API, connect, consent, make_client, reason_of, serve

APPS = f"{AUTH}connected-apps/"
NOT_FOUND = {"detail": "Not found.", "code": "not_found"}

pytestmark = pytest.mark.django_db


@pytest.fixture
def app():
    return make_client("app-1", "Reader")


@pytest.fixture
def reader(app, phone):
    return connect(app, phone.session, scope="orders:read orders:write")


def of(name):
    return f"{APPS}{quote(str(getattr(name, 'pk', name)))}/"


@both_carriers
def test_the_list_is_as_the_contract_says(client_for, phone, reader):
    response = client_for(phone).get(APPS)
    (shown,) = response.json()
    assert set(shown) == SESSION_KEYS | {"client", "scope", "resources"}
    assert (shown["id"], shown["current"]) == (str(reader.pk), False)
    assert shown["client"] == {"id": "app-1", "name": "Reader"}
    assert (shown["scope"], shown["resources"]) == (["orders:read", "orders:write"], [API])
    assert "no-store" in response["Cache-Control"]


def test_each_session_is_an_item_the_last_used_first(phone, app, reader):
    also, other = connect(app, phone.session), connect(make_client("app-2", "Writer"), phone.session)
    for minutes, session in enumerate((reader, also, other)):
        last_seen_at = timezone.now() + timedelta(minutes=minutes)
        DeviceSession.objects.filter(pk=session.pk).update(last_seen_at=last_seen_at)
    shown = client_of(phone).get(APPS).json()
    assert [one["id"] for one in shown] == [str(one.pk) for one in (other, also, reader)]
    assert [one["client"]["name"] for one in shown] == ["Writer", "Reader", "Reader"]


def test_nobody_elses_are_listed_nor_what_has_ended(phone, app, reader, bob):
    connect(app, open_session(bob).session)
    serve(app)
    assert client_of(phone).delete(of(reader)).status_code == 204
    assert client_of(phone).get(APPS).json() == []


@both_carriers
@pytest.mark.parametrize("name", ["its session", "its client"])
def test_disconnecting_ends_all_that_the_app_has(name, client_for, phone, app, reader, ada):
    consent(app, ada)
    also = connect(app, phone.session)
    writer = connect(make_client("app-2", "Writer"), phone.session)
    named = reader if name == "its session" else "app-1"
    response = client_for(phone).delete(of(named))
    assert (response.status_code, response.content) == (204, b"")
    assert [reason_of(one) for one in (reader, also, writer)] == ["ended_by_user", "ended_by_user", ""]
    assert reason_of(phone.session) == ""
    assert not Consent.objects.exists()
    assert SessionEvent.objects.get(session=reader, kind="ended").actor == ada


def test_once_more_is_the_same_and_nothing_happens(phone, app, reader):
    client = client_of(phone)
    client.delete(of(reader))
    again = connect(app, phone.session)
    assert client.delete(of(reader)).status_code == 204
    assert reason_of(again) == ""
    assert client.delete(of("app-1")).status_code == 204
    assert reason_of(again) == "ended_by_user"
    assert client.delete(of("app-1")).status_code == 204


def test_what_is_only_remembered_is_forgotten_by_the_clients_id(phone, app, ada):
    consent(app, ada)
    assert client_of(phone).delete(of("app-1")).status_code == 204
    assert not Consent.objects.exists()


NAMES = ["app-1", "no-such", "\x00", "a\x00b", "x" * 300, "a/b", "\U0001f4a9"]


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_anothers_app_is_as_missing_as_none(name, phone, app, bob):
    theirs = connect(app, open_session(bob).session)
    response = client_of(phone).delete(of(name))
    assert (response.status_code, response.json()) == (404, NOT_FOUND)
    assert reason_of(theirs) == ""


def test_anothers_session_is_as_missing_as_a_login(phone, app, bob):
    theirs, service = connect(app, open_session(bob).session), serve(app)
    for session in (theirs, service, phone.session):
        response = client_of(phone).delete(of(session))
        assert (response.status_code, response.json()) == (404, NOT_FOUND)
        assert reason_of(session) == ""


def test_a_client_id_may_look_like_a_session(phone):
    client = make_client("0190a5e0-0000-7000-8000-000000000000")
    session = connect(client, phone.session)
    assert client_of(phone).delete(of(client.client_id)).status_code == 204
    assert reason_of(session) == "ended_by_user"


def test_the_sessions_of_apps_are_no_devices(phone, reader):
    client = client_of(phone)
    assert [one["id"] for one in client.get(f"{AUTH}sessions/").json()] == [str(phone.session.pk)]
    path = f"{AUTH}sessions/{reader.pk}/"
    assert client.patch(path, {"name": "x"}, format="json").status_code == 404
    assert client.delete(path).status_code == 404
    assert client.post(f"{AUTH}sessions/end-others/").json() == {"ended": 0}
    assert reason_of(reader) == ""


def test_nobody_and_no_client_may_ask(phone, app, reader):
    for audience in ((API,), ("authx",)):
        session = connect(app, phone.session, audience=audience)
        delegated = client_of(credentials_for(session, generation=1, now=session.created_at))
        for client in (delegated, APIClient()):
            assert client.get(APPS).status_code == 401
            assert client.delete(of(reader)).status_code == 401
    assert reason_of(reader) == ""


def test_a_cookie_needs_its_csrf_token(phone, reader):
    client = APIClient(enforce_csrf_checks=True)
    client.cookies["__Host-authx_access"] = phone.access_token
    assert client.get(APPS).status_code == 200
    assert client.delete(of(reader)).status_code == 403
    assert reason_of(reader) == ""


def test_other_methods_are_refused(phone, reader):
    client = client_of(phone)
    assert client.post(APPS).status_code == 405
    assert client.patch(of(reader)).status_code == 405


# Staff


def test_staff_see_whose_client_it_is(admin, phone, app, reader):
    service = serve(app)
    boss = open_session(admin)
    listed = client_of(boss).get(f"{AUTH}staff/sessions/").json()
    shown = {one["id"]: one for one in listed}
    assert shown[str(reader.pk)]["client"] == {"id": "app-1", "name": "Reader"}
    assert shown[str(service.pk)]["client"] == {"id": "app-1", "name": "Reader"}
    assert (shown[str(service.pk)]["user_id"], shown[str(service.pk)]["username"]) == ("client:app-1", None)
    assert "client" not in shown[str(phone.session.pk)]


def test_staff_kick_apps_and_services(admin, ada, app, phone, reader):
    service, also = serve(app), connect(app, phone.session)
    client = client_of(open_session(admin))
    for session in (reader, service):
        assert client.post(f"{AUTH}staff/sessions/{session.pk}/kick/").json() == {"ended": 1}
        assert reason_of(session) == "kicked"
    assert client.post(f"{AUTH}staff/users/{ada.pk}/kick/").json() == {"ended": 2}
    assert reason_of(also) == "kicked"
    assert DeviceSession.objects.live().count() == 1
