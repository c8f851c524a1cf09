"""Whether a Django session is deleted by authx itself, which ends no device session by it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_is_ours: ContextVar[bool] = ContextVar("authx_deletes_django_session", default=False)


@contextmanager
def ending_nothing() -> Iterator[None]:
    """Delete Django sessions, in the block, without ending the device sessions bound to them."""
    token = _is_ours.set(True)
    try:
        yield
    finally:
        _is_ours.reset(token)


def ends_nothing() -> bool:
    """Return whether such a block is running in this thread or task."""
    return _is_ours.get()
