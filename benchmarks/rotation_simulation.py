"""Replay tabs, a bad network and thieves against three refresh policies, and print who was logged out.

    .venv/bin/python -m benchmarks.rotation_simulation

A discrete-event simulation, one session at a time; no Django, no database. What it models, and what it
leaves out, stands in docs/benchmarks.md. Times are seconds since the login.
"""

from __future__ import annotations

import argparse
import multiprocessing
import time
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
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
START = datetime(2026, 1, 1, tzinfo=UTC)

#: A burst is so many tabs; the bursts are so far apart, at least (no access token lives that long) and
#: on average.
TABS = (1, 12)
GAP_LEAST, GAP_MEAN = 25 * 60.0, 75 * 60.0

Range = tuple[float, float]
#: Drawn from uniformly, in seconds.
LATENCY = (0.01, 0.15)  # one way
DELAY = (2.0, 20.0)  # a delayed response
TAB_STARTS = (0.0, 1.0)  # after its burst began
CALL_AFTER = (0.0, 3.0)  # a page's script calls the API
CLICK_AFTER = (2.0, 300.0)  # the next page in the same tab
RETRY_AFTER = (1.0, 60.0)  # a response was lost, or a page said "conflict"
SHADOW_AFTER = (1.0, 20.0)
LOCKSTEP_AFTER = (1.0, 90.0)  # the grace
THIEF_PERIOD = (15 * 60.0, 60 * 60.0)
HEIR_WAITS = (3600.0, 86400.0)

#: That a lost response is asked for again, and that a page's script uses the access token.
RETRY, CALL = 0.5, 0.6
#: What a loaded page leads to: that its script calls ``refresh/`` right after, and that somebody goes
#: on to another page in that tab.
BEHAVIOR = {"pages": (0.0, 0.0), "scripts": (0.25, 0.0), "browsing": (0.25, 0.2)}


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
        """Take note of the use of an access token that was issued together with ``token``."""


class Strict:
    """Any spent token that comes back ends the session."""

    def __init__(self) -> None:
        self.ended, self.rows, self.newest = False, Counter[str](), 1

    def refresh(self, token: int, now: float) -> int | None:
        if token != self.newest:
            self.ended = True
            return None
        self.newest += 1
        return self.newest

    def use(self, token: int) -> None:
        """Nothing depends on it."""


class MintingGrace(Strict):
    """A spent token buys a new child as long as the grace lasts; after it, it ends the session."""

    def __init__(self) -> None:
        super().__init__()
        self.spent_at: dict[int, float] = {}

    def refresh(self, token: int, now: float) -> int | None:
        if now >= self.spent_at.setdefault(token, now) + GRACE:
            self.ended = True
            return None
        self.newest += 1
        return self.newest


class Authx:
    """``authx.core.rotation.judge``, its changes carried out, and T2."""

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
            assert verdict.end == "reused", "the plan is so long that sessions expire"
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
    """How one session went; ``bursts`` began between the thief's first use and the end."""

    ended_at: float | None
    first_use_at: float | None
    bursts: int
    conflicts: int
    rows: Counter[str]

    @property
    def is_robbed(self) -> bool:
        return self.first_use_at is not None

    @property
    def is_detection(self) -> bool:
        return self.ended_at is not None and self.is_robbed

    @property
    def is_false_logout(self) -> bool:
        return self.ended_at is not None and not self.is_robbed

    @property
    def seconds(self) -> float:
        """How long the thief got away with it."""
        return (self.ended_at or 0.0) - (self.first_use_at or 0.0)


