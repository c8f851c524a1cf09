"""Which sessions have ended: the question, and which source to ask."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import cache, lru_cache
from typing import Any, Final, Protocol, cast

from django.utils.module_loading import import_string

from authx.conf import conf
from authx.conf.gate_policy import GatePolicy
from authx.core import revocation_log
from authx.core.claims import DEFAULT_DATABASE, AccessClaims
from authx.core.liveness import Liveness
from authx.errors import StoreUnavailable
from authx.gate.background import in_a_thread
from authx.gate.ports import Port, current_database
from authx.gate.revocation.local_copy import LocalCopy, TooManyEndings
from authx.gate.revocation.redis_store import RedisStore
from authx.gate.revocation.remote import IntrospectionSource, RemoteFeed
from authx.gate.revocation.window import Feed, window
from authx.gate.shared_copy import drop_on_change

LIVE: Final = Liveness(None)
#: What is found under the names of a token that nothing has happened to.
_NO_ENTRIES: Final = [None] * 4


class RevocationSource(Protocol):
    """Answers for one verification; AUTHX_REVOCATION_STORE may name a class of this kind."""

    def answer(self, claims: AccessClaims, now: datetime | None) -> Liveness:
        """Return whether the session of ``claims`` is live.

        Raises:
            KeyUnknown: its key has been withdrawn.
            StoreUnavailable: it cannot be known.
        """


class ReasonSource(Protocol):
    """A site's own source, which may return the reason alone."""

    def end_reason(self, claims: AccessClaims, now: datetime | None) -> str | None:
        """Return why the session of ``claims`` is over, or None while it is live; raises as ``answer``."""


#: Makes the authoritative source, which reads the session's row.
database_source: Port[Callable[[], RevocationSource]] = Port("database of sessions")
#: Makes a feed of the endings in a database; takes the position to go on from, and ``using``, its alias.
database_log: Port[Callable[..., Feed]] = Port("log of endings")


class _AnswersByReason:
    """A source of the site's own, as one that answers."""

    def __init__(self, own: ReasonSource) -> None:
        self._own = own

    def answer(self, claims: AccessClaims, now: datetime | None) -> Liveness:
        return Liveness(self._own.end_reason(claims, now))


def answering(store: RevocationSource | ReasonSource) -> RevocationSource:
    """Return ``store`` as a source that answers, whichever of the two kinds it is."""
    return cast(RevocationSource, store) if hasattr(store, "answer") else _AnswersByReason(store)


class CachedSource:
    """Asks a copy or Redis first, and the database where that reports an ending or cannot answer.

    They know the endings of one database, and nothing of sessions that are in another: of a token issued by
    another one, the database itself is asked.
    """

    def __init__(self, store: str, lag: float) -> None:
        """Ask ``store``, or a copy of it that is at most ``lag`` seconds old; 0: no copy."""
        self._store, self._lag = store, lag

    def answer(self, claims: AccessClaims, now: datetime | None) -> Liveness:
        """Return that it is live if no ending is known; else ask the database, or the log if that is down.

        Raises:
            StoreUnavailable: nothing is known, and the database cannot be asked.
        """
        database = current_database()
        is_elsewhere = claims.db is not None or database != DEFAULT_DATABASE  # mostly neither: no call
        if is_elsewhere and claims.issued_by != database:
            return database_source.provider().answer(claims, now)
        try:
            entries = self._entries(revocation_log.names_for_token(claims), database)
            if entries == _NO_ENTRIES or not revocation_log.is_hit(claims, entries):
                return LIVE
        except (StoreUnavailable, ValueError):  # unknown, or not as we write it
            return database_source.provider().answer(claims, now)
        try:
            return database_source.provider().answer(claims, now)
        except StoreUnavailable:
            return Liveness(revocation_log.end_reason(claims, entries))  # as far as is known

    def _entries(self, names: Sequence[str], database: str) -> list[str | None]:
        """Return the entries under ``names``, from a copy of known age or from Redis.

        Raises:
            StoreUnavailable: neither has them.
        """
        if self._lag:
            copy = _copies.get((self._store, database))
            try:
                return (copy_of(self._store) if copy is None else copy).entries(names, lag=self._lag)
            except TooManyEndings:
                pass  # ask the store
        if self._store == "redis":
            return _redis(conf.REDIS_ALIAS, database).entries(names)
        raise StoreUnavailable("no copy is kept: there are too many endings")


