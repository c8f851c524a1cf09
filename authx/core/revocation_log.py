"""What the log of endings speaks of: one session, all that were opened before a mark, or a key.

An entry of the log is a name and what is told under it:

    <sid>         the reason that session ended
    @<subject>    "<number>:<reason>", a not-before mark: every session of that user that was opened before it
    *             the same, of everybody
    !<kid>        the signing key was withdrawn

A mark has a number, and a session its era, the number of the newest mark when it was opened: the two tell
what came first, and no clock does.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from authx.core.claims import AccessClaims
from authx.errors import KeyUnknown

EVERYBODY: Final = "*"
#: Characters of the longest name, that of a subject of 255.
LONGEST: Final = 256


def name_of_subject(subject: str) -> str:
    """Return the name of a user's marks; those of ``""`` are everybody's."""
    return f"@{subject}" if subject else EVERYBODY


def name_of_key(kid: str) -> str:
    """Return the name under which a key's withdrawal is told."""
    return f"!{kid}"


def is_mark(name: str) -> bool:
    """Return whether ``name`` is that of marks."""
    return name == EVERYBODY or name[:1] == "@"


def is_key(name: str) -> bool:
    """Return whether ``name`` is a key's."""
    return name[:1] == "!"


def mark(number: int, reason: str) -> str:
    """Return what is told of a mark."""
    return f"{number}:{reason}"


def read_mark(told: str) -> tuple[int, str]:
    """Return number and reason of a mark.

    Raises:
        ValueError: it is not one.
    """
    number, _, reason = told.partition(":")
    return int(number), reason


def merged(entries: Iterable[tuple[str, str]], into: dict[str, str] | None = None) -> dict[str, str]:
    """Return what a copy keeps of these entries, added to ``into`` if that is given.

    Raises:
        ValueError: what is told under the name of a mark is not one.
    """
    kept = {} if into is None else into
    for name, told in entries:
        if not is_mark(name) or _is_latest(told, kept.get(name)):
            kept[name] = told
    return kept


def _is_latest(told: str, before: str | None) -> bool:
    return read_mark(told)[0] >= (read_mark(before)[0] if before is not None else 0)


def asked_of(claims: AccessClaims) -> tuple[str, str, str, str]:
    """Return all names under which something may be told of a token."""
    return claims.sid, f"@{claims.sub}", EVERYBODY, f"!{claims.kid}"


def is_hit(claims: AccessClaims, told: Sequence[str | None]) -> bool:
    """Return whether anything that is told under ``asked_of`` speaks against a token.

    Raises:
        ValueError: it is nothing that we have written.
    """
    try:
        return end_reason(claims, told) is not None
    except KeyUnknown:
        return True


def end_reason(claims: AccessClaims, told: Sequence[str | None]) -> str | None:
    """Return why a token's session has ended, given what is told under ``asked_of``; None if it has not.

    Raises:
        KeyUnknown: its key was withdrawn.
        ValueError: it is nothing that we have written.
    """
    of_session, of_subject, of_everybody, of_key = told
    if of_key is not None:
        raise KeyUnknown("the token's key has been withdrawn")
    if of_session is not None:
        return of_session
    for found in (of_everybody, of_subject):
        if found is not None:
            number, reason = read_mark(found)
            if number > (claims.era or 0):
                return reason
    return None
