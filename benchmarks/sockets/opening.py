"""What is measured of opening and holding: handshakes all at once, idle sockets, and many in turn."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from benchmarks.sockets.client import Opened, Socket, connect_all, hang_up
from benchmarks.sockets.served import Server

#: Handshakes at a time, where they are not what is measured.
AT_ONCE = 50


@dataclass
class Burst:
    """2,000 handshakes at once."""

    seconds: float
    #: Milliseconds of a core for each, of the server and of the client.
    server_ms: float
    client_ms: float
    statuses: dict[int, int]


async def burst(server: Server, path: str, tokens: Sequence[str]) -> Burst:
    """Make all handshakes together, as after a restart."""
    await warm_up(server, path, tokens)
    before = server.cpu
    opened = await connect_all(server.port, path, tokens)
    taken = server.cpu - before
    await hang_up(opened.sockets)
    each = 1000 / len(tokens)
    return Burst(opened.seconds, taken * each, opened.client_seconds * each, opened.statuses)


async def warm_up(server: Server, path: str, tokens: Sequence[str]) -> None:
    """Let first uses pass: imports, threads, connections."""
    await hang_up((await connect_all(server.port, path, tokens[:20], 10)).sockets)


@dataclass
class Idle:
    """Sockets that nobody uses."""

    #: Percent of a core that the whole process takes, with few and with all.
    few_cpu: float
    cpu: float
    #: KiB of memory for each.
    memory: float
    sockets: list[Socket] = field(repr=False)


async def idle(server: Server, path: str, tokens: Sequence[str], few: int, seconds: float) -> Idle:
    """Open all, and look at the process for so many seconds, twice."""
    await warm_up(server, path, tokens)
    memory = server.memory
    sockets = await open_all(server, path, tokens[:few])
    few_cpu = await _idle_cpu(server, seconds)
    sockets += await open_all(server, path, tokens[few:])
    each = (server.memory - memory) / len(tokens) / 1024
    return Idle(few_cpu, await _idle_cpu(server, seconds), each, sockets)


async def open_all(server: Server, path: str, tokens: Sequence[str]) -> list[Socket]:
    opened: Opened = await connect_all(server.port, path, tokens, AT_ONCE)
    if set(opened.statuses) != {101}:
        raise RuntimeError(f"not all handshakes were let in: {opened.statuses}")
    return opened.sockets


async def _idle_cpu(server: Server, seconds: float) -> float:
    await asyncio.sleep(1)
    before, began = server.cpu, time.monotonic()
    await asyncio.sleep(seconds)
    return 100 * (server.cpu - before) / (time.monotonic() - began)


@dataclass
class Turnover:
    """Sockets opened and closed, one wave after another."""

    number: int
    #: MiB of memory after each wave.
    memory: list[float]

    @property
    def growth(self) -> float:
        """MiB in the second half, after a first one in which the heap finds its size."""
        return self.memory[-1] - self.memory[len(self.memory) // 2 - 1]


async def turnover(server: Server, path: str, tokens: Sequence[str], number: int) -> Turnover:
    """Open and close so many sockets, a wave of all tokens at a time."""
    memory = []
    for _ in range(0, number, len(tokens)):
        await hang_up(await open_all(server, path, tokens))
        await asyncio.sleep(0.2)
        memory.append(server.memory / 2**20)
    return Turnover(number, memory)
