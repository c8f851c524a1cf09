"""The keys of a Django login, shown in a Django session that holds none where our cookies say who it is.

So it is after a login through the API, and where the Django session has expired first. Apps look there for
who is signed in, as impersonations do. The keys are shown to the view and not stored; should the view store
them itself, they are bound to the device session.
"""

from __future__ import annotations

from typing import Any

from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY


class Shown(str):
    """A value that Django's ``login`` has not written; a copy in a store is plain text."""

    __slots__ = ()

    def __reduce__(self) -> Any:
        return str, (str(self),)


def show(store: Any, *, key: str, backend: str, auth_hash: str, **others: str) -> None:
    """Show a login of the user with this key, unless the store holds one; it stays unmodified.

    ``others`` are shown too where they are missing.
    """
    if SESSION_KEY not in store:
        show_values(
            store,
            **others,
            **{SESSION_KEY: key, BACKEND_SESSION_KEY: backend, HASH_SESSION_KEY: auth_hash},
        )


def show_values(store: Any, **values: str) -> None:
    """Show each of the values that is missing; the store stays unmodified."""
    was_modified = store.modified
    for name, value in values.items():
        store.setdefault(name, Shown(value))
    store.modified = was_modified


def hide(store: Any) -> None:
    """Remove what is only shown; whether the store is modified does not change."""
    was_modified = store.modified
    for name in [name for name, value in store.items() if isinstance(value, Shown)]:
        del store[name]
    store.modified = was_modified


def written(session: Any, name: str) -> Any:
    """Return a value of the session; None where it is only shown, or missing."""
    value = session.get(name)
    return None if isinstance(value, Shown) else value


def holds_more(session: Any) -> bool:
    """Return whether there is anything that is not only shown."""
    return any(not isinstance(value, Shown) for value in session.values())
