"""authx.core.socket_ticket: one text says one thing, for half a minute."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import pytest
from itsdangerous import base64_encode

from authx.core.derivation import signer
from authx.core.socket_ticket import LIFETIME_SECONDS, NO_ORIGIN, SocketTicket, hash_of, read_ticket
from authx.errors import TokenExpired, TokenMalformed

NOW = 1_800_000_000
SECRETS = ["the site's secret", "one before it"]
LEEWAY = timedelta(seconds=10)
TICKET = SocketTicket(
    sid=UUID("0190a1b2-c3d4-7e5f-8a6b-7c8d9e0f1a2b"),
    sub="42",
    kid="k" * 43,
    era=7,
    exp=NOW + 900,
    iat=NOW,
    origin=hash_of("https://app.example"),
    nonce=bytes(range(12)),
)


def read(text, now=NOW, secrets=SECRETS):
    return read_ticket(text, secrets, leeway=LEEWAY, now=now)


def test_what_is_written_is_read():
    text = TICKET.write(SECRETS)
    assert read(text) == TICKET
    assert len(text) <= 200


@pytest.mark.parametrize("sub", ["1", "é" * 255, "a.b c"])
def test_a_subject_of_any_form_fits(sub):
    from dataclasses import replace

    ticket = replace(TICKET, sub=sub, kid="", origin=NO_ORIGIN)
    assert read(ticket.write(SECRETS)) == ticket


def test_any_of_the_secrets_will_do_and_no_other():
    text = TICKET.write(SECRETS[1:])
    assert read(text) == TICKET
    with pytest.raises(TokenMalformed):
        read(text, secrets=["another"])


@pytest.mark.parametrize("age", [-10, 0, LIFETIME_SECONDS])
def test_it_is_good_for_half_a_minute(age):
    assert read(TICKET.write(SECRETS), NOW + age) == TICKET


def test_it_is_too_old_then():
    with pytest.raises(TokenExpired):
        read(TICKET.write(SECRETS), NOW + LIFETIME_SECONDS + 1)


def test_it_is_not_from_the_future():
    with pytest.raises(TokenMalformed):
        read(TICKET.write(SECRETS), NOW - 11)


def test_it_dies_with_the_token_that_it_stands_for():
    from dataclasses import replace

    text = replace(TICKET, exp=NOW + 5).write(SECRETS)
    assert read(text, NOW + 14)
    with pytest.raises(TokenExpired):
        read(text, NOW + 15)


def test_it_is_for_one_origin():
    assert TICKET.is_from("https://app.example")
    for other in ("", "null", "https://app.example:8443", "http://app.example", "https://APP.example"):
        assert not TICKET.is_from(other)
    from dataclasses import replace

    assert replace(TICKET, origin=NO_ORIGIN).is_from("")
    assert not replace(TICKET, origin=NO_ORIGIN).is_from("https://app.example")


def spoiled():
    text = TICKET.write(SECRETS)
    payload, signature = text.split(".")
    yield from (
        None,
        7,
        b"x",
        "",
        "x",
        text.encode(),
        f" {text}",
        f"{text} ",
        f"{text}=",
        f"{text}.x",
        text[:-1],
    )
    yield from (payload, signature, f"{payload}.", f".{signature}", f"{payload[::-1]}.{signature}")
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    last = letters[letters.index(text[-1]) + 1]
    yield text[:-1] + last  # the same octets, by spare bits
    yield "x" * 100_000


@pytest.mark.parametrize("text", list(spoiled()), ids=lambda text: repr(text)[-20:])
def test_nothing_else_is_one(text):
    with pytest.raises(TokenMalformed):
        read(text)


def test_it_is_of_its_own_purpose_alone():
    payload = TICKET.write(SECRETS).partition(".")[0]
    for purpose, salt in (("refresh-token", b"authx.refresh"), ("socket-ticket", b"authx.refresh")):
        with pytest.raises(TokenMalformed):
            read(signer(SECRETS, purpose, salt=salt).sign(payload).decode())


def test_its_name_does_not_depend_on_its_spelling_nor_reveal_it():
    assert len(TICKET.name) == 32
    assert TICKET.name not in TICKET.write(SECRETS)
    assert read(TICKET.write(SECRETS[::-1])).name == TICKET.name
    assert base64_encode(TICKET.name.encode()).decode() not in TICKET.write(SECRETS)
