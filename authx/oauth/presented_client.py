"""Which client a token request comes from, and how it proves that (RFC 6749 §2.3, RFC 7521 §4.2)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from django.http import HttpRequest
from django.urls import reverse
from django.views.decorators.debug import sensitive_variables

from authx.conf import conf
from authx.core.client_assertion import unverified_issuer
from authx.errors import OAuthError
from authx.http.client_credentials import header_credentials
from authx.http.site_urls import at_issuer
from authx.issuer.client_authentication import authenticate_client
from authx.issuer.client_lookup import find_client
from authx.models import ServiceClient
from authx.oauth.form import Form

_JWT_BEARER: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


@sensitive_variables()
def presented_client(
    request: HttpRequest, form: Form, find: Callable[[str], ServiceClient | None] = find_client
) -> ServiceClient:
    """Return the client, authenticated by one method; a public one says who it is, and proves nothing.

    ``find`` is that of ``authenticate_client``.

    Raises:
        OAuthError: it is unknown, disabled, or has not proved itself; or it uses several methods at once.
        StoreUnavailable: the database cannot be read.
    """
    by_header = "HTTP_AUTHORIZATION" in request.META
    secret, assertion = form.get("client_secret"), form.get("client_assertion")
    if by_header + (secret is not None) + (assertion is not None) > 1:
        raise OAuthError("invalid_request", "send one proof of who the client is, not several")
    client_id = form.get("client_id") or ""
    if by_header:
        client_id, secret = _by_header(request, client_id)
    elif assertion is not None:
        if form.require("client_assertion_type") != _JWT_BEARER:
            raise OAuthError("invalid_request", f"client_assertion_type must be {_JWT_BEARER}")
        client_id = client_id or unverified_issuer(assertion) or ""
    return authenticate_client(
        client_id,
        secret=secret,
        assertion=assertion,
        audiences=(conf.ISSUER, at_issuer(reverse("authx-oauth:token"))),
        find=find,
    )


def _by_header(request: HttpRequest, named: str) -> tuple[str, str]:
    found = header_credentials(request)
    if found is None:
        raise OAuthError("invalid_client", "the header Authorization holds no Basic credentials")
    if named and named != found[0]:
        raise OAuthError("invalid_request", "client_id is another than in the header")
    return found
