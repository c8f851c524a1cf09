"""``manage.py authx_prune``: delete sessions that ended long ago, and their events."""

from __future__ import annotations

import time
from collections import deque
from datetime import timedelta
from typing import Any

from django.core.management.base import CommandError, CommandParser

from authx.conf import conf
from authx.core.time_limits import LONGEST_LIFE
from authx.issuer.client_ending import end_sessions_of_disabled
from authx.management.base import DatabaseCommand
from authx.sessions import erasure, not_before
from authx.sessions.code_pruning import prune_codes
from authx.sessions.hour_totals import count_hours, prune_totals
from authx.sessions.kick_announcing import announced_together
from authx.sessions.notice_turns import prune_turns
from authx.sessions.pruning import mark_expired, prune
from authx.sessions.single_use import prune_used
from authx.store import revocation_log


class Command(DatabaseCommand):
    help = "Mark expired sessions as ended, and delete those that ended longer ago than AUTHX_RETENTION."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--batch", type=int, default=1000, help="Rows per transaction.")
        parser.add_argument(
            "--pause", type=float, default=0.1, help="Seconds left to logins between two transactions."
        )
        parser.add_argument("--days", type=int, help="Keep so many days instead of AUTHX_RETENTION.")

    def handle(self, *args: Any, batch: int, pause: float, days: int | None = None, **options: Any) -> None:
        if not 0 <= pause <= 60:
            raise CommandError("--pause must be from 0 to 60 seconds.")
        if not 1 <= batch <= 10_000 or (days is not None and not 0 <= days <= LONGEST_LIFE.days):
            raise CommandError(f"--batch must be from 1 to 10000, --days from 0 to {LONGEST_LIFE.days}.")
        keep = conf.RETENTION if days is None else timedelta(days=days)
        with announced_together():
            deque(self._take_turns("caught up with", not_before.catch_up(batch), pause, options), 0)
        left = end_sessions_of_disabled(batch)
        deque(self._take_turns("sessions of disabled clients ended", left, pause, options), 0)
        not_before.prune_marks()
        marked = sum(self._take_turns("marked", mark_expired(batch), pause, options))
        deleted = sum(self._take_turns("deleted", prune(keep, batch), pause, options))
        deque(self._take_turns("hours counted", count_hours(keep), pause, options), 0)
        deque(self._take_turns("totals of hours deleted", prune_totals(keep, batch), pause, options), 0)
        deque(self._take_turns("lines of the log deleted", revocation_log.prune(batch), pause, options), 0)
        deque(self._take_turns("used tickets and proofs deleted", prune_used(batch), pause, options), 0)
        deque(self._take_turns("authorization codes deleted", prune_codes(batch), pause, options), 0)
        deque(self._take_turns("records of notices deleted", prune_turns(batch), pause, options), 0)
        gone = (erased.total() for erased in erasure.forget_gone(batch))
        deque(self._take_turns("rows of deleted users erased", gone, pause, options), 0)
        self.stdout.write(f"{marked} expired sessions marked, {deleted} old sessions deleted.")

    def _take_turns(self, what: str, batches: Any, pause: float, options: dict[str, Any]) -> Any:
        """Run batch after batch, pausing: SQLite's waiting writers retry only every tenth of a second."""
        total = 0
        for count in batches:
            total += count
            if options["verbosity"] > 1:
                self.stdout.write(f"{total} {what} ...")
                self.stdout.flush()
            yield count
            time.sleep(pause)