class History:
    """One session from its login until it ends, or past its last burst.

    The browser has one jar: the number of its refresh token, and when the access token beside it
    expires. Every request carries what the jar holds as it leaves, and is judged as it arrives.
    """

    def __init__(self, policy: Policy, tabs: str, thief: str, plan: Plan, number: int) -> None:
        self.policy, self.plan, self.behavior = policy, plan, BEHAVIOR[tabs]
        # The policy is left out: all three are shown the same beginning.
        self.rng = Random(f"{plan.seed} {thief} {number}")
        gaps = (GAP_LEAST + self.rng.expovariate(1 / (GAP_MEAN - GAP_LEAST)) for _ in range(plan.bursts + 1))
        *self.starts, self.over = accumulate(gaps)
        self.theft_burst = self.rng.randrange(ceil(plan.bursts / 4))
        self.now, self.conflicts, self.newest = 0.0, 0, 1
        self.jar, self.loot = (1, ACCESS_LIFETIME), 0
        self.first_use_at: float | None = None
        self.owner_is_gone = False
        #: What the thief is waiting for: any refresh of the owner's, or one that brings a new token.
        self.awaited: str | None = None
        self._agenda: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []
        self._numbers = count()
        for start in self.starts:
            self._at(start, self._burst)
        self._thief = THIEVES[thief](self)
        self._thief_acts()

    def run(self) -> Outcome:
        while self._agenda and not self.policy.ended:
            self.now, _, action, arguments = heappop(self._agenda)
            action(*arguments)
        ended_at = self.now if self.policy.ended else None
        since = self.now if self.first_use_at is None else self.first_use_at
        bursts = bisect_right(self.starts, self.now) - bisect_right(self.starts, since)
        return Outcome(ended_at, self.first_use_at, bursts, self.conflicts, self.policy.rows)

    def within(self, seconds: Range) -> float:
        return self.now + self.rng.uniform(*seconds)

    def _at(self, when: float, action: Callable[..., None], *arguments: Any) -> None:
        heappush(self._agenda, (when, next(self._numbers), action, arguments))

    def _after(self, seconds: Range, action: Callable[..., None], *arguments: Any) -> None:
        self._at(self.within(seconds), action, *arguments)

    def _burst(self) -> None:
        if not self.owner_is_gone:
            for _ in range(self.rng.randint(*TABS)):
                self._after(TAB_STARTS, self._send, "page")

    def _send(self, kind: str, tries: int = 0) -> None:
        """Ask for a ``page``, ``call`` the API or ``refresh``; what needs no renewal gets none."""
        token, fresh_until = self.jar
        if kind != "refresh" and self.now < fresh_until:
            self._after(LATENCY, self._serve, kind, token)
        else:
            self._after(LATENCY, self._renew, kind, token, tries)

    def _serve(self, kind: str, token: int) -> None:
        self.policy.use(token)
        self._after(LATENCY, self._load, kind)

    def _renew(self, kind: str, token: int, tries: int) -> None:
        issued = self.policy.refresh(token, self.now)
        if self.policy.ended:
            return
        if issued is None:
            self._refuse(kind, tries)
        else:
            self._respond(kind, issued)
        self._wake_thief(issued)

    def _refuse(self, kind: str, tries: int) -> None:
        """A page in conflict is redirected to itself once; then its reader tries again, once."""
        self.conflicts += 1
        if kind == "page" and tries < 2:
            self._after(RETRY_AFTER if tries else LATENCY, self._send, kind, tries + 1)

    def _respond(self, kind: str, issued: int) -> None:
        luck = self.rng.random()
        if luck >= self.plan.lost:
            is_late = luck < self.plan.lost + self.plan.delayed
            cookies = (issued, self.now + ACCESS_LIFETIME)
            self._after(DELAY if is_late else LATENCY, self._arrive, kind, cookies)
        elif self.rng.random() < RETRY:
            self._after(RETRY_AFTER, self._send, kind)

    def _arrive(self, kind: str, cookies: tuple[int, float]) -> None:
        self.jar = cookies  # the last to arrive wins, whichever was issued last
        self._load(kind)

    def _load(self, kind: str) -> None:
        if kind != "page":
            return
        refresh, click = self.behavior
        if self.rng.random() < refresh:
            self._after(LATENCY, self._send, "refresh")
        if self.rng.random() < CALL:
            self._after(CALL_AFTER, self._send, "call")
        if self.rng.random() < click:
            self._after(CLICK_AFTER, self._send, "page")

    def _thief_acts(self) -> None:
        """Let the thief go on until he waits, for a time or for a refresh of the owner's."""
        awaited = next(self._thief, self.over)
        if isinstance(awaited, str):
            self.awaited = awaited
        elif awaited < self.over:
            self._at(awaited, self._thief_acts)

    def _wake_thief(self, issued: int | None) -> None:
        is_new = issued is not None and issued > self.newest
        self.newest = max(self.newest, issued or 0)
        if self.awaited == "refresh" or (self.awaited == "rotation" and is_new):
            self.awaited = None
            self._after(SHADOW_AFTER, self._thief_acts)

    def quiet_moment(self, burst: int) -> float:
        """Some time when nothing is under way between a burst and the next."""
        burst = min(burst, len(self.starts) - 1)
        return self.rng.uniform(self.starts[burst] + GAP_LEAST / 2, [*self.starts, self.over][burst + 1])

    def steal(self) -> None:
        self.loot, _ = self.jar

    def use_loot(self, *, quietly: bool = False) -> None:
        """Refresh the loot over a perfect line; ``quietly``: the issuer never sees the access token."""
        if self.first_use_at is None:
            self.first_use_at = self.now
        issued = self.policy.refresh(self.loot, self.now)
        if issued is not None:
            self.loot = issued
            self.newest = max(self.newest, issued)
            if not quietly:
                self.policy.use(issued)


