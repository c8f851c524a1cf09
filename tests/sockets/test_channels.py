"""authx.contrib.channels: consumers behind the door."""

from __future__ import annotations

import asyncio
import logging
import time

import pytest
from channels.consumer import AsyncConsumer
from channels.generic.websocket import AsyncWebsocketConsumer
from channels.routing import ProtocolTypeRouter, URLRouter
from django.contrib.auth.models import AnonymousUser
from django.urls import path

from authx.contrib.channels import AuthxMiddleware, DeviceSessionConsumer
from authx.sessions import end_session, open_session
from authx.sockets import authenticated
from authx.sockets.server_logs import HideCredentials, hide_credentials
from tests.in_process import Peer, Watched, apart, in_loop, scope_of

pytestmark = pytest.mark.django_db(transaction=True)


class Consumer(DeviceSessionConsumer, AsyncWebsocketConsumer):
    """Says who is there; ``seen`` keeps what it was told at the end."""

    seen: list[int]

    async def connect(self):
        await self.accept()
        await self.send(
            f"{(await self.auser()).get_username()} {self.device_session and self.device_session.sid}"
        )

    async def receive(self, text_data=None, bytes_data=None):
        await asyncio.Event().wait() if text_data == "busy" else await self.send(text_data)

    async def disconnect(self, code):
        self.seen.append(code)


def served(seen, **options):
    routes = URLRouter([path("ws/", type("Seen", (Consumer,), {"seen": seen}).as_asgi())])
    return ProtocolTypeRouter({"websocket": AuthxMiddleware(routes, **options)})


@in_loop
async def test_a_consumer_knows_the_session_and_is_closed_when_it_ends(ada):
    opened, seen = await apart(open_session, ada), []
    peer = Peer(served(seen), scope_of(bearer=opened.access_token))
    await peer.accepted()
    assert await peer.text() == f"{ada.get_username()} {opened.session.pk}"
    peer.send("hello")
    assert await peer.text() == "hello"
    await apart(end_session, opened.session, "kicked")
    assert await peer.closed() == (4401, "kicked")
    await peer.task
    assert seen == [4401]


@in_loop
async def test_a_consumer_that_is_busy_is_not_waited_for(ada):
    """S14: no layer, and no message through one."""
    opened = await apart(open_session, ada)
    peer = Peer(served([]), scope_of(bearer=opened.access_token))
    await peer.accepted()
    await peer.text()
    peer.send("busy")
    await asyncio.sleep(0)
    await apart(end_session, opened.session, "kicked")
    assert await peer.closed() == (4401, "kicked")
    peer.task.cancel()


@in_loop
async def test_a_consumer_of_a_public_app_knows_nobody():
    peer = Peer(served([], public=True), scope_of())
    await peer.accepted()
    assert await peer.text() == f"{AnonymousUser().get_username()} None"


@in_loop
async def test_a_plain_consumer_will_do(ada):
    class Plain(AsyncConsumer):
        async def websocket_connect(self, message):
            await self.send({"type": "websocket.accept"})
            await self.send({"type": "websocket.send", "text": self.scope["user"].get_username()})

    opened = await apart(open_session, ada)
    peer = Peer(authenticated(Plain.as_asgi()), scope_of(bearer=opened.access_token))
    await peer.accepted()
    assert await peer.text() == ada.get_username()
    await apart(end_session, opened.session, "logout")
    assert await peer.closed() == (4401, "logout")


@in_loop
async def test_a_route_that_is_not_there_is_the_apps_own_error(ada):
    opened, watched = await apart(open_session, ada), Watched(time.time())
    with pytest.raises(ValueError, match="No route found"):
        await Peer(served([]), scope_of(bearer=opened.access_token, path="/nowhere/")).next()
    assert len(watched.watcher.watches) == 0


def test_headers_with_credentials_are_hidden_in_what_servers_log(caplog):
    caplog.set_level(logging.DEBUG)
    hide_credentials()
    hide_credentials()
    logger = logging.getLogger("websockets.server")
    assert sum(isinstance(found, HideCredentials) for found in logger.filters) == 1
    for name in ("Authorization", "cookie", "Sec-WebSocket-Protocol"):
        logger.debug("< %s: %s", name, "secret")
    logger.debug("< %s: %s", "Host", "testserver")
    logger.debug("< GET %s HTTP/1.1", "/ws/")
    logger.debug("plain")
    assert "secret" not in caplog.text
    assert "< Host: testserver" in caplog.text
    assert "< GET /ws/ HTTP/1.1" in caplog.text
