"""The catalogs of authx and of the demo: they are those of the code, and can be relied on."""

from __future__ import annotations

import ast
import gettext
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.house.test_house import ROOT, run
from tools.catalogs import HEADER, PACKAGES, PLURALS, Entry, catalog, compile_catalog, entries

#: The languages in which nothing of a package is left in English.
COMPLETE: dict[str, set[str]] = {
    "authx": set(PLURALS),
    "demo_project": set(PLURALS),
}

#: What stands for something else in a text, or is markup in it.
PLACEHOLDER = re.compile(r"%(?:\(\w+\))?[sdr]|%%|</?\w+|&\w+;")

needs_gettext = pytest.mark.skipif(
    not (shutil.which("msgfmt") and shutil.which("xgettext")), reason="no gettext on this machine"
)
every_language = pytest.mark.parametrize("language", sorted(PLURALS))
every_package = pytest.mark.parametrize("package", PACKAGES)


def translated(package: str, language: str) -> Iterator[Entry]:
    return (entry for entry in entries(catalog(ROOT / package, language)) if any(entry.forms))


@every_package
def test_there_is_a_catalog_for_every_language_and_no_other(package):
    assert {path.name for path in (ROOT / package / "locale").iterdir()} == set(PLURALS)


@needs_gettext
def test_extracting_the_texts_again_changes_nothing(tmp_path):
    """If it does: `python -m tools.catalogs`, and translate what is new."""
    for package in PACKAGES:
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    run(sys.executable, "-m", "tools.catalogs", tmp_path)
    for package in PACKAGES:
        for language in PLURALS:
            again, ours = (catalog(root / package, language).read_text() for root in (tmp_path, ROOT))
            assert again == ours, (package, language)
        assert sorted(path.name for path in (tmp_path / package / "locale").iterdir()) == sorted(PLURALS)


@every_package
def test_these_languages_are_complete(package):
    def is_complete(language: str) -> bool:
        return all(entry.is_done for entry in entries(catalog(ROOT / package, language)))

    assert {language for language in PLURALS if is_complete(language)} == COMPLETE[package]


@needs_gettext
@every_language
@every_package
def test_what_is_read_at_run_time_is_what_is_written(package, language, tmp_path):
    made = compile_catalog(catalog(ROOT / package, language), tmp_path / "django.mo")

    def read(path: Path) -> tuple[object, object]:
        with path.open("rb") as file:
            found = gettext.GNUTranslations(file)
        return found.info(), found._catalog

    assert read(catalog(ROOT / package, language).with_suffix(".mo")) == read(made)


@every_language
@every_package
def test_every_plural_form_is_written_and_used(package, language):
    formula = gettext.c2py(re.search(r"plural=(.*);", PLURALS[language])[1])
    number = int(re.search(r"nplurals=(\d)", PLURALS[language])[1])
    assert {formula(n) for n in range(1000)} == set(range(number))
    header = HEADER.format(language=language, plurals=PLURALS[language])
    assert catalog(ROOT / package, language).read_text().startswith(header)
    for entry in entries(catalog(ROOT / package, language)):
        assert len(entry.forms) == (number if len(entry.texts) == 2 else 1), entry
        assert all(entry.forms) or not any(entry.forms), f"some of its forms are missing: {entry}"


@every_language
@every_package
def test_translations_hold_what_their_texts_hold(package, language):
    """Placeholders and markup. A plural form may leave out what its number says already."""
    for entry in translated(package, language):
        wanted = sorted(PLACEHOLDER.findall(entry.texts[-1]))
        for form in entry.forms:
            found = sorted(PLACEHOLDER.findall(form))
            if len(entry.texts) == 1:
                assert found == wanted, entry
            else:
                assert set(found) <= set(wanted), entry
            edges = [(text[:1].isspace(), text[-1:].isspace()) for text in (entry.texts[0], form)]
            assert edges[0] == edges[1], f"white space at one end: {entry}"
            assert not re.search(r"<script|javascript:|\bon\w+=", form), entry


@every_language
@every_package
def test_a_text_of_several_words_is_not_left_in_english(package, language):
    """One word may be the same; a sentence is not."""
    same = [found.texts[0] for found in translated(package, language) if found.texts[0] == found.forms[0]]
    assert [text for text in same if text.count(" ") > 2] == []


def test_no_text_stands_within_an_f_string():
    """gettext's programs do not look there: it would be in no catalog, and nobody would notice."""
    markers = {"_", "gettext", "gettext_lazy", "ngettext", "pgettext"}
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            for outer in ast.walk(ast.parse(path.read_text())):
                inner = ast.walk(outer) if isinstance(outer, ast.JoinedStr) else ()
                names = {
                    node.func.id
                    for node in inner
                    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
                }
                assert not names & markers, f"{path}:{outer.lineno}"


#: Templates that still put the time that has passed into a sentence.
LEFT = {"_app.html", "_device.html", "choose.html"}


def test_no_sentence_is_made_of_parts():
    """What Django's filters return is declined in no language: "3 Tage" would have to be "vor 3 Tagen"."""
    parts = re.compile(r"\|\s*(timesince|timeuntil|pluralize)\b")
    templates = [path for package in PACKAGES for path in (ROOT / package / "templates").rglob("*.*")]
    assert {path.name for path in templates if parts.search(path.read_text())} <= LEFT
