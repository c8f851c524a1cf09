"""A site that is an authorization server, its clients, and a browser in which ada is signed in."""

from datetime import UTC, datetime
from hashlib import sha256

import pytest
from django.test import Client

from authx.models import ServiceClient

API = "https://api.example/"
SCOPES = {"orders:read": "See your orders", "orders:write": "Change your orders", "mail": "Send you mail"}
SECRET = "s3cret-of-a-client-" + "x" * 24
VERIFIER = "v" * 43
CALLBACK = "https://app.example/callback"


@pytest.fixture(autouse=True)
def _authorization_server(settings):
    settings.ROOT_URLCONF = "tests.oauth_urls"
    settings.AUTHX_ISSUER = "https://id.example"
    settings.AUTHX_SCOPES = SCOPES
    settings.AUTHX_RESOURCES = {API: [*SCOPES], "https://mail.example/": ["mail"]}


@pytest.fixture
def make_client(db):
    """Make a client as it is registered, without asking whether it may be."""

    def make(client_id, **fields):
        columns = {
            "name": client_id.title(),
            "created_at": datetime.now(UTC),
            "secret_hash": sha256(SECRET.encode()).hexdigest(),
            "redirect_uris": [CALLBACK],
            "grant_types": ["authorization_code", "refresh_token"],
            "scope": "orders:read orders:write",
            "resources": [API],
        }
        return ServiceClient.objects.create(client_id=client_id, **columns | fields)

    return make


@pytest.fixture
def app(make_client):
    """A confidential client of somebody else's."""
    return make_client("reader")


@pytest.fixture
def native(make_client):
    """A public client on the user's own computer."""
    return make_client("native", auth_method="none", secret_hash="", redirect_uris=["http://127.0.0.1/done"])


@pytest.fixture
def signed_in(ada, password):
    """Ada's browser."""
    browser = Client()
    form = {"username": ada.get_username(), "password": password}
    assert browser.post("/account/login/", form).status_code == 302
    return browser
