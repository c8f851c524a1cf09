"""Which clients of OAuth a door lets in, beside the logins of the site."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from authx.core.claims import AccessClaims
from authx.core.scopes import is_scope_token
from authx.errors import ScopeMissing


@dataclass(frozen=True, slots=True)
class Clients:
    """What their tokens must be for, one of ``resources``, and let them do, all of ``scopes``."""

    resources: tuple[str, ...]
    scopes: tuple[str, ...]

    def demand_scope(self, claims: AccessClaims) -> None:
        """Demand that the token has every scope.

        Raises:
            ScopeMissing: it lacks one.
        """
        if not set(self.scopes).issubset(claims.scopes):
            raise ScopeMissing(self.scopes)


def clients_of(resource: str | Collection[str], scope: str | Collection[str]) -> Clients | None:
    """Return whom these two let in; None where neither is given.

    Raises:
        ValueError: one is there without the other, or is no such thing.
    """
    resources = (resource,) if isinstance(resource, str) else tuple(resource)
    scopes = tuple(scope.split()) if isinstance(scope, str) else tuple(scope)
    if not resources and not scopes:
        return None
    if not resources or not scopes:
        raise ValueError("a socket for clients needs both: the resource it is, and the scope it demands")
    if not all(isinstance(uri, str) and uri for uri in resources) or not all(map(is_scope_token, scopes)):
        raise ValueError("resource is a URI or a list of them, scope a scope-token or a list of them")
    return Clients(resources, scopes)
