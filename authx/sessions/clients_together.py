"""A client and what its grant has to know of others, in one statement: who it calls, and its own session."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from hashlib import sha256
from typing import Any

from django.db import models
from django.db.models import Q

from authx.core.claim_forms import IDENTIFIER
from authx.core.exchange_request import MAX_TARGETS
from authx.models import DeviceSession, ServiceClient, is_marked
from authx.sessions.liveness import end_of
from authx.sessions.lookup import Snapshot
from authx.store import database
from authx.store.compiled import Compiled, Given, names_of
from authx.store.database import DatabaseNow


@dataclass(frozen=True, slots=True)
class ServiceSession:
    """The session in which a client acts for itself, live or ended, as one statement found it."""

    session: DeviceSession
    #: The database's clock as the row was read.
    now: datetime
    is_marked: bool

    def is_live(self, now: datetime | None) -> bool:
        """Return whether it is live, by the database's clock if no other is given."""
        found = Snapshot(self.session, self.now, is_marked=self.is_marked, has_withdrawn_key=False)
        return not self.is_marked and end_of(found, now) is None


@dataclass(frozen=True, slots=True)
class Together:
    """Clients as one statement found them, enabled or not, and the session of the one that asks."""

    clients: tuple[ServiceClient, ...]
    #: Whom was asked about: what is not among ``clients`` is not there.
    audiences: frozenset[str]
    client_ids: frozenset[str]
    session: ServiceSession | None = None

    def by_id(self, client_id: str) -> ServiceClient | None:
        """Return the client with exactly this id: a database may take A and a for the same."""
        return next((found for found in self.clients if found.client_id == client_id), None)

    def called(self, audience: str) -> list[ServiceClient]:
        """Return the clients that are called by exactly this name."""
        return [found for found in self.clients if found.audience == audience]

    def answers(self, audiences: Collection[str], client_id: str = "") -> bool:
        """Return whether it can tell who all of these are."""
        return self.audiences.issuperset(audiences) and client_id in {"", *self.client_ids}


def session_key(client_id: str) -> str:
    """Return by which a client's session is found, in a unique column: SHA-256 hex."""
    return sha256(f"service\n{client_id}".encode()).hexdigest()


def read_together(client_id: str, audiences: Collection[str] = (), other: str = "") -> Together:
    """Read a client with its own session, those called by ``audiences``, and the client ``other``.

    One statement. Of ``audiences`` there are few, for each is a parameter of it.

    Raises:
        StoreUnavailable: the database cannot be read.
    """
    names = sorted({name for name in audiences if IDENTIFIER.fullmatch(name)})
    given = {"client_id": client_id, "other": other or client_id, "login_key": session_key(client_id)}
    given |= {f"audience{number}": name for number, name in enumerate(names)}
    with database.store_errors():
        rows = _statement(len(names)).all(given)
    middle = len(names_of(ServiceClient))
    clients = tuple(
        ServiceClient.from_db(database.alias(), names_of(ServiceClient), row[:middle]) for row in rows
    )
    sessions = (_session(row[middle:]) for row in rows)
    session = next((found for found in sessions if found is not None), None)
    return Together(clients, frozenset(audiences), frozenset({client_id, other}), session)


def _session(row: list[Any]) -> ServiceSession | None:
    *columns, clock, is_hit = row
    session = DeviceSession.from_db(database.alias(), names_of(DeviceSession), columns)
    return None if session.pk is None else ServiceSession(session, clock, bool(is_hit))


@lru_cache(maxsize=2 * MAX_TARGETS)
def _statement(audiences: int) -> Compiled:
    """Return the statement that asks about so many audiences."""

    def clients(alias: str) -> Any:
        wanted = Q(client_id__in=[Given("client_id"), Given("other")])
        if audiences:
            wanted |= Q(audience__in=[Given(f"audience{number}") for number in range(audiences)])
        found = ServiceClient.objects.using(alias).filter(wanted).order_by()
        return found.values_list(*names_of(ServiceClient))

    return Compiled(clients, beside=_own_session, on="client_id")


def _own_session(alias: str) -> Any:
    clock = DatabaseNow(output_field=models.DateTimeField())
    found = DeviceSession.objects.using(alias).filter(login_key=Given("login_key")).order_by()
    return found.annotate(_clock=clock, _marked=is_marked()).values_list(
        *names_of(DeviceSession), "_clock", "_marked"
    )
