"""The parts of a URI, read strictly: what RFC 3986 allows and nothing that a browser would mend."""

from __future__ import annotations

import re
from ipaddress import AddressValueError, IPv6Address
from typing import Final, NamedTuple

MAX_URI_LENGTH: Final = 2000  # characters
#: The hosts that nobody but this computer answers (RFC 8252 §7.3), and with its name, which need not be.
LOOPBACK_HOSTS: Final = frozenset({"127.0.0.1", "[::1]"})
LOCAL_HOSTS: Final = LOOPBACK_HOSTS | {"localhost"}

#: ASCII without controls, spaces, quotes and backslashes, which browsers mend in their own ways.
_CHARACTERS: Final = re.compile(r"(?:[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=]|%[0-9A-Fa-f]{2})+")
_PARTS: Final = re.compile(
    r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*):(?://(?P<authority>[^/?#]*))?"
    r"(?P<path>[^?#]*)(?:\?(?P<query>[^#]*))?(?:#(?P<fragment>.*))?"
)
_AUTHORITY: Final = re.compile(
    r"(?:(?P<userinfo>.*)@)?(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~!$&'()*+,;=%-]*)(?::(?P<port>[0-9]{1,5})?)?"
)
_HOST_NAME: Final = re.compile(
    r"(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.?"
)


class Uri(NamedTuple):
    """A URI with a scheme. ``scheme`` and ``host`` are in lower case; what is not there is None."""

    scheme: str
    #: None where no authority follows the scheme, as in ``com.example.app:/done``.
    host: str | None
    userinfo: str | None
    port: int | None
    path: str
    query: str | None
    fragment: str | None

    @property
    def has_host_name(self) -> bool:
        """Return whether the host is an IPv6 literal, or made of labels of letters, digits and hyphens."""
        host = self.host or ""
        return host.startswith("[") or (len(host) <= 253 and _HOST_NAME.fullmatch(host) is not None)


def read_uri(text: str) -> Uri | None:
    """Return the parts of an absolute URI of at most 2,000 characters; None if ``text`` is none."""
    if len(text) > MAX_URI_LENGTH or not _CHARACTERS.fullmatch(text):
        return None
    parts = _PARTS.fullmatch(text)
    if parts is None:
        return None
    authority = parts["authority"]
    found = None if authority is None else _AUTHORITY.fullmatch(authority)
    if authority is not None and found is None:
        return None
    host, userinfo, port = (found["host"], found["userinfo"], found["port"]) if found else (None, None, None)
    if port is not None and not 0 < int(port) < 2**16:
        return None
    if host is not None and host.startswith("[") and not _is_ipv6(host[1:-1]):
        return None
    return Uri(
        scheme=parts["scheme"].lower(),
        host=host if host is None else host.lower(),
        userinfo=userinfo,
        port=None if port is None else int(port),
        path=parts["path"],
        query=parts["query"],
        fragment=parts["fragment"],
    )


def _is_ipv6(text: str) -> bool:
    """Return whether ``text`` is an IPv6 address: a reader of URLs may raise at any other in brackets."""
    try:
        IPv6Address(text)
    except AddressValueError:
        return False
    return True
