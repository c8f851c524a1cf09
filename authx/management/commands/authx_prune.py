"""``manage.py authx_prune``: forget sessions that ended long ago, and their events."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from authx.conf import conf
from authx.sessions.pruning import mark_expired, prune


class Command(BaseCommand):
    help = "Mark expired sessions as ended, and delete those that ended longer ago than AUTHX_RETENTION."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--batch", type=int, default=1000, help="Rows per transaction.")
        parser.add_argument("--days", type=int, help="Keep so many days instead of AUTHX_RETENTION.")

    def handle(self, *args: Any, batch: int, days: int | None = None, **options: Any) -> None:
        if batch < 1 or (days is not None and not 0 <= days <= 36500):
            raise CommandError("--batch must be at least 1, --days from 0 to 36500.")
        keep = conf.RETENTION if days is None else timedelta(days=days)
        marked = sum(self._tell("marked", mark_expired(batch), options))
        deleted = sum(self._tell("deleted", prune(keep, batch), options))
        self.stdout.write(f"{marked} expired sessions marked, {deleted} old sessions deleted.")

    def _tell(self, what: str, batches: Any, options: dict[str, Any]) -> Any:
        total = 0
        for count in batches:
            total += count
            if options["verbosity"] > 1:
                self.stdout.write(f"{total} {what} ...")
                self.stdout.flush()
            yield count
