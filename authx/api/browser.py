"""What an act of the API does to the browser it came from: the Django session there changes hands with it."""

from __future__ import annotations

from rest_framework.request import Request

from authx.http import django_session
from authx.http.request_state import notes
from authx.models import DeviceSession
from authx.sessions.presented import is_left_by_another


def signed_in(request: Request, session: DeviceSession) -> None:
    """Give the Django session, if there is one, to a login that this answer gives the cookies of."""
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


def signed_out(request: Request) -> None:
    """Flush the Django session with the cookies that this answer takes back."""
    here = request._request
    notes(here).took_over = True
    django_session.flush(here)
