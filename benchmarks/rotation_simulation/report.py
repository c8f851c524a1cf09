"""The five tables: honest sessions, thieves beside their owners, limits, sitters, and the searches."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from benchmarks.rotation_simulation.browser import PAUSE
from benchmarks.rotation_simulation.cases import CLOCKS
from benchmarks.rotation_simulation.habits import STYLES
from benchmarks.rotation_simulation.history import Case
from benchmarks.rotation_simulation.moves import Moves
from benchmarks.rotation_simulation.renewals import renewals_outlived
from benchmarks.rotation_simulation.search import search
from benchmarks.rotation_simulation.tables import (
    HOUR,
    Outcomes,
    duration,
    ended_by,
    false_endings,
    found,
    grouped,
    markdown,
    served,
    shared,
)


def honest_table(outcomes: Outcomes) -> str:
    """Of a hundred sessions that nobody has copied, how many ended."""
    groups = grouped(outcomes, lambda case: (*_clocks(case), case.network, case.server, case.style))
    kinds = dict.fromkeys((case.network, *_clocks(case), case.server) for case in outcomes)
    lines = [
        [network, duration(lifetime), duration(grace), server]
        + [false_endings(groups[lifetime, grace, network, server, style]) for style in STYLES]
        for network, lifetime, grace, server in kinds
    ]
    return markdown(["network", "access", "grace", "policy", *STYLES], lines, words=4)


def thief_table(outcomes: Outcomes) -> str:
    """How long each thief was served (median / 95th percentile / most, in hours), and what ended it."""
    groups = grouped(outcomes, lambda case: (case.thief, case.habit, case.server))
    lines = []
    for thief, habit in dict.fromkeys((case.thief, case.habit) for case in outcomes):
        some, plain = groups[thief, habit, "authx"], groups[thief, habit, "counter alone"]
        with_branches = [found(some), served(some), str(shared(some)), ended_by(some)]
        lines.append([thief, habit, *with_branches, found(plain), served(plain)])
    head = ["thief", "owner", "found", "hours served", "shared", "ended by", "found", "hours served"]
    return markdown(head, lines, words=2)


def limit_table(outcomes: Outcomes) -> str:
    """The longest that any thief was served beside an owner who is there all the time, and three renewals."""
    groups = grouped(outcomes, lambda case: (*_clocks(case), "elsewhere" in case.style))
    lines = []
    for lifetime, grace in CLOCKS:
        seen, unseen = groups[lifetime, grace, False], groups[lifetime, grace, True]
        worst = [duration(max(outcome.served for outcome in some)) for some in (seen, unseen)]
        renewal = max(lifetime, grace) + PAUSE[1]
        last = str(max(shared(seen), shared(unseen)))
        lines.append([duration(lifetime), duration(grace), *worst, duration(3 * renewal), last])
    head = ["access", "grace", "most", "most, elsewhere", "three renewals at most", "generations shared"]
    return markdown(head, lines, words=2)


def sitter_table(outcomes: Outcomes) -> str:
    """How long one spent token was served after its first late answer, at most, and what it may be."""
    groups = grouped(outcomes, lambda case: (*_clocks(case), case.thief))
    lines = []
    for lifetime, grace in CLOCKS:
        line = [duration(lifetime), duration(grace)]
        for thief, limit in sitter_limits(lifetime, grace).items():
            longest = max(outcome.after_first_late for outcome in groups[lifetime, grace, thief])
            line += [f"{longest / HOUR:.3f}", f"{limit / HOUR:.3f}"]
        lines.append(line)
    head = ["access", "grace", "all the time", "limit", "when it runs out", "limit"]
    return markdown(head, lines, words=2)


def sitter_limits(lifetime: float, grace: float) -> dict[str, float]:
    """Seconds after the first late answer that a spent token may be served for."""
    return {
        "sitter": HOUR + grace + lifetime,
        "patient sitter": max(HOUR, 5 * lifetime) + lifetime,
    }


def search_table() -> str:
    """What the searches of all schedules found."""
    head = ["under way", "lost writes", "situations", "longest schedule", "last generation shared"]
    return markdown(head, _searched(), words=0)


def _searched() -> Iterator[list[str]]:
    for under_way, writes in ((0, 0), (1, 0), (0, 1)):
        result = search(Moves(under_way=under_way), writes_to_lose=writes)
        assert result.is_complete
        yield [str(n) for n in (under_way, writes, result.situations, result.depth, result.widest)]


def renewal_table() -> str:
    """How many renewals of the owner's one copy outlives, whatever its holder does."""
    lifetime = timedelta(minutes=15)
    lines = [
        [words, str(renewals_outlived(lifetime, asks_issuer=asks))]
        for words, asks in (("to the issuer", True), ("to other services alone", False))
    ]
    return markdown(["the owner shows access tokens", "renewals"], lines, words=1)


def _clocks(case: Case) -> tuple[float, float]:
    return case.settings.access_lifetime, case.settings.grace
