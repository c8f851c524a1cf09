"""The login proof: a login that was complete, but for a full limit, for the request that says whom to end.

It is encrypted, because it names the backend and the browser, and readable only under a key of its own. That
it is presented once is decided by the database, not here.
"""

from __future__ import annotations

import base64
import re
import secrets
from dataclasses import asdict, dataclass, field
from typing import Final

from cryptography.fernet import InvalidToken, MultiFernet

from authx.core import strict_json
from authx.core.derivation import fernet
from authx.errors import LoginProofInvalid

#: Seconds for which a proof is good: the password was right that long ago at most.
LIFETIME: Final = 300
#: Larger than any that we write: the names of a backend, of a database and of a device are bounded.
MAX_LENGTH: Final = 4096

_WIRE: Final = re.compile(r"[A-Za-z0-9_-]+={0,2}")


@dataclass(frozen=True, slots=True)
class LoginProof:
    """Who has proved what, and where it may be presented."""

    #: The user's key, as text, and the alias of the database that it is a key of.
    user: str
    database: str
    #: Of the user's credentials: a changed password makes the proof worthless.
    fingerprint: str = field(repr=False)
    #: How the login goes on: a browser by the id in its device cookie, another client by its ``device.id``.
    holder: str = field(repr=False)
    #: The path of the backend that let the user in, and the methods of the login.
    backend: str
    amr: tuple[str, ...]
    #: Whether a password was all that was asked for, so that AUTHX_PASSWORD_LOGIN decides.
    by_password: bool
    #: The number of the newest not-before mark when the login was made: a newer one of this user voids it.
    not_before_number: int
    #: Seconds since 1970, by the database's clock.
    expires_at: int
    #: What is spent: 128 random bits.
    nonce: str = field(default_factory=lambda: secrets.token_urlsafe(16))

    @property
    def proved_at(self) -> int:
        """Return when the user authenticated, in seconds as ``expires_at``; asking again changes neither."""
        return self.expires_at - LIFETIME


def write_login_proof(proof: LoginProof, site_secrets: tuple[str | bytes, ...], *, now: int) -> str:
    """Return the proof as text; the first secret encrypts it."""
    content = strict_json.dumps(asdict(proof))
    return _cipher(site_secrets).encrypt_at_time(content, now).decode()


def read_login_proof(text: object, site_secrets: tuple[str | bytes, ...]) -> LoginProof:
    """Read a proof that was encrypted with any of ``site_secrets``, whatever its age.

    Raises:
        LoginProofInvalid: it was never one of ours, is not spelled as we spell it, or was written by another
            release, with other fields.
    """
    if not isinstance(text, str) or len(text) > MAX_LENGTH or not _WIRE.fullmatch(text):
        raise LoginProofInvalid("the login proof is not of our form")
    try:
        if base64.urlsafe_b64encode(base64.urlsafe_b64decode(text)) != text.encode():
            raise LoginProofInvalid("the login proof is not spelled as we spell it")
        content = strict_json.loads(_cipher(site_secrets).decrypt(text))
        return LoginProof(**{**content, "amr": tuple(content["amr"])})
    except (InvalidToken, ValueError, KeyError, TypeError):
        raise LoginProofInvalid("the login proof is not one of ours") from None


def _cipher(site_secrets: tuple[str | bytes, ...]) -> MultiFernet:
    return fernet(site_secrets, "login-proof")
