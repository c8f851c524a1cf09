"""Services not written with authx: the JWK Set and any JOSE library are enough."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from django.urls import reverse

from authx.sessions import open_session
from tests.gate.test_remote import issuer_site  # noqa: F401
from tests.wellknown.test_wellknown import pem

ISSUER = "authx"
KEYS = {
    "ES256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "RS256": lambda: rsa.generate_private_key(public_exponent=65537, key_size=2048),
    "PS256": lambda: rsa.generate_private_key(public_exponent=65537, key_size=2048),
    "EdDSA": ed25519.Ed25519PrivateKey.generate,
}


@pytest.fixture(params=["derived", *KEYS])
def opened(request, settings, ada):
    """A session whose tokens are signed with a key of each kind."""
    if request.param != "derived":
        settings.AUTHX_SIGNING_KEYS = [{"key": pem(KEYS[request.param]()), "alg": request.param}]
    return open_session(ada)


@pytest.fixture
def url(issuer_site):  # noqa: F811
    return issuer_site.url + reverse("authx-wellknown:jwks")


def forged(token):
    header, payload, signature = token.split(".")
    return f"{header}.{payload}.{signature[:-4]}AAAA"


def test_pyjwt_with_its_own_client(url, opened):
    client = jwt.PyJWKClient(url)
    for token, good in ((opened.access_token, True), (forged(opened.access_token), False)):
        key = client.get_signing_key_from_jwt(token)
        algorithms = [key.algorithm_name]
        if good:
            claims = jwt.decode(token, key, algorithms=algorithms, issuer=ISSUER, audience=ISSUER)
            assert claims["sid"] == opened.claims.sid
        else:
            with pytest.raises(jwt.InvalidSignatureError):
                jwt.decode(token, key, algorithms=algorithms, issuer=ISSUER, audience=ISSUER)


@pytest.mark.filterwarnings("ignore:EdDSA is deprecated")
def test_joserfc(url, opened):
    joserfc = pytest.importorskip("joserfc")
    from urllib.request import urlopen

    from joserfc import jwk
    from joserfc import jwt as joserfc_jwt

    with urlopen(url) as answer:
        keys = jwk.KeySet.import_key_set(json.load(answer))
    algorithms = ["ES256", "RS256", "PS256", "EdDSA", "Ed25519"]
    found = joserfc_jwt.decode(opened.access_token, keys, algorithms=algorithms)
    assert found.header["typ"] == "at+jwt"
    assert found.claims["sid"] == opened.claims.sid
    with pytest.raises(joserfc.errors.BadSignatureError):
        joserfc_jwt.decode(forged(opened.access_token), keys, algorithms=algorithms)


def test_jose_of_npm(url, opened):
    node, folder = shutil.which("node"), os.environ.get("AUTHX_TEST_JOSE")
    if node is None or folder is None:
        pytest.skip(
            "AUTHX_TEST_JOSE names no folder in which `npm install jose` was run, or there is no node"
        )
    script = Path(__file__).with_name("verify_with_jose.mjs")

    def verify(token):
        command = [node, str(script), folder, url, ISSUER, token]
        told = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
        return json.loads(told.stdout)

    assert verify(opened.access_token)["sid"] == opened.claims.sid
    assert verify(forged(opened.access_token)) == {"refused": "ERR_JWS_SIGNATURE_VERIFICATION_FAILED"}
