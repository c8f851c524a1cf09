"""Print the tables of docs/rotation-simulation.md."""

from __future__ import annotations

import argparse
import multiprocessing
import time
from collections.abc import Callable
from functools import partial

from benchmarks.rotation_simulation import cases, report
from benchmarks.rotation_simulation.history import Case
from benchmarks.rotation_simulation.tables import Outcomes

#: What simulates a table's sessions, and how many there are in each case.
SIMULATED: dict[str, tuple[Callable[[], list[Case]], Callable[[Outcomes], str], int]] = {
    "honest": (cases.honest_cases, report.honest_table, 34),
    "thieves": (cases.thief_cases, report.thief_table, 50),
    "limits": (cases.limit_cases, report.limit_table, 20),
    "sitters": (cases.sitter_cases, report.sitter_table, 50),
}
SEARCHED: dict[str, Callable[[], str]] = {
    "search": report.search_table,
    "renewals": report.renewal_table,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "tables", nargs="*", help=f"of {', '.join([*SIMULATED, *SEARCHED])}; all if none is named"
    )
    parser.add_argument("--sessions", type=int, help="in each case")
    parser.add_argument("--seed", type=int, default=1, help="the same seed, the same tables")
    given = parser.parse_args()
    for name in given.tables or [*SIMULATED, *SEARCHED]:
        began = time.monotonic()
        print(table(name, given.sessions, given.seed))
        print(f"\n{name}: {time.monotonic() - began:.0f} s\n", flush=True)


def table(name: str, sessions: int | None, seed: int) -> str:
    if name in SEARCHED:
        return SEARCHED[name]()
    wanted, write, usual = SIMULATED[name]
    simulate = partial(cases.simulate, processes=multiprocessing.cpu_count())
    return write(simulate(wanted(), sessions or usual, seed))


if __name__ == "__main__":
    main()
