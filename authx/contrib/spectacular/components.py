"""What several routes share: named schemas, and the answers of those that refuse."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from drf_spectacular.plumbing import ComponentRegistry, ResolvedComponent
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse

from authx.core.reasons import EndReason

Schema = dict[str, Any]

_TEXT: Final[Schema] = {"type": "string"}


def reference(name: str) -> Schema:
    """Return a reference to one of the named schemas."""
    return {"$ref": f"#/components/schemas/{name}"}


#: What is wrong with a credential of a login: token or cookie.
REFUSED: Final = (
    "not_authenticated",
    "token_malformed",
    "token_expired",
    "token_not_for_us",
    "key_unknown",
    "session_ended",
    "refresh_malformed",
    "refresh_reused",
)

#: The codes of each kind of error; none where the site has words of its own.
ERRORS: Final[dict[str, tuple[str, ...]]] = {
    "AuthxError": (),
    "AuthxBadRequest": ("invalid_request", "parse_error"),
    "AuthxBadClientRequest": ("invalid_request", "parse_error", "unsupported_token_type"),
    "AuthxRefused": REFUSED,
    "AuthxRefusedOrTooOld": (*REFUSED, "insufficient_user_authentication"),
    "AuthxRefusedOrWrongPassword": (*REFUSED, "invalid_credentials"),
    "AuthxRefreshRefused": ("not_authenticated", "refresh_malformed", "session_ended", "refresh_reused"),
    "AuthxInvalidClient": ("invalid_client",),
    "AuthxForbidden": ("permission_denied",),
    "AuthxNotFound": ("not_found",),
    "AuthxConflict": ("refresh_conflict",),
    "AuthxTooLarge": ("content_too_large",),
    "AuthxUnsupported": ("unsupported_media_type",),
    "AuthxThrottled": ("throttled",),
    "AuthxUnavailable": ("store_unavailable",),
}


_OF_OAUTH: Final = frozenset({"AuthxBadClientRequest", "AuthxInvalidClient"})


def _error_schemas() -> dict[str, Schema]:
    """Return a schema for each kind of error, and one for the choice of its codes."""
    found: dict[str, Schema] = {}
    for name, codes in ERRORS.items():
        code: Schema = {**_TEXT, "description": "For programs."}
        if codes:
            code = reference(f"{name}Code")
            found[f"{name}Code"] = {**_TEXT, "enum": list(codes)}
        properties: Schema = {"detail": {**_TEXT, "description": "For people; it may change."}, "code": code}
        if not codes or "session_ended" in codes:
            properties["reason"] = reference("AuthxEndReason")
        if name in _OF_OAUTH:
            properties["error"] = {**_TEXT, "description": "The word of OAuth (RFC 6749 §5.2)."}
        found[name] = {"type": "object", "properties": properties, "required": ["code", "detail"]}
    return found


#: Choices have names of their own: drf-spectacular's hook for enums would look at the site's fields of the
#: same name, and rename those.
SCHEMAS: Final[dict[str, Schema]] = {
    "AuthxEndReason": {**_TEXT, "enum": [str(reason) for reason in EndReason]},
    "AuthxTransport": {**_TEXT, "enum": ["body", "cookie"]},
    "AuthxFieldErrors": {
        "type": "object",
        "description": "What is wrong with each field.",
        "additionalProperties": {"anyOf": [{"type": "array", "items": _TEXT}, {"type": "object"}]},
    },
    **_error_schemas(),
}


def register(registry: ComponentRegistry, schemas: Mapping[str, Schema] = SCHEMAS) -> None:
    """Add named schemas to those of the site."""
    for name, schema in schemas.items():
        found = ResolvedComponent(name=name, type=ResolvedComponent.SCHEMA, object=name, schema=schema)
        registry.register_on_missing(found)


def error(*names: str, description: str = "") -> OpenApiResponse:
    """Return an answer whose body has one of the named schemas."""
    schemas = [reference(name) for name in names]
    return OpenApiResponse(schemas[0] if len(schemas) == 1 else {"anyOf": schemas}, description=description)


def empty(description: str) -> OpenApiResponse:
    """Return an answer without a body."""
    return OpenApiResponse(None, description=description)


def header(name: str, description: str, *statuses: int) -> OpenApiParameter:
    """Return a header of the answers with these statuses."""
    return OpenApiParameter(
        name, str, OpenApiParameter.HEADER, description=description, response=list(statuses)
    )


UNSUPPORTED: Final = {415: error("AuthxUnsupported", description="Bodies are JSON or forms.")}
TOO_LARGE: Final = {413: error("AuthxTooLarge")}
#: Any route of ours may answer these.
ALWAYS: Final = {503: error("AuthxUnavailable", description="Nothing is known, and nothing has changed.")}

#: Errors beside those of each route, where a login lets in.
OF_SESSIONS: Final = {
    400: error("AuthxBadRequest", description="Two credentials, or none that can be read."),
    401: error("AuthxRefused", description="No login, or one that has ended."),
    403: error("AuthxForbidden", description="The CSRF token is missing, or the login has no session."),
    409: error("AuthxConflict", description="The cookie's token was spent; its successor is in use."),
}
#: Where the view reads the credential itself.
OF_DOORS: Final = {400: error("AuthxBadRequest", description="It cannot be read.")}
#: Where clients prove who they are.
OF_SERVICES: Final = {
    400: error("AuthxBadClientRequest", description="A parameter is missing, or there twice."),
    401: error("AuthxInvalidClient", description="Nobody's credentials."),
    **UNSUPPORTED,
}
