"""What a login, a step-up or a logout through the API does to the browser's Django session."""

from __future__ import annotations

from rest_framework.request import Request

from authx.http import django_session
from authx.http.request_state import notes
from authx.logins.browser import is_left_by_another
from authx.models import DeviceSession


def signed_in(request: Request, session: DeviceSession) -> None:
    """Hand the Django session, if there is one, over to the login whose cookies this response sets."""
    here = request._request
    notes(here).took_over = True
    if not django_session.is_used(here):
        return
    user = session.user
    django_session.take_over(
        here,
        user,
        str(session.pk),
        is_anothers=is_left_by_another(here, user),
        persistent=session.persistent,
    )


def continued(request: Request, before: DeviceSession, session: DeviceSession) -> None:
    """Hand what belongs to ``before`` on to the session whose cookies this response sets."""
    here = request._request
    notes(here).took_over = True
    django_session.hand_on(here, str(before.pk), str(session.pk))


def signed_out(request: Request) -> None:
    """Flush the Django session, as this response deletes the cookies."""
    here = request._request
    notes(here).took_over = True
    django_session.flush(here)
