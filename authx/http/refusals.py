"""What a client is sent that was refused, by the API and at a socket's handshake: body and challenge."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final

from django.utils.translation import gettext_lazy as _

from authx.http.words import device_type

#: The message of each error code; never the text of an exception (V16.5.1).
DETAILS: Final[dict[str, Any]] = {
    "invalid_credentials": _("Unable to log in with these credentials."),
    "not_authenticated": _("Authentication credentials were not provided."),
    "token_malformed": _("Invalid token."),
    "token_expired": _("The access token has expired."),
    "token_not_for_us": _("The access token is meant for somebody else."),
    "key_unknown": _("The access token is signed with an unknown key."),
    "session_ended": _("The session has ended."),
    "refresh_malformed": _("Invalid refresh token."),
    "refresh_conflict": _("The refresh token was spent and its successor is in use."),
    "refresh_reused": _("The refresh token was used before; the session has been ended."),
    "proof_invalid": _("Invalid login proof."),
    "session_limit": _("This account is signed in on as many devices as allowed."),
    "insufficient_user_authentication": _("A more recent login is required."),
    "invalid_request": _("The request contradicts itself."),
    "insufficient_scope": _("The access token lacks a scope that this needs."),
    "origin_not_allowed": _("Pages of this origin may not use this credential here."),
    "too_many_sockets": _("This session has as many connections open as it may have."),
    "oauth_refused": _("A service that this needs may not be called for you."),
    "store_unavailable": _("The session store is unavailable; nothing has changed."),
}

#: The message where a session was ended not for a copy that was noticed, but for answers that got lost.
ANSWERS_LOST: Final[Any] = _("The session has been ended: answers to its refreshes kept getting lost.")

#: The message where it is known what kind of device signed in instead.
_REPLACED: Final[Any] = _("The session has ended. A newer login took its place: %(device)s.")

#: The message of an error code of the site's own.
OTHER_DETAIL: Final[Any] = _("This account needs another way to sign in.")

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
    """Return the JSON body of a refusal, in the language that is active now.

    What it says is never the text of an exception (V16.5.1).
    """
    detail = ANSWERS_LOST if answers_lost else DETAILS.get(code, OTHER_DETAIL)
    if replaced_by:
        detail = _REPLACED % {"device": device_type(replaced_by)}
    body = {"detail": str(detail), "code": code}
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
