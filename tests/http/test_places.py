"""authx.http.places and countries: where a session was signed in from, as people call it."""

import logging

import pytest
from babel import Locale
from django.utils.translation import gettext_lazy

from authx import clocks
from authx.http.countries import COUNTRIES, country_name
from authx.http.places import COMPLAINT_SECONDS, place_of
from authx.models import DeviceSession
from tools import country_names

FRANCE, NOWHERE = DeviceSession(country="FR"), DeviceSession(country="")
PLACE = f"{__name__}.place"
said = []


def place(session):
    """The site's hook: whatever a test has put into ``said``."""
    answer = said[-1]
    if isinstance(answer, Exception):
        raise answer
    return answer


@pytest.fixture
def hook(settings, monkeypatch):
    settings.AUTHX_PLACE = PLACE
    monkeypatch.setattr(f"{__name__}.said", [None])
    return said


@pytest.fixture(autouse=True)
def complaints(monkeypatch):
    """No test hears what another has complained of."""
    monkeypatch.setattr("authx.http.places._complaints._logged_at", float("-inf"))


# Countries


@pytest.mark.parametrize(
    ("code", "name"), [("FR", "France"), ("fr", "France"), ("XK", "Kosovo"), ("", ""), ("QQ", "QQ")]
)
def test_a_country_has_a_name_and_a_code_that_none_has_stands_for_itself(code, name):
    assert country_name(code) == name


def test_each_code_of_cldr_has_a_name_of_its_own():
    assigned = {code for code in Locale("en").territories if len(code) == 2 and code.isalpha()}
    exceptional = {"AC", "CP", "CQ", "DG", "EA", "EU", "EZ", "IC", "QO", "TA", "UN", "XA", "XB", "ZZ"}
    assert set(COUNTRIES) == assigned - exceptional
    assert len({str(name) for name in COUNTRIES.values()}) == len(COUNTRIES)


# The hook


def test_without_one_the_country_stands_alone():
    assert (place_of(FRANCE), place_of(NOWHERE)) == ("France", "")


@pytest.mark.parametrize(
    ("answer", "in_france", "nowhere"),
    [
        ("Lyon", "Lyon, France", "Lyon"),
        ("Lyon, France", "Lyon, France", "Lyon, France"),
        (None, "France", ""),
        ("", "France", ""),
        (" Lyon\n\x00", "Lyon, France", "Lyon"),
        (gettext_lazy("Home"), "Home, France", "Home"),
        (42, "42, France", "42"),
    ],
)
def test_what_it_says_stands_before_the_country(hook, answer, in_france, nowhere):
    hook.append(answer)
    assert (place_of(FRANCE), place_of(NOWHERE)) == (in_france, nowhere)


def test_what_is_too_long_is_cut(hook):
    hook.append("x" * 5000)
    assert len(place_of(NOWHERE)) == 100


def test_if_it_fails_the_country_stands_alone_and_the_log_says_so_once_a_minute(hook, caplog, monkeypatch):
    hook.append(LookupError("no database of addresses"))
    with caplog.at_level(logging.WARNING, "authx"):
        assert [place_of(FRANCE), place_of(NOWHERE), place_of(FRANCE)] == ["France", "", "France"]
        (record,) = caplog.records
        assert (record.event, record.exc_info[0]) == ("place_failed", LookupError)
        later = clocks.monotonic() + COMPLAINT_SECONDS
        monkeypatch.setattr(clocks, "monotonic", lambda: later)
        place_of(FRANCE)
    assert len(caplog.records) == 2


# Names in other languages

CATALOG = """\
msgid ""
msgstr "Content-Type: text/plain; charset=UTF-8\\n"

msgid "France"
msgstr ""

msgctxt "country"
msgid "France"
msgstr ""

msgctxt "country"
msgid "Côte d'Ivoire"
msgstr "von Hand"

msgctxt "country"
msgid "Atlantis"
msgstr ""
"""


def test_the_tool_fills_the_names_that_are_missing_and_nothing_else():
    found = country_names.filled(CATALOG, country_names.names_in("de"))
    assert found == CATALOG.replace(
        '"country"\nmsgid "France"\nmsgstr ""', '"country"\nmsgid "France"\nmsgstr "Frankreich"'
    )
    again = country_names.filled(found, country_names.names_in("de"), again=True)
    assert 'msgstr "von Hand"' not in again
    assert again.endswith('msgid "Atlantis"\nmsgstr ""\n')


@pytest.mark.parametrize(
    ("language", "name"), [("zh_Hans", "法国"), ("zh-hans", "法国"), ("ar", "فرنسا"), ("ja", "フランス")]
)
def test_it_knows_every_country_in_the_languages_of_catalogs(language, name):
    names = country_names.names_in(language)
    assert (len(names), names["France"]) == (len(COUNTRIES), name)
