"""authx.core.scopes: lists of scope-tokens only become shorter."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authx.core.scopes import intersection, is_scope, is_scope_token, join_scope, narrow, parse_scope
from authx.errors import OAuthError

ALLOWED = "".join(chr(code) for code in range(0x21, 0x7F) if chr(code) not in '"\\')
tokens = st.text(ALLOWED, min_size=1, max_size=20)
lists = st.lists(tokens, min_size=1, max_size=8)


def refused(*args):
    with pytest.raises(OAuthError) as refusal:
        narrow(*args)
    return refusal.value


@given(lists)
def test_what_is_joined_is_parsed_each_once_and_in_order(scopes):
    assert parse_scope(join_scope(scopes)) == tuple(dict.fromkeys(scopes))


@given(st.text(max_size=30))
def test_text_is_scope_tokens_or_refused(text):
    good = set(text) <= {*ALLOWED, " "} and bool(text.strip(" "))
    if good:
        assert all(map(is_scope_token, parse_scope(text)))
    else:
        with pytest.raises(OAuthError) as refusal:
            parse_scope(text)
        assert refusal.value.error == "invalid_scope"


@pytest.mark.parametrize("text", ["a  b", " a b", "a b ", "a a b", "a b a"])
def test_spaces_are_tolerated_and_repetition_is_dropped(text):
    assert parse_scope(text) == ("a", "b")


@pytest.mark.parametrize(
    "text", ["", " ", "a\tb", "a\nb", "a\u00a0b", 'a"', "a\\b", "ä", "a\0", "a\x7f", "\ud800", "a,b\r"]
)
def test_no_other_character_is_in_a_scope(text):
    with pytest.raises(OAuthError):
        parse_scope(text)


@pytest.mark.parametrize("value", [None, 7, True, [], ["a"], b"a", "", " a", "a ", "a  b", "a\tb"])
def test_a_claim_has_single_spaces(value):
    assert not is_scope(value)


@pytest.mark.parametrize("value", ["a", "a b", "orders:read https://x/y !#~"])
def test_a_claim_of_scope_tokens_is_a_scope(value):
    assert is_scope(value)


@pytest.mark.parametrize("value", [None, 7, "", "a b", 'a"', "a\\", "é", "a\n"])
def test_a_scope_token_is_one_word_of_its_alphabet(value):
    assert not is_scope_token(value)


@given(lists, st.sets(tokens))
def test_an_intersection_has_what_both_have_in_the_first_ones_order(scopes, others):
    found = intersection([*scopes, *others], others)
    assert set(found) == others
    assert list(found) == [name for name in dict.fromkeys([*scopes, *others]) if name in others]


@given(lists, st.lists(tokens))
def test_a_narrowed_scope_never_grows(requested, allowed):
    try:
        got = narrow(join_scope(requested), allowed)
    except OAuthError as error:
        refusal = error.error, set(requested) <= set(allowed)
    else:
        refusal = None
        assert set(got) == set(requested) <= set(allowed)
    assert refusal in (None, ("invalid_scope", False))


@pytest.mark.parametrize("requested", [None, ""])
def test_no_request_is_for_everything_once(requested):
    assert narrow(requested, ("a", "b", "a")) == ("a", "b")
    assert narrow(requested, ()) == ()


def test_a_request_of_spaces_is_not_one_for_everything():
    assert refused("  ", ("a",)).error == "invalid_scope"


def test_a_refused_scope_is_named_if_it_is_harmless():
    assert "orders:write" in refused("a orders:write", ("a",)).description
    assert "<script>" not in refused("<script>", ("a",)).description
    assert refused("A", ("a",)).error == "invalid_scope"


def test_the_alphabet_is_the_rfcs():
    assert [char for char in map(chr, range(256)) if is_scope_token(char)] == sorted(
        {*string.ascii_letters, *string.digits, *string.punctuation} - {'"', "\\"}
    )
