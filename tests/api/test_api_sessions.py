"""authx.api.views.sessions: a user's own sessions."""

import re
import uuid
from datetime import datetime, timedelta

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.backends import BaseBackend
from django.db import connection
from django.utils import timezone
from rest_framework.test import APIClient

from authx.core.actor import NOBODY
from authx.gate import verify_access_token
from authx.models import DeviceSession, EndReason, SessionEvent
from authx.sessions import Device, end_session, open_session
from authx.sessions.continuing import continue_session
from tests.api.calls import assert_ended, assert_live, client_of

AUTH = "/api/auth/"
ACCESS_COOKIE, REFRESH_COOKIE = "__Host-authx_access", "__Host-authx_refresh"

TOKENS = {
    *("access_token", "token_type", "expires_in", "refresh_token", "refresh_expires_in"),
    *("session_id", "user_id"),
}
SESSION_KEYS = {
    "id",
    "current",
    "device",
    "ip",
    "country",
    "created_at",
    "last_seen_at",
    "auth_time",
    "expires_at",
}


def browser_of(credentials):
    """A browser with the session's cookies and a CSRF token, which it sends."""
    client = APIClient(enforce_csrf_checks=True)
    client.cookies[ACCESS_COOKIE] = credentials.access_token
    client.cookies[REFRESH_COOKIE] = credentials.refresh_token
    client.get(f"{AUTH}login/")
    client.credentials(HTTP_X_CSRFTOKEN=client.cookies["csrftoken"].value)
    return client


def client_of_token(answer):
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {answer['access_token']}")
    return client


both_carriers = pytest.mark.parametrize("client_for", [client_of, browser_of])


def one(session):
    return f"{AUTH}sessions/{getattr(session, 'pk', session)}/"


@pytest.fixture
def tablet(ada):
    return open_session(ada, device=Device(id="t-1", name="Ada's tablet", type="android"))


# Looking


@both_carriers
def test_the_current_session_is_shown_as_the_contract_says(client_for, phone):
    response = client_for(phone).get(f"{AUTH}session/")
    assert response.status_code == 200
    shown = response.json()
    assert set(shown) == SESSION_KEYS
    assert (shown["id"], shown["current"]) == (str(phone.session.pk), True)
    assert shown["device"] == {
        "id": "p-1",
        "name": "Ada's phone",
        "type": "ios",
        "label": "Unknown device",
    }
    assert (shown["ip"], shown["country"]) == (None, "")
    for name in ("created_at", "last_seen_at", "auth_time", "expires_at"):
        assert datetime.fromisoformat(shown[name]).utcoffset() == timedelta(0)


@both_carriers
def test_the_list_is_plain_and_marks_the_one_that_asks(client_for, phone, tablet, bobs):
    shown = client_for(phone).get(f"{AUTH}sessions/").json()
    assert isinstance(shown, list)
    assert all(set(each) == SESSION_KEYS for each in shown)
    assert {each["id"]: each["current"] for each in shown} == {
        str(phone.session.pk): True,
        str(tablet.session.pk): False,
    }


def test_the_session_seen_last_is_listed_first(phone, tablet):
    now = timezone.now()
    rows = DeviceSession.objects
    rows.filter(pk=phone.session.pk).update(last_seen_at=now)
    rows.filter(pk=tablet.session.pk).update(last_seen_at=now - timedelta(hours=1))
    ids = [each["id"] for each in client_of(phone).get(f"{AUTH}sessions/").json()]
    assert ids == [str(phone.session.pk), str(tablet.session.pk)]


def listed(credentials):
    return {each["id"] for each in client_of(credentials).get(f"{AUTH}sessions/").json()}


def test_what_has_ended_is_not_listed(phone, tablet):
    end_session(tablet.session, EndReason.KICKED)
    assert listed(phone) == {str(phone.session.pk)}


@pytest.mark.parametrize("column", ["idle_expires_at", "expires_at"])
def test_what_has_expired_is_not_listed_though_nobody_has_marked_it(column, phone, tablet):
    past = timezone.now() - timedelta(seconds=1)
    DeviceSession.objects.filter(pk=tablet.session.pk).update(**{column: past})
    assert listed(phone) == {str(phone.session.pk)}


