"""Old tokens in the header until AUTHX_MOVING_UNTIL, for apps that do not exchange them yet.

Each lives until that date, as long as nothing has ended all that its user had. Must not import
``rest_framework.views``, as DRF's settings may name what is made of this.
"""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext_lazy as _
from rest_framework.authentication import TokenAuthentication
from rest_framework.exceptions import AuthenticationFailed

from authx.api.exceptions import Unavailable
from authx.contrib.moving.endings import ended_since, follow
from authx.contrib.moving.once import is_over, may_be_token, moved_session
from authx.errors import StoreUnavailable
from authx.sessions.liveness import end_of
from authx.store import database


class Judged:
    """A mixin for an authentication class of authtoken or knox."""

    def mark(self, credential: Any) -> str | None:
        """Return by what the credential is known once it is exchanged; None where it has no session alone."""
        return None

    def authenticate_credentials(self, credential: Any) -> tuple[Any, Any]:
        """Return its user and the token, if it is still taken.

        Raises:
            AuthenticationFailed: it is not.
            Unavailable: that cannot be known.
        """
        if is_over():
            raise AuthenticationFailed(_("Tokens of this kind are no longer taken."))
        text = credential.decode("latin-1") if isinstance(credential, bytes) else credential
        if not may_be_token(text):
            raise AuthenticationFailed(_("Invalid token."))
        try:
            with database.store_errors():
                user, token = super().authenticate_credentials(credential)  # type: ignore[misc]
                is_ended = ended_since(user, token.created) is not None or self._has_ended(credential)
        except StoreUnavailable as error:
            raise Unavailable from error
        if is_ended:
            raise AuthenticationFailed(_("Invalid token."))
        return user, token

    def _has_ended(self, credential: Any) -> bool:
        """Return whether the session that it has become is over."""
        mark = self.mark(credential)
        found = None if mark is None else moved_session(mark)
        return found is not None and end_of(found) is not None


class AuthTokenAuthentication(Judged, TokenAuthentication):
    """DRF's, as long as the site is moving."""


def connect() -> None:
    """Delete the authtoken of whoever is kicked everywhere, disabled, or has a new password."""
    follow("authtoken", _delete)


def _delete(user: Any) -> None:
    from rest_framework.authtoken.models import Token

    found = Token.objects.all() if user is None else Token.objects.filter(user=user)
    found.delete()
