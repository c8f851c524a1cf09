"""Async views of DRF (the package ``adrf``): our authentication classes, which read the user beforehand.

adrf authenticates in a thread, and its view runs in the event loop, where no row can be read. Where the check
of a session has read none (AUTHX_REVOCATION_LAG, Redis), the user is read in that thread too: one statement.
"""

from __future__ import annotations

from typing import Any

from rest_framework.request import Request

from authx.api import authentication
from authx.core.claims import AccessClaims


class _ReadsUser(authentication.AuthxAuthentication):
    def authenticate(self, request: Request) -> tuple[Any, AccessClaims] | None:
        found: tuple[Any, AccessClaims] | None = super().authenticate(request)
        if found is not None:
            getattr(found[0], "is_active", None)  # of a user known by key, which reads the row
        return found


class BearerAuthentication(_ReadsUser, authentication.BearerAuthentication):
    """``Authorization: Bearer``, with a user who may be used in an async view."""


class CookieAuthentication(_ReadsUser, authentication.CookieAuthentication):
    """The access cookie and CSRF, with a user who may be used in an async view."""