class FeedSource:
    """Asks a verify-only service's copy of the issuer's feed."""

    def __init__(self, token: str) -> None:
        self._token = token

    def answer(self, claims: AccessClaims, now: datetime | None) -> Liveness:
        """Return what the copy says; where there are too many endings for one, ask about the token itself.

        Raises:
            StoreUnavailable: the copy is too old and cannot be renewed, or the issuer cannot be asked.
        """
        names, lag = revocation_log.names_for_token(claims), conf.gate_policy.lag
        try:
            return Liveness(revocation_log.end_reason(claims, copy_of("remote").entries(names, lag=lag)))
        except TooManyEndings as error:
            if not conf.INTROSPECTION_URL:
                raise StoreUnavailable("no copy is kept: there are too many endings") from error
        return IntrospectionSource(self._token, conf.INTROSPECTION_URL).answer(claims, now)


class ExpiryOnlySource:
    """Believes a token until it expires."""

    def answer(self, claims: AccessClaims, now: datetime | None) -> Liveness:
        """Return that it is live: nobody is asked."""
        return LIVE


def _remote_source(token: object) -> RevocationSource:
    if conf.REVOCATIONS_URL:
        return FeedSource(str(token))
    if conf.INTROSPECTION_URL:
        return IntrospectionSource(str(token), conf.INTROSPECTION_URL)
    return ExpiryOnlySource()


def source(token: object = None) -> RevocationSource:
    """Return a source of the configured kind, for one verification of ``token``."""
    policy = conf.gate_policy
    store, lag = policy.store, policy.lag
    if store == "remote":
        return _remote_source(token)
    if policy.asks_database:
        return database_source.provider()
    if policy.asks_copy:
        return _cached_source(store, lag)
    return answering(_class(store)())


def may_have_ended(claims: AccessClaims, names: tuple[str, ...], policy: GatePolicy, database: str) -> bool:
    """Return whether Redis or the copy that ``policy`` asks ends a token's session, or withdraws its key.

    ``names`` are those of ``names_for_token``. True also where it cannot be known, or there is no copy yet.
    """
    try:
        if not policy.lag:
            entries = _redis(conf.REDIS_ALIAS, database).entries(names)
        elif (copy := _copies.get((policy.store, database))) is not None:
            entries = copy.entries(names, lag=policy.lag)
        else:
            return True
        return entries != _NO_ENTRIES and revocation_log.is_hit(claims, entries)
    except (StoreUnavailable, TooManyEndings, ValueError):
        return True


@lru_cache(maxsize=8)
def _cached_source(store: str, lag: float) -> CachedSource:
    return CachedSource(store, lag)


def publish(ended: Mapping[str, str]) -> None:
    """Pass on what this process has just written to the log; an ending that does not arrive is read later."""
    database = current_database()
    for (_store, of), copy in list(_copies.items()):  # another thread may be making one
        if of == database:
            copy.add(ended)
    if conf.REVOCATION_STORE == "redis":
        _redis(conf.REDIS_ALIAS, database).publish(ended)


#: The local copies, by the store that feeds them and the database whose endings they hold.
_copies: dict[tuple[str, str], LocalCopy] = {}


def copy_of(store: str) -> LocalCopy:
    """Return this process's copy of the endings in the current database, fed by ``store``."""
    key = store, current_database()
    copy = _copies.get(key)
    if copy is None:
        copy = _copies.setdefault(key, _new_copy(store))
    return copy


def _new_copy(store: str) -> LocalCopy:
    if store == "remote":
        remote = RemoteFeed(str(conf.REVOCATIONS_URL))
        return LocalCopy(remote, keep=lambda: remote.keep, run_in_background=in_a_thread)
    feed: Feed = (
        database_log.provider()
        if store == "database"
        else _redis(conf.REDIS_ALIAS, current_database()).feed()
    )
    return LocalCopy(feed, keep=lambda: window().total_seconds())


@cache
def _redis(alias: str, database: str) -> RedisStore:
    # Named: a thread that follows the endings of a tenant is not in one of its requests.
    def log(position: Any = None) -> Feed:
        return database_log.provider(position, using=database)

    return RedisStore(alias, log, database=database)


@lru_cache(maxsize=8)
def _class(path: str) -> Any:
    return import_string(path)


def _drop() -> None:
    _redis.cache_clear()
    _copies.clear()


drop_on_change(_drop, "CACHES", "AUTHX_ISSUER", "AUTHX_REDIS_ALIAS", "AUTHX_REVOCATIONS_URL")
