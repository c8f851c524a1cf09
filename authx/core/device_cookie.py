"""The device cookie's content: which browser this is, and who has signed in from it.

For each of the last users it holds a nonce and a MAC over that user's subject and the nonce: only a server
that knows the subject can see from it that this user has signed in here (OWASP, "Slow Down Online Guessing
Attacks with Device Cookies").
"""

from __future__ import annotations

import hmac
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from itsdangerous import base64_encode

from authx.core.derivation import derive_secret

#: Users remembered for one browser; with one more, the least recent is forgotten.
MAX_USERS: Final = 8

#: 128 bits of id; then 96 bits of nonce and 128 of MAC for each user. All base64url.
_WIRE: Final = re.compile(r"[A-Za-z0-9_-]{22}(?:\.[A-Za-z0-9_-]{16}[A-Za-z0-9_-]{22}){0,8}")
_NONCE_LENGTH: Final = 16  # characters


@dataclass(frozen=True, slots=True)
class BrowserDevice:
    """A browser, recognized by its cookie."""

    #: 22 characters of base64url, 128 random bits.
    id: str
    #: A nonce and a MAC for each user, the most recent login first.
    logins: tuple[str, ...] = ()

    @classmethod
    def new(cls) -> BrowserDevice:
        """Return a browser that has not been seen before."""
        return cls(secrets.token_urlsafe(16))

    def login_nonce(self, subject: str, site_secrets: Sequence[str | bytes]) -> str | None:
        """Return the nonce of the last login of ``subject`` from this browser; None if there was none."""
        for login in self.logins:
            nonce, mac = login[:_NONCE_LENGTH], login[_NONCE_LENGTH:]
            expected = (_mac(subject, nonce, secret) for secret in site_secrets)
            if any(hmac.compare_digest(mac, each) for each in expected):
                return nonce
        return None

    def with_login(self, subject: str, site_secrets: Sequence[str | bytes], login: str = "") -> BrowserDevice:
        """Return this browser after a login of ``subject``, who gets a new nonce.

        ``login`` identifies the login where its cookie may be set again: one login has one nonce.
        """
        known = self.login_nonce(subject, site_secrets)
        others = [login for login in self.logins if known is None or not login.startswith(known)]
        nonce = _nonce(login, site_secrets[0]) if login else secrets.token_urlsafe(12)
        entry = nonce + _mac(subject, nonce, site_secrets[0])
        return BrowserDevice(self.id, (entry, *others)[:MAX_USERS])


def write_device(device: BrowserDevice) -> str:
    """Return the text of the cookie, still to be signed; at most 340 characters."""
    return ".".join((device.id, *device.logins))


def read_device(text: str) -> BrowserDevice | None:
    """Read the browser from a text whose signature was valid; None if it is not of our form."""
    if not _WIRE.fullmatch(text):
        return None
    device_id, *logins = text.split(".")
    return BrowserDevice(device_id, tuple(logins))


def _nonce(login: str, secret: str | bytes) -> str:
    digest = hmac.digest(derive_secret(secret, "device-nonce"), login.encode(), sha256)
    return base64_encode(digest[:12]).decode()


def _mac(subject: str, nonce: str, secret: str | bytes) -> str:
    key = derive_secret(secret, "device-login")
    return base64_encode(hmac.digest(key, f"{nonce}{subject}".encode(), sha256)[:16]).decode()