def test_no_secret_of_a_session_is_shown(phone):
    row = phone.session
    text = client_of(phone).get(f"{AUTH}sessions/").content.decode()
    for secret in (bytes(row.salt).hex(), row.fingerprint, phone.access_token, phone.refresh_token):
        assert secret not in text


@pytest.mark.parametrize("path", ["session/", "sessions/"])
def test_nobody_sees_anything(path, api, db):
    response = api.get(AUTH + path)
    assert response.status_code == 401
    assert response.json()["code"] == "not_authenticated"
    assert response["WWW-Authenticate"] == 'Bearer realm="api"'


@pytest.mark.django_db(transaction=True)
def test_the_current_session_costs_one_statement_and_the_list_two(phone, django_assert_num_queries):
    client = client_of(phone)
    client.get(f"{AUTH}session/")
    with django_assert_num_queries(1):
        client.get(f"{AUTH}session/")
    with django_assert_num_queries(2):
        client.get(f"{AUTH}sessions/")


def test_a_list_is_kept_by_no_cache(phone):
    response = client_of(phone).get(f"{AUTH}sessions/")
    assert "no-store" in response["Cache-Control"]
    assert {"Authorization", "Cookie"} <= {name.strip() for name in response["Vary"].split(",")}


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("post", "session/"),
        ("post", "sessions/"),
        ("delete", "sessions/"),
        ("get", "sessions/end-others/"),
        ("get", "reauthenticate/"),
    ],
)
def test_another_method_is_not_allowed(method, path, phone):
    response = getattr(client_of(phone), method)(AUTH + path)
    assert response.status_code == 405
    assert response.json()["code"] == "method_not_allowed"


# Naming


@both_carriers
def test_a_session_is_given_a_name(client_for, phone, tablet):
    response = client_for(phone).patch(one(tablet.session), {"name": "Kitchen"})
    assert response.status_code == 200
    shown = response.json()
    assert set(shown) == SESSION_KEYS
    assert (shown["device"]["name"], shown["current"]) == ("Kitchen", False)
    assert DeviceSession.objects.get(pk=tablet.session.pk).device_name == "Kitchen"
    event = SessionEvent.objects.get(kind=SessionEvent.Kind.RENAMED)
    assert (event.session_id, event.actor_id) == (tablet.session.pk, phone.session.user_id)


def test_a_name_may_be_taken_away(phone):
    assert client_of(phone).patch(one(phone.session), {"name": ""}).json()["device"]["name"] == ""


def test_a_name_is_made_one_safe_line(phone):
    response = client_of(phone).patch(one(phone.session), {"name": "a\u202eb\r\nSet-Cookie: c\u200b"})
    assert response.json()["device"]["name"] == "ab Set-Cookie: c"


def test_a_name_of_any_script_is_kept(phone):
    response = client_of(phone).patch(one(phone.session), {"name": "Телефон 📱 <b>"})
    assert response.json()["device"]["name"] == "Телефон 📱 <b>"


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"name": None},
        {"name": []},
        {"name": {}},
        {"name": True},
        {"name": "n" * 101},
        {"name": "a\x00b"},
        {"Name": "x"},
        [],
        "name",
        None,
    ],
    ids=lambda body: str(body)[:20],
)
def test_a_wrong_name_is_a_400_and_changes_nothing(body, phone):
    response = client_of(phone).patch(one(phone.session), body, format="json")
    assert response.status_code == 400
    assert DeviceSession.objects.get().device_name == "Ada's phone"


def test_nothing_but_the_name_can_be_changed(phone, bob):
    before = DeviceSession.objects.values().get()
    body = {
        "name": "Ada's phone",
        "id": str(uuid.uuid4()),
        "user": bob.pk,
        "user_id": str(bob.pk),
        "subject": str(bob.pk),
        "device": {"type": "web", "label": "x"},
        "device_type": "web",
        "ip": "10.0.0.1",
        "country": "AQ",
        "expires_at": "2999-01-01T00:00:00Z",
        "ended_at": "2020-01-01T00:00:00Z",
        "auth_time": "2999-01-01T00:00:00Z",
        "generation": 99,
        "persistent": False,
        "current": False,
    }
    assert client_of(phone).patch(one(phone.session), body).status_code == 200
    assert DeviceSession.objects.values().get() == before


