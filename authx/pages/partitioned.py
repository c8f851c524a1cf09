"""``PartitionedCookiesMiddleware``: partitions the cookies of Django and others as we do ours."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from authx.http.partitioned import is_partitioned, partition


class PartitionedCookiesMiddleware:
    """Partitions every ``Secure`` cookie with ``SameSite=None``, such as those of sessions and CSRF.

    Stands first, so that it sees all of them.
    """

    sync_capable = async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        self.get_response = get_response
        if iscoroutinefunction(get_response):
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> Any:
        if iscoroutinefunction(self):
            return self.__acall__(request)
        return _partitioned(self.get_response(request))

    async def __acall__(self, request: HttpRequest) -> Any:
        return _partitioned(await self.get_response(request))


def _partitioned(response: HttpResponseBase) -> HttpResponseBase:
    for name, cookie in list(response.cookies.items()):
        goes_anywhere = cookie["secure"] and cookie["samesite"].lower() == "none"
        if goes_anywhere and not is_partitioned(response, name):
            partition(response, name)
    return response
