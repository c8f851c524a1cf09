"""The authentication backend that limits how often a password may be tried, at every door of a site."""

from __future__ import annotations

from typing import Any, NoReturn

from asgiref.sync import sync_to_async
from django.core.exceptions import PermissionDenied
from django.views.decorators.debug import sensitive_variables

from authx.sessions.login_attempts import begin


class LoginLimitBackend:
    """Lets nobody in; refuses one password too many before it is hashed.

    Stands first in AUTHENTICATION_BACKENDS, so that Django asks it before any other, whoever calls
    ``authenticate``: a login page, the admin, an API. It has no ``get_user``: nobody is signed in by it.
    """

    #: By this our own doors know that they need not ask themselves.
    limits_logins = True

    @sensitive_variables("credentials")
    def authenticate(self, request: Any, **credentials: Any) -> None:
        """Return None to let the next backend decide.

        Raises:
            PermissionDenied: too many have failed; ``notes(request).login_wait`` says how long to wait.
        """
        if begin(request, credentials):
            self._refuse()

    @sensitive_variables("credentials")
    async def aauthenticate(self, request: Any, **credentials: Any) -> None:
        """As ``authenticate``."""
        if await sync_to_async(begin)(request, credentials):
            self._refuse()

    def _refuse(self) -> NoReturn:
        raise PermissionDenied("Too many attempts; none is made before a while has passed.")
