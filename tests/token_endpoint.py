"""A token endpoint over HTTP that takes what the RFCs say and nothing else, and keeps what it was asked."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote_plus

from authx.core.client_assertion import ASSERTION_TYPE

EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"

#: Of each grant: what it needs, and what it may have.
PARAMETERS = {
    "client_credentials": ({"audience"}, {"scope"}),
    EXCHANGE: ({"audience", "subject_token", "subject_token_type"}, {"scope"}),
}
AUTHENTICATION = {"client_id", "client_assertion", "client_assertion_type"}


class Handler(BaseHTTPRequestHandler):
    server: Any

    def do_POST(self) -> None:
        octets = self.rfile.read(int(self.headers["Content-Length"]))
        form = parse_qs(octets.decode(), strict_parsing=True, keep_blank_values=True)
        self.server.asked.append((dict(self.headers), form))
        self.server.gate.wait(20)
        answer = self.server.answer
        status, body, headers = answer(self, form) if answer else self.judge(form)
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body if isinstance(body, bytes) else json.dumps(body).encode())

    def judge(self, form: dict[str, list[str]]) -> tuple[int, Any, dict[str, str]]:
        complaint = self.complaint(form)
        if complaint:
            return 400, {"error": "invalid_request", "error_description": complaint}, {}
        if not self.is_authenticated(form):
            return 401, {"error": "invalid_client"}, {"WWW-Authenticate": "Basic"}
        self.server.issued += 1
        token = f"token-{self.server.issued}"
        body = {"access_token": token, "token_type": "Bearer", "expires_in": self.server.expires_in}
        if form["grant_type"] == [EXCHANGE]:
            body["issued_token_type"] = ACCESS_TOKEN
        return 200, body, {"Content-Type": "application/json", "Cache-Control": "no-store"}

    def complaint(self, form: dict[str, list[str]]) -> str | None:
        if self.headers["Content-Type"] != "application/x-www-form-urlencoded":
            return "no form"
        if self.path != "/token/":
            return "parameters in the URL"
        repeated = [name for name, values in form.items() if len(values) > 1 and name != "audience"]
        needed, allowed = PARAMETERS.get(form.get("grant_type", [""])[0], (set(), set()))
        names = form.keys() - AUTHENTICATION - {"grant_type"}
        if repeated or not needed or not needed <= names <= needed | allowed or [""] in form.values():
            return f"not the parameters of a grant: {sorted(names)}"
        if form.get("subject_token_type", [ACCESS_TOKEN]) != [ACCESS_TOKEN]:
            return "subject_token_type"
        return None

    def is_authenticated(self, form: dict[str, list[str]]) -> bool:
        header = self.headers["Authorization"]
        if self.server.authenticate is not None:
            return header is None and self.server.authenticate(form)
        if header is None or AUTHENTICATION & form.keys():
            return False
        pair = base64.b64decode(header.removeprefix("Basic "), validate=True).decode().split(":")
        return tuple(map(unquote_plus, pair)) == self.server.credentials

    def log_message(self, *args: Any) -> None:
        pass


class Endpoint:
    """A running one. ``answer`` takes its place; ``gate`` keeps everybody waiting while it is not set."""

    def __init__(self, server: Any) -> None:
        self.server = server
        self.url = f"http://127.0.0.1:{server.server_address[1]}/token/"

    def __getattr__(self, name: str) -> Any:
        return getattr(self.server, name)

    def will(self, **values: Any) -> None:
        for name, value in values.items():
            setattr(self.server, name, value)

    @property
    def forms(self) -> list[dict[str, list[str]]]:
        return [form for _headers, form in self.server.asked]


@contextmanager
def running() -> Iterator[Endpoint]:
    server: Any = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.asked, server.issued, server.expires_in = [], 0, 300
    server.credentials, server.authenticate, server.answer = ("orders", "secret"), None, None
    server.gate = threading.Event()
    server.gate.set()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield Endpoint(server)
    finally:
        server.gate.set()
        server.shutdown()
        thread.join()
        server.server_close()


def is_assertion(form: dict[str, list[str]]) -> bool:
    """Whether the form is authenticated by an assertion, whoever signed it."""
    return form.get("client_assertion_type") == [ASSERTION_TYPE]


def wait_for(condition: Any) -> None:
    """Wait for another thread."""
    until = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.005)
