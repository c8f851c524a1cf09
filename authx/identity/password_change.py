"""The device that changes its own password stays signed in, with a new session in the same response."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from uuid import UUID

from django.contrib.auth import HASH_SESSION_KEY
from django.http import HttpRequest

from authx.core.reasons import EndReason
from authx.core.user_model import session_auth_hash
from authx.http.actor import actor_of
from authx.http.request_state import RequestState
from authx.http.session_key import key_of, stored_key
from authx.http.shown_login import written
from authx.identity.identity import Delivery, Identity
from authx.identity.settling import read
from authx.identity.step_up import came_back
from authx.models import DeviceSession
from authx.sessions import Credentials, end_session
from authx.sessions.continuing import continue_after_password_change
from authx.sessions.liveness import user_end
from authx.sessions.lookup import find_by_sid
from authx.sessions.password_fingerprint import fingerprint_of


def own_password_change(request: HttpRequest, identity: Identity, state: RequestState) -> Identity | None:
    """Return the identity in a session that continues this one, if this request has changed its own password.

    Returns None where it has not.
    """
    sid = _changed(request, identity, state)
    if sid is None:
        return None
    credentials = continue_changed(
        request, sid, came_back=came_back(identity), django_key=stored_key(request)
    )
    if credentials is None:
        return None
    delivery = Delivery(credentials, binds_django_session=True)
    return Identity(credentials.session.user, credentials.session, delivery=delivery)


def read_changed(request: HttpRequest, known: Identity) -> Identity:
    """Do what ``read`` does, after ``update_session_auth_hash`` in this request.

    The new password has ended the session, which goes on in another one, after the view.

    Raises:
        StoreUnavailable: the row cannot be read.
    """
    caller = known.unread
    assert caller is not None
    found = find_by_sid(UUID(caller.claims.sid))
    if found is None or found.is_marked or not _is_of_this_request(request, found.session):
        return read(request, known)
    caller.keep(found)
    return replace(known, session=found.session, unread=None)


def _is_of_this_request(request: HttpRequest, session: DeviceSession) -> bool:
    """Return whether the session has ended with the old password, and the new one's hash is stored here."""
    if user_end(session) != EndReason.PASSWORD_CHANGED:
        return False
    stored: str = request.session[HASH_SESSION_KEY]
    return stored == session_auth_hash(session.user)


def continue_changed(
    request: HttpRequest, sid: UUID, *, came_back: bool, django_key: str | None = None
) -> Credentials | None:
    """Return the tokens of a session that continues ``sid``, if this request has changed its user's password.

    Saving the password has ended every session of the user; ``update_session_auth_hash`` then put the new
    hash in this Django session, which only this device's own request can have done. Returns None where it has
    not, and where somebody has ended the session by its id since.

    Raises:
        StoreUnavailable: the database cannot be asked or written; nothing was opened.
    """
    found = find_by_sid(sid)
    if found is None or found.is_marked:
        return None
    after = found.session
    user: Any = after.user
    if not _is_of_this_request(request, after):
        return None
    actor = actor_of(request, user)
    if after.ended_at is None:  # a bulk update
        end_session(after, EndReason.PASSWORD_CHANGED, by=actor)
    elif after.end_reason != EndReason.PASSWORD_CHANGED:
        return None
    return continue_after_password_change(after, actor, came_back=came_back, django_key=django_key)


def _changed(request: HttpRequest, identity: Identity, state: RequestState) -> UUID | None:
    """Return the id of the request's session if another hash than its own is in the Django session.

    Where the database has not been asked about the caller by cookie, a new key tells of the change: it is
    what ``update_session_auth_hash`` makes.
    """
    if not written(request.session, HASH_SESSION_KEY):
        return None
    caller = state.caller if state.by_cookie else None
    before: DeviceSession | None = identity.session
    if before is None and caller is not None and caller.is_read:
        before = caller.session
    if before is not None:
        return before.pk if _has_new_hash(request, before) else None
    if caller is None or key_of(request) in state.django_keys:
        return None
    return UUID(caller.claims.sid)


def _has_new_hash(request: HttpRequest, session: DeviceSession) -> bool:
    user: Any = session.user
    return user is not None and fingerprint_of(request.session[HASH_SESSION_KEY]) != session.fingerprint
