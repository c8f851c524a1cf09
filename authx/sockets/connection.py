"""What passes between a server and an app over one socket, and that nothing does once it has ended.

The door closes a socket and not the app: an app that is busy, or waits for something else, would be late.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any, Final

from authx import metrics
from authx.conf import conf
from authx.sockets.frames import RENEW, TOO_BIG, Closing
from authx.sockets.handshake import MARKER, header, subprotocols
from authx.sockets.refusal import Message, Receive, Refusal, Send, send_refusal

#: Seconds that a close frame may take to leave; a client that reads nothing keeps it waiting.
CLOSE_SECONDS: Final = 5.0
#: Seconds after the end in which what an app still sends is dropped without a word.
PATIENCE_SECONDS: Final = 60.0
#: What stands for a close without a code (RFC 6455 §7.1.5).
NO_CODE: Final = 1005
_ACCEPT: Final = "websocket.accept"
_DISCONNECT: Final = "websocket.disconnect"
_RECEIVE: Final = "websocket.receive"


class Connection:
    """One socket: the ``receive`` and ``send`` that the app is given, and the way to end it."""

    def __init__(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        #: What its refusal depends on.
        self._asked = {
            "extensions": scope.get("extensions") or {},
            "headers": [(b"accept-language", header(scope, b"accept-language").encode("latin-1"))],
        }
        self._server_receive, self._server_send = receive, send
        #: Whether to select our own subprotocol where the app selects none: browsers want one of their offer.
        self._marks = MARKER in subprotocols(scope)
        #: Answers a text frame of ours, if the app is not to have it.
        self.renew: Callable[[str], Awaitable[str | None]] | None = None
        #: Called when the client has gone.
        self.on_gone: Callable[[], None] = _do_nothing
        self._ending: asyncio.Future[Closing] = asyncio.get_running_loop().create_future()
        self._closer: asyncio.Task[None] | None = None
        self._next: asyncio.Task[Message] | None = None
        self._renewal: asyncio.Task[None] | None = None
        #: When its end began, in seconds of the loop's clock.
        self._ended_at = 0.0
        #: Held while the socket is being opened: it cannot be closed in the middle of that.
        self._opening = asyncio.Lock()
        self._is_open = self._is_over = False
        #: It counts among the open ones.
        self._is_counted = False

    def end(self, closing: Closing, refusal: Refusal | None = None) -> None:
        """Close it, whatever the app is doing; with ``refusal`` if it has not been opened yet."""
        if not self._ending.done() and not self._is_over:
            self._ending.set_result(closing)
            self._ended_at = asyncio.get_running_loop().time()
            self._closer = asyncio.ensure_future(self._close(closing, refusal))

    async def closed(self) -> None:
        """Return once a close that has been begun is done: servers hang up when the app returns."""
        for task in (self._next, self._renewal):
            if task is not None:
                task.cancel()
        if self._closer is not None:
            await self._closer
        self._count_close(NO_CODE)  # the app has returned without a word: the server hangs up
        # Else the session and this would hold each other until the garbage collector comes.
        self.on_gone = _do_nothing
        self.renew = None if self.renew is None else _answer_nothing

    def _count_close(self, code: int) -> None:
        """Count that it is closed, once, with the first code that somebody gives."""
        if self._is_counted:
            self._is_counted = False
            metrics.SOCKETS_CLOSED.count(code=str(code))
            metrics.SOCKETS_OPEN.change(-1)

    async def receive(self) -> Message:
        """Return what the client sends; that it is gone, once this has ended."""
        while not self._ending.done():
            message = await self._received()
            if message is None:
                break
            if message["type"] == _DISCONNECT:
                self._is_over = True
                self._count_close(message.get("code", NO_CODE))
                self.on_gone()
            if message["type"] != _RECEIVE or self._is_for_the_app(message):
                return message
            del message  # it may hold a token, which reports of errors would show while this waits
            if self._renewal is not None:
                await asyncio.shield(self._renewal)  # it goes on if the app gives up this receive
        closing = self._ending.result()
        return {"type": _DISCONNECT, "code": closing.code, "reason": closing.reason}

    async def send(self, message: Message) -> None:
        """Send what the app says; nothing, once this has ended.

        Raises:
            OSError: it ended long ago, and the app goes on: one that only sends learns it in no other way.
        """
        if self._ending.done() and asyncio.get_running_loop().time() - self._ended_at > PATIENCE_SECONDS:
            raise OSError("the socket has ended")
        if message["type"] == _ACCEPT:
            await self._accept(message)
        elif not self._ending.done():
            is_last = message["type"] != "websocket.send"  # the app closes it, or refuses to open it
            self._is_over = self._is_over or is_last
            try:
                await self._server_send(message)
                if is_last:
                    self._count_close(message.get("code", 1000))
            except Exception:
                self._is_over = self._is_over and not is_last  # what a server refuses closes nothing
                if not self._ending.done():  # else it was closed meanwhile, of which servers complain
                    raise

    async def _received(self) -> Message | None:
        """Return the next message; None if this ends before it comes. One that was not waited for is kept."""
        if self._next is None:
            self._next = asyncio.ensure_future(self._server_receive())
        both: set[asyncio.Future[Any]] = {self._next, self._ending}
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        if self._ending.done():
            return None
        received, self._next = self._next, None
        return received.result()

    def _is_for_the_app(self, message: Message) -> bool:
        text = message.get("text")
        if _size(text, message.get("bytes")) > conf.SOCKET_MESSAGE_SIZE:
            self.end(TOO_BIG)
            return False
        if self.renew is None or text is None or not text.startswith(RENEW):
            return True
        self._renewal = asyncio.ensure_future(self._answer(self.renew(text)))
        return False

    async def _answer(self, renewal: Awaitable[str | None]) -> None:
        answer = await renewal
        if answer is not None:
            with suppress(Exception):  # who may be gone, which the next message says
                await self.send({"type": "websocket.send", "text": answer})

    async def _accept(self, message: Message) -> None:
        async with self._opening:
            if self._ending.done():
                return
            if self._marks and not message.get("subprotocol"):
                message = {**message, "subprotocol": MARKER}
            await self._server_send(message)
            self._is_open = self._is_counted = True
            metrics.SOCKETS_OPENED.count()
            metrics.SOCKETS_OPEN.change(1)

    async def _close(self, closing: Closing, refusal: Refusal | None) -> None:
        self._count_close(closing.code)
        with suppress(Exception):  # it may be gone already, of which servers complain
            async with asyncio.timeout(CLOSE_SECONDS), self._opening:
                if self._is_open or refusal is None:
                    await self._send_close(closing)
                else:
                    await send_refusal(self._asked, self._server_send, refusal)

    async def _send_close(self, closing: Closing) -> None:
        try:
            await self._server_send(_close_message(closing))
        except Exception:
            if closing.in_private_use == closing:
                raise
            await self._server_send(_close_message(closing.in_private_use))


def _do_nothing() -> None:
    """Do nothing, where nobody is told."""


async def _answer_nothing(text: str) -> None:
    """Answer nothing: the app has returned."""


def _close_message(closing: Closing) -> Message:
    return {"type": "websocket.close", "code": closing.code, "reason": closing.reason}


def _size(text: str | None, binary: bytes | None) -> int:
    """Return how many bytes a message has; of a text that cannot be too long, how many characters."""
    if binary is not None:
        return len(binary)
    if text is None or len(text) > conf.SOCKET_MESSAGE_SIZE or 4 * len(text) <= conf.SOCKET_MESSAGE_SIZE:
        return len(text or "")
    return len(text.encode(errors="surrogatepass"))
