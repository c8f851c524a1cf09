"""Partitioned cookies (CHIPS): in a frame, a jar for each site that the frame is in."""

from __future__ import annotations

from collections.abc import Container
from http.cookies import Morsel

from django.http.response import HttpResponseBase

#: Ends the name under which a response keeps the deletion of the cookie that is not partitioned.
_UNPARTITIONED = "-unpartitioned"


class _Partitioned(Morsel[str]):
    """A cookie with an attribute that Python's own class knows since 3.14."""

    def OutputString(self, attrs: Container[str] | None = None) -> str:  # noqa: N802
        text = super().OutputString(attrs)
        return text if "; Partitioned" in text else f"{text}; Partitioned"


class _Deletion(Morsel[str]):
    """Deletes the cookie of the same name and place that is not partitioned.

    It has a name of its own where it is kept: a response keeps one cookie of a name, and a test client sends
    all that it was given.
    """

    def OutputString(self, attrs: Container[str] | None = None) -> str:  # noqa: N802
        name = self.key.removesuffix(_UNPARTITIONED)
        return super().OutputString(attrs).replace(self.key, name, 1)


def is_partitioned(response: HttpResponseBase, name: str) -> bool:
    """Return whether a cookie that the response sets is partitioned, or deletes one that is not."""
    cookie = response.cookies[name]
    return isinstance(cookie, _Partitioned | _Deletion) or bool(cookie.get("partitioned"))


def partition(response: HttpResponseBase, name: str) -> None:
    """Partition a cookie that the response sets, and delete an older one of its name that is not.

    A browser sends both, and of two cookies neither is believed: one may be left from before the site
    partitioned its cookies, or the browser knew how. The deletion stands first, for in a browser that does
    not know how it is the same cookie.
    """
    plain = response.cookies.pop(name)
    response.cookies.pop(name + _UNPARTITIONED, None)
    deletion, cookie = _Deletion(), _Partitioned()
    deletion.set(name + _UNPARTITIONED, "", '""')
    deletion.update({**plain, "max-age": 0, "expires": "Thu, 01 Jan 1970 00:00:00 GMT"})
    cookie.set(name, plain.value, plain.coded_value)
    cookie.update(plain)
    for each in (deletion, cookie):
        response.cookies[each.key] = each
