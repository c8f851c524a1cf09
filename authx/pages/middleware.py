"""``DeviceSessionMiddleware``: what comes before the view, and what after it, called sync or async."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction, sync_to_async
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from authx.http.request_state import request_state
from authx.identity.renewing import renews_nothing
from authx.pages.admin_login import add_reason
from authx.pages.after_view import finish, finish_at_once
from authx.pages.before_view import enter, renew
from authx.pages.failures import page_for
from authx.pages.logout import aopen_logout, is_view_looked_at, open_logout
from authx.store.after_transaction import AfterView, view_under_way


class DeviceSessionMiddleware:
    """Sets ``request.user``, ``request.auser`` and ``request.device_session`` from one device session.

    Stands directly after Django's ``AuthenticationMiddleware``. In an event loop it changes to a thread only
    where something has to be read or written.
    """

    sync_capable = async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        self.get_response = get_response
        self.is_async = iscoroutinefunction(get_response)
        if self.is_async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> Any:
        if self.is_async:
            return self.__acall__(request)
        if early := enter(request) or renew(request):
            return early
        left = AfterView()
        left.request, under_way = request, view_under_way.set(left)
        try:
            try:
                response = self.get_response(request)
            finally:
                left.request = None
            return response if finish_at_once(request, response, left) else finish(request, response)
        finally:
            left.is_over = True
            if left:
                left.run()
            view_under_way.reset(under_way)

    async def __acall__(self, request: HttpRequest) -> Any:
        if early := enter(request) or await _arenew(request):
            return early
        left = AfterView()
        left.request, under_way = request, view_under_way.set(left)
        try:
            try:
                response = await self.get_response(request)
            finally:
                left.request = None
            if finish_at_once(request, response, left):
                return response
            return await sync_to_async(_finish)(request, response, left)
        finally:
            left.is_over = True
            if left:  # the view was cancelled, as the client has hung up
                await sync_to_async(left.run)()
            view_under_way.reset(under_way)

    @property
    def process_view(self) -> Callable[..., Any]:
        """Return what Django calls before the middlewares behind this one look at the view.

        Raises:
            AttributeError: none of them does, so that Django need not call anything. Never in a class that
                extends this one.
        """
        if type(self) is DeviceSessionMiddleware and not is_view_looked_at(behind=DeviceSessionMiddleware):
            raise AttributeError("process_view")
        return aopen_logout if self.is_async else open_logout

    @property
    def process_template_response(self) -> Callable[..., Any]:
        """Return what Django calls before it renders a page: an admin's login page says one thing more."""
        return self._aadd_reason if self.is_async else self._add_reason

    def _add_reason(self, request: HttpRequest, response: Any) -> Any:  # a method: Django reads its __self__
        return add_reason(request, response)

    async def _aadd_reason(self, request: HttpRequest, response: Any) -> Any:
        return add_reason(request, response)  # it reads nothing: the template does, in a thread of its own

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponseBase | None:
        """Return a page for an outage, a refused login or a session that is over; None for other errors."""
        return page_for(request, error, request_state(request).visit)


def _finish(request: HttpRequest, response: HttpResponseBase, left: AfterView) -> HttpResponseBase:
    try:
        return finish(request, response)
    finally:
        left.run()


async def _arenew(request: HttpRequest) -> HttpResponseBase | None:
    return renew(request) if renews_nothing(request) else await sync_to_async(renew)(request)
