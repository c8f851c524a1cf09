"""Proofs in a session that is open already, such as a second factor after the login."""

from __future__ import annotations

import logging

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils import timezone

from authx.errors import StoreUnavailable
from authx.http import cookies, django_session, proof_notes
from authx.http.actor import actor_of
from authx.identity.visit import Visit
from authx.models import DeviceSession
from authx.pages import proofs
from authx.sessions.credentials import access_token_for, with_new_access_token
from authx.sessions.methods import add_methods, methods_of
from authx.store.database import store_errors

logger = logging.getLogger("authx")


def note_proofs(visit: Visit, response: HttpResponseBase) -> DeviceSession | None:
    """Add to ``amr`` what another app has noted in this request; return a session that needs a new token.

    Most of those apps send no signal, but all leave a note in the Django session. A 500 does not save that.
    """
    request = visit.request
    if response.status_code >= 500 or not proof_notes.has_news(request):
        return None
    session, delivered = _session(visit), visit.identity.delivery.credentials
    if session is None:
        return None
    try:
        added = _add(session, request)
    except StoreUnavailable:  # the next request tries again; the page and its cookies leave as they are
        logger.warning("A proof was not noted.", exc_info=True)
        return None
    if not added or delivered is None:
        return session if added else None
    visit.change_delivery(credentials=with_new_access_token(delivered, session, now=timezone.now()))
    return None


def _add(session: DeviceSession, request: HttpRequest) -> bool:
    """Add the user's new proofs to the session; return whether its ``amr`` has grown."""
    with store_errors():  # the other apps' tables are read here too
        names = proofs.proofs_since(request, session.user)
    if not names:  # another user's, who has not signed in yet
        return False
    added = add_methods(session, methods_of(*names), actor_of(request, session.user))
    proof_notes.see(request)
    return added


def renew_access(session: DeviceSession, visit: Visit, response: HttpResponseBase) -> None:
    """Give a browser that came with cookies an access token with the new ``amr`` at once."""
    if cookies.has_credentials(visit.request):
        before = visit.identity.claims
        until = None if before is None else before.exp
        claims, token = access_token_for(session, now=timezone.now(), until=until)
        cookies.set_access_cookie(response, token, claims.expires_in, persistent=session.persistent)


def _session(visit: Visit) -> DeviceSession | None:
    """Return the session a proof belongs to: the Django login's, or without one that of our cookies."""
    session, request, delivery = visit.identity.session, visit.request, visit.identity.delivery
    if session is None or delivery.clears_cookies:
        return None
    if not django_session.is_present(request):
        return session
    if proof_notes.SEEN_KEY not in request.session:  # about to be adopted: the time of the proof is unknown
        return None
    delivered = delivery.credentials if delivery.binds_django_session else None
    is_new = delivered is not None and delivered.session.pk == session.pk
    return session if is_new or django_session.bound_to(request) == str(session.pk) else None
