"""The session that a browser came with, whatever its age: for logging out, and for a login over it."""

from __future__ import annotations

from contextlib import suppress
from typing import Any
from uuid import UUID

from django.http import HttpRequest

from authx.errors import RefreshMalformed, TokenMalformed
from authx.http import django_session
from authx.logins.presented import presented_by
from authx.models import DeviceSession
from authx.sessions.lookup import Snapshot, find_by_access_token, find_by_refresh_token, find_by_sid
from authx.sessions.password_fingerprint import has_fingerprint


def cookie_session(request: HttpRequest) -> Snapshot | None:
    """Return the session, live or ended, of a browser's cookies, whatever their age; either cookie is enough.

    The access cookie is not read where the refresh cookie is enough: that needs no signing keys.

    Raises:
        StoreUnavailable: the database cannot be read.
    """
    presented = presented_by(request)
    if presented.refresh is not None:
        with suppress(RefreshMalformed):
            return find_by_refresh_token(presented.refresh)
    if presented.any_access is not None:
        with suppress(TokenMalformed):
            return find_by_access_token(presented.any_access)
    return None


def browser_session(request: HttpRequest) -> DeviceSession | None:
    """Return the ``cookie_session``; if there is none, the one that the browser's Django session is bound to.

    Raises:
        StoreUnavailable: the database cannot be read.
    """
    found = cookie_session(request)
    if found is None and (bound := django_session.bound_to(request)):
        found = find_by_sid(UUID(bound))
    return None if found is None else found.session


def is_left_by_another(request: HttpRequest, user: Any, came_with: DeviceSession | None = None) -> bool:
    """Return whether somebody other than ``user`` put the data into the Django session, as far as is known.

    The device session that it belongs to says who; if it names none, the browser's cookies do. The same user
    with another password counts as somebody else, as in Django's own ``login``. ``came_with`` is the
    ``browser_session``, where it has been found already.

    Raises:
        StoreUnavailable: the database cannot be read.
    """
    sid = django_session.owner(request)
    if came_with is None or sid not in {None, str(came_with.pk)}:
        found = find_by_sid(UUID(sid)) if sid else cookie_session(request)
        if found is None:
            return sid is not None  # pruned: it cannot be known any more
        came_with = found.session
    return came_with.user_id != user.pk or not has_fingerprint(user, came_with.fingerprint)
