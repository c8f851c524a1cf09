"""Sockets through real servers: as processes, the database between them and this one."""

from __future__ import annotations

import json
import time
from contextlib import ExitStack
from datetime import timedelta

import pytest

from authx.conf import conf
from authx.sessions import end_everyone, end_session, open_session
from authx.sessions.credentials import access_token_for
from tests.served import closed, reason

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]

APPS = ["bare", "channels", "starlette"]


def test_a_socket_lives_as_its_session_does(served, opened, ada):
    """Opened in each way, told what it says, closed within a second of its end by another process."""
    name, token, own = ada.get_username(), opened.access_token, served.origin
    cookies = {conf.ACCESS_COOKIE: token}
    ways = [
        {"bearer": token},
        {"subprotocols": ["authx", f"authx.bearer.{token}"]},
        {"cookies": cookies, "origin": own},
        {"subprotocols": ["authx", f"authx.ticket.{served.ticket(token)}"], "origin": own},
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
            if served.server.answers:
                assert (found, body["code"]) == (status, code), shown
            else:
                assert found == 403


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


def test_a_message_that_is_too_long_closes_it(served, opened):
    """autobahn, and so daphne, sends no 1009."""
    for app in APPS:
        with served.connect(app, bearer=opened.access_token) as socket:
            socket.recv(timeout=10)
            socket.send("x" * 65537)
            assert closed(socket, within=5) == (1009 if served.server.says_why else 4409, "")


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
    token, own = opened.access_token, served.origin
    shown = served.ticket(token)
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
    assert text.count("/bare/") >= len(ways), "handshakes are logged"
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
