"""authx/locale: what translators mind that gettext's programs do not see."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from tests.house.test_house import ROOT
from tools.catalogs import PACKAGES, PLURALS, catalog, entries

#: Characters that keep what is between them from turning round what is beside it (UAX #9).
FIRST_STRONG, LEFT_TO_RIGHT, END = "\u2068", "\u2066", "\u2069"
ISOLATED = re.compile(f"[{FIRST_STRONG}{LEFT_TO_RIGHT}][^{END}]*{END}|<bdi>[^<]*</bdi>")
MARKUP = re.compile(r"<[^>]*>")
#: Code, addresses and placeholders, in which a sign is no punctuation.
CODE = re.compile(r"%(?:\(\w+\))?[sd]|\{[^{}]*\}|https?://\S*|\[[^\]]*\]|\w+(?:\.\w+)*:/\w*|[\d.:*]+")
#: What a name is put in place of, which may be Latin, Arabic or Chinese.
NAMES = re.compile(r"%\((?:app|client|device|name|site|user|username|signed_in_as)\)s")


def forms(language: str) -> Iterator[str]:
    return (
        form
        for package in PACKAGES
        for entry in entries(catalog(ROOT / package, language))
        for form in entry.forms
    )


def prose(text: str) -> str:
    return CODE.sub("0", MARKUP.sub("", text))


@pytest.mark.parametrize("language", sorted(PLURALS))
def test_what_is_isolated_ends_in_its_own_text(language):
    for text in forms(language):
        assert len(re.findall(f"[{FIRST_STRONG}{LEFT_TO_RIGHT}]", text)) == text.count(END), text


def test_names_in_arabic_do_not_turn_round_what_is_beside_them():
    """A Latin name at the end of a sentence would take the stop to its other side."""
    for text in forms("ar"):
        assert not NAMES.search(ISOLATED.sub("", text)), text


def test_arabic_has_its_own_punctuation():
    for text in forms("ar"):
        assert not re.search(r"[,;?]", prose(ISOLATED.sub("", text))), text


def test_chinese_has_punctuation_of_full_width():
    for text in forms("zh_Hans"):
        assert not re.search(r"[\u3400-\u9fff] ?[,;:?!()]|[,;:?!()] ?[\u3400-\u9fff]", prose(text)), text
        assert not text.endswith((".", "?", ":")), text


def test_japanese_has_its_own_stops():
    for text in forms("ja"):
        assert not re.search(r"[\u3040-\u9fff] ?[,;?!]|[\u3040-\u9fff]\.", prose(text)), text


def test_no_line_breaks_before_a_french_colon():
    for text in forms("fr"):
        assert not re.search(r"\w[:;?!»]|[^\u00a0\u202f][:;?!»]", prose(text)), text
        assert "'" not in prose(text), text


def test_german_and_spanish_address_nobody_by_du_and_tu():
    for text in forms("de"):
        assert not re.search(r"\b(du|dein\w*|dich|dir)\b", text, re.IGNORECASE), text
    for text in forms("es"):
        assert not re.search(r"\b(tú|tu|tus|contigo)\b", text, re.IGNORECASE), text
