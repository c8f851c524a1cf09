"""authx.core.client_assertion: who signs for a client, and what is refused (RFC 7523 §3).

Every forgery is signed by the client's key unless its signature is the point.
"""

import json
from datetime import UTC, datetime, timedelta

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from hypothesis import given
from hypothesis import strategies as st
from jwt.utils import base64url_encode

from authx.core.access_token import write_access_token
from authx.core.claims import AccessClaims
from authx.core.client_assertion import (
    ASSERTION_TYPE,
    AssertionClaims,
    read_client_assertion,
    unverified_issuer,
)
from authx.core.keys import Key, KeySet
from authx.errors import OAuthError

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
T = int(NOW.timestamp())
LEEWAY = timedelta(seconds=10)
ISSUER, ENDPOINT = "https://id.example", "https://id.example/oauth/token/"
PRIVATE = {
    "ES256": ec.generate_private_key(ec.SECP256R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate(),
    "RS256": rsa.generate_private_key(65537, 2048),
}
PRIVATE["PS256"] = PRIVATE["RS256"]
OTHER = ec.generate_private_key(ec.SECP256R1())


def jwk(alg, kid, key=None):
    algorithm = jwt.get_algorithm_by_name(alg)
    return algorithm.to_jwk((key or PRIVATE[alg]).public_key(), as_dict=True) | {"kid": kid}


JWKS = {
    "keys": [
        jwk("ES256", "k-es"),
        jwk("EdDSA", "k-ed"),
        jwk("RS256", "k-rs") | {"alg": "RS256"},
        jwk("PS256", "k-ps"),
    ]
}
ONE = {"keys": [jwk("ES256", "k-es")]}
CLAIMS = {"iss": "app-1", "sub": "app-1", "aud": ISSUER, "exp": T + 60, "iat": T, "jti": "j-1"}


def sign(claims=CLAIMS, key=None, alg="ES256", header=None, **changes):
    header = {"kid": "k-es"} if header is None else header
    claims = {name: value for name, value in {**claims, **changes}.items() if value is not ...}
    key = key or PRIVATE[alg]
    head = {"alg": alg, "typ": "JWT", **header}
    parts = [{name: value for name, value in part.items() if value is not ...} for part in (head, claims)]
    return sign_raw(*(json.dumps(part).encode() for part in parts), key, alg)


def sign_raw(header, payload, key=PRIVATE["ES256"], alg="ES256"):
    signed = base64url_encode(header) + b"." + base64url_encode(payload)
    signature = jwt.get_algorithm_by_name(alg).sign(signed, key)
    return (signed + b"." + base64url_encode(signature)).decode()


def read(assertion, jwks=JWKS, client_id="app-1"):
    return read_client_assertion(
        assertion, jwks, client_id=client_id, audiences=(ISSUER, ENDPOINT), now=NOW, leeway=LEEWAY
    )


def refused(*args, **facts):
    with pytest.raises(OAuthError) as refusal:
        read(*args, **facts)
    assert (refusal.value.error, refusal.value.rule) == ("invalid_client", "T8")
    return refusal.value.description


@pytest.mark.parametrize(
    ("alg", "kid"), [("ES256", "k-es"), ("EdDSA", "k-ed"), ("RS256", "k-rs"), ("PS256", "k-ps")]
)
def test_each_algorithm_is_read(alg, kid):
    claims = read(sign(alg=alg, header={"kid": kid}))
    assert claims == AssertionClaims("j-1", NOW + timedelta(seconds=60))


def test_what_a_library_signs_is_read():
    token = jwt.encode(CLAIMS, PRIVATE["RS256"], algorithm="RS256", headers={"kid": "k-rs"})
    assert read(token).jti == "j-1"


@pytest.mark.parametrize(
    "changes",
    [
        {"aud": ENDPOINT},
        {"exp": T + 3600},
        {"exp": T + 3610},
        {"exp": T - 9},
        {"exp": T + 60.5},
        {"iat": ...},
        {"iat": T + 10},
        {"iat": T - 7200},
        {"nbf": T},
        {"jti": "j"},
        {"jti": "j" * 128},
        {"anything": {"x": 1}},
    ],
    ids=str,
)
def test_what_else_is_good(changes):
    assert read(sign(**changes)).jti == changes.get("jti", "j-1")


@pytest.mark.parametrize("typ", [..., "JWT", "jwt", "client-authentication+jwt", "application/jwt"])
def test_the_type_is_its_own_or_left_out(typ):
    assert read(sign(header={"kid": "k-es", "typ": typ}))


def test_the_only_key_needs_no_name():
    assert read(sign(header={}), ONE)
    assert "several" in refused(sign(header={}), JWKS)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"iss": "app-2"}, "iss"),
        ({"sub": "app-2"}, "iss"),
        ({"iss": "app-2", "sub": "app-2"}, "iss"),
        ({"iss": ...}, "iss"),
        ({"sub": ...}, "iss"),
        ({"iss": ["app-1"]}, "iss"),
        ({"aud": ...}, "aud"),
        ({"aud": [ISSUER]}, "aud"),
        ({"aud": [ISSUER, "https://other.example"]}, "aud"),
        ({"aud": ""}, "aud"),
        ({"aud": ISSUER + "/"}, "aud"),
        ({"aud": "https://other.example"}, "aud"),
        ({"aud": 7}, "aud"),
        ({"aud": {}}, "aud"),
        ({"jti": ...}, "jti"),
        ({"jti": ""}, "jti"),
        ({"jti": "j" * 129}, "jti"),
        ({"jti": "a\0"}, "jti"),
        ({"jti": 7}, "jti"),
        ({"exp": ...}, "no exp"),
        ({"exp": T - 10}, "expired"),
        ({"exp": T - 3600}, "expired"),
        ({"exp": 0}, "expired"),
        ({"exp": T + 3611}, "hour"),
        ({"exp": 10**15}, "number"),
        ({"exp": -1}, "number"),
        ({"exp": True}, "number"),
        ({"exp": str(T + 60)}, "number"),
        ({"exp": None}, "number"),
        ({"exp": [T]}, "number"),
        ({"iat": T + 11}, "iat"),
        ({"iat": "x"}, "iat"),
        ({"iat": None}, "iat"),
        ({"nbf": T + 11}, "nbf"),
        ({"nbf": False}, "nbf"),
    ],
    ids=str,
)
def test_a_claim_that_is_wrong_is_refused(changes, why):
    assert why in refused(sign(**changes))


