"""Whose data it is: a user's, or that of a subject whose user is gone.

The one place that says which rows are about a person, for erasing and for exporting.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import reduce
from operator import or_
from typing import Any

from django.db.models import Q, QuerySet

from authx.models import DeviceSession, DeviceSessionQuerySet, NotBeforeMark, SessionEvent
from authx.models.exactly import is_exactly
from authx.sessions.subjects import find_subject, former_subjects, user_of_subject
from authx.store import database


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody whom rows are about."""

    subject: str
    #: The user's primary key; None if the user is gone.
    key: Any = None
    username: str | None = None
    #: What they were named by before, where AUTHX_SUBJECT_FIELD has been changed.
    former: frozenset[str] = frozenset()

    @classmethod
    def of(cls, who: Any, *, had: Collection[str] | None = None) -> Person:
        """``who`` is a user, or the subject of one, gone or not; a person is that person.

        ``had`` are the subjects of a user's sessions, where they have been read.

        Raises:
            ValueError: it is None, empty, or a user who is not saved.
        """
        if isinstance(who, Person):
            return who
        if isinstance(who, str) and who and "\x00" not in who:
            user = user_of_subject(who)
            return cls(who) if user is None else cls.of(user)
        key = getattr(who, "pk", None)
        if key in (None, ""):
            raise ValueError("a user who is not saved, and nobody's subject, are nobody")
        # Who cannot be named by a subject, and so has no tokens, may have rows from before all the same.
        if had is None:
            owned = DeviceSession.objects.using(database.alias()).filter(user=key).order_by()
            had = set(owned.values_list("subject", flat=True).distinct())
        return cls(find_subject(who) or str(key), key, who.get_username(), former_subjects(who, had))

    def sessions(self) -> DeviceSessionQuerySet:
        """Their sessions. Of a subject used twice, those of the earlier user are not the later one's."""
        sessions: DeviceSessionQuerySet = DeviceSession.objects.using(database.alias())
        if self.key is not None:
            return sessions.filter(user=self.key)
        return sessions.filter(self._is_named(), user=None)

    def marks(self) -> QuerySet[NotBeforeMark]:
        """The marks that ended their sessions alone."""
        return NotBeforeMark.objects.using(database.alias()).filter(self._is_named())

    def attempts(self) -> Q:
        """The events of no session that are about their account, such as failed logins."""
        return Q(session=None) & self._is_named()

    def _is_named(self) -> Q:
        subjects = [self.subject, *sorted(self.former)]
        exactly = reduce(or_, (is_exactly("subject", subject) for subject in subjects))
        return Q(subject__in=subjects) & exactly

    def is_known(self) -> bool:
        """True if there is such a user, or a row about one who is gone."""
        rows = (self.sessions(), self.marks(), all_events().filter(self.attempts()))
        return self.key is not None or any(found.exists() for found in rows)


def events_about(keys: list[Any]) -> Q:
    """The events of these sessions of a person, whoever caused them."""
    return Q(session__in=keys)


def events_by(key: Any) -> Q:
    """The events that the user of this primary key caused, on whosever session."""
    return Q(actor=key)


def all_events() -> QuerySet[SessionEvent]:
    """All events, through a manager that may change them: for erasing alone."""
    return SessionEvent._base_manager.using(database.alias())
