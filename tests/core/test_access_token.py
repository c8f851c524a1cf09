"""authx.core.access_token: what is accepted, and that nothing else is.

Every forgery is signed by the right key unless its signature is the point, so that it is refused
for the one thing that is wrong with it.
"""

import builtins
import hashlib
import hmac
import json
import socket
import string
from collections import UserString
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count, product
from types import SimpleNamespace
from uuid import UUID

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from hypothesis import example, given, settings
from hypothesis import strategies as st
from jwt.algorithms import ECAlgorithm

from authx.core.access_token import check_claims, read_signed, write_access_token
from authx.core.claims import AccessClaims
from authx.core.keys import Key, KeySet
from authx.core.refresh_token import read_refresh_token, write_refresh_token
from authx.errors import (
    KeyUnknown,
    RefreshMalformed,
    TokenError,
    TokenExpired,
    TokenMalformed,
    TokenNotForUs,
)
from tests.forging import as_raw, b64, unb64

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
T = int(NOW.timestamp())
SECRET = "a secret of the site, long and random"
KEY = Key.derive(SECRET)
OLD_KEY = Key.derive("the secret before it")
KEYS = KeySet([KEY, OLD_KEY])
CLAIMS = AccessClaims(
    iss="https://id.example",
    sub="7",
    aud=("api", "reports"),
    exp=T + 300,
    iat=T,
    jti="jti-1",
    client_id="web",
    sid="sid-1",
    gen=3,
    auth_time=T - 60,
    amr=("pwd",),
    did="phone",
    dtp="mobile",
    extra={"tenant": {"id": 4}},
)
PAYLOAD = CLAIMS.as_payload()
TOKEN = write_access_token(CLAIMS, KEY)
ALPHABET = string.ascii_letters + string.digits + "-_"


def header(**changes):
    changed = {"typ": "at+jwt", "alg": "ES256", "kid": KEY.kid} | changes
    return {name: value for name, value in changed.items() if value is not ...}


def payload(**changes):
    return {name: value for name, value in (PAYLOAD | changes).items() if value is not ...}


def forge(head=None, body=None, *, key=KEY) -> str:
    """Sign any header and any payload: an object, or the very bytes."""
    parts = (header() if head is None else head, payload() if body is None else body)
    return sign(*(b64(as_raw(part)) for part in parts), key=key)


def sign(head: str, body: str, *, key=KEY) -> str:
    """Sign two segments as they are."""
    signed = f"{head}.{body}"
    return f"{signed}.{b64(key.sign(signed.encode()))}"


def read(token, keys=KEYS, **changes):
    settings = {
        "issuer": "https://id.example",
        "audience": ["api"],
        "max_lifetime": timedelta(minutes=5),
        "leeway": timedelta(0),
        "now": NOW,
    }
    asked = settings | changes
    claims, _key = read_signed(token, keys)
    check_claims(claims, **asked | {"now": asked["now"].timestamp()})
    return claims


def refuse(token, error=TokenMalformed, **changes):
    with pytest.raises(TokenError) as refusal:
        read(token, **changes)
    assert type(refusal.value) is error
    return refusal.value


def test_what_is_written_is_read():
    assert read(TOKEN) == CLAIMS
    assert read(forge()) == CLAIMS


def test_the_wire_is_canonical_json_and_base64url():
    head, body, signature = TOKEN.split(".")
    assert json.loads(unb64(head)) == {"alg": "ES256", "kid": KEY.kid, "typ": "at+jwt"}
    assert unb64(body).decode() == json.dumps(PAYLOAD, sort_keys=True, separators=(",", ":"))
    assert len(unb64(signature)) == 64
    assert "=" not in TOKEN


