"""What our routes really answer is what the schema says: each status with its body and its headers."""

from base64 import b64encode
from datetime import timedelta

import pytest
from django.test import Client
from rest_framework.test import APIClient

from authx.models import DeviceSession
from authx.sessions import Device, end_session, open_session
from tests.clients import create_service
from tests.faults_in_database import outage
from tests.granted import grace_has_passed, granted, make_client
from tests.openapi.schemas import faults, schema_of

pytestmark = pytest.mark.django_db

API = "/api/auth/"


@pytest.fixture(scope="module")
def schema():
    return schema_of()


class Caller:
    """Calls a route, and compares the answer with the schema."""

    def __init__(self, schema):
        self.schema, self.client = schema, APIClient()

    def __call__(self, method, route, body=None, *, by=None, client=None, **named):
        headers = {"Authorization": by} if by else {}
        client, url = client or self.client, API + route
        answer = getattr(client, method.lower())(url, body, format="json", headers=headers, **named)
        assert not (found := faults(self.schema, method, url, answer)), found
        return answer

    def status(self, *arguments, **named):
        return self(*arguments, **named).status_code

    def code(self, *arguments, **named):
        answer = self(*arguments, **named)
        return answer.status_code, answer.json()["code"]


@pytest.fixture
def call(schema):
    return Caller(schema)


def bearer(credentials):
    return f"Bearer {credentials.access_token}"


@pytest.fixture
def here(ada):
    return open_session(ada)


@pytest.fixture
def by(here):
    return bearer(here)


def test_a_login_and_what_follows_it(call, ada, password):
    assert call.status("GET", "login/") == 204
    tokens = call("POST", "login/", {"username": "ada", "password": password, "device": {"id": "a"}}).json()
    by = f"Bearer {tokens['access_token']}"
    assert call("POST", "refresh/", {"refresh_token": tokens["refresh_token"]}).status_code == 200
    assert call("GET", "session/", by=by).json()["id"] == tokens["session_id"]
    assert len(call("GET", "sessions/", by=by).json()) == 1
    assert call("PATCH", f"sessions/{tokens['session_id']}/", {"name": "Laptop"}, by=by).status_code == 200
    assert call("POST", "socket-ticket/", by=by).status_code == 200
    assert call("POST", "sessions/end-others/", by=by).json() == {"ended": 0}
    again = call("POST", "reauthenticate/", {"password": password}, by=by).json()
    assert call.status("POST", "logout/", {"refresh_token": again["refresh_token"]}) == 204
    assert call.code("GET", "session/", by=by) == (401, "session_ended")


def test_a_new_sign_in(call, ada, by):
    yes, no = (open_session(ada, device=Device(id=name)).session.pk for name in ("laptop", "tablet"))
    assert len(call("GET", "sessions/unconfirmed/", by=by).json()) == 2
    assert call.status("POST", f"sessions/{yes}/confirm/", by=by) == 204
    assert call.status("POST", f"sessions/{no}/disown/", by=by) == 204
    own = call("GET", "session/", by=by).json()["id"]
    for saying in ("confirm", "disown"):
        assert call.code("POST", f"sessions/{own}/{saying}/", by=by) == (403, "permission_denied")
        missing = f"sessions/00000000-0000-0000-0000-000000000000/{saying}/"
        assert call.code("POST", missing, by=by) == (404, "not_found")
        assert call.status("POST", missing) == 401


def test_a_login_by_cookie(call, ada, password):
    browser = APIClient(enforce_csrf_checks=True)
    token = call("GET", "login/", client=browser)["X-CSRFToken"]
    body = {"username": "ada", "password": password, "transport": "cookie"}
    assert call.code("POST", "login/", body, client=browser) == (403, "permission_denied")
    answer = call("POST", "login/", body, client=browser, HTTP_X_CSRFTOKEN=token)
    assert "refresh_token" not in answer.json()
    token = browser.cookies["csrftoken"].value
    assert call.code("POST", "refresh/", client=browser) == (403, "permission_denied")
    assert call.status("POST", "refresh/", client=browser, HTTP_X_CSRFTOKEN=token) == 200
    assert call.status("GET", "session/", client=browser) == 200
    assert call.code("POST", "sessions/end-others/", client=browser) == (403, "permission_denied")
    assert call.status("POST", "logout/", client=browser, HTTP_X_CSRFTOKEN=token) == 204


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 400),
        ({"username": "ada", "password": "wrong"}, 401),
        ({"username": "ada", "password": "x", "device": {"id": "x" * 200}}, 400),
        ({"username": "ada", "password": "x", "device": "phone"}, 400),
        ({"proof": "none", "end": ["x"]}, 400),
        ({"proof": "none", "end": ["00000000-0000-0000-0000-000000000000"]}, 401),
        ({"proof": "none", "end": "00000000-0000-0000-0000-000000000000", "password": "x"}, 400),
        ([], 400),
    ],
)
def test_a_login_that_fails(body, status, call, ada):
    assert call.status("POST", "login/", body) == status


