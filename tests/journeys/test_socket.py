"""Sockets through real servers: uvicorn and daphne as processes, the database between them and this one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from django.conf import settings as site
from django.db import connection
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from authx.conf import conf
from authx.sessions import end_everyone, end_session, open_session
from authx.sessions.credentials import access_token_for
from tests.faults import answers, free_port, wait_for

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]

ROOT = Path(__file__).parents[2]
COMMANDS = {
    "uvicorn": [
        "uvicorn",
        "--host",
        "127.0.0.1",
        "--port",
        "{port}",
        "--log-level",
        "debug",
        "--lifespan",
        "off",
    ],
    "daphne": ["daphne", "-b", "127.0.0.1", "-p", "{port}", "-v", "3"],
}
APPS = ["bare", "channels"]
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
def serving(server, folder, **environment):
    port = free_port()
    words = [word.format(port=port) for word in COMMANDS[server]]
    log = folder / f"{server}.log"
    variables = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "tests.settings.base",
        "AUTHX_TEST_DATABASE": site.DATABASE,
        "AUTHX_TEST_DATABASE_NAME": str(connection.settings_dict["NAME"]),
        **environment,
    }
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", *words, "tests.asgi:application"],
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
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(20)


@pytest.fixture(params=sorted(COMMANDS))
def served(request, tmp_path, db, transactional_db):
    with serving(request.param, tmp_path) as found:
        yield found


@pytest.fixture
def opened(ada):
    return open_session(ada)


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


def test_a_socket_lives_as_its_session_does(served, opened, ada):
    """Opened in each way, told what it says, closed within a second of its end by another process."""
    name, token = ada.get_username(), opened.access_token
    own = f"http://127.0.0.1:{served.port}"
    cookies = {conf.ACCESS_COOKIE: token}
    ways = [
        {"bearer": token},
        {"subprotocols": ["authx", f"authx.bearer.{token}"]},
        {"cookies": cookies, "origin": own},
        {"subprotocols": ["authx", f"authx.ticket.{ticket(served, token, own)}"], "origin": own},
    ]
    with ExitStack() as stack:
        sockets = [
            stack.enter_context(served.connect(app, **way))
            for app in APPS
            for way in ways[: 4 if app == "bare" else 3]
        ]
        for socket in sockets:
            assert socket.recv(timeout=10) == name
            socket.send("hello")
            assert socket.recv(timeout=10) == "hello"
        assert {socket.subprotocol for socket in sockets} == {None, "authx"}
        sockets[0].send("busy")
        end_session(opened.session, "kicked")
        for socket in sockets:
            assert closed(socket) == (4401, reason(served, "kicked"))
        status, body = served.session(token)
        assert (status, body["code"], body["reason"]) == (401, "session_ended", "kicked")


def ticket(served, token, origin):
    request = Request(f"http://127.0.0.1:{served.port}/api/auth/socket-ticket/", b"{}", method="POST")
    request.add_header("Authorization", f"Bearer {token}")
    request.add_header("Content-Type", "application/json")
    request.add_header("Origin", origin)
    with urlopen(request, timeout=10) as answer:
        return json.load(answer)["ticket"]


def test_a_handshake_is_refused_and_says_why_where_the_server_can(served, opened):
    cases = [
        ({}, 401, "not_authenticated"),
        ({"bearer": "rubbish"}, 401, "token_malformed"),
        ({"query": f"?token={opened.access_token}"}, 401, "not_authenticated"),
        ({"cookies": {conf.ACCESS_COOKIE: opened.access_token}}, 403, "origin_not_allowed"),
        (
            {"cookies": {conf.ACCESS_COOKIE: opened.access_token}, "origin": "http://evil.example"},
            403,
            "origin_not_allowed",
        ),
        (
            {"bearer": opened.access_token, "subprotocols": ["authx", "authx.bearer.x"]},
            400,
            "invalid_request",
        ),
    ]
    for app in APPS:
        for shown, status, code in cases:
            found, body = served.refuses(app, **shown)
            if served.server == "daphne":
                assert found == 403
            else:
                assert (found, body["code"]) == (status, code), shown


def test_it_is_renewed_in_band_and_expires_when_it_is_not(served, opened):
    settings_leeway = conf.CLOCK_LEEWAY
    past = opened.now - conf.ACCESS_TOKEN_LIFETIME - settings_leeway + timedelta(seconds=4)
    short = access_token_for(opened.session, now=past)[1]
    with served.connect(bearer=short) as renewed, served.connect("channels", bearer=short) as left:
        for socket in (renewed, left):
            socket.recv(timeout=10)
        renewed.send(
            json.dumps({"type": "authx.renew", "access_token": opened.access_token}, separators=(",", ":"))
        )
        assert json.loads(renewed.recv(timeout=10))["type"] == "authx.renewed"
        assert closed(left, within=8) == (4408, reason(served, "token_expired"))
        renewed.send("still here")
        assert renewed.recv(timeout=10) == "still here"


def test_everybody_is_ended_at_once_and_the_log_stays_empty(served, ada, bob):
    people = [open_session(user) for user in (ada, bob) for _ in range(10)]
    with ExitStack() as stack:
        sockets = [
            stack.enter_context(served.connect(APPS[number % 2], bearer=each.access_token))
            for number, each in enumerate(people)
        ]
        for socket in sockets:
            socket.recv(timeout=10)
        end_everyone("kicked")
        for socket in sockets:
            assert closed(socket) == (4401, reason(served, "kicked"))
    text = served.log.read_text()
    assert "Traceback" not in text, text
    assert "ERROR" not in text, text


def test_a_token_that_is_shown_stands_in_no_log(served, opened):
    """S7: at debug level. What a client writes into the address is the client's doing."""
    token, own = opened.access_token, f"http://127.0.0.1:{served.port}"
    shown = ticket(served, token, own)
    ways = [
        {"bearer": token},
        {"subprotocols": ["authx", f"authx.bearer.{token}"]},
        {"subprotocols": ["authx", f"authx.ticket.{shown}"], "origin": own},
        {"cookies": {conf.ACCESS_COOKIE: token}, "origin": own},
    ]
    for way in ways:
        with served.connect(**way) as socket:
            socket.recv(timeout=10)
    text = served.log.read_text()
    assert "WebSocket" in text
    found = [line for line in text.splitlines() for secret in (token, shown) if secret in line]
    assert found == []


def test_a_sync_consumer_that_sleeps_delays_no_handshake(served, opened):
    """S12."""
    with served.connect("sync", bearer=opened.access_token) as busy:
        busy.recv(timeout=10)
        busy.send("busy")
        time.sleep(0.2)  # until it sleeps
        began = time.monotonic()
        with served.connect(bearer=opened.access_token) as socket:
            socket.recv(timeout=10)
        assert time.monotonic() - began < 3
        end_session(opened.session, "kicked")
        assert closed(busy, within=3) == (4401, reason(served, "kicked"))
