"""System checks of the views that serve clients: each demands a scope, and is for a resource of its own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.core.checks import CheckMessage, Error
from django.core.exceptions import ImproperlyConfigured
from django.urls import URLPattern, get_resolver

from authx.api.delegated import DelegatedAuthentication
from authx.api.guarding import is_guarded
from authx.conf import conf


@dataclass(frozen=True, slots=True)
class _Found:
    """A view that serves clients, made as for a request, and how it is told apart from others."""

    name: str
    view: Any
    authentication: DelegatedAuthentication


def check_delegated_views(**kwargs: Any) -> list[CheckMessage]:
    """Check every view of the URLconf that has ``DelegatedAuthentication``."""
    if not conf.is_valid():
        return []  # reported by check_settings
    messages: dict[str, CheckMessage] = {}
    for found in _views():
        for message in (_unguarded(found), _resource(found)):
            if message is not None:
                messages.setdefault(message.msg, message)
    return list(messages.values())


def _unguarded(found: _Found) -> CheckMessage | None:
    try:
        if is_guarded(found.view.get_permissions()):
            return None
    except Exception:  # the site's code, which may want a request; whoever asks the view gets 403
        return None
    text = f"{found.name} serves clients and demands no scope: each of them gets 403."
    hint = (
        'Put authx.api.permissions.HasScope("orders:read"), say, into its permission_classes, not as one of '
        "two ways in; a permission of your own that looks at the scope says so by guards_clients = True."
    )
    return Error(text, hint=hint, id="authx.E045")


def _resource(found: _Found) -> CheckMessage | None:
    try:
        audience = found.authentication.audience
    except ImproperlyConfigured as error:
        return Error(f"{found.name}: {error}", id="authx.E046")
    if conf.REVOCATION_STORE == "remote":
        return None  # there AUTHX_AUDIENCE is the service's own name
    if own := sorted(set(audience) & set(conf.AUDIENCE)):
        text = f"{found.name} serves clients whose tokens are for {own[0]!r}, which is the site itself."
        hint = "Name a resource of AUTHX_RESOURCES: no client's token is ever for AUTHX_AUDIENCE."
        return Error(text, hint=hint, id="authx.E046")
    return None


def _views() -> Iterator[_Found]:
    for callback in callbacks():
        yield from _of(callback)


def callbacks() -> Iterator[Any]:
    """Yield what the URLconf calls for each of its patterns; nothing where it cannot be read."""
    try:
        patterns = get_resolver().url_patterns
    except Exception:  # Django reports it
        return
    yield from _within(patterns)


def _within(patterns: Any) -> Iterator[Any]:
    for pattern in patterns:
        if isinstance(pattern, URLPattern):
            yield pattern.callback
        else:
            yield from _within(pattern.url_patterns)


def _of(callback: Any) -> Iterator[_Found]:
    """Yield a view of DRF once for each of its actions; it has none unless it is of a view set."""
    kind = getattr(callback, "cls", None)
    if kind is None or not hasattr(kind, "get_authenticators"):
        return
    for action in dict.fromkeys((getattr(callback, "actions", None) or {"": ""}).values()):
        try:
            view = kind(**(getattr(callback, "initkwargs", None) or {}))
            view.action, view.request = action, None
            authenticators = view.get_authenticators()
        except Exception:  # the site's code, which may want a request
            continue
        name = f"{kind.__module__}.{kind.__name__}{f'.{action}' if action else ''}"
        ours = (found for found in authenticators if isinstance(found, DelegatedAuthentication))
        yield from (_Found(name, view, found) for found in ours)
