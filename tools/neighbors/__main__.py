"""Run the suites that are named and print what differs."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
if not __package__:  # python tools/neighbors
    sys.path[0] = str(ROOT)

from tools import neighbors  # noqa: E402
from tools.neighbors.outcomes import Row, explained, ghosts, table, unexplained  # noqa: E402
from tools.neighbors.place import NothingRan, Place  # noqa: E402
from tools.neighbors.suites import SUITES  # noqa: E402


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="tools/neighbors", description=neighbors.__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    made.add_argument("suites", nargs="*", metavar="NAME[=CHECKOUT]", help=", ".join(SUITES))
    made.add_argument("--django", metavar="X.Y", help="this Django, instead of the newest for this Python")
    made.add_argument("--authx", type=Path, default=ROOT, metavar="CHECKOUT", help="another authx")
    made.add_argument(
        "--work", type=Path, default=ROOT / ".neighbors", metavar="FOLDER", help="where to work"
    )
    return made


def wanted(named: list[str]) -> dict[str, Path | None]:
    """Return the suites by name, each with its checkout if one is given."""
    parts = (argument.partition("=") for argument in named or SUITES)
    found = {name: Path(checkout) if checkout else None for name, _, checkout in parts}
    if strangers := found.keys() - SUITES.keys():
        raise SystemExit(f"no such suite: {', '.join(sorted(strangers))} (there are {', '.join(SUITES)})")
    return found


def main(arguments: list[str] | None = None) -> int:
    options = parser().parse_args(arguments)
    reasons = (ROOT / "docs" / "neighbors.md").read_text()
    rows, complaints = [], []
    for name, checkout in wanted(options.suites).items():
        place = Place(SUITES[name], options.work.resolve(), options.authx.resolve(), options.django)
        try:
            version = place.prepare(checkout)
            without, beside = place.run("without"), place.run("with")
        except NothingRan as error:
            complaints.append(str(error))
        else:
            rows.append(Row(name, version, without, beside, explained(reasons, name)))
    print(table(rows))
    for row in rows:
        for test in ghosts(row):
            print(f"{row.suite}: {test} has a reason in docs/neighbors.md and does not differ")
    for complaint in complaints:
        print(complaint)
    return int(bool(complaints) or any(unexplained(row) for row in rows))


if __name__ == "__main__":
    sys.exit(main())
