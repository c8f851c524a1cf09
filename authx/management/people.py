"""Finds the user whom a command is about: never silently another one."""

from __future__ import annotations

import unicodedata
from typing import Any

from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.core.management.base import CommandError

from authx.conf import conf
from authx.core.user_model import username_of
from authx.sessions.people import Person
from authx.sessions.subjects import user_of_subject


def add_user_arguments(parser: Any, *, required: bool = False) -> Any:
    """Add ``--user``, ``--username`` and ``--key``, of which one may be given; return their group."""
    whose = parser.add_mutually_exclusive_group(required=required)
    whose.add_argument("--user", help="The username, as the user would type it, or the key.")
    whose.add_argument("--username", help="The username and nothing else.")
    whose.add_argument("--key", help="The key or the sub of tokens, and nothing else; also a deleted user's.")
    return whose


def find_person(options: dict[str, Any]) -> Person | None:
    """Return the person that the options name; None if none of the three was given.

    Raises:
        CommandError: there is no such person, or more than one.
    """
    ways = {
        "user": (_by_username, _by_subject, _by_key),
        "username": (_by_username,),
        "key": (_by_subject, _by_key),
    }
    for option, lookups in ways.items():
        if options.get(option) is not None:
            text = str(options[option])  # call_command(..., key=user.pk) passes it as it is
            return _one_of(text, *(find(text) for find in lookups))
    return None


def find_user(options: dict[str, Any]) -> Any:
    """Return the user that the options name; None if none of the three was given.

    Raises:
        CommandError: there is no such user, or none any more, or more than one.
    """
    person = find_person(options)
    if person is None:
        return None
    if person.key is None:
        raise CommandError(f"There is no user {person.subject!r} any more.")
    return get_user_model()._base_manager.get(pk=person.key)


def _one_of(text: str, *found: Person | None) -> Person:
    people = {(person.subject, person.key): person for person in found if person is not None}
    if not people:
        raise CommandError(f"There is no user {text!r}.")
    if len(people) > 1:
        raise CommandError(
            f"{text!r} is the username of one user and the key of another: say --username or --key."
        )
    return next(iter(people.values()))


def _by_username(username: str) -> Person | None:
    """Find by the site's own lookup; ignore a name that is equal only by the database's collation."""
    model = get_user_model()
    if "\x00" in username:  # PostgreSQL refuses it in a query, and no user has it
        return None
    try:
        user = _named(model, username)
    except (model.DoesNotExist, ValueError):
        return None
    except model.MultipleObjectsReturned as error:
        raise CommandError(f"{username!r} is the username of more than one user: say --key.") from error
    return Person.of(user) if _spelled(username_of(user)) == _spelled(username) else None


def _named(model: Any, username: str) -> Any:
    manager = model._default_manager
    if hasattr(manager, "get_by_natural_key"):
        return manager.get_by_natural_key(username)
    return manager.get(**{model.USERNAME_FIELD: username})


def _spelled(username: str) -> str:
    """Normalize case and Unicode spelling, which a site's lookup may ignore."""
    return unicodedata.normalize("NFKC", username).casefold()


def _by_subject(subject: str) -> Person | None:
    if not subject or not subject.isprintable():
        return None
    user = user_of_subject(subject)
    person = Person(subject) if user is None else Person.of(user)
    return person if person.is_known() else None


def _by_key(key: str) -> Person | None:
    """Find by primary key, where AUTHX_SUBJECT_FIELD makes another column the subject."""
    if conf.SUBJECT_FIELD is None or not key.isprintable():
        return None
    try:
        user = get_user_model()._base_manager.filter(pk=key).first()
    except (ValueError, ValidationError, OverflowError):
        return None
    return Person.of(user) if user is not None and str(user.pk) == key else None
