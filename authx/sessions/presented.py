"""The session of presented credentials, whatever their age: for logging out, and for a login over it."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.http import HttpRequest
from django.views.decorators.debug import sensitive_variables

from authx.conf import conf, secret_keys
from authx.core.refresh_token import RefreshClaims, is_genuine, read_refresh_token
from authx.errors import RefreshMalformed, TokenError
from authx.gate.verify import read_claims
from authx.http import django_session
from authx.http.cookies import read_cookie
from authx.models import DeviceSession
from authx.sessions.liveness import has_fingerprint
from authx.sessions.reading import read_session


@sensitive_variables("refresh_token")
def find_by_refresh_token(refresh_token: object) -> DeviceSession:
    """Return the session, live or ended, of a genuine refresh token of any generation. Changes nothing.

    Raises:
        RefreshMalformed: it was never one of ours.
        StoreUnavailable: the database cannot be read.
    """
    return find_genuine(read_refresh_token(refresh_token, secret_keys()))


def find_genuine(presented: RefreshClaims) -> DeviceSession:
    """Return the session whose salt proves the token, with its user and the database's clock.

    One statement.

    Raises:
        RefreshMalformed: no session has issued it.
        StoreUnavailable: the database cannot be read.
    """
    session = read_session(presented.sid)
    if session is None or not is_genuine(presented, bytes(session.salt), secret_keys()):
        raise RefreshMalformed("no session of ours has issued it")
    return session


@sensitive_variables()
def cookie_session(request: HttpRequest) -> DeviceSession | None:
    """Return the session, live or ended, of a browser's cookies, whatever their age; either cookie is enough.

    Raises:
        StoreUnavailable: the database cannot be read.
    """
    refresh_token = read_cookie(request, conf.REFRESH_COOKIE)
    try:
        if refresh_token is not None:
            return find_by_refresh_token(refresh_token)
    except RefreshMalformed:
        pass  # the access cookie may still be good
    try:
        sid = UUID(read_claims(read_cookie(request, conf.ACCESS_COOKIE)).sid)
    except (TokenError, ValueError):
        return None
    return read_session(sid)


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
