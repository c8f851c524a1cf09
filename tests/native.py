"""The native clients of docs/native-clients.md, as it stands there, in threads of the tests."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from contextlib import contextmanager
from types import ModuleType
from unittest import mock

from tests.documented import documented
from tests.processes import wait_for

PAGE = "native-clients.md"
CLIENTS = ["websockets", "websocket-client"]
_FILES = {"websockets": "# device_socket.py", "websocket-client": "# blocking_socket.py"}


def _module(name, first_line):
    """A module of the documentation, made anew."""
    found = ModuleType(name)
    exec(compile(documented(PAGE, "python", first_line), f"{PAGE}: {name}", "exec"), found.__dict__)
    return found


class Store:
    """Where a client keeps its refresh token."""

    def __init__(self, refresh_token):
        self.token, self.written = refresh_token, 0

    def read(self):
        return self.token

    def write(self, refresh_token):
        self.token = refresh_token
        self.written += 1


class Client:
    """One that runs in a thread: what it has seen, and how it ended."""

    #: Seconds of its waits; of people's they are 1 and 30.
    shortest, longest = 0.1, 0.5

    def __init__(self, kind, url, base, refresh_token):
        self.store = Store(refresh_token)
        #: What was received, how many connections have been, and the waits before another, in seconds.
        self.messages, self.connections, self.waits = [], 0, []
        #: What ``run`` returned or raised.
        self.end = None
        tokens = _module("device_tokens", "# device_tokens.py")
        with mock.patch.dict(sys.modules, {"device_tokens": tokens}):
            self._socket = _module("device_socket", _FILES[kind])
        self.signed_out = tokens.SignedOut
        self.tokens = tokens.Tokens(base, self.store)
        self.kind, self.url = kind, url
        self.thread = threading.Thread(target=self._run, daemon=True)

    def start(self):
        make = self._async_one if self.kind == "websockets" else self._blocking_one
        self.run, self.send = make(self.url)
        self.thread.start()

    def _run(self):
        try:
            self.end = self.run()
        except Exception as error:
            self.end = error

    @contextmanager
    def _waiting(self):
        began = time.monotonic()
        yield
        self.waits.append(time.monotonic() - began)

    def _async_one(self, url):
        client, loop = self, asyncio.new_event_loop()

        class Noted(self._socket.DeviceSocket):
            shortest, longest = client.shortest, client.longest

            async def opened(self):
                client.connections += 1

            async def received(self, message):
                client.messages.append(message)

            async def pause(self, failures):
                with client._waiting():
                    await super().pause(failures)

        noted = Noted(url, self.tokens)

        def run():
            with asyncio.Runner(loop_factory=lambda: loop) as runner:
                return runner.run(noted.run())

        return run, lambda text: asyncio.run_coroutine_threadsafe(noted.send(text), loop).result(10)

    def _blocking_one(self, url):
        client = self

        class Noted(self._socket.DeviceSocket):
            shortest, longest = client.shortest, client.longest

            def opened(self):
                client.connections += 1

            def received(self, message):
                client.messages.append(message)

            def pause(self, failures):
                with client._waiting():
                    super().pause(failures)

        noted = Noted(url, self.tokens)
        return noted.run, noted.send

    def says(self, text):
        """Whether it is sent this back."""
        before = len(self.messages)
        self.send(text)
        wait_for(lambda: len(self.messages) > before)
        return self.messages[-1] == text

    def ended(self, seconds=10):
        """How it ended: it must have, in time."""
        self.thread.join(seconds)
        assert not self.thread.is_alive()
        return self.end.reason if isinstance(self.end, self.signed_out) else self.end


@contextmanager
def running(kind, served, refresh_token, *, app="bare", before=None):
    """A client of the door; ``before`` is called with it before it begins."""
    found = Client(kind, served.url(f"/{app}/"), f"{served.origin}/api/auth/", refresh_token)
    if before is not None:
        before(found)
    found.start()
    try:
        yield found
    finally:  # it ends at its next connection, if it has not
        found.store.token = found.tokens.access = None
