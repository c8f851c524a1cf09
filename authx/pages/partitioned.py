"""``PartitionedCookiesMiddleware``: partitions the cookies of Django and others as we do ours."""

from __future__ import annotations

from django.http import HttpRequest
from django.http.response import HttpResponseBase

from authx.http.middleware import SyncOrAsync
from authx.http.partitioned import is_partitioned, partition


class PartitionedCookiesMiddleware(SyncOrAsync):
    """Partitions every ``Secure`` cookie with ``SameSite=None``, such as those of sessions and CSRF.

    Stands first, so that it sees all of them.
    """

    def answer(self, request: HttpRequest) -> HttpResponseBase:
        """Return the response with its cookies partitioned."""
        return _partitioned(self.get_response(request))

    async def aanswer(self, request: HttpRequest) -> HttpResponseBase:
        """Do what ``answer`` does; it reads nothing."""
        return _partitioned(await self.get_response(request))


def _partitioned(response: HttpResponseBase) -> HttpResponseBase:
    for name, cookie in list(response.cookies.items()):
        goes_anywhere = cookie["secure"] and cookie["samesite"].lower() == "none"
        if goes_anywhere and not is_partitioned(response, name):
            partition(response, name)
    return response
