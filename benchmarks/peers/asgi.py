"""Requests through an ASGI application in this process."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any


class CountingLoop(asyncio.SelectorEventLoop):
    """An event loop that counts how often it hands work to a thread and waits for it."""

    hops = 0

    def run_in_executor(self, *arguments: Any) -> Any:
        self.hops += 1
        return super().run_in_executor(*arguments)


async def respond(application: Any, path: str, headers: Mapping[str, str]) -> int:
    """The status of one GET, after the last piece of the body."""
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "path": path,
        "query_string": b"",
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        "client": ("192.0.2.7", 1234),
    }
    sent: list[dict[str, Any]] = [{"type": "http.request", "body": b"", "more_body": False}]
    statuses: list[int] = []

    async def receive() -> dict[str, Any]:
        if not sent:
            await asyncio.Event().wait()  # nobody hangs up
        return sent.pop()

    async def send(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    await application(scope, receive, send)
    return statuses[0]
