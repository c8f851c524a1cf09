"""Replay tabs, a bad network and thieves against three refresh policies, and print who was logged out.

    .venv/bin/python -m benchmarks.rotation_simulation

A discrete-event simulation of one session at a time; no Django, no database. What it models, and what
it leaves out, stands in docs/benchmarks.md. Times are seconds since the login.
"""

from __future__ import annotations

import argparse
import multiprocessing
import time
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from heapq import heappop, heappush
from itertools import accumulate, count
from math import ceil
from random import Random
from statistics import median
from typing import Any, Protocol

from authx.core.rotation import RotationState, judge

GRACE = 30.0
ACCESS_LIFETIME = 15 * 60.0
IDLE_LIFETIME = timedelta(days=7)
SESSION_LIFETIME = timedelta(days=30)

#: Ranges that are drawn from uniformly, in seconds.
LATENCY = (0.01, 0.15)  # one way
DELAY = (2.0, 20.0)  # a delayed response
TAB_STARTS = (0.0, 1.0)  # after its burst began
CALL_AFTER = (0.0, 3.0)  # a page's script calls the API
CLICK_AFTER = (2.0, 300.0)  # the next page in the same tab
RETRY_AFTER = (1.0, 60.0)  # a response was lost, or a page said "conflict"
THIEF_PERIOD = (15 * 60.0, 60 * 60.0)

#: Chances.
RETRY = 0.5  # that a lost response is asked for again
SCRIPT_REFRESH = 0.25  # that a page's script calls refresh/ right after it has loaded
SCRIPT_CALL = 0.6  # that it calls the API
CLICK = 0.2  # that a page is followed by another one

TABS = (1, 12)
#: Bursts are this far apart at least, so that the access token has expired, and on average.
GAP_LEAST, GAP_MEAN = 25 * 60.0, 75 * 60.0

START = datetime(2026, 1, 1, tzinfo=UTC)
Cookies = tuple[int, float]  # the token's number, and when the access token beside it expires


@dataclass(frozen=True, slots=True)
class Plan:
    """What is replayed; ``lost`` and ``delayed`` are shares of the responses that set cookies."""

    sessions: int = 2000
    bursts: int = 60
    lost: float = 0.02
    delayed: float = 0.05
    seed: int = 1


class Policy(Protocol):
    """The server's side of one session, which opens with token 1 at second 0."""

    ended: bool
    rows: Counter[str]

    def refresh(self, token: int, now: float) -> int | None:
        """Return the token to hand out; None refuses, and may have ended the session."""

    def use(self, token: int) -> None:
        """Take note of an access token that was issued together with ``token``."""


class Strict:
    """Any spent token that comes back ends the session."""

    def __init__(self) -> None:
        self.ended, self.rows, self.current = False, Counter[str](), 1

    def refresh(self, token: int, now: float) -> int | None:
        if token != self.current:
            self.ended = True
            return None
        self.current += 1
        return self.current

    def use(self, token: int) -> None:
        """Nothing depends on it."""


class MintingGrace(Strict):
    """A spent token buys a new child for as long as the grace lasts, then ends the session."""

    def __init__(self) -> None:
        super().__init__()
        self.spent_at: dict[int, float] = {}

    def refresh(self, token: int, now: float) -> int | None:
        if now >= self.spent_at.setdefault(token, now) + GRACE:
            self.ended = True
            return None
        self.current += 1
        return self.current


class Authx:
    """``authx.core.rotation.judge``, its changes written down, and T2."""

    def __init__(self) -> None:
        self.ended, self.rows = False, Counter[str]()
        self.state = RotationState(
            generation=1,
            confirmed_generation=0,
            rotated_at=START,
            idle_expires_at=START + IDLE_LIFETIME,
            expires_at=START + SESSION_LIFETIME,
        )

    def refresh(self, token: int, now: float) -> int | None:
        at = START + timedelta(seconds=now)
        verdict = judge(self.state, token, now=at, grace=timedelta(seconds=GRACE), idle=IDLE_LIFETIME)
        self.rows[verdict.row.value] += 1
        if verdict.changes:
            self.state = replace(self.state, **verdict.changes)
        if verdict.end:
            assert verdict.end == "reused", "no history is long enough to expire"
            self.ended = True
        return verdict.issue

    def use(self, token: int) -> None:
        if token == self.state.generation and self.state.is_pending:
            self.state = replace(self.state, confirmed_generation=token)


