"""Whether code reads the ``Authorization`` header: found by the words in it, and in what it calls.

Nothing is run. A few steps are followed, as a class may leave the reading to functions of its package.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from functools import lru_cache
from types import CodeType, FunctionType, ModuleType
from typing import Any, Final

from rest_framework.authentication import BaseAuthentication

#: Names of the header, and of DRF's function that reads it.
_HEADER: Final = frozenset({"authorization", "http_authorization", "get_authorization_header"})
#: How many functions deep a name is followed.
_MAX_STEPS: Final = 3


@lru_cache(maxsize=64)
def reads_authorization(kind: Any) -> bool:
    """Return whether a class, or one that it inherits from, reads the header."""
    own = [base for base in inspect.getmro(kind) if base not in (BaseAuthentication, object)]
    values = [value for base in own for value in vars(base).values()]
    words = (word for value in values for word in _words(value, _MAX_STEPS))
    return any(word.lower() in _HEADER for word in words)


def _words(value: Any, steps: int) -> Iterator[str]:
    """Yield what a value says: a text, or the names and texts in a function and in those that it names."""
    if isinstance(value, str):
        yield value
    if (function := _function(value)) is None or steps == 0:
        return
    for code in _codes(function.__code__):
        yield from code.co_names
        yield from (constant for constant in code.co_consts if isinstance(constant, str))
        for named in _named(code.co_names, function.__globals__):
            yield from _words(named, steps - 1)


def _function(value: Any) -> FunctionType | None:
    if isinstance(value, classmethod | staticmethod):
        value = value.__func__
    elif isinstance(value, property):
        value = value.fget
    try:
        value = inspect.unwrap(value) if callable(value) else None
    except ValueError:  # it wraps itself
        return None
    return value if isinstance(value, FunctionType) else None


def _codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes(constant)


def _named(names: tuple[str, ...], scope: dict[str, Any]) -> Iterator[Any]:
    """Yield what the names stand for in a module, and may stand for in modules that they name."""
    found = [scope[name] for name in names if name in scope]
    yield from found
    for module in found:
        if isinstance(module, ModuleType):
            yield from (vars(module)[name] for name in names if name in vars(module))
