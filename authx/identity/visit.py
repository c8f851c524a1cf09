"""One request of a browser: where its identity is kept, from the middleware's beginning to its end."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from django.http import HttpRequest
from django.utils.functional import LazyObject

from authx.http import django_session
from authx.identity.identity import Identity
from authx.identity.settling import renew, settle
from authx.models import DeviceSession


class Visit:
    """A request's identity, settled when somebody asks; kept as ``request.authx_visit``.

    A login, a logout or a password change in the view replaces it.
    """

    def __init__(self, request: HttpRequest, identity: Identity | None = None) -> None:
        """Start with nobody looked up, or with an identity that is settled already."""
        self.request = request
        #: The newest that is known, without looking anything up.
        self.identity = identity or Identity()
        #: True once the user or the session has been asked for: caches have to know.
        self.touched = False
        #: The key of the Django session that the request came with.
        self.django_key = django_session.key_of(request)
        self._is_settled = identity is not None
        self._renewed: Identity | None = None

    def renew(self) -> None:
        """Renew silently where that is due, before the view runs."""
        self._renewed = renew(self.request)
        if self._renewed is not None:
            self.identity = self._renewed

    def settle(self) -> Identity:
        """Return who the request is; look it up at the first call.

        Raises:
            StoreUnavailable: that cannot be known.
        """
        self.touched = True
        if not self._is_settled:
            self.identify(settle(self.request, self._renewed))
        if (error := self.identity.outage) is not None:
            raise error
        return self.identity

    def identify(self, identity: Identity) -> None:
        """Settle who the request is from now on."""
        self.identity, self._is_settled = identity, True

    def deliver(self, **changes: Any) -> None:
        """Change what the response delivers, and nothing else; ``changes`` are fields of ``Delivery``."""
        self.identity = replace(self.identity, delivery=replace(self.identity.delivery, **changes))

    def is_visitor(self, user: Any) -> bool:
        """Return whether ``user`` is the very object handed out, not one that a backend let in since."""
        return unwrapped(user) is unwrapped(self.identity.user)


def unwrapped(user: Any) -> Any:
    """Return the object itself, however many middlewares have wrapped it."""
    while isinstance(user, LazyObject):
        user = user._wrapped
    return user


def visit_of(request: Any) -> Visit | None:
    """Return the visit of a request that came through the middleware, else None."""
    return getattr(getattr(request, "_request", request), "authx_visit", None)


def identity_of(request: Any) -> Identity | None:
    """Return who the request is, looked up at the first call; None if it did not come through the middleware.

    Raises:
        StoreUnavailable: that cannot be known.
    """
    visit = visit_of(request)
    return None if visit is None else visit.settle()


def session_of(request: Any) -> DeviceSession | None:
    """Return the device session of a request, as ``identity_of`` does; None without one."""
    identity = identity_of(request)
    return None if identity is None else identity.session
