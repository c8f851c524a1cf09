"""A site with a million sessions, whose staff look at one page of the admin after the other."""

from __future__ import annotations

import contextlib
import secrets
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from benchmarks.admin.filling import fill
from benchmarks.scale.maintenance import settle
from benchmarks.scale.settings import configure
from benchmarks.scale.site import Site

LIST = "/admin/authx/devicesession/"
#: In the name of a page: it is asked before any hour has been counted.
UNCOUNTED = "no hour counted"
PERIODS = ("hour", "day", "week")


class AdminSite(Site):
    """The site in this process; it is filled unless a run before has filled and kept it."""

    def __init__(self, database: dict[str, Any], sessions: int, *, keep: bool) -> None:
        from django.test.utils import setup_databases

        configure(database, "", "")
        from django.conf import settings

        settings.AUTHX_SESSION_LIMITS = [{"types": ["ios", "android"], "limit": 4}, {"limit": 20}]
        self.made = setup_databases(0, interactive=False, keepdb=keep, serialized_aliases=[])
        self.keep, self.callers = keep, {}
        from authx.models import DeviceSession

        if not DeviceSession.objects.exists():
            begin = time.perf_counter()
            fill(sessions)
            settle()
            print(f"{sessions:,} sessions made in {time.perf_counter() - begin:.0f} s", flush=True)
        self.admin_cookies = self.log_staff_in()

    def log_staff_in(self) -> dict[str, str]:
        from django.contrib.auth import get_user_model

        # A run before may have made them: deleting somebody would read all events for their name.
        get_user_model().objects.filter(username="staff").update(username=f"staff {secrets.token_hex(4)}")
        return super().log_staff_in()

    def ask(self, path: str) -> tuple[float, float]:
        """Milliseconds of one page, by the clock and of a processor, here and in the database."""
        before = time.process_time() * 1e3 + self.database_time()
        by_clock = self.call(path, self.admin_cookies) / 1e6
        return by_clock, time.process_time() * 1e3 + self.database_time() - before

    def database_time(self) -> float:
        """Milliseconds of a processor that the server's process has had for us; 0 if it runs elsewhere."""
        from django.db import connection

        with contextlib.suppress(OSError):
            connection.ensure_connection()
            pid = connection.connection.info.backend_pid
            return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e6
        return 0.0

    def statements(self, path: str) -> list[tuple[str, float]]:
        """The statements of one page, and how many milliseconds each took."""
        from django.db import connection
        from django.test.utils import CaptureQueriesContext

        with CaptureQueriesContext(connection) as asked:
            self.call(path, self.admin_cookies)
        return [(one["sql"], float(one["time"]) * 1000) for one in asked.captured_queries]

    def clear_cache(self) -> None:
        from django.core.cache import cache

        cache.clear()

    def keep_totals(self, wanted: bool) -> None:
        """Have the totals of past hours, as after a night's ``authx_prune``; or none."""
        from authx.conf import conf
        from authx.models import HourTotals
        from authx.sessions.hour_totals import count_hours

        if wanted:
            sum(count_hours(conf.RETENTION))
        else:
            HourTotals.objects.all().delete()

    def explain(self, sql: str) -> str:
        from django.db import connection

        with connection.cursor() as cursor:
            cursor.execute(f"EXPLAIN (ANALYZE, BUFFERS) {sql}")
            return "\n".join(row[0] for row in cursor.fetchall())

    def pages(self) -> dict[str, str]:
        """By its name in the report, the address of each page, filter and search."""
        from authx.models import DeviceSession

        with_user = DeviceSession.objects.exclude(user=None).exclude(user__username="staff")
        session = with_user.order_by("-created_at")[1000]
        alarmed = with_user.exclude(alarm_at=None).order_by("-alarm_at")[10]
        last = min(DeviceSession.objects.count(), 10_000) // 50
        query = {name: f"{LIST}?{urlencode(asked)}" for name, asked in _queries(session).items()}
        return {
            "list": LIST,
            "list, the last page": f"{LIST}?p={last}",
            **query,
            "a session": f"{LIST}{session.pk}/change/",
            "a session with alarms": f"{LIST}{alarmed.pk}/change/",
            "a session's user": f"/admin/auth/user/{session.user_id}/change/",
            "session limits": f"{LIST}limits/",
            **{f"overview, per {per}": f"{LIST}overview/?per={per}" for per in PERIODS},
            **{f"overview, per {per}, {UNCOUNTED}": f"{LIST}overview/?per={per}" for per in PERIODS},
            **{f"behind the overview: {name}": path for name, path in self.links().items()},
        }

    def links(self) -> dict[str, str]:
        """The lists behind the numbers of the overview of twelve weeks and of a day, by what they say."""
        from django.utils import timezone

        from authx.admin.overview.periods import Per, slots_until

        found = {}
        for per in (Per.HOUR, Per.WEEK):
            since = slots_until(timezone.now(), per)[0].since.isoformat()
            asked = {"begun": {"begun_since": since}, "ended": {"ended_since": since}}
            for reason in ("logout", "reused", "superseded", "idle", "expired"):
                asked[f"ended, {reason}"] = {"ended_since": since, "end_reason__exact": reason}
            for reason in ("logout", "idle"):
                asked[f"alarm, {reason}"] = {"alarm_at__gte": since, "end_reason__exact": reason}
            found |= {f"{name}, {per}": f"{LIST}?{urlencode(query)}" for name, query in asked.items()}
        return found

    def close(self) -> None:
        from django.db import connections
        from django.test.utils import teardown_databases

        if not self.keep:
            teardown_databases(self.made, verbosity=0)
        with contextlib.suppress(Exception):
            connections.close_all()


def _queries(session: Any) -> dict[str, dict[str, str]]:
    user, day = session.user, session.created_at.date().isoformat()
    filters = {
        **{f"status {status}": {"status": status} for status in ("live", "ended", "expired", "alarm")},
        **{f"held by {holder}": {"held_by": holder} for holder in ("logins", "apps", "services")},
        **{f"device type {type_}": {"device_type": type_} for type_ in ("web", "desktop", "other")},
        **{
            f"reason {reason}": {"end_reason__exact": reason}
            for reason in ("logout", "reused", "idle", "expired")
        },
        **{f"place {country}": {"country": country} for country in ("DE", "IS", "XX")},
        "user": {"user": str(user.pk)},
        "signed in since a day": {"created_at__gte": f"{day} 00:00:00+00:00"},
        "live, iOS, FR": {"status": "live", "device_type": "ios", "country": "FR"},
        "alarms, other, IS": {"status": "alarm", "device_type": "other", "country": "IS"},
    }
    searches = {
        "a user's name": user.username,
        "an e-mail address": user.email,
        "part of a user's name": user.username[1:],
        "part of many names": "ser1",
        "a word of device labels": "iphone",
        "a device's name": f"Phone of {user.username[4:]}",
        "two words": f"{user.username[2:]} safari",
        "three words": f"{user.username[2:]} safari iphone",
        "three words, of many names": "ser1 firefox windows",
        "three words that are not there": "nobody at-all knows",
        "nothing that is there": "nobody-at-all",
        "a session's id": str(session.pk),
        "a device's id": session.device_id,
        "an address": str(session.ip),
        "an address that is not there": "192.0.2.77",
        "the beginning of an address": f"{str(session.ip).rpartition('.')[0]}.*",
        "a client": "client3",
    }
    return {
        **{f"filter: {name}": asked for name, asked in filters.items()},
        **{f"search: {name}": {"q": term} for name, term in searches.items()},
        "search and filter": {"q": user.username[1:], "status": "live"},
    }