@pytest.mark.parametrize("alg", ["RS256", "PS256", "ES256", "EdDSA"])
def test_every_algorithm_carries_a_token(alg):
    make = {"ES256": lambda: ec.generate_private_key(ec.SECP256R1()),
            "EdDSA": ed25519.Ed25519PrivateKey.generate}  # fmt: skip
    source = make.get(alg, lambda: rsa.generate_private_key(65537, 2048))()
    pem = source.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    public = source.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    token = write_access_token(CLAIMS, Key.load(pem, alg=alg))
    assert read(token, KeySet([Key.load(public, alg=alg)], verify_only=True)) == CLAIMS


def test_a_retired_key_still_verifies():
    assert read(write_access_token(CLAIMS, OLD_KEY)) == CLAIMS


@pytest.mark.parametrize(
    "change",
    [
        {"extra": {"sid": "another"}},
        {"extra": {"gen": 9}},
        {"extra": {"x": float("nan")}},
        {"extra": {"x": "\ud800"}},
        {"extra": {"nbf": "tomorrow"}},
        {"extra": {"x": [[[[[[[[]]]]]]]]}},
        {"extra": {"x": "a" * 8000}},
        {"sub": ""},
        {"sub": "a\0"},
        {"sub": "a" * 256},
        {"aud": ()},
        {"exp": 1.5},
        {"exp": True},
    ],
    ids=lambda change: ascii(change)[:40],
)
def test_what_could_not_be_read_is_not_written(change):
    with pytest.raises(ValueError, match=r"\w"):
        write_access_token(replace(CLAIMS, **change), KEY)


def test_the_longest_token_that_can_be_read_is_written():
    lengths = set()
    for pad, size in product(range(3), range(5740, 5800)):
        claims, key = replace(CLAIMS, extra={"x": "a" * size}), replace(KEY, kid="k" * (43 + pad))
        with suppress(ValueError):
            lengths.add(len(write_access_token(claims, key)))
    assert max(lengths) == 8192


@pytest.mark.parametrize(
    "token",
    [None, True, 7, 1.5, TOKEN.encode(), bytearray(TOKEN, "ascii"), [TOKEN], {"token": TOKEN}, (),
     object(), UserString(TOKEN), type, NotImplemented],
    ids=lambda token: type(token).__name__,
)  # fmt: skip
def test_only_text_is_a_token(token):
    refuse(token)


HEAD, BODY, SIGNATURE = TOKEN.split(".")


@pytest.mark.parametrize(
    "token",
    [
        "",
        ".",
        "..",
        "....",
        "a.b.c",
        HEAD,
        f"{HEAD}.{BODY}",
        f"{HEAD}.{BODY}.",
        f"{HEAD}..{SIGNATURE}",
        f".{BODY}.{SIGNATURE}",
        f".{TOKEN}",
        f"{TOKEN}.",
        f"{TOKEN}.{SIGNATURE}",
        f"{TOKEN}.a.b",
        f"{TOKEN}=",
        f"{TOKEN}==",
        f"{HEAD}=.{BODY}.{SIGNATURE}",
        f"{HEAD}.{BODY}=.{SIGNATURE}",
        f" {TOKEN}",
        f"{TOKEN} ",
        f"{TOKEN}\n",
        f"\n{TOKEN}",
        f"{TOKEN}\0",
        f"{HEAD}. {BODY}.{SIGNATURE}",
        f"{HEAD}.{BODY[:9]}\n{BODY[9:]}.{SIGNATURE}",
        f"{HEAD}.{BODY[:9]}\ud800{BODY[9:]}.{SIGNATURE}",
        f"{HEAD}.{BODY}.{SIGNATURE}\udcff",
        f"{HEAD}.{BODY}.é{SIGNATURE}",
        f"Bearer {TOKEN}",
        f'"{TOKEN}"',
        TOKEN.replace(".", "\uff0e"),
        TOKEN.translate({ord(c): ord(c) + 0xFEE0 for c in string.ascii_letters}),
        TOKEN.translate({ord(a): b for a, b in ("-+", "_/")}) + "+/",
        json.dumps({"protected": HEAD, "payload": BODY, "signature": SIGNATURE}),
        json.dumps({"payload": BODY, "signatures": [{"protected": HEAD, "signature": SIGNATURE}]}),
        "." * 1_000_000,
        "a." * 500_000,
        "A" * 10_000_000,
        f"{HEAD}.{'A' * 10_000_000}.{SIGNATURE}",
    ],
    ids=map(str, count()),
)  # fmt: skip
def test_only_three_bare_segments_are_a_token(token):
    refuse(token)


