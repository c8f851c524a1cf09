"""A login that is sent twice, as by a double click: how the second request is known for the same login."""

from __future__ import annotations

import json
from collections.abc import Sequence
from hashlib import sha256
from typing import Any

from django.http import HttpRequest

from authx.core.device_cookie import write_device
from authx.http.device_cookie import presented_device
from authx.models import DeviceSession


def login_key(
    request: HttpRequest,
    user: Any,
    *,
    amr: Sequence[str],
    persistent: bool,
    came_with: DeviceSession | None,
) -> str | None:
    """Return SHA-256 hex of a login by cookie, the same for each request of one double click; else None.

    None where no device cookie of ours came: nothing that somebody can make up says that two logins are one.
    Each login sets the device cookie anew, so its text is that of no later login, but of a browser which has
    not received the answer. ``came_with`` is the session whose cookies, or Django session, were sent.
    """
    device = presented_device(request)
    if device is None:
        return None
    earlier = "" if came_with is None else str(came_with.pk)
    parts = [write_device(device), str(user.pk), earlier, list(amr), persistent]
    return sha256(json.dumps(parts).encode()).hexdigest()
