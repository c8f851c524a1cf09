"""A proxy in front of a server of this machine: it makes the way longer, or counts what goes by."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from benchmarks.peers.postgres_messages import CONTROL, PostgresMessages


@dataclass(frozen=True)
class Count:
    """What has gone by."""

    #: How often a client has said something and waited for the answer.
    trips: int = 0
    sent: int = 0
    received: int = 0
    #: Of PostgreSQL alone, as in ``PostgresMessages``.
    commits: int = 0
    statements: Counter[str] = field(default_factory=Counter)
    rows: Counter[str] = field(default_factory=Counter)

    def __sub__(self, earlier: Count) -> Count:
        return Count(
            self.trips - earlier.trips,
            self.sent - earlier.sent,
            self.received - earlier.received,
            self.commits - earlier.commits,
            self.statements - earlier.statements,
            self.rows - earlier.rows,
        )

    @property
    def own_statements(self) -> int:
        """Without those that open and close transactions."""
        return sum(number for verb, number in self.statements.items() if verb not in CONTROL)


class Proxy:
    """Adds ``delay`` seconds each way between its port and another; packets do not wait for each other."""

    def __init__(self, to: int, delay: float = 0, *, reads_postgres: bool = False) -> None:
        self.to, self.delay, self.reads_postgres = to, delay, reads_postgres
        self._trips = self._sent = self._received = 0
        self._connections: list[PostgresMessages] = []
        self.loop = asyncio.new_event_loop()
        started = threading.Event()
        threading.Thread(target=self._run, args=(started,), daemon=True).start()
        started.wait()

    def count(self) -> Count:
        """Everything until now. A client that has its answer has been counted."""
        return asyncio.run_coroutine_threadsafe(self._count(), self.loop).result()

    async def _count(self) -> Count:
        statements: Counter[str] = Counter()
        rows: Counter[str] = Counter()
        for one in self._connections:
            statements.update(one.statements)
            rows.update(one.rows)
        commits = sum(one.commits for one in self._connections)
        return Count(self._trips, self._sent, self._received, commits, statements, rows)

    def _run(self, started: threading.Event) -> None:
        asyncio.set_event_loop(self.loop)
        server = self.loop.run_until_complete(asyncio.start_server(self._accept, "127.0.0.1", 0))
        self.port: int = server.sockets[0].getsockname()[1]
        started.set()
        self.loop.run_forever()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.to)
        messages = PostgresMessages()
        self._connections.append(messages)
        is_client_speaking = False

        def from_client(data: bytes) -> None:
            nonlocal is_client_speaking
            self._trips += not is_client_speaking
            self._sent += len(data)
            is_client_speaking = True

        def from_server(data: bytes) -> None:
            nonlocal is_client_speaking
            self._received += len(data)
            is_client_speaking = False
            if self.reads_postgres:
                messages.feed(data)

        await asyncio.gather(
            self._pump(reader, far_writer, from_client), self._pump(far_reader, writer, from_server)
        )

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, note: Callable[[bytes], None]
    ) -> None:
        writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with suppress(OSError):
            while data := await reader.read(65536):
                note(data)
                if self.delay:
                    self.loop.call_later(self.delay, writer.write, data)
                else:
                    writer.write(data)
        self.loop.call_later(self.delay, writer.close)
