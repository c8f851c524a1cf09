"""One request of a browser: where its identity is kept, and what the middleware adds to a request."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from functools import cache
from typing import Any

from asgiref.sync import sync_to_async
from django.http import HttpRequest
from django.utils.functional import LazyObject, SimpleLazyObject, cached_property

from authx.errors import StoreUnavailable
from authx.http import renewal
from authx.http.request_state import request_state
from authx.identity.identity import Identity
from authx.identity.settling import renew, settle
from authx.models import DeviceSession


class Visit:
    """A request's identity, settled when somebody asks; kept as ``request.authx_visit``.

    A login, a logout or a password change in the view replaces it.
    """

    def __init__(self, request: HttpRequest, session: Any) -> None:
        self.request = request
        #: The Django session that the identity belongs to.
        self.django_session = session
        #: Those of other Django sessions that were put in its place since.
        self.swapped: list[Visit] = []
        #: The newest that is known, without looking anything up.
        self.identity = Identity()
        #: True once the user or the session has been asked for: caches have to know.
        self.touched = False
        #: The key that the Django session had then.
        self.django_key: str | None = getattr(session, "session_key", None)
        self._is_settled = False

    def current(self) -> Visit:
        """Return the visit of the Django session that the request has now: this one, unless it is swapped."""
        session = getattr(self.request, "session", None)
        for visit in (self, *self.swapped):
            if visit.django_session is session:
                return visit
        self.swapped.append(Visit(self.request, session))
        return self.swapped[-1]

    def in_place(self) -> AbstractContextManager[None]:
        """Give the request back the Django session of this visit, in the ``with`` block."""
        now = getattr(self.request, "session", None)
        return nullcontext() if now is self.django_session else self._put_back(now)

    @contextmanager
    def _put_back(self, now: Any) -> Iterator[None]:
        self.request.session = self.django_session
        try:
            yield
        finally:
            self.request.session = now

    def renew(self) -> None:
        """Renew silently where that is due, before the view runs."""
        self.identity = renew(self.request)

    def settle(self) -> Identity:
        """Return who the request is; look it up at the first call.

        Raises:
            StoreUnavailable: that cannot be known.
            Exception: what the site's own code has raised. A login page sees an anonymous visitor instead, or
                nobody could sign in as somebody else.
        """
        self.touched = True
        if not self._is_settled:
            self.identify(settle(self.request, self.identity))
        if isinstance(self.identity.refusal, StoreUnavailable):
            raise self.identity.refusal
        if self.identity.failure is not None and not renewal.is_login_page(self.request):
            raise self.identity.failure
        return self.identity

    def identify(self, identity: Identity) -> None:
        """Settle who the request is from now on."""
        self.identity, self._is_settled = identity, True

    def change_delivery(self, **changes: Any) -> None:
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


def begin_visit(request: Any) -> Visit | None:
    """Set ``user``, ``auser`` and ``device_session``; return the visit from which they come.

    None beside a Bearer token: that is the API's business, and nobody is looked up here.
    """

    def settle_user() -> Any:
        return request.authx_visit.current().settle().user

    async def auser() -> Any:
        """Return the same as ``request.user``, also where other code has set that meanwhile."""
        user = request.user
        return await sync_to_async(settle_user)() if user is lazy_user else user

    lazy_user = SimpleLazyObject(settle_user)
    session = getattr(request, "session", None)
    state = request_state(request)
    state.django_session = session
    if key := getattr(session, "session_key", None):
        state.django_keys.add(key)
    kind: Any = type(request)
    request.__class__ = _identified(kind)
    request.user, request.auser = lazy_user, auser
    if renewal.has_bearer(request):
        return None
    visit = request.authx_visit = Visit(request, session)
    return visit


class _Identified:
    """Extends a class of requests."""

    @cached_property
    def authx_visit(self: Any) -> Visit:
        """Return nobody's visit, made where something asks for it beside a Bearer token."""
        visit = Visit(self, request_state(self).django_session)
        visit.identify(Identity())
        return visit

    @property
    def device_session(self) -> DeviceSession | None:
        """Return the device session, or None; reading it first costs a query."""
        session: DeviceSession | None = self.authx_visit.current().settle().session
        return session


@cache
def _identified(kind: Any) -> Any:
    """Return ``kind``, a class of requests, with what every request has here; made once."""
    return type(kind.__name__, (_Identified, kind), {})


def visit_of(request: Any) -> Visit | None:
    """Return the visit of a request that came through the middleware, by its present session; else None."""
    visit: Visit | None = getattr(getattr(request, "_request", request), "authx_visit", None)
    return None if visit is None else visit.current()


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
