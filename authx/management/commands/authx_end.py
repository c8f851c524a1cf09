"""``manage.py authx_end``: kick out one user, or everybody."""

from __future__ import annotations

from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import CommandError, CommandParser

from authx.management.base import DatabaseCommand
from authx.models import EndReason
from authx.sessions import end_everyone, end_user_sessions


class Command(DatabaseCommand):
    help = "End all live sessions of one user, or of everybody. They are told: kicked."

    after_outage = "Run it again, or authx_prune if it had begun: whom it had ended by then stays ended."

    def add_arguments(self, parser: CommandParser) -> None:
        whose = parser.add_mutually_exclusive_group(required=True)
        whose.add_argument("--user", help="The username, as the user would type it.")
        whose.add_argument("--all", action="store_true", help="Everybody, whoever runs this included.")
        parser.add_argument("--note", default="", help="Why, for the audit trail.")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["all"]:
            ended = end_everyone(EndReason.KICKED, note=options["note"])
        else:
            ended = end_user_sessions(self._user(options["user"]), EndReason.KICKED, note=options["note"])
        self.stdout.write("1 session ended." if ended == 1 else f"{ended} sessions ended.")

    def _user(self, username: str) -> Any:
        model = get_user_model()
        try:
            return model._default_manager.get_by_natural_key(username)
        except model.DoesNotExist as error:
            raise CommandError(f"There is no user {username!r}.") from error
