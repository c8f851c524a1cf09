"""introspect/, revoke/ and revocations/: what services may ask, and who is a service."""

import base64
import json
from datetime import timedelta
from io import StringIO
from urllib.parse import urlencode

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.db.backends.signals import connection_created
from django.test import Client
from rest_framework.parsers import JSONParser
from rest_framework.test import APIClient

from authx.api.views.services import MAX_BODY_BYTES
from authx.issuer.clients import disable_client, renew_secret
from authx.models import DeviceSession, ServiceClient, SessionEvent
from authx.sessions import end_session, open_session, refresh_session
from tests.clients import create_service, find_service
from tests.faults_in_database import outage

INTROSPECT, REVOKE, FEED = "/api/auth/introspect/", "/api/auth/revoke/", "/api/auth/revocations/"
FORM = "application/x-www-form-urlencoded"
INACTIVE = {"active": False}
DOORS = ("login", "refresh", "logout")


def basic(client_id, secret):
    return "Basic " + base64.b64encode(f"{client_id}:{secret}".encode()).decode()


@pytest.fixture
def credentials(db):
    service, secret = create_service("orders")
    return service.client_id, secret


@pytest.fixture
def service(credentials):
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=basic(*credentials))
    return client


def introspect(service, token, **more):
    return service.post(INTROSPECT, urlencode({"token": token, **more}), content_type=FORM)


# --- the protocol


@pytest.mark.parametrize("path", [INTROSPECT, REVOKE])
def test_a_parameter_that_is_there_twice_is_refused(service, opened, path):
    """RFC 6749 §3.2: MUST NOT be included more than once."""
    body = f"token={opened.access_token}&token=x"
    answer = service.post(path, body, content_type=FORM)
    assert (answer.status_code, answer.data["error"]) == (400, "invalid_request")
    assert opened.session.ended_reason() is None


def test_so_is_a_client_id_that_is_there_twice(credentials, opened):
    name, secret = credentials
    body = f"token=x&client_id={name}&client_id={name}&client_secret={secret}"
    answer = APIClient().post(INTROSPECT, body, content_type=FORM)
    assert (answer.status_code, answer.data["error"]) == (400, "invalid_request")


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ("{", "application/json"),
        ("[" * 5000, "application/json"),
        ("&".join(f"a{number}=1" for number in range(1001)), FORM),
        ("token=" + "x" * 3_000_000, FORM),
        ('{"token": "' + "x" * 3_000_000 + '"}', "application/json"),
    ],
)
def test_a_body_that_is_malformed_is_an_invalid_request(service, body, kind):
    answer = service.post(INTROSPECT, body, content_type=kind)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")


@pytest.mark.parametrize("path", [INTROSPECT, REVOKE, *(f"/api/auth/{door}/" for door in DOORS)])
@pytest.mark.parametrize("charset", ["punycode", "idna", "utf-16", "zlib", "undefined"])
def test_what_makes_no_sense_in_its_charset_is_refused(db, path, charset):
    form = f"{FORM}; charset={charset}", b"token=%ff%fe"
    part = b'--x\r\nContent-Disposition: form-data; name="token"\r\n\r\n\xff\xfe\r\n--x--\r\n'
    for kind, body in (form, (f"multipart/form-data; boundary=x; charset={charset}", part)):
        answer = Client().generic("POST", path, body, content_type=kind)
        assert answer.status_code in ({400, 401} if kind.startswith(FORM) else {400, 401, 415})


def test_the_body_of_nobody_we_know_is_not_read(db, monkeypatch):
    monkeypatch.setattr(JSONParser, "parse", None)
    client = APIClient()
    assert client.post(INTROSPECT, {"token": "x" * MAX_BODY_BYTES}, format="json").status_code == 401
    client.credentials(HTTP_AUTHORIZATION=basic("nobody", "secret"))
    assert client.post(INTROSPECT, {"token": "x"}, format="json").status_code == 401


def test_what_is_no_error_of_oauth_is_not_called_one(service):
    answer = service.get(INTROSPECT)
    assert (answer.status_code, "error" in answer.data) == (405, False)


@pytest.mark.parametrize("path", [INTROSPECT, REVOKE])
@pytest.mark.parametrize("member", ["client_id", "client_secret"])
@pytest.mark.parametrize("odd", [r"\ud800", r"\u0000", r"\u202e", "é"])
def test_odd_characters_in_credentials_are_nobodys(db, path, member, odd):
    given = {"client_id": "a", "client_secret": "b", "token": "x", member: "ODD"}
    body = json.dumps(given).replace("ODD", odd)
    answer = APIClient().post(path, body, content_type="application/json")
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")


