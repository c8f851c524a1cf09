"""Which rows are about a person: a user, or a subject whose user has been deleted.

The one place that decides it, for erasing and for exporting.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import Q, QuerySet

from authx.core.client_sessions import SUBJECT_PREFIX
from authx.core.user_model import username_of
from authx.models import DeviceSession, DeviceSessionQuerySet, NotBeforeMark, SessionEvent
from authx.models.exactly import is_one_of
from authx.sessions.subjects import find_subject, former_subjects, user_of_subject
from authx.store import database


@dataclass(frozen=True, slots=True)
class Person:
    """A person whom rows are about."""

    subject: str
    #: The user's primary key; None if the user has been deleted.
    key: Any = None
    username: str | None = None
    #: Their earlier subjects, if AUTHX_SUBJECT_FIELD has been changed.
    former: frozenset[str] = frozenset()

    @classmethod
    def of(cls, who: Any) -> Person:
        """Return the person of a user, or of a subject whose user may have been deleted; a person as it is.

        Raises:
            ValueError: ``who`` is None, empty, the subject of a service, or a user who is not saved.
        """
        if isinstance(who, Person):
            return who
        if isinstance(who, str) and who and "\x00" not in who and not who.startswith(SUBJECT_PREFIX):
            user = user_of_subject(who)
            return cls(who) if user is None else cls.of(user)
        key = getattr(who, "pk", None)
        if key in (None, ""):
            raise ValueError("a user who is not saved, and nobody's subject, are nobody")
        # A user without a subject has no tokens, but may have rows from before.
        owned = DeviceSession.objects.using(database.alias()).filter(user=key).order_by()
        had = set(owned.values_list("subject", flat=True).distinct())
        return cls._of_users([(who, had)])[0]

    @classmethod
    def of_deleted(cls, users: Iterable[Any], had: Mapping[Any, Collection[str]]) -> list[Person]:
        """Return the persons of users who are about to be deleted. One statement, or none.

        ``had`` holds the subjects of their sessions, by the user's primary key.
        """
        return cls._of_users([(user, had.get(user._meta.pk.to_python(user.pk), ())) for user in users])

    @classmethod
    def _of_users(cls, users: Sequence[tuple[Any, Collection[str]]]) -> list[Person]:
        return [
            cls(find_subject(user) or str(user.pk), user.pk, username_of(user), former)
            for (user, _had), former in zip(users, former_subjects(users), strict=True)
        ]

    def sessions(self) -> DeviceSessionQuerySet:
        """Return their sessions, without those of an earlier, deleted user who had the same subject."""
        sessions: DeviceSessionQuerySet = DeviceSession.objects.using(database.alias())
        if self.key is not None:
            return sessions.filter(user=self.key)
        return sessions.of_people().filter(_names(self), user=None)

    def marks(self) -> QuerySet[NotBeforeMark]:
        """Return the not-before marks on their sessions; not those on everybody's."""
        return marks_on(self)

    def attempts(self) -> Q:
        """Return the condition for events about their account without a session, such as failed logins."""
        return attempts_on(self)

    def is_known(self) -> bool:
        """Return whether there is such a user, or a row about a deleted one."""
        if self.key is not None or self.subject.startswith(SUBJECT_PREFIX):
            return self.key is not None
        rows = (self.sessions(), self.marks(), all_events().filter(self.attempts()))
        return any(found.exists() for found in rows)


def _names(*people: Person) -> Q:
    """Return the condition for rows whose subject is, or was, one of theirs."""
    subjects = sorted(set().union(*({person.subject, *person.former} for person in people)))
    return Q(subject__in=subjects) & is_one_of("subject", subjects)


def marks_on(*people: Person) -> QuerySet[NotBeforeMark]:
    """Return the not-before marks on sessions of one of them; not those on everybody's."""
    return NotBeforeMark.objects.using(database.alias()).filter(_names(*people))


def attempts_on(*people: Person) -> Q:
    """Return the condition for events without a session about the account of one of them."""
    return Q(session=None) & _names(*people)


def events_about(keys: list[Any]) -> Q:
    """Return the condition for events of these sessions of a person, whoever caused them."""
    return Q(session__in=keys)


def events_by(*keys: Any) -> Q:
    """Return the condition for events that the users with these primary keys caused, on any session."""
    return Q(actor__in=keys)


def all_events() -> QuerySet[SessionEvent]:
    """Return all events through a manager that may change them; only erasing does so."""
    return SessionEvent._base_manager.using(database.alias())
