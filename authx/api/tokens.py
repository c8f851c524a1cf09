"""The token response: for the login, and for views of the site that change their caller's password."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django.views.decorators.debug import sensitive_variables
from rest_framework.request import Request

from authx.gate.principal import TokenCaller
from authx.http.request_state import is_swapped, request_state
from authx.identity.bearer import bearer_caller, continue_after_password_change
from authx.identity.password_change import own_password_change
from authx.identity.visit import visit_of
from authx.sessions import Credentials
from authx.sessions.authentication import Caller

__all__ = ["tokens_after_password_change"]


@sensitive_variables()
def tokens_after_password_change(request: HttpRequest | Request) -> dict[str, Any] | None:
    """Return what a view answers that has changed its caller's password: the body of ``login/``.

    Called after ``update_session_auth_hash``. The new password has ended the session that made the call; this
    opens the one that continues it. A caller who keeps the refresh token in a cookie gets the new one in a
    cookie, by the middleware, and none in the body. Asks the database: in an async view, call it through
    ``sync_to_async``.

    Returns None where there is nothing to hand out: it was another user's password, or none has changed; the
    session has been ended otherwise since; or the caller has no device session.

    Raises:
        StoreUnavailable: the database cannot be asked or written; nothing was opened.
    """
    here: HttpRequest = getattr(request, "_request", request)
    caller = bearer_caller(here)
    if isinstance(caller, Caller):
        found = continue_after_password_change(here, caller)
    elif isinstance(caller, TokenCaller):
        found = None
    else:
        found = _by_cookie(here)
    if found is None:
        return None
    request_state(here).has_new_tokens = True
    credentials, in_cookies = found
    return token_body(credentials, with_refresh=not in_cookies)


@sensitive_variables()
def _by_cookie(request: HttpRequest) -> tuple[Credentials, bool] | None:
    """Return the tokens for a browser; None without the middleware, which alone can set its cookies."""
    visit = visit_of(request)
    if visit is None or is_swapped(request) or getattr(request, "session", None) is None:
        return None
    changed = own_password_change(request, visit.identity, request_state(request))
    if changed is None or changed.delivery.credentials is None:
        return None
    visit.identify(changed)
    return changed.delivery.credentials, True


def token_body(credentials: Credentials, *, with_refresh: bool) -> dict[str, Any]:
    """Return the token response (RFC 6749 §5.1), without ``refresh_token`` where a cookie carries it."""
    body = {
        "access_token": credentials.access_token,
        "token_type": "Bearer",
        "expires_in": credentials.expires_in,
        "refresh_token": credentials.refresh_token,
        "refresh_expires_in": credentials.refresh_expires_in,
        "session_id": str(credentials.session.pk),
        "user_id": credentials.session.subject,
    }
    if not with_refresh:
        del body["refresh_token"]
    return body
