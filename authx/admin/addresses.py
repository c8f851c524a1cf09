"""Addresses that begin alike, as the search of the admin asks for them."""

from __future__ import annotations

from contextlib import suppress
from ipaddress import ip_network
from typing import Any, Final

from django.db import connections
from django.db.models import Q

#: Stands at the end of the beginning of an address.
_ANY: Final = "*"
#: How many groups an address has, and how many bits each.
_IPV4, _IPV6 = (4, 8), (8, 16)


def beginning_of_address(term: str, using: str) -> Q | None:
    """Return the condition of a term such as ``203.0.113.*`` or ``2001:db8:*``; None if it is no such term.

    ``using`` is the alias of the database: one that knows addresses compares them, so that its index is used.
    """
    groups, separator, rest = term.removesuffix(_ANY).rpartition(":" if ":" in term else ".")
    network = _network(groups.split(separator), separator) if separator else None
    if not term.endswith(_ANY) or rest or network is None:
        return None
    if connections[using].data_types.get("GenericIPAddressField") == "inet":
        return Q(ip__gte=str(network[0]), ip__lte=str(network[-1]))
    return Q(ip__startswith=term.removesuffix(_ANY).lower())


def _network(groups: list[str], separator: str) -> Any:
    number, bits = _IPV6 if separator == ":" else _IPV4
    rest = ["0"] * (number - len(groups))
    if not rest:
        return None
    with suppress(ValueError):
        return ip_network(f"{separator.join([*groups, *rest])}/{len(groups) * bits}")
    return None
