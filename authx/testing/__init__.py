"""For the tests of a site: sign test clients in, and let time pass."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from authx.testing.cases import DeviceSessionTestMixin
    from authx.testing.logins import Transport, alogin_device, login_device, token_for
    from authx.testing.moving_clock import Clock, clock

__all__ = [
    "Clock",
    "DeviceSessionTestMixin",
    "Transport",
    "alogin_device",
    "clock",
    "login_device",
    "token_for",
]

#: Where each name is. Imported late: pytest loads the plugin beside them before Django has been set up.
_MODULES = {
    "authx.testing.cases": ["DeviceSessionTestMixin"],
    "authx.testing.logins": ["Transport", "alogin_device", "login_device", "token_for"],
    "authx.testing.moving_clock": ["Clock", "clock"],
}


def __getattr__(name: str) -> Any:
    for module, names in _MODULES.items():
        if name in names:
            return getattr(import_module(module), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
