"""authx.gate.signature_cache: a signature is verified once, and nothing else is ever remembered."""

import os
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from authx.core.access_token import write_access_token
from authx.core.keys import Key, KeySet
from authx.errors import KeyUnknown, SessionEnded, TokenExpired, TokenMalformed, TokenNotForUs
from authx.gate import verify_access_token
from authx.gate.keys import keyring
from authx.gate.signature_cache import MAX_TOKENS_PER_SESSION, SignatureCache, signatures
from authx.gate.verify import read_claims
from authx.sessions import end_session, open_session
from tests.core.test_access_token import CLAIMS

NOW = CLAIMS.iat + 1
KEYS = KeySet([Key.derive("one")])


class CountingKey:
    """A key that counts how often it has verified."""

    def __init__(self, key):
        self.kid, self.alg, self._key, self.verified = key.kid, key.alg, key, 0

    def verify(self, message, signature):
        self.verified += 1
        return self._key.verify(message, signature)


class Keys:
    """A key set of counting keys, which can be withdrawn."""

    def __init__(self, *keys):
        self.held = {key.kid: CountingKey(key) for key in keys}

    def find(self, kid):
        return self.held.get(kid)


def token(sid="sid-1", jti="jti-1", key=None, **changes):
    claims = replace(CLAIMS, sid=sid, jti=jti, **changes)
    return write_access_token(claims, key or KEYS.signing)


def test_a_token_is_verified_once():
    keys, memory = Keys(KEYS.signing), SignatureCache()
    one = token()
    assert memory.read(one, keys, now=NOW) == memory.read(one, keys, now=NOW)
    assert keys.find(KEYS.signing.kid).verified == 1


@pytest.mark.parametrize("change", ["signature", "payload", "padding"])
def test_a_token_that_differs_anywhere_is_another_token(change):
    memory, one = SignatureCache(), token()
    memory.read(one, KEYS, now=NOW)
    header, payload, signature = one.split(".")
    other = {
        "signature": f"{header}.{payload}.{'A' if signature[0] != 'A' else 'B'}{signature[1:]}",
        "payload": f"{header}.{token(jti='x').split('.')[1]}.{signature}",
        "padding": f"{one}=",
    }[change]
    with pytest.raises(TokenMalformed):
        memory.read(other, KEYS, now=NOW)
    assert len(memory) == 1


def test_a_withdrawn_key_takes_its_tokens_along():
    keys, memory = Keys(KEYS.signing), SignatureCache()
    one = token()
    memory.read(one, keys, now=NOW)
    keys.held.clear()
    with pytest.raises(KeyUnknown):
        memory.read(one, keys, now=NOW)
    assert len(memory) == 0


def test_another_key_of_the_same_name_verifies_again():
    keys, memory = Keys(KEYS.signing), SignatureCache()
    one = token()
    memory.read(one, keys, now=NOW)
    keys.held[KEYS.signing.kid] = CountingKey(Key.derive("another"))
    with pytest.raises(TokenMalformed):
        memory.read(one, keys, now=NOW)


def test_what_no_key_has_signed_takes_no_room():
    memory = SignatureCache(largest=10)
    honest = token()
    memory.read(honest, KEYS, now=NOW)
    for number in range(100):
        with pytest.raises(KeyUnknown):
            memory.read(token(sid=f"s{number}", key=Key.derive("thief")), KEYS, now=NOW)
    for odd in (None, b"bytes", "", "\ud800", "a" * 9000, 7):
        with pytest.raises(TokenMalformed):
            memory.read(odd, KEYS, now=NOW)
    assert len(memory) == 1


def test_one_session_cannot_push_out_the_others():
    keys, memory = Keys(KEYS.signing), SignatureCache(largest=10)
    honest = token(sid="honest")
    memory.read(honest, keys, now=NOW)
    for number in range(50):
        memory.read(token(sid="greedy", jti=f"j{number}"), keys, now=NOW)
    assert len(memory) == 1 + MAX_TOKENS_PER_SESSION
    before = keys.find(KEYS.signing.kid).verified
    memory.read(honest, keys, now=NOW)
    assert keys.find(KEYS.signing.kid).verified == before


def test_memory_is_bounded_and_the_oldest_make_room():
    memory = SignatureCache(largest=10)
    for number in range(30):
        memory.read(token(sid=f"s{number}"), KEYS, now=NOW)
    assert len(memory) == 10
    assert len(memory._of_session) == 10


def test_the_expired_make_room_first():
    memory = SignatureCache(largest=10)
    for number in range(9):
        memory.read(token(sid=f"s{number}"), KEYS, now=NOW)
    memory.read(token(sid="later", exp=CLAIMS.exp + 600, iat=CLAIMS.iat + 600), KEYS, now=CLAIMS.exp)
    assert len(memory) == 1
    memory.read(token(sid="dead"), KEYS, now=CLAIMS.exp)
    assert len(memory) == 1


def test_threads_that_bring_one_token_leave_one_entry():
    memory, one = SignatureCache(), token()
    start = threading.Barrier(8)

    def read():
        start.wait()
        memory.read(one, KEYS, now=NOW)

    threads = [threading.Thread(target=read) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(memory) == 1
    assert [len(held) for held in memory._of_session.values()] == [1]


def test_a_forked_child_is_not_stopped_by_its_parents_lock():
    signatures.clear()
    signatures._lock.acquire()
    try:
        child = os.fork()
        if child == 0:
            try:
                signatures.read(token(), KEYS, now=NOW)
                os._exit(0 if len(signatures) == 1 else 2)
            finally:
                os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    finally:
        signatures.clear()


# --- through the gate: what is judged at each use


@pytest.fixture
def opened(ada):
    return open_session(ada, now=datetime(2026, 3, 1, 12, tzinfo=UTC))


def test_time_is_judged_at_each_use(opened):
    at = opened.now + timedelta(minutes=1)
    read_claims(opened.access_token, now=at)
    with pytest.raises(TokenExpired):
        read_claims(opened.access_token, now=at + timedelta(hours=1))
    with pytest.raises(TokenMalformed):
        read_claims(opened.access_token, now=at - timedelta(hours=1))


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("AUTHX_ISSUER", "https://elsewhere.example", TokenNotForUs),
        ("AUTHX_AUDIENCE", ["somebody else"], TokenNotForUs),
        ("AUTHX_ACCESS_TOKEN_LIFETIME", timedelta(minutes=1), TokenMalformed),
        ("SECRET_KEY", "another-secret-key-that-is-long-enough-for-anybody", KeyUnknown),
    ],
)
def test_a_setting_that_changes_is_heeded_at_once(opened, settings, name, value, error):
    at = opened.now + timedelta(minutes=1)
    read_claims(opened.access_token, now=at)
    setattr(settings, name, value)
    with pytest.raises(error):
        read_claims(opened.access_token, now=at)


def test_the_session_is_asked_for_at_each_use(opened):
    at = opened.now + timedelta(minutes=1)
    verify_access_token(opened.access_token, now=at)
    end_session(opened.session, "kicked", now=at)
    with pytest.raises(SessionEnded):
        verify_access_token(opened.access_token, now=at)


def test_the_memory_of_the_process_is_used(opened):
    at = opened.now + timedelta(minutes=1)
    signatures.clear()
    read_claims(opened.access_token, now=at)
    assert len(signatures) == 1
    assert keyring.keyset().find(next(iter(signatures._found.values()))[1].kid) is not None
