"""System check: whether the column that AUTHX_SUBJECT_FIELD names can identify a token's user."""

from __future__ import annotations

from typing import Any

from django.core.checks import CheckMessage, Error, Warning
from django.core.exceptions import ImproperlyConfigured
from django.db import models

from authx.conf import conf
from authx.sessions.subjects import subject_field

#: Fields whose values have no form as text, or more than one.
_UNFIT = (
    models.BinaryField,
    models.BooleanField,
    models.DateField,
    models.DecimalField,
    models.DurationField,
    models.FileField,
    models.FloatField,
    models.JSONField,
    models.TimeField,
)
_HINT = "Name a UUIDField(default=uuid.uuid4, unique=True, editable=False), say; None is the user's key."


def check_subject_field(**kwargs: Any) -> list[CheckMessage]:
    """Demand a unique column of identifiers; warn if it may be empty or edited."""
    if not conf.is_valid() or conf.SUBJECT_FIELD is None:
        return []
    try:
        field = subject_field()
    except ImproperlyConfigured as error:
        return [Error(str(error), hint=_HINT, id="authx.E021")]
    name = f"AUTHX_SUBJECT_FIELD names {field}"
    if isinstance(field, _UNFIT):
        return [Error(f"{name}, whose values are no identifiers.", hint=_HINT, id="authx.E021")]
    if not _is_unique(field):
        return [Error(f"{name}, which is not unique: two users may be one.", hint=_HINT, id="authx.E021")]
    return [Warning(f"{name}, {doubt}.", hint=_HINT, id="authx.W021") for doubt in _doubts(field)]


def _is_unique(field: Any) -> bool:
    """Return whether it is unique, by itself or by a constraint on it alone without a condition."""
    total = field.model._meta.total_unique_constraints
    return field.unique or any(constraint.fields == (field.name,) for constraint in total)


def _doubts(field: Any) -> list[str]:
    found = []
    if field.null:
        found.append("which may be empty: users without a value cannot sign in")
    if field.editable and not field.has_default() and not field.primary_key:
        found.append("which can be edited: to services, whoever takes over a value is the user who had it")
    return found
