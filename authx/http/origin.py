"""The origin of the page that a request comes from, as its browser says (RFC 6454 §7)."""

from __future__ import annotations

from django.http import HttpRequest
from django.http.request import split_domain_port

from authx.conf import conf
from authx.core.uris import LOCAL_HOSTS


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
    return origin_of(request) in conf.SOCKET_ORIGINS or _is_own(request)


def is_same_origin(request: HttpRequest) -> bool:
    """Return whether a page of this very host has sent the request; False if its browser does not say so.

    Raises:
        DisallowedHost: as above.
    """
    relation = request.headers.get("Sec-Fetch-Site")  # Fetch Metadata; absent over plain http
    if relation not in {None, "same-origin"}:
        return False
    return _is_own(request) if origin_of(request) else relation is not None


def _is_own(request: HttpRequest) -> bool:
    origin, host = origin_of(request), request.get_host()
    domain, _port = split_domain_port(host)
    # By plain http only where no other machine can stand in for the host.
    is_local = not conf.COOKIE_SECURE or domain in LOCAL_HOSTS
    return origin == f"https://{host}" or (is_local and origin == f"http://{host}")
