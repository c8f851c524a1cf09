"""A WebSocket without a server: the test says what a server would, and sees what it would be sent."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Callable
from functools import wraps
from threading import enumerate as threads
from traceback import format_stack
from typing import Any

from asgiref.sync import async_to_sync, sync_to_async
from django.db import connections

from authx.gate.revocation import following, sources
from authx.gate.revocation.following import Follower
from authx.gate.revocation.local_copy import LocalCopy
from authx.sockets import authenticated, pool
from authx.sockets.watching import Watcher, _watchers

HOST = "testserver"
#: That any of these tests may take.
SECONDS = 20
ORIGIN = f"https://{HOST}"


def in_loop_for(seconds: float) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Run an async test in an event loop of its own; its threads have gone when it is over."""

    def decorate(test: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(test)
        def run(*arguments: Any, **named: Any) -> None:
            try:
                asyncio.run(asyncio.wait_for(test(*arguments, **named), seconds))
            finally:
                let_go()

        return run

    return decorate


in_loop = in_loop_for(SECONDS)


def let_go() -> None:
    """End the threads that ask and follow, and with them their connections to the database."""
    pool.close_pool()
    following._drop()
    sources._drop()
    for thread in threads():
        if thread.name == "authx":
            thread.join(20)
            where = "".join(format_stack(sys._current_frames().get(thread.ident or 0)))
            assert not thread.is_alive(), f"a thread goes on:\n{where}"


class Inline:
    """In place of the threads that ask: this one, whose transaction nobody else would see."""

    async def run(self, function: Callable[[], Any]) -> Any:
        return await sync_to_async(function)()

    def close(self) -> None:
        """Do nothing: there is no thread."""


def opens(**scope: Any) -> bool:
    """Whether a handshake is let in; asked in this thread and its transaction."""

    async def ask() -> bool:
        watched = Watched(time.time())
        peer = connect(**scope)
        message = await peer.next()
        peer.hang_up()
        if message["type"] == "websocket.accept":
            await peer.task
        del watched
        return bool(message["type"] == "websocket.accept")

    ours, pool._pools[0] = pool._pools[0], Inline()  # type: ignore[assignment]
    try:
        return async_to_sync(ask)()
    finally:
        pool._pools[0] = ours
        let_go()


async def apart(function: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
    """Call it in a thread and on a connection of its own, as another request would."""

    def call() -> Any:
        try:
            return function(*arguments, **named)
        finally:
            connections.close_all()

    return await asyncio.to_thread(call)


class Clock:
    """Seconds that pass when told."""

    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


class Watched:
    """The watch of this event loop, which looks only when it is told to."""

    def __init__(
        self, calendar: float, *, store: str = "database", interval: float = 0.4, feed: Any = None
    ) -> None:
        from authx.sockets import asking

        self.calendar, self.clock = Clock(calendar), Clock(1000.0)
        copy = LocalCopy(feed or sources.database_log.provider(), self.clock, keep=lambda: 4500.0)
        sources._copies[store, "default"] = copy
        self.follower = Follower(copy, interval, clock=self.clock, run_in_background=lambda run: None)
        following._followers[store, "default"] = self.follower
        self.watcher = Watcher(
            self.follower,
            now=self.calendar,
            clock=self.clock,
            ask=asking.entries_of if store != "remote" else None,
        )
        _watchers[asyncio.get_running_loop(), self.follower] = self.watcher

    async def read(self) -> None:
        """Read the endings, as the thread does every 0.4 s, and let the loop hear of them."""
        self.clock.now += self.follower.interval
        await apart(self.follower.look)
        await settle()

    async def look(self) -> None:
        """Look at the clocks, as the loop does every 0.4 s."""
        self.watcher.look()
        await settle()


async def settle() -> None:
    """Let everything run that can."""
    for _ in range(20):
        await asyncio.sleep(0)


class Peer:
    """One socket, from the server's side."""

    def __init__(self, app: Any, scope: dict[str, Any]) -> None:
        self.app, self.scope = app, scope
        self.incoming: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.outgoing: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.incoming.put_nowait({"type": "websocket.connect"})
        self.task = asyncio.ensure_future(app(scope, self.incoming.get, self.outgoing.put))

    async def next(self) -> dict[str, Any]:
        """The next thing that the client is sent; an error of the app is raised here."""
        getting = asyncio.ensure_future(self.outgoing.get())
        await asyncio.wait({getting, self.task}, return_when=asyncio.FIRST_COMPLETED)
        if not getting.done() and self.outgoing.empty():
            getting.cancel()
            await self.task
            raise AssertionError("the app has returned, and sent nothing")
        return await getting

    def send(self, text: str | None = None, data: bytes | None = None) -> None:
        self.incoming.put_nowait({"type": "websocket.receive", "text": text, "bytes": data})

    def hang_up(self, code: int = 1000) -> None:
        self.incoming.put_nowait({"type": "websocket.disconnect", "code": code})

    async def text(self) -> str:
        message = await self.next()
        assert message["type"] == "websocket.send", message
        return str(message["text"])

    async def closed(self) -> tuple[int, str]:
        """With which code and reason it is closed."""
        message = await self.next()
        assert message["type"] == "websocket.close", message
        return message["code"], message.get("reason", "")

    async def refused(self) -> tuple[int, dict[str, Any], dict[str, str]]:
        """Status, body and headers of the answer to the handshake."""
        start = await self.next()
        assert start["type"] == "websocket.http.response.start", start
        body = await self.next()
        headers = {name.decode(): value.decode() for name, value in start["headers"]}
        await self.task
        assert self.outgoing.empty()
        return start["status"], json.loads(body["body"]), headers

    async def accepted(self) -> dict[str, Any]:
        message = await self.next()
        assert message["type"] == "websocket.accept", message
        return message


def scope_of(
    *,
    bearer: str | None = None,
    cookies: dict[str, str] | None = None,
    origin: str | None = None,
    host: str = HOST,
    subprotocols: list[str] | None = None,
    headers: list[tuple[bytes, bytes]] | None = None,
    query: str = "",
    answers: bool = True,
    **more: Any,
) -> dict[str, Any]:
    """The scope of a handshake, as a server makes it; one that ``answers`` can refuse with a body."""
    sent = [(b"host", host.encode()), *(headers or [])]
    if bearer is not None:
        sent.append((b"authorization", f"Bearer {bearer}".encode()))
    if origin is not None:
        sent.append((b"origin", origin.encode()))
    if cookies:
        sent.append((b"cookie", "; ".join(f"{name}={value}" for name, value in cookies.items()).encode()))
    if subprotocols:
        sent.append((b"sec-websocket-protocol", ", ".join(subprotocols).encode()))
    return {
        "type": "websocket",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "scheme": "ws",
        "path": "/ws/",
        "raw_path": b"/ws/",
        "query_string": query.encode(),
        "root_path": "",
        "headers": sent,
        "client": ["127.0.0.1", 1234],
        "server": ["127.0.0.1", 80],
        "subprotocols": subprotocols or [],
        "extensions": {"websocket.http.response": {}} if answers else {},
        **more,
    }


class Echo:
    """An app that accepts, says what it is sent, and keeps what it has seen."""

    def __init__(self, subprotocol: str | None = None) -> None:
        self.subprotocol, self.scopes, self.received = subprotocol, [], []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.scopes.append(scope)
        while True:
            message = await receive()
            self.received.append(message)
            if message["type"] == "websocket.connect":
                await send({"type": "websocket.accept", "subprotocol": self.subprotocol})
            elif message["type"] == "websocket.receive":
                await send(
                    {"type": "websocket.send", "text": message.get("text"), "bytes": message.get("bytes")}
                )
            else:
                return


def connect(
    app: Any = None,
    *,
    public: bool = False,
    frames: bool = True,
    clients: dict[str, Any] | None = None,
    **scope: Any,
) -> Peer:
    """Somebody connects to ``app`` behind the door, which may serve clients of OAuth too."""
    door = authenticated(app or Echo(), public=public, frames=frames, **(clients or {}))
    return Peer(door, scope_of(**scope))
