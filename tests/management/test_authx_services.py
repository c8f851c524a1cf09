"""manage.py authx_services: every kind of client, and why an exchange would be refused."""

import json
from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from authx.core.keys import Key
from authx.core.oauth_client import TOKEN_EXCHANGE
from authx.errors import OAuthError
from authx.issuer import authenticate_client, create_client
from authx.models import DeviceSession, ServiceClient
from authx.sessions import open_session
from tests.clients import open_granted_session

API, OTHER = "https://api.example/", "https://other.example/"
CALLBACK = "https://app.example/done"

pytestmark = pytest.mark.django_db


def run(*words):
    out, err = StringIO(), StringIO()
    call_command("authx_services", *words, stdout=out, stderr=err)
    return out.getvalue() + err.getvalue()


def made():
    return ServiceClient.objects.get()


def test_without_options_a_service_has_no_audience_and_is_told_how_to_get_one():
    told = run("create", "orders")
    client = made()
    assert (client.audience, client.may_manage_sessions, client.grant_types) == ("", False, None)
    assert authenticate_client(client.client_id, secret=told.split('"')[3]) == client
    assert "--audience authx" in told


def test_a_service_that_introspects_and_ends_sessions_is_not_warned_of():
    told = run("create", "orders", "--audience", "authx", "--may-manage-sessions")
    assert (made().audience, made().may_manage_sessions) == ("authx", True)
    assert "--audience" not in told


def test_an_app_with_everything(settings):
    settings.AUTHX_SCOPES = {"orders:read": "See your orders"}
    settings.AUTHX_RESOURCES = {API: ["orders:read"]}
    run(
        *("create", "Reader", "--redirect-uri", CALLBACK, "--redirect-uri", "com.example.reader:/done"),
        *("--scope", "orders:read", "--scope", "a b", "--resource", API, "--resource", OTHER, "--public"),
        *("--trusted", "--origin", "https://app.example", "--idle-lifetime", "12:00:00"),
        *("--session-lifetime", "30 00:00:00", "--grant-type", "authorization_code"),
    )
    client = made()
    assert client.client_id.startswith("app-")
    assert (client.auth_method, client.secret_hash, client.trusted) == ("none", "", True)
    assert client.redirect_uris == [CALLBACK, "com.example.reader:/done"]
    assert (client.scope, client.resources) == ("orders:read a b", [API, OTHER])
    assert (client.origins, client.grant_types) == (["https://app.example"], ["authorization_code"])
    assert (client.idle_lifetime, client.session_lifetime) == (timedelta(hours=12), timedelta(days=30))
    told = run("show", client.client_id)
    for text in (
        CALLBACK,
        "com.example.reader:/done",
        "orders:read",
        API,
        "30 days",
        "not asked for consent",
    ):
        assert text in told
    assert "AUTHX_SCOPES does not describe a, b" in told
    assert f"AUTHX_RESOURCES does not name {OTHER}" in told
    assert "app, public" in run("list")


def test_an_app_is_not_told_of_settings_of_django():
    told = run("create", "Reader", "--redirect-uri", CALLBACK, "--resource", API)
    secret = told.partition("client_secret ")[2].split()[0]
    assert authenticate_client(made().client_id, secret=secret) == made()
    assert "AUTHX_SERVICE_CREDENTIALS" not in told


def test_a_service_with_keys(tmp_path):
    key = Key.derive(b"x" * 32)
    file = tmp_path / "keys.json"
    file.write_text(json.dumps({"keys": [key.public_jwk()]}))
    told = run("create", "orders", "--jwks", str(file))
    assert (made().auth_method, made().secret_hash) == ("private_key_jwt", "")
    assert made().client_id in told
    assert "SERVICE_CREDENTIALS" not in told
    assert key.kid in run("show", made().client_id)
    with pytest.raises(CommandError, match="has no secret"):
        run("renew", made().client_id)


@pytest.mark.parametrize("content", [None, "{", "[1"])
def test_keys_that_cannot_be_read(tmp_path, content):
    file = tmp_path / "keys.json"
    if content is not None:
        file.write_text(content)
    with pytest.raises(CommandError, match=r"--jwks: .*keys\.json cannot be read as JSON"):
        run("create", "orders", "--jwks", str(file))
    assert not ServiceClient.objects.exists()


@pytest.mark.parametrize("content", ["[]", "{}", '{"keys": []}', '{"keys": [{"kty": "oct"}]}', '"x"', "7"])
def test_keys_that_are_none(tmp_path, content):
    file = tmp_path / "keys.json"
    file.write_text(content)
    with pytest.raises(CommandError, match="jwks: "):
        run("create", "orders", "--jwks", str(file))


def test_each_problem_is_told_at_once():
    with pytest.raises(CommandError) as raised:
        run("create", "x", "--redirect-uri", "http://app.example/", "--may-call", "nobody", "--scope", 'a"')
    for name in ("redirect_uris: ", "resources: ", "may_call: ", "scope: "):
        assert name in str(raised.value)
    assert not ServiceClient.objects.exists()


@pytest.mark.parametrize("duration", ["x", "-1:00:00", "0"])
def test_a_lifetime_is_a_duration(duration):
    with pytest.raises(CommandError, match="is no duration"):
        run("create", "x", f"--idle-lifetime={duration}")


def test_a_service_is_found_by_its_audience_too():
    client, _ = create_client("orders", audience=API)
    assert client.client_id in run("show", API)
    for name in ("first", "second"):
        create_client(name, audience="authx")
    with pytest.raises(CommandError, match="that of several services"):
        run("show", "authx")
    for name in ("", "x" * 100, "a\0"):
        with pytest.raises(CommandError, match="no service"):
            run("show", name)


def test_disabling_ends_its_sessions_and_enabling_revives_none(ada):
    client, secret = create_client("Reader", redirect_uris=[CALLBACK], resources=[API])
    open_granted_session(client, open_session(ada).session, scope="", audience=[API], refreshable=True)
    assert "1 of its sessions ended." in run("disable", client.client_id)
    assert DeviceSession.objects.get(client_id=client.client_id).end_reason == "kicked"
    with pytest.raises(OAuthError):
        authenticate_client(client.client_id, secret=secret)
    assert "let in again" in run("enable", client.client_id)
    assert authenticate_client(client.client_id, secret=secret) == client
    assert DeviceSession.objects.get(client_id=client.client_id).ended_at is not None


# --- explain


@pytest.fixture
def orders():
    return create_client("orders", audience=OTHER)[0]


def test_an_exchange_that_is_allowed(orders):
    create_client("shop", audience=API, scope="stock:read", may_call=[OTHER])
    told = run("explain", API, OTHER)
    assert "is allowed" in told
    assert "stock:read" in told


def test_every_rule_that_refuses_an_exchange_is_told(orders):
    shop, _ = create_client("shop", grant_types=["client_credentials"])
    run("disable", OTHER)
    told = run("explain", shop.client_id, OTHER)
    for rule in (
        "E1  unauthorized_client: the client is not registered for the grant type token-exchange",
        "E5  invalid_request: the client has no audience",
        "E7  invalid_scope",
        "E6  invalid_target: this client may not call https://other.example/",
        "is disabled",
    ):
        assert rule in told


def test_a_service_may_be_called_by_its_audience_or_its_id(orders):
    by_audience, _ = create_client("shop", audience=API, may_call=[OTHER])
    by_id, _ = create_client("mail", may_call=[orders.client_id])
    assert by_audience.may_call == by_id.may_call == [orders.client_id]
    assert by_audience.grant_types == ["client_credentials", TOKEN_EXCHANGE]
    assert by_id.grant_types == ["client_credentials"]
