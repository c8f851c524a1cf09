"""Authlib's client, with requests and with httpx."""

from __future__ import annotations

import json

import pytest
from asgiref.sync import async_to_sync
from authlib.common.errors import AuthlibBaseError
from authlib.common.security import generate_token
from authlib.integrations.httpx_client import AsyncOAuth2Client
from authlib.integrations.requests_client import OAuth2Session
from authlib.oauth2.rfc7523 import PrivateKeyJWT
from authlib.oauth2.rfc8414 import AuthorizationServerMetadata
from cryptography.hazmat.primitives import serialization
from joserfc.jwk import ECKey

from authx.models import DeviceSession
from authx.sessions import end_session
from tests.oauth_clients.browser import parameters
from tests.oauth_clients.conftest import API, CALLBACK, KEY_ID

SCOPE = "orders:read"


@pytest.fixture
def connect(site, register):
    """Authlib's session of a client that is registered so."""

    def make(method=None, *, scope=SCOPE, **fields):
        client_id, secret = register(**fields)
        return OAuth2Session(
            client_id,
            secret,
            scope=scope,
            redirect_uri=CALLBACK,
            code_challenge_method="S256",
            token_endpoint=site.endpoint("token"),
            token_endpoint_auth_method=method,
            revocation_endpoint_auth_method=method,
        )

    return make


def signing(client, key):
    """Let it prove itself by its key."""
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    client.client_secret = ECKey.import_key(pem, {"kid": KEY_ID})
    client.register_client_auth_method(PrivateKeyJWT(client.metadata["token_endpoint"], alg="ES256"))
    return client


def sign_in(site, browser, client, **asked):
    verifier = generate_token(48)
    url, state = client.create_authorization_url(
        site.endpoint("authorization"), code_verifier=verifier, **asked
    )
    came_back = browser.allow(url)
    assert parameters(came_back)["iss"] == site.url
    return client.fetch_token(authorization_response=came_back, state=state, code_verifier=verifier)


def test_the_metadata_are_valid(site):
    text = json.dumps(site.metadata).replace('"http:', '"https:')  # it takes no other
    AuthorizationServerMetadata(json.loads(text)).validate()


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post", "none", "private_key_jwt"])
def test_a_code_and_two_refreshes(method, site, browser, connect, key, jwks):
    fields = {"private_key_jwt": {"auth_method": method, "jwks": jwks}, "none": {"auth_method": "none"}}
    client = connect(method, **fields.get(method, {}))
    if method == "private_key_jwt":
        signing(client, key)
    token = sign_in(site, browser, client)
    assert (token["token_type"], token["scope"]) == ("Bearer", SCOPE)
    claims = site.verified(token["access_token"])
    assert (claims["client_id"], claims["scope"]) == (client.client_id, SCOPE)
    spent = [token["refresh_token"]]
    for _ in range(2):
        refreshed = client.refresh_token()
        assert site.verified(refreshed["access_token"])["sid"] == claims["sid"]
        assert refreshed["refresh_token"] not in spent
        spent.append(refreshed["refresh_token"])


def test_it_refreshes_by_itself_when_a_token_has_expired(site, browser, connect):
    client = connect()
    first = dict(sign_in(site, browser, client))
    client.token = {**first, "expires_at": 1}
    answer = client.get(f"{site.url}/whoami/")
    assert answer.status_code == 200
    assert client.token["access_token"] != first["access_token"]


def test_consent_is_remembered(site, browser, connect):
    client = connect()
    sign_in(site, browser, client)
    verifier = generate_token(48)
    url, state = client.create_authorization_url(site.endpoint("authorization"), code_verifier=verifier)
    came_back = browser.open(url)  # and no page asks
    token = client.fetch_token(authorization_response=came_back, state=state, code_verifier=verifier)
    assert site.verified(token["access_token"])


def test_what_goes_wrong_is_told_as_its_own_error(site, browser, connect, expire):
    client, verifier = connect(), generate_token(48)
    url, state = client.create_authorization_url(site.endpoint("authorization"), code_verifier=verifier)
    refused = parameters(browser.deny(url))  # its session has no word for it
    assert (refused["error"], refused["state"], refused["iss"]) == ("access_denied", state, site.url)

    came_back = browser.allow(url)
    with pytest.raises(AuthlibBaseError, match="state"):
        client.fetch_token(authorization_response=came_back, state="another", code_verifier="v" * 43)
    with pytest.raises(AuthlibBaseError, match="invalid_grant"):
        client.fetch_token(authorization_response=came_back, state=state, code_verifier="v" * 43)
    expire()
    with pytest.raises(AuthlibBaseError, match="invalid_grant"):
        client.fetch_token(authorization_response=came_back, state=state, code_verifier=verifier)
    with pytest.raises(AuthlibBaseError, match="code_verifier is missing"):
        client.fetch_token(authorization_response=came_back, state=state)

    client.client_secret += "x"
    with pytest.raises(AuthlibBaseError, match="invalid_client"):
        client.fetch_token(authorization_response=came_back, state=state, code_verifier="v" * 43)


