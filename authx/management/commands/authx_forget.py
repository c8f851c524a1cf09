"""``manage.py authx_forget``: erase the personal data of one user, or of all deleted users."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from authx.management.base import DatabaseCommand
from authx.management.people import add_user_arguments, find_person
from authx.sessions.erasure import forget, forget_gone
from authx.store.database import ROWS_PER_TRANSACTION

_WORDS = (
    ("sessions", "session", "sessions"),
    ("events", "event", "events"),
    ("marks", "not-before mark", "not-before marks"),
    ("log_entries", "entry of the admin's log", "entries of the admin's log"),
)
_GRANTS = ("grant to an app", "grants to apps")
_NOTICES = ("record of a notice", "records of notices")


class Command(DatabaseCommand):
    help = (
        "Erase names, addresses, user agents, devices and notes from what is kept about a user. Kind, time "
        "and subject of what happened stay; live sessions go on. What the user has granted to apps is not "
        "remembered any more. Deleting a user does the same by itself."
    )

    after_outage = "Run it again: what was erased by then stays erased."

    def add_arguments(self, parser: CommandParser) -> None:
        whose = add_user_arguments(parser, required=True)
        whose.add_argument(
            "--deleted",
            action="store_true",
            help="Everybody who is gone, deleted by SQL for example, which authx does not notice by itself.",
        )
        parser.add_argument("--dry-run", action="store_true", help="Count; change nothing.")

    def handle(self, *args: Any, dry_run: bool = False, **options: Any) -> None:
        person = find_person(options)
        if person is None:
            erased = list(forget_gone(ROWS_PER_TRANSACTION, acts=True, dry_run=dry_run))
        else:
            erased = [forget(person, dry_run=dry_run)]
        parts = [_counted(sum(getattr(one, name) for one in erased), *words) for name, *words in _WORDS]
        counted = f"what is personal from {', '.join(parts[:-1])} and {parts[-1]}"
        for name, words in (("grants", _GRANTS), ("notices", _NOTICES)):
            if number := sum(getattr(one, name) for one in erased):
                counted += f", and {_counted(number, *words)}"
        self.stdout.write(f"Would erase {counted}; nothing was changed." if dry_run else f"Erased {counted}.")


def _counted(count: int, one: str, many: str) -> str:
    return f"{count} {one if count == 1 else many}"
