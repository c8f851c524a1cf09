"""The way of requests and answers: how long they take, and which are lost, late or doubled."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

#: Drawn from uniformly, in seconds.
Range = tuple[float, float]

LATENCY: Range = (0.01, 0.15)  # one way


@dataclass(frozen=True, slots=True)
class Network:
    """Shares are of the answers that set cookies, and of the requests for them; times in seconds.

    ``outage``: once, beginning in a visit, requests arrive for so long and no answer comes back.
    """

    lost: float = 0.0
    delayed: float = 0.0
    delay: Range = (2.0, 20.0)
    doubled: float = 0.0
    doubled_after: Range = (0.05, 5.0)
    outage: float = 0.0

    def request_times(self, rng: Random) -> list[float]:
        """Seconds until the server has it: once, or twice where something on the way repeats it."""
        times = [rng.uniform(*LATENCY)]
        if rng.random() < self.doubled:
            times.append(times[0] + rng.uniform(*self.doubled_after))
        return times

    def answer_time(self, rng: Random) -> float | None:
        """Seconds until the client has it; None if it never does."""
        luck = rng.random()
        if luck < self.lost:
            return None
        return rng.uniform(*(self.delay if luck < self.lost + self.delayed else LATENCY))


NETWORKS = {
    "perfect": Network(),
    "usual": Network(lost=0.02, delayed=0.05, doubled=0.01),
    "slow": Network(lost=0.05, delayed=0.2, delay=(2.0, 60.0), doubled=0.02),
    "loses 10 %": Network(lost=0.1, delayed=0.05, doubled=0.02),
    "loses 30 %": Network(lost=0.3, delayed=0.05, doubled=0.02),
    "worst": Network(lost=0.1, delayed=0.3, delay=(2.0, 90.0), doubled=0.1, doubled_after=(0.05, 90.0)),
    "out 5 min": Network(lost=0.02, delayed=0.05, outage=5 * 60.0),
    "out 30 min": Network(lost=0.02, delayed=0.05, outage=30 * 60.0),
    "out 59 min": Network(lost=0.02, delayed=0.05, outage=59 * 60.0),
}
