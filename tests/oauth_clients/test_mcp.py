"""The OAuth client of the Model Context Protocol's SDK, at a resource that trusts this site."""

from __future__ import annotations

import httpx2
import pytest
from asgiref.sync import async_to_sync
from cryptography.hazmat.primitives import serialization
from mcp.client.auth import OAuthClientProvider, OAuthFlowError, OAuthTokenError
from mcp.client.auth.extensions.client_credentials import (
    ClientCredentialsOAuthProvider,
    PrivateKeyJWTOAuthProvider,
    SignedJWTParameters,
)
from mcp.shared.auth import AuthorizationCodeResult, OAuthClientInformationFull, OAuthClientMetadata

from authx.models import DeviceSession
from authx.sessions import end_session
from tests.oauth_clients.browser import parameters
from tests.oauth_clients.conftest import CALLBACK, SCOPES
from tests.oauth_clients.resource import PATH, running


class Storage:
    """Where the SDK keeps what it knows: a client that is registered by hand, and its tokens."""

    def __init__(self, client_info=None):
        self.client_info, self.tokens = client_info, None

    async def get_tokens(self):
        return self.tokens

    async def set_tokens(self, tokens):
        self.tokens = tokens

    async def get_client_info(self):
        return self.client_info

    async def set_client_info(self, client_info):
        raise AssertionError("it has registered itself somewhere")


@pytest.fixture
def resource(site, settings):
    with running(site) as found:
        settings.AUTHX_RESOURCES = {found.url + PATH: [*SCOPES]}
        yield found


class App:
    """An app that calls the resource, and a person who allows it to."""

    def __init__(self, resource, browser, info):
        self.storage, self.browser, self.visit = Storage(info), browser, browser.allow
        self.asked = []
        self.provider = OAuthClientProvider(
            resource.url + PATH,
            OAuthClientMetadata(redirect_uris=[CALLBACK]),
            self.storage,
            redirect_handler=self.redirect,
            callback_handler=self.callback,
        )

    async def redirect(self, url):
        self.asked.append(url)

    async def callback(self):
        found = parameters(self.visit(self.asked[-1]))
        if "error" in found:
            raise PermissionError(found["error"], found["iss"])
        return AuthorizationCodeResult(code=found["code"], state=found["state"], iss=found["iss"])


def call(resource, auth, method="GET"):
    """What the resource answers."""

    async def send():
        async with httpx2.AsyncClient(auth=auth, timeout=30) as client:
            return await client.request(method, resource.url + PATH)

    return async_to_sync(send)()


@pytest.fixture
def make_app(register, resource, browser, site):
    def make(method="none", **fields):
        fields |= {"auth_method": "none"} if method == "none" else {}
        client_id, secret = register(resources=[resource.url + PATH], **fields)
        info = OAuthClientInformationFull(
            client_id=client_id,
            client_secret=secret,
            redirect_uris=[CALLBACK],
            token_endpoint_auth_method=method,
            issuer=site.url,
        )
        return App(resource, browser, info)

    return make


@pytest.mark.parametrize("method", ["none", "client_secret_basic", "client_secret_post"])
def test_it_finds_the_way_and_refreshes(method, make_app, resource):
    app = make_app(method)
    answer = call(resource, app.provider)
    assert answer.status_code == 200
    first, claims = app.storage.tokens, answer.json()
    assert (claims["scope"], claims["aud"]) == ("orders:read", resource.url + PATH)
    assert parameters(app.asked[0])["resource"] == resource.url + PATH

    spent = [first.refresh_token]
    for _ in range(2):
        app.provider.context.token_expiry_time = 1
        answer = call(resource, app.provider)
        assert (answer.status_code, answer.json()["sid"]) == (200, claims["sid"])
        assert app.storage.tokens.refresh_token not in spent
        spent.append(app.storage.tokens.refresh_token)
    assert len(app.asked) == 1


def test_a_kicked_one_asks_its_user_again(make_app, resource):
    app = make_app()
    old = call(resource, app.provider).json()["sid"]
    end_session(DeviceSession.objects.get(pk=old), "kicked")
    app.visit = app.browser.open  # the consent is remembered
    app.provider.context.token_expiry_time = 1
    assert call(resource, app.provider).json()["sid"] != old
    assert len(app.asked) == 2


def test_what_goes_wrong_is_told_as_its_own_error(make_app, resource, site):
    app = make_app()
    app.visit = app.browser.deny
    with pytest.raises(PermissionError) as refused:
        call(resource, app.provider)
    assert refused.value.args == ("access_denied", site.url)

    app.visit = lambda url: app.browser.allow(url).replace("iss=http", "iss=https")
    with pytest.raises(OAuthFlowError, match="iss"):
        call(resource, app.provider)

    app = make_app("client_secret_post")
    app.storage.client_info.client_secret = "another"
    with pytest.raises(OAuthTokenError, match=r"401.*invalid_client"):
        call(resource, app.provider)


@pytest.fixture
def own(site, settings):
    """An API of the site itself, which says of itself what RFC 6750 has, and nothing more."""
    settings.ROOT_URLCONF = "tests.oauth_clients.urls"
    settings.AUTHX_RESOURCES = {site.url + PATH: [*SCOPES]}
    return site


def test_at_the_sites_own_api_it_asks_its_user_for_a_scope_once_that_is_needed(
    own, register, browser, settings
):
    """By the specification of 2025-03-26, which has the issuer at the API's own origin."""
    client_id, _ = register(auth_method="none", resources=[own.url + PATH])
    info = OAuthClientInformationFull(client_id=client_id, redirect_uris=[CALLBACK], issuer=own.url)
    app = App(own, browser, info)
    settings.AUTHX_SCOPES = {"orders:read": SCOPES["orders:read"]}  # it asks for all that there are
    answer = call(own, app.provider)
    assert (answer.status_code, answer.json()["scope"], len(app.asked)) == (200, "orders:read", 1)
    settings.AUTHX_SCOPES = SCOPES
    answer = call(own, app.provider, "POST")
    assert (answer.status_code, answer.json()["scope"]) == (200, "orders:read orders:write")
    assert parameters(app.asked[1])["scope"] == "orders:read orders:write"


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post"])
def test_a_service_of_its_own(method, register, resource, site):
    client_id, secret = service(register, resource)
    provider = ClientCredentialsOAuthProvider(
        resource.url + PATH,
        Storage(),
        client_id,
        secret,
        token_endpoint_auth_method=method,
        issuer=site.url,
    )
    answer = call(resource, provider)
    assert (answer.status_code, answer.json()["sub"]) == (200, f"client:{client_id}")


def test_a_service_of_its_own_with_a_key(register, resource, site, key, jwks):
    client_id, _ = service(register, resource, auth_method="private_key_jwt", jwks=jwks)
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    signed = SignedJWTParameters(
        issuer=client_id, subject=client_id, signing_key=pem.decode(), signing_algorithm="ES256"
    )
    provider = PrivateKeyJWTOAuthProvider(
        resource.url + PATH, Storage(), client_id, signed.create_assertion_provider(), issuer=site.url
    )
    answer = call(resource, provider)
    assert (answer.status_code, answer.json()["sub"]) == (200, f"client:{client_id}")


def service(register, resource, **fields):
    return register(
        "Service",
        redirect_uris=[],
        grant_types=["client_credentials"],
        resources=[resource.url + PATH],
        **fields,
    )