#: Yields when to go on: a time, or what the owner shall have done.
Thief = Iterator["float | str"]


def nobody(history: History) -> Thief:
    yield from ()


def at_once(history: History) -> Thief:
    """Copies the jar between two bursts, refreshes at once, and again whenever the token expires."""
    yield history.quiet_moment(history.theft_burst)
    history.steal()
    yield from _live_on_loot(history)


def later(history: History) -> Thief:
    """As ``at_once``, but sits on the copy for one to ten bursts."""
    yield history.quiet_moment(history.theft_burst)
    history.steal()
    yield history.quiet_moment(history.theft_burst + history.rng.randint(1, 10))
    yield from _live_on_loot(history)


def lockstep(history: History) -> Thief:
    """Refreshes once after every burst, and shows the access tokens to other services only."""
    yield history.quiet_moment(history.theft_burst)
    history.steal()
    for start in history.starts[history.theft_burst + 1 :]:
        history.use_loot(quietly=True)
        yield start + GRACE + history.rng.uniform(*LOCKSTEP_AFTER)


def shadow(history: History) -> Thief:
    """Refreshes soon after each refresh of the owner's; cannot tell which of them rotated."""
    yield from _follow(history, "refresh")


def perfect_shadow(history: History) -> Thief:
    """Sees every rotation as it happens and joins it within its grace: needs a foot in the door."""
    yield from _follow(history, "rotation")


def in_grace(history: History) -> Thief:
    """Copies the jar in the midst of a burst, races the owner within the grace, and lives on it."""
    yield history.starts[history.theft_burst] + history.rng.uniform(1, 25)
    history.steal()
    yield from _live_on_loot(history)


def heir(history: History) -> Thief:
    """Uses the copy only after the owner has gone for good."""
    yield history.quiet_moment(history.theft_burst)
    history.steal()
    history.owner_is_gone = True
    yield history.within(HEIR_WAITS)
    yield from _live_on_loot(history)


def _live_on_loot(history: History) -> Thief:
    while True:
        history.use_loot()
        yield history.within(THIEF_PERIOD)


def _follow(history: History, what: str) -> Thief:
    yield history.quiet_moment(history.theft_burst)
    history.steal()
    while True:
        yield what
        history.use_loot()


THIEVES: dict[str, Callable[[History], Thief]] = {
    "none": nobody,
    "at-once": at_once,
    "later": later,
    "lockstep": lockstep,
    "shadow": shadow,
    "perfect-shadow": perfect_shadow,
    "in-grace": in_grace,
    "heir": heir,
}

#: Policy, tabs, thief.
Case = tuple[str, str, str]


def cases(thieves: Iterable[str]) -> list[Case]:
    """Without a thief every behavior is replayed, with one the liveliest alone."""
    return [
        (policy, tabs, thief)
        for thief in thieves
        for tabs in (BEHAVIOR if thief == "none" else ["browsing"])
        for policy in POLICIES
    ]


def replay(case: Case, plan: Plan, numbers: Iterable[int]) -> list[Outcome]:
    """The outcomes of these sessions of the plan."""
    policy, tabs, thief = case
    return [History(POLICIES[policy](), tabs, thief, plan, number).run() for number in numbers]


