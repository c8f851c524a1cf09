"""Scopes: lists of scope-tokens, which only ever become shorter (RFC 6749 §3.3)."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from typing import Final

from authx.errors import OAuthError

#: Asks other servers for a refresh token (OpenID Connect Core §11); here a client's grant types decide.
OFFLINE_ACCESS: Final = "offline_access"

_TOKEN: Final = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")
_SCOPE: Final = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+(?: [\x21\x23-\x5b\x5d-\x7e]+)*")
#: A scope-token that may be repeated in a description, wherever that is shown.
_PLAIN: Final = re.compile(r"[A-Za-z0-9._:/-]{1,64}")


def is_scope_token(value: object) -> bool:
    """Return whether ``value`` may be the name of one scope."""
    return isinstance(value, str) and _TOKEN.fullmatch(value) is not None


def is_scope(value: object) -> bool:
    """Return whether ``value`` is text of one or more scope-tokens with single spaces between them."""
    return isinstance(value, str) and _SCOPE.fullmatch(value) is not None


def parse_scope(text: str) -> tuple[str, ...]:
    """Return the scope-tokens of ``text``, each once, in the order in which they are first named.

    More spaces than one are read as one, and those around the list as none: clients paste lists together.
    No other character separates.

    Raises:
        OAuthError: ``invalid_scope``: there is no scope-token, or a character that none has.
    """
    words = tuple(dict.fromkeys(filter(None, text.split(" "))))
    if not words or not all(map(is_scope_token, words)):
        raise OAuthError("invalid_scope", "scope is not a list of scope-tokens with spaces between them")
    return words


def join_scope(scopes: Iterable[str]) -> str:
    """Return the scopes as one text, as requests and tokens have it; empty where there is none."""
    return " ".join(scopes)


def intersection(scopes: Iterable[str], others: Collection[str]) -> tuple[str, ...]:
    """Return those of ``scopes`` that are among ``others``, each once and in their order."""
    return tuple(scope for scope in dict.fromkeys(scopes) if scope in others)


def narrow(requested: str | None, allowed: Collection[str]) -> tuple[str, ...]:
    """Return the scopes that a request gets of the ``allowed`` ones: what it names, or all if it names none.

    Empty text is no request (RFC 6749 §3.1).

    Raises:
        OAuthError: ``invalid_scope``: one that is not allowed, or ``parse_scope`` refuses the text.
    """
    if not requested:
        return tuple(dict.fromkeys(allowed))
    scopes = parse_scope(requested)
    for scope in scopes:
        if scope not in allowed:
            name = scope if _PLAIN.fullmatch(scope) else "that it asks for"
            raise OAuthError("invalid_scope", f"the scope {name} is not one that this client may have here")
    return scopes
