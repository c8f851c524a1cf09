"""What a door does with the text of a token before it asks ``authx.sessions``, and what it is told."""

import pytest

from authx.conf import secret_keys
from authx.core.refresh_token import read_refresh_token
from authx.errors import SessionEnded
from authx.gate.verify import read_claims
from authx.sessions import authentication, lookup


def refresh_claims(refresh_token):
    return read_refresh_token(refresh_token, secret_keys())


def find_by_refresh_token(refresh_token):
    return lookup.find_by_refresh_token(refresh_claims(refresh_token)).session


def admit(access_token):
    return authentication.admit(read_claims(access_token))


def reason_of(ask):
    """Why the session has ended that ``ask`` is refused for."""
    with pytest.raises(SessionEnded) as refused:
        ask()
    return refused.value.reason
