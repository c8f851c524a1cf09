"""What a refresh token says, and another of the same generation."""

from __future__ import annotations

from authx.conf import secret_keys
from authx.core.refresh_token import RefreshClaims, read_refresh_token, write_refresh_token
from authx.sessions import Credentials


def read(refresh_token: str) -> RefreshClaims:
    return read_refresh_token(refresh_token, secret_keys())


def generation_of(refresh_token: str) -> int:
    return read(refresh_token).generation


def another_branch(credentials: Credentials) -> str:
    """A token of the same generation, as another answer would have brought it: the copier's."""
    session, claims = credentials.session, read(credentials.refresh_token)
    branch = claims.branch ^ 1
    return write_refresh_token(session.pk, claims.generation, branch, bytes(session.salt), secret_keys())