@pytest.mark.parametrize("accept", ["text/html", "application/xml;q=0.9", "nonsense"])
def test_whatever_a_service_accepts_its_token_is_revoked(service, opened, accept):
    answer = service.post(REVOKE, {"token": opened.access_token}, headers={"Accept": accept})
    assert answer.status_code == 200
    opened.session.refresh_from_db()
    assert opened.session.end_reason == "logout"
    answer = service.post(INTROSPECT, {"token": opened.access_token}, headers={"Accept": accept})
    assert answer.json() == INACTIVE


def test_any_tag_will_do_where_any_is_asked_for(service):
    assert service.get(FEED, headers={"If-None-Match": "*"}).status_code == 304


# --- who is a service


@pytest.mark.parametrize("path", [INTROSPECT, REVOKE, FEED])
@pytest.mark.parametrize(
    "header",
    [
        None,
        "Basic",
        "Basic ",
        "Basic !!!",
        "Basic " + base64.b64encode(b"no colon").decode(),
        "Basic " + base64.b64encode(b"\xff\xfe:\xff").decode(),
        "Basic " + base64.b64encode(b"nobody:secret").decode(),
        "Basic " + base64.b64encode(b"a\x00b:secret").decode(),
        "Basic " + base64.b64encode(b"a" * 2000 + b":x").decode(),
        "Basic " + base64.b64encode(b":").decode(),
        "Bearer abc",
        "Digest username=x",
    ],
)
def test_nobody_else_is_answered(db, path, header):
    client = APIClient()
    if header is not None:
        client.credentials(HTTP_AUTHORIZATION=header)
    answer = client.get(path) if path == FEED else client.post(path, {"token": "x"})
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")
    assert answer.json()["code"] == "invalid_client"
    assert answer["WWW-Authenticate"].startswith("Basic ")
    assert "no-store" in answer["Cache-Control"]


def test_a_wrong_secret_is_refused(credentials):
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=basic(credentials[0], "wrong"))
    assert introspect(client, "x").status_code == 401


def test_credentials_may_come_in_the_body(credentials):
    client_id, secret = credentials
    body = {"token": "x", "client_id": client_id, "client_secret": secret}
    assert APIClient().post(INTROSPECT, urlencode(body), content_type=FORM).json() == INACTIVE
    assert APIClient().post(INTROSPECT, body, format="json").json() == INACTIVE
    assert APIClient().post(INTROSPECT, {**body, "client_secret": "no"}).status_code == 401
    assert APIClient().post(INTROSPECT, {**body, "client_secret": 7}, format="json").status_code == 401


def test_two_ways_at_once_are_one_too_many(service, credentials):
    client_id, secret = credentials
    answer = introspect(service, "x", client_id=client_id, client_secret=secret)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")


def test_a_form_encoded_id_is_read(credentials):
    """RFC 6749 §2.3.1: both parts are form-encoded before they are joined."""
    client = APIClient()
    client_id, secret = credentials
    client.credentials(HTTP_AUTHORIZATION=basic(client_id.replace("-", "%2D"), secret))
    assert introspect(client, "x").json() == INACTIVE


def test_a_disabled_service_is_refused_at_once(service, credentials):
    assert introspect(service, "x").status_code == 200
    disable_client(ServiceClient.objects.get())
    assert introspect(service, "x").status_code == 401


def test_a_renewed_secret_replaces_the_one_before(credentials):
    client_id, secret = credentials
    newer = renew_secret(ServiceClient.objects.get())
    assert find_service(client_id, secret) is None
    assert find_service(client_id, newer) is not None


def test_only_a_hash_is_kept(credentials):
    _, secret = credentials
    kept = ServiceClient.objects.values().get()
    assert secret not in str(kept)
    assert len(kept["secret_hash"]) == 64


# --- introspection (RFC 7662)


def test_an_active_token_says_what_it_says(service, opened):
    told = introspect(service, opened.access_token).json()
    assert told["active"] is True
    assert (told["sub"], told["sid"]) == (opened.claims.sub, opened.claims.sid)
    assert (told["exp"], told["iat"], told["nbf"], told["jti"]) == (
        opened.claims.exp,
        opened.claims.iat,
        opened.claims.iat,
        opened.claims.jti,
    )
    assert (told["iss"], told["aud"], told["client_id"]) == ("authx", "authx", "first-party")
    assert told["token_type"] == "Bearer"


def test_introspecting_confirms_nothing(service, opened):
    introspect(service, opened.access_token)
    assert DeviceSession.objects.get().confirmed_generation == 0


