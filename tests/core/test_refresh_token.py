"""authx.core.refresh_token: the refresh token on the wire."""

import base64
import string
from dataclasses import FrozenInstanceError, replace
from hashlib import sha256
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from itsdangerous import Signer, base64_encode

from authx.core.derivation import derive_secret
from authx.core.refresh_token import (
    BRANCH_BITS,
    is_genuine,
    read_refresh_token,
    write_refresh_token,
)
from authx.errors import RefreshMalformed

SID = UUID("01890a5d-ac96-774b-bcce-b302099a8057")
SALT = bytes(range(16))
BRANCH = 0x0123456789AB
SECRETS = ["new" * 20, b"old" * 20]
TOKEN = write_refresh_token(SID, 7, BRANCH, SALT, SECRETS)
#: Computed apart from authx, with hmac and base64 alone.
PINNED = (
    "AYkKXayWd0u8zrMCCZqAVwAAAAcBI0VniatldjdlHpABVYbh6c1QSzxa.mkwMjwCMbyXNRI3IBDp4Y9wQsMHJoJuai98oBuIT7aE"
)
ALPHABET = string.ascii_letters + string.digits + "-_"


def sign(value: bytes, *, secret=SECRETS[0], purpose="refresh-token", salt=b"authx.refresh") -> str:
    key = derive_secret(secret, purpose)
    signer = Signer(key, salt=salt, key_derivation="hmac", digest_method=sha256)
    return signer.sign(value).decode()


def test_what_is_written_is_read():
    claims = read_refresh_token(TOKEN, SECRETS)
    assert (claims.sid, claims.generation, claims.branch) == (SID, 7, BRANCH)
    assert is_genuine(claims, SALT, SECRETS)
    with pytest.raises(FrozenInstanceError):
        claims.generation = 8


def test_the_spelling_is_pinned():
    """A release that spelled it otherwise would log everybody out."""
    assert write_refresh_token(SID, 7, BRANCH, SALT, ["secret"]) == PINNED


def test_the_same_session_generation_and_branch_give_the_same_token():
    assert write_refresh_token(SID, 7, BRANCH, SALT, SECRETS) == TOKEN
    assert len(TOKEN) == 100


@pytest.mark.parametrize(
    "other",
    [
        write_refresh_token(UUID(int=SID.int ^ 1), 7, BRANCH, SALT, SECRETS),
        write_refresh_token(SID, 7, BRANCH + 1, SALT, SECRETS),
        write_refresh_token(SID, 8, BRANCH, SALT, SECRETS),
        write_refresh_token(SID, 7, BRANCH, SALT + b"x", SECRETS),
        write_refresh_token(SID, 7, BRANCH, SALT, SECRETS[::-1]),
    ],
)
def test_any_difference_gives_another_token(other):
    assert other != TOKEN


@pytest.mark.parametrize("generation", [0, 1, 2**32 - 1])
def test_a_generation_fills_four_octets(generation):
    token = write_refresh_token(SID, generation, BRANCH, SALT, SECRETS)
    assert read_refresh_token(token, SECRETS).generation == generation


@pytest.mark.parametrize("branch", [0, 1, 2**48 - 1])
def test_a_branch_fills_six_octets(branch):
    token = write_refresh_token(SID, 7, branch, SALT, SECRETS)
    assert len(token) == len(TOKEN)
    assert read_refresh_token(token, SECRETS).branch == branch


@pytest.mark.parametrize("branch", [-1, 2**48])
def test_a_branch_beyond_six_octets_is_not_written(branch):
    with pytest.raises(OverflowError):
        write_refresh_token(SID, 7, branch, SALT, SECRETS)


def test_any_branch_fits_in_a_positive_64_bit_column():
    assert 2**BRANCH_BITS - 1 < 2**63


@pytest.mark.parametrize("generation", [-1, 2**32])
def test_a_generation_beyond_four_octets_is_not_written(generation):
    with pytest.raises(OverflowError):
        write_refresh_token(SID, generation, BRANCH, SALT, SECRETS)


def test_the_first_secret_signs_and_all_of_them_verify():
    by_old = write_refresh_token(SID, 7, BRANCH, SALT, SECRETS[1:])
    claims = read_refresh_token(by_old, SECRETS)
    assert is_genuine(claims, SALT, SECRETS)
    assert read_refresh_token(TOKEN, SECRETS[:1])
    for token, secrets in [(TOKEN, SECRETS[1:]), (by_old, SECRETS[:1]), (TOKEN, [])]:
        with pytest.raises(RefreshMalformed):
            read_refresh_token(token, secrets)


def test_the_proof_needs_the_salt_and_the_secret():
    claims = read_refresh_token(TOKEN, SECRETS)
    assert not is_genuine(claims, SALT[:-1], SECRETS)
    assert not is_genuine(claims, b"", SECRETS)
    assert not is_genuine(claims, SALT, SECRETS[1:])
    assert not is_genuine(claims, SALT, [])


