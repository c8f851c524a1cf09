"""Which sessions have ended: the question, and whom to ask."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, Protocol

from django.core.signals import setting_changed
from django.utils.module_loading import import_string

from authx.conf import conf
from authx.core import log_entries
from authx.core.claims import AccessClaims
from authx.errors import StoreUnavailable
from authx.gate.apart import in_a_thread
from authx.gate.endings import Feed, window
from authx.gate.local_copy import LocalCopy, NoCopy
from authx.gate.redis_store import RedisStore
from authx.gate.remote import IntrospectionSource, RemoteFeed

#: Sources and feeds that are found by name, for the gate imports no models.
_TRUTH = "authx.sessions.standing.DatabaseSource"
_LOG = "authx.sessions.ended_log.EndedLog"


class RevocationSource(Protocol):
    """Answers for one verification; a class of this kind is what AUTHX_REVOCATION_STORE names."""

    def end_reason(self, claims: AccessClaims, now: datetime | None) -> str | None:
        """Why the session of ``claims`` is over, or None while it is live.

        Raises:
            KeyUnknown: its key has been withdrawn.
            StoreUnavailable: it cannot be known.
        """


class QuickSource:
    """Asks what answers quickly, and the database where that says ended or does not know."""

    #: The row with its user, where the database was asked.
    session: Any = None

    def __init__(self, store: str, lag: timedelta) -> None:
        self._store, self._lag = store, lag

    def end_reason(self, claims: AccessClaims, now: datetime | None) -> str | None:
        try:
            told = self._told(log_entries.asked_of(claims))
            if not log_entries.is_hit(claims, told):
                return None
        except (StoreUnavailable, ValueError):  # unknown, or nothing that we have written
            return self._confirmed(claims, now)
        try:
            return self._confirmed(claims, now)
        except StoreUnavailable:
            return log_entries.end_reason(claims, told)  # what we do know

    def _told(self, names: Sequence[str]) -> list[str | None]:
        """What a copy of known age tells, or Redis.

        Raises:
            StoreUnavailable: neither knows.
        """
        if self._lag:
            try:
                return _copy(self._store).told(names, lag=self._lag.total_seconds())
            except NoCopy:
                pass
        if self._store == "redis":
            return _redis(conf.REDIS_ALIAS).told(names)
        raise StoreUnavailable("no copy is kept: there are too many endings")

    def _confirmed(self, claims: AccessClaims, now: datetime | None) -> str | None:
        truth = _class(_TRUTH)()
        reason: str | None = truth.end_reason(claims, now)
        self.session = truth.session
        return reason


class FeedSource:
    """A verify-only service's copy of what the issuer's feed tells."""

    def __init__(self, token: str) -> None:
        self._token = token

    def end_reason(self, claims: AccessClaims, now: datetime | None) -> str | None:
        lag = conf.REVOCATION_LAG.total_seconds()
        try:
            return log_entries.end_reason(claims, _copy("remote").told(log_entries.asked_of(claims), lag=lag))
        except NoCopy as error:
            if not conf.INTROSPECTION_URL:
                raise StoreUnavailable("no copy is kept: there are too many endings") from error
        return IntrospectionSource(self._token, conf.INTROSPECTION_URL).end_reason(claims, now)


class LifeSource:
    """Believes a token until it expires."""

    def end_reason(self, claims: AccessClaims, now: datetime | None) -> str | None:
        return None


def _remote_source(token: object) -> RevocationSource:
    if conf.REVOCATIONS_URL:
        return FeedSource(str(token))
    if conf.INTROSPECTION_URL:
        return IntrospectionSource(str(token), conf.INTROSPECTION_URL)
    return LifeSource()


def source(token: object = None) -> RevocationSource:
    """A fresh source of the configured kind, for one verification of ``token``."""
    store, lag = conf.REVOCATION_STORE, conf.REVOCATION_LAG
    if store == "remote":
        return _remote_source(token)
    if store == "redis" or (store == "database" and lag):
        return QuickSource(store, lag)
    found: RevocationSource = _class(_TRUTH if store == "database" else store)()
    return found


def publish(ended: Mapping[str, str]) -> None:
    """Tell what this process has just written to the log; what is not told is read later."""
    for copy in list(_copies.values()):  # another thread may be making one
        copy.add(ended)
    if conf.REVOCATION_STORE == "redis":
        _redis(conf.REDIS_ALIAS).publish(ended)


#: By the store that feeds them.
_copies: dict[str, LocalCopy] = {}


def _copy(store: str) -> LocalCopy:
    copy = _copies.get(store)
    if copy is None:
        copy = _copies.setdefault(store, _new_copy(store))
    return copy


def _new_copy(store: str) -> LocalCopy:
    if store == "remote":
        remote = RemoteFeed(str(conf.REVOCATIONS_URL))
        return LocalCopy(remote, keep=lambda: remote.keep, apart=in_a_thread)
    feed: Feed = _class(_LOG)() if store == "database" else _redis(conf.REDIS_ALIAS).feed()
    return LocalCopy(feed, keep=lambda: window().total_seconds())


@lru_cache(maxsize=8)
def _redis(alias: str) -> RedisStore:
    return RedisStore(alias, _class(_LOG))


@lru_cache(maxsize=8)
def _class(path: str) -> Any:
    return import_string(path)


def _forget(*, setting: str, **kwargs: Any) -> None:
    if setting in {"CACHES", "AUTHX_ISSUER", "AUTHX_REDIS_ALIAS", "AUTHX_REVOCATIONS_URL"}:
        _redis.cache_clear()
        _copies.clear()


def _after_fork() -> None:
    for copy in list(_copies.values()):
        copy.after_fork()


setting_changed.connect(_forget, dispatch_uid="authx.gate.revocation")
os.register_at_fork(after_in_child=_after_fork)