def test_a_session_cannot_be_put_or_posted(phone):
    for method in ("put", "post", "get"):
        assert getattr(client_of(phone), method)(one(phone.session)).status_code == 405


@both_carriers
@pytest.mark.parametrize("path", ["sessions/{0}/", "sessions/end-others/", "reauthenticate/"])
def test_json_deeper_than_python_can_follow_is_a_400(path, client_for, phone):
    deep = '{"name":' * 100_000 + "1" + "}" * 100_000
    method = "patch" if "{0}" in path else "post"
    client = client_for(phone)
    send = getattr(client, method)
    response = send(AUTH + path.format(phone.session.pk), deep, content_type="application/json")
    # end-others reads no body, except for the CSRF token that a form could hold.
    assert response.status_code in ({200, 400} if "others" in path else {400})


# Ending


def test_another_device_is_ended_from_this_one(phone, tablet):
    response = client_of(phone).delete(one(tablet.session))
    assert (response.status_code, response.content) == (204, b"")
    assert_ended(tablet, "ended_by_user")
    assert_live(phone)
    event = SessionEvent.objects.get(kind=SessionEvent.Kind.ENDED)
    assert (event.outcome, event.actor_id) == ("ended_by_user", phone.session.user_id)


def test_ending_ones_own_session_is_a_logout(phone):
    assert client_of(phone).delete(one(phone.session)).status_code == 204
    assert_ended(phone, "logout")


def test_ending_ones_own_session_by_cookie_takes_the_cookies_back(phone):
    response = browser_of(phone).delete(one(phone.session))
    assert response.status_code == 204
    for name in (ACCESS_COOKIE, REFRESH_COOKIE):
        assert response.cookies[name]["max-age"] == 0
    assert_ended(phone, "logout")


def test_ending_ones_own_session_by_bearer_touches_no_cookies(phone, tablet):
    browser = browser_of(tablet)
    headers = {"Authorization": f"Bearer {phone.access_token}"}
    response = browser.delete(one(phone.session), headers=headers)
    assert response.status_code == 204
    assert not response.cookies
    assert_live(tablet)


def test_ending_another_session_by_cookie_keeps_the_cookies(phone, tablet):
    assert not browser_of(phone).delete(one(tablet.session)).cookies


def test_ending_ones_own_session_just_after_a_silent_renewal_leaves_no_cookies(phone):
    browser = browser_of(phone)
    del browser.cookies[ACCESS_COOKIE]
    response = browser.delete(one(phone.session))
    assert response.status_code == 204
    for name in (ACCESS_COOKIE, REFRESH_COOKIE):
        assert response.cookies[name].value == ""
        assert response.cookies[name]["max-age"] == 0


def test_all_the_others_are_ended_at_once(phone, tablet, ada, bobs):
    third = open_session(ada)
    response = client_of(phone).post(f"{AUTH}sessions/end-others/")
    assert (response.status_code, response.json()) == (200, {"ended": 2})
    assert_ended(tablet, "ended_by_user")
    assert_ended(third, "ended_by_user")
    assert_live(phone)
    assert_live(bobs)
    assert client_of(phone).post(f"{AUTH}sessions/end-others/").json() == {"ended": 0}


def test_what_has_expired_is_not_counted_among_the_others_that_ended(phone, tablet):
    past = timezone.now() - timedelta(seconds=1)
    DeviceSession.objects.filter(pk=tablet.session.pk).update(idle_expires_at=past)
    assert client_of(phone).post(f"{AUTH}sessions/end-others/").json() == {"ended": 0}


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("delete", "sessions/{0}/"),
        ("patch", "sessions/{0}/"),
        ("post", "sessions/end-others/"),
        ("post", "reauthenticate/"),
    ],
)
def test_whatever_changes_something_needs_the_csrf_token_by_cookie(method, path, phone, tablet, password):
    browser = browser_of(phone)
    browser.credentials()  # no header
    body = {"name": "x", "password": password}
    response = getattr(browser, method)(AUTH + path.format(tablet.session.pk), body)
    assert response.status_code == 403
    assert response.json()["code"] == "permission_denied"
    assert_live(tablet)


# Whose it is


