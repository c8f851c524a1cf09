"""Secrets of clients: 256 random bits, of which only a hash is kept."""

from __future__ import annotations

import secrets
from hashlib import sha256

from django.views.decorators.debug import sensitive_variables


def new_secret() -> str:
    """Return 256 random bits as text, 43 characters."""
    return secrets.token_urlsafe(32)


@sensitive_variables("secret")
def hash_of(secret: str) -> str:
    """Return SHA-256 hex. Not a slow hash: nobody guesses 256 random bits, and every request would wait."""
    return sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