def segment_of(length: int, start: dict) -> bytes:
    """Return the object ``start`` with a member more, as exactly ``length`` octets of JSON."""
    raw = as_raw(start | {"x": ""})
    return as_raw(start | {"x": "a" * (length - len(raw))})


def forge_of(length: int) -> str:
    """Forge a token of exactly ``length`` characters."""
    tokens = (
        forge(header(x="a" * pad), segment_of(size, payload()))
        for pad in range(3)
        for size in range(length * 3 // 4 - 200, length * 3 // 4 - 150)
    )
    return next(token for token in tokens if len(token) == length)


def test_a_token_has_at_most_8192_characters():
    assert read(forge_of(8192)).sub == "7"
    refuse(forge_of(8193))


def test_a_header_has_at_most_1024_octets():
    assert read(forge(segment_of(1024, header())))
    refuse(forge(segment_of(1025, header())))
    refuse(forge(segment_of(4000, header())))


def test_a_kid_has_at_most_64_characters():
    for length, error in [(64, None), (65, TokenMalformed), (900, TokenMalformed)]:
        long = replace(KEY, kid="k" * length)
        token = forge(header(kid=long.kid), key=long)
        if error:
            refuse(token, error, keys=KeySet([long]))
        else:
            assert read(token, KeySet([long]))


def spellings(segment: str):
    return [
        segment[:-1] + last
        for last in ALPHABET
        if segment[-1] != last and unb64(segment[:-1] + last) == unb64(segment)
    ]


def test_a_signature_has_one_spelling():
    assert len(spellings(SIGNATURE)) == 15
    for spelling in spellings(SIGNATURE):
        refuse(f"{HEAD}.{BODY}.{spelling}")


@pytest.mark.parametrize("spare", [1, 2])
def test_a_signed_segment_has_one_spelling(spare):
    """Even our own key's signature does not make a second spelling good."""
    body = next(b64(raw) for raw in (as_raw(payload(x="a" * n)) for n in range(3)) if len(raw) % 3 == spare)
    head = next(b64(raw) for raw in (as_raw(header(x="a" * n)) for n in range(3)) if len(raw) % 3 == spare)
    assert read(sign(head, body))
    for spelling in spellings(head):
        refuse(sign(spelling, body))
    for spelling in spellings(body):
        refuse(sign(head, spelling))


@pytest.mark.parametrize("position", [0, 1, 2])
def test_a_segment_of_an_impossible_length_is_refused(position):
    """Four characters are three octets; a fifth alone is none."""
    parts = [HEAD, BODY, SIGNATURE]
    parts[position] = "A" * 1025
    refuse(".".join(parts))
    refuse(sign("A" * 1025, BODY))
    refuse(sign(HEAD, "A" * 1025))


HOSTILE = {
    "byte order mark": lambda raw: b"\xef\xbb\xbf" + raw,
    "utf-16": lambda raw: raw.decode().encode("utf-16"),
    "utf-16-le": lambda raw: raw.decode().encode("utf-16-le"),
    "utf-16-be": lambda raw: raw.decode().encode("utf-16-be"),
    "utf-32": lambda raw: raw.decode().encode("utf-32"),
    "latin-1": lambda raw: raw[:-1] + b',"x":"\xe9"}',
    "overlong": lambda raw: raw[:-1] + b',"x":"\xc0\xaf"}',
    "raw surrogate": lambda raw: raw[:-1] + b',"x":"\xed\xa0\x80"}',
    "lone surrogate": lambda raw: raw[:-1] + b',"x":"\\ud800"}',
    "lone surrogate in a name": lambda raw: raw[:-1] + b',"\\udfff":1}',
    "NaN": lambda raw: raw[:-1] + b',"x":NaN}',
    "Infinity": lambda raw: raw[:-1] + b',"x":Infinity}',
    "-Infinity": lambda raw: raw[:-1] + b',"x":[-Infinity]}',
    "1e999": lambda raw: raw[:-1] + b',"x":1e999}',
    "5000 digits": lambda raw: raw[:-1] + b',"x":%s}' % (b"9" * 5000),
    "duplicate name": lambda raw: raw[:-1] + b',"x":1,"x":1}',
    "duplicate name, escaped": lambda raw: raw[:-1] + b',"x":1,"\\u0078":1}',
    "duplicate name, deep": lambda raw: raw[:-1] + b',"x":[{"y":{"z":1,"z":2}}]}',
    "nine levels": lambda raw: raw[:-1] + b',"x":[[[[[[[[]]]]]]]]}',
    "nine levels of objects": lambda raw: raw[:-1] + b',"x":' + b'{"x":' * 7 + b"{}" + b"}" * 8,
    "2000 levels": lambda raw: raw[:-1] + b',"x":' + b"[" * 2000 + b"]" * 2000 + b"}",
    "2000 levels, unclosed": lambda raw: raw[:-1] + b',"x":' + b"[" * 2000,
    "100,000 levels": lambda raw: b"[" * 100_000,
    "trailing comma": lambda raw: raw[:-1] + b",}",
    "trailing text": lambda raw: raw + b"x",
    "trailing NUL": lambda raw: raw + b"\0",
    "two objects": lambda raw: raw + raw,
    "in a list": lambda raw: b"[" + raw + b"]",
    "in a string": lambda raw: json.dumps(raw.decode()).encode(),
    "null": lambda raw: b"null",
    "true": lambda raw: b"true",
    "a number": lambda raw: b"1",
    "an empty list": lambda raw: b"[]",
    "an empty object": lambda raw: b"{}",
    "binary": lambda raw: b"\x80\x81\x82",
}


@pytest.mark.parametrize("spoil", HOSTILE.values(), ids=HOSTILE)
def test_claims_in_hostile_json_are_refused(spoil):
    refuse(forge(body=spoil(as_raw(payload()))))


@pytest.mark.parametrize("spoil", HOSTILE.values(), ids=HOSTILE)
def test_a_header_in_hostile_json_is_refused(spoil):
    refuse(forge(spoil(as_raw(header()))))


def test_eight_levels_are_fine_in_both():
    deep = json.loads("[" * 7 + "]" * 7)
    assert read(forge(header(x=deep), payload(x=deep))).extra["x"] == deep


@pytest.mark.parametrize("name", ["sub", "exp", "aud"])
def test_a_claim_given_twice_is_refused(name):
    twice = as_raw(payload())[:-1] + b"," + as_raw({name: PAYLOAD[name]})[1:]
    refuse(forge(body=twice))


@pytest.mark.parametrize("name", ["alg", "kid", "typ"])
def test_a_header_given_twice_is_refused(name):
    refuse(forge(as_raw(header())[:-1] + b"," + as_raw({name: header()[name]})[1:]))


@pytest.mark.parametrize("alg", ["none", "None", "NONE", "nOnE"])
@pytest.mark.parametrize("signature", ["", "AA", SIGNATURE], ids=["none", "short", "genuine"])
def test_none_is_no_algorithm_in_any_casing(alg, signature):
    refuse(f"{b64(as_raw(header(alg=alg)))}.{BODY}.{signature}")
    refuse(forge(header(alg=alg)))


@pytest.mark.parametrize(
    "alg",
    [..., None, "", True, 0, 256, [], ["ES256"], {}, {"ES256": 1}, "es256", "ES256 ", "ES256\0",
     "ES384", "ES256K", "RS256", "PS256", "EdDSA", "HS256", "HS512", "dir"],
    ids=ascii,
)  # fmt: skip
def test_the_algorithm_is_the_keys_own(alg):
    """All of these are signed with the right key, as ES256."""
    refuse(forge(header(alg=alg)))


def public_spellings():
    jwk = KEY.public_jwk()
    public = ECAlgorithm.from_jwk(json.dumps(jwk))
    form, info = PublicFormat.SubjectPublicKeyInfo, PublicFormat.OpenSSH
    pem = public.public_bytes(Encoding.PEM, form)
    return {
        "PEM": pem,
        "PEM without the last line break": pem.rstrip(),
        "DER": public.public_bytes(Encoding.DER, form),
        "SSH": public.public_bytes(Encoding.OpenSSH, info),
        "point": public.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint),
        "JWK": json.dumps(jwk).encode(),
        "compact JWK": json.dumps(jwk, separators=(",", ":")).encode(),
        "JWK Set": json.dumps(KEYS.jwks()).encode(),
        "kid": KEY.kid.encode(),
        "empty": b"",
    }


