"""The socket door by the names that people look for in Django Channels.

``AuthxMiddleware(URLRouter(...))`` stands where ``AuthMiddlewareStack`` would, and not beside it. It needs no
channel layer.
"""

from __future__ import annotations

from typing import Any

from authx.sockets import authenticated
from authx.sockets.session import SocketSession

AuthxMiddleware = authenticated


class DeviceSessionConsumer:
    """A mixin for consumers: the device session of the socket, and its user as read now."""

    scope: Any

    @property
    def device_session(self) -> SocketSession | None:
        """Return ``scope["authx"]``; None where a public app has let nobody in."""
        found: SocketSession | None = self.scope["authx"]
        return found

    async def auser(self) -> Any:
        """Return the user as read now, or the anonymous one; see ``SocketSession.auser``."""
        return self.scope["user"] if self.device_session is None else await self.device_session.auser()
