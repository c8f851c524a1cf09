"""A verify-only service: another's keys and another's endings, fetched, kept, and never believed blindly."""

import http.server
import json
import socketserver
import ssl
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from django.core.checks import run_checks
from django.core.handlers.wsgi import WSGIHandler
from django.urls import reverse
from rest_framework.request import Request
from rest_framework.test import APIRequestFactory

from authx.api.authentication import CookieAuthentication
from authx.checks.verifier import check_verifier
from authx.conf import conf
from authx.core.access_token import write_access_token
from authx.core.keys import Key, KeySet
from authx.errors import KeyInvalid, KeyUnknown, SessionEnded, StoreUnavailable, TokenMalformed
from authx.gate import verify_access_token
from authx.gate.issuer_http import MAX_BODY_BYTES, Refused, fetch_json
from authx.gate.keys import keyring
from authx.gate.keys import remote as remote_keys_module
from authx.gate.keys.remote import COOL_DOWN_SECONDS, MAX_AGE_SECONDS, TOO_OLD_SECONDS, RemoteKeys
from authx.gate.principal import Principal
from authx.gate.revocation import sources
from authx.gate.revocation.local_copy import LocalCopy
from authx.gate.revocation.remote import IntrospectionSource, RemoteFeed
from authx.gate.revocation.window import Endings
from authx.issuer.clients import renew_secret
from authx.issuer.signing_keys import rotate, withdraw
from authx.models import ServiceClient
from authx.sessions import end_everyone, end_session, end_user_sessions, open_session
from tests.clients import create_service
from tests.core.test_access_token import CLAIMS

ROOT = Path(__file__).parents[2]
KEYS = [Key.derive("one"), Key.derive("two"), Key.derive("three")]


@pytest.fixture(autouse=True)
def _http_between_the_two(settings):
    settings.DEBUG = True


def at_once(work):
    """Run what would be a thread's."""
    work()


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


class Issuer:
    """What an issuer answers: JSON by address, or a failure; counts who asks."""

    def __init__(self, **answers):
        self.answers, self.asked, self.down = answers, [], False

    def __call__(self, url, *, form=None, authenticated=False):
        self.asked.append((url, form, authenticated))
        if self.down:
            raise StoreUnavailable("down")
        answer = self.answers[url]
        return answer(form) if callable(answer) else answer


# --- the keys


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def issuer():
    return Issuer(jwks=KeySet(KEYS[:2]).jwks())


@pytest.fixture
def keys(issuer, clock):
    return RemoteKeys("jwks", fetch=issuer, clock=clock, run_in_background=at_once)


def test_keys_are_fetched_once_and_kept(keys, issuer, clock):
    for _ in range(5):
        assert keys.find(KEYS[0].kid).kid == KEYS[0].kid
        clock.now += MAX_AGE_SECONDS / 10
    assert len(issuer.asked) == 1


def test_they_verify_what_the_issuer_signed(keys):
    from authx.core.access_token import read_signed

    assert read_signed(write_access_token(CLAIMS, KEYS[1]), keys)[0] == CLAIMS
    with pytest.raises(KeyUnknown):
        read_signed(write_access_token(CLAIMS, KEYS[2]), keys)


def test_a_flood_of_unknown_kids_is_one_fetch_per_cool_down(keys, issuer, clock):
    keys.find(KEYS[0].kid)
    for number in range(1500):
        clock.now += COOL_DOWN_SECONDS / 1000
        assert keys.find(f"nobody-{number}") is None
    assert len(issuer.asked) == 2


def test_a_new_key_is_found_when_its_first_token_comes(keys, issuer, clock):
    keys.find(KEYS[0].kid)
    issuer.answers["jwks"] = KeySet(KEYS).jwks()
    clock.now += COOL_DOWN_SECONDS
    assert keys.find(KEYS[2].kid) is not None


def test_a_key_withdrawn_is_gone_when_the_set_is_fetched_again(keys, issuer, clock):
    keys.find(KEYS[0].kid)
    issuer.answers["jwks"] = KeySet(KEYS[:1]).jwks()
    clock.now += MAX_AGE_SECONDS + 1
    assert keys.find(KEYS[1].kid) is None


def test_an_issuer_that_is_down_for_an_hour_takes_no_key_away(keys, issuer, clock):
    one = keys.find(KEYS[0].kid)
    issuer.down = True
    for _ in range(360):
        clock.now += 10
        assert keys.find(KEYS[0].kid) is one
    assert len(issuer.asked) <= 1 + (3600 - MAX_AGE_SECONDS) / COOL_DOWN_SECONDS + 1


def test_without_any_keys_nothing_is_known(keys, issuer, clock):
    issuer.down = True
    for _ in range(5):
        with pytest.raises(StoreUnavailable):
            keys.find(KEYS[0].kid)
    assert len(issuer.asked) == 1
    issuer.down = False
    clock.now += COOL_DOWN_SECONDS
    assert keys.find(KEYS[0].kid) is not None


