"""Real servers of sockets, uvicorn and daphne as processes, and real clients."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from tests.faults import answers, free_port, wait_for

ROOT = Path(__file__).parents[1]
COMMANDS = {
    "uvicorn": "uvicorn --host 127.0.0.1 --port {port} --log-level debug --lifespan off",
    "daphne": "daphne -b 127.0.0.1 -p {port} -v 3",
}
#: Seconds from the ending until the close frame has come.
SOON = 1.0


class Served:
    """A site in a process of its own."""

    def __init__(self, server, port, log):
        self.server, self.port, self.log = server, port, log

    def connect(self, app="bare", *, bearer=None, origin=None, cookies=None, **options):
        headers = {}
        if bearer is not None:
            headers["Authorization"] = f"Bearer {bearer}"
        if cookies is not None:
            headers["Cookie"] = "; ".join(f"{name}={value}" for name, value in cookies.items())
        query = options.pop("query", "")
        options.setdefault("close_timeout", 2)
        return connect(
            f"ws://127.0.0.1:{self.port}/{app}/{query}",
            additional_headers=headers,
            origin=origin,
            compression=None,
            **options,
        )

    def refuses(self, app="bare", **shown):
        """The status and the body with which a handshake is refused."""
        with pytest.raises(InvalidStatus) as refused, self.connect(app, **shown):
            raise AssertionError("it was let in")
        body = refused.value.response.body
        return refused.value.response.status_code, json.loads(body) if body.startswith(b"{") else body

    def session(self, token):
        """What ``GET session/`` answers."""
        request = Request(f"http://127.0.0.1:{self.port}/api/auth/session/")
        request.add_header("Authorization", f"Bearer {token}")
        try:
            with urlopen(request, timeout=10) as answer:
                return answer.status, json.load(answer)
        except HTTPError as error:
            with error:
                return error.code, json.load(error)


@contextmanager
def serving(server, folder, *, app="tests.asgi:application", **environment):
    """Run ``app`` in a process of ``server``, with these environment variables; its log is in ``folder``."""
    port = free_port()
    words = COMMANDS[server].format(port=port).split()
    log = folder / f"{server}.log"
    variables = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "tests.settings.base",
        **environment,
    }
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", *words, app],
            cwd=ROOT,
            env=variables,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            wait_for(lambda: answers(port) or process.poll() is not None)
            assert process.poll() is None, log.read_text()
            yield Served(server, port, log)
        finally:
            process.terminate()
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(5)


def closed(socket, within=SOON):
    """The code and the reason with which it is closed in time."""
    began = time.monotonic()
    with pytest.raises(ConnectionClosed) as found:
        drain(socket, within + 10)
    assert time.monotonic() - began < within
    return found.value.rcvd.code, found.value.rcvd.reason


def drain(socket, seconds):
    """Receive until it is closed."""
    while True:
        socket.recv(timeout=seconds)


def reason(served, word):
    """daphne drops it (daphne#374)."""
    return "" if served.server == "daphne" else word
