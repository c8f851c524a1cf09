"""Proofs in a session that is open already, such as a second factor after the login: each is a step-up."""

from __future__ import annotations

import logging
import time
from datetime import UTC, datetime

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils import timezone

from authx.errors import SessionEnded, StoreUnavailable
from authx.http import django_session, proof_notes
from authx.http.actor import actor_of
from authx.models import DeviceSession
from authx.pages import allauth_records, proofs
from authx.pages.step_up import step_up
from authx.pages.visit import Visit
from authx.sessions.credentials import credentials_for
from authx.sessions.methods import add_methods, methods_of
from authx.store.database import store_errors

logger = logging.getLogger("authx")


def note_proofs(visit: Visit, response: HttpResponseBase) -> None:
    """Continue the session in a new one where another app has noted a proof in this request.

    Most of those apps send no signal, but all leave a note in the Django session. A 500 does not save that.
    """
    request, session = visit.request, _session(visit)
    if session is None or response.status_code >= 500 or not proof_notes.has_news(request):
        return
    try:
        _note(visit, session)
    except StoreUnavailable:  # the next request tries again; the page and its cookies leave as they are
        logger.warning("A proof was not noted.", exc_info=True)


def _note(visit: Visit, session: DeviceSession) -> None:
    request = visit.request
    with store_errors():  # the other apps' tables are read here too
        names = proofs.proofs_since(request, session.user)
    if not names:  # another user's, who has not signed in yet
        return
    if visit.binds and visit.delivery is not None:
        _add(visit, session, methods_of(*names))
    else:
        try:
            step_up(visit, session, methods_of(*names), auth_time=_time(request, session))
        except SessionEnded as error:
            visit.refuse_ended(error)
            return
    proof_notes.see(request)


def _add(visit: Visit, session: DeviceSession, methods: tuple[str, ...]) -> None:
    """Add to ``amr`` in a session whose cookies leave with this response for the first time."""
    assert visit.delivery is not None
    if add_methods(session, methods, actor_of(visit.request, session.user)):
        generation = visit.delivery.claims.gen or session.generation
        visit.delivery = credentials_for(session, generation=generation, now=timezone.now())


def _time(request: HttpRequest, session: DeviceSession) -> datetime:
    """Return when the user proved it: allauth says so; the other apps' notes were made in this request."""
    seen = request.session.get(proof_notes.SEEN_KEY, {}).get("allauth", 0)
    times = [at for at, _name in allauth_records.of_user(request, session.user) if at > seen]
    return datetime.fromtimestamp(max(times, default=time.time()), UTC)


def _session(visit: Visit) -> DeviceSession | None:
    """Return the session a proof belongs to: the Django login's, or without one that of our cookies."""
    session, request = visit.settled_session, visit.request
    if session is None or visit.clears:
        return None
    if not django_session.is_present(request):
        return session
    if proof_notes.SEEN_KEY not in request.session:  # about to be adopted: the time of the proof is unknown
        return None
    is_new = visit.binds and visit.delivery is not None and visit.delivery.session.pk == session.pk
    return session if is_new or django_session.bound_to(request) == str(session.pk) else None
