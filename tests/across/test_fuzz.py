"""Hostile tokens by the hundred thousand: none accepted, one tree of exceptions, little time, no memory.

Half of the access tokens are mutants of good ones; half are made from scratch and signed by our own key, each
with one thing wrong, and must be refused for that. Seeded, so that a failure comes back: it names its seed.
There are 100,000 of them, or 100 for each of ``--races``, if that is more: with 10000 it is a million.
Refresh tokens and cookies are a tenth as many each.
"""

from __future__ import annotations

import base64
import gc
import json
import random
import string
import sys
import time
from array import array
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pytest
from django.http import HttpRequest, HttpResponse
from django.test import override_settings

from authx.conf import conf, secret_keys
from authx.core.access_token import write_access_token
from authx.core.claims import AccessClaims
from authx.core.refresh_token import _signer, is_genuine, read_refresh_token, write_refresh_token
from authx.errors import (
    KeyUnknown,
    RefreshMalformed,
    TokenError,
    TokenExpired,
    TokenMalformed,
    TokenNotForUs,
)
from authx.gate.keys import keyring
from authx.gate.signature_cache import MAX_TOKENS_PER_SESSION, signatures
from authx.gate.verify import read_claims
from authx.http import cookies
from authx.http.device_cookie import browser_device, remember_login
from tests.forging import as_raw, b64, changed, forge, sign, unb64

pytestmark = pytest.mark.slow

ORDINARY = 100_000  # access tokens, both halves together
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
T = int(NOW.timestamp())
LIFE = int(conf.ACCESS_TOKEN_LIFETIME.total_seconds())
SLACK = int(conf.CLOCK_LEEWAY.total_seconds())
SID = "01890a5d-ac96-774b-bcce-b302099a8057"
MEMORY = 20 * 2**20  # octets that a run may grow by
SLOWEST = 0.05  # seconds of the processor, p99.9: how long it is waited for says more of its other work

CLAIMS = AccessClaims(
    iss="authx",
    sub="7",
    aud=("authx",),
    exp=T + 300,
    iat=T,
    jti="jti-1",
    client_id="first-party",
    sid=SID,
    gen=3,
    auth_time=T - 60,
    amr=("pwd",),
    did="phone",
    dtp="ios",
)
PAYLOAD = CLAIMS.as_payload()
BASE64URL = string.ascii_letters + string.digits + "-_"


def header():
    return {"typ": "at+jwt", "alg": "ES256", "kid": keyring.keyset().signing.kid}


def good_tokens():
    """Tokens that are let in, unlike one another."""
    key = keyring.keyset().signing
    several = [{"jti": f"jti-{n}"} for n in range(4)]
    several += [{"aud": ("authx", "api")}, {"extra": {"roles": ["a"], "deep": [{"er": [1]}]}}, {"gen": None}]
    return [write_access_token(replace(CLAIMS, **changes), key) for changes in several]


# Mutants


def text_of(dice, most=4):
    kinds = (
        string.printable,
        BASE64URL,
        "\0\r\n\t .=+/%\"'",
        "éä\u0661\u200b\u202e\ufeff\uff21\U0001f600\ud800\udcff",
    )
    return "".join(dice.choice(dice.choice(kinds)) for _ in range(dice.randint(1, most)))


def flip(dice, token):
    at = dice.randrange(len(token))
    return token[:at] + chr(ord(token[at]) ^ 1 << dice.randrange(8)) + token[at + 1 :]


def replace_one(dice, token):
    at = dice.randrange(len(token))
    return token[:at] + dice.choice(BASE64URL) + token[at + 1 :]


def insert(dice, token):
    at = dice.randint(0, len(token))
    return token[:at] + text_of(dice) + token[at:]


def cut(dice, token):
    at = dice.randrange(len(token))
    return token[:at] + token[at + dice.randint(1, 40) :]


def truncate(dice, token):
    at = dice.randrange(len(token))
    return dice.choice([token[:at], token[at + 1 :]])


def double(dice, token):
    at, size = dice.randrange(len(token)), dice.randint(1, 200)
    return token[:at] + token[at : at + size] * dice.randint(2, 3) + token[at + size :]