@pytest.mark.parametrize("token", ["x", "a.b.c", "é", "\x00", "x" * 10_000, "null"])
def test_any_other_token_is_inactive_and_nothing_else(service, opened, token):
    answer = introspect(service, token)
    assert (answer.status_code, answer.json()) == (200, INACTIVE)


def test_a_token_of_an_ended_session_is_inactive(service, opened):
    end_session(opened.session, "kicked")
    for token in (opened.access_token, opened.refresh_token):
        assert introspect(service, token).json() == INACTIVE


def test_a_token_of_a_disabled_user_is_inactive(service, opened, ada):
    type(ada).objects.filter(pk=ada.pk).update(is_active=False)
    for token in (opened.access_token, opened.refresh_token):
        assert introspect(service, token).json() == INACTIVE


def test_the_newest_refresh_token_is_active_and_a_spent_one_is_not(
    service, opened, settings, transactional_db
):
    told = introspect(service, opened.refresh_token, token_type_hint="refresh_token").json()
    assert (told["active"], told["token_type"], told["sid"]) == (True, "refresh_token", opened.claims.sid)
    settings.AUTHX_REFRESH_GRACE = timedelta(microseconds=1)
    newer = refresh_session(opened.refresh_token)
    assert introspect(service, opened.refresh_token).json() == INACTIVE
    assert introspect(service, newer.refresh_token).json()["active"] is True


@pytest.mark.parametrize("body", [{}, {"token": ""}, {"token": 7}, {"token": ["x"]}, [], "x", 7, None])
@pytest.mark.parametrize("path", [INTROSPECT, REVOKE])
def test_no_token_is_a_bad_request(service, path, body):
    answer = service.post(path, body, format="json")
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")


def test_a_form_by_its_usual_name_is_read(service, opened):
    from urllib.parse import urlencode

    answer = service.post(INTROSPECT, urlencode({"token": opened.access_token}), content_type=FORM)
    assert answer.json()["active"] is True


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("path", [INTROSPECT, REVOKE, FEED])
def test_a_database_that_is_down_is_503_and_never_inactive(service, opened, path):
    with outage():
        answer = service.get(path) if path == FEED else service.post(path, {"token": opened.access_token})
    assert answer.status_code == 503
    assert answer["Retry-After"]


def test_no_csrf_token_is_asked_of_a_service(credentials, opened):
    client = Client(enforce_csrf_checks=True, headers={"Authorization": basic(*credentials)})
    answer = client.post(INTROSPECT, urlencode({"token": opened.access_token}), content_type=FORM)
    assert answer.json()["active"] is True


# --- revocation (RFC 7009)


@pytest.mark.parametrize("which", ["access_token", "refresh_token"])
def test_revoking_ends_the_session(service, opened, which):
    answer = service.post(REVOKE, {"token": getattr(opened, which)})
    assert (answer.status_code, answer.content) == (200, b"{}")
    assert answer["Content-Type"] == "application/json"
    assert DeviceSession.objects.get().end_reason == "logout"
    event = SessionEvent.objects.get(kind="ended")
    assert event.note == "revoked by orders"


def test_a_spent_refresh_token_revokes_too(service, opened, settings, transactional_db):
    settings.AUTHX_REFRESH_GRACE = timedelta(microseconds=1)
    refresh_session(opened.refresh_token)
    service.post(REVOKE, {"token": opened.refresh_token})
    assert DeviceSession.objects.get().end_reason == "logout"


@pytest.mark.parametrize("token", ["x", "a.b.c", "\x00"])
def test_an_unknown_token_is_200(service, opened, token):
    assert service.post(REVOKE, {"token": token}).status_code == 200
    assert DeviceSession.objects.get().ended_at is None


def test_revoking_twice_is_once(service, opened):
    for _ in range(2):
        assert service.post(REVOKE, {"token": opened.refresh_token}).status_code == 200
    assert SessionEvent.objects.filter(kind="ended").count() == 1


# --- a database that takes no writes, as a standby does


@pytest.fixture
def read_only(transactional_db):
    """From now on."""
    on, off = {
        "postgresql": ("SET default_transaction_read_only = on", "SET default_transaction_read_only = off"),
        "mysql": ("SET SESSION TRANSACTION READ ONLY", "SET SESSION TRANSACTION READ WRITE"),
        "sqlite": ("PRAGMA query_only = ON", "PRAGMA query_only = OFF"),
    }[connection.vendor]

    def say(statement):
        with connection.cursor() as cursor:
            cursor.execute(statement)

    def say_on(**kwargs):
        say(on)

    def begin():
        say_on()
        connection_created.connect(say_on)

    yield begin
    connection_created.disconnect(say_on)
    say(off)


