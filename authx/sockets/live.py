"""The live notice as a stream: an open page is told when its session ends, without a thread or a connection.

It stands beside Django: a view would hold a thread, and perhaps a connection, for as long as a page is open.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from django.core.exceptions import SuspiciousOperation
from django.http import HttpRequest
from django.views.decorators.debug import sensitive_variables

from authx.conf import conf
from authx.core.ended import Ended
from authx.errors import AuthxError, SessionEnded, StoreUnavailable, TokenExpired, TooManySockets
from authx.http.cookies import session_cookies
from authx.http.live import STREAMS, USER, is_live_address
from authx.sockets.asking import entries_of
from authx.sockets.handshake import Scope, as_request
from authx.sockets.pool import run_in_pool
from authx.sockets.refusal import Receive, Send
from authx.sockets.watches import Watch
from authx.sockets.watching import watcher_here

if TYPE_CHECKING:
    from authx.sessions.open_pages import Answer

App = Callable[[Any, Any, Any], Awaitable[Any]]

#: Seconds between two comments: proxies close what is silent for longer.
COMMENT_SECONDS: Final = 25.0
#: Milliseconds after which a browser comes back, at least and at most: not all of them at once.
RETRY_MILLISECONDS: Final = (1000, 8000)
_HEADERS: Final = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"private, no-store"),
    (b"vary", b"Accept, Cookie"),
    (b"x-accel-buffering", b"no"),
    (b"x-content-type-options", b"nosniff"),
]


def live_notice(app: App) -> LiveNotice:
    """Return ``app``, Django's, with a stream at the address of ``live/`` for who accepts one.

    Where there can be none, the request goes to the view at that address, which answers once.
    """
    return LiveNotice(app)


class LiveNotice:
    """What ``live_notice`` returns. Scopes of other types than HTTP pass through untouched."""

    def __init__(self, app: App) -> None:
        #: What stands behind it: the system checks look at it.
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> Any:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        scope = {**scope, STREAMS: True}
        request = _asking_for_stream(scope)
        if request is None:
            return await self.app(scope, receive, send)
        stream = _Stream(request)
        try:
            is_live = _is_live(await stream.open())
            if is_live:
                await stream.run(receive, send)
        finally:
            stream.close()
        if not is_live:
            return await self.app(scope, receive, send)


class _Stream:
    """One stream, watched over as a socket is."""

    def __init__(self, request: HttpRequest) -> None:
        self._request = request
        self._watcher = watcher_here(None if conf.REVOCATION_STORE == "remote" else entries_of)
        self._watch: Watch | None = None
        self._over: asyncio.Future[AuthxError] = asyncio.get_running_loop().create_future()

    async def open(self) -> Answer | None:
        """Watch over the session if it is live; None where that is not known, or it has streams enough."""
        from authx.sessions.open_pages import claims_until_limit

        try:
            found = await self._ask()
            if isinstance(found, Ended):
                return found
            self.close()
            self._over = asyncio.get_running_loop().create_future()
            self._watch = self._watcher.watch(claims_until_limit(found), self._end)
            return await self._ask()  # once more: of what ended in between nothing has been heard
        except (StoreUnavailable, TooManySockets):
            return None

    def close(self) -> None:
        """Watch over it no longer."""
        if self._watch is not None:
            self._watcher.forget(self._watch)

    async def run(self, receive: Receive, send: Send) -> None:
        """Send comments until the session has ended, or the page is gone."""
        await send({"type": "http.response.start", "status": 200, "headers": list(_HEADERS)})
        await _write(send, f"retry: {random.randint(*RETRY_MILLISECONDS)}\n\n")
        leaving = asyncio.ensure_future(_left(receive))
        try:
            while not leaving.done():
                waited: set[asyncio.Future[Any]] = {leaving, self._over}
                await asyncio.wait(waited, timeout=COMMENT_SECONDS, return_when=asyncio.FIRST_COMPLETED)
                if self._over.done() and (word := await self._word()) is not None:
                    await _write(send, word, last=True)
                    return
                if not self._over.done() and not leaving.done():
                    await _write(send, ":\n\n")
        finally:
            leaving.cancel()

    async def _word(self) -> str | None:
        """Return the last thing to say, now that it is over; None where it goes on after all."""
        error = self._over.result()
        if isinstance(error, SessionEnded):
            return _ended(error.reason)
        if not isinstance(error, TokenExpired):
            return ""  # it cannot be known any more: the browser comes back
        found = await self.open()  # its limit, which uses of the session may have moved
        if found is None:
            return ""
        return _ended(found.reason) if isinstance(found, Ended) else None

    async def _ask(self) -> Answer:
        return await run_in_pool(partial(_ask, self._request))

    def _end(self, error: AuthxError) -> None:
        if not self._over.done():
            self._over.set_result(error)


def _asking_for_stream(scope: Scope) -> HttpRequest | None:
    """Return the request that asks for the stream; None where it asks for something else, or is no text."""
    accepted = b",".join(value for name, value in scope["headers"] if name.lower() == b"accept")
    if scope["method"] != "GET" or b"text/event-stream" not in accepted.lower():
        return None
    try:
        request = as_request(scope)
        is_asking = is_live_address(request.path_info) and request.GET is not None
    except (SuspiciousOperation, UnicodeError):  # Django answers 400
        return None
    return request if is_asking else None


@sensitive_variables()
def _ask(request: HttpRequest) -> Answer:
    from authx.sessions.open_pages import ask

    access_token, refresh_token = session_cookies(request) or (None, None)
    return ask(access_token, refresh_token, request.GET.get(USER, ""))


def _is_live(found: Answer | None) -> bool:
    return found is not None and not isinstance(found, Ended)


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _write(send: Send, text: str, *, last: bool = False) -> None:
    with suppress(OSError):  # the page is gone
        await send({"type": "http.response.body", "body": text.encode(), "more_body": not last})


def _ended(reason: str) -> str:
    return f"event: ended\ndata: {reason or SessionEnded.code}\n\n"  # without data there is no event
