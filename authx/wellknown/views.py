"""The JWK Set (RFC 7517 §5) and the authorization server's metadata (RFC 8414)."""

from __future__ import annotations

from typing import Any
from urllib.parse import urljoin, urlsplit

from django.contrib.auth.decorators import login_not_required
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.urls import NoReverseMatch, reverse
from django.views.decorators.cache import cache_control, never_cache
from django.views.decorators.http import condition, require_safe

from authx.conf import conf
from authx.errors import StoreUnavailable
from authx.gate.agreement import agrees, fingerprint
from authx.gate.keyring import keyset
from authx.sessions.database import database_now

#: Seconds for which other services may keep our keys; a new key is published for longer before it signs.
MAX_AGE = 300


def _published(request: HttpRequest) -> dict[str, Any]:
    """The set to answer with: one for tag and body, though the keys may change meanwhile."""
    kept = vars(request)
    if "authx_jwks" not in kept:
        kept["authx_jwks"] = keyset().jwks()
    found: dict[str, Any] = kept["authx_jwks"]
    return found


def _etag(request: HttpRequest) -> str:
    return '"' + "-".join(key["kid"][:16] for key in _published(request)["keys"]) + '"'


@login_not_required
@require_safe
@cache_control(public=True, max_age=MAX_AGE)
@condition(etag_func=_etag)
def jwks(request: HttpRequest) -> HttpResponse:
    """Our public keys: those that will sign, that which does, and those that still verify."""
    return JsonResponse(_published(request), content_type="application/jwk-set+json")


@login_not_required
@require_safe
@cache_control(public=True, max_age=MAX_AGE)
def authorization_server(request: HttpRequest) -> HttpResponse:
    """What is really served; 404 while AUTHX_ISSUER is not a URL."""
    issuer = conf.ISSUER
    if urlsplit(issuer).scheme not in {"https", "http"}:
        raise Http404("AUTHX_ISSUER is not a URL")
    keys = keyset()
    return JsonResponse(
        {
            "issuer": issuer,
            "jwks_uri": _address(issuer, "authx-wellknown:jwks"),
            "response_types_supported": [],
            "grant_types_supported": ["refresh_token"],
            "token_endpoint_auth_methods_supported": ["none"],
            "access_token_signing_alg_values_supported": sorted({key.alg for key in keys}),
            **_for_services(issuer),
        }
    )


def _for_services(issuer: str) -> dict[str, Any]:
    """What services may ask, where the API is mounted (RFC 8414 §2)."""
    found: dict[str, Any] = {}
    try:
        for name, view in (("introspection", "introspect"), ("revocation", "revoke")):
            found[f"{name}_endpoint"] = _address(issuer, f"authx-api:{view}")
            found[f"{name}_endpoint_auth_methods_supported"] = ["client_secret_basic", "client_secret_post"]
        found["revocations_uri"] = _address(issuer, "authx-api:revocations")
    except NoReverseMatch:
        return {}
    return found


def _address(issuer: str, view: str) -> str:
    """From the issuer, never from the Host header: that is the caller's word (C10)."""
    return urljoin(issuer, reverse(view))


@login_not_required
@require_safe
@never_cache
def ready(request: HttpRequest) -> HttpResponse:
    """For load balancers: 503 where the database does not answer, or ``?expect=`` is another fingerprint."""
    expected = request.GET.get("expect")
    body = {"ready": expected is None or agrees(expected), "fingerprint": fingerprint()}
    try:
        database_now()
    except StoreUnavailable:
        body["ready"] = False
    response = JsonResponse(body, status=200 if body["ready"] else 503)
    if not body["ready"]:
        response["Retry-After"] = "5"
    return response
