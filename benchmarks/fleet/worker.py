"""One worker of a fleet: a process that answers what it is sent, at the moments it is sent."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence

from benchmarks.peers.many import Pool
from benchmarks.peers.process import Caller, Here


class Worker(Here):
    """Answers requests of sessions that all workers of its fleet serve."""

    def fill(self, sessions: int) -> list[dict[str, str]]:
        """Make the sessions; the headers of each."""
        pool = Pool(self.contestant.kind, sessions, f"{self.contestant.name} {os.getpid()}")
        return [pool.headers(place) for place in range(sessions)]

    def open(self, headers: list[dict[str, str]]) -> None:
        self.open_connection()
        self.caller, self.headers = Caller("/hello/"), headers

    def meet(self) -> None:
        """Answer each session once, as it comes to a worker that has just started."""
        for one in self.headers:
            self.caller.took(one)

    def serve(self, turns: Sequence[tuple[float, int]], begin: float) -> int:
        """Answer the sessions at those places, each so many seconds after ``begin``; return how many."""
        for seconds, place in turns:
            time.sleep(max(0.0, begin + seconds - time.monotonic()))
            self.caller.took(self.headers[place])
        return len(turns)
