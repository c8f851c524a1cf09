"""One size of site, in a process of its own: it is filled, and does a block of one act at a time."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from datetime import timedelta
from random import Random
from typing import Any

from benchmarks.peers.process import Caller
from benchmarks.scale.filling import fill, name_of, users_of
from benchmarks.scale.maintenance import settle, sizes
from benchmarks.scale.settings import configure

STORES = {
    "database": ("database", 0),
    "database, lag 1 s": ("database", 1),
    "redis": ("redis", 0),
    "redis, lag 1 s": ("redis", 1),
}


class Site:
    """One size, in a process of its own."""

    def __init__(self, database: dict[str, Any], redis: str, sessions: int) -> None:
        from django.test.utils import setup_databases

        configure(database, redis, f"scale{sessions}")
        self.made = setup_databases(verbosity=0, interactive=False)
        fill(sessions)
        settle()
        self.sessions, self.drawn = sessions, Random(sessions)
        self.tokens: list[dict[str, str]] = []
        #: Sessions that logins have opened, until they are ended: the table keeps its size.
        self.opened: list[Any] = []
        self.callers: dict[str, Caller] = {}
        self.admin_cookies = self.log_staff_in()

    def sizes(self) -> dict[str, tuple[int, int]]:
        """Bytes on disk of each table that grows, and of its indexes; empty but on PostgreSQL."""
        return sizes()

    def sample(self, number: int) -> list[Any]:
        """So many live sessions anywhere in the table."""
        from authx.models import DeviceSession

        found: list[Any] = []
        while len(found) < number:
            name = name_of(self.drawn.randrange(users_of(self.sessions)))
            live = DeviceSession.objects.live().select_related("user").filter(user__username=name)
            found += list(live)[:1]
        return found

    def call(self, path: str, headers: dict[str, str] | None = None, body: bytes = b"") -> int:
        """Nanoseconds of one request, which must succeed."""
        caller = self.callers.setdefault(path.partition("?")[0], Caller(path))
        told = {"PATH_INFO": path.partition("?")[0], "QUERY_STRING": path.partition("?")[2]}
        told |= {"REQUEST_METHOD": "POST" if body else "GET", "CONTENT_TYPE": "application/json"}
        environ, caller.environ = caller.environ, caller.environ | told | (headers or {})
        start = time.perf_counter_ns()
        content = caller(body)
        taken = time.perf_counter_ns() - start
        caller.environ = environ
        if caller.status != "200 OK":
            raise RuntimeError(f"{path}: {caller.status} {content[:200]!r}")
        self.answer = content
        return taken

    def bearers(self, sessions: Sequence[Any]) -> list[dict[str, str]]:
        from django.utils import timezone

        from authx.sessions.credentials import access_token_for

        now = timezone.now()
        tokens = [access_token_for(session, now=now)[1] for session in sessions]
        return [{"HTTP_AUTHORIZATION": f"Bearer {token}"} for token in tokens]

    def log_staff_in(self) -> dict[str, str]:
        """The cookies of a superuser."""
        from django.contrib.auth import get_user_model
        from django.utils import timezone

        from authx.sessions import open_session
        from authx.sessions.credentials import access_token_for

        model = get_user_model()
        staff = model.objects.create_superuser("staff", password="benchmark")
        session = open_session(staff).session
        token = access_token_for(session, now=timezone.now())[1]
        return {"HTTP_COOKIE": f"__Host-authx_access={token}", "HTTP_SEC_FETCH_SITE": "same-origin"}

    def request(self, store: str, times: int) -> list[int]:
        """Requests with the access tokens of a hundred sessions, each used before."""
        from django.test import override_settings

        kind, lag = STORES[store]
        if not self.tokens:
            self.tokens = self.bearers(self.sample(100))
        chosen = {"AUTHX_REVOCATION_STORE": kind, "AUTHX_REVOCATION_LAG": timedelta(seconds=lag)}
        with override_settings(**chosen):
            for token in self.tokens:
                self.call("/hello/", token)
            return [self.call("/hello/", self.tokens[turn % 100]) for turn in range(times)]

    def login(self, times: int) -> list[int]:
        from authx.models import DeviceSession

        taken = []
        for session in self.sample(times):
            body = {"username": session.user.username, "password": "benchmark"}
            taken.append(self.call("/auth/login/", body=json.dumps(body).encode()))
            self.opened.append(DeviceSession(pk=json.loads(self.answer)["session_id"]))
        return taken

    def end(self, times: int) -> list[int]:
        from authx.sessions import end_session

        if len(self.opened) < times:
            self.login(times)
        taken = []
        for _ in range(times):
            session = self.opened.pop()
            start = time.perf_counter_ns()
            end_session(session, "kicked")
            taken.append(time.perf_counter_ns() - start)
        return taken

    def refresh(self, times: int) -> list[int]:
        from django.utils import timezone

        from authx.sessions.credentials import credentials_for

        now = timezone.now()
        taken = []
        for _ in range(times):
            (session,) = self.sample(1)  # read anew: another may have refreshed it
            token = credentials_for(session, generation=session.generation, now=now).refresh_token
            taken.append(self.call("/auth/refresh/", body=json.dumps({"refresh_token": token}).encode()))
        return taken

    def own_list(self, times: int) -> list[int]:
        return [self.call("/auth/sessions/", token) for token in self.bearers(self.sample(times))]

    def admin_list(self, query: str, times: int) -> list[int]:
        path = f"/admin/authx/devicesession/{query}"
        return [self.call(path, self.admin_cookies) for _ in range(times)]

    def admin_search(self, cut: int, times: int) -> list[int]:
        """For user names without their first ``cut`` letters."""
        names = [one.user.username[cut:] for one in self.sample(times)]
        path = "/admin/authx/devicesession/?q="
        return [self.call(path + name, self.admin_cookies) for name in names]

    def admin_session(self, times: int) -> list[int]:
        paths = [f"/admin/authx/devicesession/{one.pk}/change/" for one in self.sample(times)]
        return [self.call(path, self.admin_cookies) for path in paths]

    def close(self) -> None:
        from django.db import connections
        from django.test.utils import teardown_databases

        connections.close_all()
        teardown_databases(self.made, verbosity=0)


#: What is measured: method of ``Site``, its first arguments, and how many times in one block.
ACTS: dict[str, tuple[str, tuple[Any, ...], int]] = {
    **{f"request, {store}": ("request", (store,), 200) for store in STORES},
    "login": ("login", (), 20),
    "refresh": ("refresh", (), 20),
    "`end_session`": ("end", (), 20),
    "API `sessions/`": ("own_list", (), 20),
    "admin: all sessions": ("admin_list", ("",), 3),
    "admin: live sessions": ("admin_list", ("?status=live",), 3),
    "admin: ended sessions": ("admin_list", ("?status=ended",), 3),
    "admin: search for a user": ("admin_search", (0,), 3),
    "admin: search for part of a name": ("admin_search", (1,), 1),
    "admin: one session": ("admin_session", (), 5),
}


_here: Site


def start(*arguments: Any) -> None:
    """Make this process's site."""
    global _here
    _here = Site(*arguments)


def do(method: str, *arguments: Any) -> Any:
    """Have it do something."""
    return getattr(_here, method)(*arguments)
