"""The session that a browser came with, whatever its age: for logging out, and for a login over it."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.http import HttpRequest

from authx.conf import conf
from authx.http import django_session
from authx.http.cookies import read_cookie
from authx.models import DeviceSession
from authx.sessions import presented
from authx.sessions.liveness import has_fingerprint
from authx.sessions.reading import read_session


def cookie_session(request: HttpRequest) -> DeviceSession | None:
    """Return the session, live or ended, of a browser's cookies; either cookie is enough.

    Raises:
        StoreUnavailable: the database cannot be read.
    """
    return presented.cookie_session(
        read_cookie(request, conf.REFRESH_COOKIE), read_cookie(request, conf.ACCESS_COOKIE)
    )


def browser_session(request: HttpRequest) -> DeviceSession | None:
    """Return the ``cookie_session``; if there is none, the one that the browser's Django session is bound to.

    Raises:
        StoreUnavailable: the database cannot be read.
    """
    found = cookie_session(request)
    if found is None and (bound := django_session.bound_to(request)):
        return read_session(UUID(bound))
    return found


def is_left_by_another(request: HttpRequest, user: Any) -> bool:
    """Return whether somebody other than ``user`` put the data into the Django session, as far as is known.

    The device session that it belongs to says who; if it names none, the browser's cookies do. The same user
    with another password counts as somebody else, as in Django's own ``login``.

    Raises:
        StoreUnavailable: the database cannot be read.
    """
    sid = django_session.owner(request)
    found = read_session(UUID(sid)) if sid else cookie_session(request)
    if found is None:
        return sid is not None  # pruned: it cannot be known any more
    return found.user_id != user.pk or not has_fingerprint(user, found.fingerprint)
