"""Signal receivers: every Django login, by any app, opens a device session; every logout ends it."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

from django.contrib.auth import user_logged_in, user_logged_out
from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest

from authx.conf import DottedPath, conf
from authx.core.methods import combined
from authx.core.reasons import EndReason
from authx.http import django_session, session_data, session_key
from authx.http.actor import actor_of
from authx.http.cookies import has_credentials
from authx.http.device_cookie import browser_device
from authx.http.proof_notes import see
from authx.http.request_state import RequestState, is_swapped, request_state
from authx.identity import deleted_sessions, django_login
from authx.identity.bearer import bearer_caller, log_out
from authx.identity.delivery import clearing
from authx.identity.identity import Delivery, Identity
from authx.identity.visit import Visit, visit_of
from authx.logins.browser import browser_session, cookie_session, is_left_by_another
from authx.logins.choosing import CompleteLogin
from authx.logins.double_click import login_key
from authx.models import DeviceSession
from authx.pages import proofs
from authx.sessions import Device, end_session, open_session
from authx.sessions.choosing import Choice, spend
from authx.sessions.liveness import end_of
from authx.sessions.methods import backend_methods, methods_of, password_methods
from authx.store import database

#: What Django's own ``login`` puts into the META of a request: one that holds no more came from no browser.
SET_BY_LOGIN = {"CSRF_COOKIE", "CSRF_COOKIE_NEEDS_UPDATE"}


def connect() -> None:
    user_logged_in.connect(open_after_login, dispatch_uid="authx.pages.login")
    user_logged_out.connect(end_at_logout, dispatch_uid="authx.pages.logout")


def open_after_login(sender: Any, request: Any, user: Any, **kwargs: Any) -> None:
    """Open a device session for a Django login and bind its Django session to it.

    If that fails, nobody is logged in: the Django session is flushed before the error propagates.
    """
    request = getattr(request, "_request", request)
    if not django_session.is_present(request):
        return  # a login without a Django session, such as a token API's, is not ours to bind
    visit = visit_of(request)
    deleted_sessions.release(request)
    request_state(request).caller = None  # whoever called, this login is who the request is now
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
            visit.identify(replace(visit.known, user=request.user, session=None, unread=None, claims=None))
        raise


def _open(request: Any, user: Any, visit: Visit | None) -> None:
    overwrites = _current(visit) or browser_session(request)  # T12
    amr = _methods(request, user, visit)  # before the data it is read from is dropped
    _leave_behind(request, user, visit, overwrites)
    persistent, state = _is_remembered(request), request_state(request)
    path, choice = django_session.backend_path(request), _take_choice(state)
    proof = None if choice is None else choice.proof
    state.complete_login = CompleteLogin(user, path or "", amr, state.by_password, persistent, proof)
    if session_key.key_of(request) is None:  # it has been flushed
        session_key.renew_key(request)
    session_key.add_key(request)
    credentials = open_session(
        user,
        request,
        Device(id=browser_device(request).id),
        amr=amr,
        persistent=persistent,
        backend=path,
        overwrites=overwrites,
        login_key=login_key(request, user, amr=amr, persistent=persistent, came_with=overwrites),
        django_key=session_key.stored_key(request),
        choice=choice,
    )
    see(request)
    is_unanswered = visit is None or state.is_finished  # as in a test
    if visit is None and request.META.keys() <= SET_BY_LOGIN:  # Client.force_login
        django_session.bind_forced(request, str(credentials.session.pk))
    elif is_unanswered or is_swapped(request):  # no cookies will be set
        django_session.bind(request, str(credentials.session.pk))
    if visit is None or is_unanswered:
        return
    delivery = Delivery(credentials, binds_django_session=True)
    visit.identify(Identity(user, credentials.session, delivery=delivery))


def _take_choice(state: RequestState) -> Choice | None:
    """Return what this login has chosen to end; another one in the same request has chosen nothing."""
    choice: Choice | None = state.choice
    state.choice = state.proved_login = None
    return choice


def _is_remembered(request: Any) -> bool:
    """Return whether the login outlives the browser, as its form says, or else its Django session."""
    remember = request_state(request).remember
    return not request.session.get_expire_at_browser_close() if remember is None else remember


def _methods(request: Any, user: Any, visit: Visit | None) -> tuple[str, ...]:
    """Return this login's methods (RFC 8176): its backend's, and those that other apps have noted."""
    if (proved := request_state(request).proved_login) is not None:
        return tuple(proved.amr)
    names, doubtful = proofs.login_proofs(request, user)
    before = _current(visit)
    if before is not None and visit is not None and visit.is_visitor(user):
        # No password was asked for again: this is a second step of a user who was signed in already.
        return combined(before.amr, methods_of(*names))
    if request_state(request).by_password:
        return combined(password_methods(user), methods_of(*names))
    by_backend = [word for word in backend_methods(user) if word != "pwd" or not doubtful]
    return combined(by_backend, methods_of(*names))


def _open_none(request: Any, user: Any, visit: Visit | None) -> None:
    if (choice := _take_choice(request_state(request))) is not None:  # its proof is used all the same
        database.transact(partial(spend, choice.proof))
    beneath = _beneath(request, visit)
    _leave_behind(request, user, visit, beneath)
    if beneath is not None and beneath.user_id == user.pk:  # back from an impersonation
        django_session.bind(request, str(beneath.pk))
    else:
        django_session.bind(request, "", beneath=str(beneath.pk) if beneath else "")
    if visit is not None:
        visit.identify(replace(visit.identity, user=user, session=beneath, claims=None))
        # A bound login overwrites cookies that are of no use; this one has to delete them. And the Django
        # session is no longer that of the session whose cookies may still have to be delivered.
        clears = beneath is None and has_credentials(request)
        visit.change_delivery(clears_cookies=clears, clears_others=clears, binds_django_session=False)


def _leave_behind(request: Any, user: Any, visit: Visit | None, came_with: DeviceSession | None) -> None:
    """Drop another user's data from the Django session; else make sure that at least its key is new.

    Django's ``login`` knows only its own logins, so it keeps data that was stored after one through the API.
    And it keeps the key where the same user was logged in: a copied key that was no credential any more would
    be one again, until the cookies of this login have come back.
    """
    if session_data.holds_data(request) and is_left_by_another(request, user, came_with):
        session_data.keep_login_alone(request)
    elif visit is not None and visit.django_key and visit.django_key == session_key.key_of(request):
        session_key.renew_key(request)


def _beneath(request: Any, visit: Visit | None) -> DeviceSession | None:
    """Return the live session that this browser had; a login without one of its own ends with it."""
    if (current := _current(visit)) is not None:
        return current
    found = cookie_session(request)
    return found.session if found is not None and end_of(found) is None else None


def _current(visit: Visit | None) -> DeviceSession | None:
    """Return the session that this request came with or opened, where that is known already."""
    return None if visit is None else visit.identity.session


def end_at_logout(sender: Any, request: Any, user: Any, **kwargs: Any) -> None:
    """End the device session of this browser; Django flushes its own session itself.

    Where the caller came by Bearer token, it is that token's session that ends, and the browser's stays.
    Any genuine refresh token will do: an old tab that logs out is no thief. Where the site's function says
    that a view makes no logins of devices, only an impersonation ends, and its administrator comes back.
    """
    request = getattr(request, "_request", request)
    if not isinstance(request, HttpRequest):
        return
    if (caller := bearer_caller(request)) is not None:
        log_out(request, caller)
        return
    if getattr(request, "session", None) is None:
        return
    visit = visit_of(request)
    if visit is not None and _leaves_impersonation(request, user, visit.settle()):
        known = visit.identity
        request_state(request).has_login = False
        visit.identify(replace(known, user=known.session.user if known.session else AnonymousUser()))
        return
    session = (visit.settle().session if visit else None) or browser_session(request)
    if session is not None and session.ended_at is None:  # an old cookie does not end what continues it
        end_session(session, EndReason.LOGOUT, by=actor_of(request, user))
    deleted_sessions.release(request, session_key.key_of(request))
    if visit is not None:
        visit.identify(Identity(delivery=clearing(session)))


def _leaves_impersonation(request: Any, user: Any, identity: Identity) -> bool:
    """Return whether ``user`` is one whom another's session carries, in a view that releases such a login.

    A view whose logins open no session, not even that of the session's own user, is one.
    """
    session, is_judged = identity.session, isinstance(conf.BIND_DJANGO_LOGIN, DottedPath)
    if session is None or user is None or session.user_id == user.pk or not is_judged:
        return False
    return not django_login.wants_device_session(request, session.user)
