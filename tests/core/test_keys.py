"""authx.core.keys: which keys are taken, what they are called, and what is derived."""

import json
import os
import subprocess
import sys
from dataclasses import FrozenInstanceError
from itertools import combinations

import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa, x25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm
from jwt.utils import base64url_decode

from authx.core.derivation import derive_secret
from authx.core.keys import Key, KeySet
from authx.errors import KeyInvalid

SECRET = "correct horse battery staple"

# RFC 7638 §3.1
RSA_JWK = {
    "kty": "RSA",
    "n": "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_"
    "BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2"
    "QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6W"
    "eZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw",
    "e": "AQAB",
}
# RFC 8037 appendix A.1
ED25519_JWK = {
    "kty": "OKP",
    "crv": "Ed25519",
    "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
    "d": "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A",
}
# RFC 7515 appendix A.3.1
P256_JWK = {
    "kty": "EC",
    "crv": "P-256",
    "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
    "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
}


def pem(key, password=None):
    if not hasattr(key, "private_bytes"):
        return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    sealed = BestAvailableEncryption(password) if password else NoEncryption()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, sealed).decode()


@pytest.fixture(scope="module")
def rsa_key():
    return rsa.generate_private_key(65537, 2048)


@pytest.fixture(scope="module")
def private(rsa_key):
    """A private key of every type we take, by the algorithm it is usually for."""
    return {
        "RS256": rsa_key,
        "ES256": ec.generate_private_key(ec.SECP256R1()),
        "EdDSA": ed25519.Ed25519PrivateKey.generate(),
    }


@pytest.mark.parametrize("alg", ["RS256", "ES256", "EdDSA"])
def test_the_type_of_a_key_gives_its_algorithm(private, alg):
    key = Key.load(pem(private[alg]))
    assert (key.alg, key.can_sign) == (alg, True)
    assert Key.load(pem(private[alg]).encode(), alg=alg) == key


@pytest.mark.parametrize("alg", ["RS256", "PS256", "ES256", "EdDSA"])
def test_what_a_private_key_signs_its_public_half_verifies(private, alg):
    source = private.get(alg, private["RS256"])
    key, public = Key.load(pem(source), alg=alg), Key.load(pem(source.public_key()), alg=alg)
    signature = key.sign(b"message")
    assert (public.kid, public.alg, public.can_sign) == (key.kid, alg, False)
    for verifier in key, public:
        assert verifier.verify(b"message", signature) is True
        assert verifier.verify(b"massage", signature) is False
        for wrong in b"", signature[:-1], signature + b"\0", signature[::-1], bytes(len(signature)):
            assert verifier.verify(b"message", wrong) is False


def test_a_public_key_cannot_sign(private):
    with pytest.raises(KeyInvalid, match="no private half"):
        Key.load(pem(private["ES256"].public_key())).sign(b"message")


def test_a_pss_signature_is_no_pkcs1_signature(rsa_key):
    as_pss, as_pkcs1 = Key.load(pem(rsa_key), alg="PS256"), Key.load(pem(rsa_key), alg="RS256")
    assert not as_pkcs1.verify(b"message", as_pss.sign(b"message"))
    assert not as_pss.verify(b"message", as_pkcs1.sign(b"message"))


@pytest.mark.parametrize("password", ["pass", b"pass"])
def test_an_encrypted_key_is_read_with_its_password(private, password):
    key = Key.load(pem(private["ES256"], b"pass"), password=password)
    assert key.can_sign
    assert key == Key.load(pem(private["ES256"]))


@pytest.mark.parametrize("password", [None, "", "wrong", b"wrong"])
def test_an_encrypted_key_is_not_read_without_it(private, password):
    with pytest.raises(KeyInvalid, match="password"):
        Key.load(pem(private["ES256"], b"pass"), password=password)


def test_a_password_for_a_key_without_one_is_refused(private):
    with pytest.raises(KeyInvalid, match="password"):
        Key.load(pem(private["ES256"]), password="pass")


@pytest.mark.parametrize(
    ("type_", "alg"),
    [
        ("RS256", "ES256"), ("RS256", "EdDSA"), ("RS256", "RS384"), ("RS256", "HS256"),
        ("ES256", "RS256"), ("ES256", "PS256"), ("ES256", "ES384"), ("ES256", "none"),
        ("EdDSA", "ES256"), ("EdDSA", "RS256"), ("EdDSA", "eddsa"), ("EdDSA", ""),
    ],
)  # fmt: skip
def test_a_key_is_not_taken_for_an_algorithm_it_does_not_fit(private, type_, alg):
    for source in private[type_], private[type_].public_key():
        with pytest.raises(KeyInvalid, match="is for"):
            Key.load(pem(source), alg=alg)


