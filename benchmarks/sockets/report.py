"""The figures as tables, and the targets beside them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from benchmarks.sockets.closing import Endings, Everyone, Races
from benchmarks.sockets.opening import Burst, Idle, Turnover

#: Seconds: of the 99th percentile of closes, and of any; for all to be closed, and for all to come back.
P99, LONGEST, EVERYONE, RECONNECTED = 0.6, 1.0, 1.0, 5.0
#: Percent of a core; how far apart few sockets and many may be; KiB a socket over the bare app; MiB in all.
IDLE_CPU, SAME_CPU, MEMORY, GROWTH = 1.0, 0.2, 16.0, 2.0


@dataclass
class Target:
    """Something that must hold, and whether it did."""

    what: str
    found: str
    is_met: bool


@dataclass
class Store:
    """What was measured with one store."""

    name: str
    idle: Idle
    endings: Endings
    everyone: Everyone

    def targets(self, bare: Idle) -> list[Target]:
        _median, p99, longest = self.endings.cuts
        few, many = self.idle.few_cpu, self.idle.cpu
        return [
            Target(
                f"{self.name}: closed within {P99:g} s (p99), {LONGEST:g} s (all); none lost, nobody else",
                f"{p99:.2f} s, {longest:.2f} s; {self.endings.lost}, {self.endings.wrong}",
                p99 <= P99 and longest <= LONGEST and not self.endings.lost and not self.endings.wrong,
            ),
            Target(
                f"{self.name}: all closed within {EVERYONE:g} s by `end_everyone`",
                f"{self.everyone.closed:.2f} s, {self.everyone.lost} lost",
                self.everyone.closed <= EVERYONE and not self.everyone.lost,
            ),
            Target(
                f"{self.name}: at most {IDLE_CPU:g} % of a core while idle, the same for few and many",
                f"{few:.2f} %, {many:.2f} %",
                max(few, many) <= IDLE_CPU and abs(few - many) <= SAME_CPU,
            ),
            Target(
                f"{self.name}: at most {MEMORY:g} KiB a socket over the bare app",
                f"{self.idle.memory - bare.memory:.1f} KiB",
                self.idle.memory - bare.memory <= MEMORY,
            ),
        ]


def load() -> str:
    return f"load {os.getloadavg()[0]:.1f}"


def row(*cells: object) -> str:
    return f"| {' | '.join(str(cell) for cell in cells)} |"


IDLE_HEAD = """\
| | idle CPU, few | all | a socket | closed, ms: p50 | p99 | max | lost, wrong | everybody | call | a close |
| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"""


def bare_line(idle: Idle) -> str:
    cpu = f"{idle.few_cpu:.2f} %", f"{idle.cpu:.2f} %"
    return row("bare echo app", *cpu, f"{idle.memory:.1f} KiB", *["-"] * 7)


def store_line(store: Store) -> str:
    idle, found, everyone = store.idle, store.endings, store.everyone
    return row(
        f"{store.name} ({load()})",
        f"{idle.few_cpu:.2f} %",
        f"{idle.cpu:.2f} %",
        f"{idle.memory:.1f} KiB",
        *(f"{1000 * seconds:.0f}" for seconds in found.cuts),
        f"{found.lost}, {found.wrong}",
        f"{everyone.closed:.2f} s" + (f", {everyone.lost} LOST" if everyone.lost else ""),
        f"{everyone.returned:.2f} s",
        f"{everyone.server_ms:.2f} ms",
    )


BURST_HEAD = """\
| handshakes at once | took s, each round | server CPU, each handshake | client CPU | answers |
| --- | ---: | ---: | ---: | --- |"""


def burst_line(name: str, bursts: Sequence[Burst]) -> str:
    statuses = {status for found in bursts for status in found.statuses}
    answers = [f"{sum(found.statuses.get(one, 0) for found in bursts):,} x {one}" for one in sorted(statuses)]
    return row(
        f"{name} ({load()})",
        ", ".join(f"{found.seconds:.2f}" for found in bursts),
        f"{median(found.server_ms for found in bursts):.2f} ms",
        f"{median(found.client_ms for found in bursts):.2f} ms",
        ", ".join(answers),
    )


def burst_target(bursts: Sequence[Burst], number: int) -> Target:
    took = median(found.seconds for found in bursts)
    failed = sum(count for found in bursts for status, count in found.statuses.items() if status != 101)
    return Target(
        f"{number:,} come back within {RECONNECTED:g} s (median of the rounds), and none is refused",
        f"{took:.2f} s, {failed} refused",
        took <= RECONNECTED and not failed,
    )


def races_line(name: str, found: Races) -> str:
    outcomes = "; ".join(f"{outcome}: {count}" for outcome, count in sorted(found.outcomes.items()))
    return f"{name} ({load()}): {outcomes}."


def races_target(name: str, found: Races) -> Target:
    number = sum(found.outcomes.values())
    strange = [one for one in found.outcomes if not one.endswith(("closed", "refused"))]
    both = all(any(one.startswith(order) for one in found.outcomes) for order in ("opened", "ended"))
    return Target(
        f"{name}: of {number:,} handshakes that race an ending, in both orders, none is left open",
        f"{found.left_open} left open" + ("" if both else "; ONE ORDER ALONE"),
        not found.left_open and not strange and both,
    )


def turnover_line(name: str, found: Turnover) -> str:
    eighth = len(found.memory) // 8
    memory = ", ".join(f"{one:.1f}" for one in found.memory[eighth - 1 :: eighth])
    return f"{name} ({load()}), {found.number:,} opened and closed: {memory} MiB."


def turnover_target(found: Turnover) -> Target:
    return Target(
        f"memory grows by at most {GROWTH:g} MiB in the second half of {found.number:,} sockets",
        f"{found.growth:+.1f} MiB",
        found.growth <= GROWTH,
    )


def targets_table(targets: Sequence[Target]) -> str:
    lines = [row(one.what, one.found, "met" if one.is_met else "MISSED") for one in targets]
    return "\n".join(["| target | found | |", "| --- | ---: | --- |", *lines])
