"""Telling of kicks: of all that one act has ended at once, however many transactions it took."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from itertools import groupby
from operator import itemgetter
from typing import Any
from uuid import UUID

from authx.models import DeviceSession
from authx.sessions.ports import kick_listener
from authx.store import database

#: The sessions that the act of this context has kicked out so far; None outside any.
_kicked: ContextVar[list[UUID] | None] = ContextVar("authx_kicked", default=None)


@contextmanager
def announced_together() -> Iterator[None]:
    """Let whoever is kicked out in this block be told of all their sessions at once, when it is over.

    Of what it has ended, too, if it ends in an error; in a surrounding transaction, after that.
    """
    if _kicked.get() is not None:  # part of a larger act
        yield
        return
    kicked: list[UUID] = []
    token = _kicked.set(kicked)
    try:
        yield
    finally:
        _kicked.reset(token)
        database.after_commit(lambda: _announce(kicked))


def announce(keys: Sequence[UUID]) -> None:
    """Tell of sessions kicked out in this transaction, after its commit; within a larger act, after that."""
    kicked = _kicked.get()
    database.after_commit(partial(_announce, keys) if kicked is None else partial(kicked.extend, keys))


def _announce(keys: Sequence[UUID]) -> None:
    listener = kick_listener.provider() if keys else None
    if listener is not None:
        for together in _by_users(keys):
            listener(_rows().in_bulk(together).values())


def _by_users(keys: Sequence[UUID]) -> Iterator[Sequence[UUID]]:
    """Yield some hundreds of these sessions at a time, never one user's in two parts."""
    if len(keys) <= database.ROWS_PER_TRANSACTION:
        yield keys
        return
    owned: list[tuple[Any, UUID]] = []
    for chunk in database.chunks(keys):
        owned += _rows().filter(pk__in=chunk).exclude(user=None).values_list("user_id", "pk")
    part: list[UUID] = []
    for _user, theirs in groupby(sorted(owned), key=itemgetter(0)):
        part += (key for _user, key in theirs)
        if len(part) >= database.ROWS_PER_TRANSACTION:
            yield part
            part = []
    yield part


def _rows() -> Any:
    return DeviceSession.objects.using(database.alias())