@pytest.mark.parametrize(("exponent", "bits"), [(65537, 1024), (65537, 2047), (3, 2048)])
def test_a_weak_rsa_key_is_refused(exponent, bits):
    weak = rsa.generate_private_key(exponent, bits)
    for source in weak, weak.public_key():
        with pytest.raises(KeyInvalid, match="2048 bits"):
            Key.load(pem(source))


@pytest.mark.parametrize("curve", [ec.SECP384R1(), ec.SECP521R1(), ec.SECP256K1()])
def test_another_curve_is_refused(curve):
    source = ec.generate_private_key(curve)
    for half in source, source.public_key():
        with pytest.raises(KeyInvalid, match="not P-256"):
            Key.load(pem(half))


@pytest.mark.parametrize(
    "source",
    [
        ed448.Ed448PrivateKey.generate(),
        x25519.X25519PrivateKey.generate(),
        dsa.generate_private_key(2048),
    ],
    ids=lambda source: type(source).__name__,
)
def test_another_type_is_refused(source):
    for half in source, source.public_key():
        with pytest.raises(KeyInvalid, match="neither RSA nor"):
            Key.load(pem(half))


@pytest.mark.parametrize(
    "source",
    [
        "",
        b"",
        "canary",
        b"\xff\xfecanary",
        json.dumps(P256_JWK | {"d": "canary"}),
        "-----BEGIN PRIVATE KEY-----\ncanary\n-----END PRIVATE KEY-----",
        "-----BEGIN PUBLIC KEY-----\nY2FuYXJ5\n-----END PUBLIC KEY-----",
        "-----BEGIN CERTIFICATE-----\nY2FuYXJ5\n-----END CERTIFICATE-----",
        "ssh-ed25519 AAAAcanary",
    ],
)
def test_what_is_no_pem_key_is_refused_without_being_quoted(source):
    with pytest.raises(KeyInvalid, match="cannot be read") as refusal:
        Key.load(source)
    assert "canary" not in str(refusal.value)
    assert refusal.value.__suppress_context__


def test_a_key_cut_short_is_refused_without_being_quoted(private):
    whole = pem(private["ES256"])
    body = "".join(whole.splitlines()[1:-1])
    for cut in whole[:-40], whole.replace(body[20:24], "AAAA"), whole.replace(body[:60], ""):
        with pytest.raises(KeyInvalid) as refusal:
            Key.load(cut)
        assert not any(body[i : i + 12] in str(refusal.value) for i in range(len(body) - 12))


def test_a_key_is_frozen_and_its_repr_shows_no_private_half(private):
    for source in private.values():
        key = Key.load(pem(source))
        assert repr(key) == f"Key(kid={key.kid!r}, alg={key.alg!r})"
        assert not hasattr(key, "__dict__")
        with pytest.raises(FrozenInstanceError):
            key.alg = "none"