def swap_segments(dice, token):
    parts = token.split(".")
    dice.shuffle(parts)
    return dice.choice([".", "..", "", "."]).join(parts)


def drop_or_add_a_segment(dice, token):
    parts = token.split(".")
    at = dice.randrange(len(parts))
    parts[at : at + 1] = dice.choice([[], [""], [parts[at]] * 2, [parts[at], ""], ["AA"]])
    return ".".join(parts)


def pad(dice, token):
    parts = token.split(".")
    parts[dice.randrange(len(parts))] += "=" * dice.randint(1, 3)
    return ".".join(parts)


def change_case(dice, token):
    at = dice.randrange(len(token))
    return dice.choice([token.upper(), token.lower(), token[:at] + token[at:].swapcase()])


def look_alike(dice, token):
    """Full-width forms, which some normalization makes ASCII of."""
    at = dice.randrange(len(token))
    return token[:at] + chr(ord(token[at]) + 0xFEE0) + token[at + 1 :]


def other_alphabet(dice, token):
    return dice.choice(
        [
            (token + "-_").replace("-", "+").replace("_", "/"),
            token.replace(".", "%2E"),
            token.replace(".", dice.choice("|,;:\u3002\uff0e")),
        ]
    )


def wrap(dice, token):
    around = dice.choice(
        [('"', '"'), ("'", "'"), (" ", ""), ("", "\n"), ("Bearer ", ""), ("[", "]"), ("", "\0")]
    )
    return token.join(around)


def change_an_octet(dice, token):
    parts = token.split(".")
    at = dice.randrange(len(parts))
    octets = bytearray(unb64(parts[at]))
    octets[dice.randrange(len(octets))] ^= 1 << dice.randrange(8)
    parts[at] = b64(bytes(octets))
    return ".".join(parts)


def json_of(dice):
    """Any value, of any type."""
    plain = (
        None,
        True,
        False,
        0,
        -1,
        1.5,
        2**53,
        10**30,
        T,
        "",
        "x",
        "a\0b",
        "\ud800",
        [],
        {},
        [[]],
        [None],
        {"a": 1},
    )
    return dice.choice(plain) if dice.random() < 0.8 else text_of(dice, 300)


def change_a_member(dice, token):
    """The signature stays what it was."""
    head, body, signature = token.split(".")
    members = json.loads(unb64(body))
    members[dice.choice([*members, "nbf", "x"])] = json_of(dice)
    return f"{head}.{b64(as_raw(members))}.{signature}"


def change_a_header(dice, token):
    head, body, signature = token.split(".")
    members = json.loads(unb64(head))
    members[dice.choice([*members, "crit", "jwk", "jku", "zip", "b64", "x5c"])] = json_of(dice)
    return f"{b64(as_raw(members))}.{body}.{signature}"


def give_a_member_twice(dice, token):
    head, body, signature = token.split(".")
    raw = unb64(body)
    name = dice.choice(list(json.loads(raw)))
    raw = raw[:-1] + b"," + as_raw({name: json_of(dice)})[1:]
    return f"{head}.{b64(raw)}.{signature}"


def other_signature(dice, token):
    size = dice.choice([0, 1, 31, 32, 63, 64, 64, 64, 65, 70, 72, 256])
    octets = dice.choice([bytes(size), b"\xff" * size, dice.randbytes(size)])
    return f"{token.rpartition('.')[0]}.{b64(octets)}"


def no_text(dice, token):
    return dice.choice(
        [None, 0, True, 1.5, token.encode(), [token], {"token": token}, (), object(), bytearray(9)]
    )


def long(dice, token):
    return token + dice.choice([".", "A", "=", " "]) * dice.choice([8192, 9000, 100_000])


MUTATIONS = [
    flip, replace_one, insert, cut, truncate, double, swap_segments, drop_or_add_a_segment, pad, change_case,
    look_alike, other_alphabet, wrap, change_an_octet, change_a_member, change_a_header, give_a_member_twice,
    other_signature, no_text, long,
]  # fmt: skip