@pytest.mark.parametrize(
    ("header", "why"),
    [
        ({"kid": "k-no"}, "kid"),
        ({"kid": 7}, "kid"),
        ({"kid": None}, "kid"),
        ({"kid": "k" * 65}, "kid"),
        ({"kid": "k-ed"}, "JWK"),
        ({"kid": "k-rs"}, "another algorithm"),
        ({"kid": "k-es", "typ": "at+jwt"}, "typ"),
        ({"kid": "k-es", "typ": "dpop+jwt"}, "typ"),
        ({"kid": "k-es", "typ": 7}, "typ"),
        ({"kid": "k-es", "crit": ["exp"], "exp": T}, "crit"),
        ({"kid": "k-es", "b64": False}, "b64"),
        ({"kid": "k-es", "zip": "DEF"}, "zip"),
        ({"kid": "k-es", "jwk": jwk("ES256", "k-es", OTHER)}, "jwk"),
        ({"kid": "k-es", "jku": "https://evil.example/jwks"}, "jku"),
        ({"kid": "k-es", "x5c": ["AAAA"]}, "x5c"),
        ({"kid": "k-es", "x5u": "https://evil.example"}, "x5u"),
        ({"kid": "k-es", "alg": "none"}, "alg"),
        ({"kid": "k-es", "alg": "HS256"}, "alg"),
        ({"kid": "k-es", "alg": ["ES256"]}, "alg"),
        ({"kid": "k-es", "alg": ...}, "alg"),
    ],
    ids=lambda value: ascii(value)[:50],
)
def test_a_header_that_is_wrong_is_refused(header, why):
    assert why in refused(sign(header=header))


def test_another_key_is_refused_whatever_it_is_called():
    assert "signature" in refused(sign(key=OTHER))
    assert "signature" in refused(sign(key=OTHER, header={}), ONE)


def test_a_public_key_is_no_secret_to_sign_with():
    header = json.dumps({"alg": "HS256", "kid": "k-es"}).encode()
    signed = base64url_encode(header) + b"." + base64url_encode(json.dumps(CLAIMS).encode())
    secret = json.dumps(JWKS["keys"][0]).encode()
    signature = jwt.get_algorithm_by_name("HS256").sign(signed, secret)
    assert "alg" in refused((signed + b"." + base64url_encode(signature)).decode())


