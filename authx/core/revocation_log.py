"""The entries of the revocation log: each ends a session, ends all opened before a mark, or withdraws a key.

An entry is a name and a value:

    <sid>         the reason that session ended
    @<subject>    "<number>:<reason>", a not-before mark: ends every session of that user opened before it,
                  or "<number>:<reason>:<sid>": all of them but that one
    *             "<number>:<reason>", the same for all users
    !<kid>        the signing key was withdrawn

A mark has a number, and a token its ``era``, the number of the newest mark when its session was opened:
comparing the two shows which came first, and needs no clock.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from authx.core.claims import AccessClaims
from authx.errors import KeyUnknown

#: The subject of a mark on all users, and the name of such marks.
EVERYBODY: Final = ""
NAME_OF_EVERYBODY: Final = "*"
#: Characters of the longest name: ``@`` and a subject of 255.
MAX_NAME_LENGTH: Final = 256


def name_of_subject(subject: str) -> str:
    """Return the name of the marks on the sessions of ``subject``, which may be EVERYBODY."""
    return NAME_OF_EVERYBODY if subject == EVERYBODY else f"@{subject}"


def name_of_key(kid: str) -> str:
    """Return the name of the entry for a key's withdrawal."""
    return f"!{kid}"


def is_mark(name: str) -> bool:
    """Return whether ``name`` is the name of marks."""
    return name == NAME_OF_EVERYBODY or name[:1] == "@"


def is_key(name: str) -> bool:
    """Return whether ``name`` is the name of a key's withdrawal."""
    return name[:1] == "!"


class Mark(NamedTuple):
    """What a mark's value says."""

    number: int
    reason: str
    #: The ``sid`` of the one session that it does not end; ``""`` where it ends them all.
    kept: str = ""

    def hits(self, claims: AccessClaims) -> bool:
        """Return whether it ends the session of a token of that user."""
        return self.number > (claims.era or 0) and self.kept != claims.sid


def mark(number: int, reason: str, kept: str = "") -> str:
    """Return the value of a mark."""
    return f"{number}:{reason}:{kept}" if kept else f"{number}:{reason}"


def read_mark(value: str) -> Mark:
    """Return what a mark's value says.

    Raises:
        ValueError: it is not the value of a mark.
    """
    number, _, rest = value.partition(":")
    reason, _, kept = rest.partition(":")
    return Mark(int(number), reason, kept)


def merge_entries(entries: Iterable[tuple[str, str]], into: dict[str, str] | None = None) -> dict[str, str]:
    """Return what a copy keeps of these entries, added to ``into`` if that is given.

    Raises:
        ValueError: an entry has the name of a mark and not the value of one.
    """
    copy = {} if into is None else into
    for name, value in entries:
        if not is_mark(name) or _is_latest(value, copy.get(name)):
            copy[name] = value
    return copy


def _is_latest(value: str, before: str | None) -> bool:
    return read_mark(value).number >= (read_mark(before).number if before is not None else 0)


def names_for_token(claims: AccessClaims) -> tuple[str, str, str, str]:
    """Return the names of all entries that can concern a token."""
    return claims.sid, f"@{claims.sub}", NAME_OF_EVERYBODY, f"!{claims.kid}"


def is_hit(claims: AccessClaims, values: Sequence[str | None]) -> bool:
    """Return whether the values under ``names_for_token`` end a token's session or withdraw its key.

    Raises:
        ValueError: a value is not one that we have written.
    """
    try:
        return end_reason(claims, values) is not None
    except KeyUnknown:
        return True


def end_reason(claims: AccessClaims, values: Sequence[str | None]) -> str | None:
    """Return why a token's session has ended, given the values under ``names_for_token``; None if it has not.

    Raises:
        KeyUnknown: its key was withdrawn.
        ValueError: a value is not one that we have written.
    """
    of_session, of_subject, of_everybody, of_key = values
    if of_key is not None:
        raise KeyUnknown("the token's key has been withdrawn")
    if of_session is not None:
        return of_session
    for found in (of_everybody, of_subject):
        if found is not None and (latest := read_mark(found)).hits(claims):
            return latest.reason
    return None
