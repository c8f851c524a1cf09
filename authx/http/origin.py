"""The origin of the page that a request comes from, as its browser says (RFC 6454 §7)."""

from __future__ import annotations

from typing import Final

from django.http import HttpRequest
from django.http.request import split_domain_port

from authx.conf import conf

#: Hosts that no other machine can stand in for: their pages may be served by plain http.
_LOCAL: Final = frozenset({"localhost", "127.0.0.1", "[::1]"})


def origin_of(request: HttpRequest) -> str:
    """Return the Origin header; ``""`` if there is none. Servers join two of them, to no origin at all."""
    found: str = request.META.get("HTTP_ORIGIN", "")
    return found


def is_allowed_origin(request: HttpRequest) -> bool:
    """Return whether the page is one of the site's own, or of AUTHX_SOCKET_ORIGINS; exactly, port and all.

    A page that names no origin, or ``null``, is nobody's.

    Raises:
        DisallowedHost: Django's; the Host header names no host of the site.
    """
    origin, host = origin_of(request), request.get_host()
    if origin in {f"https://{host}", *conf.SOCKET_ORIGINS}:
        return True
    domain, _port = split_domain_port(host)
    return origin == f"http://{host}" and (not conf.COOKIE_SECURE or domain in _LOCAL)
