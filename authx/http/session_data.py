"""The data in a Django session beside its login: one user's, and to be kept from others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.http import HttpRequest

from authx.http.django_session import LOGIN_KEYS, OUR_KEYS
from authx.http.session_deletions import ending_nothing


def holds_data(request: HttpRequest) -> bool:
    """Return whether it holds more than a Django login: data to be kept from other users."""
    return bool(set(request.session.keys()) - {*LOGIN_KEYS, *OUR_KEYS})


def keep_login_alone(request: HttpRequest) -> None:
    """Remove all but the Django login that was just made, as Django does where it finds another one.

    What other apps have added since, on the same signal, belongs to the new login: django-otp records there
    which device was used. Django has stored the rest under a new key just before, or flushed it.
    """
    session = request.session
    before = type(session)(session.session_key).load() if session.session_key else {}
    since = {key: value for key, value in session.items() if key in LOGIN_KEYS or _is_new(key, value, before)}
    with ending_nothing():
        session.flush()
    session.update(since)


def _is_new(key: str, value: Any, before: Mapping[str, Any]) -> bool:
    """Return whether the value is certainly new: a custom serializer's object may differ when read twice."""
    return key not in before or (isinstance(value, str | int) and value != before[key])
