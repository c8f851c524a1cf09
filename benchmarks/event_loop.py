"""How long authentication blocks the event loop of an ASGI site, with stores near and far away.

    pip install -e ".[redis]" "psycopg[binary]"
    python -m benchmarks.event_loop [--requests 200] [--latency 20]

Each contestant is a process of its own that sends requests through its ASGI handler, four at a time. A
heartbeat in the same loop measures how late it comes: so long was the loop blocked, or the machine busy. A
view that asks nobody and only waits, for 100 ms, tells these apart. Once the stores are near; once they are
`--latency` milliseconds away, there and back, behind a proxy of the benchmark's own. The same requests go
through the WSGI handler, one at a time, for the time that each takes. Blocks of all contestants take turns.

PostgreSQL is found at PGPORT of this machine; the database is created and dropped.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import multiprocessing
import os
import platform
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from importlib.metadata import version
from random import Random
from statistics import median, quantiles
from typing import Any
from urllib.parse import urlsplit
from wsgiref.util import setup_testing_defaults

from benchmarks.peers.asgi import respond
from benchmarks.peers.place import postgresql, redis_server
from benchmarks.peers.proxy import Proxy

BLOCK, AT_ONCE = 20, 4
#: Seconds: between two beats, and what the view that asks nobody waits for.
BEAT, WAIT = 0.002, 0.1
STORES = {
    "authx database": ("database", 0),
    "authx database, lag 1 s": ("database", 1),
    "authx redis": ("redis", 0),
    "authx redis, lag 1 s": ("redis", 1),
}
NOBODY, DJANGO = "nobody is asked (waits 100 ms)", "Django's sessions"
#: By contestant: what is asked of it.
ASKS = {
    NOBODY: ("async view",),
    DJANGO: ("async view",),
    "authx database": ("async view", "renewal", "API"),
    "authx database, lag 1 s": ("async view", "renewal", "API"),
    "authx redis": ("async view", "renewal", "API"),
    "authx redis, lag 1 s": ("async view", "renewal", "API"),
}


def configure(name: str, database: Mapping[str, Any], redis: str) -> None:
    """A site with one contestant's middleware; ``NOBODY`` has none."""
    import django
    from django.conf import settings

    auth = "django.contrib.auth.middleware.AuthenticationMiddleware"
    middleware = {
        NOBODY: [],
        DJANGO: ["django.contrib.sessions.middleware.SessionMiddleware", auth],
    }.get(name, ["authx.pages.middleware.DeviceSessionMiddleware"])
    store, lag = STORES.get(name, ("database", 0))
    settings.configure(
        SECRET_KEY="benchmark-" + "x" * 50,
        ALLOWED_HOSTS=["*"],
        DATABASES={"default": dict(database)},
        INSTALLED_APPS=[
            *(f"django.contrib.{app}" for app in ("auth", "contenttypes", "sessions")),
            "rest_framework",
            "authx",
        ],
        MIDDLEWARE=middleware,
        REST_FRAMEWORK={
            "DEFAULT_AUTHENTICATION_CLASSES": ["authx.api.authentication.BearerAuthentication"],
            "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
        },
        USE_TZ=True,
        PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],
        LOGGING={"version": 1, "root": {"level": "ERROR"}},
        CACHES={"default": {"BACKEND": "django_redis.cache.RedisCache", "LOCATION": redis}} if redis else {},
        AUTHX_ACCESS_TOKEN_LIFETIME=timedelta(hours=1),
        AUTHX_REVOCATION_STORE=store,
        AUTHX_REVOCATION_LAG=timedelta(seconds=lag),
        AUTHX_REFRESH_GRACE=timedelta(milliseconds=1),  # every renewal rotates
    )
    django.setup()
    settings.ROOT_URLCONF = routes(name)