def test_without_pkce_it_is_told_what_to_turn_on(site, browser, connect):
    client = connect()
    client.code_challenge_method = None
    url, state = client.create_authorization_url(site.endpoint("authorization"))
    told = parameters(browser.open(url))
    assert (told["error"], told["state"]) == ("invalid_request", state)
    assert "turn PKCE on" in told["error_description"]


def test_another_redirect_uri_leads_nowhere(site, browser, connect):
    client = connect()
    url, _ = client.create_authorization_url(
        site.endpoint("authorization"), code_verifier="v" * 48, redirect_uri="https://app.example/elsewhere"
    )
    page = browser.open(url)
    assert (page.status, "redirect_uri" in page.text) == (400, True)


def test_a_kicked_app_is_told_that_its_session_has_ended(site, browser, connect):
    client = connect()
    token = sign_in(site, browser, client)
    sid = site.verified(token["access_token"])["sid"]
    end_session(DeviceSession.objects.get(pk=sid), "kicked")
    with pytest.raises(AuthlibBaseError, match="invalid_grant: the session has ended: kicked"):
        client.refresh_token()


def test_it_asks_about_its_token_and_gives_it_back(site, browser, connect):
    client = connect()
    token = sign_in(site, browser, client)
    introspection, revocation = site.endpoint("introspection"), site.endpoint("revocation")

    def told(kind="access_token"):
        return client.introspect_token(introspection, token=token[kind], token_type_hint=kind).json()

    assert (told()["active"], told()["scope"]) == (True, SCOPE)
    assert told("refresh_token")["active"]
    answer = client.revoke_token(revocation, token=token["refresh_token"], token_type_hint="refresh_token")
    assert answer.status_code == 200
    assert told() == told("refresh_token") == {"active": False}


def test_with_a_key_it_asks_about_its_token_and_gives_it_back(site, browser, connect, key, jwks):
    method = "private_key_jwt"
    client = signing(connect(method, auth_method=method, jwks=jwks), key)
    token = sign_in(site, browser, client)
    introspection, revocation = site.endpoint("introspection"), site.endpoint("revocation")
    assert client.introspect_token(introspection, token=token["access_token"]).json()["active"]
    assert client.revoke_token(revocation, token=token["access_token"]).status_code == 200
    assert client.introspect_token(introspection, token=token["access_token"]).json() == {"active": False}


def test_a_service_gets_its_own_token_and_exchanges_a_users(site, browser, connect, services):
    (client_id, secret), _ = services
    service = OAuth2Session(client_id, secret, token_endpoint=site.endpoint("token"))
    own = service.fetch_token(grant_type="client_credentials", audience="https://stock.example/")
    assert site.verified(own["access_token"], "https://stock.example/")["sub"] == f"client:{client_id}"
    assert "refresh_token" not in own

    of_ada = sign_in(site, browser, connect())
    exchanged = service.fetch_token(
        grant_type="urn:ietf:params:oauth:grant-type:token-exchange",
        subject_token=of_ada["access_token"],
        subject_token_type="urn:ietf:params:oauth:token-type:access_token",
        audience="https://stock.example/",
    )
    claims = site.verified(exchanged["access_token"], "https://stock.example/")
    assert claims["sub"] == site.verified(of_ada["access_token"])["sub"]
    assert claims["act"] == {"sub": f"client:{client_id}"}
    with pytest.raises(AuthlibBaseError, match="invalid_target"):
        service.fetch_token(grant_type="client_credentials", audience="https://nobody.example/")


def test_with_httpx_and_asyncio(site, browser, register):
    client_id, secret = register()
    verifier, endpoint = generate_token(48), site.endpoint("token")

    async def fetch(came_back, state):
        async with client:
            token = await client.fetch_token(
                endpoint, authorization_response=came_back, state=state, code_verifier=verifier
            )
            return token, await client.refresh_token(endpoint)

    client = AsyncOAuth2Client(
        client_id, secret, scope=SCOPE, redirect_uri=CALLBACK, code_challenge_method="S256"
    )
    url, state = client.create_authorization_url(
        site.endpoint("authorization"), code_verifier=verifier, resource=API
    )
    token, refreshed = async_to_sync(fetch)(browser.allow(url), state)
    assert site.verified(token["access_token"])["sid"] == site.verified(refreshed["access_token"])["sid"]
