"""A WebSocket client that does no more than it must, for it shares the machine with the server."""

from __future__ import annotations

import asyncio
import base64
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

_CLOSE, _PING, _PONG = 8, 9, 10


class Socket(asyncio.Protocol):
    """One socket, from its handshake to its close frame; times are monotonic seconds."""

    def __init__(self, request: bytes) -> None:
        self._request, self._buffer = request, b""
        self.began_at = time.monotonic()
        #: The status of the answer to the handshake; 0 before it has come.
        self.status = 0
        #: When it came; infinity before.
        self.answered_at = float("inf")
        self.answered = asyncio.get_running_loop().create_future()
        #: When the close frame came, and what it says; infinity and ``(0, "")`` before.
        self.closed_at, self.closing = float("inf"), (0, "")
        self.over = asyncio.get_running_loop().create_future()

    @property
    def is_open(self) -> bool:
        return self.status == 101 and not self.over.done()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if not self.status:
            head, found, self._buffer = self._buffer.partition(b"\r\n\r\n")
            if not found:
                self._buffer = head
                return
            self.status, self.answered_at = int(head[9:12]), time.monotonic()
            _settle(self.answered)
        if self.status == 101:
            self._read_frames()

    def connection_lost(self, error: Exception | None) -> None:
        _settle(self.answered)
        _settle(self.over)

    def hang_up(self) -> None:
        """Close it as a client does."""
        self._send(_CLOSE, (1000).to_bytes(2, "big"))

    def _read_frames(self) -> None:
        """Take whole frames out of the buffer; those of a server have no mask, and ours are short."""
        while len(self._buffer) >= 2 and len(self._buffer) >= (end := 2 + self._buffer[1]):
            kind, payload = self._buffer[0] & 15, self._buffer[2:end]
            self._buffer = self._buffer[end:]
            if kind == _PING:
                self._send(_PONG, payload)
            elif kind == _CLOSE:
                self.closed_at = time.monotonic()
                self.closing = int.from_bytes(payload[:2], "big"), payload[2:].decode()
                self._send(_CLOSE, payload[:2])
                self._transport.close()

    def _send(self, kind: int, payload: bytes) -> None:
        """Send one frame, masked with zeros, which change nothing."""
        self._transport.write(bytes([0x80 | kind, 0x80 | len(payload)]) + bytes(4) + payload)


def _settle(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


@dataclass
class Opened:
    """What came of handshakes that were made together."""

    sockets: list[Socket]
    #: From the first handshake to the last answer; and what this process took of it.
    seconds: float
    client_seconds: float
    statuses: dict[int, int] = field(init=False)

    def __post_init__(self) -> None:
        statuses = [socket.status for socket in self.sockets]
        self.statuses = {status: statuses.count(status) for status in sorted(set(statuses))}


def request(port: int, path: str, token: str) -> bytes:
    lines = [
        f"GET {path} HTTP/1.1",
        f"Host: 127.0.0.1:{port}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}",
        "Sec-WebSocket-Version: 13",
        f"Authorization: Bearer {token}",
    ]
    return "\r\n".join([*lines, "", ""]).encode()


async def connect(port: int, path: str, token: str) -> Socket:
    """Return a socket once the server has answered its handshake."""
    loop = asyncio.get_running_loop()
    sent = request(port, path, token)
    _transport, socket = await loop.create_connection(lambda: Socket(sent), "127.0.0.1", port)
    await socket.answered
    return socket


async def connect_all(port: int, path: str, tokens: Sequence[str], at_once: int = 0) -> Opened:
    """Make a handshake with each token: all together, or so many ``at_once``."""
    gate = asyncio.Semaphore(at_once or len(tokens))

    async def one(token: str) -> Socket:
        async with gate:
            return await connect(port, path, token)

    began, cpu = time.monotonic(), time.process_time()
    sockets = await asyncio.gather(*[one(token) for token in tokens])
    return Opened(sockets, time.monotonic() - began, time.process_time() - cpu)


async def hang_up(sockets: Sequence[Socket]) -> None:
    """Close all that are open, and wait until the server has let them go."""
    left = [socket for socket in sockets if socket.is_open]
    for socket in left:
        socket.hang_up()
    await asyncio.gather(*[socket.over for socket in left])