@both_carriers
@pytest.mark.parametrize(("method", "body"), [("patch", {"name": "x"}), ("patch", {}), ("delete", None)])
def test_another_users_session_is_the_same_404_as_a_missing_one(method, body, client_for, phone, bob, bobs):
    ended = open_session(bob).session
    end_session(ended, EndReason.KICKED)
    client = client_for(phone)

    def answer(sid):
        response = getattr(client, method)(one(sid), body)
        return response.status_code, response.content, sorted(response.items()), response.cookies.output()

    missing = answer(uuid.uuid4())
    assert missing[0] == 404
    assert b'"code":"not_found"' in missing[1]
    assert answer(bobs.session.pk) == missing
    assert answer(ended.pk) == missing, "nor is it told that it has ended"
    assert_live(bobs)
    assert DeviceSession.objects.get(pk=bobs.session.pk).device_name == ""


@both_carriers
def test_to_end_a_session_once_more_changes_nothing(client_for, phone, tablet):
    client = client_for(phone)
    answers = [client.delete(one(tablet.session)) for _time in range(3)]
    assert {(answer.status_code, answer.content) for answer in answers} == {(204, b"")}
    row = DeviceSession.objects.get(pk=tablet.session.pk)
    assert (row.end_reason, row.ended_by) == ("ended_by_user", row.user)
    assert row.events.filter(kind="ended").count() == 1
    assert_live(phone)


@pytest.mark.parametrize("reason", ["kicked", "idle", "password_changed", "logout"])
def test_a_session_that_has_ended_otherwise_keeps_its_reason(reason, phone, tablet):
    end_session(tablet.session, reason)
    assert client_of(phone).delete(one(tablet.session)).status_code == 204
    assert DeviceSession.objects.get(pk=tablet.session.pk).end_reason == reason


def test_one_that_has_expired_is_over_too(phone, tablet):
    DeviceSession.objects.filter(pk=tablet.session.pk).update(expires_at=timezone.now())
    assert client_of(phone).delete(one(tablet.session)).status_code == 204


def test_what_has_ended_is_renamed_no_more(phone, tablet):
    end_session(tablet.session, EndReason.KICKED)
    assert client_of(phone).patch(one(tablet.session), {"name": "x"}).status_code == 404


@pytest.mark.parametrize("sid", ["x", "1", "../login", "00000000-0000-0000-0000-00000000000", "%00"])
def test_what_is_no_session_id_is_not_found(sid, phone):
    assert client_of(phone).delete(one(sid)).status_code == 404


def test_a_superuser_finds_no_more_here_than_anybody_else(admin, phone):
    staff_phone = open_session(admin)
    assert client_of(staff_phone).delete(one(phone.session)).status_code == 404
    assert listed(staff_phone) == {str(staff_phone.session.pk)}


# Proving again


def post_password(client, password):
    return client.post(f"{AUTH}reauthenticate/", {"password": password})


def an_hour_old(credentials):
    old = timezone.now() - timedelta(hours=1)
    DeviceSession.objects.filter(pk=credentials.session.pk).update(auth_time=old)


@both_carriers
def test_the_password_again_buys_a_session_that_continues_this_one(client_for, phone, password):
    an_hour_old(phone)
    response = post_password(client_for(phone), password)
    assert response.status_code == 200
    answer = response.json()
    by_cookie = client_for is browser_of
    assert set(answer) == TOKENS - ({"refresh_token"} if by_cookie else set())
    assert (answer["token_type"], answer["expires_in"]) == ("Bearer", 900)

    claims = verify_access_token(answer["access_token"])
    assert claims.sid == answer["session_id"] != str(phone.session.pk)
    assert timezone.now().timestamp() - claims.auth_time < 60
    session = DeviceSession.objects.live().get()
    assert str(session.pk) == claims.sid
    assert int(session.auth_time.timestamp()) == claims.auth_time
    assert (session.device_id, session.device_name) == (phone.session.device_id, "Ada's phone")
    event = SessionEvent.objects.get(kind=SessionEvent.Kind.REAUTHENTICATED)
    assert event.session_id == session.pk


