"""An answer of a WSGI application, taken whole; or none, and a connection that is cut off."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

#: In the environment of a request: cuts its connection off.
CUT = "authx.testing.cut"

Environ = dict[str, Any]
StartResponse = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class Answer:
    """What the application has answered, or the network in its place."""

    status: str
    headers: list[tuple[str, str]]
    body: bytes

    @property
    def code(self) -> str:
        """Return the error code of a JSON body; ``""`` where there is none."""
        try:
            found = json.loads(self.body)
        except ValueError:
            return ""
        return str(found.get("code", "")) if isinstance(found, dict) else ""


def ask_app(app: Callable[..., Iterable[bytes]], environ: Environ) -> Answer:
    """Return all that a WSGI application answers."""
    started: list[Any] = []
    written: list[bytes] = []

    def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
        started[:] = [status, headers]
        return written.append

    parts = app(environ, start_response)
    try:
        body = b"".join([*written, *parts])
    finally:
        if close := getattr(parts, "close", None):
            close()
    status, headers = started
    return Answer(status, headers, body)


def cut_off(environ: Environ, start_response: StartResponse) -> list[bytes]:
    """Answer nothing at all.

    Raises:
        ConnectionResetError: the server is not ours, and cannot cut the connection off.
    """
    cut = environ.get(CUT)
    if cut is None:
        raise ConnectionResetError("the network has cut the connection off")
    cut()
    start_response("204 No Content", [])
    return []
