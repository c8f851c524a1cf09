"""The access cookie of a request: read once, whoever asks."""

from __future__ import annotations

from django.http import HttpRequest
from django.views.decorators.debug import sensitive_variables

from authx.conf import conf
from authx.core.claims import AccessClaims
from authx.errors import TokenMalformed
from authx.gate.verify import read_claims
from authx.http.cookies import read_token


def read_access_cookie(request: HttpRequest) -> AccessClaims:
    """Return the claims of the access cookie, without asking about its session; it is read once per request.

    Raises:
        TokenError: see ``verify_access_token``; or there is none.
    """
    return read_token(request, conf.ACCESS_COOKIE, _read)


@sensitive_variables("token")
def _read(token: object) -> AccessClaims:
    if token is None:
        raise TokenMalformed("there is no access cookie")
    return read_claims(token)
