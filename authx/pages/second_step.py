"""Proofs in a session that is open already, such as a second factor after the login: each is a step-up."""

from __future__ import annotations

import logging
from datetime import UTC, datetime

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils import timezone

from authx import clocks
from authx.errors import SessionEnded, StoreUnavailable
from authx.http import django_session, proof_notes
from authx.http.actor import actor_of
from authx.identity.step_up import continued
from authx.identity.visit import Visit
from authx.models import DeviceSession
from authx.pages import allauth_records, proofs
from authx.sessions import Credentials
from authx.sessions.credentials import with_new_access_token
from authx.sessions.methods import add_methods, methods_of
from authx.store.database import store_errors

logger = logging.getLogger("authx")


def note_proofs(visit: Visit, response: HttpResponseBase) -> None:
    """Continue the session in a new one where another app has noted a proof in this request.

    Most of those apps send no signal, but all leave a note in the Django session. A 500 does not save that.
    """
    if response.status_code >= 500 or not proof_notes.has_news(visit.request):
        return
    if (session := _session(visit)) is None:
        return
    try:
        _note(visit, session)
    except (SessionEnded, StoreUnavailable):  # where it is not over, the next request tries again
        logger.warning("A proof was not noted.", exc_info=True, extra={"event": "proof_not_noted"})


def _note(visit: Visit, session: DeviceSession) -> None:
    request, delivery = visit.request, visit.identity.delivery
    with store_errors():  # the other apps' tables are read here too
        names = proofs.proofs_since(request, session.user)
    if not names:  # another user's, who has not signed in yet
        return
    methods = methods_of(*names)
    if delivery.binds_django_session and delivery.credentials is not None:
        _add(visit, session, methods, delivery.credentials)
    else:
        at = _time(request, session)
        visit.identify(continued(request, visit.identity, session, methods, auth_time=at))
    proof_notes.see(request)


def _add(visit: Visit, session: DeviceSession, methods: tuple[str, ...], delivered: Credentials) -> None:
    """Add to ``amr`` in a session whose cookies leave with this response for the first time."""
    if add_methods(session, methods, actor_of(visit.request, session.user)):
        visit.change_delivery(credentials=with_new_access_token(delivered, session, now=timezone.now()))


def _time(request: HttpRequest, session: DeviceSession) -> datetime:
    """Return when the user proved it: allauth says so; of the other apps' notes the request is known."""
    seen = request.session.get(proof_notes.SEEN_KEY, {}).get("allauth", 0)
    times = [at for at, _name in allauth_records.of_user(request, session.user) if at > seen]
    return datetime.fromtimestamp(max(times, default=clocks.time()), UTC)


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