@pytest.mark.parametrize("secret", public_spellings().values(), ids=public_spellings())
@pytest.mark.parametrize("alg", ["HS256", "ES256"])
def test_our_public_key_is_no_hmac_secret(secret, alg):
    signed = f"{b64(as_raw(header(alg=alg)))}.{BODY}"
    refuse(f"{signed}.{b64(hmac.digest(secret, signed.encode(), hashlib.sha256))}")


@pytest.mark.parametrize("typ", ["at+jwt", "AT+JWT", "application/at+jwt", "Application/AT+jwt"])
def test_both_forms_of_the_type_are_fine_in_any_case(typ):
    assert read(forge(header(typ=typ)))


@pytest.mark.parametrize(
    "typ",
    [..., None, "", True, 1, [], ["at+jwt"], {}, "JWT", "jwt", "rt+jwt", "ticket+jwt", "logout+jwt",
     "at+jwt ", " at+jwt", "at+jwt\0", "at-jwt", "text/at+jwt", "application/application/at+jwt",
     "application/jwt", "application/", "dpop+jwt"],
    ids=ascii,
)  # fmt: skip
def test_another_type_is_refused(typ):
    refuse(forge(header(typ=typ)))


@pytest.fixture
def no_io(monkeypatch):
    """Any socket and any file opened is an error."""

    def blocked(*args, **kwargs):
        raise AssertionError("reading a token reached for the world")

    monkeypatch.setattr(socket, "socket", blocked)
    monkeypatch.setattr(socket, "getaddrinfo", blocked)
    monkeypatch.setattr(socket, "create_connection", blocked)
    monkeypatch.setattr(builtins, "open", blocked)


