"""Whom the credentials of an attempt name: every name that is tried, and the user whom it finds."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.exceptions import (
    FieldDoesNotExist,
    MultipleObjectsReturned,
    ObjectDoesNotExist,
    ValidationError,
)
from django.views.decorators.debug import sensitive_variables

from authx.core.account_name import MAX_NAME

#: What names an account in the credentials of Django's backends, allauth's and most others.
_NAMES: Final = ("username", "email", "login", "phone")
#: Credentials that are no name: what Django hides from signals, and the shorter secrets.
_SECRET: Final = re.compile("api|token|key|secret|pass|signature|pin|code|otp", re.IGNORECASE)
#: Longer than any form lets through, and than any account has: all of them are one name.
_TOO_LONG: Final = "a name that is too long"
#: What the user model makes of a name that it cannot look up.
_NOT_FOUND: Final = (
    *(ObjectDoesNotExist, MultipleObjectsReturned, ValidationError),
    *(ValueError, OverflowError),
)


@sensitive_variables("credentials")
def is_guess(credentials: Mapping[str, Any]) -> bool:
    """True if they prove something that can be guessed: a password, or a PIN or a code for an account."""
    if credentials.get("password") is not None:
        return True
    secrets = (value for key, value in credentials.items() if _SECRET.search(key))
    return bool(_known_names(credentials)) and any(value is not None for value in secrets)


@sensitive_variables("credentials")
def names_in(credentials: Mapping[str, Any]) -> dict[str, str]:
    """Every name that is tried, by its keyword: a backend may go by any of them.

    Where none of the usual keywords is there, the user model's unique columns are names; else all that is
    no secret makes one name together, for one of two alone may be a whole company's.
    """
    if known := _known_names(credentials):
        return known
    others = {
        key: value
        for key, value in sorted(credentials.items())
        if isinstance(value, str | int) and not _SECRET.search(key)
    }
    told = {key: _text(value) for key, value in others.items() if value != ""}
    unique = {key: name for key, name in told.items() if _is_unique_column(key)}
    if unique or not told:
        return unique or dict.fromkeys([key for key in others if key in _usual_names()][:1], "")
    return {"": _text(" ".join(f"{key}:{name}" for key, name in told.items()))}


def find_users(names: Mapping[str, str]) -> list[Any]:
    """The user whom each name finds, None where that is nobody."""
    return [_find(keyword, name) for keyword, name in names.items()]


def _usual_names() -> tuple[str, ...]:
    return tuple(dict.fromkeys((get_user_model().USERNAME_FIELD, *_NAMES)))


@sensitive_variables("credentials")
def _known_names(credentials: Mapping[str, Any]) -> dict[str, str]:
    found = ((keyword, credentials.get(keyword)) for keyword in _usual_names())
    return {keyword: _text(value) for keyword, value in found if value is not None and value != ""}


def _text(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 4 * MAX_NAME else _TOO_LONG


def _is_unique_column(keyword: str) -> bool:
    try:
        field: Any = get_user_model()._meta.get_field(keyword)
    except FieldDoesNotExist:
        return False
    return bool(field.concrete and not field.is_relation and field.unique)


def _find(keyword: str, name: str) -> Any:
    model = get_user_model()
    if not name or not _is_storable(name):
        return None
    email_field = model.get_email_field_name()
    has_address = bool(email_field) and email_field != model.USERNAME_FIELD
    if keyword == "email" and has_address:
        return _by_email(model, email_field, name)
    if keyword not in (model.USERNAME_FIELD, "username", "login"):
        return _by_column(model, keyword, name) if _is_unique_column(keyword) else None
    found = _by_name(model, name)
    if found is None and has_address and "@" in name and _may_go_by_address():
        return _by_email(model, email_field, name)
    return found


def _is_storable(name: str) -> bool:
    """False for what no database can be asked for."""
    return "\0" not in name and name == name.encode(errors="ignore").decode()


def _by_name(model: Any, name: str) -> Any:
    """As Django's own backend finds them; a site's own manager may know no natural keys, or other ones."""
    try:
        return model._default_manager.get_by_natural_key(name)
    except (AttributeError, TypeError):
        return _by_column(model, model.USERNAME_FIELD, name)
    except _NOT_FOUND:
        return None


def _by_column(model: Any, column: str, name: str) -> Any:
    try:
        return model._default_manager.get(**{column: name})
    except _NOT_FOUND:
        return None


def _by_email(model: Any, field: str, address: str) -> Any:
    """Where a site signs people in by their address; None if it is that of several."""
    found = model._default_manager.filter(**{f"{field}__iexact": address}).order_by()[:2]
    return found[0] if len(found) == 1 else None


def _may_go_by_address() -> bool:
    """False where Django's own backends alone decide: to them an address is no name."""
    ours = ("django.contrib.auth.", "authx.")
    return any(not path.startswith(ours) for path in settings.AUTHENTICATION_BACKENDS)
