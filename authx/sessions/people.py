"""Which rows are about a person: a user, or a subject whose user has been deleted.

The one place that decides it, for erasing and for exporting.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import reduce
from operator import or_
from typing import Any

from django.db.models import Q, QuerySet

from authx.core.user_model import username_of
from authx.models import DeviceSession, DeviceSessionQuerySet, NotBeforeMark, SessionEvent
from authx.models.exactly import is_exactly
from authx.sessions.subjects import OF_SERVICES, find_subject, former_subjects, user_of_subject
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
    def of(cls, who: Any, *, had: Collection[str] | None = None) -> Person:
        """Return the person of a user, or of a subject whose user may have been deleted; a person as it is.

        ``had`` holds the subjects of a user's sessions, if they have been read.

        Raises:
            ValueError: ``who`` is None, empty, the subject of a service, or a user who is not saved.
        """
        if isinstance(who, Person):
            return who
        if isinstance(who, str) and who and "\x00" not in who and not who.startswith(OF_SERVICES):
            user = user_of_subject(who)
            return cls(who) if user is None else cls.of(user)
        key = getattr(who, "pk", None)
        if key in (None, ""):
            raise ValueError("a user who is not saved, and nobody's subject, are nobody")
        # A user without a subject has no tokens, but may have rows from before.
        if had is None:
            owned = DeviceSession.objects.using(database.alias()).filter(user=key).order_by()
            had = set(owned.values_list("subject", flat=True).distinct())
        return cls(find_subject(who) or str(key), key, username_of(who), former_subjects(who, had))

    def sessions(self) -> DeviceSessionQuerySet:
        """Return their sessions, without those of an earlier, deleted user who had the same subject."""
        sessions: DeviceSessionQuerySet = DeviceSession.objects.using(database.alias())
        if self.key is not None:
            return sessions.filter(user=self.key)
        return sessions.of_people().filter(self._is_named(), user=None)

    def marks(self) -> QuerySet[NotBeforeMark]:
        """Return the not-before marks on their sessions; not those on everybody's."""
        return NotBeforeMark.objects.using(database.alias()).filter(self._is_named())

    def attempts(self) -> Q:
        """Return the condition for events about their account without a session, such as failed logins."""
        return Q(session=None) & self._is_named()

    def _is_named(self) -> Q:
        subjects = [self.subject, *sorted(self.former)]
        exactly = reduce(or_, (is_exactly("subject", subject) for subject in subjects))
        return Q(subject__in=subjects) & exactly

    def is_known(self) -> bool:
        """Return whether there is such a user, or a row about a deleted one."""
        if self.key is not None or self.subject.startswith(OF_SERVICES):
            return self.key is not None
        rows = (self.sessions(), self.marks(), all_events().filter(self.attempts()))
        return any(found.exists() for found in rows)


def events_about(keys: list[Any]) -> Q:
    """Return the condition for events of these sessions of a person, whoever caused them."""
    return Q(session__in=keys)


def events_by(key: Any) -> Q:
    """Return the condition for events that the user with this primary key caused, on any session."""
    return Q(actor=key)


def all_events() -> QuerySet[SessionEvent]:
    """Return all events through a manager that may change them; only erasing does so."""
    return SessionEvent._base_manager.using(database.alias())
