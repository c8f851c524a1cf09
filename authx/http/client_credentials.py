"""A client's own credentials in a request: Basic, or in the body (RFC 6749 §2.3.1)."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote_plus

from django.http import HttpRequest
from django.views.decorators.debug import sensitive_variables

#: Characters; longer than any client id and secret of ours, encoded.
MAX_ENCODED_LENGTH = 1024


@sensitive_variables()
def header_credentials(request: HttpRequest) -> tuple[str, str] | None:
    """Return client id and secret from the header; None if it is not Basic, or malformed."""
    header: str = request.META.get("HTTP_AUTHORIZATION", "")
    scheme, _, encoded = header.strip(" ").partition(" ")
    if scheme.lower() != "basic" or len(encoded) > MAX_ENCODED_LENGTH:
        return None
    return _decoded(encoded)


@sensitive_variables()
def body_credentials(body: Mapping[str, Any]) -> tuple[str, str] | None:
    """Return client id and secret from the body; None if one is missing or is not a text."""
    client_id, secret = body.get("client_id"), body.get("client_secret")
    return (client_id, secret) if isinstance(client_id, str) and isinstance(secret, str) else None


@sensitive_variables()
def _decoded(encoded: str) -> tuple[str, str] | None:
    """Decode client id and secret, each form-encoded before they were joined (RFC 6749 §2.3.1)."""
    try:
        text = base64.b64decode(encoded, validate=True).decode()
    except (binascii.Error, ValueError):
        return None
    client_id, separator, secret = text.partition(":")
    return (unquote_plus(client_id), unquote_plus(secret)) if separator else None
