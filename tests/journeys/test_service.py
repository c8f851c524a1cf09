"""The journey between two sites: the demo, and the service beside it that has nothing but its public keys."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

import pytest

from tests.faults import free_port, wait_for

ROOT = Path(__file__).parents[2]

# Two processes on SQLite, whatever database the other tests are on.
pytestmark = [pytest.mark.databases("sqlite"), pytest.mark.slow]


def ask(url, body=None, token=None):
    """Status and JSON of an answer; status 0 where nobody listens."""
    headers = {"Content-Type": "application/json"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    data = None if body is None else json.dumps(body).encode()
    try:
        with urlopen(Request(url, data, headers), timeout=10) as answer:
            return answer.status, json.load(answer)
    except HTTPError as error:
        with error:
            return error.code, json.load(error)
    except URLError:
        return 0, None


@pytest.fixture
def port():
    """A port whose next one is free, too."""
    while True:
        port = free_port()
        try:
            if subprocess.run([sys.executable, "-c", FREE, str(port + 1)], check=False).returncode == 0:
                return port
        except OverflowError:
            pass


FREE = "import socket, sys; socket.create_server(('127.0.0.1', int(sys.argv[1]))).close()"


@pytest.fixture
def demo(tmp_path, port):
    environment = {**os.environ, "DEMO_DATABASE": str(tmp_path / "demo.sqlite3")}
    environment.pop("DJANGO_SETTINGS_MODULE", None)
    command = [sys.executable, "manage.py", "demo", "--port", str(port), "--with-service"]
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    try:
        site, service = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{port + 1}/orders/"
        wait_for(lambda: ask(site + "/.well-known/jwks.json")[0] == 200)
        wait_for(lambda: ask(service)[0] == 401)
        yield site, service
    finally:
        process.terminate()
        try:
            output, _ = process.communicate(timeout=30)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    assert service in output
    wait_for(lambda: ask(service)[0] == 0)


def log_in(site, name):
    status, tokens = ask(f"{site}/api/auth/login/", {"username": name, "password": f"{name}-demo"})
    assert status == 200
    return tokens


def test_kicked_at_the_demo_is_refused_by_the_service(demo):
    site, service = demo
    ada, bob, admin = (log_in(site, name) for name in ("ada", "bob", "admin"))
    status, told = ask(service, token=ada["access_token"])
    assert (status, told["user"], told["session"]) == (200, ada["user_id"], ada["session_id"])

    kick = f"{site}/api/auth/staff/users/{ada['user_id']}/kick/"
    assert ask(kick, {"reason": "test"}, admin["access_token"]) == (200, {"ended": 1})
    ended = time.monotonic()
    wait_for(lambda: ask(service, token=ada["access_token"])[0] == 401, seconds=15)
    assert time.monotonic() - ended < 10
    status, told = ask(service, token=ada["access_token"])
    assert (told["code"], told["reason"]) == ("session_ended", "kicked")
    assert ask(service, token=bob["access_token"])[0] == 200
    assert ask(service, token="nonsense")[0] == 401
