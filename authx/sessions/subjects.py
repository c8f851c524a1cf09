"""The ``sub`` of a token: the user's primary key, or the column that AUTHX_SUBJECT_FIELD names."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Sequence
from typing import Any, Final
from uuid import UUID

from django.contrib.auth import get_user_model
from django.core.exceptions import FieldDoesNotExist, ImproperlyConfigured, ValidationError
from django.db import models

from authx.conf import conf
from authx.core.claim_forms import IDENTIFIER
from authx.core.client_sessions import SUBJECT_PREFIX
from authx.errors import LoginRefused
from authx.models import DeviceSession
from authx.store import database

logger = logging.getLogger("authx")

#: One more than the largest number that every database accepts in a query.
_TOO_LARGE: Final = 2**63


def subject_of(user: Any) -> str:
    """Return the ``sub`` of a session that ``user`` opens now, and of all its tokens as long as it lives.

    Raises:
        LoginRefused: the user's column is empty, or holds a value that cannot be a ``sub``.
        ImproperlyConfigured: AUTHX_SUBJECT_FIELD names no column.
    """
    subject = find_subject(user)
    if subject is None:
        name = conf.SUBJECT_FIELD or user._meta.pk.name
        logger.error(
            "User %s cannot sign in: %s is empty, or cannot be the sub of a token.",
            user.pk,
            name,
            extra={"event": "subject_missing"},
        )
        raise LoginRefused(f"the user's {name} is empty, or cannot be the sub of a token")
    return subject


def find_subject(user: Any) -> str | None:
    """Return what ``subject_of`` returns; None if the user has no subject."""
    return _spell(subject_field(), user)


def _spell(field: Any, user: Any) -> str | None:
    try:
        value = field.to_python(getattr(user, field.attname))
    except ValidationError:
        return None
    # Values of other types have more than one spelling, or none.
    is_plain = isinstance(value, str | int | UUID) and not isinstance(value, bool)
    text = str(value)
    is_fit = is_plain and IDENTIFIER.fullmatch(text) and not text.startswith(SUBJECT_PREFIX)
    return text if is_fit else None


def subject_field() -> Any:
    """Return the field of the user model that holds subjects.

    Raises:
        ImproperlyConfigured: AUTHX_SUBJECT_FIELD names no column.
    """
    meta = get_user_model()._meta
    if conf.SUBJECT_FIELD is None:
        return meta.pk
    try:
        field = meta.get_field(conf.SUBJECT_FIELD)
    except FieldDoesNotExist:
        field = None
    if not isinstance(field, models.Field) or not field.concrete or field.many_to_many:
        raise ImproperlyConfigured(f"AUTHX_SUBJECT_FIELD: {meta.label} has no column {conf.SUBJECT_FIELD!r}.")
    return field


def is_key(session: DeviceSession) -> bool:
    """Return whether the session's subject is its user's primary key."""
    return session.subject == str(session.user_id)


def sessions_of(subject: str) -> models.Q:
    """Return the condition for sessions with ``subject``, or of the user who has it now under another."""
    owner = user_of_subject(subject)
    return models.Q(subject=subject) | (models.Q(user=owner) if owner is not None else models.Q())


def user_of_subject(subject: str) -> Any:
    """Return the user with exactly this subject; None if there is none, or none any more."""
    field = subject_field()
    users = get_user_model()._base_manager.using(database.alias())
    try:
        user = users.filter(**{field.attname: field.to_python(subject)}).first()
    except (ValidationError, ValueError, OverflowError):
        return None
    return user if user is not None and find_subject(user) == subject else None


def user_of_key(key: str) -> Any:
    """Return the user with this primary key, as text; None if there is none any more."""
    users = get_user_model()._base_manager.using(database.alias())
    with database.store_errors():
        return users.filter(pk=key).first()


def former_subjects(users: Sequence[tuple[Any, Collection[str]]]) -> list[frozenset[str]]:
    """Return, for each user, other subjects of events about them: of their sessions, and the primary key.

    Beside each user are the subjects of their sessions. Subjects that another user has now are left out. One
    statement, or none.
    """
    had = []
    for user, subjects in users:
        key = () if conf.SUBJECT_FIELD is None else (str(user.pk),)
        had.append({*subjects, *key} - {find_subject(user)})
    owners = _owners(set().union(*had))
    return [
        frozenset(subject for subject in subjects if owners.get(subject, user.pk) == user.pk)
        for (user, _subjects), subjects in zip(users, had, strict=True)
    ]


def _owners(subjects: Collection[str]) -> dict[str, Any]:
    """Return the primary keys of the users who have one of these subjects now, by subject."""
    if not subjects:
        return {}
    field = subject_field()
    users = get_user_model()._base_manager.using(database.alias())
    found = users.filter(**{f"{field.attname}__in": list(_values(field, subjects))}).only(field.attname)
    return {subject: user.pk for user in found if (subject := _spell(field, user)) is not None}


def in_use(subjects: Collection[str]) -> set[str]:
    """Return the subjects that name an existing user: by subject, by key, or in a session.

    A session's subject may be from before a change of AUTHX_SUBJECT_FIELD.
    """
    owned = DeviceSession.objects.using(database.alias()).filter(subject__in=subjects).exclude(user=None)
    found = set(owned.order_by().values_list("subject", flat=True).distinct())
    users = get_user_model()._base_manager.using(database.alias())
    for field in {subject_field(), get_user_model()._meta.pk}:
        owners = users.filter(**{f"{field.attname}__in": list(_values(field, subjects))})
        found.update(filter(None, (_spell(field, user) for user in owners.only(field.attname))))
    return found & set(subjects)


def _values(field: Any, subjects: Collection[str]) -> Iterator[Any]:
    """Yield those of ``subjects`` that can be compared with the column, as its values."""
    for subject in subjects:
        try:
            value = field.to_python(subject)
        except (ValidationError, ValueError):
            continue
        if not isinstance(value, int) or -_TOO_LARGE <= value < _TOO_LARGE:
            yield value
