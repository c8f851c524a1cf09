"""What is open and watched over, found by the entries of the log that concern it, and by when it expires."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TypeVar

from authx.core.claims import AccessClaims
from authx.core.revocation_log import is_key, is_mark, read_mark
from authx.errors import AuthxError, KeyUnknown, SessionEnded

Key = TypeVar("Key", str, int)


class Watch:
    """One socket or stream under watch."""

    __slots__ = ("_end", "claims", "error", "expires_at", "names")

    def __init__(self, claims: AccessClaims, end: Callable[[AuthxError], None]) -> None:
        """Call ``end`` once, with the reason."""
        self.claims, self._end = claims, end
        #: The names of the entries by which it is found.
        self.names: tuple[str, ...] = ()
        #: The second of the calendar at which its token is no longer accepted; None: it does not matter.
        self.expires_at: int | None = None
        #: Why it has to close; None while it may stay open.
        self.error: AuthxError | None = None

    def end(self, error: AuthxError) -> None:
        """Have it closed, if it is not."""
        if self.error is None:
            self.error = error
            self._end(error)

    def let_go(self) -> None:
        """Close nothing any more: it is closed, and must not be kept by what it would close."""
        self._end = _close_nothing


class Watches:
    """All of them; one that is taken out leaves nothing behind."""

    def __init__(self) -> None:
        self._all: set[Watch] = set()
        self._by_name: dict[str, set[Watch]] = {}
        self._by_expiry: dict[int, set[Watch]] = {}

    def __len__(self) -> int:
        return len(self._all)

    def __iter__(self) -> Iterator[Watch]:
        return iter(list(self._all))

    def __contains__(self, watch: object) -> bool:
        return watch in self._all

    @property
    def is_clean(self) -> bool:
        """Return whether nothing at all is kept."""
        return not (self._all or self._by_name or self._by_expiry)

    def count(self, name: str) -> int:
        """Return how many have this name."""
        return len(self._by_name.get(name, ()))

    def put(self, watch: Watch, names: tuple[str, ...], expires_at: int | None) -> None:
        """Keep it under these names and this second alone."""
        self.take_out(watch)
        watch.names, watch.expires_at = names, expires_at
        self._all.add(watch)
        for name in names:
            self._by_name.setdefault(name, set()).add(watch)
        if expires_at is not None:
            self._by_expiry.setdefault(expires_at, set()).add(watch)

    def take_out(self, watch: Watch) -> None:
        """Keep it no longer, if it is kept."""
        if watch not in self._all:
            return
        self._all.remove(watch)
        for name in watch.names:
            _remove(self._by_name, name, watch)
        if watch.expires_at is not None:
            _remove(self._by_expiry, watch.expires_at, watch)

    def expired(self, now: float) -> list[Watch]:
        """Return those whose second has come."""
        seconds = [second for second in self._by_expiry if second <= now]
        return [watch for second in seconds for watch in self._by_expiry[second]]

    def ended_by(self, entries: Mapping[str, str]) -> list[tuple[Watch, AuthxError]]:
        """Return those that entries of the log end, and why; whichever is less is gone through."""
        shorter, other = sorted((entries, self._by_name), key=len)
        names = [name for name in shorter if name in other]
        found = ((watch, name) for name in names for watch in self._by_name[name])
        judged = [(watch, _error(watch.claims, name, entries[name])) for watch, name in found]
        return [(watch, error) for watch, error in judged if error is not None]


def _close_nothing(error: AuthxError) -> None:
    """Do nothing."""


def _error(claims: AccessClaims, name: str, value: str) -> AuthxError | None:
    """Return what an entry means for a token that has its name; None if nothing."""
    if name == claims.sid:
        return SessionEnded(value)
    if is_key(name):
        return KeyUnknown("the token's key has been withdrawn")
    if is_mark(name) and (latest := read_mark(value)).hits(claims):
        return SessionEnded(latest.reason)
    return None


def _remove(index: dict[Key, set[Watch]], key: Key, watch: Watch) -> None:
    """Remove it, and the whole entry if it was the last one there."""
    found = index[key]
    found.discard(watch)
    if not found:
        del index[key]
