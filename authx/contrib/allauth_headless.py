"""The session token of allauth's headless app views, in an API of the site's own (django-allauth).

allauth's class for DRF asks the Django session alone, so that an app that was kicked out goes on. This one
asks its device session too, and says why that has ended.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from allauth.headless.contrib.rest_framework import authentication
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest
from rest_framework.request import Request

from authx.api.exceptions import Unavailable, refusal
from authx.errors import StoreUnavailable
from authx.identity.identity import Identity
from authx.identity.visit import identity_of


class XSessionTokenAuthentication(authentication.XSessionTokenAuthentication):  # type: ignore[misc]
    """allauth's class, for sessions that live here too; needs ``DeviceSessionMiddleware``."""

    def authenticate(self, request: Request) -> tuple[Any, Any] | None:
        found = super().authenticate(request)
        if found is None:
            return None
        _user, session = found
        try:
            identity = _identity_in(request._request, session)
        except StoreUnavailable as error:
            raise Unavailable from error
        if identity.refusal is not None:
            raise refusal(identity.refusal)
        return (identity.user, session) if identity.user.is_authenticated else None


def _identity_in(request: HttpRequest, session: Any) -> Identity:
    """Return who the request is by this Django session; store what that has changed in it."""
    with _put_in_place(request, session):
        identity = identity_of(request)
        if identity is None:
            raise ImproperlyConfigured(f"{__name__} needs authx.pages.middleware.DeviceSessionMiddleware.")
        if session.modified and session.session_key is not None:
            session.save()
    return identity


@contextmanager
def _put_in_place(request: HttpRequest, session: Any) -> Iterator[None]:
    before = request.session
    request.session = session
    try:
        yield
    finally:
        request.session = before
