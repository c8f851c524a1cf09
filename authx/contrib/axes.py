"""django-axes beside authx: its lockout is our 429. Found by itself where ``axes`` is installed."""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from typing import Any

from axes.backends import AxesStandaloneBackend
from axes.conf import settings
from axes.exceptions import AxesBackendPermissionDenied
from axes.handlers.proxy import AxesProxyHandler
from axes.helpers import get_cool_off
from django.http import HttpRequest
from django.views.decorators.debug import sensitive_variables

from authx.http.renewal import is_api_view
from authx.logins.lockout import Lockout


class AxesLockout(Lockout):
    """Asks axes' own backend, whatever axes counts by and in."""

    @sensitive_variables("credentials")
    def refuses(self, request: HttpRequest, credentials: Mapping[str, Any]) -> bool | int:
        """Return AXES_COOLOFF_TIME in seconds, or True without one, where axes lets nobody try."""
        try:
            AxesStandaloneBackend().authenticate(request, **credentials)
        except AxesBackendPermissionDenied:
            cool_off = get_cool_off(request)
            return True if cool_off is None else max(1, int(cool_off.total_seconds()))
        return False

    def succeeded(self, request: HttpRequest, user: Any) -> None:
        """Do what axes does at a login of Django's, without a Django session: axes would create one."""
        apart = copy(request)
        vars(apart).pop("session", None)
        AxesProxyHandler.user_logged_in(type(user), apart, user)

    def leave_answer(self, request: HttpRequest) -> None:
        """Unmark the request, so that AxesMiddleware leaves the answer alone.

        On a page it goes on answering where the site has said what it is to show.
        """
        shows = (settings.AXES_LOCKOUT_CALLABLE, settings.AXES_LOCKOUT_TEMPLATE, settings.AXES_LOCKOUT_URL)
        if is_api_view(request) or not any(shows):
            request.axes_locked_out = False  # type: ignore[attr-defined]