def ask_together(keys, kid, count=6):
    """Ask in so many threads while the issuer takes its time; what each was told."""
    told, answered = [], threading.Semaphore(0)
    fetch = keys._fetch

    def slow(url):
        for _ in range(count - 1):  # until the others have an answer: who waits for this has none
            answered.acquire(timeout=0.1)
        return fetch(url)

    def ask():
        told.append(keys.find(kid))
        answered.release()

    keys._fetch = slow
    threads = [threading.Thread(target=ask) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    keys._fetch = fetch
    return told


def test_all_wait_for_a_key_that_is_new(keys, issuer, clock):
    keys.find(KEYS[0].kid)
    issuer.answers["jwks"] = KeySet(KEYS).jwks()
    clock.now += COOL_DOWN_SECONDS
    assert None not in ask_together(keys, KEYS[2].kid)
    assert len(issuer.asked) == 2


def test_after_a_long_rest_a_withdrawn_key_lets_nobody_in(keys, issuer, clock):
    keys.find(KEYS[0].kid)
    issuer.answers["jwks"] = KeySet(KEYS[:1]).jwks()
    clock.now += TOO_OLD_SECONDS + 1
    assert ask_together(keys, KEYS[1].kid) == [None] * 6
    assert len(issuer.asked) == 2


def test_nor_after_one_that_began_while_the_issuer_was_down(keys, issuer, clock):
    keys.find(KEYS[0].kid)
    issuer.down = True
    clock.now += COOL_DOWN_SECONDS
    assert keys.find("nobody") is None
    issuer.down = False
    issuer.answers["jwks"] = KeySet(KEYS[:1]).jwks()
    clock.now += TOO_OLD_SECONDS + 1
    assert ask_together(keys, KEYS[1].kid) == [None] * 6


def test_while_the_issuer_is_down_nobody_waits_for_the_key_of_a_stranger(issuer, clock):
    left = []
    keys = RemoteKeys("jwks", fetch=issuer, clock=clock, run_in_background=left.append)
    keys.find(KEYS[0].kid)
    issuer.down = True
    clock.now += COOL_DOWN_SECONDS
    assert keys.find("nobody") is None  # the one who notices
    asked = len(issuer.asked)
    for number in range(10):
        clock.now += COOL_DOWN_SECONDS
        assert keys.find(f"nobody-{number}") is None
    assert (len(issuer.asked), len(left)) == (asked, 1)
    issuer.down = False
    left.pop()()
    assert len(issuer.asked) == asked + 1


def test_a_key_that_stays_is_the_same_object(keys, issuer, clock):
    one = keys.find(KEYS[0].kid)
    issuer.answers["jwks"] = KeySet([KEYS[2], KEYS[0]]).jwks()
    clock.now += MAX_AGE_SECONDS + 1
    assert keys.find(KEYS[0].kid) is one


JWK = KEYS[0].public_jwk()
RSA_SMALL = {"kty": "RSA", "kid": "r", "alg": "RS256", "n": "AQAB" * 20, "e": "AQAB"}


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"keys": None},
        {"keys": []},
        {"keys": {"0": JWK}},
        {"keys": ["x"]},
        {"keys": [JWK, JWK]},
        {"keys": [{**JWK, "kid": ""}]},
        {"keys": [{**JWK, "kid": "k" * 65}]},
        {"keys": [{**JWK, "kid": 7}]},
        {"keys": [{**JWK, "use": "enc"}]},
        {"keys": [{**JWK, "key_ops": ["sign"]}]},
        {"keys": [{**JWK, "key_ops": "verify"}]},
        {"keys": [{**JWK, "alg": "HS256"}]},
        {"keys": [{**JWK, "alg": "RS256"}]},
        {"keys": [{**JWK, "alg": ["ES256"]}]},
        {"keys": [{**JWK, "kty": ["EC"]}]},
        {"keys": [{key: value for key, value in JWK.items() if key != "alg"}]},
        {"keys": [{**JWK, "d": "AAAA"}]},
        {"keys": [{**JWK, "x": "AAAA"}]},
        {"keys": [{**JWK, "crv": "P-384"}]},
        {"keys": [JWK, {"kty": "oct", "kid": "o", "alg": "HS256", "k": "AAAA"}]},
        {"keys": [RSA_SMALL]},
        {"keys": [{**JWK, "kid": f"k{number}"} for number in range(51)]},
    ],
)
def test_a_set_with_anything_odd_in_it_is_refused_whole(keys, issuer, clock, answer):
    keys.find(KEYS[0].kid)
    issuer.answers["jwks"] = answer
    clock.now += MAX_AGE_SECONDS + 1
    assert keys.find(KEYS[0].kid) is not None
    assert keys.find("o") is None
    alone = RemoteKeys("jwks", fetch=issuer, clock=clock)
    with pytest.raises(StoreUnavailable):
        alone.find(KEYS[0].kid)


def test_a_key_of_a_kind_yet_to_come_is_left_out(keys, issuer, clock):
    """RFC 7517 §5: the day an issuer publishes one, older services go on learning the others."""
    issuer.answers["jwks"] = {"keys": [{"kty": "AKP", "alg": "ML-DSA-44", "pub": "AAAA", "kid": "p"}, JWK]}
    assert keys.find(KEYS[0].kid) is not None
    assert keys.find("p") is None
    issuer.answers["jwks"] = {"keys": [{"kty": "AKP", "kid": "p"}]}
    with pytest.raises(StoreUnavailable):
        RemoteKeys("jwks", fetch=issuer, clock=clock).find("p")


def test_a_hung_issuer_makes_nobody_wait_who_has_the_key(issuer, clock):
    work = []
    keys = RemoteKeys("jwks", fetch=issuer, clock=clock, run_in_background=work.append)
    one = keys.find(KEYS[0].kid)
    issuer.down = True
    clock.now += MAX_AGE_SECONDS + 1
    for _ in range(3):
        assert keys.find(KEYS[0].kid) is one
    assert (len(work), len(issuer.asked)) == (1, 1)
    for _ in range(100):  # as long as it cannot be fetched
        work.pop()()
        asked = len(issuer.asked)
        clock.now += MAX_AGE_SECONDS / 3
        assert keys.find(KEYS[0].kid) is one
        assert (len(work), len(issuer.asked)) == (1, asked)
    work.clear()


