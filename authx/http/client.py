"""Who is calling: address and user agent, as far as they can be believed."""

from __future__ import annotations

from ipaddress import IPv6Address, ip_address, ip_network

from django.http import HttpRequest

from authx.conf import conf
from authx.core.devices import clean_text


def client_ip(request: HttpRequest) -> str | None:
    """The caller's IP address, or None where there is none (a Unix socket, a malformed header).

    Of X-Forwarded-For only the entries that AUTHX_TRUSTED_PROXIES proxies of ours appended count.
    """
    trusted = conf.TRUSTED_PROXIES
    if not trusted:
        return _address(request.META.get("REMOTE_ADDR", ""))
    hops = request.META.get("HTTP_X_FORWARDED_FOR", "").split(",")
    return _address(hops[-trusted]) if len(hops) >= trusted else None


def client_network(request: HttpRequest) -> str:
    """What one caller can hold many addresses of: an IPv6 /64, an IPv4 address, or ``""``."""
    found = client_ip(request)
    if found is None:
        return ""
    address = ip_address(found)
    return str(ip_network((address, 64), strict=False)) if address.version == 6 else found


def client_user_agent(request: HttpRequest) -> str:
    """The User-Agent header, safe to store and print, at most 512 characters."""
    return clean_text(request.META.get("HTTP_USER_AGENT", ""), 512)


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