def routes(name: str) -> tuple[Any, ...]:
    from django.http import HttpRequest, HttpResponse
    from django.urls import path
    from rest_framework.permissions import IsAuthenticated
    from rest_framework.request import Request
    from rest_framework.response import Response
    from rest_framework.views import APIView

    async def page(request: HttpRequest) -> HttpResponse:
        if name == NOBODY:
            await asyncio.sleep(WAIT)
            return HttpResponse("hello")
        user = await request.auser()
        return HttpResponse(f"hello {user.get_username()}", status=200 if user.is_authenticated else 401)

    class Hello(APIView):
        permission_classes = [IsAuthenticated]

        def get(self, request: Request) -> Response:
            return Response({"hello": "world"})

    return path("page/", page), path("api/", Hello.as_view())


class Site:
    """One contestant in this process."""

    def __init__(self, name: str, database: Mapping[str, Any], redis: str) -> None:
        configure(name, database, redis)
        from django.contrib.auth import get_user_model
        from django.core.asgi import get_asgi_application
        from django.core.wsgi import get_wsgi_application

        self.asgi, self.wsgi = get_asgi_application(), get_wsgi_application()
        self.user = get_user_model().objects.get(username="ada")
        self.held = self.log_in() if name == DJANGO else None
        self.known = name in STORES
        self.bearer = ""

    def log_in(self) -> str:
        """The cookie of a Django session."""
        from benchmarks.peers.doors import session_login

        return session_login(self.user).headers["HTTP_COOKIE"]

    def questions(self, asked: str, number: int) -> list[tuple[str, dict[str, str]]]:
        """Paths and headers. A renewal is good once, so each has a session of its own."""
        from authx.sessions import open_session

        if not self.known:
            return [("/page/", {"cookie": self.held} if self.held else {})] * number
        if asked == "renewal":
            opened = [open_session(self.user).refresh_token for _ in range(number)]
            return [("/page/", {"cookie": f"__Host-authx_refresh={token}"}) for token in opened]
        self.bearer = self.bearer or open_session(self.user).access_token
        if asked == "API":
            return [("/api/", {"authorization": f"Bearer {self.bearer}"})] * number
        return [("/page/", {"cookie": f"__Host-authx_access={self.bearer}"})] * number

    def by_asgi(self, asked: str, number: int) -> tuple[list[float], list[float]]:
        """Seconds of each request, and how late each beat meanwhile was."""
        return asyncio.run(self._by_asgi(self.questions(asked, number)))

    async def _by_asgi(self, questions: list[Any]) -> tuple[list[float], list[float]]:
        taken: list[float] = []
        late: list[float] = []

        async def ask_on() -> None:
            while questions:
                path, headers = questions.pop()
                start = time.perf_counter()
                status = await respond(self.asgi, path, headers)
                taken.append(time.perf_counter() - start)
                if status != 200:
                    raise RuntimeError(f"{path}: {status}")

        async def beat() -> None:
            while True:
                start = time.perf_counter()
                await asyncio.sleep(BEAT)
                late.append(time.perf_counter() - start - BEAT)

        heart = asyncio.create_task(beat())
        await asyncio.gather(*(ask_on() for _ in range(AT_ONCE)))
        await asyncio.sleep(2 * BEAT)
        heart.cancel()
        return taken, late

    def by_wsgi(self, asked: str, number: int) -> list[float]:
        taken = []
        for path, headers in self.questions(asked, number):
            environ: dict[str, Any] = {}
            setup_testing_defaults(environ)
            named = {f"HTTP_{name.upper()}": value for name, value in headers.items()}
            environ |= {"PATH_INFO": path, "REMOTE_ADDR": "192.0.2.7", "wsgi.input": io.BytesIO(b""), **named}
            start = time.perf_counter()
            response = self.wsgi(environ, lambda status, headers: None)
            list(response)
            response.close()
            taken.append(time.perf_counter() - start)
            if response.status_code != 200:
                raise RuntimeError(f"{path}: {response.status_code}")
        return taken


_here: Site


def _open(*arguments: Any) -> None:
    global _here
    _here = Site(*arguments)


def _do(method: str, *arguments: Any) -> Any:
    return getattr(_here, method)(*arguments)


