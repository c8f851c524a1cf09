"""What is measured: handshakes all at once, idle sockets, endings, races, and many sockets in turn."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random
from statistics import quantiles

from benchmarks.peers.process import There
from benchmarks.sockets.client import Opened, Socket, connect, connect_all, hang_up
from benchmarks.sockets.served import Server

#: Handshakes at a time, where they are not what is measured.
AT_ONCE = 50
#: Seconds in which whatever is to be closed is closed, or counts as left open.
PATIENCE = 5.0
#: Endings begun in a second, each at a random moment of its share: readings are 0.4 s apart.
ENDINGS_A_SECOND = 10
#: Device sessions ended in a row, while their handshakes are made.
RACES = 20

Person = tuple[str, str]


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
    sockets = await _open(server, path, tokens[:few])
    few_cpu = await _idle_cpu(server, seconds)
    sockets += await _open(server, path, tokens[few:])
    each = (server.memory - memory) / len(tokens) / 1024
    return Idle(few_cpu, await _idle_cpu(server, seconds), each, sockets)


async def _open(server: Server, path: str, tokens: Sequence[str]) -> list[Socket]:
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
class Endings:
    """Seconds from the return of ``end_session``, in another process, to the close frame."""

    delays: list[float]
    #: Never closed.
    lost: int
    #: Closed although their sessions had not ended, or with another word.
    wrong: int

    @property
    def cuts(self) -> tuple[float, float, float]:
        """Median, 99th percentile, maximum."""
        found = quantiles(self.delays, n=100, method="inclusive")
        return found[49], found[98], max(self.delays)


async def endings(
    issuer: There, people: Sequence[Person], sockets: Sequence[Socket], number: int, drawn: Random
) -> Endings:
    """End so many of the sessions, one by one, at random moments."""
    chosen = drawn.sample(range(len(people)), number)
    start = time.monotonic() + 0.2
    planned = [
        (people[place][0], start + (turn + drawn.random()) / ENDINGS_A_SECOND)
        for turn, place in enumerate(chosen)
    ]
    times = await asyncio.to_thread(issuer.ask, "end", planned)
    ended = [sockets[place] for place in chosen]
    await _until_over(ended)
    closed = [(one, at) for one, (_began, at) in zip(ended, times, strict=True) if one.closing[0]]
    others = set(sockets) - set(ended)
    wrong = sum(not one.is_open for one in others) + sum(one.closing != KICKED for one, _at in closed)
    return Endings([max(0.0, one.closed_at - at) for one, at in closed], number - len(closed), wrong)


#: How a socket is closed whose session has been ended here.
KICKED = (4401, "kicked")


async def _until_over(sockets: Sequence[Socket]) -> None:
    waiting = [one.over for one in sockets if not one.over.done()]
    if waiting:
        await asyncio.wait(waiting, timeout=PATIENCE)


@dataclass
class Everyone:
    """Everybody ended by one call."""

    number: int
    lost: int
    #: Seconds from the beginning of the call to the last close frame, and to its return.
    closed: float
    returned: float
    #: Milliseconds of a core for each close, of the server.
    server_ms: float


async def end_everyone(server: Server, issuer: There, sockets: Sequence[Socket]) -> Everyone:
    """End all sessions there are, whose sockets those are that are still open."""
    left = [one for one in sockets if one.is_open]
    before = server.cpu
    began, returned = await asyncio.to_thread(issuer.ask, "end_everyone")
    await _until_over(left)
    closed = [one.closed_at for one in left if one.closing == KICKED]
    each = 1000 * (server.cpu - before) / len(left)
    last = max(closed, default=began)
    return Everyone(len(left), len(left) - len(closed), last - began, returned - began, each)


@dataclass
class Races:
    """Handshakes beside the endings of their sessions."""

    #: By order and outcome: how many.
    outcomes: Counter[str] = field(default_factory=Counter)
    left_open: int = 0


async def races(server: Server, issuer: There, number: int, drawn: Random) -> Races:
    """End sessions in a row while their handshakes are made, each a little before or after."""
    found, each = Races(), 0.01
    for _ in range(0, number, RACES):
        people = await asyncio.to_thread(issuer.ask, "open", RACES)
        start = time.monotonic() + 0.1
        ending = asyncio.to_thread(issuer.ask, "end", [(sid, start) for sid, _token in people])
        running = asyncio.ensure_future(ending)
        moments = [start + each * (turn + drawn.uniform(-4, 4)) for turn in range(RACES)]
        sockets = await asyncio.gather(
            *[_connect_at(server, token, at) for (_sid, token), at in zip(people, moments, strict=True)]
        )
        times: list[tuple[float, float]] = await running
        each = (times[-1][1] - times[0][0]) / RACES
        await _until_over(sockets)
        for socket, (began, returned) in zip(sockets, times, strict=True):
            found.outcomes[_outcome(socket, began, returned)] += 1
        found.left_open += sum(one.is_open for one in sockets)
        await hang_up(sockets)
    return found


async def _connect_at(server: Server, token: str, at: float) -> Socket:
    await asyncio.sleep(max(0.0, at - time.monotonic()))
    return await connect(server.port, "/door/", token)


def _outcome(socket: Socket, began: float, returned: float) -> str:
    """In which order it was, and what came of it."""
    order = "at the same time"
    if socket.answered_at < began:
        order = "opened first"
    elif returned < socket.began_at:
        order = "ended first"
    what = {101: "closed" if socket.closing == KICKED else "LEFT OPEN", 401: "refused"}
    return f"{order}, {what.get(socket.status, str(socket.status))}"


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
        await hang_up(await _open(server, path, tokens))
        await asyncio.sleep(0.2)
        memory.append(server.memory / 2**20)
    return Turnover(number, memory)
