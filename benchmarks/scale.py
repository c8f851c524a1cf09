"""Whether anything gets dearer when there are many sessions.

    pip install -e ".[redis]" "psycopg[binary]"
    python -m benchmarks.scale [--sessions 1000,100000,1000000] [--database postgresql|sqlite]

Each size is a database of its own with that many live sessions, one user to five of them, and a process that
works on it. The processes work in turn, a block at a time, in an order drawn anew each round, so that the
noise of the machine falls on all sizes alike: what counts is the ratio. Timed is the whole WSGI application,
from environ to closed response; `end_session` is called as it is. Every act takes sessions drawn at random.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import platform
import secrets
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from datetime import datetime, timedelta
from importlib.metadata import version
from random import Random
from statistics import median
from typing import Any

from benchmarks.peers.place import postgresql, redis_server, sqlite
from benchmarks.peers.process import Caller

BATCH = 5000
SESSIONS_EACH = 5
STORES = {
    "database": ("database", 0),
    "database, lag 1 s": ("database", 1),
    "redis": ("redis", 0),
    "redis, lag 1 s": ("redis", 1),
}
DEVICES = (("web", "Firefox on Linux"), ("web", "Chrome on Windows"), ("ios", "Safari on iPhone"))


def configure(database: dict[str, Any], redis: str, prefix: str) -> None:
    """A site with pages, API and admin."""
    import django
    from django.conf import settings

    session = "django.contrib.sessions.middleware.SessionMiddleware"
    auth = "django.contrib.auth.middleware.AuthenticationMiddleware"
    messages = "django.contrib.messages.middleware.MessageMiddleware"
    context = ["template.context_processors.request", "contrib.auth.context_processors.auth"]
    context += ["contrib.messages.context_processors.messages"]
    options = {"context_processors": [f"django.{name}" for name in context]}
    engine = {"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}
    apps = ["admin", "auth", "contenttypes", "sessions", "messages"]
    settings.configure(
        SECRET_KEY="benchmark-" + "x" * 50,
        ALLOWED_HOSTS=["*"],
        DATABASES={"default": database},
        INSTALLED_APPS=[*(f"django.contrib.{name}" for name in apps), "rest_framework", "authx"],
        MIDDLEWARE=[session, auth, "authx.pages.middleware.DeviceSessionMiddleware", messages],
        TEMPLATES=[engine | {"OPTIONS": options}],
        REST_FRAMEWORK={
            "DEFAULT_AUTHENTICATION_CLASSES": ["authx.api.authentication.BearerAuthentication"],
            "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
            "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
        },
        STATIC_URL="/static/",
        USE_TZ=True,
        PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],
        LOGGING={"version": 1, "root": {"level": "ERROR"}},
        CACHES=caches(redis, prefix),
        AUTHX_ACCESS_TOKEN_LIFETIME=timedelta(hours=12),  # none expires while it is needed
        AUTHX_LOGIN_RATE=None,
        AUTHX_REFRESH_RATE=None,
        AUTHX_REFRESH_GRACE=timedelta(milliseconds=1),  # every refresh rotates
    )
    django.setup()
    settings.ROOT_URLCONF = routes()


def caches(redis: str, prefix: str) -> dict[str, Any]:
    if not redis:
        return {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
    return {"default": {"BACKEND": "django_redis.cache.RedisCache", "LOCATION": redis, "KEY_PREFIX": prefix}}


def routes() -> tuple[Any, ...]:
    from django.contrib import admin
    from django.urls import include, path

    from benchmarks.peers.site import Hello

    return (
        path("hello/", Hello.as_view()),
        path("auth/", include("authx.api.urls")),
        path("admin/", admin.site.urls),
    )


def live_session(user: Any, now: datetime, drawn: Random | None = None) -> Any:
    """An unsaved session of ``user``, opened within the last six days and used since."""
    from authx.models import DeviceSession
    from authx.sessions.liveness import fingerprint

    drawn = drawn or Random()
    opened = now - timedelta(seconds=drawn.uniform(3600, 6 * 86400))
    type_, label = drawn.choice(DEVICES)
    return DeviceSession(
        user=user,
        subject=str(user.pk),
        device_type=type_,
        device_label=label,
        user_agent="Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
        ip="192.0.2.7",
        auth_time=opened,
        created_at=opened,
        last_seen_at=now,
        rotated_at=opened,
        confirmed_generation=1,
        salt=secrets.token_bytes(32),
        fingerprint=fingerprint(user),
        idle_expires_at=now + timedelta(days=7),
        expires_at=opened + timedelta(days=30),
    )


def fill(number: int) -> None:
    """So many live sessions, each with the event of its opening: a thousand users', then copies of those."""
    from django.contrib.auth import get_user_model
    from django.db import connection

    from authx.models import DeviceSession
    from authx.store.database import database_now

    model, now, drawn = get_user_model(), database_now(), Random(number)
    template = model.objects.create_user("template", password="benchmark")
    fields = {"password": template.password, "date_joined": now}
    size = min(BATCH, number)
    names = range(0, size, SESSIONS_EACH)
    users = model.objects.bulk_create([model(username=f"user{name}-0", **fields) for name in names])
    sessions = [live_session(users[place // SESSIONS_EACH], now, drawn) for place in range(size)]
    DeviceSession.objects.bulk_create(sessions)
    with connection.cursor() as cursor:
        for copy in range(1, number // BATCH):
            cursor.execute(copied_users(), [f"-{copy}"])
            cursor.execute(copied_sessions(connection.vendor), [f"-{copy}"])
        cursor.execute(OPENINGS)


def copied_users() -> str:
    from django.contrib.auth import get_user_model

    kept = _columns(get_user_model(), but=("id", "username"))
    return (
        f"INSERT INTO auth_user (username, {kept}) SELECT replace(username, '-0', %s), {kept} "
        "FROM auth_user WHERE username LIKE 'user%%-0'"
    )


def copied_sessions(vendor: str) -> str:
    from authx.models import DeviceSession

    new_id = "gen_random_uuid()" if vendor == "postgresql" else "lower(hex(randomblob(16)))"
    kept = _columns(DeviceSession, but=("id", "user_id", "subject"))
    return (
        f"INSERT INTO authx_devicesession (id, user_id, subject, {kept}) "
        f"SELECT {new_id}, copy.id, CAST(copy.id AS varchar), {kept} FROM authx_devicesession "
        "JOIN auth_user original ON original.id = user_id AND original.username LIKE 'user%%-0' "
        "JOIN auth_user copy ON copy.username = replace(original.username, '-0', %s)"
    )


def _columns(model: Any, but: Sequence[str]) -> str:
    return ", ".join(one.column for one in model._meta.concrete_fields if one.column not in but)


OPENINGS = (
    "INSERT INTO authx_sessionevent (session_id, kind, at, outcome, actor_label, user_agent, note) "
    "SELECT id, 'opened', created_at, '', '', '', '' FROM authx_devicesession"
)


class Site:
    """One size, in a process of its own."""

    def __init__(self, database: dict[str, Any], redis: str, sessions: int) -> None:
        from django.test.utils import setup_databases

        configure(database, redis, f"scale{sessions}")
        self.made = setup_databases(verbosity=0, interactive=False)
        fill(sessions)
        self.settle()
        self.sessions, self.drawn = sessions, Random(sessions)
        self.tokens: list[dict[str, str]] = []
        #: Sessions that logins have opened, until they are ended: the table keeps its size.
        self.opened: list[Any] = []
        self.callers: dict[str, Caller] = {}
        self.admin_cookies = self.log_staff_in()

    def settle(self) -> None:
        """Let the database know what it holds, as its autovacuum would in time."""
        from django.db import connection

        with connection.cursor() as cursor:
            cursor.execute("VACUUM ANALYZE" if connection.vendor == "postgresql" else "ANALYZE")

    def sample(self, number: int) -> list[Any]:
        """So many live sessions anywhere in the table."""
        from authx.models import DeviceSession

        found: list[Any] = []
        while len(found) < number:
            size = min(BATCH, self.sessions)
            user = self.drawn.randrange(0, size, SESSIONS_EACH)
            name = f"user{user}-{self.drawn.randrange(self.sessions // size)}"
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
        for session in self.sample(times):
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


def _open(*arguments: Any) -> None:
    global _here
    _here = Site(*arguments)


def _do(method: str, *arguments: Any) -> Any:
    return getattr(_here, method)(*arguments)


def started(database: dict[str, Any], redis: str, sessions: int, stack: ExitStack) -> ProcessPoolExecutor:
    context = multiprocessing.get_context("spawn")
    pool = stack.enter_context(ProcessPoolExecutor(1, context, _open, (database, redis, sessions)))
    stack.callback(lambda: pool.submit(_do, "close").result())
    return pool


def database_for(kind: str, folder: str, sessions: int) -> dict[str, Any]:
    found = sqlite(folder) if kind == "sqlite" else postgresql()
    name = found["TEST"]["NAME"]
    stem, dot, ending = name.partition(".sqlite3")
    return found | {"TEST": {"NAME": f"{stem}_{sessions}{dot}{ending}"}, "CONN_MAX_AGE": None}


Times = dict[tuple[str, int], list[int]]


def run(sites: dict[int, ProcessPoolExecutor], acts: Sequence[str], rounds: int, seed: int) -> Times:
    """Nanoseconds by act and size."""
    times: Times = defaultdict(list)
    drawn = Random(seed)
    for turn in range(rounds + 1):
        for act in drawn.sample(acts, len(acts)):
            method, arguments, number = ACTS[act]
            for size in drawn.sample(list(sites), len(sites)):
                taken = sites[size].submit(_do, method, *arguments, number).result()
                if turn:  # the first round is for first uses
                    times[act, size] += taken
    return times


def table(times: Times, acts: Sequence[str], sizes: Sequence[int]) -> str:
    told: Callable[[float], str] = lambda ns: f"{ns / 1e6:.2f}" if ns >= 1e6 else f"{ns / 1e6:.3f}"  # noqa: E731
    lines = [
        f"| median ms | {' | '.join(f'{size:,}' for size in sizes)} | largest / smallest |",
        f"| --- |{' ---: |' * (len(sizes) + 1)}",
    ]
    for act in acts:
        found = [median(times[act, size]) for size in sizes]
        lines.append(f"| {act} | {' | '.join(map(told, found))} | {found[-1] / found[0]:.2f} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description="Whether a million sessions make anything dearer.")
    parser.add_argument("--sessions", default="1000,100000,1000000", help="sizes, separated by commas")
    parser.add_argument("--database", choices=["sqlite", "postgresql"], default="postgresql")
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--seed", type=int, default=1, help="of the order within the rounds")
    asked = parser.parse_args()
    sizes = sorted(map(int, asked.sessions.split(",")))
    with tempfile.TemporaryDirectory() as folder, redis_server() as redis, ExitStack() as stack:
        acts = [act for act in ACTS if redis or "redis" not in act]
        sites = {
            size: started(database_for(asked.database, folder, size), redis, size, stack) for size in sizes
        }
        start = time.perf_counter()
        for size, made in [(size, pool.submit(_do, "sample", 0)) for size, pool in sites.items()]:
            made.result()
            print(f"{size:,} sessions made after {time.perf_counter() - start:.0f} s", flush=True)
        times = run(sites, acts, asked.rounds, asked.seed)
        print(f"\n{table(times, acts, sizes)}")
    print(
        f"\n{asked.rounds} rounds. {asked.database}; Python {platform.python_version()}, "
        f"{os.cpu_count()} cores, Django {version('Django')}"
    )


if __name__ == "__main__":
    main()
