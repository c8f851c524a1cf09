"""What is measured of closing: the ends of some sessions, of all, and those that race a handshake."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random
from statistics import quantiles

from benchmarks.peers.process import There
from benchmarks.sockets.client import Socket, connect, hang_up
from benchmarks.sockets.served import Server

#: Seconds in which whatever is to be closed is closed, or counts as left open.
PATIENCE = 5.0
#: Endings begun in a second, each at a random moment of its share: readings are 0.4 s apart.
ENDINGS_A_SECOND = 10
#: Device sessions ended in a row, while their handshakes are made.
RACES = 20

Person = tuple[str, str]


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
