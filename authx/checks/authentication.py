"""System check of the order of authentication classes: who reads a Bearer token first."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from django.conf import settings
from django.core.checks import CheckMessage, Warning

from authx.api.bearer_order import readers_before_ours
from authx.checks.delegated_views import callbacks

SETTING: Final = "DEFAULT_AUTHENTICATION_CLASSES"


def check_bearer_order(**kwargs: Any) -> list[CheckMessage]:
    """Demand ours before others that take Bearer tokens: ours leaves them theirs, which they may not."""
    messages: dict[str, CheckMessage] = {}
    for place, named in places():
        for reader in map(name_of, readers_before_ours(named)):
            messages.setdefault(reader, _warning(reader, place))
    return list(messages.values())


def places() -> Iterator[tuple[str, Any]]:
    """Yield where classes stand in an order, and these: in the settings, then in each view of DRF."""
    yield SETTING, (getattr(settings, "REST_FRAMEWORK", None) or {}).get(SETTING) or []
    for callback in callbacks():
        kind = getattr(callback, "cls", None)
        own = (getattr(callback, "initkwargs", None) or {}).get("authentication_classes")
        classes = getattr(kind, "authentication_classes", None) if own is None else own
        if kind is not None and isinstance(classes, list | tuple):
            yield name_of(kind), classes


def name_of(found: Any) -> str:
    """Return the dotted path of a class, or of what is one already."""
    return found if isinstance(found, str) else f"{found.__module__}.{found.__qualname__}"


def _warning(reader: str, place: str) -> CheckMessage:
    text = f"{reader} stands before ours in {place}, and takes Bearer tokens: it may refuse our tokens."
    hint = "Put authx.api.authentication.BearerAuthentication first: it leaves the tokens of others to them."
    return Warning(text, hint=hint, id="authx.W057")