@pytest.mark.parametrize(
    ("source", "kid"),
    [
        # RFC 7638 §3.1, RFC 8037 appendix A.3
        (RSAAlgorithm.from_jwk(RSA_JWK), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"),
        (OKPAlgorithm.from_jwk(ED25519_JWK), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"),
    ],
)
def test_the_kid_is_the_thumbprint_of_the_standards_examples(source, kid):
    assert Key.load(pem(source)).kid == kid


def test_the_standards_signatures_are_reproduced():
    key = Key.load(pem(OKPAlgorithm.from_jwk(ED25519_JWK)))
    message = b"eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc"
    assert key.sign(message) == base64url_decode(
        "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"
    )


def test_the_standards_es256_signature_verifies():
    key = Key.load(pem(ECAlgorithm.from_jwk(P256_JWK)))
    message = (
        b"eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQog"
        b"Imh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
    )
    assert key.verify(
        message,
        base64url_decode(
            "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"
        ),
    )


@pytest.mark.parametrize(
    ("alg", "members"),
    [("RS256", {"n", "e"}), ("ES256", {"crv", "x", "y"}), ("EdDSA", {"crv", "x"})],
)
def test_a_published_key_has_public_members_only(private, alg, members):
    key = Key.load(pem(private[alg]))
    jwk = key.public_jwk()
    assert jwk.keys() == members | {"kty", "kid", "use", "alg"}
    assert (jwk["kid"], jwk["use"], jwk["alg"]) == (key.kid, "sig", alg)
    assert all(isinstance(value, str) for value in jwk.values())
    assert jwk == Key.load(pem(private[alg].public_key())).public_jwk()


def test_a_derived_key_is_pinned():
    """A release that derived it otherwise would refuse every token in use.

    Computed apart from authx, with HKDF written out over hmac (RFC 5869 §2).
    """
    assert Key.derive(SECRET).public_jwk() == {
        "kty": "EC",
        "crv": "P-256",
        "x": "PTxkkQ8rb6HEJjemdqG3xcOo_FooKDqGC2V2hlOr0xk",
        "y": "S_-11u5A4hPbrUke6xgWizQFyv-Htpo9F-HFmhBK1JM",
        "kid": "e_ETiONACtgMTcu9SflutVFSKpUdqX7xgKQWLNcW3RM",
        "use": "sig",
        "alg": "ES256",
    }


def test_a_derived_key_signs_and_is_the_same_for_text_and_bytes():
    key = Key.derive(SECRET.encode())
    assert key.can_sign
    assert Key.derive(SECRET).verify(b"message", key.sign(b"message"))


def test_another_process_derives_the_same_key():
    code = f"from authx.core.keys import Key; print(Key.derive({SECRET!r}).kid)"
    environment = {**os.environ, "PYTHONHASHSEED": "1"}
    found = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == Key.derive(SECRET).kid


def test_another_secret_derives_another_key():
    assert len({Key.derive(f"secret {n}").kid for n in range(50)}) == 50


@pytest.mark.parametrize("secret", ["", b""])
def test_nothing_is_derived_from_an_empty_secret(secret):
    with pytest.raises(KeyInvalid, match="empty"):
        Key.derive(secret)
    with pytest.raises(KeyInvalid, match="empty"):
        derive_secret(secret, "ticket")


def test_a_derived_secret_is_pinned():
    assert derive_secret(SECRET, "ticket").hex() == (
        "09212d69f8be12c7bda1a7663091296ca024e1ae4eeaf4f0565216dce713535b"
    )
    assert derive_secret(SECRET.encode(), "ticket") == derive_secret(SECRET, "ticket")


def test_every_purpose_and_every_secret_has_its_own():
    made = [derive_secret(s, p) for s in ("a", "b", "ab") for p in ("", "a", "b", "refresh-token")]
    assert all(one != other for one, other in combinations(made, 2))


@pytest.fixture
def keys():
    return [Key.derive(f"secret {n}") for n in range(3)]


def verifier(key):
    source = json.dumps(key.public_jwk())
    return Key.load(pem(ECAlgorithm.from_jwk(source)))


def test_the_first_key_signs_and_all_are_found(keys):
    found = KeySet(iter(keys))
    assert found.signing is keys[0]
    assert list(found) == keys
    assert [found.find(key.kid) for key in keys] == keys
    for stranger in "", "..", keys[0].kid + " ", keys[0].kid.lower(), Key.derive("other").kid:
        assert found.find(stranger) is None


def test_a_set_publishes_every_key_once(keys):
    published = KeySet(keys).jwks()
    assert published == {"keys": [key.public_jwk() for key in keys]}
    assert json.loads(json.dumps(published)) == published


def test_the_same_key_twice_is_kept_once(keys):
    found = KeySet([keys[0], keys[1], verifier(keys[0]), keys[0]])
    assert list(found) == keys[:2]
    assert found.signing.can_sign


def test_an_empty_set_is_refused():
    with pytest.raises(KeyInvalid, match="no key"):
        KeySet([])


def test_the_first_key_must_be_able_to_sign(keys):
    with pytest.raises(KeyInvalid, match="no private half"):
        KeySet([verifier(keys[0]), keys[1]])
    assert KeySet([keys[1], verifier(keys[0])]).signing is keys[1]


def test_one_key_is_not_for_two_algorithms(rsa_key):
    with pytest.raises(KeyInvalid, match="two algorithms"):
        KeySet(Key.load(pem(rsa_key), alg=alg) for alg in ("RS256", "PS256"))


def test_a_set_that_only_verifies_need_not_sign_and_may_be_empty(keys):
    found = KeySet([verifier(keys[0])], verify_only=True)
    assert found.find(keys[0].kid).kid == keys[0].kid
    empty = KeySet([], verify_only=True)
    assert empty.find(keys[0].kid) is None
    assert empty.jwks() == {"keys": []}
    with pytest.raises(KeyInvalid, match="no key"):
        _ = empty.signing
