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


class TwoMethods(ValueError):
    """The request names a client in two ways; it may use one (RFC 6749 §2.3)."""


@sensitive_variables()
def client_credentials(request: HttpRequest, body: Mapping[str, Any]) -> tuple[str, str] | None:
    """Client id and secret; None if there are none, or they are no text.

    Raises:
        TwoMethods: the header and the body both name a client.
    """
    header: str = request.META.get("HTTP_AUTHORIZATION", "")
    in_body = "client_secret" in body
    if header and in_body:
        raise TwoMethods
    if in_body:
        found = body.get("client_id"), body["client_secret"]
        return found if all(isinstance(part, str) for part in found) else None  # type: ignore[return-value]
    scheme, _, encoded = header.strip(" ").partition(" ")
    if scheme.lower() != "basic" or len(encoded) > LONGEST:
        return None
    return _decoded(encoded)


@sensitive_variables()
def _decoded(encoded: str) -> tuple[str, str] | None:
    """Both parts are form-encoded before they are joined (RFC 6749 §2.3.1)."""
    try:
        text = base64.b64decode(encoded, validate=True).decode()
    except (binascii.Error, ValueError):
        return None
    client_id, separator, secret = text.partition(":")
    return (unquote_plus(client_id), unquote_plus(secret)) if separator else None