#: The mutations that know nothing of JSON, and give text.
OF_TEXT = [
    flip, replace_one, insert, cut, truncate, double, swap_segments, drop_or_add_a_segment, pad, change_case,
    look_alike, other_alphabet, wrap, long,
]  # fmt: skip


def mutant_of(dice, good):
    """A mutant of one or two of the good ones, and none of them."""
    while True:
        token = dice.choice(good)
        mutated = dice.choice(MUTATIONS)(dice, token)
        if isinstance(mutated, str) and mutated and dice.random() < 0.2:
            mutated = dice.choice([flip, insert, cut, truncate, double, wrap])(dice, mutated)
        if dice.random() < 0.05:  # a segment of another one
            parts, at = token.split("."), dice.randrange(3)
            parts[at] = dice.choice(good).split(".")[at]
            mutated = ".".join(parts)
        if not isinstance(mutated, str) or mutated not in good:
            return mutated


# Made from scratch: one thing wrong, signed by our own key. Each gives the token, what it must be refused
# with, and a word of the reason.

IDENTIFIERS = ["iss", "sub", "jti", "client_id", "sid", "did", "dtp"]
INSTANTS = ["exp", "iat", "gen", "auth_time", "nbf"]
REQUIRED = ["iss", "sub", "aud", "exp", "iat", "jti", "client_id", "sid"]
NO_IDENTIFIER = [
    None,
    True,
    False,
    0,
    7,
    1.5,
    [],
    ["x"],
    {},
    {"x": 1},
    "",
    "a\0",
    "\x1f",
    "a\x85b",
    "x" * 256,
]
NO_INSTANT = [None, True, False, "", "1", "9_999_999_999", "\u0661", 1.0, 1.5, 1e308, -1, 2**53, 10**30,
              10**400, -(10**18), [], [T], {}]  # fmt: skip
NO_AUDIENCE = [
    None,
    True,
    0,
    1.5,
    "",
    [],
    {},
    [""],
    [7],
    [None],
    [["authx"]],
    ["authx", 7],
    {"authx": 1},
    "a\0",
]
NO_AMR = [None, True, 0, "pwd", "", {}, [7], [""], [None], [["pwd"]], ["pwd", True]]


def token_of(*, head=None, **claims):
    return forge(head or header(), changed(PAYLOAD, **claims), keyring.keyset().signing)


def of_octets(body=None, head=None):
    return forge(
        header() if head is None else head, PAYLOAD if body is None else body, keyring.keyset().signing
    )


def wrong_type(dice):
    names, bad = dice.choice(
        [(IDENTIFIERS, NO_IDENTIFIER), (INSTANTS, NO_INSTANT), (["aud"], NO_AUDIENCE), (["amr"], NO_AMR)]
    )
    name = dice.choice(names)
    return token_of(**{name: dice.choice(bad)}), TokenMalformed, f"claim {name} "


def random_number(dice):
    name = dice.choice(INSTANTS)
    number = dice.choice([-dice.randint(1, 2**70), dice.randint(2**53, 2**80), dice.random() * 2**40])
    return token_of(**{name: number}), TokenMalformed, f"claim {name} "


def missing(dice):
    name = dice.choice(REQUIRED)
    return token_of(**{name: ...}), TokenMalformed, f"claim {name} is missing"


def other_issuer(dice):
    near = ["auth", "authx/", "Authx", "authx ", " authx", "https://authx", "authx\u200b", "\u0430uthx"]
    issuer = dice.choice(near) if dice.random() < 0.5 else f"{dice.getrandbits(64):x}"
    return token_of(iss=issuer), TokenNotForUs, "another issuer"


def other_audience(dice):
    audience = dice.choice(["auth", ["auth", "x"], list("authx"), f"{dice.getrandbits(64):x}", ["AUTHX"]])
    return token_of(aud=audience), TokenNotForUs, "another audience"


def expired(dice):
    exp = T - SLACK - dice.randint(0, 10**8)
    return token_of(exp=exp, iat=exp - dice.randint(1, LIFE)), TokenExpired, "expired"


def of_the_future(dice):
    iat = T + SLACK + dice.randint(1, 10**8)
    return token_of(iat=iat, exp=iat + dice.randint(1, LIFE)), TokenMalformed, "future"


