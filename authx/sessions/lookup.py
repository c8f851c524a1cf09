"""Find one device session by its id or a token: the statement of every request, compiled once per process."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any
from uuid import UUID, uuid4

from django.contrib.auth import get_user_model
from django.db import models
from django.db.models import Exists

from authx.conf import secret_keys
from authx.core.claims import TOKEN_EXCHANGE, AccessClaims
from authx.core.refresh_token import RefreshClaims, is_genuine
from authx.errors import RefreshMalformed, TokenMalformed
from authx.models import DeviceSession, SigningKey, is_marked
from authx.sessions.not_before import apply_mark
from authx.store import database
from authx.store.compiled import Statements, converters_of, written_out
from authx.store.database import DatabaseNow
from authx.store.prepared_statement import Prepared


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A device session as one statement found it: whether it is over is judged from this value alone."""

    #: The row with its user. If a mark has ended it, it shows that end, whether or not its row is up to date.
    session: DeviceSession
    #: The database's clock as the row was read.
    now: datetime
    #: Whether a not-before mark has hit it, live or not.
    is_marked: bool
    #: Whether the signing key that was asked about has been withdrawn.
    has_withdrawn_key: bool


class _Statement:
    """One SELECT by key, and how a row of it becomes a session with its user."""

    def __init__(self, connection: Any) -> None:
        self.alias = connection.alias
        self.session_columns = [field.attname for field in DeviceSession._meta.concrete_fields]
        self.user_columns = [field.attname for field in get_user_model()._meta.concrete_fields]
        self.user_key = self.user_columns.index(get_user_model()._meta.pk.attname)
        user_columns = [f"user__{name}" for name in self.user_columns]
        key = SigningKey.objects.filter(kid="kid").exclude(withdrawn_at=None)
        clock = DatabaseNow(output_field=models.DateTimeField())
        found = DeviceSession.objects.filter(pk=uuid4()).order_by()
        found = found.annotate(_clock=clock, _marked=is_marked(), _withdrawn=Exists(key))
        names = [*self.session_columns, *user_columns, "_clock", "_marked", "_withdrawn"]
        compiler = found.values_list(*names).query.get_compiler(connection=connection)
        self.sql, _given = written_out(*compiler.as_sql())
        self.converters = list(converters_of([column for column, *_ in compiler.select], connection))
        self.prepared = Prepared(self.sql)

    def read(self, connection: Any, sid: UUID, kid: str) -> Snapshot | None:
        key = DeviceSession._meta.pk.get_db_prep_value(sid, connection)
        row = self.prepared.fetch(connection, (kid, key))  # in the order of SELECT, then WHERE
        return None if row is None else self._build(list(row), connection)

    def _build(self, row: list[Any], connection: Any) -> Snapshot:
        for place, convert, column in self.converters:
            row[place] = convert(row[place], column, connection)
        middle = len(self.session_columns)
        session = DeviceSession.from_db(self.alias, self.session_columns, row[:middle])
        values = row[middle:-3]
        model = get_user_model()
        user = None if values[self.user_key] is None else model.from_db(self.alias, self.user_columns, values)
        DeviceSession._meta.get_field("user").set_cached_value(session, user)
        now, is_hit, has_withdrawn_key = row[-3:]
        if is_hit and session.ended_at is None:
            apply_mark(session)
        return Snapshot(session, now, is_hit, has_withdrawn_key)


_statements = Statements(_Statement)


def find_by_sid(sid: UUID, *, kid: str = "", client_id: str | None = "") -> Snapshot | None:
    """Return the session, live or ended, with its user; None if it is not there.

    ``client_id`` names the client whose session it has to be, and another's is not there: a client's session
    is nobody's login, so that a first party's is asked for unless told otherwise. None: anybody's.

    ``kid`` names the signing key to ask about too. One statement: a queryset would build and compile it at
    every request, which costs more than running it. A second one if a not-before mark has ended the session:
    the mark's time and reason are not in its row.

    Raises:
        StoreUnavailable: the database cannot be read.
    """
    with database.store_errors():
        connection = database.current_connection()
        statement: _Statement = _statements[connection.alias, type(connection)]
        found = statement.read(connection, sid, kid)
    return None if found is None or client_id not in (None, found.session.client_id) else found


def find_by_access_token(claims: AccessClaims) -> Snapshot | None:
    """Return the session that an access token names, as ``find_by_sid`` does, and ask about its key.

    Raises:
        TokenMalformed: its ``sid`` is not one of ours, or the session is not that of the token's client.
        StoreUnavailable: the database cannot be read.
    """
    found = find_by_sid(sid_of(claims), kid=claims.kid, client_id=None)
    if found is not None and not is_issued_in(claims, found.session.client_id):
        raise TokenMalformed("its session is another client's")
    return found


def sid_of(claims: AccessClaims) -> UUID:
    """Return the id of a token's session.

    Raises:
        TokenMalformed: its ``sid`` is not one of ours.
    """
    try:
        return _uuid(claims.sid)
    except ValueError:
        raise TokenMalformed("its sid is not one of ours") from None


@lru_cache(maxsize=4096)
def _uuid(text: str) -> UUID:
    return UUID(text)


def is_issued_in(claims: AccessClaims, client_id: str) -> bool:
    """Return whether a token like this is made in a session of this client, or of the site itself: ``""``.

    By exchange, it is made in whichever its subject is.
    """
    if claims.gty is None:
        return not client_id
    return claims.gty == TOKEN_EXCHANGE or claims.client_id == client_id


def find_by_refresh_token(presented: RefreshClaims, *, client_id: str | None = "") -> Snapshot:
    """Return the session of a refresh token of any generation, as ``find_by_sid`` does. Changes nothing.

    The signature of the token has been checked; the session's salt proves that we issued it.

    Raises:
        RefreshMalformed: no session has issued it, or none of this client's.
        StoreUnavailable: the database cannot be read.
    """
    found = find_by_sid(presented.sid, client_id=client_id)
    if found is None or not is_genuine(presented, bytes(found.session.salt), secret_keys()):
        raise RefreshMalformed("no session of ours has issued it")
    return found


def find_adopted(mark: str) -> Snapshot | None:
    """Return the session whose ``adopted_from`` is ``mark``, as ``find_by_sid`` does."""
    return _find_by(adopted_from=mark)


def find_by_login_key(key: str) -> Snapshot | None:
    """Return the session whose ``login_key`` is ``key``, as ``find_by_sid`` does."""
    return _find_by(login_key=key)


def _find_by(**unique: str) -> Snapshot | None:
    with database.store_errors():
        found = DeviceSession.objects.using(database.alias()).filter(**unique)
        sid = found.values_list("pk", flat=True).first()
    return None if sid is None else find_by_sid(sid)
