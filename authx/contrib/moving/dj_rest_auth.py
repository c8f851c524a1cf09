"""Moving in from dj-rest-auth: the view for its refresh path; ``jwt_cookies`` has the middleware."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.utils import timezone
from django.views.decorators.debug import sensitive_variables
from rest_framework.request import Request
from rest_framework.response import Response

from authx.api.authentication import enforce_csrf
from authx.api.exceptions import Refused
from authx.contrib.moving import simplejwt
from authx.contrib.moving.once import moved_session
from authx.identity.identity import Identity
from authx.identity.visit import identity_of
from authx.models import DeviceSession
from authx.sessions import Credentials
from authx.sessions.credentials import credentials_for


class Refresh(simplejwt.Refresh):
    """``POST``: as that of simplejwt; without a token in the body, the session of the cookies is renewed.

    The middlewares do that, ours and the one above, before the view runs: it only says so.
    """

    @classmethod
    def as_view(cls, **initkwargs: Any) -> Any:
        """Return the view; the middleware renews before it."""
        view = super().as_view(**initkwargs)
        view.authx_never_renew = False
        return view

    @sensitive_variables()
    def post(self, request: Request) -> Response:
        identity = identity_of(request) or Identity()
        sent = not self.body().keys().isdisjoint({"refresh", "refresh_token"})
        if sent and not self._is_of(request, identity.session):
            return super().post(request)
        if identity.session is None:
            raise identity.refusal or Refused("not_authenticated")
        if not sent:  # who sends the token knows it, and is no other site's page
            enforce_csrf(request)
        delivered = identity.delivery.credentials or _access_for(identity.session)
        expires_at = timezone.now() + timedelta(seconds=delivered.expires_in)
        return Response({"access": delivered.access_token, "access_expiration": expires_at})

    @sensitive_variables()
    def _is_of(self, request: Request, session: DeviceSession | None) -> bool:
        """Return whether a script sends the token that was in the cookie too, and is that session by now."""
        old = None if session is None else self.old_token(request)
        found = None if old is None else moved_session(old.mark)
        return found is not None and found.session == session


def _access_for(session: DeviceSession) -> Credentials:
    return credentials_for(session, generation=session.generation, now=timezone.now(), refreshable=False)
