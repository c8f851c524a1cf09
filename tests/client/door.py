"""A door that says what the socket door of authx says, when a test wants it; and how it shares an origin.

A browser gives the token to its own origin alone, so a relay stands in front of the site and the door.
"""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from contextlib import suppress
from http import HTTPStatus

from websockets.asyncio.server import serve

#: How a frame begins that is authx's.
RENEW = '{"type":"authx.renew",'


class Relay:
    """Passes what is for a socket on to one port, and all else to another; a thread for each direction."""

    def __init__(self, site_port, socket_port):
        self.site_port, self.socket_port = site_port, socket_port
        #: Whether bytes of sockets are lost on their way. Nobody is told.
        self.is_dead = False
        self._open = set()

    def __enter__(self):
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=100)
        self.port = self._listener.getsockname()[1]
        self._accepting = threading.Thread(target=self._accept)
        self._accepting.start()
        return self

    def __exit__(self, *exc):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._accepting.join()

    def cut(self):
        """Break every socket, without a close frame."""
        for each in list(self._open):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def _accept(self):
        with suppress(OSError):  # closed
            while True:
                connection, _ = self._listener.accept()
                threading.Thread(target=self._relay, args=[connection], daemon=True).start()

    def _relay(self, here):
        with here, suppress(OSError):
            head = b""
            while b"\r\n\r\n" not in head:
                if not (more := here.recv(65536)):
                    return
                head += more
            is_socket = b"upgrade: websocket" in head.lower()
            with socket.create_connection(
                ("127.0.0.1", self.socket_port if is_socket else self.site_port)
            ) as there:
                if not (is_socket and self.is_dead):
                    there.sendall(head)
                if is_socket:
                    self._open.add(here)
                back = threading.Thread(target=self._pass, args=[there, here, is_socket], daemon=True)
                back.start()
                self._pass(here, there, is_socket)
                back.join()
                self._open.discard(here)

    def _pass(self, source, target, is_socket):
        with suppress(OSError):
            while data := source.recv(65536):
                if not (is_socket and self.is_dead):
                    target.sendall(data)
        with suppress(OSError):
            target.shutdown(socket.SHUT_WR)


class Door:
    """Runs in a thread with a loop of its own; what it saw may be read from any."""

    def __init__(self):
        #: The credential of each handshake, with its kind: ``("bearer", token)``, or None.
        self.handshakes = []
        #: What came on open sockets: the members of renewals, and texts of the app.
        self.renewals, self.texts = [], []
        #: The answer to a renewal: ``renewed``, ``not_renewed`` or None for none.
        self.answer = "renewed"
        #: Statuses with which the next handshakes are refused; None lets one in.
        self.refusals = []
        #: Close codes of the next sockets, as soon as they are open.
        self.closings = []
        self._open = set()
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self):
        self._thread.start()
        assert self._ready.wait(30)
        return self

    def __exit__(self, *exc):
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    @property
    def sockets(self):
        return len(self._open)

    def close(self, code, reason=""):
        """Close every socket, as a watcher does."""
        self._do(self._close_all(code, reason))

    def say(self, text):
        self._do(self._say(text))

    def _do(self, coroutine):
        asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(30)

    async def _close_all(self, code, reason):
        await asyncio.gather(*(each.close(code, reason) for each in list(self._open)))

    async def _say(self, text):
        for each in list(self._open):
            await each.send(text)

    def _run(self):
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self):
        self._stop = asyncio.Event()
        options = {"process_request": self._admit, "select_subprotocol": self._select, "ping_interval": None}
        async with serve(self._handle, "127.0.0.1", 0, **options) as door:
            self.port = door.sockets[0].getsockname()[1]
            self._ready.set()
            await self._stop.wait()

    def _admit(self, connection, request):
        offered = request.headers.get("Sec-WebSocket-Protocol", "").replace(" ", "").split(",")
        found = [each.split(".", 2)[1:] for each in offered if each.startswith("authx.")]
        assert "authx" in offered or not found
        self.handshakes.append(tuple(found[0]) if found else None)
        status = self.refusals.pop(0) if self.refusals else None
        return None if status is None else connection.respond(HTTPStatus(status), "")

    def _select(self, connection, offered):
        """Choose the app's own where there is one; never what holds a token."""
        others = [each for each in offered if not each.startswith("authx")]
        return (others or [each for each in offered if each == "authx"] or [None])[0]

    async def _handle(self, connection):
        self._open.add(connection)
        try:
            if self.closings:
                await connection.close(*self.closings.pop(0))
            async for message in connection:
                await self._received(connection, message)
        except Exception:  # cut
            pass
        finally:
            self._open.discard(connection)

    async def _received(self, connection, message):
        if not isinstance(message, str) or not message.startswith(RENEW):
            self.texts.append(message)
            await connection.send(message)
            return
        self.renewals.append(json.loads(message))
        if self.answer == "renewed":
            await connection.send('{"type":"authx.renewed","expires_in":900}')
        elif self.answer == "not_renewed":
            await connection.send('{"type":"authx.not_renewed","code":"store_unavailable"}')
