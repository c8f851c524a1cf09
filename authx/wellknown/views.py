"""The JWK Set (RFC 7517 §5) and the authorization server's metadata (RFC 8414)."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from django.contrib.auth.decorators import login_not_required
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.urls import NoReverseMatch, get_script_prefix, reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_safe

from authx.conf import conf
from authx.core import pkce
from authx.core.client_keys import ALGORITHMS as ASSERTION_ALGORITHMS
from authx.core.oauth_client import GRANT_TYPES, NONE, PRIVATE_KEY_JWT
from authx.errors import StoreUnavailable
from authx.gate.fingerprint import agrees, fingerprint
from authx.gate.keys.keyring import keyset
from authx.http.charset import REFUSAL, is_unreadable
from authx.http.outage import RETRY_AFTER_SECONDS
from authx.http.site_urls import at_issuer
from authx.store.database import database_now
from authx.wellknown.published import published

#: How a client may prove who it is (RFC 7591 §2).
_PROOFS = "client_secret_basic", "client_secret_post", PRIVATE_KEY_JWT


@published(content_type="application/jwk-set+json")
def jwks(request: HttpRequest) -> dict[str, Any]:
    """Return our public keys: those that will sign, the one that does, and those that still verify."""
    return keyset().jwks()


@published()
def authorization_server(request: HttpRequest, issuer_path: str = "") -> dict[str, Any]:
    """Return what is really served; 404 while AUTHX_ISSUER is not a URL, or has another path.

    ``login/`` and ``refresh/`` are not in it, as they have their own JSON.
    """
    issuer = conf.ISSUER
    parts = urlsplit(issuer)
    if parts.scheme not in {"https", "http"}:
        raise Http404("AUTHX_ISSUER is not a URL")
    # This URL is between the issuer's host and path (RFC 8414 §3.1), or the whole site is below that path.
    here = {issuer_path} if issuer_path else {"", get_script_prefix().strip("/")}
    if parts.path.strip("/") not in here:
        raise Http404("AUTHX_ISSUER has another path")
    return {
        "issuer": issuer,
        "jwks_uri": at_issuer(reverse("authx-wellknown:jwks")),
        "access_token_signing_alg_values_supported": sorted({key["alg"] for key in keyset().jwks()["keys"]}),
        **_for_services(),
        **_for_clients(),
    }


def _for_services() -> dict[str, Any]:
    """Return the endpoints for services, where the API is mounted (RFC 8414 §2); else ``{}``."""
    found: dict[str, Any] = {}
    try:
        for name, view in (("introspection", "introspect"), ("revocation", "revoke")):
            found[f"{name}_endpoint"] = at_issuer(reverse(f"authx-api:{view}"))
            # A public client may give its own tokens back, but is told nothing about any.
            methods = _PROOFS if view == "introspect" else (NONE, *_PROOFS)
            found[f"{name}_endpoint_auth_methods_supported"] = [*methods]
            found[f"{name}_endpoint_auth_signing_alg_values_supported"] = sorted(ASSERTION_ALGORITHMS)
        found["revocations_uri"] = at_issuer(reverse("authx-api:revocations"))
    except NoReverseMatch:
        return {}
    return found


def _for_clients() -> dict[str, Any]:
    """Return the endpoints of OAuth and what they take; where they are not mounted, that nothing is taken."""
    try:
        authorize, token = map(reverse, ("authx-oauth:authorize", "authx-oauth:token"))
    except NoReverseMatch:
        return {"response_types_supported": [], "grant_types_supported": []}
    return {
        "authorization_endpoint": at_issuer(authorize),
        "token_endpoint": at_issuer(token),
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": [*GRANT_TYPES],
        "code_challenge_methods_supported": [pkce.METHOD],
        "token_endpoint_auth_methods_supported": [NONE, *_PROOFS],
        "token_endpoint_auth_signing_alg_values_supported": sorted(ASSERTION_ALGORITHMS),
        "authorization_response_iss_parameter_supported": True,
        "scopes_supported": [*conf.SCOPES],
    }


@login_not_required
@csrf_exempt
@require_safe
@never_cache
def ready(request: HttpRequest) -> HttpResponse:
    """Tell load balancers whether this worker can serve.

    503 where the database does not answer, ``?expect=`` is another fingerprint, or no key can sign.
    """
    if is_unreadable(request):
        return JsonResponse({"detail": str(REFUSAL), "code": "parse_error"}, status=400)
    expected = request.GET.get("expect")
    body = {"ready": expected is None or agrees(expected), "fingerprint": fingerprint()}
    try:
        database_now()
        keyset().demand_signing()
    except StoreUnavailable:
        body["ready"] = False
    response = JsonResponse(body, status=200 if body["ready"] else 503)
    if not body["ready"]:
        response["Retry-After"] = str(RETRY_AFTER_SECONDS)
    return response
