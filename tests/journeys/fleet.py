"""The demo with all that runs beside it, each in a process of its own: two services and an app."""

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from tests.processes import free_port, wait_for

ROOT = Path(__file__).parents[2]


class Fleet(NamedTuple):
    """Where each of them is."""

    site: str
    orders: str
    stock: str
    reader: str


def ask(url, body=None, token=None):
    """Status and JSON of an answer; status 0 where nobody listens, or answers in time."""
    headers = {"Content-Type": "application/json"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    data = None if body is None else json.dumps(body).encode()
    try:
        with urlopen(Request(url, data, headers), timeout=10) as answer:
            return answer.status, json.load(answer)
    except HTTPError as error:
        with error:
            body = error.read()
            return error.code, json.loads(body) if body else None
    except OSError:  # URLError is one, and so is a time-out while the answer is read
        return 0, None


@pytest.fixture
def port():
    """A port whose next three are free, too."""
    while True:
        port = free_port()
        try:
            if subprocess.run([sys.executable, "-c", FREE, str(port)], check=False).returncode == 0:
                return port
        except OverflowError:
            pass


FREE = """
import socket, sys
for number in range(1, 4):
    socket.create_server(("127.0.0.1", int(sys.argv[1]) + number)).close()
"""


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
        site, service, stock, reader = (f"http://127.0.0.1:{port + number}" for number in range(4))
        wait_for(lambda: ask(f"{site}/.well-known/jwks.json")[0] == 200)
        wait_for(lambda: ask(f"{service}/orders/")[0] == 401)
        wait_for(lambda: ask(f"{stock}/stock/")[0] == 401)
        wait_for(lambda: ask(f"{reader}/nothing")[0] == 404)
        yield Fleet(site, f"{service}/orders/", f"{stock}/stock/", f"{reader}/")
    finally:
        process.terminate()
        try:
            output, _ = process.communicate(timeout=30)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    assert f"{service}/orders/" in output
    for url in (service, stock, reader):
        wait_for(lambda url=url: ask(url)[0] == 0)


def log_in(site, name):
    status, tokens = ask(f"{site}/api/auth/login/", {"username": name, "password": f"{name}-demo"})
    assert status == 200
    return tokens