@both_carriers
def test_every_copy_of_the_old_tokens_ends_with_it(client_for, phone, password, api):
    assert post_password(client_for(phone), password).status_code == 200
    assert reason(client_of(phone).get(f"{AUTH}session/")) == "superseded"
    assert reason(api.post(f"{AUTH}refresh/", {"refresh_token": phone.refresh_token})) == "superseded"


def reason(response):
    assert response.status_code == 401
    return response.json()["reason"]


def test_the_new_refresh_token_is_good(phone, password, api):
    answer = post_password(client_of(phone), password).json()
    renewed = api.post(f"{AUTH}refresh/", {"refresh_token": answer["refresh_token"]})
    assert (renewed.status_code, renewed.json()["session_id"]) == (200, answer["session_id"])


def test_a_bearer_is_given_no_cookie(phone, password):
    assert not post_password(client_of(phone), password).cookies


def test_a_browser_is_given_both_cookies_and_no_refresh_token_in_the_body(phone, password):
    browser = browser_of(phone)
    response = post_password(browser, password)
    cookie = response.cookies[ACCESS_COOKIE]
    assert cookie.value == response.json()["access_token"]
    assert (cookie["httponly"], cookie["secure"], cookie["max-age"]) == (True, True, 900)
    assert response.cookies[REFRESH_COOKIE].value != phone.refresh_token
    assert browser.get(f"{AUTH}session/").json()["id"] == response.json()["session_id"]


def test_a_browser_that_is_not_remembered_is_given_no_lasting_cookie(ada, password):
    session = open_session(ada, persistent=False)
    response = post_password(browser_of(session), password)
    assert {response.cookies[name]["max-age"] for name in (ACCESS_COOKIE, REFRESH_COOKIE)} == {""}


def test_a_browser_whose_session_was_renewed_in_the_same_request_gets_those_of_the_new_one(phone, password):
    an_hour_old(phone)
    long_ago = timezone.now() - timedelta(minutes=1)
    DeviceSession.objects.update(rotated_at=long_ago)
    browser = browser_of(phone)
    del browser.cookies[ACCESS_COOKIE]
    response = post_password(browser, password)
    assert response.status_code == 200
    claims = verify_access_token(response.cookies[ACCESS_COOKIE].value)
    assert claims.sid == response.json()["session_id"]
    assert timezone.now().timestamp() - claims.auth_time < 60
    assert browser.get(f"{AUTH}session/").json()["id"] == claims.sid
    del browser.cookies[ACCESS_COOKIE]
    assert browser.get(f"{AUTH}session/").json()["id"] == claims.sid


def test_the_old_id_ends_the_session_that_continues_it(tablet, phone, password):
    answer = post_password(client_of(phone), password).json()
    again = post_password(client_of_token(answer), password).json()
    assert client_of(tablet).delete(one(phone.session)).status_code == 204
    row = DeviceSession.objects.get(pk=again["session_id"])
    assert (row.end_reason, row.ended_by) == ("ended_by_user", row.user)
    assert client_of(tablet).delete(one(phone.session)).status_code == 204


def test_ending_ones_own_old_id_is_a_logout(phone, password):
    browser = browser_of(phone)
    post_password(browser, password)
    response = browser.delete(one(phone.session))
    assert (response.status_code, response.cookies[REFRESH_COOKIE].value) == (204, "")
    assert not DeviceSession.objects.live().exists()


def test_ending_the_others_spares_what_continues_the_asking_one(phone, tablet):
    """The step-up was made in another tab, after this request had been authenticated."""
    continued = []

    def step_up_meanwhile(execute, sql, params, many, context):
        if re.match(r"SELECT \S+ (AS \S+ )?FROM", sql) and "successor" in sql and not continued:
            continued.append(True)
            continued.append(continue_session(phone.session, NOBODY, methods=["pwd"], came_back=True))
        return execute(sql, params, many, context)

    with connection.execute_wrapper(step_up_meanwhile):
        response = client_of(phone).post(f"{AUTH}sessions/end-others/")
    assert response.json() == {"ended": 1}
    assert DeviceSession.objects.live().get() == continued[1].session


