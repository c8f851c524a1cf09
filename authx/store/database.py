"""The writing database: its clock, its outages, and its transactions."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime
from functools import reduce
from typing import Any, TypeVar

from django.core.signals import request_finished
from django.db import Error, InterfaceError, OperationalError, connections, models, router, transaction
from django.db.models.functions import Now

from authx.errors import StoreUnavailable
from authx.models import DeviceSession

logger = logging.getLogger("authx")

T = TypeVar("T")

#: The attribute in which a connection keeps what must run after its transaction, even if that is rolled back.
_PENDING = "_authx_pending"
#: The ids of connections with something pending: mostly none, and then a request need not look at them.
_keeping: set[int] = set()

#: PostgreSQL's error code (SQLSTATE) for a transaction that may not write.
READ_ONLY = "25006"
#: How often a write that loses to another, or ends in a deadlock, is tried before the response is a 503.
ATTEMPTS = 3


class DatabaseNow(Now):
    """The database's own clock, in UTC, read as the statement runs."""

    def as_mysql(self, compiler: Any, connection: Any, **extra: Any) -> Any:
        # Django's Now is CURRENT_TIMESTAMP, which follows the server's time zone.
        return self.as_sql(compiler, connection, template="UTC_TIMESTAMP(6)", **extra)


#: The alias to use in place of the router's answer, where the request that it was asked for is out of reach.
_pinned: ContextVar[str | None] = ContextVar("authx_database", default=None)


def alias() -> str:
    """Return the alias of the database that authx reads and writes: never a replica.

    A site's router may choose it by the current request, such as by its tenant.
    """
    return _pinned.get() or router.db_for_write(DeviceSession)


@contextmanager
def pinned(chosen: str) -> Iterator[None]:
    """Make ``chosen`` the ``alias`` meanwhile, whatever the site's router says."""
    token = _pinned.set(chosen)
    try:
        yield
    finally:
        _pinned.reset(token)


def _pin(function: Callable[[], T]) -> Callable[[], T]:
    """Return a function that does the same later, or in another thread, in the database of this request."""
    chosen = alias()

    def run() -> T:
        with pinned(chosen):
            return function()

    return run


def database_now() -> datetime:
    """Return the database's clock, for a row that does not exist yet. One statement."""
    found: datetime
    (found,) = evaluate(DatabaseNow(output_field=models.DateTimeField()))
    return found


def evaluate(*expressions: Any) -> list[Any]:
    """Return the values of expressions that belong to no row. One statement.

    Raises:
        StoreUnavailable: the database cannot be read.
    """
    connection = connections[alias()]
    with store_errors(), connection.cursor() as cursor:
        compiler = DeviceSession.objects.using(alias()).query.get_compiler(connection=connection)
        compiled = [compiler.compile(expression) for expression in expressions]
        sql = ", ".join(sql for sql, _params in compiled)
        cursor.execute(f"SELECT {sql}", [value for _sql, params in compiled for value in params])
        values = cursor.fetchone()
    return [
        reduce(
            lambda found, convert: convert(found, expression, connection),
            [*connection.ops.get_db_converters(expression), *expression.get_db_converters(connection)],
            value,
        )
        for expression, value in zip(expressions, values, strict=True)
    ]


@contextmanager
def store_errors() -> Iterator[None]:
    """Turn an unreachable, busy or read-only database into StoreUnavailable."""
    try:
        yield
    except Error as error:
        if not is_outage(error):
            raise
        raise StoreUnavailable("the database cannot be asked") from error


def is_outage(error: Exception) -> bool:
    """Return whether the database is at fault, and not the statement."""
    if isinstance(error, OperationalError | InterfaceError):
        return True
    # psycopg, 2 or 3, raises InternalError for a server that takes no writes, such as a standby.
    return READ_ONLY in {getattr(error.__cause__, name, None) for name in ("sqlstate", "pgcode")}


