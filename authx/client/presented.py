"""The access token that has let a request in: what a service exchanges to call another for the same user."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django.views.decorators.debug import sensitive_variables

from authx.conf import conf
from authx.core.claims import AccessClaims
from authx.errors import TokenMalformed
from authx.gate.verify import signed_claims
from authx.http.cookies import read_cookie
from authx.http.renewal import has_bearer


@sensitive_variables()
def presented_token(request: Any) -> str:
    """Return the token by which one of our classes has authenticated ``request``, Django's or DRF's.

    A token that is merely sent along does not count: without its class nobody has asked for the CSRF token
    beside a cookie, nor whether its session is live.

    Raises:
        TokenMalformed: none has let it in.
        StoreUnavailable: the issuer's keys are not known.
    """
    claims = getattr(request, "auth", None)
    token = _sent(getattr(request, "_request", request))
    if not isinstance(claims, AccessClaims) or not token or signed_claims(token) != claims:
        raise TokenMalformed("no access token has let this request in")
    return token


@sensitive_variables()
def _sent(request: HttpRequest) -> str:
    if has_bearer(request):
        header: str = request.META["HTTP_AUTHORIZATION"]
        return header.strip(" ").partition(" ")[2]
    return read_cookie(request, conf.ACCESS_COOKIE) or ""