EVIL = Key.derive("the attacker's own secret")
FORBIDDEN = {
    "jku": ["https://evil.example/jwks.json", "file:///etc/passwd", "http://127.0.0.1/", "", None],
    "x5u": ["https://evil.example/cert.pem", "file:///dev/zero", ""],
    "jwk": [EVIL.public_jwk(), KEY.public_jwk(), {}, None],
    "x5c": [["MIIB"], [], ""],
    "crit": [["b64"], ["exp"], [], "b64", None],
    "b64": [True, False, None],
    "zip": ["DEF", "", None],
}


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, values in FORBIDDEN.items() for value in values]
)
@pytest.mark.parametrize("key", [KEY, EVIL])
def test_a_header_that_selects_keys_or_changes_the_rules_is_refused(name, value, key, no_io):
    refuse(forge(header(**{name: value}), key=key))
    refuse(forge(header(kid=key.kid, **{name: value}), key=key))


def test_crit_with_b64_is_refused():
    refuse(forge(header(crit=["b64"], b64=True)))


@pytest.mark.parametrize(
    "kid",
    ["", "unknown", EVIL.kid, KEY.kid.lower(), f"{KEY.kid} ", f"{KEY.kid}\0", KEY.kid[:-1],
     "../../../../dev/null", "/proc/self/environ", "' OR '1'='1", "x' UNION SELECT 'k';--", "\0",
     "|sleep 9", "https://evil.example/", "__class__", "k" * 64, "\N{GRINNING FACE}" * 64],
    ids=ascii,
)  # fmt: skip
def test_an_unknown_kid_is_only_looked_up(kid, no_io):
    refuse(forge(header(kid=kid)), KeyUnknown)


