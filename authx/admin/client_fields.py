"""Form fields of what a client is registered for: lists as lines, keys as JSON."""

from __future__ import annotations

import json
from typing import Any

from django import forms
from django.contrib.admin.widgets import AdminTextareaWidget, AdminTextInputWidget


def code_input() -> AdminTextInputWidget:
    """Return a field for what is read from the left in every language: addresses, names of code, times."""
    return AdminTextInputWidget(attrs={"dir": "ltr"})


def code_area(**attrs: Any) -> AdminTextareaWidget:
    """Return the same for several lines."""
    return AdminTextareaWidget(attrs={"dir": "ltr", **attrs})


class Lines(forms.Field):
    """Texts, one a line."""

    def __init__(self, **options: Any) -> None:
        super().__init__(required=False, widget=code_area(rows=3), **options)

    def to_python(self, value: Any) -> list[str]:
        return [line.strip() for line in (value or "").splitlines() if line.strip()]

    def prepare_value(self, value: Any) -> Any:
        return "\n".join(value) if isinstance(value, list) else value


class KeysField(forms.JSONField):
    """A JWK set, laid out to be read."""

    def prepare_value(self, value: Any) -> Any:
        if value is None or isinstance(value, str):
            return value
        return json.dumps(value, indent=2)
