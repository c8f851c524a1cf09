"""authx.wellknown: our public keys, and where other services find them."""

import json
from itertools import count

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from django.db import connections
from django.test import Client
from django.test.utils import override_script_prefix

from authx.http.etag import entity_tag
from authx.sessions import open_session
from authx.wellknown.published import published

JWKS = "/.well-known/jwks.json"
METADATA = "/.well-known/oauth-authorization-server"

#: Every member of a JWK that is no secret (RFC 7517 §4, RFC 7518 §6, RFC 8037 §2).
PUBLIC = {"kty", "use", "alg", "kid", "crv", "x", "y", "n", "e"}


def pem(key):
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()


@pytest.fixture
def site():
    return Client()


@pytest.fixture(scope="module")
def three_keys():
    """An entry of AUTHX_SIGNING_KEYS of each kind."""
    return [
        pem(ec.generate_private_key(ec.SECP256R1())),
        pem(ed25519.Ed25519PrivateKey.generate()),
        pem(rsa.generate_private_key(public_exponent=65537, key_size=2048)),
    ]


def keys(site):
    response = site.get(JWKS)
    assert response.status_code == 200
    body = response.json()
    assert set(body) == {"keys"}
    return body["keys"]


# The keys


def test_the_derived_key_is_published(site):
    (key,) = keys(site)
    assert (key["kty"], key["crv"], key["alg"], key["use"]) == ("EC", "P-256", "ES256", "sig")


def test_only_public_members_are_published(site, three_keys, settings):
    settings.AUTHX_SIGNING_KEYS = three_keys
    published = keys(site)
    assert [key["kty"] for key in published] == ["EC", "OKP", "RSA"]
    for key in published:
        assert set(key) <= PUBLIC
        assert key["use"] == "sig"
        assert key["alg"]
    assert len({key["kid"] for key in published}) == 3


def test_a_retired_secret_still_verifies_and_is_still_published(site, settings):
    (before,) = keys(site)
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "a new secret, of about the same length as the one before"
    now, then = keys(site)
    assert then == before
    assert now["kid"] != then["kid"]


@pytest.mark.parametrize("index", [None, 0, 1, 2])
def test_what_is_published_verifies_our_tokens(index, site, three_keys, settings, ada):
    if index is not None:
        settings.AUTHX_SIGNING_KEYS = three_keys[index:] + three_keys[:index]
    token = open_session(ada).access_token
    header = jwt.get_unverified_header(token)
    key = next(key for key in keys(site) if key["kid"] == header["kid"])
    assert key["alg"] == header["alg"]
    claims = jwt.decode(token, jwt.PyJWK(key), algorithms=[key["alg"]], audience="authx", issuer="authx")
    assert claims["sub"] == str(ada.pk)


def test_every_client_library_can_read_the_set(site, three_keys, settings):
    settings.AUTHX_SIGNING_KEYS = three_keys
    found = jwt.PyJWKSet.from_json(site.get(JWKS).content.decode())
    assert len(found.keys) == 3


def test_the_keys_cost_no_statement_and_need_no_login(site, db, django_assert_num_queries):
    with django_assert_num_queries(0):
        keys(site)
        site.get(METADATA)


def test_the_keys_need_no_database_even_where_every_view_has_a_transaction(site, monkeypatch, settings):
    monkeypatch.setitem(connections.settings["default"], "ATOMIC_REQUESTS", True)
    settings.AUTHX_ISSUER = "https://id.example"
    # No `db` fixture: to open a transaction here is an error.
    assert site.get(JWKS).status_code == 200
    assert site.get(METADATA).status_code == 200


def test_the_keys_may_be_kept_for_a_while(site):
    response = site.get(JWKS)
    directives = {part.strip() for part in response["Cache-Control"].split(",")}
    assert directives == {"public", "max-age=300"}
    assert response["Content-Type"] == "application/jwk-set+json"
    assert not response.cookies
    assert "Cookie" not in response.get("Vary", "")


def test_who_has_the_keys_already_is_not_sent_them_again(site):
    etag = site.get(JWKS)["ETag"]
    again = site.get(JWKS, headers={"If-None-Match": etag})
    assert (again.status_code, again.content) == (304, b"")
    assert again["ETag"] == etag
    assert "max-age=300" in again["Cache-Control"]


