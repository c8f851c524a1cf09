"""authx.http.words: what people read for machine words, in the language that is active."""

import pytest
from django.utils.translation import gettext_lazy, override

from authx.http.refusals import body_of
from authx.http.words import device_type, methods, together
from tests.texts.marks import mark


@pytest.fixture(autouse=True)
def _in_marks(monkeypatch):
    mark("de", monkeypatch)
    with override("de"):
        yield


@pytest.fixture
def labels(settings):
    settings.AUTHX_DEVICE_TYPES = ("web", "tv", "fridge", "ios", "other")
    settings.AUTHX_DEVICE_TYPE_LABELS = {"tv": gettext_lazy("Unknown device"), "ios": "Telephone"}


def test_a_site_has_words_for_its_own_types_and_for_ours(labels):
    assert [str(device_type(name)) for name in ("web", "tv", "fridge", "ios")] == [
        "⟦Browser⟧",
        "⟦Unknown device⟧",
        "fridge",
        "Telephone",
    ]


def test_a_session_that_was_replaced_names_the_type_in_these_words(labels):
    assert "Telephone" in body_of("session_ended", "replaced", "ios")["detail"]


def test_methods_that_nobody_knows_are_shown_as_they_are():
    assert methods(["pwd", "card"]) == "⟦password⟧, card"


def test_two_sentences_stand_as_the_language_writes_them():
    assert together("One.", "Two.") == "⟦One. Two.⟧"
    assert together("One.", "") == "One."
