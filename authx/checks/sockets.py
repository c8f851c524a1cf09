"""System checks of the ASGI application: what stands beside the socket door, and when it hears of endings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from django.conf import settings
from django.core.checks import CheckMessage, Warning
from django.utils.module_loading import import_string

from authx.conf import conf
from authx.sockets.door import Door

#: Where apps of Django, Channels and Starlette keep what stands behind them.
_INWARDS: Final = ("app", "application", "application_mapping", "callback", "inner", "router", "routes")
_AUTH_MIDDLEWARE: Final = "channels.auth.AuthMiddleware"
_MAX_DEPTH: Final = 32
_SERVERS: Final = ("channels", "daphne")


@dataclass(frozen=True, slots=True)
class _Found:
    """An app in the application, and the kinds of what stands around it."""

    app: Any
    around: tuple[type, ...]


def check_sockets(**kwargs: Any) -> list[CheckMessage]:
    """Demand that no middleware of Channels says who the user is beside the door; that it can be seen."""
    if getattr(settings, "ASGI_APPLICATION", None) is None:
        return _unset()
    found = list(_apps())
    middleware = [each for each in found if _is_auth_middleware(type(each.app))]
    return [message for each in middleware if (message := _beside(each, found))]


def check_sockets_in_production(**kwargs: Any) -> list[CheckMessage]:
    """Warn of a service whose sockets hear of endings late, or not at all."""
    if not conf.is_valid() or conf.REVOCATION_STORE != "remote":
        return []
    if not any(isinstance(each.app, Door) for each in _apps()):
        return []
    if not conf.REVOCATIONS_URL:
        text = "Nobody tells this service which sessions have ended: its WebSockets close when tokens expire."
        return [Warning(text, hint="Set AUTHX_REVOCATIONS_URL.", id="authx.W043")]
    if timedelta(seconds=1) < conf.REVOCATION_LAG:
        text = "AUTHX_REVOCATION_LAG is more than a second, and so late may a WebSocket be closed."
        hint = "Set it to a second, if that matters here; each process reads the feed twice in a lag."
        return [Warning(text, hint=hint, id="authx.W042")]
    return []


def _unset() -> list[CheckMessage]:
    is_served = any(name in settings.INSTALLED_APPS for name in _SERVERS)
    is_configured = any(name.startswith("AUTHX_SOCKET") for name in dir(settings))
    if not is_served and not is_configured:
        return []
    text = "ASGI_APPLICATION is not set: what stands beside the socket door cannot be checked."
    return [Warning(text, hint='Set ASGI_APPLICATION = "site.asgi.application".', id="authx.W040")]


def _beside(middleware: _Found, found: list[_Found]) -> CheckMessage | None:
    is_behind = any(issubclass(kind, Door) for kind in middleware.around)
    if is_behind or any(isinstance(each.app, Door) and type(middleware.app) in each.around for each in found):
        text = "AuthMiddlewareStack of Channels stands beside our door: each handshake waits for it in vain."
        return Warning(text, hint="Take it out: the door sets scope['user'].", id="authx.W041")
    text = "AuthMiddlewareStack of Channels lets WebSockets in that stay open after their sessions end."
    return Warning(text, hint="Put authx.sockets.authenticated in its place.", id="authx.W044")


def _is_auth_middleware(kind: type) -> bool:
    return any(f"{base.__module__}.{base.__qualname__}" == _AUTH_MIDDLEWARE for base in kind.__mro__)


def _apps() -> Iterator[_Found]:
    """Yield all that can be seen of ASGI_APPLICATION; nothing, where it cannot be imported."""
    try:
        whole = import_string(getattr(settings, "ASGI_APPLICATION", ""))
    except Exception:  # whoever serves it says so
        return iter(())
    return _within(whole, (), set())


def _within(app: Any, around: tuple[type, ...], seen: set[int]) -> Iterator[_Found]:
    if id(app) in seen or len(around) > _MAX_DEPTH or isinstance(app, str | bytes | type):
        return
    seen.add(id(app))
    yield _Found(app, around)
    around = (*around, type(app))
    if isinstance(app, Mapping):
        inner = list(app.values())
    elif isinstance(app, list | tuple):
        inner = list(app)
    else:
        inner = [value for name in _INWARDS if (value := _kept(app, name)) is not None]
    for each in inner:
        yield from _within(each, around, seen)


def _kept(app: Any, name: str) -> Any:
    try:
        return getattr(app, name, None)
    except Exception:  # a property of somebody's
        return None
