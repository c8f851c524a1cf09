"""Country of an address, offline (extra ``geo``): ``AUTHX_COUNTRY = "authx.contrib.geo.country_of"``."""

from __future__ import annotations


def country_of(ip: str) -> str:
    """Return the ISO 3166-1 alpha-2 code of the country of an address's registration; ``""`` if unknown."""
    from iptocc import country_code

    return country_code(ip) or ""
