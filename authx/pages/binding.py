"""Every Django login opens a device session and every Django logout ends it, whichever app did it."""

from __future__ import annotations

from typing import Any

from django.contrib.auth import load_backend, user_logged_in, user_logged_out
from django.contrib.auth.backends import ModelBackend, RemoteUserBackend
from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest

from authx.http import django_session
from authx.http.cookies import has_credentials
from authx.http.device import browser_device_id
from authx.models import DeviceSession, EndReason
from authx.pages import django_login
from authx.pages.visit import Visit, visit_of
from authx.sessions import Device, end_session, open_session
from authx.sessions.presented import browser_session, cookie_session, is_left_by_another
from authx.sessions.standing import user_end


def connect() -> None:
    user_logged_in.connect(open_after_login, dispatch_uid="authx.pages.login")
    user_logged_out.connect(end_at_logout, dispatch_uid="authx.pages.logout")


def open_after_login(sender: Any, request: Any, user: Any, **kwargs: Any) -> None:
    """Open a device session for a Django login and bind its Django session to it.

    If that fails nobody is logged in: the Django session is flushed before the error goes on.
    """
    request = getattr(request, "_request", request)
    if not django_session.is_present(request):
        return  # a login without a Django session, such as a token API's, is not ours to bind
    visit = visit_of(request)
    try:
        if django_login.wants_device_session(request, user):
            _open(request, user, visit)
        else:
            _open_none(request, user, visit)
    except Exception:
        django_session.flush(request)
        if hasattr(request, "user"):
            request.user = AnonymousUser()
        if visit is not None:
            visit.identify(None, request.user)
        raise


def _open(request: Any, user: Any, visit: Visit | None) -> None:
    overwrites = _current(visit) or browser_session(request)  # T12
    _forget_anothers(request, user)
    credentials = open_session(
        user,
        request,
        Device(id=browser_device_id(request)),
        amr=_methods(user),
        persistent=not request.session.get_expire_at_browser_close(),
        overwrites=overwrites,
    )
    if visit is None:  # a login without our middleware, such as a test's: nothing will be delivered
        django_session.bind(request, str(credentials.session.pk))
        return
    visit.delivery, visit.binds, visit.clears = credentials, True, False
    visit.identify(credentials.session, user)


def _open_none(request: Any, user: Any, visit: Visit | None) -> None:
    beneath = _beneath(request, visit)
    _forget_anothers(request, user)
    django_session.bind(request, "", beneath=str(beneath.pk) if beneath else "")
    if visit is not None:
        visit.identify(beneath, user)
        # A bound login overwrites cookies that buy nothing; this one has to take them back.
        visit.clears = beneath is None and has_credentials(request)


def _forget_anothers(request: Any, user: Any) -> None:
    """Django's ``login`` knows its own logins alone: after one through the API it keeps the other user's."""
    if django_session.keeps_more(request) and is_left_by_another(request, user):
        django_session.keep_login_alone(request)


def _methods(user: Any) -> tuple[str, ...]:
    """``pwd`` where a password backend let the user in; nothing where we cannot say (RFC 8176)."""
    path = getattr(user, "backend", "")
    backend = load_backend(path) if path else None
    checks_passwords = isinstance(backend, ModelBackend) and not isinstance(backend, RemoteUserBackend)
    return ("pwd",) if checks_passwords else ()


def _beneath(request: Any, visit: Visit | None) -> DeviceSession | None:
    """The live session that this browser had before, which a login without one of its own ends with."""
    session = _current(visit) or cookie_session(request)
    if session is None or session.ended_reason() or user_end(session):
        return None
    return session


def _current(visit: Visit | None) -> DeviceSession | None:
    """The session this request has come with, or opened, where that is known already."""
    if visit is None:
        return None
    return visit.settled_session or (visit.delivery.session if visit.delivery else None)


def end_at_logout(sender: Any, request: Any, user: Any, **kwargs: Any) -> None:
    """End the device session of this browser; Django flushes its own session itself.

    Any genuine refresh token will do: a stale tab that logs out is no thief.
    """
    request = getattr(request, "_request", request)
    if not isinstance(request, HttpRequest) or getattr(request, "session", None) is None:
        return
    visit = visit_of(request)
    session = (visit.session if visit else None) or browser_session(request)
    if session is not None:
        end_session(session, EndReason.LOGOUT, user, request=request)
    if visit is not None:
        visit.delivery, visit.clears = None, True
        visit.identify(None, AnonymousUser())
