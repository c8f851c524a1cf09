"""Our own connections to the Redis of a cache alias, with short time-outs and without redis-py's retries."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from hashlib import sha1
from os import getpid
from typing import Any

from django.core.cache import caches
from django.core.exceptions import ImproperlyConfigured

#: Seconds that one command, or connecting, may take. A dead server costs this once, then the breaker opens.
TIMEOUT_SECONDS: float = 0.05


def connect(alias: str) -> Any:
    """Return a client for the primary of a django-redis alias: one server or Sentinel, with TLS or not.

    The alias's own connections stay as the site wants them.

    Raises:
        ImproperlyConfigured: the alias is not django-redis's, or does not exist.
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
        pool.connection_kwargs.update(patience)  # overrides the URL
    return client


class Connections:
    """Our own connections, each used by one caller at a time and then kept for the next.

    redis-py's pool checks a connection twice at each use, which costs as much as the command itself; and it
    counts the connections it has made, of which it allows a hundred.

    Only for commands that may be sent twice: one that fails on an idle connection, which the server may have
    closed meanwhile, is sent once more on a new one. After a time-out it is not.
    """

    def __init__(self, client: Any) -> None:
        from redis.exceptions import ConnectionError as Lost
        from redis.exceptions import NoScriptError
        from redis.exceptions import TimeoutError as Late

        self._client, self._lost, self._late, self._unknown = client, Lost, Late, NoScriptError
        self._pool = getattr(client, "connection_pool", None)  # a cluster's client has none
        self._pack = _packer()
        #: Idle connections, each with the pid that made it; the last one added is taken first.
        self._idle: list[tuple[int, Any]] = []

    def execute(self, *words: Any) -> Any:
        """Send a command and return what the client's ``execute_command`` would, without its decoding."""
        if self._pool is None:
            return self._client.execute_command(*words)
        pid = getpid()
        if (connection := self._take(pid)) is not None:
            try:
                return self._ask(connection, pid, words)
            except self._late:
                raise
            except self._lost:
                pass
        connection = self._pool.connection_class(**self._pool.connection_kwargs)
        connection.connect()  # explicitly: a Sentinel connection looks up the primary's address here
        return self._ask(connection, pid, words)

    def run(self, script: str, *arguments: Any) -> Any:
        """Run a Lua script, by its digest where the server has seen it; its text is most of the command.

        ``arguments`` are those of EVAL: how many are keys, the keys, and the others.
        """
        try:
            return self.execute("EVALSHA", _digest(script), *arguments)
        except self._unknown:  # to a server that has been started since
            return self.execute("EVAL", script, *arguments)

    def _take(self, pid: int) -> Any:
        """Return an idle connection, or None; a parent's connections are not for its forked children."""
        try:
            while True:
                made_by, connection = self._idle.pop()
                if made_by == pid:
                    return connection
        except IndexError:
            return None

    def _ask(self, connection: Any, pid: int, words: Sequence[Any]) -> Any:
        try:
            if self._pack is None:
                connection.send_command(*words)
            else:
                connection.send_packed_command((self._pack(words),))
            answer = connection.read_response()
        except BaseException:
            connection.disconnect()  # a late answer must not be taken for that of the next command
            raise
        self._idle.append((pid, connection))
        return answer


def _packer() -> Callable[[Any], Any] | None:
    """Return hiredis's function, or None without that: redis-py looks at each word before it calls it."""
    try:
        from hiredis import pack_command
    except ImportError:
        return None
    return pack_command


@lru_cache(maxsize=16)
def _digest(script: str) -> str:
    """Return the digest by which Redis knows a script; it secures nothing."""
    return sha1(script.encode(), usedforsecurity=False).hexdigest()


def failures() -> tuple[type[Exception], ...]:
    """Return what a command raises if Redis has not carried it out, or no answer shows that it has."""
    from redis.exceptions import RedisError  # importing redis takes half a second

    return RedisError, OSError


def is_late(error: BaseException | None) -> bool:
    """Return whether one of ``failures`` says that no answer came in time."""
    from redis.exceptions import TimeoutError as Late

    return isinstance(error, Late | TimeoutError)


def key_name(alias: str, name: str) -> str:
    """Return ``name`` as a key of the alias, with its prefix and version."""
    made: str = _cache(alias).make_key(name)
    return made


def text(value: Any) -> str:
    """Return an answer of Redis as text; the alias may decode answers or not."""
    return value.decode() if isinstance(value, bytes) else str(value)


def _cache(alias: str) -> Any:
    """Return a cache of the alias, made for us: Django closes one of ``caches`` after every request.

    Raises:
        InvalidCacheBackendError: there is no such alias, or no such backend.
    """
    return caches.create_connection(alias) if alias in caches.settings else caches[alias]


def _described(alias: str) -> tuple[str, dict[str, Any]]:
    """Return the primary's address and the options of the alias."""
    client = getattr(_cache(alias), "client", None)
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