def not_yet(dice):
    return token_of(nbf=T + SLACK + dice.randint(1, 10**8)), TokenMalformed, "future"


def wrong_life(dice):
    life = dice.choice([LIFE + dice.randint(1, 10**8), -dice.randint(0, T)])
    return token_of(exp=T + life), TokenMalformed, "lifetime"


def spoil(dice, raw):
    """JSON that two parsers read differently, or that is none."""
    name = dice.choice([*PAYLOAD, "x"]).encode()
    brackets = dice.choice([(b"[", b"]"), (b'{"a":', b"}")])
    depth = dice.choice([8, 9, 20, 500])
    nested = brackets[0] * depth + b"1" + brackets[1] * depth
    number = dice.choice(
        [b"NaN", b"Infinity", b"-Infinity", b"1e999", b"9" * 5000, b"0x1", b"01", b"+1", b"1_0"]
    )
    return dice.choice(
        [
            raw[:-1] + b',"x":1,"x":1}',
            raw[:-1] + b',"y":[{"z":{"x":1,"\\u0078":2}}]}',
            raw[:-1] + b',"%s":1,"%s":%s}' % (name, name, number),
            raw[:-1] + b',"y":%s}' % number,
            raw[:-1] + b',"y":[%s]}' % number,
            raw[:-1] + b',"y":%s}' % nested,
            raw[:-1] + b',"y":"\\ud800"}',
            raw[:-1] + b',"\\udfff":1}',
            raw[:-1] + b',"y":"\xff\xfe"}',
            raw[:-1] + b',"y":"\xed\xa0\x80"}',
            raw[:-1] + b",}",
            raw[:-1],
            raw + dice.choice([b"\0", b"{}", b"x", b","]),
            raw.replace(b'"', b"'"),
            raw.decode().encode(dice.choice(["utf-16", "utf-16-le", "utf-32", "utf-8-sig"])),
            b"[" + raw + b"]",
            dice.choice([b"{", b"[]", b"null", b"true", b"1", b'""', b"\0", b"\x80"]),
            dice.randbytes(dice.randint(1, 200)),
            base64.b64encode(raw),
        ]
    )


def claims_that_are_no_json(dice):
    return of_octets(body=spoil(dice, as_raw(PAYLOAD))), TokenMalformed, "strict JSON"


def header_that_is_no_json(dice):
    return of_octets(head=spoil(dice, as_raw(header()))), TokenMalformed, ""


def wrong_header(dice):
    name, values, word = dice.choice(
        [
            (
                "typ",
                [..., None, "", "JWT", "at", "at+jwt ", "rt+jwt", "text/at+jwt", 7, [], ["at+jwt"]],
                "typ",
            ),
            ("kid", [..., None, True, 7, [], {}, "k" * 65, "k" * 700], "kid"),
            ("alg", [..., None, "none", "NoNe", "HS256", "RS256", "es256", 7, [], ["ES256"], True], "alg"),
        ]
    )
    return token_of(head=changed(header(), **{name: dice.choice(values)})), TokenMalformed, word


def forbidden_header(dice):
    name = dice.choice(["crit", "b64", "zip", "jku", "jwk", "x5u", "x5c"])
    value = dice.choice([None, True, "", "DEF", ["b64"], [], {}, "https://evil.example", header()])
    return token_of(head=changed(header(), **{name: value})), TokenMalformed, f"holds {name}"


def unknown_key(dice):
    kid = dice.choice(["", "../../etc/passwd", "' OR 1=1", "\0", f"{dice.getrandbits(256):x}", "\ufffd" * 60])
    return token_of(head=changed(header(), kid=kid)), KeyUnknown, ""


def too_long(dice):
    return token_of(x="a" * dice.choice([6000, 8192, 20_000])), TokenMalformed, "8 KiB"


def wrong_spelling(dice):
    """Signed as it is spelled."""
    head, body = b64(as_raw(header())), b64(as_raw(PAYLOAD))
    key = keyring.keyset().signing
    token = dice.choice(
        [
            lambda: sign(head, body + "=" * dice.randint(1, 2), key),
            lambda: sign(head + "=", body, key),
            lambda: sign(head, f"{body[:20]}{dice.choice(' /+%~' + chr(10))}{body[20:]}", key),
            lambda: sign(head, f"{body}.{body}", key),
            lambda: sign(head, "", key),
            lambda: sign("", body, key),
        ]
    )()
    return token, TokenMalformed, "compact"


