"""What the API's login, step-up, refresh and logout do to a browser: its cookies and its Django session."""

from __future__ import annotations

from django.middleware.csrf import rotate_token
from rest_framework.request import Request
from rest_framework.response import Response

from authx.http import django_session
from authx.http.request_state import request_state
from authx.identity.delivery import deliver
from authx.identity.identity import Delivery
from authx.logins.browser import is_left_by_another
from authx.models import DeviceSession
from authx.sessions import Credentials


def sign_in(
    request: Request, response: Response, credentials: Credentials, came_with: DeviceSession | None
) -> None:
    """Set the cookies of a new login, and hand the Django session, if there is one, over to it.

    ``came_with`` is the ``browser_session`` that the login has taken the place of.
    """
    here, session, user = request._request, credentials.session, credentials.session.user
    request_state(here).took_over = True
    if django_session.is_used(here):
        django_session.take_over(
            here,
            user,
            str(session.pk),
            is_anothers=is_left_by_another(here, user, came_with),
            persistent=session.persistent,
        )
    rotate_token(here)
    deliver(here, response, Delivery(credentials, binds_django_session=True))


def renew(request: Request, response: Response, credentials: Credentials) -> None:
    """Set the cookies of a refresh; a Django session that belongs to nobody becomes this session's."""
    here, session = request._request, credentials.session
    django_session.claim(here, session.user, str(session.pk), persistent=session.persistent)
    deliver(here, response, Delivery(credentials))


def go_on(request: Request, response: Response, before: DeviceSession, credentials: Credentials) -> None:
    """Set the cookies of the session that continues ``before``; its Django session goes along."""
    here = request._request
    request_state(here).took_over = True
    django_session.hand_on(here, str(before.pk), str(credentials.session.pk))
    deliver(here, response, Delivery(credentials))


def sign_out(request: Request, response: Response) -> None:
    """Delete the cookies, and flush the Django session."""
    here = request._request
    request_state(here).took_over = True
    django_session.flush(here)
    deliver(here, response, Delivery(clears_cookies=True))
