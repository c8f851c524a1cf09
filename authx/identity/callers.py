"""The caller of an API request by cookie: the same visitor as on a page, by the same rules."""

from __future__ import annotations

from django.http import HttpRequest
from django.utils import timezone

from authx.conf import conf
from authx.errors import StoreUnavailable
from authx.http import django_session
from authx.identity.identity import Identity
from authx.identity.visit import Visit, visit_of
from authx.logins.presented import Presented, presented_by
from authx.sessions.authentication import Caller, KnownCaller, admit
from authx.sessions.credentials import claims_of
from authx.store.database import store_errors


def cookie_caller(request: HttpRequest) -> Caller | KnownCaller | None:
    """Return the caller that the session cookies identify, or without any the Django session; None if nobody.

    Whoever the middleware has found is not looked up again. Else the session is asked about as
    AUTHX_REVOCATION_STORE and AUTHX_REVOCATION_LAG say, which may cost no statement.

    Raises:
        TokenError: the access token is unusable, or its session has ended.
        RefreshError: the renewal that was due has failed.
        StoreUnavailable: that cannot be known.
        Exception: what the site's own code has raised at the renewal.
    """
    visit, presented = visit_of(request), presented_by(request)
    known = Identity() if visit is None else _known(visit, presented)
    if known.unread is not None:
        return known.unread
    if known.session is not None:
        return _known_caller(known)
    if known.failure is not None:
        raise known.failure
    if known.refusal is not None and not isinstance(known.refusal, StoreUnavailable):
        raise known.refusal
    if presented.access is not None:
        return admit(presented.access)
    if error := known.refusal or presented.access_error:
        raise error
    return None


def _known(visit: Visit, presented: Presented) -> Identity:
    """Return what is known of the visitor; look it up only where our cookies do not say it."""
    if not presented.is_sent or django_session.is_forced_here(visit.request) or _is_beneath(visit.request):
        return visit.settle()
    return visit.known


def _is_beneath(request: HttpRequest) -> bool:
    """Return whether the session carries another login, such as an impersonation; reads the Django session.

    No site has one whose logins all open a device session.
    """
    if conf.BIND_DJANGO_LOGIN is True:
        return False
    with store_errors():
        return django_session.bound_to(request) == "" and django_session.beneath_sid(request) is not None


def _known_caller(known: Identity) -> KnownCaller:
    """Return the caller in a session; a swapped Django session is one without an access token."""
    session = known.session
    assert session is not None
    claims = known.claims or claims_of(session, generation=session.generation, now=timezone.now())
    return KnownCaller(claims, session, known.user)
