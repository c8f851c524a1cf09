"""requests-oauthlib, and oauthlib's client in it."""

from __future__ import annotations

import pytest
import requests
from oauthlib.oauth2 import BackendApplicationClient, OAuth2Error
from oauthlib.oauth2.rfc6749.errors import (
    AccessDeniedError,
    CustomOAuth2Error,
    InvalidClientError,
    InvalidGrantError,
    MismatchingStateError,
)
from requests.auth import HTTPBasicAuth
from requests_oauthlib import OAuth2Session

from tests.oauth_clients.browser import parameters
from tests.oauth_clients.conftest import API, CALLBACK

SCOPE = ["orders:read", "orders:write"]


@pytest.fixture
def connect(register):
    def make(scope=SCOPE, **fields):
        client_id, secret = register(**fields)
        return OAuth2Session(client_id, scope=scope, redirect_uri=CALLBACK, pkce="S256"), secret

    return make


#: How each kind of client says who it is, in the words of the library.
WAYS = {
    "basic": ({}, lambda name, secret: {"client_secret": secret}),
    "auth": ({}, lambda name, secret: {"auth": HTTPBasicAuth(name, secret)}),
    "post": ({}, lambda name, secret: {"client_secret": secret, "include_client_id": True}),
    "public, by its default": ({"auth_method": "none"}, lambda name, secret: {}),
    "public, by its id": ({"auth_method": "none"}, lambda name, secret: {"include_client_id": True}),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_code_and_two_refreshes(way, site, browser, connect):
    fields, proof = WAYS[way]
    session, secret = connect(**fields)
    authorize, token_url = site.endpoint("authorization"), site.endpoint("token")
    url, state = session.authorization_url(authorize)
    came_back = browser.allow(url)
    assert (parameters(came_back)["state"], parameters(came_back)["iss"]) == (state, site.url)
    proof = proof(session.client_id, secret)
    token = session.fetch_token(token_url, authorization_response=came_back, **proof)
    assert token["scope"] == SCOPE
    claims = site.verified(token["access_token"])
    spent = [token["refresh_token"]]
    if "auth" not in proof:  # of refreshing it knows but these ways
        proof = {"client_id": session.client_id, **({"client_secret": secret} if secret else {})}
    for _ in range(2):
        token = session.refresh_token(token_url, **proof)
        assert site.verified(token["access_token"])["sid"] == claims["sid"]
        assert token["refresh_token"] not in spent
        spent.append(token["refresh_token"])


def test_it_refreshes_by_itself_when_a_token_has_expired(site, browser, connect):
    session, secret = connect()
    url, _ = session.authorization_url(site.endpoint("authorization"))
    token_url, kept = site.endpoint("token"), []
    first = session.fetch_token(token_url, authorization_response=browser.allow(url), client_secret=secret)
    again = OAuth2Session(
        session.client_id,
        token={**first, "expires_at": 1, "expires_in": -1},
        auto_refresh_url=token_url,
        auto_refresh_kwargs={"client_id": session.client_id, "client_secret": secret},
        token_updater=kept.append,
    )
    assert again.get(f"{site.url}/whoami/").status_code == 200
    assert site.verified(kept[0]["access_token"])["sid"] == site.verified(first["access_token"])["sid"]


def test_what_goes_wrong_is_told_as_its_own_error(site, browser, connect, expire):
    session, secret = connect()
    authorize, token_url = site.endpoint("authorization"), site.endpoint("token")
    url, _ = session.authorization_url(authorize)

    def fetch(came_back, **proof):
        return session.fetch_token(token_url, authorization_response=came_back, **proof)

    with pytest.raises(AccessDeniedError) as denied:
        fetch(browser.deny(url), client_secret=secret)
    assert denied.value.description == "the user has refused"

    came_back = browser.allow(url)
    with pytest.raises(MismatchingStateError):
        fetch(came_back.replace(parameters(came_back)["state"], "another"), client_secret=secret)
    with pytest.raises(InvalidClientError):
        fetch(came_back, client_secret="another")
    fetch(came_back, client_secret=secret)
    with pytest.raises(InvalidGrantError):  # it is spent
        fetch(came_back, client_secret=secret)
    url, _ = session.authorization_url(authorize)
    came_back = browser.open(url)
    expire()
    with pytest.raises(InvalidGrantError):
        fetch(came_back, client_secret=secret)


def test_a_scope_that_it_may_not_have(site, browser, connect):
    session, secret = connect(scope=["openid"])
    url, _ = session.authorization_url(site.endpoint("authorization"))
    came_back = browser.open(url)
    with pytest.raises(OAuth2Error, match="openid") as refused:
        session.fetch_token(site.endpoint("token"), authorization_response=came_back, client_secret=secret)
    assert refused.value.error == "invalid_scope"


@pytest.mark.parametrize("pkce", [None, "plain"])
def test_without_s256_it_is_told_what_to_turn_on(pkce, site, browser, register):
    client_id, _ = register()
    session = OAuth2Session(client_id, redirect_uri=CALLBACK, pkce=pkce)
    url, _ = session.authorization_url(site.endpoint("authorization"))
    with pytest.raises(OAuth2Error, match=r"invalid_request.*S256"):
        session.fetch_token(site.endpoint("token"), authorization_response=browser.open(url))


def test_it_gives_a_token_back(site, browser, connect):
    session, secret = connect()
    url, _ = session.authorization_url(site.endpoint("authorization"))
    token_url, came_back = site.endpoint("token"), browser.allow(url)
    token = session.fetch_token(token_url, authorization_response=came_back, client_secret=secret)
    kind = "refresh_token"
    revocation, headers, body = session._client.prepare_token_revocation_request(
        site.endpoint("revocation").replace("http:", "https:"), token[kind], kind
    )
    answer = requests.post(
        revocation.replace("https:", "http:"),
        data=body,
        headers=headers,
        auth=(session.client_id, secret),
        timeout=30,
    )
    assert answer.status_code == 200
    with pytest.raises(InvalidGrantError, match="has ended: logout"):
        session.refresh_token(token_url, client_id=session.client_id, client_secret=secret)


def test_a_service_gets_its_own_token(site, services):
    (client_id, secret), _ = services
    service = OAuth2Session(client=BackendApplicationClient(client_id, scope=["orders:read"]))
    for proof in ({"client_secret": secret}, {"client_secret": secret, "include_client_id": True}):
        token = service.fetch_token(site.endpoint("token"), audience="https://stock.example/", **proof)
        assert site.verified(token["access_token"], "https://stock.example/")["scope"] == "orders:read"
    with pytest.raises(CustomOAuth2Error, match="invalid_target"):
        service.fetch_token(site.endpoint("token"), audience=API, client_secret=secret)
