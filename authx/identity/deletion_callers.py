"""What of Django deletes a session outside a request, as in a consumer: a login, or a new key for it.

Django says so nowhere but on the stack; of an async caller, on that of the task that waits for the deletion.
"""

from __future__ import annotations

import asyncio
import inspect
import sys
from collections.abc import Collection, Iterator
from types import FrameType
from typing import Any, Final

from asgiref.sync import SyncToAsync
from django.contrib.auth import alogin, login
from django.contrib.sessions.backends.base import SessionBase

#: Those that flush the session of another user.
_LOGINS: Final = {inspect.unwrap(function).__code__ for function in (login, alogin)}
_NEW_KEY: Final = {"cycle_key", "acycle_key"}


def is_by_login(keys: Collection[str]) -> bool:
    """Return whether Django's ``login`` is deleting the sessions with these keys."""
    return any(frame.f_code in _LOGINS for frame in _callers(keys))


def new_key(keys: Collection[str]) -> str | None:
    """Return the key under which a session with one of these keys is stored now; None if none lives on."""
    for frame in _callers(keys):
        store = frame.f_locals.get("self") if frame.f_code.co_name in _NEW_KEY else None
        if isinstance(store, SessionBase) and store.session_key:
            return store.session_key
    return None


def _callers(keys: Collection[str]) -> Iterator[FrameType]:
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        yield frame
        frame = frame.f_back
    for waiting in _tasks():
        if any(_is_about(each, keys) for each in waiting):
            yield from waiting


def _tasks() -> Iterator[list[FrameType]]:
    """Yield the frames of each task in the event loop for which this thread works, if it does."""
    loop = getattr(SyncToAsync.threadlocal, "main_event_loop", None)
    for task in [] if loop is None else asyncio.all_tasks(loop):
        yield list(_frames(task.get_coro()))


def _frames(coroutine: Any) -> Iterator[FrameType]:
    while coroutine is not None:
        if (frame := getattr(coroutine, "cr_frame", None)) is not None:
            yield frame
        coroutine = getattr(coroutine, "cr_await", None)


def _is_about(frame: FrameType, keys: Collection[str]) -> bool:
    """Return whether a variable holds one of the keys, or a session that has it still."""
    found = (getattr(value, "session_key", value) for value in _sessions_and_keys(frame))
    return any(key in keys for key in found)


def _sessions_and_keys(frame: FrameType) -> list[Any]:
    return [value for value in frame.f_locals.values() if isinstance(value, str | SessionBase)]
