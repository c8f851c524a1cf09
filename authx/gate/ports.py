"""Ports for what the gate needs from the layers around it; authx's AppConfig fills them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from django.core.exceptions import ImproperlyConfigured

from authx.core.claims import DEFAULT_DATABASE

T = TypeVar("T")


class Port(Generic[T]):
    """A place for one provider, so that the gate imports nothing from outer layers, not even by name."""

    def __init__(self, name: str) -> None:
        """Start without a provider; ``name`` names it in errors."""
        self._name = name
        #: The provider; None before there is one.
        self.registered: T | None = None

    def register(self, provider: T) -> None:
        """Register the provider; the last one counts."""
        self.registered = provider

    @property
    def is_open(self) -> bool:
        """Return whether there is no provider, as in a service without our tables."""
        return self.registered is None

    @property
    def provider(self) -> T:
        """Return the provider that was registered.

        Raises:
            ImproperlyConfigured: there is none.
        """
        if self.registered is None:
            raise ImproperlyConfigured(
                f"There is no {self._name}: put authx into INSTALLED_APPS, or set AUTHX_REVOCATION_STORE to"
                " 'remote' in a service that only verifies."
            )
        return self.registered


#: Returns the alias of the database that has the sessions of the current request.
database_alias: Port[Callable[[], str]] = Port("database of sessions")


def current_database() -> str:
    """Return the alias of the database that has the sessions: each tenant of a site may have its own.

    A service without our tables has only the default one.
    """
    alias = database_alias.registered
    return DEFAULT_DATABASE if alias is None else alias()
