"""The device that changes its own password stays signed in, with a new session in the same response."""

from __future__ import annotations

from typing import Any

from django.contrib.auth import HASH_SESSION_KEY
from django.http import HttpRequest

from authx.core.reasons import EndReason
from authx.core.user_model import session_auth_hash
from authx.http.actor import actor_of
from authx.http.django_session import stored_key
from authx.http.request_state import RequestState
from authx.http.shown_login import written
from authx.identity.identity import Delivery, Identity
from authx.identity.step_up import came_back
from authx.models import DeviceSession
from authx.sessions import end_session
from authx.sessions.continuing import continue_after_password_change
from authx.sessions.liveness import fingerprint_of, user_end
from authx.sessions.lookup import find_by_sid


def own_password_change(request: HttpRequest, identity: Identity, state: RequestState) -> Identity | None:
    """Return the identity in a session that continues this one, if this request has changed its own password.

    Saving the password has ended every session of the user; ``update_session_auth_hash`` then put
    the new hash in this Django session, which only this device's own request can have done. Returns None
    where it has not.
    """
    before = identity.session or _read_by_api(state)
    if before is None or not _has_new_hash(request, before):
        return None
    found = find_by_sid(before.pk)
    if found is None or found.is_marked:
        return None
    after = found.session
    user: Any = after.user
    if user_end(after) != EndReason.PASSWORD_CHANGED:
        return None
    if request.session[HASH_SESSION_KEY] != session_auth_hash(user):
        return None
    if after.ended_at is None:  # a bulk update
        end_session(after, EndReason.PASSWORD_CHANGED, by=actor_of(request, user))
    elif after.end_reason != EndReason.PASSWORD_CHANGED:
        return None
    actor = actor_of(request, user)
    credentials = continue_after_password_change(
        after, actor, came_back=came_back(identity), django_key=stored_key(request)
    )
    if credentials is None:  # somebody has ended it by its id since
        return None
    return Identity(user, credentials.session, delivery=Delivery(credentials, binds_django_session=True))


def _read_by_api(state: RequestState) -> DeviceSession | None:
    """Return the session that an API view authenticated by cookie; None where the view has not read it.

    A view that has not even read it has changed no password.
    """
    caller = state.caller if state.by_cookie else None
    return caller.session if caller is not None and caller.is_read else None


def _has_new_hash(request: HttpRequest, session: DeviceSession) -> bool:
    user: Any = session.user
    auth_hash = written(request.session, HASH_SESSION_KEY)
    if not auth_hash or user is None:
        return False
    return fingerprint_of(auth_hash) != session.fingerprint
