"""authx.core.oauth_client and client_keys: what may be saved as a client."""

from dataclasses import replace
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from hypothesis import given
from hypothesis import strategies as st
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from authx.core.client_keys import find_jwk, jwks_problems
from authx.core.oauth_client import (
    AUTHORIZATION_CODE,
    CLIENT_CREDENTIALS,
    GRANT_TYPES,
    REFRESH_TOKEN,
    TOKEN_EXCHANGE,
    ClientFacts,
    check_registration,
    is_client_id,
)

APP = ClientFacts(
    client_id="app-1",
    name="An app",
    auth_method="none",
    redirect_uris=("https://app.example/callback", "http://127.0.0.1/done"),
    grant_types=(AUTHORIZATION_CODE, REFRESH_TOKEN),
    scope=("orders:read",),
    resources=("https://api.example",),
)
SERVICE = ClientFacts(
    client_id="service-1",
    name="A service",
    grant_types=GRANT_TYPES[2:],
    scope=("orders:read",),
    audience="orders",
    may_call=("service-2",),
)


def jwk(key, kid="k1", **more):
    kind = {ec.EllipticCurvePrivateKey: ECAlgorithm, ed25519.Ed25519PrivateKey: OKPAlgorithm}
    algorithm = next((kind[base] for base in kind if isinstance(key, base)), RSAAlgorithm)
    return algorithm.to_jwk(key.public_key(), as_dict=True) | {"kid": kid} | more


EC = jwk(ec.generate_private_key(ec.SECP256R1()))
ED = jwk(ed25519.Ed25519PrivateKey.generate(), "k2")
RSA_KEY = rsa.generate_private_key(65537, 2048)
RSA = jwk(RSA_KEY, "k3")


def problems(client, **changes):
    return check_registration(
        replace(client, **changes), site_audience=("https://site.example",), first_party="web"
    )


@pytest.mark.parametrize("value", ["a", "app-1", "!~", "x" * 64])
def test_visible_ascii_may_be_the_id_of_a_client(value):
    assert is_client_id(value)


@pytest.mark.parametrize("value", ["", "a b", " a", "a\n", "a\0", "é", "x" * 65, None, 7, ["a"]], ids=ascii)
def test_nothing_else_may(value):
    assert not is_client_id(value)


@pytest.mark.parametrize("client", [APP, SERVICE], ids=["app", "service"])
def test_a_usual_client_may_be_saved(client):
    assert problems(client) == []


def test_a_client_knows_what_it_is():
    assert APP.is_public
    assert not SERVICE.is_public
    assert not replace(SERVICE, auth_method="private_key_jwt").is_public
    assert SERVICE.subject == "client:service-1"
    assert SERVICE.may_use(TOKEN_EXCHANGE)
    assert not SERVICE.may_use(AUTHORIZATION_CODE)
    assert hash(replace(SERVICE, jwks={"keys": [EC]}))


WRONG = [
    (APP, {"client_id": ""}, "client_id"),
    (APP, {"client_id": "a" * 65}, "client_id"),
    (APP, {"client_id": "a b"}, "client_id"),
    (APP, {"client_id": "ä"}, "client_id"),
    (APP, {"client_id": "a\0"}, "client_id"),
    (APP, {"client_id": "web"}, "AUTHX_CLIENT_ID"),
    (APP, {"name": " "}, "name"),
    (APP, {"name": "a" * 101}, "name"),
    (APP, {"auth_method": "client_secret_basic"}, "auth_method"),
    (APP, {"redirect_uris": ()}, "redirect_uris"),
    (APP, {"redirect_uris": ("https://app.example/*",)}, "wildcard"),
    (APP, {"redirect_uris": ("http://localhost/",)}, "127.0.0.1"),
    (APP, {"redirect_uris": (*APP.redirect_uris, "javascript:alert(1)")}, "javascript"),
    (APP, {"grant_types": (*APP.grant_types, "password")}, "password"),
    (APP, {"grant_types": (*APP.grant_types, CLIENT_CREDENTIALS)}, "public"),
    (APP, {"grant_types": (*APP.grant_types, TOKEN_EXCHANGE)}, "public"),
    (APP, {"grant_types": (REFRESH_TOKEN,)}, "grant_types"),
    (APP, {"resources": ()}, "resources"),
    (APP, {"resources": ("api",)}, "resources"),
    (APP, {"resources": ("https://api.example/#x",)}, "resources"),
    (APP, {"resources": ("https://api.example", "https://site.example")}, "own audience"),
    (APP, {"scope": ("orders:read", "a b")}, "scope"),
    (APP, {"scope": ("",)}, "scope"),
    (APP, {"scope": ('a"',)}, "scope"),
    (SERVICE, {"audience": "a\n"}, "audience"),
    (SERVICE, {"may_call": ("service-1",)}, "itself"),
    (SERVICE, {"may_call": ("",)}, "may_call"),
    (SERVICE, {"idle_lifetime": timedelta(0)}, "idle_lifetime"),
    (SERVICE, {"session_lifetime": timedelta(days=-1)}, "session_lifetime"),
    (SERVICE, {"session_lifetime": timedelta.max}, "session_lifetime"),
    (SERVICE, {"idle_lifetime": timedelta(days=36_501)}, "idle_lifetime"),
    (SERVICE, {"idle_lifetime": 5, "session_lifetime": timedelta(days=1)}, "idle_lifetime"),
    (SERVICE, {"idle_lifetime": timedelta(days=2), "session_lifetime": timedelta(days=1)}, "idle_lifetime"),
    (SERVICE, {"auth_method": "private_key_jwt", "jwks": None}, "needed"),
    (SERVICE, {"jwks": {"keys": []}}, "jwks"),
]


