"""The socket door: a WebSocket is a carrier of a device session, and ends with it. Plain ASGI."""

from authx.sockets.door import authenticated
from authx.sockets.live import live_notice

__all__ = ["authenticated", "live_notice"]
