"""The signatures that the standards publish: our keys make and verify every one that they may.

``test_keys`` has the thumbprints (RFC 7638 §3.1, RFC 8037 A.3), and the signatures of RFC 7515 A.3 and
RFC 8037 A.4.
"""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from authx.core.access_token import read_signed
from authx.core.keys import Key, KeySet
from authx.errors import KeyInvalid, KeyUnknown, TokenMalformed
from tests.forging import unb64


def pem_of(key) -> bytes:
    if hasattr(key, "private_bytes"):
        return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def number(text: str) -> int:
    return int.from_bytes(unb64(text))


# RFC 7515 appendix A.2.1: the two primes, of which everything else follows.
P = number(
    "4BzEEOtIpmVdVEZNCqS7baC4crd0pqnRH_5IB3jw3bcxGn6QLvnEtfdUdiYrqBdss1l58BQ3KhooKeQTa9AB0Hw_Py5PJdTJNPY8cQn7"
    "o"
    "uZ2KKDcmnPGBY5t7yLc1QlQ5xHdwW1VhvKn-nXqhJTBgIPgtldC-KDV5z-y2XDwGUc"
)
Q = number(
    "uQPEfgmVtjL0Uyyx88GZFF1fOunH3-7cepKmtH4pxhtCoHqpWmT8YAmZxaewHgHAjLYsp1ZSe7zFYHj7C6ul7TjeLQeZD_YwD66t62wD"
    "m"
    "pe_HlB-TnBA-njbglfIsRLtXlnDzQkv5dTltRJ11BKBBypeeF6689rjcJIDEz9RWdc"
)
A2_MODULUS = (
    "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SF"
    "d2lZS"
    "-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBE"
    "Ma2R2"
    "CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PA"
    "cDTW9"
    "gb54h4FRWyuXpoQ"
)
A2_TOKEN = (
    "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb29"
    "0Ijp0"
    "cnVlfQ.cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGb"
    "ds9uJ"
    "dbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN93"
    "83LcO"
    "Ln6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlV"
    "mtVrB"
    "p0igcN_IoypGlUPQGe77Rw"
)

# RFC 7520: the key of §3.3, the payload of all of §4, and what §4.1 and §4.2 make of them.
BILBO = {
    "kty": "RSA",
    "n": "n4EPtAOCc9AlkeQHPzHStgAbgs7bTZLwUBZdR8_KuKPEHLd4rHVTeT-O-XV2jRojdNhxJWTDvNd7nqQ0VEiZQHz_AJmSCpMaJMR"
    "BSFKr"
    "Kb2wqVwGU_NsYOYL-QtiWN2lbzcEe6XC0dApr5ydQLrHqkHHig3RBordaZ6Aj-oBHqFEHYpPe7Tpe-OfVfHd1E6cS6M1FZcD1NNLYD5l"
    "FHpP"
    "I9bTwJlsde3uhGqC0ZCuEHg8lhzwOHrtIQbS0FVbb9k3-tVTU4fg_3L_vniUFAKwuCLqKnS2BYwdq_mzSnbLY7h_qixoR7jig3__kRhu"
    "axwU"
    "kRz5iaiQkqgc5gHdrNP5zw",
    "e": "AQAB",
}
PAYLOAD = (
    "SXTigJlzIGEgZGFuZ2Vyb3VzIGJ1c2luZXNzLCBGcm9kbywgZ29pbmcgb3V0IHlvdXIgZG9vci4gWW91IHN0ZXAgb250byB0aGUgcm9h"
    "ZCwgY"
    "W5kIGlmIHlvdSBkb24ndCBrZWVwIHlvdXIgZmVldCwgdGhlcmXigJlzIG5vIGtub3dpbmcgd2hlcmUgeW91IG1pZ2h0IGJlIHN3ZXB0I"
    "G9mZi"
    "B0by4"
)
RS256_OF_7520 = (
    f"eyJhbGciOiJSUzI1NiIsImtpZCI6ImJpbGJvLmJhZ2dpbnNAaG9iYml0b24uZXhhbXBsZSJ9.{PAYLOAD}."
    "MRjdkly7_-oTPTS3AXP41iQIGKa80A0ZmTuV5MEaHoxnW2e5CZ5NlKtainoFmKZopdHM1O2U4mwzJdQx996ivp83xuglII7PNDi84wnB"
    "-BDkoBwA78185hX-Es4JIwmDLJK3lfWRa-"
    "XtL0RnltuYv746iYTh_qHRD68BNt1uSNCrUCTJDt5aAE6x8wW1Kt9eRo4QPocSadnHXFxnt8Is9UzpERV0ePPQdLuW3IS_de3xyIrDaL"
    "GdjluP"
    "xUAhb6L2aXic1U12podGU0KLUQSE_oI-ZnmKJ3F4uOZDnd6QZWJushZ41Axf_fcIe8u9ipH84ogoree7vjbU5y18kDquDg"
)
PS384_OF_7520 = (
    f"eyJhbGciOiJQUzM4NCIsImtpZCI6ImJpbGJvLmJhZ2dpbnNAaG9iYml0b24uZXhhbXBsZSJ9.{PAYLOAD}."
    "cu22eBqkYDKgIlTpzDXGvaFfz6WGoz7fUDcfT0kkOy42miAh2qyBzk1xEsnk2IpN6-tPid6VrklHkqsGqDqHCdP6O8TTB5dDDItllVo6"
    "_1OLPpcbUrhiUSMxbbXUvdvWXzg-UD8bii"
    "ReQFlfz28zGWVsdiNAUf8ZnyPEgVFn442ZdNqiVJRmBqrYRXe8P_ijQ7p8Vdz0TTrxUeT3lm8d9shnr2lfJT8ImUjvAA2Xez2Mlp8cBE"
    "5awDzT"
    "0qI0n6uiP1aCN_2_jLAeQTlqRHtfa64QQSUmFAAjVKPbByi7xho0uTOcbH510a6GYmJUAfmWjwZ6oD4ifKo8DYM-X72Eaw"
)
# RFC 7520 §3.1
P521 = {
    "kty": "EC",
    "crv": "P-521",
    "x": "AHKZLLOsCOzz5cY97ewNUajB957y-C-U88c3v13nmGZx6sYl_oJXu9A5RkTKqjqvjyekWF-7ytDyRXYgCF5cj0Kt",
    "y": "AdymlHvOiLxXkEhayXQnNCvDX4h9htZaCJN34kfmC6pV5OhQHiraVySsUdaQkAgDPrwQrJmbnX9cwlGfP-HqHZR1",
}


