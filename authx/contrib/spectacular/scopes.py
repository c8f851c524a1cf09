"""Which scopes let a client in, as its view's permissions say."""

from __future__ import annotations

from collections.abc import Iterable
from functools import reduce
from typing import Any

from rest_framework.permissions import AND, OR

#: Ways to be let in: each a set of scopes, all of which the token must have.
Alternatives = list[tuple[str, ...]]


def alternatives(permissions: Iterable[Any]) -> Alternatives:
    """Return the sets of scopes of which a client needs one; none at all where no client is let in."""
    return reduce(_both, map(_of, permissions), [()])


def _of(permission: Any) -> Alternatives:
    whole: Any = getattr(permission, "whole", permission)  # of a composition with one of ours in it
    kind = type(whole)
    if issubclass(kind, AND):
        return _both(_of(whole.op1), _of(whole.op2))
    if issubclass(kind, OR):
        return _without_doubles([*_of(whole.op1), *_of(whole.op2)])
    # One of a site's own may look at the scope without saying which.
    scopes = getattr(whole, "client_scopes", ())
    return [] if scopes is None else [tuple(scopes)]


def _both(one: Alternatives, other: Alternatives) -> Alternatives:
    return _without_doubles([(*first, *second) for first in one for second in other])


def _without_doubles(found: Alternatives) -> Alternatives:
    return list(dict.fromkeys(tuple(dict.fromkeys(scopes)) for scopes in found))
