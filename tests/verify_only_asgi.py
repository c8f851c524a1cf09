"""A verify-only service with sockets, for a server under test; AUTHX_TEST_SERVICE is its settings in JSON."""

from __future__ import annotations

import json
import os
import sys
from typing import Any

from tests.verify_only_site import configure

configure(json.loads(os.environ["AUTHX_TEST_SERVICE"]))

from authx.sockets import authenticated  # noqa: E402

#: What such a service never imports.
FOREIGN = {"authx.models", "django.contrib.auth.models"}


async def tell(scope: Any, receive: Any, send: Any) -> None:
    """Say who is there; and, when asked, what was imported that should not have been."""
    await receive()
    await send({"type": "websocket.accept"})
    user, session = scope["user"], scope["authx"]
    told = None if session is None else {"user": user.pk, "roles": user.roles, "sid": session.sid}
    await send({"type": "websocket.send", "text": json.dumps(told)})
    while (await receive())["type"] == "websocket.receive":
        again = None if session is None else (await session.auser()).pk
        loaded = sorted(FOREIGN & set(sys.modules))
        await send({"type": "websocket.send", "text": json.dumps({"again": again, "loaded": loaded})})


application = authenticated(tell, public=True)
