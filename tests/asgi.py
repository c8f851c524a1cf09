"""A site with sockets, bare, of Channels and of Starlette, for the servers under test and the checks."""

from __future__ import annotations

import asyncio
import os
import time
from typing import Any

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings.base")
django_app = get_asgi_application()

from channels.generic.websocket import AsyncJsonWebsocketConsumer, WebsocketConsumer  # noqa: E402
from channels.routing import URLRouter  # noqa: E402
from django.urls import path  # noqa: E402
from starlette.applications import Starlette  # noqa: E402
from starlette.routing import WebSocketRoute  # noqa: E402
from starlette.websockets import WebSocket  # noqa: E402

from authx.contrib.channels import AuthxMiddleware, DeviceSessionConsumer  # noqa: E402
from authx.sockets import authenticated, live_notice  # noqa: E402


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """Says who is there, and what it is sent; ``busy`` keeps it busy."""
    await receive()
    await send({"type": "websocket.accept"})
    await send({"type": "websocket.send", "text": name_of(scope["user"])})
    while (message := await receive())["type"] == "websocket.receive":
        if message.get("text") == "busy":
            await asyncio.sleep(30)
        await send({"type": "websocket.send", "text": message.get("text")})


def name_of(user: Any) -> str:
    name: str = user.get_username()
    return name or "nobody"


class Async(DeviceSessionConsumer, AsyncJsonWebsocketConsumer):  # type: ignore[misc]
    """The same as a consumer of Channels."""

    async def connect(self) -> None:
        await self.accept()
        await self.send((await self.auser()).get_username())

    async def receive(self, text_data: str | None = None, bytes_data: Any = None, **kwargs: Any) -> None:
        if text_data == "busy":
            await asyncio.sleep(30)
        await self.send(text_data)


class Sync(WebsocketConsumer):  # type: ignore[misc]
    """The same as a consumer that runs in Django's one thread, and may hold it up."""

    def connect(self) -> None:
        self.accept()
        self.send(name_of(self.scope["user"]))

    def receive(self, text_data: str | None = None, bytes_data: Any = None) -> None:
        if text_data == "busy":
            time.sleep(5)
        self.send(text_data)


async def chat(websocket: WebSocket) -> None:
    """The same as a route of Starlette."""
    await websocket.accept()
    await websocket.send_text(name_of(websocket.scope["user"]))
    async for text in websocket.iter_text():
        if text == "busy":
            await asyncio.sleep(30)
        await websocket.send_text(text)


_http = live_notice(django_app)
_bare = authenticated(echo)
_channels = AuthxMiddleware(URLRouter([path("channels/", Async.as_asgi()), path("sync/", Sync.as_asgi())]))
_starlette = authenticated(Starlette(routes=[WebSocketRoute("/starlette/", chat)]))
_behind_doors = {
    "/bare/": _bare,
    "/frameless/": authenticated(echo, frames=False),
    "/public/": authenticated(echo, public=True),
    "/starlette/": _starlette,
}


async def application(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "http":
        await _http(scope, receive, send)
    elif scope["type"] == "websocket":
        await _behind_doors.get(scope["path"], _channels)(scope, receive, send)