def test_who_has_other_keys_is_sent_ours(site, three_keys, settings):
    etag = site.get(JWKS)["ETag"]
    settings.AUTHX_SIGNING_KEYS = three_keys
    response = site.get(JWKS, headers={"If-None-Match": etag})
    assert response.status_code == 200
    assert response["ETag"] != etag
    settings.AUTHX_SIGNING_KEYS = three_keys[1:]
    assert site.get(JWKS)["ETag"] not in {etag, response["ETag"]}


@pytest.mark.parametrize("path", [JWKS, METADATA])
def test_the_documents_are_only_read(path, site, settings):
    settings.AUTHX_ISSUER = "https://id.example"
    assert site.head(path).status_code == 200
    assert site.head(path).content == b""
    for method in ("post", "put", "delete", "patch"):
        assert getattr(site, method)(path).status_code == 405


@pytest.mark.parametrize("path", [JWKS, METADATA, "/.well-known/authx-ready"])
def test_who_writes_is_told_that_they_are_only_read(path, settings):
    settings.AUTHX_ISSUER = "https://id.example"
    assert Client(enforce_csrf_checks=True).post(path).status_code == 405


@pytest.mark.parametrize("path", [JWKS, METADATA])
def test_the_tag_is_of_what_is_said(path, site, settings):
    """An RSA key may be for either algorithm: the same kid, another document."""
    settings.AUTHX_ISSUER = "https://id.example"
    key = pem(rsa.generate_private_key(public_exponent=65537, key_size=2048))
    settings.AUTHX_SIGNING_KEYS = [{"key": key, "alg": "RS256"}]
    tag = site.get(path)["ETag"]
    assert site.get(path, headers={"If-None-Match": tag}).status_code == 304
    settings.AUTHX_SIGNING_KEYS = [{"key": key, "alg": "PS256"}]
    assert site.get(path, headers={"If-None-Match": tag}).status_code == 200


def test_tag_and_document_are_of_one_moment(rf):
    """A key made between the two would be kept under the tag of the set without it."""
    numbers = count()
    response = published()(lambda request: {"number": next(numbers)})(rf.get(JWKS))
    assert response["ETag"] == entity_tag(json.loads(response.content))


def test_a_bad_credential_is_no_obstacle(site, db):
    headers = {"Authorization": "Bearer garbage", "Cookie": "__Host-authx_access=garbage"}
    assert site.get(JWKS, headers=headers).status_code == 200


# The metadata


@pytest.mark.parametrize("issuer", ["authx", "id.example", "urn:example:issuer", "javascript:alert(1)"])
def test_an_issuer_that_is_no_url_has_no_metadata(issuer, site, settings):
    settings.AUTHX_ISSUER = issuer
    assert site.get(METADATA).status_code == 404


def test_the_metadata_say_what_is_really_served(site, settings):
    settings.AUTHX_ISSUER = "https://id.example"
    response = site.get(METADATA)
    assert response.status_code == 200
    assert response["Content-Type"] == "application/json"
    said = response.json()
    assert said["issuer"] == "https://id.example"  # byte for byte (RFC 8414 §3.3)
    assert said["jwks_uri"] == "https://id.example/.well-known/jwks.json"
    assert said["grant_types_supported"] == []
    assert "token_endpoint" not in said
    assert said["response_types_supported"] == []
    assert said["access_token_signing_alg_values_supported"] == ["ES256"]
    assert site.get(said["jwks_uri"].removeprefix("https://id.example")).status_code == 200


def test_the_metadata_name_each_algorithm_once(site, three_keys, settings):
    settings.AUTHX_ISSUER = "https://id.example"
    settings.AUTHX_SIGNING_KEYS = [*three_keys, pem(ec.generate_private_key(ec.SECP256R1()))]
    algorithms = site.get(METADATA).json()["access_token_signing_alg_values_supported"]
    assert sorted(algorithms) == algorithms
    assert set(algorithms) == {key["alg"] for key in keys(site)}
    assert len(set(algorithms)) == len(algorithms) == 3