def test_after_a_long_rest_a_withdrawn_key_is_not_the_first_to_be_let_in(issuer, clock):
    work = []
    keys = RemoteKeys("jwks", fetch=issuer, clock=clock, run_in_background=work.append)
    keys.find(KEYS[1].kid)
    issuer.answers["jwks"] = KeySet(KEYS[:1]).jwks()
    clock.now += TOO_OLD_SECONDS + 1
    assert keys.find(KEYS[1].kid) is None
    assert work == []


def test_threads_that_find_no_keys_fetch_them_once(issuer):
    started = threading.Barrier(8)
    slow = threading.Event()

    def fetch(url):
        slow.wait(0.2)
        return issuer(url)

    keys = RemoteKeys("jwks", fetch=fetch)
    found = []

    def find():
        started.wait()
        found.append(keys.find(KEYS[0].kid))

    threads = [threading.Thread(target=find) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(issuer.asked) == 1
    assert len(found) == 8  # those that came while it was fetched have waited
    assert len({id(key) for key in found}) == 1


def test_nobody_waits_for_keys_that_could_not_be_fetched_a_moment_ago(issuer, clock):
    keys = RemoteKeys("jwks", fetch=issuer, clock=clock, run_in_background=at_once)
    issuer.down = True
    with pytest.raises(StoreUnavailable):
        keys.find(KEYS[0].kid)
    with keys._copy.lock, pytest.raises(StoreUnavailable):  # somebody is trying again
        keys.find(KEYS[0].kid)


@pytest.mark.parametrize("key", KEYS)
def test_a_jwk_is_read_back(key):
    assert Key.from_jwk(key.public_jwk()) == key
    assert not Key.from_jwk(key.public_jwk()).can_sign
    with pytest.raises(KeyInvalid):
        Key.from_jwk({})


# --- the feed


def page(*endings, cursor="c1", whole=False, more=False, keep=4500, **odd):
    told = {"endings": list(endings), "cursor": cursor, "whole": whole, "more": more, "keep": keep}
    return told | odd


def test_a_feed_goes_on_from_its_cursor():
    issuer = Issuer(**{"f": page(["a", "kicked"], cursor="x y", whole=True)})
    feed = RemoteFeed("f", fetch=issuer)
    assert feed.read() == Endings({"a": "kicked"}, "x y", whole=True)
    issuer.answers["f?since=x+y"] = page(["b", "logout"], cursor="c2")
    assert feed.read() == Endings({"b": "logout"}, "c2", whole=False)
    assert all(authenticated for _, _, authenticated in issuer.asked)
    assert feed.keep == 4500


def test_a_feed_reads_all_pages():
    issuer = Issuer(
        **{
            "f": page(["a", "kicked"], cursor="c1", whole=True, more=True),
            "f?since=c1": page(["b", "kicked"], cursor="c2", more=True),
            "f?since=c2": page(["c", "kicked"], cursor="c3"),
        }
    )
    found = RemoteFeed("f", fetch=issuer).read()
    assert (set(found.ended), found.whole, found.position) == ({"a", "b", "c"}, True, "c3")


def test_marks_and_withdrawn_keys_are_told_by_name():
    told = page(
        ["a", "kicked"],
        whole=True,
        not_before=[["7", 12, "kicked"], [None, 9, "logout"], ["7", 10, "logout"]],
        withdrawn_keys=["k1"],
    )
    found = RemoteFeed("f", fetch=Issuer(f=told)).read()
    assert found.ended == {"a": "kicked", "@7": "12:kicked", "*": "9:logout", "!k1": ""}


def test_a_mark_names_the_session_that_it_does_not_end():
    marks = [["7", 12, "credentials_changed", "a"], ["8", 13, "", "b"]]
    found = RemoteFeed("f", fetch=Issuer(f=page(not_before=marks, whole=True))).read()
    assert found.ended == {"@7": "12:credentials_changed:a", "@8": "13::b"}


@pytest.mark.parametrize("mark", [["7", 12], ["7", 12, "kicked", "a", "b"], ["7", "12", "kicked", "a"]])
def test_a_mark_of_another_form_is_no_feed_of_ours(mark):
    with pytest.raises(StoreUnavailable):
        RemoteFeed("f", fetch=Issuer(f=page(not_before=[mark], whole=True))).read()


def test_a_later_page_may_tell_of_an_earlier_mark():
    issuer = Issuer(
        **{
            "f": page(whole=True, more=True, not_before=[[None, 7, "kicked"]]),
            "f?since=c1": page(cursor="c2", not_before=[[None, 5, "logout"]]),
        }
    )
    assert RemoteFeed("f", fetch=issuer).read().ended == {"*": "7:kicked"}


def test_a_reading_that_fails_half_way_is_begun_again():
    issuer = Issuer(**{"f": page(["a", "kicked"], cursor="c1", whole=True, more=True)})
    feed = RemoteFeed("f", fetch=issuer)
    with pytest.raises(KeyError):
        feed.read()
    issuer.answers["f?since=c1"] = page(["b", "kicked"], cursor="c2")
    assert set(feed.read().ended) == {"a", "b"}


def test_a_feed_that_never_ends_is_given_up(clock):
    issuer = Issuer(**{"f": page(more=True), "f?since=c1": page(more=True)})

    def slow(*args, **named):
        clock.now += 0.1
        return issuer(*args, **named)

    with pytest.raises(StoreUnavailable, match="not come to its end in 30 s"):
        RemoteFeed("f", fetch=slow, clock=clock).read()
    assert clock.now == pytest.approx(1030, abs=0.2)


def test_a_feed_of_more_than_a_copy_keeps_is_not_read_to_its_end(monkeypatch):
    monkeypatch.setattr("authx.gate.revocation.window.MAX_ENDINGS", 1)
    more = page(["a", "kicked"], ["b", "kicked"], whole=True, more=True)
    issuer = Issuer(**{"f": more})
    assert RemoteFeed("f", fetch=issuer).read().too_many
    assert len(issuer.asked) == 1


@pytest.mark.parametrize("reason", ['a", error="x', "a\r\nX: y", "", None, 7, "é", "x" * 33])
def test_a_reason_that_is_no_word_is_not_handed_on(reason):
    told = page(["a", reason], not_before=[["7", 1, reason]], whole=True)
    assert RemoteFeed("f", fetch=Issuer(f=told)).read().ended == {"a": "", "@7": "1:"}


def test_a_cursor_that_the_issuer_refuses_is_left(clock):
    issuer = Issuer(**{"f": page(whole=True, cursor="c1")})
    refusals = [Refused("the issuer answered 414"), StoreUnavailable("down")]

    def fetch(url, **named):
        if "since" in url:
            raise refusals[0]
        return issuer(url, **named)

    feed = RemoteFeed("f", fetch=fetch)
    feed.read()
    refusals.reverse()
    for _ in range(2):
        with pytest.raises(StoreUnavailable, match="down"):
            feed.read()
    refusals.reverse()
    with pytest.raises(StoreUnavailable, match="414"):
        feed.read()
    assert feed.read().whole


@pytest.mark.parametrize(
    "answer",
    [
        {},
        page(keep=0),
        page(keep=-1),
        page(keep="x"),
        page(keep=float("nan")),
        page(cursor=""),
        page(cursor=7),
        page(["a"]),
        page("ab", endings=None),
        page(endings=7),
        page(["a", "b", "c"]),
        page(not_before=[["7", "12", "kicked"]]),
        page(not_before=[["7", None, "kicked"]]),
        page(not_before=[["7", True, "kicked"]]),
        page(not_before=[["7", 1.5, "kicked"]]),
        page(not_before=[["7", 12]]),
        page(not_before=[["7"]]),
        page(not_before=[[]]),
        page(not_before="x"),
        page(["*", "kicked"]),
        page(["@7", "kicked"]),
        page(["!k1", ""]),
        page(not_before=7),
        page(withdrawn_keys=7),
    ],
)
def test_a_feed_that_is_odd_is_no_feed(answer):
    with pytest.raises(StoreUnavailable):
        RemoteFeed("f", fetch=Issuer(f=answer)).read()


def test_staleness_is_what_the_setting_says_and_no_more(clock):
    issuer = Issuer(**{"f": page(whole=True), "f?since=c1": page()})
    feed = RemoteFeed("f", fetch=issuer)
    copy = LocalCopy(feed, clock, keep=lambda: feed.keep)
    assert copy.entries(["a"], lag=60)[0] is None
    issuer.down = True
    clock.now += 59
    assert copy.entries(["a"], lag=60)[0] is None
    clock.now += 2
    with pytest.raises(StoreUnavailable):
        copy.entries(["a"], lag=60)[0]


def test_a_long_lag_does_not_make_a_good_issuer_late(clock):
    issuer = Issuer(**{"f": page(whole=True), "f?since=c1": page(["a", "kicked"])})
    feed = RemoteFeed("f", fetch=issuer)
    copy = LocalCopy(feed, clock, keep=lambda: feed.keep)
    copy.entries(["a"], lag=3600)[0]
    clock.now += 5.1
    assert copy.entries(["a"], lag=3600)[0] == "kicked"


# --- introspection


@pytest.mark.parametrize(
    ("told", "ended"),
    [
        ({"active": True, "sid": CLAIMS.sid, "jti": CLAIMS.jti}, False),
        ({"active": True, "sid": CLAIMS.sid, "jti": "other"}, True),
        ({"active": True}, True),
        ({"active": False}, True),
    ],
)
def test_introspection_tells_of_this_token(told, ended):
    issuer = Issuer(i=told)
    reason = IntrospectionSource("the-token", "i", fetch=issuer).answer(CLAIMS, None).reason
    assert (reason is not None) is ended
    assert issuer.asked == [("i", {"token": "the-token"}, True)]


@pytest.mark.parametrize("told", [{}, {"active": None}, {"active": "true"}, {"active": 1}])
def test_an_introspection_that_is_odd_is_none(told):
    with pytest.raises(StoreUnavailable):
        IntrospectionSource("t", "i", fetch=Issuer(i=told)).answer(CLAIMS, None)


# --- over the wire


class Odd(http.server.BaseHTTPRequestHandler):
    """A server that answers in every wrong way."""

    def do_GET(self):
        self.server.seen.append((self.path, self.headers.get("Authorization")))
        if self.path == "/redirect":
            self.send_response(302)
            self.send_header("Location", "/good")
            self.end_headers()
            return
        if self.path == "/slow":
            self.server.wait.wait(10)
        if self.path.startswith("/drip"):
            return self.drip()
        bodies = {
            "/good": b'{"a": 1}',
            "/list": b"[]",
            "/text": b"hello",
            "/deep": b"[" * 100_000,
            "/large": b'{"a": "' + b"x" * MAX_BODY_BYTES + b'"}',
            "/twice": b'{"keys": [], "keys": [1]}',
            "/wide": '{"a": 1}'.encode("utf-16"),
            "/latin": '{"a": "\xe9"}'.encode("latin-1"),
            "/slow": b"{}",
        }
        self.send_response({"/error": 500, "/part": 206}.get(self.path, 200))
        self.end_headers()
        with suppress(OSError):  # who asked had enough
            self.wfile.write(bodies.get(self.path, b"{}"))

    def drip(self):
        """An octet now and then, as long as somebody listens."""
        self.send_response(200)
        if self.path == "/drip":
            self.end_headers()
        self.flush_headers()
        with suppress(OSError):
            while not self.server.wait.wait(0.01):
                self.wfile.write(b" ")

    def log_message(self, *args):
        pass


@pytest.fixture(scope="module")
def odd():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Odd)
    server.seen, server.wait = [], threading.Event()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.wait.set()
    server.shutdown()
    thread.join()
    server.server_close()


