"""Step-up in a browser: who the request is in the session that continues its own (RFC 9470)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from django.http import HttpRequest

from authx.http import django_session
from authx.http.actor import actor_of
from authx.identity.identity import Identity
from authx.models import DeviceSession
from authx.sessions.continuing import continue_session


def continued(
    request: HttpRequest,
    identity: Identity,
    session: DeviceSession,
    methods: Sequence[str],
    *,
    auth_time: datetime | None = None,
) -> Identity:
    """Return the identity in a session that continues ``session``, whose user has just proved ``methods``.

    The response delivers it, and the Django session goes along.

    Raises:
        SessionEnded: it had ended before, or ended meanwhile.
        StoreUnavailable: the database cannot be written.
    """
    credentials = continue_session(
        session,
        actor_of(request, session.user),
        methods=methods,
        came_back=came_back(identity),
        auth_time=auth_time,
    )
    django_session.hand_on(request, str(session.pk), str(credentials.session.pk))
    user = session.user if identity.session is None else identity.user  # perhaps an impersonated one
    delivery = replace(identity.delivery, credentials=credentials, clears_cookies=False)
    return Identity(user, credentials.session, credentials.claims, delivery=delivery)


def came_back(identity: Identity) -> bool:
    """Return whether a cookie of ours identified the visitor, and not the Django session alone."""
    return not identity.delivery.binds_django_session