POLICIES: dict[str, Callable[[], Policy]] = {
    "strict": Strict,
    "minting grace": MintingGrace,
    "authx": Authx,
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one history went; ``bursts`` began between the thief's first use and the end."""

    ended_at: float | None
    first_use_at: float | None
    bursts: int
    conflicts: int
    rows: Counter[str]

    @property
    def is_detection(self) -> bool:
        return self.ended_at is not None and self.first_use_at is not None

    @property
    def is_false_logout(self) -> bool:
        return self.ended_at is not None and self.first_use_at is None


class History:
    """One session from its login to its end, or past its last burst.

    The browser keeps one jar, a thief his loot; whatever they send is judged when it arrives.
    """

    def __init__(self, policy: Policy, thief: str, plan: Plan, number: int) -> None:
        self.policy, self.plan = policy, plan
        # The same for every policy: all are shown the same beginning.
        self.rng = Random(f"{plan.seed} {thief} {number}")
        gaps = [GAP_LEAST + self.rng.expovariate(1 / (GAP_MEAN - GAP_LEAST)) for _ in range(plan.bursts + 1)]
        *self.starts, self.over = accumulate(gaps)
        self.theft_burst = self.rng.randrange(max(1, plan.bursts // 4))
        self.now, self.conflicts = 0.0, 0
        self.jar: Cookies = (1, ACCESS_LIFETIME)
        self.loot = 0
        self.first_use_at: float | None = None
        self.owner_is_gone = self.thief_waits = False
        self._agenda: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []
        self._numbers = count()
        for start in self.starts:
            self.at(start, self.burst)
        self.thief = THIEVES[thief](self)
        self.thief_acts()

    def run(self) -> Outcome:
        while self._agenda and not self.policy.ended:
            self.now, _, action, arguments = heappop(self._agenda)
            action(*arguments)
        ended_at = self.now if self.policy.ended else None
        began = self.now if self.first_use_at is None else self.first_use_at
        bursts = bisect_right(self.starts, self.now) - bisect_right(self.starts, began)
        return Outcome(ended_at, self.first_use_at, bursts, self.conflicts, self.policy.rows)

    def at(self, when: float, action: Callable[..., None], *arguments: Any) -> None:
        heappush(self._agenda, (when, next(self._numbers), action, arguments))

    def after(self, seconds: tuple[float, float], action: Callable[..., None], *arguments: Any) -> None:
        self.at(self.now + self.rng.uniform(*seconds), action, *arguments)

    def burst(self) -> None:
        if not self.owner_is_gone:
            for _ in range(self.rng.randint(*TABS)):
                self.after(TAB_STARTS, self.send, "page")

    def send(self, kind: str, tries: int = 0) -> None:
        """Send a page's, an API call's or ``refresh/``'s request with the cookies of this moment."""
        token, fresh_until = self.jar
        if kind != "refresh" and self.now < fresh_until:
            self.after(LATENCY, self.serve_fresh, kind, token)
        else:
            self.after(LATENCY, self.renew, kind, token, tries)

    def serve_fresh(self, kind: str, token: int) -> None:
        self.policy.use(token)
        self.after(LATENCY, self.load, kind)

    def renew(self, kind: str, token: int, tries: int) -> None:
        issued = self.policy.refresh(token, self.now)
        if self.thief_waits:
            self.thief_waits = False
            self.after((1.0, 20.0), self.thief_acts)
        if issued is None:
            self.conflict(kind, tries)
            return
        luck = self.rng.random()
        if luck >= self.plan.lost:
            late = luck < self.plan.lost + self.plan.delayed
            cookies = (issued, self.now + ACCESS_LIFETIME)
            self.after(DELAY if late else LATENCY, self.arrive, kind, cookies)
        elif self.rng.random() < RETRY:
            self.after(RETRY_AFTER, self.send, kind)

    def conflict(self, kind: str, tries: int) -> None:
        """A page is redirected to itself once; its reader then tries again, once."""
        self.conflicts += 1
        if kind == "page" and tries < 2:
            self.after(RETRY_AFTER if tries else LATENCY, self.send, kind, tries + 1)

    def arrive(self, kind: str, cookies: Cookies) -> None:
        self.jar = cookies  # the last to arrive wins, whatever was issued last
        self.load(kind)

    def load(self, kind: str) -> None:
        if kind != "page":
            return
        if self.rng.random() < SCRIPT_REFRESH:
            self.after(LATENCY, self.send, "refresh")
        if self.rng.random() < SCRIPT_CALL:
            self.after(CALL_AFTER, self.send, "call")
        if self.rng.random() < CLICK:
            self.after(CLICK_AFTER, self.send, "page")

    def thief_acts(self) -> None:
        """Go on with the thief until he waits: for a moment, or (None) for the owner's next refresh."""
        when = next(self.thief, self.over)
        if when is None:
            self.thief_waits = True
        elif when < self.over:
            self.at(when, self.thief_acts)

    def quiet_moment(self, burst: int) -> float:
        """Some time after a burst, when nothing is under way, and before the next one."""
        until = self.starts[burst + 1] if burst + 1 < len(self.starts) else self.over
        return self.rng.uniform(self.starts[min(burst, len(self.starts) - 1)] + GAP_LEAST / 2, until)

    def steal(self) -> None:
        self.loot = self.jar[0]

    def use_loot(self, *, quietly: bool = False) -> None:
        """Refresh the loot over a perfect line; ``quietly``: the issuer never sees the access token."""
        if self.first_use_at is None:
            self.first_use_at = self.now
        issued = self.policy.refresh(self.loot, self.now)
        if issued is not None:
            self.loot = issued
            if not quietly:
                self.policy.use(issued)


Thief = Iterator["float | None"]


def nobody(history: History) -> Thief:
    yield from ()


def at_once(history: History) -> Thief:
    """Copies the jar between two bursts, refreshes at once and lives on it."""
    yield history.quiet_moment(history.theft_burst)
    history.steal()
    yield from _live_on(history)


def later(history: History) -> Thief:
    """As ``at_once``, but sits on the copy for one to ten bursts."""
    yield history.quiet_moment(history.theft_burst)
    history.steal()
    yield history.quiet_moment(history.theft_burst + history.rng.randint(1, 10))
    yield from _live_on(history)


def lockstep(history: History) -> Thief:
    """Refreshes once after each burst, and shows the access tokens to other services only."""
    yield history.quiet_moment(history.theft_burst)
    history.steal()
    for start in history.starts[history.theft_burst + 1 :]:
        history.use_loot(quietly=True)
        yield start + GRACE + history.rng.uniform(1, 90)


def shadow(history: History) -> Thief:
    """Sees every refresh of the owner as it happens, and repeats it within the grace."""
    yield history.quiet_moment(history.theft_burst)
    history.steal()
    while True:
        yield None
        history.use_loot()


def in_grace(history: History) -> Thief:
    """Copies the jar in the midst of a burst, races the owner within the grace, and lives on it."""
    yield history.starts[history.theft_burst] + history.rng.uniform(1, 25)
    history.steal()
    yield from _live_on(history)


def heir(history: History) -> Thief:
    """Uses the copy only after the owner has gone for good."""
    yield history.quiet_moment(history.theft_burst)
    history.steal()
    history.owner_is_gone = True
    yield history.now + history.rng.uniform(3600, 86400)
    yield from _live_on(history)


def _live_on(history: History) -> Thief:
    while True:
        history.use_loot()
        yield history.now + history.rng.uniform(*THIEF_PERIOD)


THIEVES: dict[str, Callable[[History], Thief]] = {
    "none": nobody,
    "at-once": at_once,
    "later": later,
    "lockstep": lockstep,
    "shadow": shadow,
    "in-grace": in_grace,
    "heir": heir,
}


@dataclass(slots=True)
class Tally:
    """The outcomes of one policy against one thief."""

    outcomes: list[Outcome] = field(default_factory=list)

    @property
    def false_logouts(self) -> int:
        return sum(outcome.is_false_logout for outcome in self.outcomes)

    @property
    def robbed(self) -> int:
        return sum(outcome.first_use_at is not None for outcome in self.outcomes)

    @property
    def detections(self) -> list[Outcome]:
        return [outcome for outcome in self.outcomes if outcome.is_detection]

    @property
    def conflicts(self) -> int:
        return sum(outcome.conflicts for outcome in self.outcomes)

    @property
    def rows(self) -> Counter[str]:
        return sum((outcome.rows for outcome in self.outcomes), Counter[str]())


Job = tuple[str, str, Plan, range]


def replay(job: Job) -> list[Outcome]:
    """The outcomes of some sessions, by policy and thief."""
    policy, thief, plan, numbers = job
    return [History(POLICIES[policy](), thief, plan, number).run() for number in numbers]


def simulate(plan: Plan, thieves: Iterable[str], *, processes: int = 1) -> dict[tuple[str, str], Tally]:
    """Replay the plan for every policy and thief; the number of processes changes nothing else."""
    chunks = [range(plan.sessions)[first : first + 50] for first in range(0, plan.sessions, 50)]
    jobs: list[Job] = [(policy, thief, plan, c) for thief in thieves for policy in POLICIES for c in chunks]
    if processes == 1:
        results = list(map(replay, jobs))
    else:
        with multiprocessing.Pool(processes) as pool:
            results = pool.map(replay, jobs, chunksize=1)
    tallies: dict[tuple[str, str], Tally] = defaultdict(Tally)
    for (policy, thief, _, _), outcomes in zip(jobs, results, strict=True):
        tallies[policy, thief].outcomes += outcomes
    return dict(tallies)


def share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %" if whole else "-"


def spread(values: list[float]) -> str:
    """Median and 95th percentile."""
    if not values:
        return "-"
    return f"{median(values):,.0f} / {sorted(values)[ceil(0.95 * len(values)) - 1]:,.0f}"


def markdown(*lines: tuple[object, ...]) -> str:
    """A table; its first column is text, the others are numbers."""
    head, *body = (f"| {' | '.join(str(cell) for cell in line)} |" for line in lines)
    rule = "| --- |" + " ---: |" * (len(lines[0]) - 1)
    return "\n".join([head, rule, *body])


def report(tallies: dict[tuple[str, str], Tally]) -> str:
    """The tables that the arguments asked for."""
    honest = [("policy, no thief", "sessions", "logged out falsely", "share", "conflicts")]
    robbed = [
        (
            "policy, thief",
            "robbed",
            "detected",
            "bursts: median / p95",
            "seconds: median / p95",
            "false logouts",
        )
    ]
    for (policy, thief), tally in sorted(tallies.items(), key=lambda item: list(POLICIES).index(item[0][0])):
        sessions, false_logouts = len(tally.outcomes), tally.false_logouts
        if thief == "none":
            conflicts = f"{tally.conflicts:,}"
            honest.append(
                (policy, f"{sessions:,}", f"{false_logouts:,}", share(false_logouts, sessions), conflicts)
            )
            continue
        found = tally.detections
        bursts = spread([outcome.bursts for outcome in found])
        seconds = spread([outcome.ended_at - outcome.first_use_at for outcome in found])
        robbed.append(
            (
                f"{policy}, {thief}",
                tally.robbed,
                share(len(found), tally.robbed),
                bursts,
                seconds,
                false_logouts,
            )
        )
    return "\n\n".join(markdown(*lines) for lines in (honest, robbed) if len(lines) > 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    for name, value in Plan().__dataclass_fields__.items():
        kind = type(value.default)
        parser.add_argument(f"--{name}", type=kind, default=value.default)
    parser.add_argument("--thief", choices=[*THIEVES, "all"], default="all")
    given = vars(parser.parse_args())
    thief = given.pop("thief")
    began = time.monotonic()
    tallies = simulate(
        Plan(**given),
        THIEVES if thief == "all" else [thief],
        processes=multiprocessing.cpu_count(),
    )
    print(report(tallies))
    if honest := tallies.get(("authx", "none")):
        rows = ", ".join(f"{row} {times:,}" for row, times in sorted(honest.rows.items()))
        print(f"\nauthx, no thief, decided: {rows}.")
    print(f"\n{Plan(**given)}, {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
