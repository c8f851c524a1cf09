"""The form of each claim: read from JSON, or refused by name and never by value (RFC 9068 §4).

Each reader raises TokenMalformed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

from authx.core.scopes import is_scope
from authx.errors import TokenMalformed

MAX_IDENTIFIER: Final = 255  # characters
#: At least one of them; no control characters, no lone surrogates.
IDENTIFIER: Final = re.compile(rf"[^\x00-\x1f\x7f-\x9f\ud800-\udfff]{{1,{MAX_IDENTIFIER}}}")

#: How many actors may stand in a token, one around the other (RFC 8693 §4.1).
MAX_ACTORS: Final = 4


def chain_of(act: Any) -> list[Any]:
    """Return the actors, from the outermost in; the last may be of a wrong form."""
    chain = []
    while act is not None:
        chain.append(act)
        act = act.get("act") if isinstance(act, Mapping) else None
    return chain


def identifier(name: str, value: Any) -> str:
    """Read 1 to 255 characters without controls."""
    if isinstance(value, str):
        is_plain = 0 < len(value) <= MAX_IDENTIFIER and value.isascii() and value.isprintable()
        if is_plain or IDENTIFIER.fullmatch(value):  # the first alone, mostly: it costs a fifth
            return value
    raise TokenMalformed(f"the claim {name} is not an identifier")


def identifiers(name: str, value: Any) -> tuple[str, ...]:
    """Read a list of identifiers, which may be empty."""
    if not isinstance(value, list):
        raise TokenMalformed(f"the claim {name} is not a list")
    return tuple(identifier(name, item) for item in value)


def audience(name: str, value: Any) -> tuple[str, ...]:
    """Read one recipient or a list of them (RFC 7519 §4.1.3)."""
    recipients = identifiers(name, [value] if isinstance(value, str) else value)
    if not recipients:
        raise TokenMalformed(f"the claim {name} is empty")
    return recipients


def instant(name: str, value: Any) -> int:
    """Read an integer that every JSON parser reads alike; a bool is not one (RFC 7493 §2.2)."""
    if type(value) is int and 0 <= value < 2**53:
        return value
    raise TokenMalformed(f"the claim {name} is not a whole number below 2**53")


def true(name: str, value: Any) -> bool:
    """Read a claim that is there only where it is true."""
    if value is True:
        return True
    raise TokenMalformed(f"the claim {name} is not true")


def scope(name: str, value: Any) -> str:
    """Read scope-tokens with single spaces between them (RFC 9068 §2.2.3)."""
    if isinstance(value, str) and is_scope(value):
        return value
    raise TokenMalformed(f"the claim {name} is not a list of scope-tokens")


def actors(name: str, value: Any) -> Mapping[str, Any]:
    """Read who acts for the user: objects with a ``sub``, one in the other."""
    chain = chain_of({} if value is None else value)
    if len(chain) > MAX_ACTORS:
        raise TokenMalformed(f"the claim {name} names more than {MAX_ACTORS} actors")
    for actor in chain:
        if not isinstance(actor, Mapping) or ("act" in actor and actor["act"] is None):
            raise TokenMalformed(f"the claim {name} is not an object")
        identifier(name, actor.get("sub"))
    return MappingProxyType(dict(value))


#: Every claim that authx sets, and its form.
FORMS: Final[dict[str, Callable[[str, Any], Any]]] = {
    "iss": identifier,
    "sub": identifier,
    "aud": audience,
    "exp": instant,
    "iat": instant,
    "nbf": instant,
    "jti": identifier,
    "client_id": identifier,
    "sid": identifier,
    "gen": instant,
    "auth_time": instant,
    "amr": identifiers,
    "did": identifier,
    "dtp": identifier,
    "era": instant,
    "opaque": true,
    "db": identifier,
    "gty": identifier,
    "scope": scope,
    "act": actors,
}


def read(payload: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Read every claim that authx sets; return them, and all others as they are.

    A ``scope`` that is a list, or nothing that counts, is the site's.
    """
    known, others = {}, {}
    for name, value in payload.items():
        form = FORMS.get(name)
        if form is None or (form is scope and not is_scope(value)):
            others[name] = value
        else:
            known[name] = form(name, value)
    return known, others
