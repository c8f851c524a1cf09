"""Whether a view's permissions keep out a client whose token lacks the scope."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rest_framework.permissions import AND, NOT, OR

from authx.api.operators import Composition


def is_guarded(permissions: Iterable[Any]) -> bool:
    """Return whether one of ``permissions``, all of which have to allow, judges clients by their scope."""
    return any(map(_guards, permissions))


def _guards(permission: Any) -> bool:
    """Return whether no client passes but by its scope, or none at all.

    Ours say so by ``guards_clients``, as one of a site's own may that looks at ``request.auth.scopes``.
    """
    if isinstance(permission, Composition):
        return _guards(permission.whole)
    kind = type(permission)
    if issubclass(kind, AND):
        return _guards(permission.op1) or _guards(permission.op2)
    if issubclass(kind, OR):
        return _guards(permission.op1) and _guards(permission.op2)
    return not issubclass(kind, NOT) and bool(getattr(permission, "guards_clients", False))
