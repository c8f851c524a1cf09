"""The client's address, as far as it can be trusted."""

from __future__ import annotations

import logging
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Final

from django.http import HttpRequest

from authx.conf import conf

logger = logging.getLogger("authx")

#: Where a proxy's address may be: loopback, private, shared and link-local networks (RFC 1918, 4193, 6598).
_INSIDE: Final = [
    ip_network(network)
    for network in (
        *("127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "169.254.0.0/16"),
        *("::1/128", "fc00::/7", "fe80::/10"),
    )
]
#: The headers in which proxies name the client.
_FORWARDED: Final = ("HTTP_X_FORWARDED_FOR", "HTTP_FORWARDED", "HTTP_X_REAL_IP")


def client_ip(request: HttpRequest) -> str | None:
    """Return the client's IP address, or None where there is none (a Unix socket, a malformed header).

    In X-Forwarded-For, only the entries count that our own proxies, AUTHX_TRUSTED_PROXIES of them, appended.
    """
    trusted = conf.TRUSTED_PROXIES
    if not trusted:
        return _address(request.META.get("REMOTE_ADDR") or "")
    hops = request.META.get("HTTP_X_FORWARDED_FOR", "").split(",")
    return _address(hops[-trusted]) if len(hops) >= trusted else None


def client_network(request: HttpRequest) -> str:
    """Return the network that one client may have: an IPv6 /64 or an IPv4 address; ``""`` where unknown."""
    found = client_ip(request)
    if found is None:
        return ""
    address = ip_address(found)
    return str(ip_network((address, 64), strict=False)) if address.version == 6 else found


def is_behind_unknown_proxy(request: HttpRequest) -> bool:
    """Return whether a proxy that AUTHX_TRUSTED_PROXIES does not count forwarded the request.

    Its address is then that of all clients. From a public address the header means nothing: anybody can
    send it.
    """
    if conf.TRUSTED_PROXIES or not any(request.META.get(name) for name in _FORWARDED):
        return False
    found = client_ip(request)
    return found is not None and any(ip_address(found) in network for network in _INSIDE)


def _address(text: str) -> str | None:
    text = text.strip()
    if text.startswith("["):  # [2001:db8::1]:443, as some proxies write
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return str(mapped or address)