@pytest.mark.parametrize(
    "change",
    [
        {"sid": UUID(int=1)},
        {"generation": 8},
        {"branch": BRANCH + 1},
        {"proof": bytes(16)},
        # The same octets, divided otherwise.
        {"generation": 0x00000701, "branch": 0x23456789AB00},
    ],
    ids=lambda change: "-".join(change),
)
def test_the_proof_is_for_one_session_one_generation_and_one_branch(change):
    claims = read_refresh_token(TOKEN, SECRETS)
    assert is_genuine(claims, SALT, SECRETS)
    assert not is_genuine(replace(claims, **change), SALT, SECRETS)


def test_a_signature_alone_proves_nothing():
    """Whoever has the secret but not the database signs, and is still found out."""
    payload = SID.bytes + (9).to_bytes(4) + bytes(6) + bytes(16)
    claims = read_refresh_token(sign(base64_encode(payload)), SECRETS)
    assert claims.generation == 9
    assert not is_genuine(claims, SALT, SECRETS)


@pytest.mark.parametrize(
    "forged",
    [
        sign(TOKEN[:56].encode(), secret="another"),
        sign(TOKEN[:56].encode(), purpose="refresh-proof"),
        sign(TOKEN[:56].encode(), purpose="ticket"),
        sign(TOKEN[:56].encode(), salt=b"authx.ticket"),
        Signer("new" * 20, salt=b"authx.refresh").sign(TOKEN[:56]).decode(),
    ],
)
def test_a_signature_made_for_anything_else_is_refused(forged):
    with pytest.raises(RefreshMalformed):
        read_refresh_token(forged, SECRETS)


@pytest.mark.parametrize("length", [0, 16, 20, 26, 36, 39, 41, 43, 45, 48])
def test_a_signed_payload_of_another_length_is_refused(length):
    with pytest.raises(RefreshMalformed):
        read_refresh_token(sign(base64_encode(bytes(length))), SECRETS)


@pytest.mark.parametrize(
    "token",
    [
        None,
        b"",
        TOKEN.encode(),
        7,
        1.5,
        [TOKEN],
        {"refresh_token": TOKEN},
        object(),
        "",
        ".",
        TOKEN[:-1],
        TOKEN[1:],
        TOKEN + "A",
        TOKEN + "=",
        TOKEN + "\n",
        "\n" + TOKEN,
        " " + TOKEN,
        TOKEN + "\0",
        TOKEN.replace(".", ":"),
        TOKEN.replace(".", ".."),
        TOKEN.replace(".", ""),
        TOKEN[:56] + ".",
        "." + TOKEN[57:],
        TOKEN[:55] + "é" + TOKEN[56:],
        TOKEN[:55] + "\ud800" + TOKEN[56:],
        TOKEN[:55] + "+" + TOKEN[56:],
        "A" * 10_000_000,
        TOKEN * 100_000,
    ],
    ids=lambda token: ascii(token)[:24] if isinstance(token, str) else type(token).__name__,
)
def test_anything_of_another_form_is_refused(token):
    with pytest.raises(RefreshMalformed):
        read_refresh_token(token, SECRETS)


def test_a_token_has_one_spelling():
    """The signature's last character carries two spare bits, which itsdangerous ignores."""
    decoded = base64.urlsafe_b64decode(TOKEN[57:] + "=")
    spellings = [
        TOKEN[:-1] + last
        for last in ALPHABET
        if base64.urlsafe_b64decode(TOKEN[57:-1] + last + "=") == decoded
    ]
    assert len(spellings) == 4
    for spelling in set(spellings) - {TOKEN}:
        with pytest.raises(RefreshMalformed):
            read_refresh_token(spelling, SECRETS)


@pytest.mark.parametrize("position", range(100))
def test_no_character_can_be_changed(position):
    for character in "A", "w", ".":
        changed = TOKEN[:position] + character + TOKEN[position + 1 :]
        if changed != TOKEN:
            with pytest.raises(RefreshMalformed):
                read_refresh_token(changed, SECRETS)


def test_neither_a_repr_nor_a_refusal_shows_a_token():
    claims = read_refresh_token(TOKEN, SECRETS)
    assert "proof" not in repr(claims)
    assert not hasattr(claims, "__dict__")
    with pytest.raises(RefreshMalformed) as refusal:
        read_refresh_token(TOKEN[:-1] + "A", SECRETS)
    assert TOKEN[:20] not in repr(refusal.value)
    assert refusal.value.__suppress_context__


@given(st.uuids(), st.integers(0, 2**32 - 1), st.integers(0, 2**48 - 1), st.binary(max_size=32))
def test_every_session_generation_and_branch_survives_the_round_trip(sid, generation, branch, salt):
    claims = read_refresh_token(write_refresh_token(sid, generation, branch, salt, SECRETS), SECRETS)
    assert (claims.sid, claims.generation, claims.branch) == (sid, generation, branch)
    assert is_genuine(claims, salt, SECRETS)


@given(st.text(ALPHABET + ".", min_size=90, max_size=110) | st.text() | st.binary())
def test_nothing_but_refresh_malformed_escapes(token):
    with pytest.raises(RefreshMalformed):
        read_refresh_token(token, SECRETS)
