"""System check of AUTHX_REVOCATION_STORE's Redis: present, shared, reports failures, evicts no keys."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.cache import caches
from django.core.checks import CheckMessage, Error, Warning
from django.core.exceptions import ImproperlyConfigured

from authx.conf import conf
from authx.gate.revocation.redis_connection import connect, failures

#: How the name of a ``maxmemory-policy`` begins that deletes keys before they expire.
_EVICTING = ("allkeys-", "volatile-")
#: Engines that choose a schema per request.
_ENGINES_WITH_SCHEMAS = frozenset(
    {
        "django_tenants.postgresql_backend",
        "tenant_schemas.postgresql_backend",
        "django_pgschemas.postgresql_backend",
    }
)


def check_store(**kwargs: Any) -> list[CheckMessage]:
    """Check what ``redis`` needs, and warn of a lag that has no effect."""
    if not conf.is_valid():
        return []  # reported by check_settings
    found: list[CheckMessage] = []
    if "." in conf.REVOCATION_STORE and conf.REVOCATION_LAG:
        text = "AUTHX_REVOCATION_LAG has no effect on a revocation store of your own."
        hint = "Keep the copy in your store, and leave AUTHX_REVOCATION_LAG at 0."
        found.append(Warning(text, hint=hint, id="authx.W010"))
    if conf.REVOCATION_STORE == "redis":
        found += _alias() or [*_failures(), *_memory()]
    return [*found, *_schemas()]


def _schemas() -> list[CheckMessage]:
    """Refuse copies where one alias stands for the databases of many tenants, a schema each."""
    engines = {str(database.get("ENGINE")) for database in settings.DATABASES.values()}
    keeps_copies = conf.REVOCATION_STORE == "redis" or conf.REVOCATION_LAG
    if not keeps_copies or engines.isdisjoint(_ENGINES_WITH_SCHEMAS):
        return []
    text = "Tenants share one database alias, a schema each: a copy of one's endings would serve the others."
    hint = 'Set AUTHX_REVOCATION_STORE = "database" and AUTHX_REVOCATION_LAG = timedelta(0).'
    return [Error(text, hint=hint, id="authx.E023")]


def _alias() -> list[CheckMessage]:
    alias = conf.REDIS_ALIAS
    described = settings.CACHES.get(alias)
    hint = (
        "pip install drf-authx[redis], and give CACHES an alias with the BACKEND "
        f'"django_redis.cache.RedisCache"; AUTHX_REDIS_ALIAS names it ({alias!r} now).'
    )
    if described is None:
        text = f"AUTHX_REDIS_ALIAS names the cache {alias!r}, which CACHES does not have."
        return [Error(text, hint=hint, id="authx.E012")]
    try:
        client = getattr(caches[alias], "client", None)
    except (ImportError, ImproperlyConfigured) as error:
        return [Error(f"The cache {alias!r} cannot be used: {error}", hint=hint, id="authx.E012")]
    if not hasattr(client, "get_client"):
        text = (
            f"The cache {alias!r} is {described.get('BACKEND')}, not django-redis's: workers would not "
            "see one another's endings."
        )
        return [Error(text, hint=hint, id="authx.E012")]
    return []


def _failures() -> list[CheckMessage]:
    """Refuse an alias that hides failures: it returns None, which reads as "has not ended"."""
    options: Any = settings.CACHES[conf.REDIS_ALIAS].get("OPTIONS") or {}
    everywhere = getattr(settings, "DJANGO_REDIS_IGNORE_EXCEPTIONS", False)
    if not options.get("IGNORE_EXCEPTIONS", everywhere):
        return []
    text = f"The cache {conf.REDIS_ALIAS!r} ignores exceptions: a dead Redis looks like an empty one."
    hint = (
        "Set OPTIONS['IGNORE_EXCEPTIONS'] = False, or point AUTHX_REDIS_ALIAS at an alias of its own; "
        "authx itself copes with a Redis that is down."
    )
    return [Error(text, hint=hint, id="authx.E013")]


def _memory() -> list[CheckMessage]:
    """Ask the server, if it answers, whether it evicts keys."""
    try:
        client = connect(conf.REDIS_ALIAS)
        policy = str(client.config_get("maxmemory-policy").get("maxmemory-policy", ""))
    except ImproperlyConfigured as error:
        return [Error(str(error), hint="Use django-redis's own clients.", id="authx.E012")]
    except failures():
        return []  # down, or it does not say: nothing to report
    if not policy.startswith(_EVICTING):
        return []
    text = f"The Redis of the cache {conf.REDIS_ALIAS!r} evicts keys when memory is short ({policy})."
    hint = (
        "Set maxmemory-policy noeviction, or use a Redis of its own: evicted endings lose nothing, but "
        "every request then asks the database."
    )
    return [Error(text, hint=hint, id="authx.E014")]