def transact(write: Callable[[], T], *, durable: bool = False, attempts: int = ATTEMPTS) -> T:
    """Run ``write`` in one transaction; after a deadlock, or if the database is busy, try again.

    ``durable``: no surrounding transaction may undo it; Django raises RuntimeError if there is one.

    Raises:
        StoreUnavailable: nothing was written.
    """
    connection = connections[alias()]
    with store_errors():
        for _ in range(attempts - 1):
            try:
                with transaction.atomic(using=alias(), durable=durable):
                    return write()
            except OperationalError:
                if connection.in_atomic_block:
                    raise  # the surrounding transaction is lost; only its owner can start again
                connection.close_if_unusable_or_obsolete()
        with transaction.atomic(using=alias(), durable=durable):
            return write()


def demand_no_transaction() -> None:
    """Refuse to run inside a transaction, as a durable one does, although nothing will be written.

    Raises:
        RuntimeError: there is one, other than a test's own.
    """
    blocks = getattr(connections[alias()], "atomic_blocks", [])
    if blocks and not blocks[-1]._from_testcase:
        raise RuntimeError("a refresh token must not be exchanged inside a transaction")


def after_commit(function: Callable[[], Any]) -> None:
    """Run ``function`` after the surrounding transaction commits, or now; errors are logged, not raised."""
    try:
        transaction.on_commit(_pin(function), using=alias(), robust=True)
    except (OperationalError, InterfaceError):  # outside a transaction Django connects first
        logger.exception("The database has gone before what follows a commit could be done.")


def with_transaction_of(using: str, write: Callable[[], Any]) -> None:
    """Run ``write`` in the transaction of database ``using``; after its commit, if authx writes another."""
    if using == alias():
        write()
    else:
        transaction.on_commit(_pin(write), using=using)


def outside_transactions(read: Callable[[], T]) -> T:
    """Run ``read`` where it sees everything that has been committed by now.

    A transaction may see an old snapshot (REPEATABLE READ): inside one, another thread reads. A test's own
    transaction does not count: no other connection sees what happens in it.
    """
    return on_own_connection(read) if _is_in_transaction(connections[alias()]) else read()


def _is_in_transaction(connection: Any) -> bool:
    """Return whether a transaction is open, other than the one that Django's TestCase opens around a test."""
    blocks = getattr(connection, "atomic_blocks", [])
    return connection.in_atomic_block and not all(block._from_testcase for block in blocks)


def on_own_connection(read: Callable[[], T]) -> T:
    """Run ``read`` in a thread that ends with it, on a connection of its own.

    The caller may be in a transaction that sees an old snapshot, or that an error would break, or in an event
    loop; ``read`` sees what is committed now.

    Raises:
        StoreUnavailable: no thread can be started.
    """
    connection = connections[alias()]
    if getattr(connection, "is_in_memory_db", bool)():
        return read()  # there is no other connection to it
    read = _pin(read)

    def run() -> T:
        try:
            return read()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(1) as executor:
        try:
            running = executor.submit(run)
        except RuntimeError as error:
            raise StoreUnavailable("no thread can be started") from error
        return running.result()


def run_even_on_rollback(function: Callable[[], Any]) -> None:
    """Run ``function`` once: now, or after the surrounding transaction, even if that is rolled back.

    Errors are logged. A refused request is rolled back (ATOMIC_REQUESTS), and with it what only waits for a
    commit.
    """
    connection = connections[alias()]
    if not _is_in_transaction(connection):
        _run_logged(function)
        return
    function = _pin(function)
    pending = connection.__dict__.setdefault(_PENDING, [])
    pending.append(function)
    _keeping.add(id(connection))
    after_commit(lambda: function in pending and (pending.remove(function), function()))


def run_pending(**kwargs: Any) -> None:
    """Run what ``run_even_on_rollback`` has left for after the transaction; errors are logged."""
    if not _keeping:
        return
    for connection in connections.all(initialized_only=True):
        if _is_in_transaction(connection):
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


request_finished.connect(run_pending, dispatch_uid="authx.store.database")
