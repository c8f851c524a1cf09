"""An echo app twice, bare and behind the door: what the server under test imports."""

from __future__ import annotations

import os
from typing import Any

from django.core.asgi import get_asgi_application

os.environ["DJANGO_SETTINGS_MODULE"] = "benchmarks.peers.settings"
get_asgi_application()

from authx.sockets import authenticated  # noqa: E402


async def echo(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": message.get("text")})


_door = authenticated(echo)


async def application(scope: Any, receive: Any, send: Any) -> None:
    app = echo if scope["path"] == "/bare/" else _door
    await app(scope, receive, send)