def test_a_device_that_is_none(call, ada, password):
    body = {"username": "ada", "password": password, "device": {"type": "toaster"}}
    assert "device" in call("POST", "login/", body).json()


def test_no_passwords_are_taken(call, settings):
    settings.AUTHX_PASSWORD_LOGIN = False
    assert call.code("POST", "login/", {}) == (404, "not_found")


def test_a_site_that_asks_for_more(call, ada, password, settings):
    settings.AUTHX_PASSWORD_LOGIN = "tests.openapi.test_answers.second_factor"
    body = {"username": "ada", "password": password}
    assert call.code("POST", "login/", body) == (401, "second_factor_required")


def second_factor(request, user):
    return "second_factor_required"


@pytest.mark.parametrize("choose", [False, True])
def test_a_full_limit(choose, call, ada, password, settings):
    limit = {"types": ["ios"], "limit": 1, "when_full": "refuse", **({"choose": True} if choose else {})}
    settings.AUTHX_SESSION_LIMITS = [limit]
    body = {"username": "ada", "password": password, "device": {"id": "one", "type": "ios"}}
    assert call.status("POST", "login/", body) == 200
    body["device"]["id"] = "two"
    answer = call("POST", "login/", body)
    assert (answer.status_code, "proof" in answer.json()) == (409, choose)
    if choose:
        proof, (session,) = answer.json()["proof"], answer.json()["sessions"]
        entry = {"proof": proof, "end": session["id"], "device": body["device"]}
        assert call.status("POST", "login/", entry) == 200


def test_too_many_tries(call, ada, by, settings):
    settings.AUTHX_LOGIN_RATE = "1/min"
    settings.AUTHX_REFRESH_RATE = "1/min"
    wrong = {"username": "ada", "password": "wrong"}
    assert [call.status("POST", "login/", wrong) for _ in range(3)][-1] == 429
    assert call.code("POST", "reauthenticate/", {"password": "wrong"}, by=by) == (429, "throttled")
    refresh = {"refresh_token": open_session(ada).refresh_token}
    assert [call.status("POST", "refresh/", refresh) for _ in range(3)][-1] == 429


@pytest.mark.django_db(transaction=True)  # that the new token was used is written after the response
def test_a_spent_refresh_token(call, here):
    body = {"refresh_token": here.refresh_token}
    later = timedelta(minutes=2)
    grace_has_passed(here.session, later)
    second = call("POST", "refresh/", body).json()
    assert call.status("GET", "session/", by=f"Bearer {second['access_token']}") == 200
    grace_has_passed(here.session, later)
    assert call.code("POST", "refresh/", body) == (409, "refresh_conflict")
    browser = APIClient()
    browser.cookies["__Host-authx_refresh"] = here.refresh_token
    assert call.code("GET", "sessions/", client=browser) == (409, "refresh_conflict")
    assert call.status("POST", "refresh/", {"refresh_token": second["refresh_token"]}) == 200
    assert call.code("POST", "refresh/", body) == (401, "refresh_reused")


@pytest.mark.parametrize("token", ["", "x", None, 5, [], {}])
def test_a_refresh_token_that_is_none(token, call):
    assert call.status("POST", "refresh/", {"refresh_token": token}) == 401
    assert call.status("POST", "logout/", {"refresh_token": token}) == 401


def test_a_credential_that_is_none(call, ada):
    ended = open_session(ada)
    end_session(ended.session, "kicked")
    for by in (bearer(ended), "Bearer a.b.c", "Bearer", None):
        assert call.status("GET", "sessions/", by=by) == 401
    assert call.code("GET", "sessions/", by="Bearer a, Bearer b") == (400, "invalid_request")


