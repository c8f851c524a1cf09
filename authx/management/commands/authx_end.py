"""``manage.py authx_end``: kick out one user, or everybody."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from authx.core.reasons import EndReason
from authx.management.base import DatabaseCommand
from authx.management.people import add_user_arguments, find_user
from authx.sessions import end_everyone, end_user_sessions


class Command(DatabaseCommand):
    help = "End all live sessions of one user, or of everybody. The reason given is kicked."

    after_outage = "Run it again, or authx_prune if it had begun: whom it had ended by then stays ended."

    def add_arguments(self, parser: CommandParser) -> None:
        whose = add_user_arguments(parser, required=True)
        whose.add_argument("--all", action="store_true", help="Everybody, whoever runs this included.")
        parser.add_argument("--note", default="", help="Why, for the audit trail.")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["all"]:
            ended = end_everyone(EndReason.KICKED, note=options["note"])
        else:
            ended = end_user_sessions(find_user(options), EndReason.KICKED, note=options["note"])
        self.stdout.write("1 session ended." if ended == 1 else f"{ended} sessions ended.")
