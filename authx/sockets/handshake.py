"""A handshake's ASGI scope: read as a request of Django's, and handed to the app without its credentials."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from io import BytesIO
from typing import Any, Final
from urllib.parse import unquote_to_bytes

from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest

from authx.conf import conf
from authx.http.renewal import names_bearer

Scope = MutableMapping[str, Any]

#: The subprotocol that is offered beside a credential: the one that can be selected, and so sent back.
MARKER: Final = "authx"


def as_request(scope: Mapping[str, Any]) -> HttpRequest:
    """Return the handshake as a request, for what reads cookies, hosts and origins.

    Without what is not read, for Django fails at some of it: the type of a content that is not there, and the
    query string of a socket, which may be octets that are no text.
    """
    is_secure = scope.get("scheme") in {"wss", "https"}
    defaults: dict[str, Any] = {"path": "/", "query_string": b""}
    headers = [(name, value) for name, value in scope.get("headers", ()) if name.lower() != b"content-type"]
    plain: dict[str, Any] = {"type": "http", "method": "GET", "scheme": "https" if is_secure else "http"}
    if scope["type"] == "websocket":
        plain["query_string"] = b""
    return ASGIRequest({**defaults, **scope, "headers": headers, **plain}, BytesIO())


def header(scope: Mapping[str, Any], name: bytes) -> str:
    """Return a header by its name in small letters, two joined as Django does; ``""`` if there is none."""
    return ",".join(
        value.decode("latin-1") for found, value in scope.get("headers", ()) if found.lower() == name
    )


def offered(scope: Mapping[str, Any], kind: str) -> list[str]:
    """Return what was offered in subprotocols ``authx.<kind>.<...>``."""
    start = f"{MARKER}.{kind}."
    return [name.removeprefix(start) for name in subprotocols(scope) if name.startswith(start)]


def subprotocols(scope: Mapping[str, Any]) -> list[str]:
    """Return the subprotocols that the client offered."""
    return list(scope.get("subprotocols") or ())


def without_credentials(scope: Scope) -> Scope:
    """Return the scope for the app: a token that is not there can be neither echoed nor logged."""
    drops_bearer = names_bearer(header(scope, b"authorization"))
    kept = [(name, _kept(name.lower(), value, drops_bearer)) for name, value in scope.get("headers", ())]
    return {
        **scope,
        "headers": [(name, value) for name, value in kept if value is not None],
        "subprotocols": [name for name in subprotocols(scope) if not _is_ours(name)],
    }


def _kept(name: bytes, value: bytes, drops_bearer: bool) -> bytes | None:
    """Return what the app may see of a header; None if that is nothing."""
    if name == b"authorization" and drops_bearer:
        return None
    if name == b"cookie":
        return b";".join(pair for pair in value.split(b";") if not _is_our_cookie(pair)).strip() or None
    if name == b"sec-websocket-protocol":
        names = (part.strip() for part in value.split(b","))
        return (
            b", ".join(part for part in names if not _is_ours(unquote_to_bytes(part).decode("latin-1")))
            or None
        )
    return value


def _is_ours(subprotocol: str) -> bool:
    return subprotocol == MARKER or subprotocol.startswith(f"{MARKER}.")


def _is_our_cookie(pair: bytes) -> bool:
    name = pair.partition(b"=")[0].strip().decode("latin-1")
    return name in {conf.ACCESS_COOKIE, conf.REFRESH_COOKIE, conf.DEVICE_COOKIE}
