"""Real servers of sockets, as processes, and real clients."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import NamedTuple

import pytest
from django.conf import settings
from django.db import connection
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from authx.conf import conf
from tests.processes import free_port, wait_until_up

ROOT = Path(__file__).parents[1]


class Server(NamedTuple):
    """A program that serves ASGI, and what it can say to a client of a socket."""

    command: str
    #: Whether a refused handshake is answered as the API answers; else by a bare 403.
    answers: bool = True
    #: Whether a close frame carries any reason, and any code of RFC 6455; else those from 3000 on alone.
    says_why: bool = True


SERVERS = {
    "uvicorn": Server("uvicorn --host 127.0.0.1 --port {port} --log-level debug --lifespan off"),
    "daphne": Server("daphne -b 127.0.0.1 -p {port} -v 3", answers=False, says_why=False),
    "hypercorn": Server(
        "hypercorn --bind 127.0.0.1:{port} --log-level debug --access-logfile - --graceful-timeout 2"
    ),
    "granian": Server(
        "granian --interface asginl --host 127.0.0.1 --port {port} --log-level debug --access-log"
    ),
}
#: Seconds from the ending until the close frame has come.
SOON = 1.0


class Served:
    """A site in a process of its own."""

    def __init__(self, server, port, log):
        self.server, self.port, self.log = SERVERS[server], port, log

    @property
    def origin(self):
        return f"http://127.0.0.1:{self.port}"

    def url(self, path):
        return f"ws://127.0.0.1:{self.port}{path}"

    def http(self):
        return HTTPConnection("127.0.0.1", self.port, timeout=10)

    def connect(self, app="bare", *, bearer=None, origin=None, cookies=None, **options):
        headers = {}
        if bearer is not None:
            headers["Authorization"] = f"Bearer {bearer}"
        if cookies is not None:
            headers["Cookie"] = "; ".join(f"{name}={value}" for name, value in cookies.items())
        query = options.pop("query", "")
        options.setdefault("close_timeout", 2)
        return connect(
            self.url(f"/{app}/{query}"),
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
        return self._ask("session/", token)

    def ticket(self, token):
        """A ticket for pages of the site's own origin."""
        status, body = self._ask("socket-ticket/", token, b"{}", Origin=self.origin)
        assert status == 200, body
        return body["ticket"]

    @contextmanager
    def listening(self, refresh_token):
        """The answer to a page that asks for the stream of the live notice."""
        headers = {"Accept": "text/event-stream", "Cookie": f"{conf.REFRESH_COOKIE}={refresh_token}"}
        with closing(self.http()) as client:
            client.request("GET", "/account/live/", headers=headers)
            yield client.getresponse()

    def _ask(self, path, token, data=None, **headers):
        headers |= {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        client = self.http()
        client.request("GET" if data is None else "POST", f"/api/auth/{path}", data, headers)
        with closing(client), client.getresponse() as answer:
            return answer.status, json.load(answer)


def settings_in(folder, text):
    """The environment of a process whose settings are those of the tests, and these lines after them."""
    (folder / "settings_of_test.py").write_text(f"from tests.settings.base import *\n\n{text}")
    path = os.pathsep.join([str(folder), str(ROOT)])
    return {"DJANGO_SETTINGS_MODULE": "settings_of_test", "PYTHONPATH": path}


#: Settings with access tokens that are good for three seconds, and refused after that.
HASTY = """
from datetime import timedelta
AUTHX_ACCESS_TOKEN_LIFETIME = timedelta(seconds=3)
AUTHX_CLOCK_LEEWAY = timedelta(0)
"""


def database_here():
    """The environment of a process that joins the database of the running test."""
    name = str(connection.settings_dict["NAME"])
    return {"AUTHX_TEST_DATABASE": settings.DATABASE, "AUTHX_TEST_DATABASE_NAME": name}


@contextmanager
def serving(server, folder, *, app="tests.asgi:application", port=None, **environment):
    """Run ``app`` in a process of ``server``, with these environment variables; its log is in ``folder``."""
    port = port or free_port()
    words = SERVERS[server].command.format(port=port).split()
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
            wait_until_up(process, port, log)
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
    """What arrives of it: daphne drops it (daphne#374)."""
    return word if served.server.says_why else ""


def lines(stream):
    """What comes until a stream ends."""
    return [line.decode().strip() for line in stream if line.strip()]
