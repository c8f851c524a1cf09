"""Whose credentials these are, whatever their age: for logging out and logging in over them."""

from __future__ import annotations

from uuid import UUID

from django.views.decorators.debug import sensitive_variables

from authx.core.refresh import RefreshClaims, is_genuine, read_refresh_token
from authx.errors import RefreshMalformed, TokenError
from authx.gate import keyring
from authx.gate.verify import read_claims
from authx.models import DeviceSession
from authx.sessions.reading import read_session


@sensitive_variables("refresh_token")
def find_by_refresh_token(refresh_token: object) -> DeviceSession:
    """The session, live or ended, of a genuine refresh token of any generation. Changes nothing.

    Raises:
        RefreshMalformed: it was never one of ours.
        StoreUnavailable: the database cannot be asked.
    """
    return find_genuine(read_refresh_token(refresh_token, keyring.secrets()))


def find_genuine(presented: RefreshClaims) -> DeviceSession:
    """The session whose salt proves the token, with its user and the database's clock. One statement."""
    session = read_session(presented.sid)
    if session is None or not is_genuine(presented, bytes(session.salt), keyring.secrets()):
        raise RefreshMalformed("no session of ours has issued it")
    return session


@sensitive_variables()
def find_presented(refresh_token: str | None, access_token: str | None) -> DeviceSession | None:
    """The session of a browser's cookies, by either of them; None if neither is good."""
    try:
        if refresh_token is not None:
            return find_by_refresh_token(refresh_token)
    except RefreshMalformed:
        pass  # the other one may still be good
    try:
        sid = UUID(read_claims(access_token).sid)
    except (TokenError, ValueError):
        return None
    return read_session(sid)