def at(server, path):
    return f"http://127.0.0.1:{server.server_address[1]}{path}"


def test_what_is_good_is_fetched(odd, settings):
    settings.AUTHX_SERVICE_CREDENTIALS = ("a:b", "s e/c")
    assert fetch_json(at(odd, "/good"), authenticated=True) == {"a": 1}
    path, header = odd.seen[-1]
    assert path == "/good"
    import base64

    assert base64.b64decode(header.removeprefix("Basic ")) == b"a%3Ab:s+e%2Fc"


ODD = ["redirect", "list", "text", "deep", "large", "latin", "error", "part", "twice", "wide"]


@pytest.mark.parametrize("path", [f"/{name}" for name in ODD])
def test_what_is_odd_is_refused(odd, path):
    with pytest.raises(StoreUnavailable):
        fetch_json(at(odd, path))
    assert odd.seen[-1][0] == path


def test_a_slow_issuer_is_not_waited_for(odd, monkeypatch):
    monkeypatch.setattr("authx.gate.issuer_http.WAIT_TIMEOUT_SECONDS", 0.2)
    began = time.monotonic()
    with pytest.raises(StoreUnavailable):
        fetch_json(at(odd, "/slow"))
    assert time.monotonic() - began < 3


@pytest.mark.parametrize("path", ["/drip", "/drip-headers"])
def test_an_issuer_that_never_finishes_is_not_waited_for(odd, monkeypatch, path):
    monkeypatch.setattr("authx.gate.issuer_http.TOTAL_TIMEOUT_SECONDS", 0.2)
    began = time.monotonic()
    with pytest.raises(StoreUnavailable):
        fetch_json(at(odd, path))
    assert time.monotonic() - began < 3