def test_an_old_token_logs_nobody_out(phone, password, api):
    """It is spent with its session; a thief who holds a copy could sign its owner out again and again."""
    assert post_password(client_of(phone), password).status_code == 200
    assert client_of(phone).post(f"{AUTH}logout/").status_code == 204
    assert api.post(f"{AUTH}logout/", {"refresh_token": phone.refresh_token}).status_code == 204
    assert DeviceSession.objects.live().count() == 1


def test_a_page_with_the_access_token_in_memory_gets_the_new_refresh_token_as_a_cookie(phone, password):
    """As an SPA does: its access token in a header, its refresh token in a cookie that no script can read."""
    page = browser_of(phone)
    page.credentials(HTTP_AUTHORIZATION=f"Bearer {phone.access_token}")
    answer = post_password(page, password)
    assert set(answer.json()) == TOKENS - {"refresh_token"}
    page.credentials()
    assert page.get(f"{AUTH}session/").json()["id"] == answer.json()["session_id"] != str(phone.session.pk)


def test_a_bearer_beside_the_cookies_of_another_session_leaves_them_alone(phone, tablet, password):
    page = browser_of(tablet)
    page.credentials(HTTP_AUTHORIZATION=f"Bearer {phone.access_token}")
    answer = post_password(page, password)
    assert set(answer.json()) == TOKENS
    assert not answer.cookies
    assert_live(tablet)


def test_no_limit_is_asked(ada, phone, password, settings):
    settings.AUTHX_SESSION_LIMITS = [{"types": ["ios"], "limit": 1, "when_full": "refuse"}]
    assert post_password(client_of(phone), password).status_code == 200


@both_carriers
def test_a_wrong_password_proves_nothing(client_for, phone):
    an_hour_old(phone)
    response = post_password(client_for(phone), "wrong")
    assert response.status_code == 401
    assert response.json() == {
        "detail": "Unable to log in with these credentials.",
        "code": "invalid_credentials",
    }
    assert not response.cookies
    assert DeviceSession.objects.get().auth_time < timezone.now() - timedelta(minutes=59)


@pytest.mark.parametrize(
    "body", [{}, {"password": None}, {"password": []}, {"password": ""}, {"password": "a\x00"}, [], None]
)
def test_a_body_without_a_password_is_a_400(body, phone):
    response = client_of(phone).post(f"{AUTH}reauthenticate/", body, format="json")
    assert response.status_code == 400


def test_nobody_proves_anything(api, ada, password):
    assert post_password(api, password).status_code == 401


def test_guessing_the_password_here_is_throttled_like_a_login(phone, password, settings):
    settings.AUTHX_LOGIN_RATE = "2/day"
    client = client_of(phone)
    answers = [post_password(client, given) for given in ("wrong", "wrong", password)]
    assert [answer.status_code for answer in answers] == [401, 401, 429]
    assert int(answers[-1]["Retry-After"]) > 0


class AlwaysBob(BaseBackend):
    """Lets everybody in as bob."""

    def authenticate(self, request, **credentials):
        model = get_user_model()
        return model._default_manager.get(email="bob@example.com")

    def get_user(self, pk):
        return get_user_model()._default_manager.filter(pk=pk).first()


def test_somebody_elses_password_proves_nothing(phone, bob, password, settings):
    settings.AUTHENTICATION_BACKENDS = ["tests.api.test_api_sessions.AlwaysBob"]
    response = post_password(client_of(phone), password)
    assert (response.status_code, response.json()["code"]) == (401, "invalid_credentials")


@pytest.mark.django_db(transaction=True)
def test_a_session_that_ends_while_the_password_is_checked_proves_nothing(phone, password, settings):
    ends = []

    def end_meanwhile(execute, sql, params, many, context):
        if "successor" in sql and sql.startswith("UPDATE") and not ends:
            ends.append(True)
            end_session(phone.session, EndReason.KICKED)
        return execute(sql, params, many, context)

    with connection.execute_wrapper(end_meanwhile):
        response = post_password(client_of(phone), password)
    assert ends
    assert response.status_code == 401
    assert (response.json()["code"], response.json()["reason"]) == ("session_ended", "kicked")


def test_a_test_client_that_forces_its_user_has_no_session_to_show(ada):
    client = APIClient()
    client.force_authenticate(ada)
    response = client.get(f"{AUTH}session/")
    assert response.status_code == 403
    assert response.json()["detail"] == "The request carries no device session."
