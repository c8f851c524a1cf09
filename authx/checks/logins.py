"""System checks of the login limit: its backend first, a cache that can count, known proxies."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.cache import BaseCache, caches
from django.core.cache.backends.db import BaseDatabaseCache
from django.core.cache.backends.dummy import DummyCache
from django.core.cache.backends.locmem import LocMemCache
from django.core.checks import CheckMessage, Error, Warning
from django.utils.module_loading import import_string

from authx.conf import Conf

BACKEND = "authx.backends.LoginLimitBackend"


def check_login_backend(**kwargs: Any) -> list[CheckMessage]:
    """Demand LoginLimitBackend first: a backend before it has already hashed the password."""
    paths = list(settings.AUTHENTICATION_BACKENDS)
    if Conf.LOGIN_RATE.configured() is None and Conf.ADDRESS_RATE.configured() is None:
        return []
    if paths and getattr(_imported(paths[0]), "limits_logins", False):
        return []
    text = f"{BACKEND} does not stand first in AUTHENTICATION_BACKENDS."
    hint = (
        "Put it there: the admin's login, and every other one that is not ours, lets passwords be guessed "
        "without a limit."
    )
    return [Warning(text, hint=hint, id="authx.W022")]


def check_lockout(**kwargs: Any) -> list[CheckMessage]:
    """Demand that AUTHX_LOCKOUT names a class that can be asked."""
    from authx.logins.lockout import Lockout

    path = Conf.LOCKOUT.configured()
    if path is None or Conf.LOCKOUT.complaint():
        return []  # or reported by check_settings
    found = _imported(path)
    if found is None or (isinstance(found, type) and issubclass(found, Lockout)):
        return []  # or reported by check_together
    text = f"AUTHX_LOCKOUT names {path}, which is no subclass of authx.logins.lockout.Lockout."
    hint = "Derive it from that class, and let its refuses(request, credentials) ask the package."
    return [Error(text, hint=hint, id="authx.E030")]


def check_counting(**kwargs: Any) -> list[CheckMessage]:
    """Demand a default cache that can count, and remembers what it has counted."""
    kind = type(caches["default"])
    fault = _fault(kind)
    if fault is None:
        return []
    text = f"The default cache, {kind.__module__}.{kind.__qualname__}, {fault}."
    hint = "Failed logins and refreshes are counted there: use Redis or Memcached, shared by all workers."
    return [Warning(text, hint=hint, id="authx.W023")]


def check_proxies(**kwargs: Any) -> list[CheckMessage]:
    """Warn of an address limit that may not know which address is the visitor's."""
    if Conf.TRUSTED_PROXIES.configured() or Conf.ADDRESS_RATE.configured() is None:
        return []
    text = "AUTHX_TRUSTED_PROXIES is 0: behind a proxy, failed logins are not limited by address."
    hint = "Set it to the number of proxies before this site that append to X-Forwarded-For."
    return [Warning(text, hint=hint, id="authx.W024")]


def _fault(kind: type[BaseCache]) -> str | None:
    """Return what is wrong with counting in a cache of this class; None if nothing is."""
    if issubclass(kind, DummyCache):
        return "keeps nothing: nothing is limited"
    if issubclass(kind, LocMemCache):
        most = "as many as its MAX_ENTRIES, 300 unless set"
        return f"is each worker's own, and forgets counters when it holds {most}"
    if issubclass(kind, BaseDatabaseCache):
        return "cannot count atomically, and forgets what a transaction has counted that is rolled back"
    if getattr(kind, "incr", None) is BaseCache.incr:
        return "cannot count atomically: many tries at once are counted as one"
    return None


def _imported(path: Any) -> Any:
    try:
        return import_string(path)
    except (ImportError, TypeError):
        return None  # Django reports it itself
