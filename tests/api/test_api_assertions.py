"""introspect/ and revoke/: a client proves itself by an assertion, addressed as real clients do."""

import time

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from rest_framework.test import APIClient

from authx.issuer import create_client
from tests.issuer.test_client_authentication import jwk_of, signed

ISSUER = "https://id.example"
INTROSPECT, REVOKE = "/api/auth/introspect/", "/api/auth/revoke/"
ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.oauth_urls")]


@pytest.fixture(autouse=True)
def _issuer(settings):
    settings.AUTHX_ISSUER = ISSUER


@pytest.fixture
def private():
    return ec.generate_private_key(ec.SECP256R1())


@pytest.fixture
def client(private):
    return create_client("signer", auth_method="private_key_jwt", jwks={"keys": [jwk_of(private)]})[0]


def status(path, private, client, audience, **headers):
    """What is answered to a question with an assertion for ``audience``."""
    assertion = signed(private, client, aud=audience, exp=int(time.time()) + 60, jti=f"{path} {audience}")
    form = {"token": "x", "client_assertion": assertion, "client_assertion_type": ASSERTION}
    return APIClient().post(path, form, headers=headers).status_code


@pytest.mark.parametrize("path", [INTROSPECT, REVOKE])
def test_it_is_for_the_issuer_the_token_endpoint_or_the_endpoint_itself(path, private, client):
    for audience in (ISSUER, f"{ISSUER}/oauth/token/", ISSUER + path):
        assert status(path, private, client, audience) == 200
        assert status(path, private, client, audience) == 401, "it is used up"


@pytest.mark.parametrize(
    "audience", [ISSUER + REVOKE, INTROSPECT, "http://testserver" + INTROSPECT, [ISSUER + INTROSPECT]]
)
def test_and_for_no_other_address(audience, private, client):
    assert status(INTROSPECT, private, client, audience) == 401


def test_nor_for_the_host_that_the_client_names(private, client, settings):
    settings.ALLOWED_HOSTS = ["*"]
    audience = f"https://evil.example{INTROSPECT}"
    assert status(INTROSPECT, private, client, audience, host="evil.example") == 401
