"""Connections to the public internet alone, where somebody else has chosen the address (SSRF)."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from socket import SOCK_STREAM, create_connection, getaddrinfo, socket

#: Addresses that a gateway turns into the IPv4 address in their last 32 bits (RFC 6052 §2.1).
_NAT64 = IPv6Network("64:ff9b::/96")
#: The only addresses of IPv6 that the internet has (RFC 4291 §2.4, IANA). Beside them are old and local
#: ways to write an IPv4 address, and networks of a site's own, which ``is_global`` knows only in part.
_UNICAST = IPv6Network("2000::/3")


def connect_publicly(host: str, port: int, timeout: float) -> socket:
    """Connect to one of the addresses of ``host``, all of which must be public; ``timeout`` is in seconds.

    Raises:
        OSError: it has no address, one is not public, or none answers.
    """
    addresses = [str(found[4][0]) for found in getaddrinfo(host, port, type=SOCK_STREAM)]
    if not addresses or not all(map(is_public, addresses)):
        raise PrivateAddress
    failure: OSError = PrivateAddress()
    for address in addresses[:4]:
        try:
            return create_connection((address, port), timeout)
        except OSError as error:
            failure = error
    raise failure


class PrivateAddress(OSError):
    """A host is on a network that only we can reach."""


def is_public(address: str) -> bool:
    """Return whether anybody on the internet reaches the same host by this IP address as we do."""
    try:
        found = _innermost(ip_address(address))
    except ValueError:  # a link-local one with the name of an interface
        return False
    is_of_the_internet = isinstance(found, IPv4Address) or found in _UNICAST
    return is_of_the_internet and found.is_global and not found.is_multicast


def _innermost(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """Return the IPv4 address that an IPv6 address stands for, if it is of a kind that stands for one."""
    if isinstance(address, IPv4Address):
        return address
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address
