"""Whose data it is: a user's, or that of a subject whose user is gone.

The one place that says which rows are about a person, for erasing and for exporting.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db.models import F, Func, Q, QuerySet, Value
from django.db.models.lookups import Exact

from authx.models import DeviceSession, DeviceSessionQuerySet, NotBeforeMark, SessionEvent
from authx.sessions import database
from authx.sessions.subjects import find_subject, user_of_subject


class Octets(Func):
    """A text as its octets: MariaDB's collations take accents, case and trailing blanks for the same."""

    template = "%(expressions)s"

    def as_mysql(self, compiler: Any, connection: Any, **extra: Any) -> Any:
        return self.as_sql(compiler, connection, template="CAST(%(expressions)s AS BINARY)", **extra)


def is_exactly(column: str, text: str) -> Q:
    """True where ``column`` holds ``text`` and nothing that merely collates alike."""
    return Q(Exact(Octets(F(column)), Value(text)))


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody whom rows are about."""

    subject: str
    #: The user's primary key; None if the user is gone.
    key: Any = None
    username: str | None = None

    @classmethod
    def of(cls, who: Any) -> Person:
        """``who`` is a user, or the subject of one, gone or not; a person is that person.

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
        return cls(find_subject(who) or str(key), key, who.get_username())

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
        return Q(subject=self.subject) & is_exactly("subject", self.subject)

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
