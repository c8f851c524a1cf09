"""What the page that answers whether its session is live, and the stream at the same address, agree on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

from django.http import HttpRequest
from django.urls import Resolver404, resolve
from django.utils.translation import get_language, get_language_from_path, override

View = TypeVar("View", bound=Callable[..., Any])

#: The parameter with the hash of the user whose page asks.
USER: Final = "user"
#: In the ASGI scope of a site that serves the stream too.
STREAMS: Final = "authx.live_notice"


def live_view(view: View) -> View:
    """Mark the view at whose address there may be a stream."""
    view.authx_live = True  # type: ignore[attr-defined]
    return view


def is_live_address(path: str) -> bool:
    """Return whether a path of the site is that of a view marked so."""
    with override(get_language_from_path(path) or get_language()):  # it may begin with one
        try:
            return bool(getattr(resolve(path).func, "authx_live", False))
        except Resolver404:
            return False


def has_stream(request: HttpRequest | None) -> bool:
    """Return whether the site that a request came to serves the stream."""
    scope: Mapping[str, Any] = getattr(request, "scope", {})
    return STREAMS in scope
