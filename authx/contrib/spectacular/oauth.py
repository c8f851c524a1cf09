"""The routes that are no DRF views, for SPECTACULAR_SETTINGS["POSTPROCESSING_HOOKS"]."""

from __future__ import annotations

from typing import Any, Final

from django.urls import NoReverseMatch, get_script_prefix, reverse

from authx.contrib.spectacular import components
from authx.contrib.spectacular.components import Schema, reference
from authx.contrib.spectacular.schemes import CLIENT, definition
from authx.core.oauth_client import GRANT_TYPES

_TEXT: Final[Schema] = {"type": "string"}
_NUMBER: Final[Schema] = {"type": "integer"}

#: The parameters of a grant, but for those that name and prove the client (RFC 6749, RFC 8693, RFC 8707).
_OF_GRANTS: Final = (
    *("code", "redirect_uri", "code_verifier", "refresh_token", "scope"),
    *("subject_token", "subject_token_type", "actor_token", "actor_token_type", "requested_token_type"),
)
_OF_CLIENTS: Final = ("client_id", "client_secret", "client_assertion", "client_assertion_type")
_SEVERAL: Final[Schema] = {"type": "array", "items": _TEXT}

SCHEMAS: Final[dict[str, Schema]] = {
    "AuthxUnavailable": components.SCHEMAS["AuthxUnavailable"],
    "AuthxUnavailableCode": components.SCHEMAS["AuthxUnavailableCode"],
    "AuthxOAuthError": {
        "type": "object",
        "properties": {"error": _TEXT, "error_description": _TEXT},
        "required": ["error"],
    },
    "AuthxGrantType": {**_TEXT, "enum": [*GRANT_TYPES]},
    "AuthxTokenRequest": {
        "type": "object",
        "properties": {
            "grant_type": reference("AuthxGrantType"),
            **dict.fromkeys((*_OF_GRANTS, *_OF_CLIENTS), _TEXT),
            "resource": _SEVERAL,
            "audience": _SEVERAL,
        },
        "required": ["grant_type"],
    },
    "AuthxTokenAnswer": {
        "type": "object",
        "properties": {
            **dict.fromkeys(("access_token", "token_type", "scope", "refresh_token"), _TEXT),
            "expires_in": {**_NUMBER, "description": "Seconds."},
            "issued_token_type": _TEXT,
        },
        "required": ["access_token", "expires_in", "token_type"],
    },
    "AuthxKeys": {
        "type": "object",
        "properties": {"keys": {"type": "array", "items": {"type": "object"}}},
        "required": ["keys"],
    },
    "AuthxServer": {
        "type": "object",
        "properties": {"issuer": _TEXT, "jwks_uri": _TEXT},
        "required": ["issuer", "jwks_uri"],
    },
}


_UNAVAILABLE: Final[Schema] = {
    "description": "Nothing is known, and nothing was spent.",
    "headers": {"Retry-After": {"schema": _NUMBER, "description": "Seconds."}},
}


def add_oauth_paths(result: Schema, generator: Any, **kwargs: Any) -> Schema:
    """Add the token endpoint, the public keys and the metadata, where the site has mounted them."""
    if generator.patterns is not None:  # a schema of some routes alone
        return result
    found = {path: item for name, item in _items().items() if (path := _path(name, generator.urlconf))}
    if not found:
        return result
    result["paths"] = {**result["paths"], **found}
    components.register(generator.registry, SCHEMAS)  # another hook may collect them anew
    named = result["components"].setdefault("schemas", {})
    for name, schema in SCHEMAS.items():
        named.setdefault(name, schema)
    result["components"].setdefault("securitySchemes", {}).setdefault(CLIENT, definition(CLIENT))
    return result


def _path(name: str, urlconf: Any) -> str | None:
    """Return the path of a route below the site; None where it is not mounted, or below a variable path."""
    try:
        path = reverse(name, urlconf=urlconf)
    except NoReverseMatch:
        return None
    return "/" + path.removeprefix(get_script_prefix())


def _items() -> dict[str, Schema]:
    """Return the path item of each route, by its name."""
    return {
        "authx-oauth:token": {"post": _token()},
        "authx-wellknown:jwks": {"get": _read("keys", "AuthxKeys", "application/jwk-set+json")},
        "authx-wellknown:authorization-server": {"get": _read("metadata", "AuthxServer")},
    }


def _token() -> Schema:
    def refused(text: str) -> Schema:
        return _answer(text, "AuthxOAuthError")

    form = {"application/x-www-form-urlencoded": {"schema": reference("AuthxTokenRequest")}}
    return {
        "operationId": "oauth_token",
        "description": "Get tokens for a code, a refresh token, another token or the client itself.",
        "tags": ["oauth"],
        "requestBody": {"content": form, "required": True},
        "security": [{CLIENT: []}, {}],
        "responses": {
            "200": _answer("The tokens.", "AuthxTokenAnswer"),
            "400": refused("The request is refused (RFC 6749 §5.2)."),
            "401": refused("The client has not proved who it is."),
            "503": {**refused(""), **_UNAVAILABLE},
        },
    }


def _read(what: str, schema: str, media_type: str = "application/json") -> Schema:
    return {
        "operationId": f"oauth_{what}",
        "description": f"Read the authorization server's {what}.",
        "tags": ["oauth"],
        "security": [{}],
        "responses": {
            "200": _answer("May be cached.", schema, media_type),
            "404": {"description": "`AUTHX_ISSUER` is no URL, or has another path."},
            "503": {**_answer("", "AuthxUnavailable"), **_UNAVAILABLE},
        },
    }


def _answer(text: str, schema: str, media_type: str = "application/json") -> Schema:
    return {"description": text, "content": {media_type: {"schema": reference(schema)}}}