@pytest.fixture
def tls(tmp_path):
    """The same server behind TLS, and the file of whoever vouches for its certificate."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    day = timedelta(days=1)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(datetime.now(UTC) - day)
    builder = builder.not_valid_after(datetime.now(UTC) + day)
    builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
    certificate = builder.sign(key, SHA256()).public_bytes(Encoding.PEM)
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (tmp_path / "both.pem").write_bytes(private + certificate)
    (tmp_path / "certificate.pem").write_bytes(certificate)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "both.pem")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Odd)
    server.seen, server.wait = [], threading.Event()
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"https://localhost:{server.server_address[1]}", tmp_path / "certificate.pem"
    server.wait.set()
    server.shutdown()
    thread.join()
    server.server_close()


def test_over_tls_it_is_the_issuer_and_no_other(tls, odd, monkeypatch):
    url, vouched = tls
    with pytest.raises(StoreUnavailable):  # nobody vouches for it
        fetch_json(f"{url}/good")
    monkeypatch.setenv("SSL_CERT_FILE", str(vouched))
    assert fetch_json(f"{url}/good") == {"a": 1}
    with pytest.raises(StoreUnavailable):  # for that name, they do not
        fetch_json(f"{url.replace('localhost', '127.0.0.1')}/good")
    monkeypatch.setattr("authx.gate.issuer_http.WAIT_TIMEOUT_SECONDS", 0.5)
    with pytest.raises(StoreUnavailable):  # nor for who speaks no TLS
        fetch_json(at(odd, "/good").replace("http:", "https:"))
    monkeypatch.setattr("authx.gate.issuer_http.TOTAL_TIMEOUT_SECONDS", 0.2)
    with pytest.raises(StoreUnavailable):
        fetch_json(f"{url}/drip")


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:1/", "file:///etc/passwd", "ftp://x/", "data:,{}", "nonsense", "https://["]
)
def test_what_cannot_be_fetched_is_refused(url):
    with pytest.raises(StoreUnavailable):
        fetch_json(url)


@pytest.mark.parametrize("name", ["JWKS_URL", "REVOCATIONS_URL", "INTROSPECTION_URL", "TOKEN_URL"])
def test_http_is_for_debug(settings, name, odd):
    from authx.conf import Conf

    settings.DEBUG = False
    seen = len(odd.seen)
    with pytest.raises(StoreUnavailable, match="https"):  # whoever runs no checks is stopped here
        fetch_json(at(odd, "/good"), authenticated=True)
    assert len(odd.seen) == seen

    (setting,) = (one for one in Conf.declared() if one.name == f"AUTHX_{name}")
    setattr(settings, setting.name, "http://issuer.example/jwks")
    assert setting.complaint() is not None
    settings.DEBUG = True
    assert setting.complaint() is None
    for bad in ("file:///x", "https://", "https://user:pw@x/", "https://[", "x", 7, ""):
        setattr(settings, setting.name, bad)
        assert setting.complaint() is not None


# --- the whole of it


class ThreadingServer(socketserver.ThreadingMixIn, WSGIServer):
    """Each request in a thread, and so on a connection, of its own."""

    daemon_threads = False


class Quiet(WSGIRequestHandler):
    def log_message(self, *args):
        pass


class Running:
    def __init__(self, server):
        self.url = f"http://127.0.0.1:{server.server_port}"


@pytest.fixture
def issuer_site(transactional_db):
    """The test site over HTTP, on the tests' own database."""
    server = make_server("127.0.0.1", 0, WSGIHandler(), ThreadingServer, Quiet)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield Running(server)
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def service_credentials(transactional_db):
    service, secret = create_service("orders")
    return service.client_id, secret


