"""requests_oauth2client, which is strict about what it is sent."""

from __future__ import annotations

import json

import jwt
import pytest
from requests_oauth2client import (
    AuthorizationResponseError,
    BearerToken,
    ClientSecretBasic,
    ClientSecretPost,
    InvalidClient,
    InvalidGrant,
    InvalidTarget,
    MismatchingIssuer,
    MismatchingState,
    OAuth2AccessTokenAuth,
    OAuth2Client,
    OAuth2ClientCredentialsAuth,
    PrivateKeyJwt,
    PublicApp,
)

from authx.issuer.clients import disable_client
from authx.models import DeviceSession, ServiceClient
from authx.sessions import end_session
from tests.oauth_clients.conftest import API, CALLBACK, KEY_ID, MAIL

SCOPE = "orders:read"


@pytest.fixture
def discovered(site):
    """Its client, which has read the metadata."""

    def make(auth):
        return OAuth2Client.from_discovery_endpoint(
            url=f"{site.url}/.well-known/oauth-authorization-server",
            issuer=site.url,
            auth=auth,
            redirect_uri=CALLBACK,
            testing=True,  # http
        )

    return make


@pytest.fixture
def private(key):
    return {**json.loads(jwt.algorithms.ECAlgorithm.to_jwk(key)), "kid": KEY_ID}


@pytest.fixture(params=[ClientSecretBasic, ClientSecretPost, PublicApp, PrivateKeyJwt])
def client(request, register, discovered, private, jwks):
    """A client of each kind."""
    kind, fields = request.param, {}
    if kind is PublicApp:
        fields = {"auth_method": "none"}
    elif kind is PrivateKeyJwt:
        fields = {"auth_method": "private_key_jwt", "jwks": jwks}
    client_id, secret = register(resources=[API, MAIL], **fields)
    if kind is PublicApp:
        return discovered(PublicApp(client_id))
    return discovered(
        kind(client_id, private, alg="ES256") if kind is PrivateKeyJwt else kind(client_id, secret)
    )


@pytest.fixture
def app(register, discovered):
    return discovered(ClientSecretBasic(*register(resources=[API, MAIL])))


def sign_in(browser, client, **asked):
    request = client.authorization_request(**{"scope": SCOPE, **asked})
    return client.authorization_code(request.validate_callback(browser.allow(request.uri)))


def test_from_a_code_to_the_end(client, site, browser):
    token = sign_in(browser, client)
    assert isinstance(token, BearerToken)
    assert (token.scope, token.expires_in > 0) == (SCOPE, True)
    claims = site.verified(token.access_token)
    spent = [token.refresh_token]
    for _ in range(2):
        token = client.refresh_token(token)
        assert site.verified(token.access_token)["sid"] == claims["sid"]
        assert token.refresh_token not in spent
        spent.append(token.refresh_token)
    assert client.revoke_refresh_token(token) is True
    with pytest.raises(InvalidGrant, match="has ended: logout"):
        client.refresh_token(token)


def test_it_asks_about_its_token(app, browser):
    token = sign_in(browser, app)
    told = app.introspect_token(token.access_token, token_type_hint="access_token")
    assert (told["active"], told["scope"], told["client_id"]) == (True, SCOPE, app.client_id)
    assert app.revoke_access_token(token) is True
    assert app.introspect_token(token.access_token) == {"active": False}


def test_with_a_key_it_asks_about_its_token(register, discovered, private, jwks, browser):
    client_id, _ = register(auth_method="private_key_jwt", jwks=jwks)
    client = discovered(PrivateKeyJwt(client_id, private, alg="ES256"))
    token = sign_in(browser, client)
    assert client.introspect_token(token.access_token)["active"]


def test_it_asks_for_one_resource_of_two(app, site, browser):
    token = sign_in(browser, app, resource=API)
    assert site.verified(token.access_token)["aud"] in (API, [API])
    with pytest.raises(InvalidTarget):
        app.refresh_token(token, resource=MAIL)


def test_what_goes_wrong_is_told_as_its_own_error(app, browser, expire):
    request = app.authorization_request(scope=SCOPE)
    with pytest.raises(AuthorizationResponseError) as denied:
        request.validate_callback(browser.deny(request.uri))
    assert (denied.value.error, denied.value.description) == ("access_denied", "the user has refused")
    came_back = browser.allow(request.uri)
    with pytest.raises(MismatchingState):
        request.validate_callback(came_back.replace(request.state, "another"))
    with pytest.raises(MismatchingIssuer):
        request.validate_callback(came_back.replace("iss=http", "iss=https"))
    response = request.validate_callback(came_back)
    app.authorization_code(response)
    with pytest.raises(InvalidGrant):
        app.authorization_code(response)
    another = request.validate_callback(browser.open(request.uri))
    with pytest.raises(InvalidGrant):
        app.authorization_code(another.code, redirect_uri=MAIL, code_verifier=another.code_verifier)
    expire()
    with pytest.raises(InvalidGrant):
        app.authorization_code(another)
    wrong = app.authorization_request(scope="openid")
    with pytest.raises(AuthorizationResponseError) as refused:
        wrong.validate_callback(browser.open(wrong.uri))
    assert refused.value.error == "invalid_scope"
    assert "openid" in refused.value.description


def test_a_wrong_secret_and_a_disabled_client(app, browser, register, discovered):
    stranger = discovered(ClientSecretPost(register()[0], "another"))
    with pytest.raises(InvalidClient):
        stranger.refresh_token("nothing")
    token = sign_in(browser, app)
    disable_client(ServiceClient.objects.get(client_id=app.client_id))
    with pytest.raises(InvalidClient):
        app.refresh_token(token)


def test_it_signs_requests_and_renews_by_itself(app, site, browser):
    token = sign_in(browser, app)
    end_soon = BearerToken(
        access_token=token.access_token, refresh_token=token.refresh_token, expires_in=-1, scope=token.scope
    )
    auth = OAuth2AccessTokenAuth(client=app, token=end_soon)
    assert app.session.get(f"{site.url}/whoami/", auth=auth).status_code == 200
    assert auth.token.access_token != token.access_token
    end_session(DeviceSession.objects.get(pk=site.verified(token.access_token)["sid"]), "kicked")
    with pytest.raises(InvalidGrant, match="has ended: kicked"):
        app.refresh_token(auth.token)


def test_a_service_gets_its_own_token_and_exchanges_a_users(app, site, browser, services, discovered):
    service, stock = discovered(ClientSecretBasic(*services[0])), "https://stock.example/"
    own = service.client_credentials(audience=stock)
    assert (own.refresh_token, site.verified(own.access_token, stock)["sub"]) == (
        None,
        f"client:{service.client_id}",
    )
    auth = OAuth2ClientCredentialsAuth(service, audience=stock)
    assert service.session.get(f"{site.url}/whoami/", auth=auth).status_code == 200

    of_ada = sign_in(browser, app)
    exchanged = service.token_exchange(subject_token=of_ada, audience=stock)
    assert exchanged.issued_token_type == "urn:ietf:params:oauth:token-type:access_token"
    assert site.verified(exchanged.access_token, stock)["act"] == {"sub": f"client:{service.client_id}"}
    with pytest.raises(InvalidTarget):
        service.token_exchange(subject_token=of_ada, audience="https://nobody.example/")
    end_session(DeviceSession.objects.get(pk=site.verified(of_ada.access_token)["sid"]), "kicked")
    target = discovered(ClientSecretBasic(*services[1]))
    assert target.introspect_token(exchanged.access_token) == {"active": False}