SCRATCH = [
    wrong_type, wrong_type, wrong_type, random_number, missing, other_issuer, other_audience, expired,
    of_the_future, not_yet, wrong_life, claims_that_are_no_json, claims_that_are_no_json,
    header_that_is_no_json, wrong_header, forbidden_header, unknown_key, too_long, wrong_spelling,
]  # fmt: skip


# The runs


class Run:
    """What a run of hostile input costs: seconds for each, and the process's memory."""

    def __init__(self, count):
        self.seconds = array("f", bytes(4 * count))
        self.busy = array("f", bytes(4 * count))  # of the processor
        self.done = 0
        self._warm, self._memory = count // 10, 0

    def measure(self, read, value):
        """What ``read`` returns or raises."""
        begun, busy = time.perf_counter(), time.thread_time()
        try:
            result = read(value)
        except Exception as error:
            result = error
        self.busy[self.done] = time.thread_time() - busy
        self.seconds[self.done] = time.perf_counter() - begun
        self.done += 1
        if self.done == self._warm:
            gc.collect()
            self._memory = resident()
        return result

    def report(self, name, node, capsys, *, aloud):
        """Tell the figures, aloud in the long form, and judge them."""
        gc.collect()
        grown = resident() - self._memory
        rank = self.done * 999 // 1000
        seconds, busy = sorted(self.seconds), sorted(self.busy)
        told = {
            "count": self.done,
            "median_us": round(1e6 * seconds[self.done // 2], 1),
            "p99.9_ms": round(1e3 * seconds[rank], 3),
            "max_ms": round(1e3 * seconds[-1], 2),
            "cpu_p99.9_ms": round(1e3 * busy[rank], 3),
            "cpu_max_ms": round(1e3 * busy[-1], 2),
            "memory_kib": grown // 1024,
        }
        node.user_properties.append((name, json.dumps(told)))
        if aloud:
            with capsys.disabled():
                print(f"\n{name}: {told}")
        assert self.done == len(self.seconds)
        assert busy[rank] < SLOWEST
        assert grown < MEMORY


def resident():
    """The process's memory in octets; 0 where that cannot be told."""
    statm = Path("/proc/self/statm")
    return int(statm.read_text().split()[1]) * 4096 if statm.exists() else 0


@pytest.fixture
def count(request):
    """How many access tokens there are in each half."""
    return max(ORDINARY, 100 * request.config.getoption("--races")) // 2


@pytest.fixture
def fewer(count):
    """How many there are of anything else: what reads them is less code."""
    return count // 5


@pytest.fixture
def report(request, capsys):
    aloud = request.config.getoption("--races") > 30

    def tell(run, name):
        run.report(name, request.node, capsys, aloud=aloud)

    return tell


@pytest.fixture(autouse=True)
def nothing_remembered():
    signatures.clear()
    yield
    signatures.clear()


def read(token):
    return read_claims(token, now=NOW)


def test_the_tokens_that_the_mutants_come_from_are_let_in():
    """So is what the forger leaves as it was: each of the others is refused for one thing."""
    for token in [*good_tokens(), token_of(), token_of(x=1), of_octets()]:
        assert isinstance(read(token), AccessClaims)


def test_no_mutant_is_accepted(count, report):
    good, run = good_tokens(), Run(count)
    for seed in range(count):
        mutant = mutant_of(random.Random(seed), good)
        result = run.measure(read, mutant)
        assert isinstance(result, TokenError), (seed, mutant, result)
    assert len(signatures) == 0
    report(run, "mutants")


def test_no_token_made_from_scratch_is_accepted_though_our_own_key_signed_it(count, report):
    run = Run(count)
    for seed in range(count):
        dice = random.Random(seed)
        made = dice.choice(SCRATCH)
        token, error, word = made(dice)
        result = run.measure(read, token)
        assert type(result) is error, (seed, made.__name__, token, result)
        assert word in str(result), (seed, made.__name__, token, result)
    # Well-made ones for somebody else are remembered: all are of one session, which may have so many.
    assert len(signatures) <= MAX_TOKENS_PER_SESSION
    report(run, "from scratch")


# The refresh token

SALT = bytes(range(32))


def spoilt_refresh_token(dice, good, secrets):
    """A mutant, or one that is signed, and is too long, too short, or proves nothing."""
    if dice.random() < 0.5:
        return dice.choice([*OF_TEXT, no_text])(dice, dice.choice(good))
    size = dice.choice([0, 1, 16, 26, 41, 42, 42, 43, 54, 100])
    return _signer(secrets).sign(b64(dice.randbytes(size)).encode()).decode()


def test_no_spoilt_refresh_token_is_genuine(fewer, report):
    secrets = secret_keys()
    good = [write_refresh_token(UUID(SID), generation, 1, SALT, secrets) for generation in range(1, 9)]
    assert all(is_genuine(read_refresh_token(token, secrets), SALT, secrets) for token in good)
    run = Run(fewer)
    for seed in range(fewer):
        token = spoilt_refresh_token(random.Random(seed), good, secrets)
        result = run.measure(lambda token: read_refresh_token(token, secrets), token)
        if isinstance(token, str) and token in good:  # turned round and back
            continue
        if not isinstance(result, RefreshMalformed):
            assert len(unb64(token.partition(".")[0])) == 42, (seed, token, result)
            assert not is_genuine(result, SALT, secrets), (seed, token, result)
    report(run, "refresh tokens")


# Cookies


def with_cookie(name, value):
    request = HttpRequest()
    request.META["HTTP_COOKIE"] = f"{name}={value}"
    return request


def sent(value):
    """What arrives of a value, where it stands alone in the header."""
    return value.partition(";")[0].strip(" \t")


def read_back(value):
    return cookies.read_cookie(with_cookie(conf.ACCESS_COOKIE, value), conf.ACCESS_COOKIE)


def known_browser(value):
    return browser_device(with_cookie(conf.DEVICE_COOKIE, value)).id


def encrypted(plain):
    response = HttpResponse()
    cookies.set_access_cookie(response, plain, 60, persistent=False)
    return response.cookies[conf.ACCESS_COOKIE].value


@override_settings(AUTHX_COOKIE_ENCRYPTION=True)
def test_no_spoilt_cookie_decrypts(fewer, report):
    """What does not decrypt is given back as it is, for the parsers above to refuse."""
    plain = good_tokens()[0]
    good = [encrypted(plain) for _ in range(4)]
    assert [read_back(value) for value in good] == [plain] * 4
    run = Run(fewer)
    for seed in range(fewer):
        dice = random.Random(seed)
        genuine = dice.choice(good)
        value = dice.choice(OF_TEXT)(dice, genuine)
        result = run.measure(read_back, value)
        if result == plain:
            assert sent(value) == genuine, (seed, value)
        else:
            assert result == (sent(value) or None), (seed, value, result)
    report(run, "encrypted cookies")


@pytest.mark.parametrize("with_encryption", [False, True], ids=["plain", "encrypted"])
def test_a_spoilt_device_cookie_is_a_browser_never_seen(with_encryption, fewer, report):
    with override_settings(AUTHX_COOKIE_ENCRYPTION=with_encryption):
        request, response = HttpRequest(), HttpResponse()
        remember_login(request, response, "7")
        good, the_device = response.cookies[conf.DEVICE_COOKIE].value, browser_device(request).id
        assert known_browser(good) == the_device
        run = Run(fewer)
        for seed in range(fewer):
            dice = random.Random(seed)
            value = dice.choice(OF_TEXT)(dice, good)
            result = run.measure(known_browser, value)
            assert isinstance(result, str), (seed, value, result)
            if result == the_device:
                assert sent(value) == good, (seed, value)
        report(run, f"device cookies, {'encrypted' if with_encryption else 'plain'}")


@pytest.mark.skipif(sys.platform != "linux", reason="memory is told by /proc")
def test_memory_can_be_told():
    assert resident() > 10 * 2**20
