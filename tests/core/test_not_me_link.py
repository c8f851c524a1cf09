"""authx.core.not_me_link: one text names one session, for seven days, and passes for nothing else."""

from __future__ import annotations

from uuid import UUID

import pytest
from itsdangerous import base64_encode

from authx.core.derivation import signer
from authx.core.not_me_link import LIFETIME_SECONDS, read_not_me_token, write_not_me_token
from authx.errors import TokenExpired, TokenMalformed

NOW = 1_800_000_000
SECRETS = ["the site's secret", "one before it"]
SID = UUID("0190a1b2-c3d4-7e5f-8a6b-7c8d9e0f1a2b")
TEXT = write_not_me_token(SID, SECRETS, now=NOW)


def read(text, now=NOW, secrets=SECRETS):
    return read_not_me_token(text, secrets, leeway=10, now=now)


def test_what_is_written_is_read_and_fits_into_one_segment_of_an_address():
    assert read(TEXT) == SID
    assert len(TEXT) == 76
    assert not set(TEXT) & set("/?#%&+ =")


def test_any_of_the_secrets_will_do_and_no_other():
    assert read(write_not_me_token(SID, SECRETS[1:], now=NOW)) == SID
    with pytest.raises(TokenMalformed):
        read(TEXT, secrets=["another"])


@pytest.mark.parametrize("age", [-10, 0, LIFETIME_SECONDS])
def test_it_is_good_for_seven_days(age):
    assert read(TEXT, NOW + age) == SID


def test_it_is_too_old_then():
    with pytest.raises(TokenExpired):
        read(TEXT, NOW + LIFETIME_SECONDS + 1)


def test_one_from_the_future_is_none():
    with pytest.raises(TokenMalformed):
        read(TEXT, NOW - 11)


@pytest.mark.parametrize(
    "text", [None, 7, b"", "", "x", TEXT + ".", TEXT + "=", " " + TEXT, TEXT[:-1], "é" * 76, TEXT + "\n"]
)
def test_what_is_not_of_its_form_is_refused(text):
    with pytest.raises(TokenMalformed):
        read(text)


@pytest.mark.parametrize("place", range(76))
def test_no_letter_of_it_can_be_changed(place):
    for letter in "Ab9_":
        if letter != TEXT[place]:
            with pytest.raises(TokenMalformed):
                read(TEXT[:place] + letter + TEXT[place + 1 :])


@pytest.mark.parametrize("purpose", ["refresh", "socket-ticket", "login-proof", "device"])
def test_the_key_of_another_purpose_signs_none(purpose):
    payload = base64_encode(SID.bytes + NOW.to_bytes(8))
    with pytest.raises(TokenMalformed):
        read(signer(SECRETS, purpose, salt=b"authx.not-me").sign(payload).decode())