def split(token: str) -> tuple[bytes, bytes]:
    """What is signed, and the signature."""
    signed, _, signature = token.rpartition(".")
    return signed.encode(), unb64(signature)


def a2_key() -> rsa.RSAPrivateKey:
    d = pow(65537, -1, (P - 1) * (Q - 1))
    public = rsa.RSAPublicNumbers(65537, P * Q)
    parts = (d % (P - 1), d % (Q - 1), rsa.rsa_crt_iqmp(P, Q))
    return rsa.RSAPrivateNumbers(P, Q, d, *parts, public).private_key()


def test_rfc_7515_a2_rs256_is_reproduced():
    key = Key.load(pem_of(a2_key()))
    assert (key.alg, key.public_jwk()["n"], key.public_jwk()["e"]) == ("RS256", A2_MODULUS, "AQAB")
    signed, signature = split(A2_TOKEN)
    assert key.sign(signed) == signature
    assert Key.load(pem_of(a2_key().public_key())).verify(signed, signature)


def test_rfc_7520_4_1_rs256_verifies():
    key = Key.load(pem_of(RSAAlgorithm.from_jwk(BILBO)))
    assert key.public_jwk()["n"] == BILBO["n"]
    assert key.verify(*split(RS256_OF_7520))


@pytest.mark.parametrize("alg", ["RS256", "PS256"])
def test_rfc_7520_4_2_ps384_is_no_algorithm_of_ours(alg):
    source = pem_of(RSAAlgorithm.from_jwk(BILBO))
    with pytest.raises(KeyInvalid):
        Key.load(source, alg="PS384")
    assert not Key.load(source, alg=alg).verify(*split(PS384_OF_7520))
    assert Key.load(source, alg=alg).verify(*split(RS256_OF_7520)) == (alg == "RS256")


def test_rfc_7520_3_1_a_key_on_p521_is_none_of_ours():
    with pytest.raises(KeyInvalid, match="secp521r1"):
        Key.load(pem_of(ECAlgorithm.from_jwk(P521)))


@pytest.mark.parametrize(
    ("message", "r", "s"),
    [
        (
            b"sample",
            "EFD48B2AACB6A8FD1140DD9CD45E81D69D2C877B56AAF991C34D0EA84EAF3716",
            "F7CB1C942D657C41D436C7A1B6E29F65F3E900DBB9AFF4064DC4AB2F843ACDA8",
        ),
        (
            b"test",
            "F1ABB023518351CD71D881567B1EA663ED3EFCF6C5132B354F28D3B0B7D38367",
            "019F4113742A2B14BD25926B49C649155F267E60D3814B4C0CC84250E46F0083",
        ),
    ],
)
def test_rfc_6979_a25_es256_verifies(message, r, s):
    secret = 0xC9AFA9D845BA75166B5C215767B1D6934E50C3DB36E89B127B8A622B120F6721
    key = Key.load(pem_of(ec.derive_private_key(secret, ec.SECP256R1())))
    assert unb64(key.public_jwk()["x"]).hex() == (
        "60fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb6"
    )
    assert key.verify(message, bytes.fromhex(r + s))
    assert not key.verify(message, bytes.fromhex(s + r))
    assert not key.verify(message + b"x", bytes.fromhex(r + s))


@pytest.mark.parametrize(
    ("secret", "message", "signature"),
    [
        (
            "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
            "",
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46b"
            "d25bf5f0"
            "595bbe24655141438e7a100b",
        ),
        (
            "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
            "72",
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c"
            "387b2eae"
            "b4302aeeb00d291612bb0c00",
        ),
    ],
)
def test_rfc_8032_7_1_ed25519_is_reproduced(secret, message, signature):
    key = Key.load(pem_of(ed25519.Ed25519PrivateKey.from_private_bytes(bytes.fromhex(secret))))
    assert key.alg == "EdDSA"
    assert key.sign(bytes.fromhex(message)) == bytes.fromhex(signature)
    assert key.verify(bytes.fromhex(message), bytes.fromhex(signature))
    assert not key.verify(b"x", bytes.fromhex(signature))


@pytest.mark.parametrize("token", [A2_TOKEN, RS256_OF_7520, PS384_OF_7520], ids=["A.2", "4.1", "4.2"])
def test_a_published_token_is_no_access_token_though_its_signature_is_sound(token):
    """They have no ``typ`` and no ``kid`` of ours."""
    keys = KeySet([Key.load(pem_of(a2_key())), Key.load(pem_of(RSAAlgorithm.from_jwk(BILBO)))])
    with pytest.raises((TokenMalformed, KeyUnknown)):
        read_signed(token, keys)
