"""The user that a token is about, at a service that has none of the issuer's users."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from authx.core.claims import AccessClaims


class Principal:
    """``request.user`` of a verify-only service: it only knows the claims of the token."""

    is_authenticated = is_active = True
    is_anonymous = is_staff = is_superuser = False

    def __init__(self, claims: AccessClaims) -> None:
        self.claims = claims
        #: The ``sub``: the user's key at the issuer, as text, or what the issuer uses in its place.
        self.pk = self.id = self.username = claims.sub
        self.scopes, self.roles = claims.scopes, claims.roles

    def get_username(self) -> str:
        """Return the ``sub``: the issuer tells no name."""
        return self.username

    def has_perm(self, perm: str, obj: Any = None) -> bool:
        """Return False: Django's permissions stay with the issuer; use scopes and roles."""
        return False

    def has_perms(self, perms: Any, obj: Any = None) -> bool:
        """Return False, as ``has_perm`` does."""
        return False

    def has_module_perms(self, app_label: str) -> bool:
        """Return False, as ``has_perm`` does."""
        return False

    def __str__(self) -> str:
        return self.username

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Principal) and self._name() == other._name()

    def __hash__(self) -> int:
        return hash(self._name())

    def _name(self) -> tuple[str, str]:
        return self.claims.iss, self.claims.sub


class TokenCaller:
    """The caller with a valid token at a service without our tables; the issuer has ``Caller`` for that."""

    is_read = False

    def __init__(self, claims: AccessClaims) -> None:
        self.claims = claims

    def user(self, read: Callable[..., Any] | None = None) -> Principal:
        """Return the user of the token; ``read`` is not needed, as nothing has to be read."""
        return Principal(self.claims)

    def record_use(self) -> None:
        """Do nothing: a token shown to another service confirms no refresh generation."""
