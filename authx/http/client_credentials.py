"""A client's own credentials in a request: Basic, or in the body (RFC 6749 §2.3.1, RFC 7521 §4.2)."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote_plus

from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse
from django.views.decorators.debug import sensitive_variables

from authx.conf import conf
from authx.http.site_urls import at_issuer

#: Characters; longer than any client id and secret of ours, encoded.
MAX_ENCODED_LENGTH = 1024
_PARAMETERS = ("client_id", "client_secret", "client_assertion", "client_assertion_type")


@dataclass(frozen=True, slots=True)
class Presented:
    """Who a client says it is, and its proof of that: a secret, an assertion, or none."""

    #: Empty where the assertion alone names it.
    client_id: str
    secret: str | None = field(default=None, repr=False)
    assertion: str | None = field(default=None, repr=False)
    assertion_type: str = ""


@sensitive_variables()
def header_credentials(request: HttpRequest) -> tuple[str, str] | None:
    """Return client id and secret from the header; None if it is not Basic, or malformed."""
    header: str = request.META.get("HTTP_AUTHORIZATION", "")
    scheme, _, encoded = header.strip(" ").partition(" ")
    if scheme.lower() != "basic" or len(encoded) > MAX_ENCODED_LENGTH:
        return None
    return _decoded(encoded)


@sensitive_variables()
def body_credentials(body: Mapping[str, Any]) -> Presented | None:
    """Return what the body says about the client; None if it says nothing, or anything that is not text."""
    given = [body.get(name) for name in _PARAMETERS]
    if not any(given) or not all(value is None or isinstance(value, str) for value in given):
        return None
    client_id, secret, assertion, kind = given
    return Presented(client_id or "", secret or None, assertion or None, kind or "")


def assertion_audiences(path: str) -> tuple[str, ...]:
    """Return whom a client that asks at ``path`` may address an assertion to.

    The issuer, its token endpoint (RFC 7523 §3), or the endpoint that is asked: some clients name no other,
    and RFC 9126 §2 takes all three.
    """
    try:
        return conf.ISSUER, at_issuer(reverse("authx-oauth:token")), at_issuer(path)
    except NoReverseMatch:  # it is not mounted
        return conf.ISSUER, at_issuer(path)


@sensitive_variables()
def _decoded(encoded: str) -> tuple[str, str] | None:
    """Decode client id and secret, each form-encoded before they were joined (RFC 6749 §2.3.1)."""
    try:
        text = base64.b64decode(encoded, validate=True).decode()
    except (binascii.Error, ValueError):
        return None
    client_id, separator, secret = text.partition(":")
    return (unquote_plus(client_id), unquote_plus(secret)) if separator else None
