"""authx.core.pkce: S256 alone (RFC 7636)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authx.core.pkce import challenge_of, is_challenge, is_verified, is_verifier

# RFC 7636, appendix B.
VERIFIER = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
CHALLENGE = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
UNRESERVED = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"


def test_the_rfcs_own_example():
    assert challenge_of(VERIFIER) == CHALLENGE
    assert is_verified(VERIFIER, CHALLENGE)


@given(st.text(UNRESERVED, min_size=43, max_size=128))
def test_every_verifier_has_a_challenge_that_it_alone_fits(verifier):
    assert is_verifier(verifier)
    assert is_challenge(challenge_of(verifier))
    assert is_verified(verifier, challenge_of(verifier))
    assert not is_verified(verifier[:-1] + ("a" if verifier[-1] != "a" else "b"), challenge_of(verifier))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a" * 42,
        "a" * 129,
        "a" * 43 + "\n",
        "a" * 42 + "=",
        "a" * 42 + "+",
        "a" * 42 + " ",
        "ä" * 43,
        "a" * 42 + "\0",
    ],
)
def test_no_verifier_is_of_another_form(text):
    assert not is_verifier(text)
    assert not is_verified(text, challenge_of(text))


@pytest.mark.parametrize(
    "text",
    [
        "",
        CHALLENGE[:-1],
        CHALLENGE + "A",
        CHALLENGE + "=",
        CHALLENGE + "\n",
        CHALLENGE[:-1] + "N",
        "~" * 43,
        VERIFIER[:-1] + ".",
    ],
)
def test_no_challenge_is_of_another_form(text):
    assert not is_challenge(text)


def test_a_verifier_is_not_compared_as_plain_text():
    assert not is_verified(CHALLENGE, CHALLENGE)
    assert not is_verified(VERIFIER, VERIFIER)


def test_a_challenge_of_another_alphabet_is_only_wrong():
    assert not is_verified(VERIFIER, "nothing")
