"""Country of an address, offline (extra ``geo``): ``AUTHX_COUNTRY = "authx.contrib.geo.country_of"``."""

from __future__ import annotations


def country_of(ip: str) -> str:
    """The ISO 3166-1 alpha-2 code of the country an address is registered in; ``""`` if unknown."""
    from iptocc import country_code

    return country_code(ip) or ""
