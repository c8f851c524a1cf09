"""Whether pruning a large table gets in the way of logins.

    pip install -e .
    python -m benchmarks.pruning [--rows 1000000] [--database sqlite|postgresql]

Fills a table with sessions that ended or expired long ago, prunes it in one thread while another logs in all
the time, and prints how long those logins took beside logins on the same table with nothing going on.
PostgreSQL is found by the usual PGHOST, PGUSER, ...; the database is created and dropped.
"""

from __future__ import annotations

import argparse
import os
import secrets
import tempfile
import threading
import time
from datetime import timedelta
from statistics import quantiles
from typing import Any


def configure(database: dict[str, Any]) -> None:
    import django
    from django.conf import settings

    settings.configure(
        SECRET_KEY="benchmark-" + "x" * 50,
        DATABASES={"default": database},
        INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "authx"],
        USE_TZ=True,
    )
    django.setup()


def sqlite(folder: str) -> dict[str, Any]:
    pragmas = "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
    options = {"transaction_mode": "IMMEDIATE", "init_command": pragmas, "timeout": 20}
    path = os.path.join(folder, "pruning.sqlite3")
    return {"ENGINE": "django.db.backends.sqlite3", "NAME": path, "OPTIONS": options, "TEST": {"NAME": path}}


def postgresql() -> dict[str, Any]:
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": "postgres",
        "HOST": os.environ.get("PGHOST", "127.0.0.1"),
        "USER": os.environ.get("PGUSER", "postgres"),
        "PASSWORD": os.environ.get("PGPASSWORD", ""),
        "TEST": {"NAME": f"authx_pruning_{os.getpid()}"},
    }


def fill(user: Any, rows: int) -> None:
    """Half of them ended half a year ago, half expired then without anybody noticing."""
    from authx.models import DeviceSession, SessionEvent
    from authx.store.database import database_now

    then = database_now() - timedelta(days=180)
    for start in range(0, rows, 5000):
        batch = [
            DeviceSession(
                user=user,
                subject=str(user.pk),
                device_type="web",
                device_label="Firefox on Linux",
                auth_time=then,
                created_at=then,
                last_seen_at=then,
                rotated_at=then,
                salt=secrets.token_bytes(32),
                fingerprint="0" * 64,
                idle_expires_at=then,
                expires_at=then,
                ended_at=then if number % 2 else None,
                end_reason="logout" if number % 2 else "",
            )
            for number in range(start, min(rows, start + 5000))
        ]
        DeviceSession.objects.bulk_create(batch)
        opened = [SessionEvent(session=session, kind="opened", at=then) for session in batch]
        SessionEvent.objects.bulk_create(opened)


def log_in(user: Any, until: threading.Event, least: int) -> list[float]:
    """Milliseconds of each login, one after the other, ``least`` of them or until told to stop."""
    from authx.sessions import open_session

    times: list[float] = []
    while len(times) < least or not until.is_set():
        start = time.perf_counter()
        open_session(user)
        times.append((time.perf_counter() - start) * 1000)
        time.sleep(0.005)
    return times


def told(what: str, times: list[float]) -> str:
    cuts = quantiles(times, n=100)
    return f"| {what} | {len(times)} | {cuts[49]:.1f} | {cuts[98]:.1f} | {max(times):.1f} |"


def prune_all(done: threading.Event) -> None:
    from django.core.management import call_command
    from django.db import connections

    try:
        start = time.perf_counter()
        call_command("authx_prune")
        print(f"in {time.perf_counter() - start:.0f} s\n", flush=True)
    finally:
        done.set()
        connections.close_all()


def run(rows: int) -> None:
    from django.contrib.auth import get_user_model

    user = get_user_model().objects.create_user("ada")
    start = time.perf_counter()
    fill(user, rows)
    print(f"{rows} sessions made in {time.perf_counter() - start:.0f} s", flush=True)
    stopped = threading.Event()
    stopped.set()
    calm = log_in(user, stopped, 500)
    done = threading.Event()
    pruner = threading.Thread(target=prune_all, args=(done,))
    pruner.start()
    busy = log_in(user, done, 100)
    pruner.join()
    print("| logins | number | median ms | p99 ms | max ms |\n| --- | ---: | ---: | ---: | ---: |")
    print(told("nothing going on", calm))
    print(told("while pruning", busy))


def main() -> None:
    parser = argparse.ArgumentParser(description="Logins while a large table is pruned.")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--database", choices=["sqlite", "postgresql"], default="sqlite")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        configure(sqlite(folder) if asked.database == "sqlite" else postgresql())
        from django.test.utils import setup_databases, teardown_databases

        made = setup_databases(verbosity=0, interactive=False)
        try:
            run(asked.rows)
        finally:
            teardown_databases(made, verbosity=0)


if __name__ == "__main__":
    main()