@dataclass
class Times:
    """Seconds: of requests, both ways, and how late beats were."""

    asgi: list[float] = field(default_factory=list)
    wsgi: list[float] = field(default_factory=list)
    late: list[float] = field(default_factory=list)


@contextmanager
def a_database() -> Iterator[dict[str, Any]]:
    """PostgreSQL with our tables and one user."""
    wanted = postgresql() | {"TEST": {"NAME": f"authx_loop_{os.getpid()}"}}
    configure(NOBODY, wanted, "")
    from django.contrib.auth import get_user_model
    from django.db import connection
    from django.test.utils import setup_databases, teardown_databases

    made = setup_databases(verbosity=0, interactive=False)
    try:
        get_user_model().objects.create_user("ada", password="benchmark")
        name = connection.settings_dict["NAME"]
        connection.close()
        yield postgresql() | {"NAME": name}
    finally:
        teardown_databases(made, verbosity=0)


def far(database: Mapping[str, Any], redis: str, latency: float) -> tuple[Mapping[str, Any], str]:
    """The same two behind proxies; as they are where ``latency`` (seconds, there and back) is 0."""
    if not latency:
        return database, redis
    there = Proxy(int(database["PORT"] or 5432), latency / 2)
    found = {**database, "PORT": str(there.port)}
    if redis:
        redis = f"redis://127.0.0.1:{Proxy(urlsplit(redis).port or 6379, latency / 2).port}/0"
    return found, redis


Pools = dict[str, ProcessPoolExecutor]


def run(pools: Pools, requests: int, drawn: Random) -> dict[tuple[str, str], Times]:
    """By contestant and what was asked."""
    times = {(name, asked): Times() for name in pools for asked in ASKS[name]}
    for turn in range(requests // BLOCK + 1):
        for name, asked in drawn.sample(list(times), len(times)):
            taken, late = pools[name].submit(_do, "by_asgi", asked, BLOCK).result()
            alone = pools[name].submit(_do, "by_wsgi", asked, BLOCK).result()
            if turn:  # the first is for first uses
                this = times[name, asked]
                this.asgi, this.wsgi, this.late = this.asgi + taken, this.wsgi + alone, this.late + late
    return times


HEAD = """\
| | asked | WSGI ms | ASGI ms | beats | late ms: median | p99 | max |
| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |"""


def line(name: str, asked: str, times: Times) -> str:
    ms: Callable[[float], str] = lambda seconds: f"{seconds * 1000:.1f}"  # noqa: E731
    found = (median(times.late), quantiles(times.late, n=100)[98], max(times.late))
    cells = [name, asked, ms(median(times.wsgi)), ms(median(times.asgi)), f"{len(times.late):,}"]
    return f"| {' | '.join([*cells, *map(ms, found)])} |"


def measure(latency: float, database: Mapping[str, Any], redis: str, asked: Any) -> None:
    database, redis = far(database, redis, latency)
    context = multiprocessing.get_context("spawn")
    print(f"\nStores {'near' if not latency else f'{latency * 1000:g} ms away'}\n\n{HEAD}", flush=True)
    with ExitStack() as stack:
        names = [name for name in ASKS if redis or "redis" not in name]
        pools = {
            name: stack.enter_context(ProcessPoolExecutor(1, context, _open, (name, database, redis)))
            for name in names
        }
        for key, times in run(pools, asked.requests, Random(asked.seed)).items():
            print(line(*key, times), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description="How long authentication blocks the event loop.")
    parser.add_argument("--requests", type=int, default=200, help="timed, per line of the tables")
    parser.add_argument("--latency", type=float, default=20, help="milliseconds, of the second table")
    parser.add_argument("--seed", type=int, default=1, help="of the order within the rounds")
    asked = parser.parse_args()
    with redis_server() as redis, a_database() as database:
        for latency in (0, asked.latency / 1000):
            measure(latency, database, redis, asked)
    print(
        f"\n{asked.requests} requests each. PostgreSQL; Python {platform.python_version()}, "
        f"{os.cpu_count()} cores, Django {version('Django')}"
    )


if __name__ == "__main__":
    main()
