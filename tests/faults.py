"""Servers that a test owns and may break, and workers that live through it.

``RedisServer`` and ``PostgresCluster`` are real processes on ports and directories of their own; ``Proxy``
stands before either. ``Site`` is a process that has loaded Django (``python -m tests.faults``) and forks
a ``Worker`` for each connection: one process of the site, that does as it is told and says how it went.
"""

from __future__ import annotations

import glob
import json
import os
import shutil
import signal
import socket
import socketserver
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tests.processes import DEADLINE, answers, free_port, wait_for

ROOT = Path(__file__).parent.parent
#: Where a worker can be asked for somebody: see ``DOORS``.
CHECKING_DOORS = ("api", "cookie", "gate", "page", "recognize", "session")
ALL_DOORS = (*CHECKING_DOORS, "renewal", "refresh")


class Server:
    """A process with a port and a directory; gone when the block is left."""

    def __init__(self) -> None:
        if not sys.platform.startswith("linux"):
            pytest.skip("the processes are found by way of Linux's /proc")
        self.port = free_port()
        self.directory = Path(tempfile.mkdtemp(prefix="authx-faults-"))
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Any:
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exc: Any) -> None:
        if self.process is not None:
            self.end(signal.SIGKILL)
        shutil.rmtree(self.directory, ignore_errors=True)

    def command(self) -> list[str]:
        raise NotImplementedError

    def start(self, **options: Any) -> None:
        quiet = subprocess.DEVNULL
        self.process = subprocess.Popen(
            self.command(), stdout=quiet, stderr=quiet, cwd=self.directory, **options
        )
        wait_for(self.is_ready)

    def is_ready(self) -> bool:
        return answers(self.port)

    def pids(self) -> list[int]:
        if self.process is None or self.process.poll() is not None:
            return []
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return [self.process.pid, *map(int, children.read_text().split())]

    def send(self, number: int) -> None:
        for pid in self.pids():
            os.kill(pid, number)

    def stall(self) -> None:
        """Stop it in its tracks: connections are still accepted, and nobody answers."""
        self.send(signal.SIGSTOP)

    def go_on(self) -> None:
        self.send(signal.SIGCONT)

    def end(self, number: int) -> None:
        assert self.process is not None
        self.go_on()
        self.process.send_signal(number)
        self.process.wait(DEADLINE)
        self.process = None


