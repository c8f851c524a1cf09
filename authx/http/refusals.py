"""What a client is sent that was refused, by the API and at a socket's handshake: body and challenge."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

#: The message of each error code; never the text of an exception (V16.5.1).
DETAILS = {
    "invalid_credentials": "Unable to log in with these credentials.",
    "not_authenticated": "Authentication credentials were not provided.",
    "token_malformed": "Invalid token.",
    "token_expired": "The access token has expired.",
    "token_not_for_us": "The access token is meant for somebody else.",
    "key_unknown": "The access token is signed with an unknown key.",
    "session_ended": "The session has ended.",
    "refresh_malformed": "Invalid refresh token.",
    "refresh_conflict": "The refresh token was spent and its successor is in use.",
    "refresh_reused": "The refresh token was used before; the session has been ended.",
    "proof_invalid": "Invalid login proof.",
    "session_limit": "This account is signed in on as many devices as allowed.",
    "insufficient_user_authentication": "A more recent login is required.",
    "invalid_request": "The request contradicts itself.",
    "insufficient_scope": "The access token lacks a scope that this needs.",
    "origin_not_allowed": "Pages of this origin may not use this credential here.",
    "too_many_sockets": "This session has as many connections open as it may have.",
    "oauth_refused": "A service that this needs may not be called for you.",
    "store_unavailable": "The session store is unavailable; nothing has changed.",
}

#: The message where a session was ended not for a copy that was noticed, but for answers that got lost.
ANSWERS_LOST = "The session has been ended: answers to its refreshes kept getting lost."

#: The message of an error code of the site's own.
OTHER_DETAIL = "This account needs another way to sign in."

#: The status of each code that is not a 401.
STATUSES: Final = {
    "choice_invalid": 400,
    "device_invalid": 400,
    "invalid_request": 400,
    "insufficient_scope": 403,
    "oauth_refused": 403,
    "origin_not_allowed": 403,
    "refresh_conflict": 409,
    "session_limit": 409,
    "too_many_sockets": 429,
    "store_unavailable": 503,
}


def status_of(code: str) -> int:
    """Return the HTTP status of an answer with this code."""
    return STATUSES.get(code, 401)


def body_of(
    code: str, reason: str = "", replaced_by: str = "", *, answers_lost: bool = False
) -> dict[str, str]:
    """Return the JSON body of a refusal; what it says is never the text of an exception (V16.5.1)."""
    detail = ANSWERS_LOST if answers_lost else DETAILS.get(code, OTHER_DETAIL)
    if replaced_by:
        detail = f"{detail} A newer login took its place: {replaced_by}."
    body = {"detail": detail, "code": code}
    return body | {"reason": str(reason)} if reason else body


def challenge_for(code: str, reason: str = "") -> str:
    """Return ``WWW-Authenticate`` for a code (RFC 6750 §3); its parts are our own and need no escaping."""
    if code == "not_authenticated":
        return 'Bearer realm="api"'
    described = f"{code} {reason}".strip()
    return f'Bearer realm="api", error="invalid_token", error_description="{described}"'


def scope_challenge(scopes: Collection[str]) -> str:
    """Return ``WWW-Authenticate`` where a token lacks one of ``scopes`` (RFC 6750 §3.1).

    Scope-tokens need no escaping. Without any, no scope would do.
    """
    needed = f', scope="{" ".join(scopes)}"' if scopes else ""
    return f'Bearer realm="api", error="insufficient_scope"{needed}'
