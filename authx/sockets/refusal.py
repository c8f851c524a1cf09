"""A handshake refused, before the socket is open: the API's answer where the server can send one."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any, Final

from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from authx.errors import AuthxError, CredentialMissing, ScopeMissing, SessionEnded
from authx.http.language import negotiated
from authx.http.outage import RETRY_AFTER_SECONDS
from authx.http.refusals import body_of, challenge_for, scope_challenge, status_of
from authx.sockets.handshake import header

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

_LANGUAGE: Final = "HTTP_ACCEPT_LANGUAGE"
#: The extension of servers that send an answer; others send a bare 403.
_EXTENSION: Final = "websocket.http.response"
_IN_QUERY: Final = _(
    "Authentication credentials were not provided. A token in the query string is never read: send it as a"
    " header or a subprotocol."
)


@dataclass(frozen=True, slots=True)
class Refusal:
    """Status, body and headers of an HTTP answer."""

    status: int
    #: In the language that is active when it is called.
    body: Callable[[], Mapping[str, str]]
    headers: tuple[tuple[str, str], ...] = ()


def refusal_of(error: AuthxError) -> Refusal:
    """Return what a client is told whose credential comes to this."""
    reason, replaced_by, answers_lost = "", "", False
    if isinstance(error, SessionEnded):
        reason, replaced_by, answers_lost = error.reason, error.replaced_by, error.answers_lost
    status = status_of(error.code)
    headers: tuple[tuple[str, str], ...] = ()
    if status == 401:
        headers = (("WWW-Authenticate", challenge_for(error.code, reason)),)
    elif isinstance(error, ScopeMissing):
        headers = (("WWW-Authenticate", scope_challenge(error.scopes)),)
    elif status in {429, 503}:
        headers = (("Retry-After", str(RETRY_AFTER_SECONDS)),)

    def body() -> dict[str, str]:
        found = body_of(error.code, reason, replaced_by, answers_lost=answers_lost)
        is_in_query = isinstance(error, CredentialMissing) and error.in_query
        return found | {"detail": str(_IN_QUERY)} if is_in_query else found

    return Refusal(status, body, headers)


async def send_refusal(scope: Mapping[str, Any], send: Send, refusal: Refusal) -> None:
    """Send it in the language that the handshake asks for; the server has said that somebody connects."""
    if _EXTENSION not in (scope.get("extensions") or {}):
        await send({"type": "websocket.close", "code": 1008})
        return
    with negotiated(_asking_for_language(scope)) as language:
        content = json.dumps(refusal.body()).encode()
    headers = [
        ("Content-Type", "application/json"),
        ("Content-Length", str(len(content))),
        ("Cache-Control", "no-store"),
        *((("Content-Language", language),) if language else ()),
        *refusal.headers,
    ]
    raw = [(name.lower().encode(), value.encode()) for name, value in headers]
    await send({"type": f"{_EXTENSION}.start", "status": refusal.status, "headers": raw})
    await send({"type": f"{_EXTENSION}.body", "body": content, "more_body": False})


def _asking_for_language(scope: Mapping[str, Any]) -> HttpRequest:
    """Return a request with no more than that header of a handshake."""
    request = HttpRequest()
    request.META[_LANGUAGE] = header(scope, b"accept-language")
    return request
