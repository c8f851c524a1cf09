"""The writing database: its clock, its outages, and its transactions."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from datetime import datetime
from functools import reduce
from typing import Any, TypeVar

from django.db import (
    DEFAULT_DB_ALIAS,
    Error,
    InterfaceError,
    OperationalError,
    connections,
    models,
    router,
    transaction,
)
from django.db.models.functions import Now

from authx import metrics
from authx.errors import StoreUnavailable
from authx.models import DeviceSession

logger = logging.getLogger("authx")

T = TypeVar("T")
K = TypeVar("K")

#: PostgreSQL's error code (SQLSTATE) for a transaction that may not write.
READ_ONLY = "25006"
#: How often a write that loses to another, or ends in a deadlock, is tried before the response is a 503.
MAX_ATTEMPTS = 3
#: Rows changed in one transaction: enough of them to be quick, few enough not to block a login.
ROWS_PER_TRANSACTION = 500


class DatabaseNow(Now):
    """The database's own clock, in UTC, read as the statement runs."""

    def as_mysql(self, compiler: Any, connection: Any, **extra: Any) -> Any:
        """Return the clock of MySQL and MariaDB in UTC: Django's ``Now`` follows the server's time zone."""
        return self.as_sql(compiler, connection, template="UTC_TIMESTAMP(6)", **extra)


#: The alias to use in place of the router's answer, where the request that it was asked for is out of reach.
_pinned: ContextVar[str | None] = ContextVar("authx_database", default=None)


def alias() -> str:
    """Return the alias of the database that authx reads and writes: never a replica.

    A site's router may choose it by the current request, such as by its tenant.
    """
    return _pinned.get() or (router.db_for_write(DeviceSession) if router.routers else DEFAULT_DB_ALIAS)


def current_connection() -> Any:
    """Return this thread's connection to the database of ``alias``."""
    return connections[alias()]


@contextmanager
def pinned(chosen: str) -> Iterator[None]:
    """Make ``chosen`` the ``alias`` meanwhile, whatever the site's router says."""
    token = _pinned.set(chosen)
    try:
        yield
    finally:
        _pinned.reset(token)


def pin_to_alias(function: Callable[[], T]) -> Callable[[], T]:
    """Return a function that does the same later, or in another thread, in the database of this request."""
    chosen = alias()

    def run() -> T:
        with pinned(chosen):
            return function()

    return run


def database_now() -> datetime:
    """Return the database's clock, for a row that does not exist yet. One statement.

    Raises:
        StoreUnavailable: the database cannot be read.
    """
    connection = current_connection()
    clock = DatabaseNow(output_field=models.DateTimeField())
    with store_errors(), connection.cursor() as cursor:
        compiler = DeviceSession.objects.using(connection.alias).query.get_compiler(connection.alias)
        sql, params = compiler.compile(clock)
        cursor.execute(f"SELECT {sql}", params)
        (found,) = cursor.fetchone()
    converters = [*connection.ops.get_db_converters(clock), *clock.get_db_converters(connection)]
    now: datetime = reduce(lambda value, convert: convert(value, clock, connection), converters, found)
    return now


class store_errors(AbstractContextManager[None]):  # noqa: N801 - read as a verb, like contextlib.suppress
    """Turn an unreachable, busy or read-only database into StoreUnavailable, in the ``with`` block."""

    __slots__ = ()

    def __exit__(self, kind: Any, error: BaseException | None, traceback: Any) -> None:
        if isinstance(error, Error) and is_outage(error):
            metrics.STORE_FAILURES.count(store="database")
            raise StoreUnavailable("the database cannot be asked") from error


def is_outage(error: Exception) -> bool:
    """Return whether the database is at fault, and not the statement."""
    if isinstance(error, OperationalError | InterfaceError):
        return True
    # psycopg, 2 or 3, raises InternalError for a server that takes no writes, such as a standby.
    return READ_ONLY in {getattr(error.__cause__, name, None) for name in ("sqlstate", "pgcode")}