def test_where_nothing_can_be_written_nothing_is_revoked_and_503_says_so(
    transactional_db, read_only, service, opened, ada, password
):
    read_only()
    login = {"username": ada.get_username(), "password": password}
    for path, body in (
        (REVOKE, {"token": opened.access_token}),
        (REVOKE, {"token": opened.refresh_token}),
        ("/api/auth/login/", login),
        ("/api/auth/logout/", {"refresh_token": opened.refresh_token}),
    ):
        client = service if path == REVOKE else APIClient()
        answer = client.post(path, body, format="json")
        assert (answer.status_code, answer.has_header("Retry-After")) == (503, True), path
    for command in (["authx_end", "--all"], ["authx_keys", "rotate"], ["authx_services", "create", "x"]):
        with pytest.raises(CommandError, match="The database cannot be asked"):
            call_command(*command)
    assert service.post(INTROSPECT, {"token": opened.access_token}).json()["active"] is True


# --- the feed


def test_the_feed_tells_what_has_ended(service, opened, ada):
    other = open_session(ada)
    end_session(opened.session, "kicked")
    body = service.get(FEED).json()
    assert body["endings"] == [[str(opened.session.pk), "kicked"]]
    assert (body["whole"], body["more"], body["keep"] > 3600) == (True, False, True)
    end_session(other.session, "logout")
    newer = service.get(FEED, {"since": body["cursor"]}).json()
    assert newer["endings"] == [[str(other.session.pk), "logout"]]
    assert newer["whole"] is False
    assert service.get(FEED, {"since": newer["cursor"]}).json()["endings"] == []


@pytest.mark.parametrize("cursor", ["x", "a.b", "\x00", "é", "e30.AAAA", "x" * 5000])
def test_a_cursor_that_is_not_ours_begins_at_the_beginning(service, opened, cursor):
    end_session(opened.session, "kicked")
    body = service.get(FEED, {"since": cursor}).json()
    assert (len(body["endings"]), body["whole"]) == (1, True)


def test_the_feed_comes_in_pages(service, ada, monkeypatch):
    monkeypatch.setattr("authx.issuer.revocation_feed.PAGE_SIZE", 2)
    sids = {str(open_session(ada).session.pk) for _ in range(5)}
    for session in DeviceSession.objects.all():
        end_session(session, "kicked")
    told, cursor, pages = set(), "", 0
    while True:
        body = service.get(FEED, {"since": cursor}).json()
        told |= {sid for sid, _ in body["endings"]}
        cursor, pages = body["cursor"], pages + 1
        if not body["more"]:
            break
    assert (told, pages) == (sids, 3)


def test_an_etag_never_hides_that_there_is_more(service, ada, monkeypatch):
    monkeypatch.setattr("authx.issuer.revocation_feed.PAGE_SIZE", 2)
    sessions = [open_session(ada).session for _ in range(4)]
    end_session(sessions[0], "kicked"), end_session(sessions[1], "kicked")
    first = service.get(FEED)
    for session in sessions[2:]:
        end_session(session, "kicked")
        answer = service.get(FEED, HTTP_IF_NONE_MATCH=first["ETag"])
        assert (answer.status_code, answer.json()["more"], answer.has_header("ETag")) == (200, True, False)


def test_an_etag_says_that_nothing_has_ended_since(service, opened):
    first = service.get(FEED)
    again = service.get(FEED, HTTP_IF_NONE_MATCH=f'W/{first["ETag"]}, "other"')
    assert (again.status_code, again.content, again["ETag"]) == (304, b"", first["ETag"])
    end_session(opened.session, "kicked")
    changed = service.get(FEED, HTTP_IF_NONE_MATCH=first["ETag"])
    assert changed.status_code == 200
    assert changed["ETag"] != first["ETag"]


# --- the command


def run(*words):
    out = StringIO()
    call_command("authx_services", *words, stdout=out)
    return out.getvalue()


def test_the_command_makes_credentials_that_work(db):
    told = run("create", "orders")
    (service,) = ServiceClient.objects.all()
    secret = told.split('"')[3]
    assert find_service(service.client_id, secret) == service
    assert f"{service.client_id}  orders  active" in run("list")
    disable_client(service)
    renewed = run("renew", service.client_id)
    assert "orders was disabled, and is let in again." in renewed
    newer = renewed.split('"')[3]
    assert find_service(service.client_id, secret) is None
    assert find_service(service.client_id, newer) == service
    run("disable", service.client_id)
    assert "disabled" in run("list")
    assert find_service(service.client_id, newer) is None


def test_the_command_says_what_is_wrong(db):
    with pytest.raises(CommandError, match="no service 'nobody'"):
        run("disable", "nobody")
    with pytest.raises(CommandError, match="name"):
        run("create", " ")
