"""allauth's OpenID Connect provider beside our authorization server: each serves clients of its own."""

import json
from base64 import b64encode
from hashlib import sha256
from urllib.parse import parse_qs, urlencode, urlsplit

import jwt
import pytest
from allauth.idp.oidc.models import Client as TheirClient
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from django.core.checks import run_checks
from django.test import Client
from jwt.utils import base64url_encode

from authx.issuer import create_client
from authx.models import DeviceSession
from authx.sessions import end_session

CALLBACK, API, VERIFIER = "https://app.example/callback", "https://api.example/", "v" * 43
PKCE = {
    "code_challenge": base64url_encode(sha256(VERIFIER.encode()).digest()).decode(),
    "code_challenge_method": "S256",
}
WELL_KNOWN = "/.well-known/"

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.urls("tests.second_factors.idp_urls")]


@pytest.fixture(autouse=True)
def _providers(settings):
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    encoding = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    settings.IDP_OIDC_PRIVATE_KEY = key.private_bytes(*encoding).decode()
    settings.AUTHX_ISSUER = "http://127.0.0.1"
    settings.AUTHX_SCOPES = {"orders:read": "See your orders"}
    settings.AUTHX_RESOURCES = {API: ["orders:read"]}


@pytest.fixture
def browser(ada, password):
    found = Client()
    form = {"username": ada.get_username(), "password": password}
    assert found.post("/account/login/", form).status_code == 302
    return found


class Provider:
    """One of the two, as a client that knows its metadata sees it."""

    def __init__(self, metadata, client_id, secret):
        self.metadata = Client().get(metadata).json()
        self.client_id = client_id
        self.basic = "Basic " + b64encode(f"{client_id}:{secret}".encode()).decode()

    def path(self, name):
        return urlsplit(self.metadata[name]).path

    def visit(self, browser, scope):
        asked = {"response_type": "code", "client_id": self.client_id, "scope": scope, "state": "s", **PKCE}
        query = urlencode({**asked, "redirect_uri": CALLBACK})
        return browser.get(f"{self.path('authorization_endpoint')}?{query}")

    def code(self, browser, scope):
        answer = self.visit(browser, scope)
        assert answer.status_code == 302, answer.content
        return parse_qs(urlsplit(answer["Location"]).query)["code"][0]

    def ask(self, **form):
        answer = Client().post(
            self.path("token_endpoint"),
            urlencode({**form, "code_verifier": VERIFIER, "redirect_uri": CALLBACK}),
            content_type="application/x-www-form-urlencoded",
            headers={"Authorization": self.basic},
        )
        return answer.status_code, answer.json()

    def verified(self, token, audience):
        keys = jwt.PyJWKSet.from_dict(json.loads(Client().get(self.path("jwks_uri")).content))
        key = keys[jwt.get_unverified_header(token)["kid"]]
        issuer = self.metadata["issuer"]
        return jwt.decode(token, key, algorithms=["ES256", "RS256"], issuer=issuer, audience=audience)


@pytest.fixture
def ours(db):
    client, secret = create_client(
        "Reader", redirect_uris=[CALLBACK], scope=["orders:read"], resources=[API], trusted=True
    )
    return Provider(f"{WELL_KNOWN}oauth-authorization-server", client.client_id, secret)


@pytest.fixture
def theirs(db):
    client = TheirClient(name="Signs in", redirect_uris=CALLBACK, scopes="openid", skip_consent=True)
    client.set_secret("their-secret")
    client.save()
    return Provider(f"/idp{WELL_KNOWN}openid-configuration", client.pk, "their-secret")


def test_both_serve_their_clients_from_one_login(browser, ours, theirs, ada):
    status, answer = ours.ask(grant_type="authorization_code", code=ours.code(browser, "orders:read"))
    assert (status, ours.verified(answer["access_token"], API)["sub"]) == (200, str(ada.pk))
    status, answer = theirs.ask(grant_type="authorization_code", code=theirs.code(browser, "openid"))
    assert (status, theirs.verified(answer["id_token"], theirs.client_id)["sub"]) == (200, str(ada.pk))


def test_neither_takes_the_others_code_or_client(browser, ours, theirs):
    their_code, our_code = theirs.code(browser, "openid"), ours.code(browser, "orders:read")
    for provider, code in ((ours, their_code), (theirs, our_code)):
        status, answer = provider.ask(grant_type="authorization_code", code=code)
        assert (status, answer["error"]) == (400, "invalid_grant")
    ours.basic, theirs.basic = theirs.basic, ours.basic
    for provider in (ours, theirs):
        status, answer = provider.ask(grant_type="authorization_code", code="x")
        assert (status, answer["error"]) == (401, "invalid_client")


def test_who_was_kicked_is_signed_in_for_neither(browser, ours, theirs):
    scopes = {ours: "orders:read", theirs: "openid"}
    assert all(provider.code(browser, scope) for provider, scope in scopes.items())
    end_session(DeviceSession.objects.get(), "kicked")
    for provider, scope in scopes.items():
        assert provider.visit(browser, scope)["Location"].startswith("/account/login/?")


def test_no_check_complains(settings):
    assert [problem for problem in run_checks() if problem.id.startswith(("authx.E", "urls."))] == []
