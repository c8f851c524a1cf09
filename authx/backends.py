"""The authentication backend that limits how often a password may be tried, wherever a site asks for one."""

from __future__ import annotations

from typing import Any, NoReturn

from asgiref.sync import sync_to_async
from django.core.exceptions import PermissionDenied
from django.views.decorators.debug import sensitive_variables

from authx.logins.attempts import begin


class LoginLimitBackend:
    """Signs nobody in; refuses one attempt too many before the password is hashed.

    Stands first in AUTHENTICATION_BACKENDS, so that Django asks it before any other, whoever calls
    ``authenticate``: a login page, the admin, an API. It has no ``get_user``: nobody is signed in by it.
    """

    #: Tells our own login views that the limit need not be checked again.
    limits_logins = True

    @sensitive_variables("credentials")
    def authenticate(self, request: Any, **credentials: Any) -> None:
        """Return None to let the next backend decide.

        Raises:
            PermissionDenied: too many have failed; the request state's ``login_wait`` says how long to wait.
        """
        if begin(request, credentials):
            self._refuse()

    @sensitive_variables("credentials")
    async def aauthenticate(self, request: Any, **credentials: Any) -> None:
        """Decide as ``authenticate`` does."""
        if await sync_to_async(begin)(request, credentials):
            self._refuse()

    def _refuse(self) -> NoReturn:
        raise PermissionDenied("Too many attempts; none is made before a while has passed.")
