"""What the API's login, step-up, refresh and logout do to a browser: its cookies and its Django session."""

from __future__ import annotations

from typing import Any

from django.middleware.csrf import rotate_token
from rest_framework.request import Request
from rest_framework.response import Response

from authx.http import django_session
from authx.http.request_state import request_state
from authx.identity.binding import renew_key
from authx.identity.delivery import deliver
from authx.identity.identity import Delivery
from authx.logins.browser import is_left_by_another
from authx.models import DeviceSession
from authx.sessions import Credentials


def keep_data(request: Request, user: Any, came_with: DeviceSession | None) -> bool:
    """Give the Django session a new key before ``user``'s login, which keeps it; return False if it must not.

    As in Django's own ``login``: data of this user or of nobody stays, under a new key, as somebody may have
    planted the old one; that of another user, or of this one under another password, does not. ``came_with``
    is the ``browser_session``.
    """
    here = request._request
    if not django_session.is_used(here) or is_left_by_another(here, user, came_with):
        return False
    if django_session.is_other_login(here, user):
        return False
    renew_key(here)
    return True


def sign_in(request: Request, response: Response, credentials: Credentials, *, keeps_data: bool) -> None:
    """Set the cookies of a new login, and bind the Django session to it if it is kept; else flush it."""
    here, session = request._request, credentials.session
    request_state(here).took_over = True
    if keeps_data:
        django_session.bind(here, str(session.pk))
        django_session.last_as_long(here, session.persistent)
    else:
        django_session.flush(here)
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
