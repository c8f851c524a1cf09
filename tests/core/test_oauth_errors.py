"""authx.errors: a refusal of the authorization server is in words that may be sent."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authx.errors import AuthorizationRefused, OAuthError, RedirectRefused


@given(st.text())
def test_a_description_has_the_characters_of_rfc_6749(text):
    error = OAuthError("invalid_request", text)
    got = error.description
    assert str(error) == got
    assert len(got) == len(text)
    assert all(char in "\x20\x21" or "\x23" <= char <= "\x5b" or "\x5d" <= char <= "\x7e" for char in got)


def test_the_rule_comes_first_where_there_is_one():
    assert OAuthError("invalid_target", "no", rule="E6").error_description == "E6: no"
    assert OAuthError("invalid_target", "no").error_description == "no"


@pytest.mark.parametrize("kind", [OAuthError, RedirectRefused, AuthorizationRefused])
def test_each_has_a_word(kind):
    assert kind().error == "invalid_request"
    assert kind("invalid_scope", "x", rule="E7").rule == "E7"


def test_what_never_redirects_is_not_what_does():
    assert not issubclass(RedirectRefused, AuthorizationRefused)
    assert not issubclass(AuthorizationRefused, RedirectRefused)