def test_an_rsa_key_that_is_registered_for_one_algorithm_is_for_no_other():
    assert "another algorithm" in refused(sign(alg="PS256", key=PRIVATE["RS256"], header={"kid": "k-rs"}))


@pytest.mark.parametrize("jwks", [None, {}, {"keys": []}, {"keys": None}, {"keys": [None, 7]}])
def test_without_keys_nobody_is_let_in(jwks):
    assert refused(sign(), jwks)


@pytest.mark.parametrize(
    "assertion",
    [
        "",
        "a",
        "a.b",
        "a.b.c.d",
        "..",
        "a.b.c",
        "é.b.c",
        "a" * 9000,
        sign() + "\n",
        sign() + "=",
        " " + sign(),
        sign()[:-1],
    ],
    ids=lambda text: ascii(text)[:20],
)
def test_what_is_no_token_is_refused(assertion):
    assert refused(assertion)


@pytest.mark.parametrize(
    ("header", "payload"),
    [
        (b'{"alg":"ES256","alg":"ES256","kid":"k-es"}', json.dumps(CLAIMS).encode()),
        (b'{"alg":"ES256","kid":"k-es"}', b'{"iss":"app-1",' + json.dumps(CLAIMS).encode()[1:]),
        (b'{"alg":"ES256","kid":"k-es"}', b"[]"),
        (b'{"alg":"ES256","kid":"k-es"}', b"\xff"),
        (b'{"alg":"ES256","kid":"k-es"}', json.dumps(CLAIMS).replace(str(T + 60), "NaN").encode()),
        (b'{"alg":"ES256","kid":"k-es"}', json.dumps(CLAIMS).replace(str(T + 60), "1e999").encode()),
        (b"[]", json.dumps(CLAIMS).encode()),
    ],
)
def test_json_with_two_readings_is_refused(header, payload):
    assert refused(sign_raw(header, payload))


def test_an_access_token_of_ours_is_no_assertion():
    key = Key.derive("a secret of the site, long and random")
    claims = AccessClaims(
        iss="app-1", sub="app-1", aud=(ISSUER,), exp=T + 60, iat=T, jti="j", client_id="app-1", sid="s"
    )  # fmt: skip
    assert "typ" in refused(write_access_token(claims, key), KeySet([key]).jwks())


def test_another_clients_assertion_is_refused():
    assert refused(sign(), client_id="app-2")


def test_a_description_repeats_nothing_of_the_assertion():
    assert "canary" not in refused(sign(iss="canary", aud="canary", jti="canary"))
    assert "canary" not in refused(sign(header={"kid": "canary"}))


def test_the_client_is_found_before_anything_is_checked():
    assert unverified_issuer(sign(key=OTHER)) == "app-1"
    assert unverified_issuer(sign(iss=...)) is None
    assert unverified_issuer(sign(iss=7)) is None
    assert unverified_issuer(sign(iss="")) is None
    assert unverified_issuer("a.b.c") is None
    assert unverified_issuer("") is None


@given(st.text(max_size=40), st.binary(max_size=40), st.binary(max_size=40))
def test_no_text_is_more_than_refused(text, header, payload):
    for assertion in (text, sign_raw(header, payload), sign_raw(b'{"alg":"ES256","kid":"k-es"}', payload)):
        assert refused(assertion)
        assert unverified_issuer(assertion) is None


def test_a_kid_that_is_there_is_text_even_where_there_is_one_key():
    assert "kid" in refused(sign(header={"kid": None}), ONE)
    assert read(sign(header={"kid": "k" * 64}), {"keys": [jwk("ES256", "k" * 64)]})
    assert "short" in refused(sign(header={"kid": "k" * 65}), {"keys": [jwk("ES256", "k" * 65)]})


def test_an_assertion_is_at_most_8_kib():
    longest = next(sign(x="a" * size) for size in range(5900, 6000) if len(sign(x="a" * size)) >= 8191)
    assert len(longest) <= 8192
    assert read(longest)
    assert "8 KiB" in refused(sign(x="a" * 6100))


def test_the_type_of_an_assertion_is_the_rfcs():
    assert ASSERTION_TYPE == "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
