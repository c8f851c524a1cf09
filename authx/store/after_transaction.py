"""What must run after a transaction, even one that is rolled back, or after the view of a request."""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable
from contextvars import ContextVar
from functools import partial
from typing import Any
from weakref import finalize

from django.db import connections

from authx.store.after_request import after_request
from authx.store.database import after_commit, current_connection, is_in_transaction, pin_to_alias

logger = logging.getLogger("authx")

#: The attribute in which a connection keeps what is to run after its transaction.
_PENDING = "_authx_pending"
#: The ids of connections with something pending: mostly none, and then a request need not look at them.
_keeping: set[int] = set()


class AfterView(dict[Hashable, Callable[[], Any]]):
    """What is to be written, by key, when the view of one request has answered or failed."""

    #: The request itself, which is Django's, until the view has answered it; then None.
    request: Any = None
    #: True once the view is over, though tasks that it has started may go on.
    is_over = False

    def add(self, key: Hashable, function: Callable[[], Any]) -> bool:
        """Keep ``function``, unless there is one with this key; return False where the view is over."""
        if self.is_over:
            return False
        self.setdefault(key, pin_to_alias(partial(after_commit, function)))
        return not self.is_over or self.pop(key, None) is None  # over meanwhile: ``run`` may have missed it

    def run(self) -> None:
        """Run what is kept; errors are logged."""
        self.is_over = True
        while self:
            _key, function = self.popitem()
            function()


#: That of the request which this thread or task answers; None outside the middleware.
view_under_way: ContextVar[AfterView | None] = ContextVar("authx_view_under_way", default=None)


def request_under_way() -> Any:
    """Return the request that a view answers in this thread or task; None outside the middleware."""
    under_way = view_under_way.get()
    return None if under_way is None else under_way.request


def after_view(key: Hashable, function: Callable[[], Any]) -> None:
    """Run ``function`` after the view, outside its transaction; errors are logged.

    Once for each ``key``. Where no middleware of ours answers the request, it runs as by ``after_commit``.
    """
    under_way = view_under_way.get()
    if under_way is None or not under_way.add(key, function):
        after_commit(function)


def run_even_on_rollback(function: Callable[[], Any]) -> None:
    """Run ``function`` once: now, or after the surrounding transaction, even if that is rolled back.

    Errors are logged. A refused request is rolled back (ATOMIC_REQUESTS), and with it what only waits for a
    commit.
    """
    connection = current_connection()
    if not is_in_transaction(connection):
        _run_logged(function)
        return
    function = pin_to_alias(function)
    pending = connection.__dict__.get(_PENDING)
    if pending is None:
        pending = connection.__dict__[_PENDING] = []
        finalize(connection, _keeping.discard, id(connection))  # its thread may end before its next request
    pending.append(function)
    _keeping.add(id(connection))

    def committed() -> None:
        if function in pending:
            pending.remove(function)
            if not pending:
                _keeping.discard(id(connection))
            function()

    after_commit(committed)


def has_pending() -> bool:
    """Return whether ``run_pending`` may have something to run, in whichever thread it was left."""
    return bool(_keeping)


def run_pending() -> None:
    """Run what ``run_even_on_rollback`` has left for after the transaction; errors are logged."""
    if not _keeping:
        return
    for connection in connections.all(initialized_only=True):
        if is_in_transaction(connection):
            continue  # not a real request: a test client inside a transaction
        pending = connection.__dict__.get(_PENDING, [])
        while pending:
            _run_logged(pending.pop(0))
        _keeping.discard(id(connection))


def _run_logged(function: Callable[[], Any]) -> None:
    try:
        function()
    except Exception:
        logger.exception("What follows a request could not be done.", extra={"event": "after_request_failed"})


after_request(run_pending)
