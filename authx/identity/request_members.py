"""What the middleware adds to a request: ``user``, ``auser``, ``device_session``, and their visit."""

from __future__ import annotations

from functools import cache
from typing import Any

from asgiref.sync import sync_to_async
from django.utils.functional import SimpleLazyObject, cached_property

from authx.http import error_reports, renewal
from authx.http.request_state import request_state
from authx.identity.identity import Identity
from authx.identity.visit import Visit
from authx.models import DeviceSession
from authx.sessions.known_user import is_read, read_now


def set_members(request: Any) -> None:
    """Set ``user``, ``auser``, ``device_session`` and the visit from which they come, made when one asks."""
    session = getattr(request, "session", None)
    state = request_state(request)
    state.django_session = session
    if "HTTP_AUTHORIZATION" in request.META:
        state.has_bearer = renewal.has_bearer(request)
    if key := getattr(session, "session_key", None):
        state.first_key, state.django_keys = key, (key,)
    kind: Any = type(request)
    request.__class__ = _identified(kind)
    members = vars(request)
    members.pop("user", None)  # those of Django's middleware
    members.pop("auser", None)


def page_visit(request: Any) -> Visit | None:
    """Return the visit of the Django session that the request came with, made if need be.

    None beside a Bearer token, unless something has asked for it.
    """
    state = request_state(request)
    visit: Visit | None = state.visit
    return visit if visit is not None or state.has_bearer else request.authx_visit


class _Identified:
    """Extends a class of requests. What other code sets on a request takes the place of what is here."""

    @cached_property
    def user(self: Any) -> Any:
        """Return the lazy user."""
        self.authx_lazy_user = lazy_user = SimpleLazyObject(lambda: self.authx_visit.current().user())
        return lazy_user

    async def auser(self: Any) -> Any:
        """Return the same as ``user``, its row read, also where other code has set that meanwhile."""
        user = self.user
        if user is not vars(self).get("authx_lazy_user"):
            return user if is_read(user) else await sync_to_async(read_now)(user)
        is_at_hand = self.authx_visit.current().is_at_hand()
        return self._settled_user() if is_at_hand else await sync_to_async(self._settled_user)()

    def _settled_user(self: Any) -> Any:
        return self.authx_visit.current().settle().user

    @property
    def authx_visit(self: Any) -> Visit:
        """Return the visit, which copies of the request share; made at the first call.

        Beside a Bearer token it is nobody's, and elsewhere nothing is known of it yet.
        """
        state = request_state(self)
        visit: Visit | None = state.visit
        if visit is None:
            visit = Visit(self, state.django_session, state.first_key)
            if state.has_bearer:
                visit.identify(Identity())
            visit = vars(state).setdefault("visit", visit)  # another thread may have made one meanwhile
        return visit

    @property
    def device_session(self) -> DeviceSession | None:
        """Return the device session, or None; reading it first costs a query."""
        return self.authx_visit.current().device_session()

    @cached_property
    def exception_reporter_filter(self) -> Any:
        """Return what keeps secrets out of a report on this request, whatever DEBUG says."""
        return error_reports.report_filter()


@cache
def _identified(kind: Any) -> Any:
    """Return ``kind``, a class of requests, with what every request has here; made once."""
    return type(kind.__name__, (_Identified, kind), {})