@pytest.mark.parametrize(
    "kid",
    [..., None, True, 0, 1.5, [], [KEY.kid], {}, {"kid": KEY.kid}, "k" * 65, "k" * 900,
     "k" * 1_000_000],
    ids=lambda kid: ascii(kid)[:20],
)  # fmt: skip
def test_a_kid_that_is_no_short_text_is_not_even_looked_up(kid):
    refuse(forge(header(kid=kid)))


def test_what_is_wrong_with_the_header_is_found_before_a_key_is_sought():
    """An unknown kid may make a verifier fetch keys; a bad header must not."""
    refuse(forge(header(kid="unknown", typ="JWT")))
    refuse(forge(header(kid="unknown", jku="https://evil.example")))


def test_harmless_headers_are_let_be():
    assert read(forge(header(cty="JWT", x=1)))


@pytest.mark.parametrize(
    "signature",
    [b"\0", bytes(63), bytes(64), bytes(65), b"\xff" * 64, b"\0" * 31 + b"\1" + b"\0" * 31 + b"\1",
     unb64(SIGNATURE)[:-1], unb64(SIGNATURE) + b"\0", unb64(SIGNATURE)[::-1], unb64(SIGNATURE) * 2,
     unb64(SIGNATURE)[32:] + unb64(SIGNATURE)[:32]],
    ids=map(str, count()),
)  # fmt: skip
def test_null_and_broken_signatures_are_refused(signature):
    refuse(f"{HEAD}.{BODY}.{b64(signature)}")


def test_another_keys_signature_is_refused():
    refuse(forge(key=EVIL))
    refuse(forge(header(kid=OLD_KEY.kid)))
    refuse(forge(key=OLD_KEY))


def test_a_signature_is_for_its_own_header_and_payload():
    other = forge(header(x=1), payload(sub="8"))
    head, body, signature = other.split(".")
    assert read(other)
    for mixed in (
        f"{head}.{BODY}.{SIGNATURE}",
        f"{HEAD}.{body}.{SIGNATURE}",
        f"{HEAD}.{BODY}.{signature}",
    ):
        refuse(mixed)


def test_claims_are_not_read_before_the_signature_is_checked():
    asked = []
    key = SimpleNamespace(alg="ES256", verify=lambda *args: asked.append(args) or False)
    refuse(forge(body=b"not JSON"), keys=SimpleNamespace(find=lambda kid: key))
    assert len(asked) == 1


@pytest.mark.parametrize("name", ["iss", "sub", "aud", "exp", "iat", "jti", "client_id", "sid"])
@pytest.mark.parametrize("value", [..., None, True, 1.5, "", [], {}, "a\0", "\ud800", -1], ids=ascii)
def test_a_required_claim_of_the_wrong_type_is_refused(name, value):
    refuse(forge(body=payload(**{name: value})))


@pytest.mark.parametrize("name", ["exp", "iat", "nbf", "gen", "auth_time"])
@pytest.mark.parametrize(
    "number",
    [b"true", b"false", b"null", b'"%d"' % T, b"%d.0" % T, b"%d.5" % T, b"1e9", b"1e308", b"1e999",
     b"NaN", b"-1", b"-1000000000000000000", b"9007199254740992", b"1" + b"0" * 4000,
     b"1" + b"0" * 5000, b'"9_999_999_999"', '"\u0661\u0662"'.encode(), b"[%d]" % T],
    ids=lambda number: ascii(number)[:24],
)  # fmt: skip
def test_a_number_that_is_no_plain_integer_is_refused(name, number):
    refuse(forge(body=as_raw(payload(**{name: ...}))[:-1] + b',"%s":%s}' % (name.encode(), number)))


