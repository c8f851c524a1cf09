"""authx.core.account_name: one spelling for everything that may name the same account."""

import pytest

from authx.core.account_name import MAX_NAME_LENGTH, fold_account_name


@pytest.mark.parametrize(
    ("spelled", "folded"),
    [
        ("Ada", "ada"),
        ("Straße", "strasse"),
        ("\uff21da", "ada"),  # full width
        ("\u00c1da", "ada"),
        ("A\u0301da", "ada"),
        ("a\u0345da", "a\u03b9da"),  # a mark that folds to a letter
        (" a\tda\u3000", "ada"),
        ("a\u200bd\u202ea\x00", "ada"),
        ("\ud800a\ue000", "a"),  # half a pair, and one for private use
        ("a.d-a_1@example.com", "a.d-a_1@example.com"),
        ("電話", "電話"),
        ("ада", "ада"),
        ("", ""),
        (" \u0301\u200b", ""),
    ],
    ids=ascii,
)
def test_case_accents_width_and_what_nobody_sees_make_no_difference(spelled, folded):
    assert fold_account_name(spelled) == folded


@pytest.mark.parametrize(
    ("letters", "as_"),
    [
        *[("\u0131\u0130", "ii"), ("øØ", "oo"), ("łŁ", "ll"), ("đĐ", "dd"), ("ðÐ", "dd"), ("ħĦ", "hh")],
        *[("ŧŦ", "tt"), ("æÆ", "aeae"), ("œŒ", "oeoe"), ("þÞ", "thth"), ("ǽ", "ae"), ("ǿ", "o")],
    ],
    ids=ascii,
)
def test_letters_that_a_database_takes_for_others_become_those(letters, as_):
    assert fold_account_name(letters) == as_


def test_folding_what_is_folded_changes_nothing():
    for character in map(chr, range(0x30000)):
        folded = fold_account_name(character)
        assert fold_account_name(folded) == folded, ascii(character)


def test_a_name_is_cut_as_no_account_has_a_longer_one():
    assert MAX_NAME_LENGTH == 254
    assert fold_account_name("x" * 253 + "yz") == "x" * 253 + "y"
    assert fold_account_name("\ufdfa" * 100) == fold_account_name("\ufdfa" * 1000)
    assert len(fold_account_name("\ufdfa" * 100)) == 254


def test_what_nobody_sees_does_not_push_out_what_they_do_up_to_four_times_the_length():
    assert fold_account_name("\u200b" * 1015 + "yz") == "y"
    assert fold_account_name("\u200b" * 1016 + "yz") == ""
