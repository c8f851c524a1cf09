"""System check: whether our tables and the users, to whom they refer, are in one database."""

from __future__ import annotations

from typing import Any

from django.contrib.auth import get_user_model
from django.core.checks import CheckMessage, Error
from django.db import router

from authx.models import DeviceSession


def check_databases(**kwargs: Any) -> list[CheckMessage]:
    """Refuse a router that sends users to one database and authx to another.

    A session and its user are read by one statement, and no foreign key reaches into another database.
    """
    ours, theirs = router.db_for_write(DeviceSession), router.db_for_write(get_user_model())
    if ours == theirs:
        return []
    text = f"DATABASE_ROUTERS send authx to the database {ours!r} and the users to {theirs!r}."
    hint = "Let the router answer for the app 'authx' as for the app of AUTH_USER_MODEL."
    return [Error(text, hint=hint, id="authx.E031")]
