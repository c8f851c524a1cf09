"""What the token endpoint answers when it hands out nothing (RFC 6749 §5.2)."""

from __future__ import annotations

from typing import Final

from django.http import HttpResponse, JsonResponse

from authx.errors import OAuthError
from authx.http.outage import RETRY_AFTER_SECONDS

_CHALLENGE: Final = 'Basic realm="clients", charset="UTF-8"'


def refusal(error: OAuthError) -> HttpResponse:
    """Return the error as JSON: 401 where the client has not proved who it is, else 400."""
    body = {"error": error.error}
    if error.error_description:
        body["error_description"] = error.error_description
    if error.error == "invalid_client":
        return JsonResponse(body, status=401, headers={"WWW-Authenticate": _CHALLENGE})
    return JsonResponse(body, status=400)


def unavailable() -> HttpResponse:
    """Return 503: nothing is known, and nothing was spent."""
    body = {"error": "temporarily_unavailable", "error_description": "try again in a moment"}
    return JsonResponse(body, status=503, headers={"Retry-After": str(RETRY_AFTER_SECONDS)})


def forbid_caching(response: HttpResponse) -> None:
    """Keep the answer out of every cache (RFC 6749 §5.1)."""
    response["Cache-Control"] = "no-store"
    response["Pragma"] = "no-cache"
