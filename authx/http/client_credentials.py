"""A client's own credentials in a request: Basic, or in the body (RFC 6749 §2.3.1)."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote_plus

from django.http import HttpRequest
from django.views.decorators.debug import sensitive_variables

#: Longer than any client id and secret of ours, encoded.
LONGEST = 1024


@sensitive_variables()
def header_credentials(request: HttpRequest) -> tuple[str, str] | None:
    """Client id and secret of the header; None if it is not Basic, or makes no sense."""
    header: str = request.META.get("HTTP_AUTHORIZATION", "")
    scheme, _, encoded = header.strip(" ").partition(" ")
    if scheme.lower() != "basic" or len(encoded) > LONGEST:
        return None
    return _decoded(encoded)


@sensitive_variables()
def body_credentials(body: Mapping[str, Any]) -> tuple[str, str] | None:
    """Client id and secret of the body; None if there are none, or they are no text."""
    client_id, secret = body.get("client_id"), body.get("client_secret")
    return (client_id, secret) if isinstance(client_id, str) and isinstance(secret, str) else None


@sensitive_variables()
def _decoded(encoded: str) -> tuple[str, str] | None:
    """Both parts are form-encoded before they are joined (RFC 6749 §2.3.1)."""
    try:
        text = base64.b64decode(encoded, validate=True).decode()
    except (binascii.Error, ValueError):
        return None
    client_id, separator, secret = text.partition(":")
    return (unquote_plus(client_id), unquote_plus(secret)) if separator else None
