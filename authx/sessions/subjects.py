"""Whose a token is: its ``sub``, made of the user's key or of the column that AUTHX_SUBJECT_FIELD names."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator
from typing import Any, Final
from uuid import UUID

from django.contrib.auth import get_user_model
from django.core.exceptions import FieldDoesNotExist, ImproperlyConfigured, ValidationError
from django.db import models

from authx.conf import conf
from authx.core.claims import IDENTIFIER
from authx.errors import LoginRefused
from authx.models import DeviceSession
from authx.store import database

logger = logging.getLogger("authx")

#: The largest number that every database can be asked for, and one more.
_TOO_LARGE: Final = 2**63


def subject_of(user: Any) -> str:
    """The ``sub`` of a session that ``user`` opens now, and of its tokens for all its life.

    Raises:
        LoginRefused: the user's column is empty, or holds what cannot be one.
        ImproperlyConfigured: AUTHX_SUBJECT_FIELD names no column.
    """
    subject = find_subject(user)
    if subject is None:
        name = conf.SUBJECT_FIELD or user._meta.pk.name
        logger.error("User %s cannot sign in: %s is empty, or cannot be the sub of a token.", user.pk, name)
        raise LoginRefused(f"the user's {name} is empty, or cannot be the sub of a token")
    return subject


def find_subject(user: Any) -> str | None:
    """The same; None where the user has none."""
    return _spell(subject_field(), user)


def _spell(field: Any, user: Any) -> str | None:
    try:
        value = field.to_python(getattr(user, field.attname))
    except ValidationError:
        return None
    # Others have more than one spelling, or none.
    is_plain = isinstance(value, str | int | UUID) and not isinstance(value, bool)
    text = str(value)
    return text if is_plain and IDENTIFIER.fullmatch(text) else None


def subject_field() -> Any:
    """The column of the user model that holds subjects.

    Raises:
        ImproperlyConfigured: AUTHX_SUBJECT_FIELD names none.
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
    """True if the session's subject is the key of its user."""
    return session.subject == str(session.user_id)


def sessions_of(subject: str) -> models.Q:
    """The sessions with ``subject``, and those that whoever has it now has had under another."""
    owner = user_of_subject(subject)
    return models.Q(subject=subject) | (models.Q(user=owner) if owner is not None else models.Q())


def user_of_subject(subject: str) -> Any:
    """The user of exactly this subject; None if there is none, or no more."""
    field = subject_field()
    users = get_user_model()._base_manager.using(database.alias())
    try:
        user = users.filter(**{field.attname: field.to_python(subject)}).first()
    except (ValidationError, ValueError, OverflowError):
        return None
    return user if user is not None and find_subject(user) == subject else None


def former_subjects(user: Any, had: Collection[str]) -> frozenset[str]:
    """What else events about ``user`` may name them by: ``had``, of their sessions, and the key.

    Not what another user has now.
    """
    key = () if conf.SUBJECT_FIELD is None else (str(user.pk),)
    return frozenset(
        subject
        for subject in {*had, *key} - {find_subject(user)}
        if (owner := user_of_subject(subject)) is None or owner.pk == user.pk
    )


def in_use(subjects: Collection[str]) -> set[str]:
    """Those that name somebody who is there: by subject, by key, or in a session from before a change."""
    owned = DeviceSession.objects.using(database.alias()).filter(subject__in=subjects).exclude(user=None)
    found = set(owned.order_by().values_list("subject", flat=True).distinct())
    users = get_user_model()._base_manager.using(database.alias())
    for field in {subject_field(), get_user_model()._meta.pk}:
        owners = users.filter(**{f"{field.attname}__in": list(_values(field, subjects))})
        found.update(filter(None, (_spell(field, user) for user in owners.only(field.attname))))
    return found & set(subjects)


def _values(field: Any, subjects: Collection[str]) -> Iterator[Any]:
    """What the column can be asked for."""
    for subject in subjects:
        try:
            value = field.to_python(subject)
        except (ValidationError, ValueError):
            continue
        if not isinstance(value, int) or -_TOO_LARGE <= value < _TOO_LARGE:
            yield value
