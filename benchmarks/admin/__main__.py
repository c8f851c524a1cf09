"""How long each page, filter and search of the admin takes with a million sessions and ten million events.

    pip install -e . "psycopg[binary]"
    python -m benchmarks.admin [--sessions 1000000] [--rounds 9] [--only search] [--explain 300]

Makes a PostgreSQL database of its own, in some minutes and 6 GB; ``--keep NAME`` makes it under that name, or
takes the one that a run before has made, and leaves it there. Timed is the whole WSGI application, from
environ to closed response. Cold is the first time in this process, with nothing in Django's cache; warm is
the median of the others, by the clock; what processors spent on it, here and in the server, says more on a
machine with other work to do. The overview is kept in the cache for five minutes; its pages are timed as they
are after that, with the totals of past hours that ``authx_prune`` keeps, and without any.
"""

from __future__ import annotations

import argparse
from statistics import median
from typing import Any

from benchmarks.admin.site import UNCOUNTED, AdminSite
from benchmarks.peers.place import postgresql
from benchmarks.peers.tables import surroundings, table


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="The admin with a million sessions.")
    parser.add_argument("--sessions", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--keep", default="", metavar="NAME", help="the database to make or take, and leave")
    parser.add_argument("--only", default="", help="pages whose names have one of these words, by commas")
    parser.add_argument("--explain", type=float, default=0, metavar="MS", help="plans of slower statements")
    return parser.parse_args()


def measured(site: AdminSite, name: str, path: str, rounds: int) -> tuple[str, ...]:
    is_cached = name.startswith("overview")
    site.keep_totals(UNCOUNTED not in name)
    site.clear_cache()
    cold = site.ask(path)[0]
    times = []
    for _ in range(rounds):
        site.clear_cache()
        times.append(site.ask(path))
    cached = f"{median(site.ask(path)[1] for _ in range(rounds)):.0f}" if is_cached else ""
    by_clock, of_processor = (f"{median(found):.0f}" for found in zip(*times, strict=True))
    site.clear_cache()
    number = len(site.statements(path))
    return name, f"{cold:.0f}", by_clock, of_processor, cached, str(number)


def explain(site: AdminSite, path: str, slower_than: float) -> None:
    site.clear_cache()
    for sql, taken in site.statements(path):
        if taken >= slower_than:
            print(f"\n{path}: {taken:.0f} ms\n{sql[:2000]}\n{site.explain(sql)}", flush=True)


def main() -> None:
    asked = arguments()
    # One process of the server works for a page, so that what it takes is known.
    alone = {"options": "-c max_parallel_workers_per_gather=0"}
    database: dict[str, Any] = postgresql() | {"CONN_MAX_AGE": None, "OPTIONS": alone}
    if asked.keep:
        database["TEST"] = {"NAME": asked.keep}
    site = AdminSite(database, asked.sessions, keep=bool(asked.keep))
    try:
        words, rows = asked.only.split(","), []
        for name, path in site.pages().items():
            if any(word in name for word in words):
                rows.append(measured(site, name, path, asked.rounds))
                print(*rows[-1], sep="; ", flush=True)
                if asked.explain:
                    explain(site, path, asked.explain)
        titles = ("page", "cold, ms", "warm, ms", "processor, ms", "from the cache", "statements")
        print(f"\n{table(titles, rows)}")
        print(f"\n{asked.sessions:,} sessions, {asked.rounds} rounds. {surroundings('postgresql')}")
    finally:
        site.close()


if __name__ == "__main__":
    main()
