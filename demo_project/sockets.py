"""The demo's socket. What stands behind the door of authx needs to know nothing of tokens and endings."""

import asyncio
import itertools
import json
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import suppress
from typing import Any

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

PATH = "/ws/count/"
#: Between two messages.
SECONDS = 5.0


async def count(scope: Message, receive: Receive, send: Send) -> None:
    """Count aloud to whoever is connected, until they go or the door closes."""
    await receive()  # websocket.connect
    if scope["path"] != PATH:
        await send({"type": "websocket.close"})
        return
    await send({"type": "websocket.accept"})
    async with asyncio.TaskGroup() as group:
        counting = group.create_task(count_aloud(scope["user"].get_username(), send))
        while (await receive())["type"] == "websocket.receive":
            pass  # nobody listens to what is said
        counting.cancel()


async def count_aloud(name: str, send: Send) -> None:
    with suppress(OSError):  # they have gone
        for number in itertools.count(1):
            await send({"type": "websocket.send", "text": json.dumps({"to": name, "number": number})})
            await asyncio.sleep(SECONDS)
