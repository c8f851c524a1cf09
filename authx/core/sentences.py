"""English sentences that know what they were made of, so that they can be said in another language."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class Sentence(str):
    """A text, with its template and the values in it; some of these may be sentences themselves."""

    template: str
    values: dict[str, Any]

    def translated(self, translate: Callable[[str], str]) -> str:
        """Return it with the template that ``translate`` returns for its own."""
        values = {
            name: value.translated(translate) if isinstance(value, Sentence) else value
            for name, value in self.values.items()
        }
        text = translate(self.template) if self.template else ""  # "" is the catalog's header
        return text % values if values else text


def sentence(template: str, **values: Any) -> Sentence:
    """Return the template with its values. Imported as ``_``, so that gettext finds the template."""
    made = Sentence(template % values if values else template)
    made.template, made.values = template, values
    return made


class Problem(str):
    """What is wrong with a field: a sentence that begins with the field's name."""

    field: str
    text: Sentence

    @classmethod
    def of(cls, field: str, text: Sentence) -> Problem:
        """Return the problem that ``text`` says, half a sentence to be read after the field's name."""
        made = cls(f"{field}: {text}.")
        made.field, made.text = field, text
        return made
