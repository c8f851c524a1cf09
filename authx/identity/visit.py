"""One request of a browser: its identity, and what the view sees of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from typing import Any

from django.http import HttpRequest
from django.utils.functional import LazyObject

from authx.errors import AuthxError, StoreUnavailable
from authx.http import auth_functions, renewal
from authx.http.request_state import request_state
from authx.identity.identity import Identity
from authx.identity.liveness import must_be_read, presents_nothing
from authx.identity.password_change import read_changed
from authx.identity.settling import NOBODY, UserOf, read, settle
from authx.models import DeviceSession
from authx.sessions.authentication import Caller


class Visit:
    """A request's identity, settled when somebody asks: ``request.authx_visit``.

    A login, a logout or a password change in the view replaces it.
    """

    __slots__ = (
        "_is_settled",
        "django_key",
        "django_session",
        "is_retry",
        "known",
        "over",
        "raised",
        "request",
        "swapped",
        "touched",
    )

    def __init__(self, request: HttpRequest, session: Any, django_key: str | None = None) -> None:
        self.request = request
        #: The Django session that the identity belongs to.
        self.django_session = session
        #: Those of other Django sessions that were put in its place since.
        self.swapped: list[Visit] = []
        #: The newest that is known, without looking anything up.
        self.known = NOBODY
        #: True once the user or the session has been asked for: caches have to know.
        self.touched = False
        #: Whether the page was redirected to itself: now the database says who is here, and no copy.
        self.is_retry = False
        #: Why the session is over all the same whose user was handed out already; None if it is not.
        self.over: AuthxError | None = None
        #: What reading its row has last raised in the view, if anything.
        self.raised: AuthxError | None = None
        #: The key that the Django session had when it came with the request, or was put in its place.
        self.django_key = django_key
        self._is_settled = False

    @property
    def identity(self) -> Identity:
        """Return the newest that is known; read the row of a session that was let in without.

        Raises:
            StoreUnavailable: it cannot be read.
        """
        if self.known.unread is not None:
            self._read()
        return self.known

    @property
    def has_named_somebody(self) -> bool:
        """Return whether a device session has identified the visitor, over meanwhile or not."""
        return self.known.session is not None or self.known.unread is not None or self.over is not None

    def current(self) -> Visit:
        """Return the visit of the Django session that the request has now: this one, unless it is swapped."""
        session = getattr(self.request, "session", None)
        for visit in (self, *self.swapped):
            if visit.django_session is session:
                return visit
        self.swapped.append(Visit(self.request, session, getattr(session, "session_key", None)))
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

    def settle(self) -> Identity:
        """Return who the request is, with the row of the session; look it up at the first call.

        Raises:
            StoreUnavailable: that cannot be known.
            Exception: what the site's own code has raised. A login page sees an anonymous visitor instead, or
                nobody could sign in as somebody else.
        """
        self._settle(None)
        return self.identity

    def is_at_hand(self) -> bool:
        """Return whether ``settle`` reads nothing: it has been called, or nothing was presented."""
        if self._is_settled:
            return self.known.unread is None
        return self.known is NOBODY and presents_nothing(self.request)

    def user(self) -> Any:
        """Return who the request is; the user's row is read now or when it is used. Raises as ``settle``."""
        self._settle(None if self.is_retry or must_be_read(self.request) else self._user_of)
        return self.known.user

    def device_session(self) -> DeviceSession | None:
        """Return the session, its row read; raises as ``settle``.

        Raises:
            AuthxError: it is over all the same; the view has taken its user for signed in.
        """
        session = self.settle().session
        if self.over is not None:
            self.raised = self.over
            raise self.over
        return session

    def _settle(self, user_of: UserOf | None) -> None:
        self.touched = True
        if not self._is_settled:
            self.identify(settle(self.request, self.known, user_of))
        if isinstance(self.known.refusal, StoreUnavailable):
            raise self.known.refusal
        if self.known.failure is not None and not renewal.is_login_page(self.request):
            raise self.known.failure

    def _read(self) -> None:
        with self.in_place():
            read_now = read_changed if auth_functions.holds_new_hash(self.request) else read
            self.known = read_now(self.request, self.known)
        self.over = self.known.refusal

    def _user_of(self, caller: Caller) -> Any:
        """Return the user of a caller whose row nobody has asked for before; raises as ``device_session``.

        Once the request has been answered nothing is raised: no page could be shown in place of the answer.
        """
        try:
            if self.known.unread is caller and (session := self.identity.session) is not None:
                return session.user
            if self.over is not None:
                raise self.over
            return caller.session.user
        except AuthxError as error:
            self.raised = error
            if request_state(self.request).is_finished:
                return caller.nameless_user()
            raise

    def identify(self, identity: Identity) -> None:
        """Settle who the request is from now on."""
        self.known, self.over, self._is_settled = identity, None, True

    def change_delivery(self, **changes: Any) -> None:
        """Change what the response delivers, and nothing else; ``changes`` are fields of ``Delivery``."""
        self.known = replace(self.known, delivery=replace(self.known.delivery, **changes))

    def is_visitor(self, user: Any) -> bool:
        """Return whether ``user`` is the very object handed out, not one that a backend let in since."""
        return unwrapped(user) is unwrapped(self.known.user)


def unwrapped(user: Any) -> Any:
    """Return the object itself, however many middlewares have wrapped it."""
    while isinstance(user, LazyObject):
        user = user._wrapped
    return user


def visit_of(request: Any) -> Visit | None:
    """Return the visit of a request that came through the middleware, by its present session; else None."""
    visit: Visit | None = getattr(getattr(request, "_request", request), "authx_visit", None)
    return None if visit is None else visit.current()


def identity_of(request: Any) -> Identity | None:
    """Return who the request is, looked up at the first call; None if it did not come through the middleware.

    Raises:
        StoreUnavailable: that cannot be known.
        AuthxError: the session is over, though the view has taken its user for signed in.
    """
    visit = visit_of(request)
    if visit is None:
        return None
    visit.device_session()
    return visit.known


def session_of(request: Any) -> DeviceSession | None:
    """Return the device session of a request, raising as ``identity_of`` does; None without one."""
    visit = visit_of(request)
    return None if visit is None else visit.device_session()
