"""The caller of an API request by cookie: the same visitor as on a page, by the same rules."""

from __future__ import annotations

from django.http import HttpRequest

from authx.errors import StoreUnavailable
from authx.identity.identity import Identity
from authx.identity.visit import visit_of
from authx.logins.presented import presented_by
from authx.sessions.authentication import Caller, KnownCaller, admit


def cookie_caller(request: HttpRequest) -> Caller | KnownCaller | None:
    """Return the caller that the session cookies identify; None if they hold nothing to identify by.

    Whoever the middleware has found is not looked up again. Else the session is asked about as
    AUTHX_REVOCATION_STORE and AUTHX_REVOCATION_LAG say, which may cost no statement.

    Raises:
        TokenError: the access token is unusable, or its session has ended.
        RefreshError: the renewal that was due has failed.
        StoreUnavailable: that cannot be known.
        Exception: what the site's own code has raised at the renewal.
    """
    visit = visit_of(request)
    known = Identity() if visit is None else visit.identity
    if known.session is not None and known.claims is not None:
        return KnownCaller(known.claims, known.session)
    if known.failure is not None:
        raise known.failure
    if known.refusal is not None and not isinstance(known.refusal, StoreUnavailable):
        raise known.refusal
    presented = presented_by(request)
    if presented.access is not None:
        return admit(presented.access)
    if error := known.refusal or presented.access_error:
        raise error
    return None