@pytest.fixture
def remote(settings, issuer_site, service_credentials):
    """This process, as if it were the service."""
    settings.DEBUG = True
    settings.AUTHX_REVOCATION_STORE = "remote"
    settings.AUTHX_JWKS_URL = issuer_site.url + reverse("authx-wellknown:jwks")
    settings.AUTHX_SERVICE_CREDENTIALS = service_credentials
    sources._copies.clear()
    remote_keys_module.remote_keys.cache_clear()
    yield settings
    sources._copies.clear()
    remote_keys_module.remote_keys.cache_clear()


def test_the_feed_of_a_real_issuer_ends_a_session_here(remote, issuer_site, ada):
    remote.AUTHX_REVOCATIONS_URL = issuer_site.url + reverse("authx-api:revocations")
    gone, stays = open_session(ada), open_session(ada)
    assert verify_access_token(gone.access_token).sid == gone.claims.sid
    end_session(gone.session, "kicked")
    with pytest.raises(SessionEnded, match="kicked"):
        verify_access_token(gone.access_token)
    assert verify_access_token(stays.access_token).sid == stays.claims.sid


def test_a_service_whose_credentials_are_mounted_follows_their_renewal(remote, issuer_site, ada, tmp_path):
    remote.AUTHX_REVOCATIONS_URL = issuer_site.url + reverse("authx-api:revocations")
    client_id, secret = remote.AUTHX_SERVICE_CREDENTIALS
    (tmp_path / "orders").write_text(f"{client_id}:{secret}\n")
    remote.AUTHX_SERVICE_CREDENTIALS = f"file:{tmp_path}/orders"
    opened = open_session(ada)
    assert verify_access_token(opened.access_token)
    renewed = renew_secret(ServiceClient.objects.get())
    with pytest.raises(StoreUnavailable):
        verify_access_token(opened.access_token)
    (tmp_path / "orders").write_text(f"{client_id}:{renewed}\n")
    sources._copies.clear()  # as the next reading, a moment later
    assert verify_access_token(opened.access_token)


def test_a_mark_of_a_real_issuer_ends_everybody_here_but_who_comes_after(remote, issuer_site, ada, bob):
    remote.AUTHX_REVOCATIONS_URL = issuer_site.url + reverse("authx-api:revocations")
    hers, his = open_session(ada), open_session(bob)
    assert verify_access_token(hers.access_token).era is None
    end_user_sessions(ada, "kicked")
    new = open_session(ada)
    with pytest.raises(SessionEnded, match="kicked"):
        verify_access_token(hers.access_token)
    assert verify_access_token(his.access_token)
    assert verify_access_token(new.access_token).era > 0
    end_everyone("logout")
    for one in (his, new):
        with pytest.raises(SessionEnded, match="logout"):
            verify_access_token(one.access_token)
    assert verify_access_token(open_session(bob).access_token)


def test_a_key_that_the_issuer_withdraws_is_refused_here_as_soon(remote, issuer_site, ada):
    remote.AUTHX_REVOCATIONS_URL = issuer_site.url + reverse("authx-api:revocations")
    keyring.keyset_of.cache_clear()
    key = rotate(at_once=True)
    opened = open_session(ada)
    assert verify_access_token(opened.access_token).kid == key.kid
    withdraw(key.kid)
    with pytest.raises(KeyUnknown):
        verify_access_token(opened.access_token)
    keyring.keyset_of.cache_clear()


