"""System checks of settings that name code of the site: it must be there, and such as authx asks."""

from __future__ import annotations

from inspect import iscoroutinefunction
from typing import Any, Final

from django.core.checks import CheckMessage, Error
from django.utils.module_loading import import_string

from authx.conf import Conf, conf
from authx.core.methods import APPS as PROVING_APPS

#: Settings that name a function, which is called and not awaited.
_FUNCTIONS: Final = {
    *("CLAIMS", "GRANT_CLAIMS", "DEVICE_CLASSIFIER", "BIND_DJANGO_LOGIN", "COUNTRY", "PLACE"),
    "NOTICE_LANGUAGE",
}
#: Settings that name a class, and the methods of which it must have one set.
_CLASSES: Final[dict[str, list[list[str]]]] = {
    "REVOCATION_STORE": [["answer"], ["end_reason"]],
    "METRICS": [["count", "change", "set"]],
}
#: Settings whose code ``check_password_login`` and ``check_lockout`` look at.
_OTHERS: Final = {"PASSWORD_LOGIN", "LOCKOUT"}


def check_named_code() -> list[CheckMessage]:
    """Check all of it now, not only at the first login."""
    found: list[CheckMessage] = []
    for name in sorted(_FUNCTIONS | _OTHERS | _CLASSES.keys()):
        path = Conf.__dict__[name].configured()
        if isinstance(path, str) and "." in path:
            found += _importable(f"AUTHX_{name}", path) or _usable(name, path)
    for path in conf.AMR:
        if path.partition(".")[0] not in PROVING_APPS:
            found += _importable(f"AUTHX_AMR names {path}, which", path)
    return found


def is_plain_function(found: Any) -> bool:
    """Return whether it can be called, and returns its answer and no coroutine."""
    call = getattr(type(found), "__call__", None)  # noqa: B004
    return callable(found) and not any(map(iscoroutinefunction, (found, call)))


def _importable(what: str, path: str) -> list[CheckMessage]:
    try:
        import_string(path)
    except ImportError as error:
        hint = "Name an importable module and what it defines."
        return [Error(f"{what} cannot be imported: {error}", hint=hint, id="authx.E011")]
    return []


def _usable(name: str, path: str) -> list[CheckMessage]:
    named = import_string(path)
    if not (lack := _lack(name, named)):
        return []
    hint = f"What AUTHX_{name} is: {Conf.__dict__[name].help}"
    return [Error(f"AUTHX_{name} names {path}, which {lack}.", hint=hint, id="authx.E058")]


def _lack(name: str, named: Any) -> str:
    """Return what is wrong with it; ``""`` where nothing is, or another check says so."""
    if name in _FUNCTIONS and not is_plain_function(named):
        return "is no plain function"
    if name in _CLASSES and not callable(named):
        return "is no class"
    wanted = _CLASSES.get(name, [])
    if not wanted or not isinstance(named, type):  # a function may return any object
        return ""
    if any(all(callable(getattr(named, method, None)) for method in methods) for methods in wanted):
        return ""
    return f"has no {' or '.join(', '.join(methods) for methods in wanted)}"