@pytest.mark.parametrize("issuer", ["https://id.example/", "https://id.example", "https://id.example:8443"])
def test_the_keys_are_found_at_the_issuers_host(issuer, site, settings):
    settings.AUTHX_ISSUER = issuer
    said = site.get(METADATA).json()
    assert said["issuer"] == issuer
    assert said["jwks_uri"] == issuer.rstrip("/") + JWKS


def test_the_callers_host_is_never_repeated(site, settings):
    settings.AUTHX_ISSUER = "https://id.example"
    settings.ALLOWED_HOSTS = ["*"]
    settings.USE_X_FORWARDED_HOST = True
    headers = {"Host": "evil.example", "X-Forwarded-Host": "evil.example", "Forwarded": "host=evil.example"}
    for path in (METADATA, JWKS):
        assert b"evil" not in site.get(path, headers=headers).content


def test_the_metadata_may_be_kept_for_a_while(site, settings):
    settings.AUTHX_ISSUER = "https://id.example"
    assert "max-age=300" in site.get(METADATA)["Cache-Control"]


def test_the_site_can_be_mounted_under_a_prefix(site, settings):
    settings.AUTHX_ISSUER = "https://id.example"
    with override_script_prefix("/tenant/"):
        said = site.get(METADATA).json()
    assert said["jwks_uri"] == "https://id.example/tenant/.well-known/jwks.json"


def test_the_metadata_of_an_issuer_with_a_path_is_where_clients_look_for_it(site, settings):
    """RFC 8414 §3.1 and §3.3: an issuer must be the one that the address names."""
    settings.AUTHX_ISSUER = "https://id.example/one/tenant"
    found = site.get(f"{METADATA}/one/tenant")
    assert (found.status_code, found.json()["issuer"]) == (200, "https://id.example/one/tenant")
    assert site.get(f"{METADATA}/one/tenant", headers={"If-None-Match": found["ETag"]}).status_code == 304
    for path in ("", "/", "/one", "/other", "/one/tenant/x"):
        assert site.get(METADATA + path).status_code == 404
    with override_script_prefix("/one/tenant/"):
        assert site.get(METADATA).status_code == 200
    settings.AUTHX_ISSUER = "https://id.example/"
    assert site.get(METADATA).status_code == 200
    assert site.get(f"{METADATA}/one").status_code == 404


# The authorization server


def test_where_oauth_is_not_mounted_nothing_is_said_of_it(site, settings):
    settings.AUTHX_ISSUER = "https://id.example"
    told = site.get(METADATA).json()
    assert (told["response_types_supported"], told["grant_types_supported"]) == ([], [])
    assert "token_endpoint" not in told
    assert "authorization_endpoint" not in told


@pytest.mark.urls("tests.oauth_urls")
def test_the_metadata_of_the_authorization_server_is_complete(site, settings):
    settings.AUTHX_ISSUER = "https://id.example"
    settings.AUTHX_SCOPES = {"orders:read": "See your orders"}
    told = site.get(METADATA, HTTP_HOST="localhost").json()
    assert told["authorization_endpoint"] == "https://id.example/oauth/authorize/"
    assert told["token_endpoint"] == "https://id.example/oauth/token/"
    assert told["grant_types_supported"] == [
        "authorization_code",
        "refresh_token",
        "client_credentials",
        "urn:ietf:params:oauth:grant-type:token-exchange",
    ]
    assert told["response_types_supported"] == ["code"]
    assert told["code_challenge_methods_supported"] == ["S256"]
    assert told["authorization_response_iss_parameter_supported"] is True
    assert told["token_endpoint_auth_methods_supported"] == [
        "none",
        "client_secret_basic",
        "client_secret_post",
        "private_key_jwt",
    ]
    assert "ES256" in told["token_endpoint_auth_signing_alg_values_supported"]
    assert "HS256" not in told["token_endpoint_auth_signing_alg_values_supported"]
    assert told["scopes_supported"] == ["orders:read"]
    proofs = ["client_secret_basic", "client_secret_post", "private_key_jwt"]
    assert told["introspection_endpoint_auth_methods_supported"] == proofs
    assert told["revocation_endpoint_auth_methods_supported"] == ["none", *proofs]
    for name in ("introspection", "revocation"):  # RFC 8414 §2: with private_key_jwt it must be there
        assert "ES256" in told[f"{name}_endpoint_auth_signing_alg_values_supported"]
