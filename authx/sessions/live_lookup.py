"""Find a live session with its user: the statement of every API request, with as few columns as it needs.

Each column costs time, and each timestamp five microseconds: what can be judged by the database is. Anything
but a session that is plainly live is left to ``lookup``, whose answer says why.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any
from uuid import UUID

from django.contrib.auth import get_user_model
from django.db import models
from django.db.models import Case, Exists, F, Q, When

from authx.core.claims import AccessClaims
from authx.models import DeviceSession, SigningKey
from authx.sessions.activity import record_what_is_due
from authx.sessions.last_seen import LAST_SEEN_INTERVAL
from authx.store import database
from authx.store.compiled import Compiled, Given, Parameter, names_of
from authx.store.database import DatabaseNow

#: The columns by which a session is judged, beside those that the statement judges by itself.
_COLUMNS = ("subject", "client_id", "backend", "fingerprint", "generation")
_SECONDS = int(LAST_SEEN_INTERVAL.total_seconds())


@dataclass(frozen=True, slots=True)
class LiveSession:
    """What a request has to know of a session that no end, mark, limit or withdrawn key stands against.

    The rest of its row is read where somebody asks for it. Whether its user may still use it is not judged.
    """

    user: Any
    #: The alias of the database that it was read from.
    database: str
    subject: str
    client_id: str
    backend: str
    fingerprint: str
    generation: int
    #: Whether that generation has not been confirmed, and whether the session was last seen a minute ago.
    is_pending: bool
    is_unseen: bool
    #: The database's clock, where one of the two is to be recorded; None elsewhere.
    now: datetime | None

    @property
    def is_of_a_service(self) -> bool:
        """Return False: a service has no user, and such a session is not found here."""
        return False

    def record_use(self, claims: AccessClaims) -> None:
        """Record that the client used its token, as ``activity.record_use`` does."""
        if self.now is not None:
            pending, unseen = self.is_pending, self.is_unseen
            record_what_is_due(claims, self.generation, is_pending=pending, is_unseen=unseen, now=self.now)


class _Ago(DatabaseNow):
    """The database's clock of LAST_SEEN_INTERVAL ago; an interval as a parameter could not be prepared."""

    def as_postgresql(self, compiler: Any, connection: Any, **extra: Any) -> Any:
        template = f"STATEMENT_TIMESTAMP() - INTERVAL '{_SECONDS} seconds'"
        return self.as_sql(compiler, connection, template=template, **extra)

    def as_sqlite(self, compiler: Any, connection: Any, **extra: Any) -> Any:
        template = f"STRFTIME('%%%%Y-%%%%m-%%%%d %%%%H:%%%%M:%%%%f', 'NOW', '-{_SECONDS} seconds')"
        return self.as_sql(compiler, connection, template=template, **extra)

    def as_mysql(self, compiler: Any, connection: Any, **extra: Any) -> Any:
        template = f"UTC_TIMESTAMP(6) - INTERVAL {_SECONDS} SECOND"
        return self.as_sql(compiler, connection, template=template, **extra)


def _build(alias: str) -> Any:
    clock = DatabaseNow(output_field=models.DateTimeField())
    pending = Q(confirmed_generation__lt=F("generation"))
    unseen = Q(last_seen_at__lte=_Ago(output_field=models.DateTimeField()))
    withdrawn = SigningKey.objects.using(alias).filter(kid=Given("kid")).exclude(withdrawn_at=None)
    sid = Parameter("sid", models.UUIDField())
    live = DeviceSession.objects.using(alias).live(clock).filter(~Exists(withdrawn), pk=sid).order_by()
    live = live.annotate(_pending=pending, _unseen=unseen, _now=Case(When(pending | unseen, then=clock)))
    users = [f"user__{name}" for name in _user_row()[1]]
    return live.exclude(user=None).values_list(*_COLUMNS, "_pending", "_unseen", "_now", *users)


@cache
def _user_row() -> tuple[Callable[..., Any], list[str]]:
    """Return what makes a user of a row, and the names of its columns."""
    model = get_user_model()
    return model.from_db, names_of(model)


_live = Compiled(_build)
#: Where a row's columns of the user begin.
_USER = len(_COLUMNS) + 3


def find_live_session(claims: AccessClaims, sid: UUID) -> LiveSession | None:
    """Return the session of a token if it is plainly live, with its user; None if anything is in question.

    One statement.

    Raises:
        StoreUnavailable: the database cannot be read.
    """
    connection = database.current_connection()
    with database.store_errors():
        key = DeviceSession._meta.pk.get_db_prep_value(sid, connection)
        row = _live.first({"sid": key, "kid": claims.kid})
    if row is None:
        return None
    from_db, columns = _user_row()
    user = from_db(connection.alias, columns, row[_USER:])
    return None if user.pk is None else LiveSession(user, connection.alias, *row[:_USER])