class RedisServer(Server):
    """A Redis without persistence but the snapshots that a test asks for."""

    def __init__(self) -> None:
        if shutil.which("redis-server") is None:
            pytest.skip("no redis-server on PATH (Debian: apt-get install redis-server)")
        pytest.importorskip("django_redis", reason="django-redis is not installed (the extra `redis`)")
        super().__init__()

    def command(self) -> list[str]:
        options = {
            "port": self.port,
            "bind": "127.0.0.1",
            "dir": self.directory,
            "save": "",
            "appendonly": "no",
        }
        return [
            "redis-server",
            *(part for name, value in options.items() for part in (f"--{name}", str(value))),
        ]

    def is_ready(self) -> bool:
        return answers(self.port) and bool(self.ask("PING"))

    @property
    def location(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def ask(self, *words: Any) -> Any:
        from redis import Redis
        from redis.backoff import NoBackoff
        from redis.retry import Retry

        with Redis(
            port=self.port, socket_timeout=5, retry=Retry(NoBackoff(), 0), decode_responses=True
        ) as client:
            return client.execute_command(*words)

    def kill(self) -> None:
        self.end(signal.SIGKILL)

    def pause(self, seconds: float, what: str) -> None:
        """``what``: WRITE or ALL. Nobody can take a pause of ALL back."""
        self.ask("CLIENT PAUSE", int(seconds * 1000), what)

    def refuse_writes(self) -> None:
        """Become a read-only replica of a primary that is not there."""
        self.ask("REPLICAOF", "127.0.0.1", free_port())

    def run_out_of_memory(self) -> None:
        self.ask("CONFIG SET", "maxmemory-policy", "noeviction")
        self.ask("CONFIG SET", "maxmemory", 1)

    def recover(self) -> None:
        """Write again, whatever kept it from writing."""
        self.ask("CLIENT UNPAUSE")
        self.ask("REPLICAOF", "NO", "ONE")
        self.ask("CONFIG SET", "maxmemory", 0)

    def save(self) -> None:
        """Take a snapshot, with which the next start begins."""
        self.ask("SAVE")

    def clients(self) -> int:
        """How many connections there are, beside the one that asks."""
        return len(self.ask("CLIENT LIST")) - 1 if self.process else 0


class PostgresCluster(Server):
    """A PostgreSQL cluster whose data nobody will miss."""

    NAME = "authx_faults"

    def __init__(self) -> None:
        found = sorted(glob.glob("/usr/lib/postgresql/*/bin")) or [
            os.path.dirname(shutil.which("initdb") or "")
        ]
        if not found[-1]:
            pytest.skip("no PostgreSQL server binaries (Debian: apt-get install postgresql)")
        pytest.importorskip("psycopg", reason="psycopg is not installed")
        self.binaries = Path(found[-1])
        super().__init__()
        self.account: dict[str, Any] = {}
        if os.getuid() == 0:  # which PostgreSQL refuses to run as
            self.account = {"user": "postgres", "group": "postgres", "extra_groups": []}
            shutil.chown(self.directory, "postgres", "postgres")
        self.run(
            "initdb", "-D", "data", "-U", "postgres", "-A", "trust", "--no-sync", "--no-locale", "-E", "UTF8"
        )

    def run(self, program: str, *words: str) -> None:
        done = subprocess.run(
            [self.binaries / program, *words],
            cwd=self.directory,
            capture_output=True,
            text=True,
            timeout=DEADLINE,
            **self.account,
        )
        assert done.returncode == 0, done.stderr

    def command(self) -> list[str]:
        options = {"port": self.port, "unix_socket_directories": self.directory, "fsync": "off"}
        given = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        return [str(self.binaries / "postgres"), "-D", "data", "-h", "127.0.0.1", *given]

    def start(self, **options: Any) -> None:
        super().start(**self.account, **options)

    def is_ready(self) -> bool:
        import psycopg

        try:
            self.ask("SELECT 1", database="postgres")
        except psycopg.OperationalError:
            return False
        return True

    def ask(self, sql: str, *, database: str = NAME) -> list[Any]:
        import psycopg

        where = {"host": "127.0.0.1", "port": self.port, "user": "postgres", "dbname": database}
        with psycopg.connect(**where, autocommit=True) as connection:  # type: ignore[arg-type]
            cursor = connection.execute(sql)  # type: ignore[call-overload]
            return cursor.fetchall() if cursor.description else []

    def create_database(self) -> None:
        self.ask(f"CREATE DATABASE {self.NAME}", database="postgres")

    def stop(self) -> None:
        """As a crash: connections are cut, and nothing is tidied up."""
        self.end(signal.SIGQUIT)

    def clients(self) -> int:
        """How many connections there are, beside the one that asks."""
        sql = "SELECT count(*) - 1 FROM pg_stat_activity WHERE backend_type = 'client backend'"
        return int(self.ask(sql)[0][0])


class Proxy:
    """A TCP proxy: adds ``latency`` (seconds) each way, swallows everything, or cuts connections off."""

    def __init__(self, to: int) -> None:
        self.to, self.latency = to, 0.0
        #: Called before anything is passed on.
        self.hold: Callable[[], None] = lambda: None
        self.resets = False
        self._flows = threading.Event()
        self._flows.set()
        self._open: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]

    def __enter__(self) -> Proxy:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *exc: Any) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.reset()
        self._flows.set()

    def swallow(self) -> None:
        """Connections stand, and nothing comes through any more."""
        self._flows.clear()

    def let_through(self) -> None:
        """What was held back, too."""
        self._flows.set()

    def reset(self) -> None:
        """Cut off whoever is connected, with RST."""
        while self._open:
            self._cut(self._open.pop())

    def _cut(self, end: socket.socket) -> None:
        try:
            end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            end.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        end.close()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            try:
                if self.resets:
                    raise OSError
                far = socket.create_connection(("127.0.0.1", self.to))
            except OSError:
                self._cut(near)
                continue
            self._open += [near, far]
            for pair in ((near, far), (far, near)):
                threading.Thread(target=self._pump, args=pair, daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        try:
            while data := source.recv(65536):
                time.sleep(self.latency)
                self.hold()
                self._flows.wait()
                sink.sendall(data)
        except OSError:
            pass
        for end in (source, sink):
            self._cut(end)


# The test's side of a site


class Site:
    """A process that has loaded Django on ``database``, with its tables; forks workers in no time."""

    def __init__(self, database: PostgresCluster) -> None:
        self.database = database
        self.directory = Path(tempfile.mkdtemp(prefix="authx-site-"))
        self.socket = str(self.directory / "socket")

    def __enter__(self) -> Site:
        environment = {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "tests.settings.base",
            "AUTHX_TEST_DATABASE": "postgresql",
            "AUTHX_TEST_DATABASE_NAME": self.database.NAME,
            "PGHOST": "127.0.0.1",
            "PGPORT": str(self.database.port),
            "PGUSER": "postgres",
        }
        command = [sys.executable, "-m", "tests.faults", self.socket]
        self.process = subprocess.Popen(command, cwd=ROOT, env=environment)
        wait_for(lambda: os.path.exists(self.socket) or self.process.poll() is not None)
        assert self.process.poll() is None
        return self

    def __exit__(self, *exc: Any) -> None:
        self.process.kill()
        self.process.wait(DEADLINE)
        shutil.rmtree(self.directory, ignore_errors=True)

    @contextmanager
    def workers(self, count: int, **settings: Any) -> Iterator[list[Worker]]:
        """So many processes with these settings; ``DATABASE_PORT`` is where they look for the database."""
        workers = [Worker(self.socket, settings) for _ in range(count)]
        try:
            yield workers
        finally:
            for worker in workers:
                worker.close()


class Worker:
    """A process of the site, told by JSON lines what to do."""

    def __init__(self, path: str, settings: dict[str, Any]) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(DEADLINE * 2)
        self._socket.connect(path)
        self._lines = self._socket.makefile("rw")
        self.do("settings", **settings)

    def begin(self, act: str, **arguments: Any) -> None:
        """Tell it to start; ``result`` waits for what comes of it."""
        self._lines.write(json.dumps([act, arguments]) + "\n")
        self._lines.flush()

    def result(self) -> Any:
        failed, result = json.loads(self._lines.readline())
        assert not failed, result
        return result

    def do(self, act: str, **arguments: Any) -> Any:
        self.begin(act, **arguments)
        return self.result()

    def close(self) -> None:
        self._lines.close()
        self._socket.close()


def on_redis(port: int, *, lag: float = 0.0) -> dict[str, Any]:
    """The settings of a site whose store is the Redis on this port."""
    location = f"redis://127.0.0.1:{port}/0"
    return {
        "CACHES": {"default": {"BACKEND": "django_redis.cache.RedisCache", "LOCATION": location}},
        "AUTHX_REVOCATION_STORE": "redis",
        "AUTHX_REVOCATION_LAG": lag,
        "AUTHX_LOGIN_RATE": None,
        "AUTHX_REFRESH_RATE": None,
    }


def ask(worker: Worker, whose: dict[str, str], door: str = "gate") -> dict[str, Any]:
    answer: dict[str, Any] = worker.do("ask", door=door, whose=whose)
    return answer


def open_many(worker: Worker, count: int) -> list[dict[str, str]]:
    return [worker.do("open", name=f"user-{number}") for number in range(count)]


def lease(redis: RedisServer) -> float:
    """What is left of the lease, in seconds; 0 where there is none."""
    for key in redis.ask("KEYS", "*endings*"):
        if redis.ask("HGET", key, "lease"):
            return float(redis.ask("PTTL", key)) / 1000
    return 0.0


def lean_on_redis(workers: Sequence[Worker], redis: RedisServer, whose: dict[str, str]) -> None:
    """Until all of them get their answers from Redis."""
    wait_for(lambda: ask(workers[0], whose)["status"] == 200 and lease(redis) > 3)
    for worker in workers:
        assert ask(worker, whose)["status"] == 200


def assert_refused(worker: Worker, whose: dict[str, str], doors: Sequence[str] = CHECKING_DOORS) -> None:
    for door in doors:
        answer = ask(worker, whose, door)
        assert answer["status"] == 401, (door, answer)


def assert_let_in(worker: Worker, whose: dict[str, str], doors: Sequence[str] = ALL_DOORS) -> None:
    """Everywhere, and no cookie is taken away."""
    for door in doors:
        answer = ask(worker, whose, door)
        assert (answer["status"], answer.get("cleared", [])) == (200, []), (door, answer)


def lateness(history: Sequence[dict[str, Any]], endings: dict[str, dict[str, Any]]) -> float:
    """How many seconds after its ending was acknowledged a session was last let in; 0 if never.

    Fails if a live session was refused, or anything else was answered.
    """
    latest = 0.0
    for answer in history:
        ending = endings.get(answer["sid"])
        if answer["status"] == 401:
            assert ending is not None, answer
            assert answer["done"] >= ending["began"], answer
        else:
            assert (answer["status"], answer.get("cleared", [])) == (200, []), answer
            latest = max(latest, answer["began"] - ending["done"] if ending is not None else 0.0)
    return latest


# The worker's side


class Acts:
    """What a worker can do. Times are seconds of the monotonic clock, which all processes share."""

    def settings(self, DATABASE_PORT: int | None = None, **settings: Any) -> None:  # noqa: N803
        from datetime import timedelta

        from django.db import connections
        from django.test import override_settings

        database = connections.settings["default"]
        database.update(CONN_MAX_AGE=None, CONN_HEALTH_CHECKS=True)
        if DATABASE_PORT is not None:
            database["PORT"] = str(DATABASE_PORT)
        if "AUTHX_REVOCATION_LAG" in settings:
            settings["AUTHX_REVOCATION_LAG"] = timedelta(seconds=settings["AUTHX_REVOCATION_LAG"])
        override_settings(**settings).enable()

    def open(self, name: str) -> dict[str, str]:
        """Open a session of the user of that name."""
        from django.contrib.auth import get_user_model

        from authx.sessions import open_session

        users = get_user_model()._default_manager
        user, _ = users.get_or_create(username=name, defaults={"password": "!"})
        credentials = open_session(user)
        access, refresh = credentials.access_token, credentials.refresh_token
        return {"sid": str(credentials.session.pk), "access": access, "refresh": refresh, "name": name}

    def end(self, sid: str) -> dict[str, Any]:
        """End it; once this has been said, the ending has been acknowledged."""
        from authx.models import DeviceSession
        from authx.sessions import end_session

        return self._timed(lambda: {"ended": end_session(DeviceSession(pk=sid), "kicked")})

    def ask(self, door: str, whose: dict[str, str]) -> dict[str, Any]:
        return self._timed(lambda: DOORS[door](whose))

    def load(
        self,
        doors: Sequence[str],
        people: Sequence[dict[str, str]],
        seconds: float,
        threads: int = 1,
        rest: float = 0.01,
    ) -> list[dict[str, Any]]:
        """Ask at all doors for all people, again and again, with a rest between; all that was answered."""
        until = time.monotonic() + seconds

        def ask_on(number: int) -> list[dict[str, Any]]:
            from django.db import connections

            said = []
            while time.monotonic() < until:
                door, whose = doors[number % len(doors)], people[number // len(doors) % len(people)]
                said.append({"door": door, **self.ask(door, whose), "sid": whose["sid"]})
                number += 1
                time.sleep(rest)
            connections.close_all()
            return said

        with ThreadPoolExecutor(threads) as pool:
            return [answer for part in pool.map(ask_on, range(threads)) for answer in part]

    def size(self) -> dict[str, int]:
        """Open files, threads, and resident memory in KiB."""
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return {
            "files": len(os.listdir("/proc/self/fd")),
            "threads": threading.active_count(),
            "memory": pages * os.sysconf("SC_PAGE_SIZE") // 1024,
        }

    def _timed(self, act: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        from django.db import close_old_connections

        from authx.errors import AuthxError

        began = time.monotonic()
        close_old_connections()  # as a server does before each request
        try:
            said = act()
        except AuthxError as error:
            said = {"status": 503 if error.code == "store_unavailable" else 401, "code": error.code}
        return {"began": began, "done": time.monotonic(), **said}


def by_gate(whose: dict[str, str]) -> dict[str, Any]:
    from authx.gate import verify_access_token

    return {"status": 200, "code": "", "sid": str(verify_access_token(whose["access"]).sid)}


def by_recognition(whose: dict[str, str]) -> dict[str, Any]:
    from authx.sessions import recognize

    return {"status": 200, "code": "", "sid": str(recognize(whose["access"]).pk)}


def by_api(path: str) -> Callable[[dict[str, str]], dict[str, Any]]:
    """Ask a view, by Bearer."""

    def ask(whose: dict[str, str]) -> dict[str, Any]:
        from rest_framework.test import APIClient

        client = APIClient(raise_request_exception=False)
        return _told(client.get(path, headers={"Authorization": f"Bearer {whose['access']}"}))

    return ask


def by_page(*cookies: str, path: str = "/whoami/") -> Callable[[dict[str, str]], dict[str, Any]]:
    """Ask a page, or a view of the API, with these of our cookies; 401 where it knows nobody."""

    def ask(whose: dict[str, str]) -> dict[str, Any]:
        from django.test import Client

        client = Client(raise_request_exception=False)
        for cookie in cookies:
            client.cookies[f"__Host-authx_{cookie}"] = whose[cookie]
        response = client.get(path)
        told = _told(response)
        if told["status"] == 200 and response.json()["user"] is None:
            told["status"] = 401
        return told

    return ask


def by_refresh(whose: dict[str, str]) -> dict[str, Any]:
    from rest_framework.test import APIClient

    client = APIClient(raise_request_exception=False)
    return _told(client.post("/api/auth/refresh/", {"refresh_token": whose["refresh"]}))


def by_login(whose: dict[str, str]) -> dict[str, Any]:
    """Try to log in, with a wrong password."""
    from rest_framework.test import APIClient

    client = APIClient(raise_request_exception=False)
    return _told(client.post("/api/auth/login/", {"username": whose["name"], "password": "wrong"}))


def _told(response: Any) -> dict[str, Any]:
    is_json = response.headers.get("Content-Type") == "application/json"
    ours = {name: cookie for name, cookie in response.cookies.items() if name.startswith("__Host-authx")}
    return {
        "status": response.status_code,
        "code": response.json().get("code", "") if is_json else "",
        "retry_after": response.headers.get("Retry-After"),
        "cleared": [name for name, cookie in ours.items() if not cookie.value],
    }


DOORS: dict[str, Callable[[dict[str, str]], dict[str, Any]]] = {
    "gate": by_gate,
    "recognize": by_recognition,
    "api": by_api("/api/whoami/"),
    "session": by_api("/api/auth/session/"),
    "cookie": by_page("access", "refresh", path="/api/whoami/"),
    "page": by_page("access", "refresh"),
    "renewal": by_page("refresh"),
    "refresh": by_refresh,
    "login": by_login,
}


class _Handler(socketserver.StreamRequestHandler):
    """Runs in the forked process."""

    def handle(self) -> None:
        acts = Acts()
        for line in self.rfile:
            act, arguments = json.loads(line)
            try:
                answer = [False, getattr(acts, act)(**arguments)]
            except Exception as error:
                answer = [True, repr(error)]
            self.wfile.write(json.dumps(answer).encode() + b"\n")


class _Forking(socketserver.ForkingMixIn, socketserver.UnixStreamServer):
    max_children = 1000

    def handle_error(self, *about: Any) -> None:
        """A test that failed has hung up; what an act raised has been told."""


def main(path: str) -> None:
    import logging

    import django

    django.setup()
    from django.core.management import call_command
    from django.db import connections

    logging.disable(logging.CRITICAL)  # outages are what the tests are about
    call_command("migrate", verbosity=0)
    if find_spec("django_redis"):
        for name in ("django_redis.client", "django_redis.pool", "authx.gate.revocation.redis_store"):
            import_module(name)
    somebody = Acts().open("somebody")
    for door in DOORS.values():  # what is imported now need not be by each worker
        door(somebody)
    connections.close_all()
    with _Forking(f"{path}.new", _Handler) as server:
        os.rename(f"{path}.new", path)  # it listens by now: whoever sees it may connect
        server.serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
