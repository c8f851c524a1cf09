"""Which sessions are simulated for which question."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterable
from itertools import product

from benchmarks.rotation_simulation.habits import HABITS, STYLES
from benchmarks.rotation_simulation.history import Case, History
from benchmarks.rotation_simulation.outcome import Outcome
from benchmarks.rotation_simulation.server import DAY, Settings
from benchmarks.rotation_simulation.servers import SERVERS
from benchmarks.rotation_simulation.thieves import THIEVES

MINUTE = 60.0
#: Access lifetime and grace, in seconds.
USUAL = (15 * MINUTE, 30.0)
CLOCKS = list(product((MINUTE, 15 * MINUTE, DAY), (5.0, 30.0, 120.0)))

#: Thieves who take their time until the owner has gone for good; one who keeps coming back; all others.
ALONE = ("sitter", "patient sitter", "heir")
AGAIN = ("copying again",)
BESIDE = tuple(thief for thief in THIEVES if thief not in ("nobody", *ALONE, *AGAIN))

#: A network, the access lifetime and the grace.
HONEST = [
    ("usual", *USUAL),
    *(("usual", *clocks) for clocks in ((MINUTE, 30.0), (MINUTE, 120.0), (15 * MINUTE, 5.0), (DAY, 30.0))),
    *((name, *USUAL) for name in ("loses 10 %", "loses 30 %", "out 5 min", "out 30 min", "out 59 min")),
    *(("slow", *clocks) for clocks in (USUAL, (MINUTE, 30.0), (MINUTE, 120.0))),
    *(("worst", *clocks) for clocks in ((15 * MINUTE, 120.0), (MINUTE, 120.0))),
]


def honest_cases(servers: Iterable[str] = SERVERS) -> list[Case]:
    """Nobody has a copy; strict and minting rules are shown in the usual network alone."""
    return [
        Case(habit, style, network, "nobody", server, Settings(lifetime, grace))
        for network, lifetime, grace in HONEST
        for server, style, habit in product(servers, STYLES, HABITS)
        if server in ("counter alone", "authx") or (network, lifetime, grace) == ("usual", *USUAL)
    ]


def thief_cases(servers: Iterable[str] = ("counter alone", "authx")) -> list[Case]:
    """Every thief beside every owner, as the settings are if nobody changes them."""
    return [
        Case(habit, style, "usual", thief, server)
        for thief, server, habit, style in product((*BESIDE, *AGAIN, "heir"), servers, HABITS, STYLES)
    ]


def limit_cases() -> list[Case]:
    """Owners who are there all the time, at every access lifetime and grace."""
    return [
        Case("all day", style, network, thief, settings=Settings(*clocks))
        for clocks, thief, style, network in product(CLOCKS, BESIDE, STYLES, ("perfect", "usual"))
    ]


def sitter_cases() -> list[Case]:
    """Thieves with one spent token, whose owner has gone."""
    return [
        Case("all day", "pages", thief=thief, settings=Settings(*clocks))
        for clocks, thief in product(CLOCKS, ("sitter", "patient sitter"))
    ]


def replay(case: Case, numbers: Iterable[int], seed: int) -> list[Outcome]:
    """The outcomes of these sessions of a case."""
    return [History(case, number, seed).run() for number in numbers]


def simulate(cases: Iterable[Case], sessions: int, seed: int, *, processes: int) -> dict[Case, list[Outcome]]:
    """Replay so many sessions of each case; the number of processes changes the duration alone."""
    wanted = list(cases)
    with multiprocessing.Pool(processes) as pool:
        outcomes = pool.starmap(replay, [(case, range(sessions), seed) for case in wanted], chunksize=1)
    return dict(zip(wanted, outcomes, strict=True))
