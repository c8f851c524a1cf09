"""What an identity does to the response: one function sets and deletes the cookies, for every web door."""

from __future__ import annotations

from django.http import HttpRequest
from django.http.response import HttpResponseBase

from authx.http import cookies, device_cookie, django_session, ended_cookie
from authx.http.request_state import is_swapped
from authx.identity.identity import Delivery
from authx.logins.presented import cookies_of_others
from authx.models import DeviceSession
from authx.sessions import Credentials
from authx.sessions.liveness import end_of
from authx.sessions.lookup import find_by_sid
from authx.sessions.opening import set_persistent
from authx.store import database


def deliver(request: HttpRequest, response: HttpResponseBase, delivery: Delivery) -> bool:
    """Delete our cookies, or set those of a session that has neither ended nor moved on meanwhile.

    Return whether any were set. The session is read again for that: one statement. Nothing is done while the
    Django session is swapped.

    Raises:
        StoreUnavailable: it cannot be read; nothing is set.
    """
    if is_swapped(request):
        return False
    if delivery.clears_cookies:
        ended_cookie.forget(request, response)
        if not _lives_on(delivery.ended):
            kept = set() if delivery.clears_others else cookies_of_others(request)
            cookies.clear_cookies(response, keep=kept)
        return False
    credentials = delivery.credentials
    found = None if credentials is None else find_by_sid(credentials.session.pk)
    if credentials is None or found is None:
        return False  # its login was rolled back with the view: the next request opens another
    session, ended = found.session, end_of(found) is not None
    if delivery.binds_django_session and ended:
        django_session.flush(request)
    elif delivery.binds_django_session and django_session.is_used(request):
        django_session.bind(request, str(session.pk))
    if ended or session.generation != credentials.claims.gen:
        return False
    _set_cookies(request, response, session, credentials)
    ended_cookie.forget(request, response)
    if delivery.binds_django_session:
        device_cookie.remember_login(request, response, session.subject, login=str(session.pk))
    return True


def clearing(ended: DeviceSession | None) -> Delivery:
    """Return what a logout does that has just ended this session, or has found none to end."""
    return Delivery(clears_cookies=True, ended=ended if database.may_be_rolled_back() else None)


def _lives_on(ended: DeviceSession | None) -> bool:
    """Return whether the session that a request has ended lives all the same, as that was rolled back."""
    found = None if ended is None else find_by_sid(ended.pk)
    return found is not None and end_of(found) is None


def _set_cookies(
    request: HttpRequest, response: HttpResponseBase, session: DeviceSession, credentials: Credentials
) -> None:
    persistent = _is_persistent(request, session)
    if persistent != session.persistent:
        set_persistent(session, persistent)
    cookies.set_cookies(
        response,
        access_token=credentials.access_token,
        access_expires_in=credentials.expires_in,
        refresh_token=credentials.refresh_cookie,
        refresh_expires_in=credentials.refresh_expires_in if persistent else None,
    )


def _is_persistent(request: HttpRequest, session: DeviceSession) -> bool:
    """Return whether our cookies outlive the browser: as the Django session does, or as at login."""
    if django_session.is_present(request) and django_session.bound_to(request) == str(session.pk):
        return not request.session.get_expire_at_browser_close()
    return session.persistent
