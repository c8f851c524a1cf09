"""``manage.py authx_limits``: which sessions the configured limits would end today. Changes nothing."""

from __future__ import annotations

from typing import Any

from authx.conf import conf
from authx.management.base import DatabaseCommand
from authx.sessions.limits import over_the_limits


class Command(DatabaseCommand):
    help = "List the live sessions beyond AUTHX_SESSION_LIMITS; nothing is changed."

    def handle(self, *args: Any, **options: Any) -> None:
        limits = conf.SESSION_LIMITS
        if not limits:
            self.stdout.write("AUTHX_SESSION_LIMITS is empty: nobody is limited.")
            return
        for limit in limits:
            self.stdout.write(f"limit: {limit}")
        beyond, users = 0, set()
        for session, limit in over_the_limits():
            beyond += 1
            users.add(session.user_id)
            seen = session.last_seen_at.isoformat(timespec="seconds")
            self.stdout.write(
                f"{session.pk}  {session.user}  {session}  {session.device_type}  last seen {seen}  {limit}"
            )
        self.stdout.write(
            f"{beyond} sessions of {len(users)} users are beyond the limits. Nothing was changed."
        )