@pytest.mark.parametrize(("client", "changes", "word"), WRONG, ids=lambda value: ascii(value)[:50])
def test_one_thing_is_wrong_and_the_problem_names_its_field(client, changes, word):
    (problem,) = problems(client, **changes)
    assert problem.partition(":")[0] in changes
    assert word in problem
    assert problem.isprintable()
    assert problem.endswith(".")


def test_every_problem_is_named_at_once():
    found = problems(APP, client_id="", name="", scope=("a b",), redirect_uris=("x",))
    assert [problem.partition(":")[0] for problem in found] == ["client_id", "name", "redirect_uris", "scope"]


def test_lifetimes_that_fit_are_fine():
    day = timedelta(days=1)
    assert problems(APP, idle_lifetime=day, session_lifetime=day) == []


# Keys


@pytest.mark.parametrize(
    "keys",
    [
        [EC],
        [EC, ED, RSA],
        [EC | {"alg": "ES256", "use": "sig"}],
        [RSA | {"alg": "PS256"}],
        [RSA | {"alg": "RS256", "key_ops": ["verify"]}],
    ],
)
def test_public_asymmetric_keys_may_be_registered(keys):
    assert problems(SERVICE, auth_method="private_key_jwt", jwks={"keys": keys}) == []


@pytest.mark.parametrize(
    ("jwks", "why"),
    [
        ({}, "JWK set"),
        (EC, "JWK set"),
        ([EC], "JWK set"),
        ("https://app.example/jwks", "JWK set"),
        ({"keys": EC}, "JWK set"),
        ({"keys": []}, "JWK set"),
        ({"keys": [EC | {"kid": str(number)} for number in range(21)]}, "JWK set"),
        ({"keys": [None]}, "kid"),
        ({"keys": ["x"]}, "kid"),
        ({"keys": [{key: value for key, value in EC.items() if key != "kid"}]}, "kid"),
        ({"keys": [EC | {"kid": 7}]}, "kid"),
        ({"keys": [EC | {"kid": ""}]}, "kid"),
        ({"keys": [EC | {"kid": "k" * 65}]}, "kid"),
        ({"keys": [EC, ED | {"kid": "k1"}]}, "kid of another"),
        ({"keys": [EC | {"d": "AAAA"}]}, "not public"),
        ({"keys": [RSA | {"p": "AAAA"}]}, "not public"),
        ({"keys": [{"kty": "oct", "k": "AAAA", "kid": "k1"}]}, "none of ES256"),
        ({"keys": [{"kty": "oct", "k": "AAAA", "kid": "k1", "alg": "HS256"}]}, "no algorithm"),
        ({"keys": [EC | {"alg": "none"}]}, "no algorithm"),
        ({"keys": [EC | {"alg": ["ES256"]}]}, "no algorithm"),
        ({"keys": [EC | {"alg": "RS256"}]}, "not what its JWK says"),
        ({"keys": [EC | {"use": "enc"}]}, "not for verifying"),
        ({"keys": [EC | {"key_ops": ["sign"]}]}, "not for verifying"),
        ({"keys": [EC | {"x": "AAAA"}]}, "not what its JWK says"),
        ({"keys": [jwk(ec.generate_private_key(ec.SECP384R1()))]}, "P-256"),
        ({"keys": [jwk(rsa.generate_private_key(65537, 1024))]}, "2048"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,  # the keys are others in each process
)
def test_no_other_keys_may(jwks, why):
    found = problems(SERVICE, auth_method="private_key_jwt", jwks=jwks)
    assert len(found) == 1
    assert found[0].startswith("jwks: ")
    assert why in found[0]


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=5)
    | st.sampled_from(["EC", "RSA", "P-256", "AQAB"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["kty", "crv", "x", "y", "n", "e", "kid", "alg", "use", "keys"]), inner
        )
    ),
    max_leaves=12,
)


@given(JSON, JSON)
def test_no_json_breaks_the_reading(value, other):
    assert all(isinstance(problem, str) for problem in jwks_problems(value))
    for key in (value, {**EC, "x": other}, {**EC, "crv": other}, {**RSA, "n": other}, {**EC, "kty": other}):
        assert all(isinstance(problem, str) for problem in jwks_problems({"keys": [key]}))


def test_a_key_is_found_by_its_kid_or_alone():
    assert find_jwk({"keys": [EC, ED]}, "k2") == ED
    assert find_jwk({"keys": [EC, ED]}, "k3") is None
    assert find_jwk({"keys": [EC, ED]}, None) is None
    assert find_jwk({"keys": [EC]}, None) == EC
    assert find_jwk({"keys": [EC]}, "k2") is None
    assert find_jwk({"keys": [EC, EC]}, "k1") is None
    assert find_jwk({}, None) is None
