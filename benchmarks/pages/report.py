"""The figures as tables, and the targets beside them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from statistics import median

from benchmarks.pages.contestants import DJANGO, OURS
from benchmarks.pages.measuring import Result, Way
from benchmarks.pages.site import VIEWS
from benchmarks.peers.tables import spread, table, verdict

#: Times the page without any middleware, at most, where the page never touches the user.
UNTOUCHED = 1.5
#: Under ASGI, at most, of an async page with a good cookie that never touches the user.
HOPS = 5


def wsgi(results: Sequence[Result]) -> str:
    titles = ["times the plain page", *(title for view in VIEWS for title in (view, "µs", "CPU µs", "SQL"))]
    lines = []
    for one in results:
        cells = [one.name]
        for view in VIEWS:
            cells += [*_figures(one.wsgi, view), f"{one.statements[view]:.2g}"]
        lines.append(cells)
    return table(titles, lines)


def asgi(results: Sequence[Result]) -> str:
    titles = ["times the plain page"]
    titles += [title for view in VIEWS for title in (view, "µs", "CPU µs", "hops", "hops of a sync page")]
    lines = []
    for one in results:
        cells = [one.name]
        for view in VIEWS:
            cells += [*_figures(one.asgi, view), f"{one.hops[view]:g}", f"{one.sync_hops[view]:g}"]
        lines.append(cells)
    return table(titles, lines)


def _figures(way: Way, view: str) -> list[str]:
    middle, cpu = median(way.micro[view]), median(way.cpu[view])
    return [spread(way.multiples[view]), f"{middle:.0f}", f"{cpu:.0f}"]


def targets_of_wsgi(results: Sequence[Result]) -> str:
    return table(("target", "this run", ""), _of_wsgi(results))


def _of_wsgi(results: Sequence[Result]) -> Iterator[tuple[str, str, str]]:
    found = {one.name: one for one in results}
    limit = spread(found[DJANGO].wsgi.multiples["untouched"])
    yield f"{DJANGO}: a page that never touches the user, for comparison", limit, ""
    for name in filter(found.__contains__, OURS):
        multiples = found[name].wsgi.multiples["untouched"]
        what = f"{name}: a page that never touches the user, at most {UNTOUCHED} x the plain page"
        yield what, spread(multiples), verdict(median(multiples) <= UNTOUCHED)
    for name in filter(found.__contains__, OURS):
        if name.endswith("no sessionid") and ("redis" in name or "lag" in name):
            sql = found[name].statements["is_authenticated"]
            # A process reads its copy, or renews its lease, now and then: that is no request's own.
            yield f"{name}: a page that asks is_authenticated, no SQL", f"{sql:.2g}", verdict(sql < 0.1)


def targets_of_asgi(results: Sequence[Result]) -> str:
    found = {one.name: one for one in results}
    what = f"{DJANGO}: thread hops of {', '.join(VIEWS)}, for comparison"
    lines = [(what, _hops(found[DJANGO]), "")]
    for name in filter(found.__contains__, OURS):
        is_met = found[name].hops["untouched"] <= HOPS
        what = f"{name}: at most {HOPS} thread hops of a page that never touches the user"
        lines.append((what, _hops(found[name]), verdict(is_met)))
    return table(("target", "this run", ""), lines)


def _hops(one: Result) -> str:
    return ", ".join(f"{number:g}" for number in one.hops.values())