def transact(
    write: Callable[[], T],
    *,
    at_once: Callable[[], T | None] | None = None,
    durable: bool = False,
    attempts: int = MAX_ATTEMPTS,
) -> T:
    """Run ``write`` in one transaction; after a deadlock, or if the database is busy, try again.

    ``at_once`` does the same in a single statement, which is a transaction of its own; where it returns None
    it has done nothing. ``durable``: no surrounding transaction may undo it; Django raises RuntimeError if
    there is one.

    Raises:
        StoreUnavailable: nothing was written.
    """
    connection = current_connection()

    def attempt() -> T:
        if at_once is not None and (result := at_once()) is not None:
            return result
        with transaction.atomic(using=connection.alias, durable=durable):
            return write()

    with store_errors():
        for _ in range(attempts - 1):
            try:
                return attempt()
            except OperationalError:
                if connection.in_atomic_block:
                    raise  # the surrounding transaction is lost; only its owner can start again
                connection.close_if_unusable_or_obsolete()
        return attempt()


def commits_at_once(connection: Any) -> bool:
    """Return whether each statement is a transaction of its own."""
    return not connection.in_atomic_block and bool(connection.get_autocommit())


def chunks(keys: Sequence[K]) -> Iterator[Sequence[K]]:
    """Yield the keys of the rows to change in each transaction."""
    return (keys[start : start + ROWS_PER_TRANSACTION] for start in range(0, len(keys), ROWS_PER_TRANSACTION))


def demand_no_transaction() -> None:
    """Refuse to run inside a transaction, as a durable one does, although nothing will be written.

    Raises:
        RuntimeError: there is one, other than a test's own.
    """
    blocks = getattr(current_connection(), "atomic_blocks", [])
    if blocks and not blocks[-1]._from_testcase:
        raise RuntimeError("tokens must not be handed out inside a transaction, which may be rolled back")


def after_commit(function: Callable[[], Any]) -> None:
    """Run ``function`` after the surrounding transaction commits, or now; errors are logged, not raised."""
    try:
        transaction.on_commit(pin_to_alias(function), using=alias(), robust=True)
    except (OperationalError, InterfaceError):  # outside a transaction Django connects first
        logger.exception(
            "The database has gone before what follows a commit could be done.",
            extra={"event": "after_commit_lost"},
        )


def with_transaction_of(using: str, write: Callable[[], Any]) -> None:
    """Run ``write`` in the transaction of database ``using``; after its commit, if authx writes another."""
    if using == alias():
        write()
    else:
        transaction.on_commit(pin_to_alias(write), using=using)


def outside_transactions(read: Callable[[], T]) -> T:
    """Run ``read`` where it sees everything that has been committed by now.

    A transaction may see an old snapshot (REPEATABLE READ): inside one, another thread reads. A test's own
    transaction does not count: no other connection sees what happens in it.
    """
    return on_own_connection(read) if may_be_rolled_back() else read()


def is_in_transaction(connection: Any) -> bool:
    """Return whether a transaction is open, other than the one that Django's TestCase opens around a test."""
    blocks = getattr(connection, "atomic_blocks", [])
    return connection.in_atomic_block and not all(block._from_testcase for block in blocks)


def may_be_rolled_back() -> bool:
    """Return whether what is written now is in a transaction, other than a test's own."""
    return is_in_transaction(current_connection())


def on_own_connection(read: Callable[[], T]) -> T:
    """Run ``read`` in a thread that ends with it, on a connection of its own.

    The caller may be in a transaction that sees an old snapshot, or that an error would break, or in an event
    loop; ``read`` sees what is committed now.

    Raises:
        StoreUnavailable: no thread can be started.
    """
    if getattr(current_connection(), "is_in_memory_db", bool)():
        return read()  # there is no other connection to it
    read = pin_to_alias(read)

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
