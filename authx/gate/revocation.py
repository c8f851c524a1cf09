"""Which sessions have ended: the question, and whom to ask."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any, Protocol

from django.core.signals import setting_changed
from django.utils.module_loading import import_string

from authx.conf import conf
from authx.core.claims import AccessClaims
from authx.errors import StoreUnavailable
from authx.gate.endings import Feed, window
from authx.gate.local_copy import LocalCopy, NoCopy

#: Sources and feeds that are found by name, for the gate imports no models.
_TRUTH = "authx.sessions.standing.DatabaseSource"
_LOG = "authx.sessions.ended_log.EndedLog"


class RevocationSource(Protocol):
    """Answers for one verification; a class of this kind is what AUTHX_REVOCATION_STORE names."""

    def end_reason(self, claims: AccessClaims, now: datetime | None) -> str | None:
        """Why the session of ``claims`` is over, or None while it is live.

        Raises:
            StoreUnavailable: it cannot be known.
        """


class QuickSource:
    """Asks what answers quickly, and the database where that says ended or does not know."""

    def __init__(self) -> None:
        self._truth: Any = _class(_TRUTH)()

    @property
    def session(self) -> Any:
        """The row with its user, where the database was asked; else None."""
        return self._truth.session

    def end_reason(self, claims: AccessClaims, now: datetime | None) -> str | None:
        try:
            reason = _quick_reason(claims.sid)
        except StoreUnavailable:
            return self._confirmed(claims, now)
        if reason is None:
            return None
        try:
            return self._confirmed(claims, now)
        except StoreUnavailable:
            return reason  # we do know that it has ended

    def _confirmed(self, claims: AccessClaims, now: datetime | None) -> str | None:
        reason: str | None = self._truth.end_reason(claims, now)
        return reason


def source() -> RevocationSource:
    """A fresh source of the configured kind."""
    store = conf.REVOCATION_STORE
    if store == "redis" or (store == "database" and conf.REVOCATION_LAG):
        return QuickSource()
    found: RevocationSource = _class(_TRUTH if store == "database" else store)()
    return found


def _quick_reason(sid: str) -> str | None:
    """What a copy of known age says, or Redis.

    Raises:
        StoreUnavailable: neither knows.
    """
    store, alias = conf.REVOCATION_STORE, conf.REDIS_ALIAS
    if lag := conf.REVOCATION_LAG:
        try:
            return _copy(store, alias).reason(sid, lag=lag.total_seconds(), keep=window().total_seconds())
        except NoCopy:
            pass
    if store == "redis":
        reason: str | None = _redis(alias).reason(sid)
        return reason
    raise StoreUnavailable("no copy is kept: there are too many endings")


def publish(ended: Mapping[str, str]) -> None:
    """Tell what this process has just committed, reasons by ``sid``; what is not told is read later."""
    for copy in _copies.values():
        copy.add(ended)
    if conf.REVOCATION_STORE == "redis":
        _redis(conf.REDIS_ALIAS).publish(ended)


#: By store and alias: what settings name.
_copies: dict[tuple[str, str], LocalCopy] = {}


def _copy(store: str, alias: str) -> LocalCopy:
    copy = _copies.get((store, alias))
    if copy is None:
        feed: Feed = _class(_LOG)() if store == "database" else _redis(alias).feed()
        copy = _copies.setdefault((store, alias), LocalCopy(feed))
    return copy


@lru_cache(maxsize=8)
def _redis(alias: str) -> Any:
    from authx.gate.redis_store import RedisStore  # importing redis takes half a second

    return RedisStore(alias, _class(_LOG))


@lru_cache(maxsize=8)
def _class(path: str) -> Any:
    return import_string(path)


def _forget(*, setting: str, **kwargs: Any) -> None:
    if setting in {"CACHES", "AUTHX_ISSUER"}:
        _redis.cache_clear()
        _copies.clear()


def _after_fork() -> None:
    for copy in _copies.values():
        copy.after_fork()


setting_changed.connect(_forget, dispatch_uid="authx.gate.revocation")
os.register_at_fork(after_in_child=_after_fork)