@pytest.mark.parametrize(
    "iss",
    ["https://id.exampl", "https://id.example/", "https://id.example.evil", "https://id.exampl\u0435",
     "http://id.example", "HTTPS://ID.EXAMPLE", " https://id.example", "id.example", "h"],
)  # fmt: skip
def test_another_issuer_is_refused(iss):
    refuse(forge(body=payload(iss=iss)), TokenNotForUs)


def test_a_list_of_issuers_is_no_issuer():
    refuse(forge(body=payload(iss=["https://id.example"])))


@pytest.mark.parametrize("aud", ["ap", "apis", "API", " api", ["other"], ["a", "p", "i"], "a"])
def test_another_audience_is_refused(aud):
    refuse(forge(body=payload(aud=aud)), TokenNotForUs)


@pytest.mark.parametrize("aud", ["api", ["api"], ["other", "api"]])
def test_one_audience_in_common_is_enough(aud):
    assert read(forge(body=payload(aud=aud)))
    assert read(forge(body=payload(aud=aud)), audience={"api", "elsewhere"})


def test_nobody_is_nobodys_audience():
    refuse(TOKEN, TokenNotForUs, audience=[])


def test_a_token_expires_at_its_very_exp():
    assert read(TOKEN, now=NOW + 300 * SECOND - timedelta(milliseconds=1))
    refuse(TOKEN, TokenExpired, now=NOW + 300 * SECOND)
    refuse(TOKEN, TokenExpired, now=NOW + timedelta(days=4000))


def test_leeway_lengthens_the_end():
    leeway = 10 * SECOND
    assert read(TOKEN, now=NOW + 309 * SECOND, leeway=leeway)
    refuse(TOKEN, TokenExpired, now=NOW + 310 * SECOND, leeway=leeway)


@pytest.mark.parametrize("name", ["iat", "nbf"])
def test_a_token_from_the_future_is_refused(name):
    token = forge(body=payload(**{name: T + 10}))
    assert read(token, now=NOW + 10 * SECOND)
    refuse(token, now=NOW + 9 * SECOND)
    assert read(token, now=NOW, leeway=10 * SECOND)
    refuse(token, now=NOW, leeway=9 * SECOND)


def test_a_token_that_does_not_say_from_when_on_is_good_from_its_beginning():
    assert "nbf" not in payload()
    assert read(forge(body=payload())).nbf is None


def test_a_beginning_later_than_the_issue_counts_and_an_earlier_one_makes_nothing_good():
    token = forge(body=payload(nbf=T + 60))
    refuse(token, now=NOW + 59 * SECOND)
    assert read(token, now=NOW + 60 * SECOND).nbf == T + 60
    early = forge(body=payload(nbf=T - 60))
    refuse(early, now=NOW - SECOND)
    assert read(early, now=NOW)


def test_a_zone_makes_no_difference():
    eastern = NOW.astimezone(datetime.strptime("+0900", "%z").tzinfo)
    assert read(TOKEN, now=eastern) == CLAIMS


def test_a_longer_life_than_allowed_is_refused():
    assert read(TOKEN, max_lifetime=300 * SECOND)
    assert read(forge(body=payload(exp=T + 1)))
    refuse(TOKEN, max_lifetime=299 * SECOND)
    refuse(forge(body=payload(exp=2**53 - 1)))
    refuse(forge(body=payload(iat=0)))


@pytest.mark.parametrize("life", [0, -1, -300])
def test_a_life_that_never_was_is_refused(life):
    refuse(forge(body=payload(exp=T + life)), leeway=timedelta(hours=1))
    refuse(forge(body=payload(iat=T - 100, exp=T - 100 + life)), leeway=timedelta(hours=1))


