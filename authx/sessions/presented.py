"""The session of presented credentials, whatever their age: for logging out, and for a login over it."""

from __future__ import annotations

from uuid import UUID

from django.views.decorators.debug import sensitive_variables

from authx.conf import secret_keys
from authx.core.refresh_token import RefreshClaims, is_genuine, read_refresh_token
from authx.errors import RefreshMalformed, TokenError
from authx.gate.verify import read_claims
from authx.models import DeviceSession
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
def cookie_session(refresh_token: object, access_token: object) -> DeviceSession | None:
    """Return the session, live or ended, of a browser's two tokens, whatever their age; either is enough.

    Raises:
        StoreUnavailable: the database cannot be read.
    """
    try:
        if refresh_token is not None:
            return find_by_refresh_token(refresh_token)
    except RefreshMalformed:
        pass  # the access token may still be good
    try:
        sid = UUID(read_claims(access_token).sid)
    except (TokenError, ValueError):
        return None
    return read_session(sid)
