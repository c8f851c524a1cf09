"""Whether a copy of the recent endings may say that a visitor's session is alive, or its row has to."""

from __future__ import annotations

import asyncio

from django.contrib.sessions.backends.base import SessionBase
from django.http import HttpRequest

from authx.conf import conf
from authx.http import renewal
from authx.http.request_state import is_swapped, request_state
from authx.logins.presented import presented_by


def must_be_read(request: HttpRequest) -> bool:
    """Return whether the row of the session is read before anything is said of its user.

    So it is with AUTHX_REVOCATION_STORE "database" and no lag, where it is asked anyway; in an event loop and
    for async views, which could not read it later; before the view has been found and when the response is on
    its way, for nothing but an error would tell a middleware or a stream that the session is over; and at a
    login page, which would send away to a page that sends back, and at a logout.
    """
    if conf.REVOCATION_STORE == "remote" or (conf.REVOCATION_STORE == "database" and not conf.REVOCATION_LAG):
        return True
    if request.resolver_match is None or request_state(request).is_finished or _is_in_event_loop():
        return True
    if renewal.is_async_view(request):
        return True
    return renewal.is_login_page(request) or renewal.is_logout(request)


def presents_nothing(request: HttpRequest) -> bool:
    """Return whether the request has neither a cookie of ours nor a Django session, not even a new one."""
    session = getattr(request, "session", None)
    if presented_by(request).is_sent or is_swapped(request):
        return False
    return session is None or (isinstance(session, SessionBase) and session.is_empty())


def _is_in_event_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