def test_a_refresh_token_is_no_access_token_and_the_reverse(no_io):
    refuse(write_refresh_token(UUID(int=7), 1, 1, b"salt", [SECRET]))
    with pytest.raises(RefreshMalformed):
        read_refresh_token(TOKEN, [SECRET])


def test_a_refusal_tells_nothing_of_the_token():
    canary = "canary"
    spoilt = [
        f"{TOKEN}{canary}.",
        canary,
        forge(header(kid=canary)),
        forge(header(typ=canary)),
        forge(header(alg=canary)),
        forge(header(jku=canary)),
        forge(b'{"canary":canary}'),
        forge(body=b'{"canary":canary}'),
        forge(body=payload(sub=f"{canary}\0")),
        forge(body=payload(iss=canary)),
        forge(body=payload(aud=canary)),
        forge(body=payload(jti=canary, exp=T)),
        forge(body=payload(jti=canary, iat=T + 9)),
        forge(body=payload(jti=canary, exp=T + 999)),
        forge(body=payload(jti=canary, sid=[canary])),
    ]
    for token in spoilt:
        with pytest.raises(TokenError) as refusal:
            read(token)
        error = refusal.value
        assert canary not in repr(error)
        assert not any(part and part in repr(error) for part in token.split("."))
        assert error.__cause__ is None
        assert error.__context__ is None or error.__suppress_context__


@settings(max_examples=300, deadline=None)
@given(
    st.integers(0, len(TOKEN)),
    st.integers(0, 3),
    st.text(ALPHABET + ".=+/ \n", max_size=3) | st.text(max_size=3),
)
def test_a_valid_token_with_anything_changed_is_never_accepted(position, cut, text):
    mutant = TOKEN[:position] + text + TOKEN[position + cut :]
    if mutant == TOKEN:
        return
    with pytest.raises(TokenError):
        read(mutant)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=6,
)
HEADERS = st.sampled_from(["typ", "alg", "kid", "crit", "jku", "x"])


@settings(max_examples=300, deadline=None)
@given(
    st.dictionaries(HEADERS, JSON, max_size=2),
    st.dictionaries(st.sampled_from([*PAYLOAD, "nbf"]), JSON),
)
@example({}, {})
def test_whatever_our_own_key_signs_only_token_errors_escape(head, body):
    try:
        claims = read(forge(header(**head), payload(**body)))
    except TokenError:
        return
    assert isinstance(claims, AccessClaims)
    assert (claims.iss, claims.exp - claims.iat <= 300) == ("https://id.example", True)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=60), st.binary(max_size=60))
def test_whatever_octets_are_signed_only_token_errors_escape(head, body):
    for token in (forge(head, body), forge(None, body), forge(head)):
        with pytest.raises(TokenError):
            read(token)


@settings(max_examples=200, deadline=None)
@given(st.text() | st.binary() | st.integers() | st.floats() | st.lists(st.text()) | st.none())
def test_whatever_is_presented_only_token_errors_escape(token):
    with pytest.raises(TokenError):
        read(token)


@pytest.mark.parametrize(
    "changes",
    [
        {"scope": "a  b"},
        {"scope": 'a"'},
        {"scope": ["a"]},
        {"act": {}},
        {"act": {"sub": "a\0"}},
        {
            "act": {
                "sub": "a",
                "act": {"sub": "b", "act": {"sub": "c", "act": {"sub": "d", "act": {"sub": "e"}}}},
            }
        },
    ],
    ids=str,
)
def test_a_delegated_token_that_could_not_be_read_back_is_not_written(changes):
    with pytest.raises(ValueError, match=next(iter(changes))):
        write_access_token(replace(CLAIMS, **changes), KEY)


def test_a_delegated_token_is_written_and_read():
    claims = replace(CLAIMS, gen=None, scope="orders:read", act={"sub": "client:a"}, extra={})
    assert read_signed(write_access_token(claims, KEY), KEYS)[0] == claims