@pytest.mark.parametrize("lag", [timedelta(seconds=5), timedelta(hours=1)])
def test_an_hour_without_the_issuer(settings, clock, monkeypatch, lag):
    """Keys go on; how old the endings may get is what the setting says, and then it is 503, not a guess."""
    settings.AUTHX_REVOCATION_STORE, settings.AUTHX_REVOCATION_LAG = "remote", lag
    settings.AUTHX_JWKS_URL, settings.AUTHX_REVOCATIONS_URL = "https://issuer/jwks", "https://issuer/f"
    settings.AUTHX_ISSUER, settings.AUTHX_AUDIENCE = CLAIMS.iss, list(CLAIMS.aud)
    settings.AUTHX_ACCESS_TOKEN_LIFETIME = timedelta(hours=3)
    began = datetime(2026, 3, 1, 12, tzinfo=UTC)
    issuer = Issuer(jwks=KeySet(KEYS[:1]).jwks(), **{"f": page(whole=True), "f?since=c1": page()})
    keys = RemoteKeys("jwks", fetch=issuer, clock=clock, run_in_background=at_once)
    feed = RemoteFeed("f", fetch=issuer)
    copy = LocalCopy(feed, clock, keep=lambda: feed.keep, run_in_background=at_once)
    monkeypatch.setattr("authx.gate.verify.remote_keys", lambda url: keys)
    monkeypatch.setitem(sources._copies, ("remote", "default"), copy)
    start = clock.now

    @cache
    def token(sid, key=KEYS[0]):
        life = {"iat": int(began.timestamp()), "exp": int(began.timestamp()) + 3 * 3600}
        return write_access_token(replace(CLAIMS, sid=sid, **life), key)

    def ask(*told):
        return verify_access_token(token(*told), now=began + timedelta(seconds=clock.now - start)).sid

    assert (ask("a"), ask("b")) == ("a", "b")
    issuer.down = True
    issuer.answers["f"] = page(["a", "kicked"], cursor="c2", whole=True)  # which nobody can read
    issuer.answers["f?since=c2"] = page(cursor="c2")
    issuer.answers["jwks"] = KeySet(KEYS[:2]).jwks()
    served = refused = 0
    while clock.now < start + 3600 - 1:
        clock.now += 1
        try:
            assert ask("b") == "b"
        except StoreUnavailable:
            refused += 1
            assert clock.now - start > lag.total_seconds()
        else:
            served += 1
            assert clock.now - start <= lag.total_seconds()
    assert (served, refused) == ((5, 3594) if lag < timedelta(minutes=1) else (3599, 0))
    with pytest.raises((KeyUnknown, StoreUnavailable)):
        ask("b", KEYS[1])
    issuer.down = False
    clock.now += COOL_DOWN_SECONDS
    assert ask("b") == "b"
    assert ask("b", KEYS[1]) == "b"
    with pytest.raises(SessionEnded, match="kicked"):
        ask("a")


def test_where_a_copy_would_be_too_large_each_token_is_asked_about(remote, issuer_site, ada, monkeypatch):
    monkeypatch.setattr("authx.gate.revocation.window.MAX_ENDINGS", 1)
    remote.AUTHX_REVOCATIONS_URL = issuer_site.url + reverse("authx-api:revocations")
    gone, stays = open_session(ada), open_session(ada)
    for _ in range(2):
        end_session(open_session(ada).session, "kicked")
    with pytest.raises(StoreUnavailable, match="too many"):
        verify_access_token(stays.access_token)
    remote.AUTHX_INTROSPECTION_URL = issuer_site.url + reverse("authx-api:introspect")
    assert verify_access_token(stays.access_token).sid == stays.claims.sid
    end_session(gone.session, "kicked")
    with pytest.raises(SessionEnded):
        verify_access_token(gone.access_token)


def test_a_lifetime_that_is_shorter_than_the_issuers_is_told_in_the_log(remote, issuer_site, ada, caplog):
    opened = open_session(ada)
    remote.AUTHX_ACCESS_TOKEN_LIFETIME = timedelta(minutes=5)
    for _ in range(2):
        with pytest.raises(TokenMalformed):
            verify_access_token(opened.access_token)
    assert caplog.text.count("live longer than our AUTHX_ACCESS_TOKEN_LIFETIME") == 1


def test_introspection_does_not_take_the_withdrawal_of_a_key_for_the_end_of_a_session(
    remote, issuer_site, ada, monkeypatch
):
    monkeypatch.setattr(remote_keys_module, "POLICY", replace(remote_keys_module.POLICY, cool_down=0.0))
    remote.AUTHX_INTROSPECTION_URL = issuer_site.url + reverse("authx-api:introspect")
    made = rotate(at_once=True)
    opened = open_session(ada)
    assert verify_access_token(opened.access_token).kid == made.kid
    withdraw(made.kid)
    with pytest.raises(KeyUnknown):
        verify_access_token(opened.access_token)


def test_its_introspection_does_too(remote, issuer_site, ada):
    remote.AUTHX_INTROSPECTION_URL = issuer_site.url + reverse("authx-api:introspect")
    gone = open_session(ada)
    assert verify_access_token(gone.access_token).sid == gone.claims.sid
    end_session(gone.session, "kicked")
    with pytest.raises(SessionEnded):
        verify_access_token(gone.access_token)


def test_a_cookie_is_introspected_as_a_bearer_token_is(remote, issuer_site, ada):
    remote.AUTHX_INTROSPECTION_URL = issuer_site.url + reverse("authx-api:introspect")
    opened = open_session(ada)

    def caller():
        request = APIRequestFactory().get("/", HTTP_COOKIE=f"{conf.ACCESS_COOKIE}={opened.access_token}")
        return CookieAuthentication().authenticate(Request(request))

    assert caller()[1].sid == opened.claims.sid
    end_session(opened.session, "kicked")
    assert caller() is None


def test_with_neither_a_token_lives_its_life(remote, ada):
    gone = open_session(ada)
    end_session(gone.session, "kicked")
    assert verify_access_token(gone.access_token).sid == gone.claims.sid


@pytest.mark.parametrize("asks", ["revocations", "introspect"])
def test_wrong_credentials_are_no_ending_and_the_log_says_so(remote, issuer_site, ada, asks, caplog):
    name = {"revocations": "AUTHX_REVOCATIONS_URL", "introspect": "AUTHX_INTROSPECTION_URL"}[asks]
    setattr(remote, name, issuer_site.url + reverse(f"authx-api:{asks}"))
    remote.AUTHX_SERVICE_CREDENTIALS = ("nobody", "nothing")
    opened = open_session(ada)
    with pytest.raises(StoreUnavailable):
        verify_access_token(opened.access_token)
    (said,) = [record.getMessage() for record in caplog.records if record.name == "authx"]
    assert name in said
    assert "401" in said
    assert opened.access_token not in said