def simulate(wanted: Iterable[Case], plan: Plan, *, processes: int) -> dict[Case, list[Outcome]]:
    """Replay the plan in every case; the number of processes changes the duration alone."""
    chunks = [range(plan.sessions)[first : first + 50] for first in range(0, plan.sessions, 50)]
    jobs = [(case, plan, chunk) for case in wanted for chunk in chunks]
    outcomes: dict[Case, list[Outcome]] = {}
    with multiprocessing.Pool(processes) as pool:
        for (case, _, _), some in zip(jobs, pool.starmap(replay, jobs, chunksize=1), strict=True):
            outcomes.setdefault(case, []).extend(some)
    return outcomes


def share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %" if whole else "-"


def spread(values: list[float]) -> str:
    """Median and 95th percentile."""
    if not values:
        return "-"
    return f"{median(values):,.0f} / {sorted(values)[ceil(0.95 * len(values)) - 1]:,.0f}"


def honest_line(case: Case, outcomes: list[Outcome]) -> list[str]:
    policy, tabs, _ = case
    lost = sum(outcome.is_false_logout for outcome in outcomes)
    conflicts = sum(outcome.conflicts for outcome in outcomes)
    return [tabs, policy, f"{len(outcomes):,}", f"{lost:,}", share(lost, len(outcomes)), f"{conflicts:,}"]


def robbed_line(case: Case, outcomes: list[Outcome]) -> list[str]:
    policy, _, thief = case
    robbed = sum(outcome.is_robbed for outcome in outcomes)
    found = [outcome for outcome in outcomes if outcome.is_detection]
    return [
        thief,
        policy,
        f"{robbed:,}",
        share(len(found), robbed),
        spread([outcome.bursts for outcome in found]),
        spread([outcome.seconds for outcome in found]),
        f"{sum(outcome.is_false_logout for outcome in outcomes):,}",
    ]


HONEST = ["tabs", "policy", "sessions", "logged out falsely", "share", "conflicts"]
ROBBED = ["thief", "policy", "robbed", "detected", "after bursts", "after seconds", "logged out falsely"]


def markdown(head: list[str], lines: list[list[str]]) -> str:
    """A table of two columns of words and then numbers."""
    rule = ["---", "---", *(["---:"] * (len(head) - 2))]
    return "\n".join(f"| {' | '.join(line)} |" for line in [head, rule, *lines])


def report(outcomes: dict[Case, list[Outcome]]) -> str:
    """The tables, and which rows of the state machine the honest sessions met."""
    honest = [honest_line(case, found) for case, found in outcomes.items() if case[2] == "none"]
    robbed = [robbed_line(case, found) for case, found in outcomes.items() if case[2] != "none"]
    parts = [markdown(head, lines) for head, lines in ((HONEST, honest), (ROBBED, robbed)) if lines]
    for (policy, tabs, thief), found in outcomes.items():
        if policy == "authx" and thief == "none":
            rows = sum((outcome.rows for outcome in found), Counter[str]())
            told = ", ".join(f"{row} {times:,}" for row, times in sorted(rows.items()))
            parts.append(f"Rows that decided ({tabs}, no thief): {told}.")
    return "\n\n".join(parts)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__.partition("\n")[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    plan = Plan()
    parser.add_argument("--sessions", type=int, default=plan.sessions, help="in each case")
    parser.add_argument("--bursts", type=int, default=plan.bursts, help="in each session")
    parser.add_argument("--lost", type=float, default=plan.lost, help="share of responses")
    parser.add_argument("--delayed", type=float, default=plan.delayed, help="share of responses")
    parser.add_argument("--seed", type=int, default=plan.seed, help="the same seed, the same tables")
    parser.add_argument("--thief", choices=[*THIEVES, "all"], default="all", help="one kind alone")
    given = vars(parser.parse_args())
    thief = given.pop("thief")
    began = time.monotonic()
    wanted = cases(THIEVES if thief == "all" else [thief])
    print(report(simulate(wanted, Plan(**given), processes=multiprocessing.cpu_count())))
    print(f"\n{Plan(**given)}: {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
