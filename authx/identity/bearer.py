"""Django's auth functions where the caller came by Bearer token: its session counts, not the browser's."""

from __future__ import annotations

from uuid import UUID

from django.http import HttpRequest

from authx.core.reasons import EndReason
from authx.gate.principal import TokenCaller
from authx.http import auth_functions, django_session
from authx.http.actor import actor_of
from authx.http.request_state import RequestState, is_swapped, request_state
from authx.identity.binding import follow_key
from authx.identity.delivery import clearing
from authx.identity.identity import Identity
from authx.identity.password_change import continue_changed
from authx.identity.visit import visit_of
from authx.logins.presented import holds_ours, is_in_cookies
from authx.models import DeviceSession
from authx.sessions import Credentials, end_session
from authx.sessions.authentication import Caller
from authx.sessions.lookup import find_by_sid


def bearer_caller(request: HttpRequest) -> Caller | TokenCaller | None:
    """Return whom a Bearer token of ours let in; None if none did, or if a Django login has followed.

    While the Django session is swapped, that alone says who the request is.
    """
    state = request_state(request)
    caller: Caller | TokenCaller | None = state.caller
    return None if state.by_cookie or is_swapped(request) else caller


def log_out(request: HttpRequest, caller: Caller | TokenCaller) -> None:
    """End the caller's session, in a logout of Django's, which then flushes the Django session.

    Cookies and a Django session of another login that the browser sent along are left alone. A service that
    only verifies tokens ends nothing.

    Raises:
        StoreUnavailable: the database cannot be asked or written; nothing has ended.
    """
    session = _session_of(caller)
    if session is not None:
        end_session(session, EndReason.LOGOUT, by=actor_of(request, session.user))
    goes_with_it = session is not None and is_in_cookies(request, session.pk)
    if goes_with_it and (visit := visit_of(request)) is not None:
        visit.identify(Identity(delivery=clearing(session)))
    if not goes_with_it and not _is_free_of_others(request, session):
        auth_functions.keep_through_logout(request)


def continue_after_password_change(request: HttpRequest, caller: Caller) -> tuple[Credentials, bool] | None:
    """Return the tokens of a session that continues the caller's, if this request has changed its password.

    And whether the browser gets the refresh token as a cookie: it holds the caller's in one, and a second
    place for it would be taken for a copy. The Django session of the caller goes along.

    Raises:
        StoreUnavailable: the database cannot be asked or written; nothing was opened.
    """
    if not auth_functions.holds_new_hash(request):
        return None
    sid = UUID(caller.claims.sid)
    credentials = continue_changed(request, sid, came_back=True)
    if credentials is None:
        return None
    django_session.hand_on(request, str(sid), str(credentials.session.pk))
    visit = visit_of(request) if is_in_cookies(request, sid) else None
    if visit is not None:
        visit.change_delivery(credentials=credentials)
    return credentials, visit is not None


def conclude(request: HttpRequest, state: RequestState) -> None:
    """Do after the view what is left to be done to the browser of a caller by Bearer token.

    One that holds the refresh token in a cookie gets that of the session that continues its own, also from a
    view that knows nothing of us. In its Django session no trace is left but a new key.

    Raises:
        StoreUnavailable: the database cannot be asked or written.
    """
    caller = bearer_caller(request)
    if isinstance(caller, Caller) and auth_functions.holds_new_hash(request):
        if not state.has_new_tokens and is_in_cookies(request, UUID(caller.claims.sid)):
            continue_after_password_change(request, caller)
        auth_functions.drop_lone_hash(request)
    if state.visit is None:
        follow_key(request, Identity(), state)


def _session_of(caller: Caller | TokenCaller) -> DeviceSession | None:
    """Return the caller's session, also if it has ended since; None where nothing is known of it."""
    if isinstance(caller, TokenCaller):
        return None
    if caller.is_read:
        return caller.session
    found = find_by_sid(UUID(caller.claims.sid))
    return None if found is None else found.session


def _is_free_of_others(request: HttpRequest, session: DeviceSession | None) -> bool:
    """Return whether the Django session is the caller's, or nobody's as far as is known; or there is none."""
    if getattr(request, "session", None) is None:
        return True
    owner = django_session.owner(request)
    if owner is not None:
        return session is not None and owner == str(session.pk)
    return not django_session.is_present(request) and not holds_ours(request)
