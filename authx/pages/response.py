"""What is added to the response: cookies, and headers that say whether caches may keep it."""

from __future__ import annotations

from typing import Any

from django.contrib.auth import HASH_SESSION_KEY
from django.http import FileResponse, HttpRequest
from django.http.response import HttpResponseBase
from django.utils.cache import patch_cache_control, patch_vary_headers

from authx.conf import conf
from authx.core.reasons import EndReason
from authx.http import cookies, device_cookie, django_session
from authx.http.actor import actor_of
from authx.http.request_state import notes
from authx.models import DeviceSession
from authx.pages.step_up import came_back
from authx.pages.visit import Visit
from authx.sessions import Credentials, end_session
from authx.sessions.continuing import continue_after_password_change
from authx.sessions.liveness import end_of, fingerprint_of, read_again, user_end
from authx.sessions.opening import set_persistent


def deliver(visit: Visit, response: HttpResponseBase) -> None:
    """Set or clear the cookies, if the session has not changed since they were made."""
    if notes(visit.request).took_over:
        _make_way(visit)
    else:
        keep_own_password_change(visit)
    if visit.clears:
        cookies.clear_cookies(response)
    elif visit.delivery is not None:
        _set(visit, visit.delivery, response)
    asked = notes(visit.request).identity_header
    # A streamed response may still ask for the user after its headers have left; a file does not.
    late = response.streaming and not isinstance(response, FileResponse)
    used = "Cookie" if visit.touched or late else asked
    if used is not None:
        patch_vary_headers(response, [used])
        known = visit.settled_session is not None or asked is not None
        known = known or (late and cookies.has_credentials(visit.request))
        if known and "no-store" not in response.get("Cache-Control", ""):
            patch_cache_control(response, private=True)


def _make_way(visit: Visit) -> None:
    """Leave the response as the API made it: it sets the cookies of another login, or deletes them all."""
    dropped = visit.delivery
    visit.delivery, visit.clears = None, False
    if dropped is not None and visit.binds:  # adopted in this request, and never delivered
        end_session(dropped.session, EndReason.SUPERSEDED, by=actor_of(visit.request))


def _set(visit: Visit, credentials: Credentials, response: HttpResponseBase) -> None:
    session = read_again(credentials.session)
    if session is None:
        return  # its login was rolled back with the view: the next request opens another
    ended = end_of(session) is not None
    if visit.binds and ended:
        django_session.flush(visit.request)
    elif visit.binds and django_session.is_used(visit.request):
        django_session.bind(visit.request, str(session.pk))
    if ended or session.generation != credentials.claims.gen:
        return
    _give(visit, session, credentials, response)


def _give(visit: Visit, session: DeviceSession, credentials: Credentials, response: HttpResponseBase) -> None:
    persistent = _is_persistent(visit.request, session)
    if persistent != session.persistent:
        set_persistent(session, persistent)
    cookies.set_cookies(
        response,
        access_token=credentials.access_token,
        access_expires_in=credentials.expires_in,
        refresh_token=credentials.refresh_token,
        refresh_expires_in=credentials.refresh_expires_in if persistent else None,
    )
    if visit.binds:
        device_cookie.remember_login(visit.request, response, session.subject, login=str(session.pk))
    if conf.EXPOSE_ACCESS_TOKEN:
        response["X-Access-Token"] = credentials.access_token


def _is_persistent(request: HttpRequest, session: DeviceSession) -> bool:
    """Return whether our cookies outlive the browser: as the Django session does, or as at login."""
    if django_session.is_present(request) and django_session.bound_to(request) == str(session.pk):
        return not request.session.get_expire_at_browser_close()
    return session.persistent


def keep_own_password_change(visit: Visit) -> None:
    """Give the device that changed its own password a new session in the same response.

    Saving the password has ended every session of the user; ``update_session_auth_hash`` then put
    the new hash in this Django session, which only this device's own request can have done.
    """
    request = visit.request
    before = visit.settled_session or _read_by_api(request)
    if before is None or not _has_new_hash(request, before):
        return
    after = read_again(before)
    user: Any = after.user if after is not None else None
    if after is None or user is None or not user.is_active or after.is_marked:
        return
    if request.session[HASH_SESSION_KEY] != user.get_session_auth_hash():
        return
    if after.ended_at is None and user_end(after) == EndReason.PASSWORD_CHANGED:  # a bulk update
        end_session(after, EndReason.PASSWORD_CHANGED, by=actor_of(request, user))
    elif after.end_reason != EndReason.PASSWORD_CHANGED:
        return
    continued = continue_after_password_change(after, actor_of(request, user), came_back=came_back(visit))
    if continued is not None:
        visit.delivery, visit.binds = continued, True
        visit.identify(continued.session, user)


def _read_by_api(request: HttpRequest) -> DeviceSession | None:
    """Return the session that an API view authenticated by cookie; None where the view has not read it.

    A view that has not even read it has changed no password.
    """
    caller = notes(request).caller if notes(request).by_cookie else None
    return caller.session if caller is not None and caller.is_read else None


def _has_new_hash(request: HttpRequest, session: DeviceSession) -> bool:
    kept = getattr(request, "session", None)
    if kept is None or not kept.modified:
        return False
    user: Any = session.user
    auth_hash = kept.get(HASH_SESSION_KEY)
    return bool(auth_hash) and user is not None and fingerprint_of(auth_hash) != session.fingerprint
