"""What a login and a refresh cost: authx beside its peers, and beside the bare transaction.

    pip install -e ".[redis]" -r benchmarks/requirements.txt
    python -m benchmarks.issuing [--database postgresql] [--durable on,disk,off] [--rounds 3] [--logins 200]

As ``benchmarks.request``: a process for each, working in turn, a block at a time. Passwords are hashed with
MD5, for a good hash costs everybody the same 100 ms and would hide the rest. Each session that was opened is
refreshed once; every refresh rotates, by a token that nobody has spent before. The bare transaction is what
a refresh cannot do without: BEGIN; UPDATE; INSERT; COMMIT, in our tables and by the same driver. Round trips
and commits are counted by a proxy between process and server.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Sequence

from benchmarks.issuing import report
from benchmarks.issuing.measuring import DISK, DISK_MICROSECONDS, OFF, ON, durable, measure
from benchmarks.peers.contestants import BY_NAME, Contestant, Place
from benchmarks.peers.place import a_place
from benchmarks.peers.tables import surroundings

NAMES = (
    "authx database",
    "simplejwt",
    "simplejwt (ES256)",
    "knox",
    "allauth (JWT)",
    "django-oauth-toolkit",
)


WAITS = {
    ON: "waits for the disk",
    OFF: "does not wait for the disk",
    DISK: f"waits for a disk that takes {DISK_MICROSECONDS / 1000:g} ms more (commit_delay)",
}


def _words(database: str, asked: str) -> list[str]:
    """Of what is asked for, what a database can be told; a slow disk is PostgreSQL's alone."""
    if database == "mariadb":
        return [ON]
    return [word for word in asked.split(",") if word != DISK or database == "postgresql"]


def run(contestants: Sequence[Contestant], place: Place, database: str, asked: argparse.Namespace) -> None:
    for word in _words(database, asked.durable):
        print(f"\n## {database}: a commit {WAITS[word]}\n", flush=True)
        results = measure(contestants, durable(place, word), runs=asked.rounds, logins=asked.logins)
        targets = report.targets(results, database, is_durable=word != OFF)
        print(report.acts(results), targets, sep="\n\n", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description="The cost of a login and of a refresh.")
    parser.add_argument("--database", default="postgresql", help="of postgresql, sqlite and mariadb")
    parser.add_argument(
        "--durable", default="on,disk,off", help="whether a commit waits for the disk; not on MariaDB"
    )
    parser.add_argument("--rounds", type=int, default=3, help="runs, of each of which a multiple is taken")
    parser.add_argument("--logins", type=int, default=200, help="timed, per contestant and run")
    parser.add_argument(
        "--only", default=",".join(NAMES), help=f"names, separated by commas; {NAMES[0]} among them"
    )
    parser.add_argument(
        "--quick", action="store_true", help="two runs of 50 logins; a minute for each database"
    )
    asked = parser.parse_args()
    if asked.quick:
        asked.rounds, asked.logins = 2, 50
    names = [name.strip() for name in asked.only.split(",")]
    if unknown := set(names) - set(NAMES):
        parser.error(f"no such contestant: {', '.join(unknown)}; there are: {', '.join(NAMES)}")
    if NAMES[0] not in names:
        parser.error(f"{NAMES[0]} must be among those of --only")
    databases = asked.database.split(",")
    if len(databases) > 1:  # a process has the settings of one database
        for database in databases:
            subprocess.run([*sys.orig_argv, "--database", database], check=True)
        return
    contestants = [BY_NAME[name] for name in names]
    with a_place(databases[0], contestants) as place:
        run(contestants, place, databases[0], asked)
    print(f"\n{asked.rounds} runs of {asked.logins} logins. {surroundings(databases[0])}")


if __name__ == "__main__":
    main()
