"""Connected apps: the clients that may act for a user, each with its sessions, its consent and its codes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from authx.conf import conf
from authx.core.actor import NOBODY, Actor
from authx.core.reasons import EndReason
from authx.models import AuthorizationCode, Consent, DeviceSession, ServiceClient
from authx.sessions.ending import Ending, end_all
from authx.store import database
from authx.store.database import DatabaseNow


@dataclass(frozen=True, slots=True)
class ConnectedApp:
    """What a user has let one client do: in its live sessions now, and without being asked again."""

    client: ServiceClient
    #: The live ones, most recently used first; none where only the consent is remembered.
    sessions: tuple[DeviceSession, ...]
    consent: Consent | None

    @property
    def scope(self) -> list[str]:
        """Return all that it may do, in the order of AUTHX_SCOPES."""
        texts = [session.scope for session in self.sessions]
        texts += [self.consent.scope] if self.consent else []
        named = {name for text in texts for name in text.split()}
        known = [name for name in conf.SCOPES if name in named]
        return known + sorted(named.difference(known))

    @property
    def resources(self) -> list[str]:
        """Return the APIs that its tokens are for, each once."""
        lists = [session.audience or () for session in self.sessions]
        lists += [self.consent.resources] if self.consent else []
        return list(dict.fromkeys(uri for uris in lists for uri in uris))

    @property
    def since(self) -> datetime:
        """Return when the user has allowed the oldest of it."""
        times = [session.created_at for session in self.sessions]
        return min(times + ([self.consent.at] if self.consent else []))

    @property
    def hosts(self) -> list[str]:
        """Return where those APIs are, for display: their hosts, or the URI of one that has none."""
        return list(dict.fromkeys(urlsplit(uri).hostname or uri for uri in self.resources))

    @property
    def permissions(self) -> list[str]:
        """Return what AUTHX_SCOPES says about all that it may do; the scope itself where it says nothing."""
        return [str(conf.SCOPES.get(name, name)) for name in self.scope]

    @property
    def last_used_at(self) -> datetime | None:
        """Return when it last refreshed or used a token here; None if it has no session."""
        return max((session.last_seen_at for session in self.sessions), default=None)


def connected_apps(user: Any) -> list[ConnectedApp]:
    """Return the apps of a user: first those with live sessions, most recently used first.

    Then those that the user is not asked about again, unless they are disabled.
    """
    with database.store_errors():
        consents = {consent.client.client_id: consent for consent in _consents(user)}
        sessions: dict[str, list[DeviceSession]] = {}
        for session in _sessions(user).live(DatabaseNow()).order_by("-last_seen_at", "-created_at"):
            sessions.setdefault(session.client_id, []).append(session)
        clients = {client_id: consent.client for client_id, consent in consents.items()}
        clients |= _clients(sessions.keys() - clients.keys())
    # A row that is gone, by SQL, hides no session that lives on.
    for client_id in sessions.keys() - clients.keys():
        clients[client_id] = ServiceClient(client_id=client_id, name=str(sessions[client_id][0]))
    remembered = [key for key, consent in consents.items() if consent.client.disabled_at is None]
    return [
        ConnectedApp(clients[key], tuple(sessions.get(key, ())), consents.get(key))
        for key in dict.fromkeys([*sessions, *remembered])
    ]


def app_sessions(user: Any) -> list[DeviceSession]:
    """Return the live sessions of all apps of a user, most recently used first."""
    with database.store_errors():
        return list(_sessions(user).live(DatabaseNow()).order_by("-last_seen_at", "-created_at"))


def find_live_app_session(user: Any, sid: UUID) -> DeviceSession | None:
    """Return the live session with that id of any app of the user; None if it is missing or over."""
    with database.store_errors():
        found: DeviceSession | None = _sessions(user).live(DatabaseNow()).filter(pk=sid).first()
    return found


def find_app_session(user: Any, sid: UUID) -> DeviceSession | None:
    """Return the session with that id of any app of the user, live or ended; None if it is not there."""
    with database.store_errors():
        found: DeviceSession | None = _sessions(user).filter(pk=sid).first()
    return found


def was_connected(user: Any, client_id: str) -> bool:
    """Return whether the user has, or had, anything to do with this client: another's is not there."""
    if "\x00" in client_id:  # PostgreSQL rejects it, and no client has it
        return False
    with database.store_errors():
        consent = _consents(user).filter(client__client_id=client_id)
        return bool(_sessions(user).filter(client_id=client_id).exists() or consent.exists())


def was_connected_before(session: DeviceSession) -> bool:
    """Return whether the app of this new session had one before, other than those its user has ended."""
    before = _sessions(session.user_id).filter(client_id=session.client_id).exclude(pk=session.pk)
    with database.store_errors():
        return bool(before.exclude(end_reason=EndReason.ENDED_BY_USER).exists())


def disconnect(user: Any, client_id: str, actor: Actor = NOBODY, *, now: datetime | None = None) -> int:
    """End all that a client has from a user, in one transaction; return how many sessions ended now.

    The consent is forgotten, so that the user is asked before it comes back, and so is a code that is on its
    way. The codes go first: whoever is redeeming one is waited for, and the session it has opened ends too.

    Raises:
        StoreUnavailable: the database cannot be written; nothing has changed.
    """
    ending = Ending.of(EndReason.ENDED_BY_USER, actor, now=now)
    with database.store_errors():
        client = _clients([client_id]).get(client_id)

    def write() -> int:
        if client is not None:
            _codes(user).filter(client=client).delete()
            _consents(user).filter(client=client).delete()
        # A locking read: it sees what has been committed by now, also under REPEATABLE READ.
        live = _sessions(user).filter(client_id=client_id, ended_at=None).order_by("pk").select_for_update()
        return end_all(list(live.values_list("pk", flat=True)), ending)

    return database.transact(write)


def forget_grants(user: Any, *, dry_run: bool = False) -> int:
    """Delete what a user has granted but the sessions: consents, and codes; return how many there were.

    Apps that are connected stay so, as devices stay signed in; they are asked about when they come again.
    """
    found = [_codes(user), _consents(user)]
    if dry_run:
        return sum(rows.count() for rows in found)
    return database.transact(lambda: sum(int(rows.delete()[0]) for rows in found))


def consents_of(user: Any) -> list[Consent]:
    """Return what is remembered of a user's consents, with their clients."""
    return list(_consents(user))


def names_of_clients(sessions: Iterable[DeviceSession]) -> Mapping[str, str]:
    """Return the name of each client that has one of these sessions, by its id. One statement, or none."""
    with database.store_errors():
        found = _clients({session.client_id for session in sessions} - {""})
    return {client_id: client.name for client_id, client in found.items()}


def _clients(client_ids: Iterable[str]) -> dict[str, ServiceClient]:
    wanted = set(client_ids)
    found = ServiceClient.objects.using(database.alias()).filter(client_id__in=wanted) if wanted else ()
    return {client.client_id: client for client in found}


def _sessions(user: Any) -> Any:
    return DeviceSession.objects.using(database.alias()).of_apps().filter(user=user)


def _codes(user: Any) -> Any:
    return AuthorizationCode.objects.using(database.alias()).filter(user=user)


def _consents(user: Any) -> Any:
    return Consent.objects.using(database.alias()).filter(user=user).select_related("client").order_by("pk")