def test_our_own_keys_sign_nothing_for_a_service(remote, ada):
    token = write_access_token(CLAIMS, KEYS[0])
    with pytest.raises(KeyUnknown):
        verify_access_token(token)
    with pytest.raises(TokenMalformed):
        verify_access_token("x")


class Service:
    """``tests.verify_only_site`` in a process of its own."""

    def __init__(self, **settings):
        command = [sys.executable, "-m", "tests.verify_only_site", json.dumps(settings)]
        self.process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def __enter__(self):
        lines = iter(self.process.stdout.readline, "")
        if not any(line == "ready\n" for line in lines):
            self.__exit__()
            pytest.fail("it did not start")
        return self

    def ask(self, token):
        self.process.stdin.write(f"{token}\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def loaded(self):
        """Which modules it should never have needed were imported after all."""
        self.process.stdin.close()
        return json.loads(self.process.stdout.readline())

    def __exit__(self, *exc):
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            stream.close()


def claims_with_roles(session):
    return {"roles": ["clerk", "buyer"], "scope": "orders:read orders:write"}


def test_a_service_without_our_tables_refuses_whom_we_kick(
    transactional_db, issuer_site, settings, service_credentials, ada
):
    settings.AUTHX_CLAIMS = f"{__name__}.claims_with_roles"
    gone, stays = open_session(ada), open_session(ada)
    with Service(
        AUTHX_JWKS_URL=issuer_site.url + reverse("authx-wellknown:jwks"),
        AUTHX_REVOCATIONS_URL=issuer_site.url + reverse("authx-api:revocations"),
        AUTHX_SERVICE_CREDENTIALS=service_credentials,
        AUTHX_REVOCATION_LAG=2,
    ) as service:
        status, told = service.ask(gone.access_token)
        assert (status, told) == (
            200,
            {
                "user": str(ada.pk),
                "name": str(ada.pk),
                "roles": ["clerk", "buyer"],
                "scopes": ["orders:read", "orders:write"],
                "sid": gone.claims.sid,
            },
        )
        end_session(gone.session, "kicked")
        ended = time.monotonic()
        while (answer := service.ask(gone.access_token))[0] == 200:
            assert time.monotonic() - ended < 20, "never refused"
        status, told = answer
        assert (status, told["code"], told["reason"]) == (401, "session_ended", "kicked")
        assert service.ask(stays.access_token)[0] == 200
        assert service.ask("garbage")[0] == 401
        assert service.loaded() == []


def test_a_service_goes_on_with_the_keys_it_has_and_not_with_old_endings(
    transactional_db, issuer_site, settings, service_credentials, ada
):
    opened = open_session(ada)
    with Service(
        AUTHX_JWKS_URL=issuer_site.url + reverse("authx-wellknown:jwks"),
        AUTHX_REVOCATIONS_URL="http://127.0.0.1:1/revocations/",
        AUTHX_SERVICE_CREDENTIALS=service_credentials,
        AUTHX_REVOCATION_LAG=0.2,
    ) as service:
        status, told = service.ask(opened.access_token)
        assert (status, told["code"]) == (503, "store_unavailable")


# --- the principal


def principal(**extra):
    return Principal(replace(CLAIMS, extra=extra))


def test_a_principal_is_what_the_token_says():
    one = principal(roles=["clerk"], scope="read write")
    assert (one.pk, one.roles, one.scopes) == (CLAIMS.sub, ("clerk",), ("read", "write"))
    assert one.is_authenticated
    assert not any((one.is_staff, one.is_superuser, one.has_perm("x"), one.has_module_perms("x")))
    assert one == principal()
    assert hash(one) == hash(principal())
    assert str(one) == one.get_username() == CLAIMS.sub
    assert principal(scope=["read", 7]).scopes == ()  # as HasScope has it


@pytest.mark.parametrize("odd", [None, 7, "admin", {"admin": True}, [["admin"]], True])
def test_odd_claims_give_no_role(odd):
    assert principal(roles=odd).roles == ()


def test_what_odd_scopes_give():
    for odd in (None, 7, {"a": 1}, True, [["a"]]):
        assert principal(scope=odd).scopes == ()


# --- the checks


def ids(found):
    return [message.id for message in found]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, []),
        ({"AUTHX_JWKS_URL": None}, ["authx.E016"]),
        ({"AUTHX_SERVICE_CREDENTIALS": None}, ["authx.E017"]),
        ({"AUTHX_REVOCATIONS_URL": None}, ["authx.W011"]),
        ({"AUTHX_REVOCATION_LAG": timedelta(0)}, ["authx.W012"]),
        ({"AUTHX_REVOCATION_STORE": "database"}, ["authx.E015"]),
        ({"AUTHX_JWKS_URL": "http://issuer.example/jwks"}, []),
    ],
)
def test_the_checks_name_the_setting_and_the_fix(settings, changes, expected):
    good = {
        "AUTHX_REVOCATION_STORE": "remote",
        "AUTHX_JWKS_URL": "https://issuer.example/.well-known/jwks.json",
        "AUTHX_REVOCATIONS_URL": "https://issuer.example/api/auth/revocations/",
        "AUTHX_SERVICE_CREDENTIALS": ("service-1", "secret"),
        "AUTHX_REVOCATION_LAG": timedelta(seconds=5),
    }
    for name, value in (good | changes).items():
        setattr(settings, name, value)
    found = check_verifier()
    assert ids(found) == expected
    assert all(message.hint for message in found)


def test_a_site_of_its_own_needs_none_of_it(db):
    assert check_verifier() == []
    assert not [id for id in ids(run_checks()) if id in {"authx.E015", "authx.E016", "authx.W011"}]
