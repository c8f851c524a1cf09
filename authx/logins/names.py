"""The names in the credentials of an attempt, and the user that each of them finds."""

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

from authx.core.account_name import MAX_NAME_LENGTH

#: The keywords that name an account in the credentials of Django's backends, allauth's and most others.
_NAMES: Final = ("username", "email", "login", "phone")
#: Keywords of credentials that are no name: those that Django hides from signals, and those of short secrets.
_SECRET: Final = re.compile("api|token|key|secret|pass|signature|pin|code|otp", re.IGNORECASE)
#: Stands for every name that is longer than any form accepts and any account has: they count as one.
_TOO_LONG: Final = "a name that is too long"
#: The errors of a lookup by a name that finds no user, or several.
_NOT_FOUND: Final = (
    *(ObjectDoesNotExist, MultipleObjectsReturned, ValidationError),
    *(ValueError, OverflowError),
)


@sensitive_variables("credentials")
def is_guess(credentials: Mapping[str, Any]) -> bool:
    """Return whether they hold something that can be guessed: a password, or an account's PIN or code."""
    if credentials.get("password") is not None:
        return True
    secrets = (value for key, value in credentials.items() if _SECRET.search(key))
    return bool(_known_names(credentials)) and any(value is not None for value in secrets)


@sensitive_variables("credentials")
def names_in(credentials: Mapping[str, Any]) -> dict[str, str]:
    """Return every name that is tried, by its keyword: a backend may look up any of them.

    Without any of the usual keywords, the user model's unique columns are the names; without those either,
    all values that are not secret form one name, for a single one of them may be shared by a whole company.
    """
    if known := _known_names(credentials):
        return known
    others = {
        key: value
        for key, value in sorted(credentials.items())
        if isinstance(value, str | int) and not _SECRET.search(key)
    }
    named = {key: _text(value) for key, value in others.items() if value != ""}
    unique = {key: name for key, name in named.items() if _is_unique_column(key)}
    if unique or not named:
        return unique or dict.fromkeys([key for key in others if key in _usual_names()][:1], "")
    return {"": _text(" ".join(f"{key}:{name}" for key, name in named.items()))}


def find_users(names: Mapping[str, str]) -> list[Any]:
    """Return the user that each name finds, in order; None for a name that finds nobody."""
    return [_find(keyword, name) for keyword, name in names.items()]


def _usual_names() -> tuple[str, ...]:
    return tuple(dict.fromkeys((get_user_model().USERNAME_FIELD, *_NAMES)))


def _known_names(credentials: Mapping[str, Any]) -> dict[str, str]:  # its callers hide them in error reports
    found = ((keyword, credentials.get(keyword)) for keyword in _usual_names())
    return {keyword: _text(value) for keyword, value in found if value is not None and value != ""}


def _text(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 4 * MAX_NAME_LENGTH else _TOO_LONG


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
    email_field = _email_field(model)
    if keyword in (model.USERNAME_FIELD, "username", "login"):
        found = _by_name(model, name)
        if found is None and email_field and "@" in name and _may_go_by_address():
            return _by_email(model, email_field, name)
        return found
    if keyword == "email" and email_field:
        return _by_email(model, email_field, name)
    return _by_column(model, keyword, name) if _is_unique_column(keyword) else None


def _email_field(model: Any) -> str:
    """Return the column with addresses; ``""`` if there is none beside the name to sign in with."""
    found = getattr(model, "get_email_field_name", None)
    name: str = "" if found is None else found()
    columns = {field.name for field in model._meta.concrete_fields} - {model.USERNAME_FIELD}
    return name if name in columns else ""


def _is_storable(name: str) -> bool:
    """Return False for a name that no database accepts in a query."""
    return "\0" not in name and name == name.encode(errors="ignore").decode()


def _by_name(model: Any, name: str) -> Any:
    """Find the user as Django's own backend does; a site's manager may have no natural keys, or others."""
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
    """Find the user where a site signs people in by their address; None if several users have it."""
    found = model._default_manager.filter(**{f"{field}__iexact": address}).order_by()[:2]
    return found[0] if len(found) == 1 else None


def _may_go_by_address() -> bool:
    """Return whether a backend of others may accept an address as a name; Django's and authx's do not."""
    ours = ("django.contrib.auth.", "authx.")
    return any(not path.startswith(ours) for path in settings.AUTHENTICATION_BACKENDS)
