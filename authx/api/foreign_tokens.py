"""Bearer tokens of others, and whether a class of the same view takes them."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from functools import lru_cache
from types import CodeType
from typing import Any, Final

from rest_framework.authentication import BaseAuthentication, SessionAuthentication
from rest_framework.request import Request

#: Names of the Authorization header, and of DRF's function that reads it.
_HEADER: Final = frozenset({"authorization", "http_authorization", "get_authorization_header"})


def has_other_reader(request: Request, ours: BaseAuthentication, family: type[BaseAuthentication]) -> bool:
    """Return whether an authentication class behind ``ours`` in this view takes Bearer tokens of others.

    Those of ``family`` do not. One that names a scheme in its challenge says so itself; one without a
    challenge takes them if its code reads the ``Authorization`` header.
    """
    classes: list[Any] = list(request.authenticators or ())
    behind = classes[classes.index(ours) + 1 :] if ours in classes else []
    return any(_takes_bearer(other, request) for other in behind if not isinstance(other, family))


def _takes_bearer(other: Any, request: Request) -> bool:
    if isinstance(other, SessionAuthentication):
        return False
    challenge: str | None = other.authenticate_header(request)
    if challenge:
        return challenge.partition(" ")[0].lower() == "bearer"
    kind: Any = type(other)
    return _reads_header(kind)


@lru_cache(maxsize=64)
def _reads_header(kind: Any) -> bool:
    own = [base for base in inspect.getmro(kind) if base not in (BaseAuthentication, object)]
    functions = [inspect.unwrap(value) for base in own for value in vars(base).values() if callable(value)]
    codes = [code for function in functions if (code := getattr(function, "__code__", None))]
    return any(word.lower() in _HEADER for code in codes for word in _words(code))


def _words(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, str):
            yield constant
        elif isinstance(constant, CodeType):
            yield from _words(constant)
