"""What must run after a transaction, even one that is rolled back."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from django.core.signals import request_finished
from django.db import connections

from authx.store.database import after_commit, alias, is_in_transaction, pin_to_alias

logger = logging.getLogger("authx")

#: The attribute in which a connection keeps what is to run after its transaction.
_PENDING = "_authx_pending"
#: The ids of connections with something pending: mostly none, and then a request need not look at them.
_keeping: set[int] = set()


def run_even_on_rollback(function: Callable[[], Any]) -> None:
    """Run ``function`` once: now, or after the surrounding transaction, even if that is rolled back.

    Errors are logged. A refused request is rolled back (ATOMIC_REQUESTS), and with it what only waits for a
    commit.
    """
    connection = connections[alias()]
    if not is_in_transaction(connection):
        _run_logged(function)
        return
    function = pin_to_alias(function)
    pending = connection.__dict__.setdefault(_PENDING, [])
    pending.append(function)
    _keeping.add(id(connection))
    after_commit(lambda: function in pending and (pending.remove(function), function()))


def run_pending(**kwargs: Any) -> None:
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
        logger.exception("What follows a request could not be done.")


request_finished.connect(run_pending, dispatch_uid="authx.store.after_transaction")
