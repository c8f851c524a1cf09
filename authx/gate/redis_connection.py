"""A connection of our own to the Redis of a cache alias: impatient, and never trying twice."""

from __future__ import annotations

from typing import Any

from django.core.cache import caches
from django.core.exceptions import ImproperlyConfigured

#: Seconds that one command, or one connection, may take. A dead server costs this once, then the breaker.
TIMEOUT = 0.05


def connect(alias: str) -> Any:
    """A client for the primary that the django-redis alias names: one server, Sentinel, with TLS or not.

    The alias's own connections stay as the site wants them.

    Raises:
        ImproperlyConfigured: the alias is not django-redis's, or is not there.
    """
    from django_redis.pool import get_connection_factory

    server, options = _described(alias)
    patience = _patience()
    options["SOCKET_TIMEOUT"] = options["SOCKET_CONNECT_TIMEOUT"] = TIMEOUT
    for name in ("CONNECTION_POOL_KWARGS", "SENTINEL_KWARGS"):
        options[name] = {**(options.get(name) or {}), **patience}
    factory: Any = get_connection_factory(options)
    factory._pools = {}  # else it would hand out the alias's pool, with its time-outs
    client = factory.connect(server)
    if pool := getattr(client, "connection_pool", None):
        pool.connection_kwargs.update(patience)  # over what stands in the URL
    return client


def failures() -> tuple[type[Exception], ...]:
    """What a command raises that Redis has not carried out, or has not been heard to."""
    from redis.exceptions import RedisError  # importing redis takes half a second

    return RedisError, OSError


def key_name(alias: str, name: str) -> str:
    """``name`` as the alias's own keys are made: with its prefix and version."""
    made: str = caches[alias].make_key(name)
    return made


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
        "socket_timeout": TIMEOUT,
        "socket_connect_timeout": TIMEOUT,
        "retry": Retry(NoBackoff(), 0),
        "health_check_interval": 0,
    }
