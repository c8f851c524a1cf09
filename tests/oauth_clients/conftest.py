"""A site over HTTP that is an authorization server, and ada's browser."""

from __future__ import annotations

import json
from datetime import timedelta
from urllib.request import urlopen

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from django.db.models import F

from authx.issuer.clients import create_client
from authx.models import AuthorizationCode
from tests.oauth_clients.browser import Browser

API, MAIL = "https://api.example/", "https://mail.example/"
SCOPES = {"orders:read": "See your orders", "orders:write": "Change your orders", "mail": "Send you mail"}
CALLBACK = "https://app.example/callback"
KEY_ID = "of-the-client"


@pytest.fixture(autouse=True)
def _as_developers_do(monkeypatch):
    """What these clients want to be told before they speak http."""
    monkeypatch.setenv("AUTHLIB_INSECURE_TRANSPORT", "1")
    monkeypatch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")


class Site:
    """What a client knows of it: where it is, and what its metadata says."""

    def __init__(self, url):
        self.url = url

    @property
    def metadata(self):
        with urlopen(f"{self.url}/.well-known/oauth-authorization-server", timeout=30) as answer:
            return json.load(answer)

    def endpoint(self, name):
        return self.metadata[f"{name}_endpoint"]

    def verified(self, token, audience=API):
        """What a resource server reads in a token that it verifies by the metadata alone."""
        metadata = self.metadata
        key = jwt.PyJWKClient(metadata["jwks_uri"]).get_signing_key_from_jwt(token)
        algorithms = metadata["access_token_signing_alg_values_supported"]
        return jwt.decode(token, key, algorithms=algorithms, issuer=metadata["issuer"], audience=audience)


@pytest.fixture
def site(live_server, settings):
    settings.ROOT_URLCONF = "tests.oauth_urls"
    settings.AUTHX_ISSUER = live_server.url
    settings.AUTHX_SCOPES = SCOPES
    settings.AUTHX_REFRESH_GRACE = timedelta(microseconds=1)  # each refresh rotates
    settings.AUTHX_RESOURCES = {API: ["orders:read", "orders:write"], MAIL: ["mail"]}
    return Site(live_server.url)


@pytest.fixture
def expire():
    """Let every code that was issued be a minute old."""
    return lambda: AuthorizationCode.objects.update(expires_at=F("expires_at") - timedelta(minutes=1))


@pytest.fixture
def browser(site, ada, password):
    """The browser in which ada is signed in."""
    return Browser(site.url).sign_in(ada.get_username(), password)


@pytest.fixture
def register(site):
    """Register an app as a site does; return its id and its secret, None if it has none."""

    def make(name="Reader", **fields):
        fields = {"redirect_uris": [CALLBACK], "scope": SCOPES, "resources": [API], **fields}
        client, secret = create_client(name, **fields)
        return client.client_id, secret

    return make


@pytest.fixture
def key():
    """The private key of a client, and the set of public ones that it registers."""
    return ec.generate_private_key(ec.SECP256R1())


@pytest.fixture
def jwks(key):
    public = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(key.public_key()))
    return {"keys": [{**public, "kid": KEY_ID, "alg": "ES256", "use": "sig"}]}


@pytest.fixture
def services(site):
    """Two services, of which the first may call the second; the credentials of each."""
    target = create_client("Stock", audience="https://stock.example/", scope=["orders:read"])
    caller = create_client(
        "Orders",
        audience=API,
        scope=["orders:read", "orders:write"],
        may_call=["https://stock.example/"],
    )
    return tuple((client.client_id, secret) for client, secret in (caller, target))
