"""The figures as tables, and the targets beside them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from statistics import median, quantiles

from benchmarks.oauth.contestants import AUTHX
from benchmarks.oauth.counting import Count
from benchmarks.oauth.crowd import CROWD, Crowd
from benchmarks.oauth.desk import ACTS, Took

#: At most so many statements; those of Django's own session are not counted.
STATEMENTS = {
    "authorize GET": 3,
    "authorize POST": 4,
    "code": 6,
    "refresh": 4,
    "client_credentials": 1,
    "exchange": 2,
}
#: Milliseconds.
AUTHENTICATED = 1.0


@dataclass
class Result:
    """One server's figures on one database."""

    name: str
    took: dict[str, list[Took]] = field(default_factory=dict)
    counts: dict[str, list[Count]] = field(default_factory=dict)
    authenticated: dict[str, list[Took]] = field(default_factory=dict)
    crowd: Crowd = field(default_factory=Crowd)


def row(*cells: object) -> str:
    return f"| {' | '.join(map(str, cells))} |"


def head(*cells: str, left: int) -> str:
    return row(*cells) + "\n" + row(*["---"] * left, *["---:"] * (len(cells) - left))


def times(took: Sequence[Took]) -> list[str]:
    """Median and p99 by the clock, and the median of processor time: milliseconds."""
    wall = [one.wall / 1e6 for one in took]
    p99 = quantiles(wall, n=100)[98] if len(wall) > 1 else wall[0]
    return [f"{median(wall):.2f}", f"{p99:.2f}", f"{median(one.cpu / 1e6 for one in took):.2f}"]


def usual(counts: Sequence[Count]) -> list[str]:
    """Medians, for a first time may cost more."""
    each = zip(*((one.statements, one.control, one.rows) for one in counts), strict=True)
    return [f"{median(numbers):g}" for numbers in each]


def acts_table(results: Sequence[Result]) -> str:
    titles = ("act", "server", "SQL", "control", "rows", "median ms", "p99", "CPU ms", "number")
    lines = [head(*titles, left=2)]
    for act in ACTS:
        for one in results:
            if act in one.took:
                cells = (*usual(one.counts[act]), *times(one.took[act]), len(one.took[act]))
                lines.append(row(act, one.name, *cells))
    return "\n".join(lines)


def authentication_table(results: Sequence[Result]) -> str:
    lines = [head("client authentication", "by", "median ms", "p99", "CPU ms", "number", left=2)]
    for one in results:
        for method, took in one.authenticated.items():
            lines.append(row(one.name, method, *times(took), len(took)))
    return "\n".join(lines)


def crowd_table(results: Sequence[Result]) -> str:
    titles = ("answers", "generations", "different tokens", "good for another refresh", "last answer ms")
    lines = [head(f"{CROWD} refreshes at once", *titles, left=2)]
    for one in results:
        found = one.crowd
        answers = ", ".join(f"{number} x {status}" for status, number in sorted(found.statuses.items()))
        lines.append(
            row(
                f"{one.name}, {found.rounds} rounds",
                answers,
                span(found.made),
                span(found.told),
                span(found.good),
                f"{1000 * median(found.seconds):.0f}",
            )
        )
    return "\n".join(lines)


def span(numbers: Sequence[int]) -> str:
    low, high = min(numbers), max(numbers)
    return str(low) if low == high else f"{low} to {high}"


def targets(results: Sequence[Result], database: str) -> Iterator[str]:
    """Lines of a table: what was aimed at, what was found, whether it was met."""
    ours = next(one for one in results if one.name == AUTHX)
    for act, most in STATEMENTS.items():
        found = usual(ours.counts[act])[0]
        yield _target(f"{act}: statements, at most {most}", found, float(found) <= most)
    for act in ACTS:
        mine = median(took.wall for took in ours.took[act])
        for peer in results:
            if peer is not ours and act in peer.took:
                theirs = median(took.wall for took in peer.took[act])
                found = f"{mine / theirs:.2f}"
                yield _target(f"{act}: no slower than {peer.name} (median)", found, mine <= theirs)
    secret = median(took.wall for took in ours.authenticated["secret"]) / 1e6
    yield _target(
        f"client authentication within {AUTHENTICATED:g} ms (median)",
        f"{secret:.2f} ms",
        secret < AUTHENTICATED,
    )
    crowd = ours.crowd
    found = f"{crowd.statuses[200] / crowd.rounds:g} answers, {span(crowd.made)} made"
    what = f"{CROWD} refreshes of one token at once: {CROWD} answers, one generation"
    yield _target(what, found, crowd.is_one_generation)


def _target(what: str, found: str, is_met: bool) -> str:
    return row(what, found, "met" if is_met else "MISSED")


def targets_table(results: Sequence[Result], database: str) -> str:
    return "\n".join(
        [row(f"target, {database}", "found", ""), row("---", "---:", "---"), *targets(results, database)]
    )