def test_bodies_that_are_none(call, by):
    for client_type, body, status in [
        ("application/json", "{", 400),
        ("text/plain", "x", 415),
        ("application/json; charset=utf-7", "{}", 400),
        ("application/json", '{"password": "' + "x" * 3_000_000 + '"}', 413),
    ]:
        answer = Client().post(
            API + "reauthenticate/", body, content_type=client_type, headers={"Authorization": by}
        )
        assert answer.status_code == status
        assert not (found := faults(call.schema, "POST", API + "reauthenticate/", answer)), found


def test_sessions_of_others(call, by, bob):
    other = open_session(bob).session.pk
    assert call.code("PATCH", f"sessions/{other}/", {"name": "Mine"}, by=by) == (404, "not_found")
    assert call.code("DELETE", f"sessions/{other}/", by=by) == (404, "not_found")


def test_connected_apps(call, ada, here, by):
    app = make_client()
    session = granted(app, here.session).session
    (shown,) = call("GET", "connected-apps/", by=by).json()
    assert shown["client"]["id"] == app.client_id
    assert call.status("DELETE", f"connected-apps/{session.pk}/", by=by) == 204
    assert call.status("DELETE", f"connected-apps/{app.client_id}/", by=by) == 204
    assert call.code("DELETE", "connected-apps/nobody/", by=by) == (404, "not_found")


def test_staff(call, admin, ada, here, by, settings):
    staff = bearer(open_session(admin))
    assert call.code("GET", "staff/sessions/", by=by) == (403, "permission_denied")
    granted(make_client(), here.session)
    end_session(open_session(ada).session, "kicked")
    answer = call("GET", "staff/sessions/?status=all&limit=1", by=staff)
    assert "Link" in answer
    assert len(call("GET", "staff/sessions/?status=all", by=staff).json()) == 4
    settings.AUTHX_SUBJECT_FIELD = "username"
    assert "user_pk" in call("GET", "staff/sessions/", by=staff).json()[0]
    settings.AUTHX_SUBJECT_FIELD = None
    assert call("POST", f"staff/sessions/{here.session.pk}/kick/", {"reason": "x"}, by=staff).json() == {
        "ended": 1
    }
    assert call.status("POST", f"staff/users/{ada.pk}/kick/", by=staff) == 200
    assert call.status("POST", f"staff/users/{ada.pk}/kick/", {"reason": "x" * 300}, by=staff) == 400
    assert call.status("POST", "staff/users/nobody/kick/", by=staff) == 404
    DeviceSession.objects.filter(user=admin).update(auth_time="2020-01-01T00:00Z")
    settings.AUTHX_STAFF_MAX_AUTH_AGE = timedelta(hours=1)
    assert call.code("GET", "staff/sessions/", by=staff) == (401, "insufficient_user_authentication")


def test_services(call, ada, here):
    service, secret = create_service("orders")
    by = "Basic " + b64encode(f"{service.client_id}:{secret}".encode()).decode()
    assert call.status("POST", "introspect/", {"token": here.access_token}, by=by) == 200
    assert call("POST", "introspect/", {"token": "x"}, by=by).json() == {"active": False}
    assert call.status("POST", "introspect/", {}, by=by) == 400
    assert call.status("POST", "introspect/", {"token": "x"}) == 401
    assert call.status("POST", "revoke/", {"token": "x"}, by=by) == 200
    end_session(here.session, "kicked")
    answer = call("GET", "revocations/", by=by)
    assert answer.json()["endings"]
    assert call.status("GET", "revocations/", by=by, HTTP_IF_NONE_MATCH=answer["ETag"]) == 304
    assert call.status("POST", "revocations/", {"since": answer.json()["cursor"]}, by=by) == 200
    app = make_client(secret_hash="", auth_method="none")
    assert call.status("POST", "revoke/", {"token": "x", "client_id": app.client_id}) == 200
    assert call.status("POST", "introspect/", {"token": "x", "client_id": app.client_id}) == 401


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("method", "route", "body"),
    [
        ("GET", "sessions/", None),
        ("POST", "login/", {"username": "ada", "password": "x"}),
        ("POST", "introspect/", {"token": "x", "client_id": "a", "client_secret": "b"}),
        ("POST", "refresh/", None),
    ],
)
def test_a_database_that_cannot_be_asked(method, route, body, call, here, by):
    if route == "refresh/":
        body = {"refresh_token": here.refresh_token}
    with outage():
        answer = call(method, route, body, by=by if route == "sessions/" else None)
    assert answer.status_code == 503
    assert "Retry-After" in answer
