"""A form field for a number that stands on the page, typed or copied as it stands there."""

from __future__ import annotations

import re
from typing import Any, Final
from unicodedata import normalize

from django import forms
from django.utils.formats import get_format

#: What parts thousands in one language or another. Every kind of space is a plain one here (see ``_plain``).
_SEPARATORS: Final = (" ", ",", ".", "'", "’", "٬", "،", "、", "_")  # noqa: RUF001
#: Marks of the direction of writing, which are copied along and not seen.
_MARKS: Final = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")


class ShownNumberField(forms.IntegerField):
    """A whole number with or without separators, whichever language it is written in, in any digits."""

    def to_python(self, value: Any) -> int | None:
        if value in self.empty_values:
            return None
        number = number_in(str(value))
        if number is None:
            raise forms.ValidationError(self.error_messages["invalid"], code="invalid")
        return number


def number_in(text: str) -> int | None:
    """Return the whole number that ``text`` is; None if it is none.

    A page may show it by another language's rules than those that whoever types it knows. So a separator of
    any language will do where thousands are parted: the same one throughout, before three digits at last
    (four by some Chinese and Japanese rules, and before that two in India).
    """
    separators = {*_SEPARATORS, _plain(get_format("THOUSAND_SEPARATOR"))} - {""}
    one = "|".join(re.escape(separator) for separator in separators)
    found = re.fullmatch(rf"\d{{1,18}}|\d{{1,4}}({one})(?:\d{{2,4}}\1){{0,5}}\d{{3,4}}", _plain(text).strip())
    return int("".join(re.findall(r"\d", found[0]))) if found else None


def _plain(text: str) -> str:
    """Return the text without what is not seen, and with spaces and the full-width forms of Asia as ASCII."""
    return normalize("NFKC", _MARKS.sub("", text))
