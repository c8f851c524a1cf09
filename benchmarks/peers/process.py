"""Contestants as processes: each a Django of its own that does, in turn, what it is asked."""

from __future__ import annotations

import io
import multiprocessing
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from types import MappingProxyType
from typing import Any
from wsgiref.util import setup_testing_defaults

from benchmarks.peers.contestants import BY_NAME, Contestant, Place
from benchmarks.peers.doors import DOORS, Held
from benchmarks.peers.setup import configure


class Caller:
    """Calls the WSGI application of this process, from environ to closed response."""

    def __init__(self, path: str = "/hello/", headers: dict[str, str] | None = None) -> None:
        from django.core.wsgi import get_wsgi_application

        self.application = get_wsgi_application()
        self.environ: dict[str, Any] = {}
        setup_testing_defaults(self.environ)
        self.environ |= {"PATH_INFO": path, "REMOTE_ADDR": "192.0.2.7", **(headers or {})}
        self.status = ""

    def start_response(self, status: str, headers: list[tuple[str, str]]) -> None:
        self.status = status

    def __call__(self, body: bytes = b"") -> bytes:
        environ = {**self.environ, "wsgi.input": io.BytesIO(body), "CONTENT_LENGTH": str(len(body))}
        response = self.application(environ, self.start_response)
        content = b"".join(response)
        response.close()
        return content

    def took(self, headers: Mapping[str, str] = MappingProxyType({})) -> tuple[int, int]:
        """Nanoseconds of a GET with these headers too, until its answer is there; and of what comes after it.

        What comes after it the client does not wait for, but the process does.
        """
        environ = {**self.environ, **headers, "wsgi.input": io.BytesIO(), "CONTENT_LENGTH": "0"}
        start = time.perf_counter_ns()
        response = self.application(environ, self.start_response)
        b"".join(response)
        answered = time.perf_counter_ns()
        response.close()
        if self.status != "200 OK":
            raise RuntimeError(f"{self.environ['PATH_INFO']}: {self.status}")
        return answered - start, time.perf_counter_ns() - answered


class Here:
    """What runs inside a contestant's process; every method answers one request of the parent."""

    def __init__(self, contestant: Contestant) -> None:
        self.contestant = contestant
        self.caller: Caller

    def log_in(self) -> Held:
        from django.contrib.auth import get_user_model

        name = f"{self.contestant.name} {os.getpid()}"
        user = get_user_model().objects.create_user(name, password="benchmark")
        return DOORS[self.contestant.kind][0](user)

    def log_out(self, held: Held) -> None:
        DOORS[self.contestant.kind][1](held.handle)

    def open_connection(self) -> None:
        """As any site has one; Django looks after it at each request."""
        from django.db import connection

        connection.ensure_connection()

    def prepare(self, path: str, held: Held) -> None:
        self.open_connection()
        self.caller = Caller(path, held.headers)

    def block(self, requests: int) -> list[int]:
        """Nanoseconds of each of so many requests, all of which must be let in."""
        clock, call, times = time.perf_counter_ns, self.caller, []
        for _ in range(requests):
            start = clock()
            call()
            times.append(clock() - start)
            if call.status != "200 OK":
                raise RuntimeError(f"{self.contestant.name}: {call.status}")
        return times

    def statements(self, requests: int) -> list[str]:
        """Every SQL statement of so many requests."""
        with noted_statements() as seen:
            self.block(requests)
        return seen

    def refused_after(self, patience: float) -> float | None:
        """Seconds until a request is refused, 0 if the first is; None if none was within ``patience``."""
        start = time.monotonic()
        first = True
        while time.monotonic() - start < patience:
            self.caller()
            if self.caller.status != "200 OK":
                return 0.0 if first else time.monotonic() - start
            first = False
            time.sleep(0.01)
        return None


@contextmanager
def noted_statements() -> Iterator[list[str]]:
    """A list to which every SQL statement of this thread is added."""
    from django.db import connection

    seen: list[str] = []

    def note(execute: Callable[..., Any], sql: str, *rest: Any) -> Any:
        seen.append(sql)
        return execute(sql, *rest)

    with connection.execute_wrapper(note):
        yield seen


def _serve(pipe: Any, name: str, place: Place, kind: type[Here]) -> None:
    contestant = BY_NAME[name]
    configure(contestant, place)
    here = kind(contestant)
    while (asked := pipe.recv()) is not None:
        method, arguments = asked
        try:
            pipe.send((True, getattr(here, method)(*arguments)))
        except Exception as error:  # the parent decides what becomes of it
            pipe.send((False, f"{contestant.name}: {method}: {error!r}"))


class There:
    """The parent's end: ``ask`` runs a method of ``Here`` over there and returns its answer."""

    def __init__(self, contestant: Contestant, place: Place, kind: type[Here] = Here) -> None:
        self.contestant = contestant
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(
            target=_serve, args=(theirs, contestant.name, place, kind), daemon=True
        )
        self.process.start()
        theirs.close()

    def ask(self, method: str, *arguments: Any) -> Any:
        self.start(method, *arguments)
        return self.answer()

    def start(self, method: str, *arguments: Any) -> None:
        """As ``ask``, without waiting: ``answer`` has to be called before the next."""
        self.pipe.send((method, arguments))

    def answer(self) -> Any:
        good, answer = self.pipe.recv()
        if not good:
            raise RuntimeError(answer)
        return answer

    def __enter__(self) -> There:
        return self

    def __exit__(self, *error: object) -> None:
        """End it, and so its connections to the database that is about to be dropped."""
        with suppress(OSError):
            self.pipe.send(None)
        self.process.join(10)
        self.process.kill()
        self.pipe.close()


def together(desks: Sequence[There], method: str, *arguments: Any) -> list[Any]:
    """The answers of all, who do it at the same time."""
    for desk in desks:
        desk.start(method, *arguments)
    return [desk.answer() for desk in desks]
