"""A connection of our own to the Redis of a cache alias: impatient, and never trying twice."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from os import getpid
from typing import Any

from django.core.cache import caches
from django.core.exceptions import ImproperlyConfigured

#: Seconds that one command, or one connection, may take. A dead server costs this once, then the breaker.
TIMEOUT_SECONDS = 0.05


def connect(alias: str) -> Any:
    """A client for the primary that the django-redis alias names: one server, Sentinel, with TLS or not.

    The alias's own connections stay as the site wants them.

    Raises:
        ImproperlyConfigured: the alias is not django-redis's, or is not there.
    """
    from django_redis.pool import get_connection_factory

    server, options = _described(alias)
    patience = _patience()
    options["SOCKET_TIMEOUT"] = options["SOCKET_CONNECT_TIMEOUT"] = TIMEOUT_SECONDS
    for name in ("CONNECTION_POOL_KWARGS", "SENTINEL_KWARGS"):
        options[name] = {**(options.get(name) or {}), **patience}
    factory: Any = get_connection_factory(options=options)  # by name: 6.0 has a path before it
    factory._pools = {}  # else it would hand out the alias's pool, with its time-outs
    client = factory.connect(server)
    if pool := getattr(client, "connection_pool", None):
        pool.connection_kwargs.update(patience)  # over what stands in the URL
    return client


class Connections:
    """Connections of our own, each used by one at a time and left to the next.

    A pool's looking at one twice costs as much as the command itself; and it counts those it has made, of
    which it allows a hundred.

    For commands that may be given twice: one that fails on a connection from before, which the server may
    have closed meanwhile, is given once more on a new one. A time-out is not.
    """

    def __init__(self, client: Any) -> None:
        from redis.exceptions import ConnectionError as Lost
        from redis.exceptions import TimeoutError as Late

        self._client, self._lost, self._late = client, Lost, Late
        self._pool = getattr(client, "connection_pool", None)  # a cluster's client has none
        #: Those that nobody uses, with the process that made them; the last one left is taken first.
        self._idle: list[tuple[int, Any]] = []

    def execute(self, *words: Any) -> Any:
        """What the client's ``execute_command`` answers, without its decoding."""
        if self._pool is None:
            return self._client.execute_command(*words)
        if (connection := self._take()) is not None:
            try:
                return self._ask(connection, words)
            except self._late:
                raise
            except self._lost:
                pass
        connection = self._pool.connection_class(**self._pool.connection_kwargs)
        connection.connect()  # by itself, for Sentinel's has to find out where to
        return self._ask(connection, words)

    def _take(self) -> Any:
        """One that is idle, if there is one; a parent's are not for its forked children."""
        with suppress(IndexError):
            while True:
                pid, connection = self._idle.pop()
                if pid == getpid():
                    return connection
        return None

    def _ask(self, connection: Any, words: Sequence[Any]) -> Any:
        try:
            connection.send_command(*words)
            answer = connection.read_response()
        except BaseException:
            connection.disconnect()  # what comes late must not be taken for the next answer
            raise
        self._idle.append((getpid(), connection))
        return answer


def failures() -> tuple[type[Exception], ...]:
    """What a command raises that Redis has not carried out, or has not been heard to."""
    from redis.exceptions import RedisError  # importing redis takes half a second

    return RedisError, OSError


def key_name(alias: str, name: str) -> str:
    """``name`` as the alias's own keys are made: with its prefix and version."""
    made: str = caches[alias].make_key(name)
    return made


def text(value: Any) -> str:
    """What Redis has answered; the alias may decode answers or not."""
    return value.decode() if isinstance(value, bytes) else str(value)


def _described(alias: str) -> tuple[str, dict[str, Any]]:
    """The primary's address and the options of the alias."""
    client = getattr(caches[alias], "client", None)
    servers, options = getattr(client, "_server", None), getattr(client, "_options", None)
    if not servers or options is None:
        raise ImproperlyConfigured(f"The cache {alias!r} of AUTHX_REDIS_ALIAS is not django-redis's.")
    return str(next(iter(servers))), dict(options)


def _patience() -> dict[str, Any]:
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    return {
        "socket_timeout": TIMEOUT_SECONDS,
        "socket_connect_timeout": TIMEOUT_SECONDS,
        "retry": Retry(NoBackoff(), 0),
        "health_check_interval": 0,
    }
