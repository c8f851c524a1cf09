"""A bad network before a WSGI application: what it does to the next answers, as a script."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from threading import Barrier, BrokenBarrierError, Event, Lock
from typing import Any

from authx.http.outage import RETRY_AFTER_SECONDS
from authx.http.refusals import body_of
from authx.testing.answers import Answer, Environ, StartResponse, ask_app, cut_off

#: Seconds that an answer is held at most, so that no test hangs.
LONGEST_HOLD = 20.0


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request and what became of it."""

    method: str
    path: str
    #: What the application answered; 0 where it was not asked.
    status: int
    #: The error code of the answer, if it has one.
    code: str = ""
    #: Which fault it met; ``""`` if none.
    fault: str = ""


#: Given what asks the application, returns the answer that leaves, or None where the connection is cut off.
_Meet = Callable[[Callable[[], Answer]], "Answer | None"]


@dataclass(slots=True)
class _Fault:
    name: str
    path: str
    left: int
    meet: _Meet


@dataclass(slots=True)
class FaultyNetwork:
    """Stands before a WSGI application. Without faults, it only writes down what passes.

    A fault is for the next ``count`` requests whose path ends in ``path``; every path ends in ``""``.
    """

    app: Callable[..., Iterable[bytes]]
    #: Held while the application is asked, where its threads share one connection to the database.
    turn: AbstractContextManager[Any] = field(default_factory=nullcontext)
    #: All requests so far, oldest first.
    exchanges: list[Exchange] = field(default_factory=list)
    _script: list[_Fault] = field(default_factory=list)
    _lock: Any = field(default_factory=Lock)

    def lose_answers(self, count: int = 1, path: str = "refresh/") -> None:
        """Cut the connection off once the request has been carried out: the client never learns of it."""

        def meet(ask: Callable[[], Answer]) -> None:
            ask()

        self._add("lost answer", count, path, meet)

    def lose_requests(self, count: int = 1, path: str = "refresh/") -> None:
        """Cut the connection off before anything has been done."""
        self._add("lost request", count, path, lambda ask: None)

    def be_unavailable(self, count: int = 1, path: str = "refresh/") -> None:
        """Answer 503 ``store_unavailable`` with ``Retry-After``, as in an outage; nothing is carried out."""
        body = json.dumps(body_of("store_unavailable")).encode()
        headers = [
            ("Content-Type", "application/json"),
            ("Content-Length", str(len(body))),
            ("Retry-After", str(RETRY_AFTER_SECONDS)),
        ]
        self._add("unavailable", count, path, lambda ask: Answer("503 Service Unavailable", headers, body))

    def answer_together(self, count: int = 2, path: str = "refresh/", *, within: float = 2.0) -> None:
        """Hold the next ``count`` requests until all have come, and their answers until all are made.

        ``within``: after so many seconds those that have come go on without the others: a client may well
        have been clever enough to ask once.
        """
        arrived, made = Barrier(count), Barrier(count)

        def meet(ask: Callable[[], Answer]) -> Answer:
            _wait_at(arrived, within)
            answer = ask()
            _wait_at(made, within)
            return answer

        self._add("together", count, path, meet)

    @contextmanager
    def holding_answers(self, count: int = 1, path: str = "refresh/") -> Iterator[Event]:
        """Hold the next ``count`` answers until the block is left: late ones, which newer ones overtake.

        The event is set once they have all been made.
        """
        made, released, left = Event(), Event(), [count]

        def meet(ask: Callable[[], Answer]) -> Answer:
            answer = ask()
            with self._lock:
                left[0] -= 1
            if left[0] <= 0:
                made.set()
            released.wait(LONGEST_HOLD)
            return answer

        self._add("held", count, path, meet)
        try:
            yield made
        finally:
            released.set()

    def forget(self) -> None:
        """Take back the faults that no request has met so far."""
        with self._lock:
            self._script.clear()

    def _add(self, name: str, count: int, path: str, meet: _Meet) -> None:
        with self._lock:
            self._script.append(_Fault(name, path, count, meet))

    def _take(self, path: str) -> _Fault | None:
        with self._lock:
            for fault in self._script:
                if fault.left and path.endswith(fault.path):
                    fault.left -= 1
                    return fault
        return None

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Answer as WSGI has it.

        Raises:
            ConnectionResetError: a fault cuts the connection off, and the server is another than ours.
        """
        fault = self._take(environ.get("PATH_INFO", ""))
        asked: list[Answer] = []

        def ask() -> Answer:
            with self.turn:
                asked.append(ask_app(self.app, environ))
            return asked[0]

        answer = ask() if fault is None else fault.meet(ask)
        self._write_down(environ, asked[0] if asked else answer, fault)
        if answer is None:
            return cut_off(environ, start_response)
        start_response(answer.status, answer.headers)
        return [answer.body]

    def _write_down(self, environ: Environ, answer: Answer | None, fault: _Fault | None) -> None:
        status = 0 if answer is None else int(answer.status.split()[0])
        name = "" if fault is None else fault.name
        code = "" if answer is None else answer.code
        exchange = Exchange(environ["REQUEST_METHOD"], environ.get("PATH_INFO", ""), status, code, name)
        with self._lock:
            self.exchanges.append(exchange)


def _wait_at(barrier: Barrier, seconds: float) -> None:
    with suppress(BrokenBarrierError):
        barrier.wait(seconds)
