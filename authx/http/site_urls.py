"""Our URLs as others have to use them, at the issuer and never at the Host header, which the client chooses.

And pages of the site that ours lead to, by the names that Django or allauth gives them.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import urljoin

from django.urls import NoReverseMatch, reverse

from authx.conf import conf

#: Where a new password is asked for by mail, and where it is chosen by who knows the old one.
PASSWORD_RESET: Final = ("password_reset", "account_reset_password")
PASSWORD_CHANGE: Final = ("password_change", "account_change_password")


def page_named(names: tuple[str, ...]) -> str:
    """Return the path of the first of these pages that the site has; ``""`` if it has none."""
    for name in names:
        try:
            return reverse(name)
        except NoReverseMatch:
            pass
    return ""


def at_issuer(path: str) -> str:
    """Return the URL of a path of this site; an issuer that is no URL leaves the path as it is."""
    return urljoin(conf.ISSUER, path) if "://" in conf.ISSUER else path
