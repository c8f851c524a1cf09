"""A process that stops at a named point and waits to be killed: ``python -m tests.kill_me``.

Its arguments are a point, an act, and what the act is about. When it gets to the point it prints its
name, and goes no further.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from typing import Any, NoReturn

import django

EVENT = "authx_sessionevent"


def wait_to_be_killed(point: str) -> NoReturn:
    print(point, flush=True)
    while True:
        signal.pause()


class Stop:
    """An ``execute_wrapper`` that stops around the audit event, the last statement of each transaction."""

    def __init__(self, point: str) -> None:
        self.point = point

    def __call__(self, execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        from django.db import transaction

        if self.point == "after the user is saved" and is_write(sql, "auth_user"):
            execute(sql, params, many, context)
            wait_to_be_killed(self.point)
        if not is_write(sql, EVENT):
            return execute(sql, params, many, context)
        if self.point == "before the event":
            wait_to_be_killed(self.point)
        result = execute(sql, params, many, context)
        if self.point == "before the commit":
            wait_to_be_killed(self.point)
        if self.point == "after the commit":
            transaction.on_commit(lambda: wait_to_be_killed(self.point))
        return result


def is_write(sql: str, table: str) -> bool:
    verb, _, rest = sql.partition(" ")
    return verb in {"INSERT", "UPDATE"} and table in rest.split("(")[0].split(" SET ")[0]


def refresh(token: str) -> None:
    from authx.sessions import refresh_session

    refresh_session(token)


def refresh_by_api(token: str) -> None:
    from rest_framework.test import APIClient

    APIClient().post("/api/auth/refresh/", {"refresh_token": token})


def refresh_by_page(token: str) -> None:
    from django.test import Client

    from authx.conf import conf

    client = Client()
    client.cookies[conf.REFRESH_COOKIE] = token
    client.get("/whoami/")


def end(sid: str) -> None:
    from authx.models import DeviceSession
    from authx.sessions import end_session

    end_session(DeviceSession.objects.get(pk=sid), "kicked")


def log_out(token: str) -> None:
    from rest_framework.test import APIClient

    APIClient().post("/api/auth/logout/", {"refresh_token": token})


def sign_in(key: str) -> None:
    from django.contrib.auth import get_user_model

    from authx.sessions import Device, open_session

    open_session(get_user_model().objects.get(pk=key), device=Device(id="the phone", type="ios"))


def change_password(key: str) -> None:
    from django.contrib.auth import get_user_model

    user = get_user_model().objects.get(pk=key)
    user.set_password("another-horse")
    user.save()


ACTS: dict[str, Callable[[str], None]] = {
    act.__name__: act
    for act in (refresh, refresh_by_api, refresh_by_page, end, log_out, sign_in, change_password)
}


def main(point: str, act: str, about: str) -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings.base")
    django.setup()
    from django.db import connection

    with connection.execute_wrapper(Stop(point)):
        ACTS[act](about)
    sys.exit(f"{act} went past {point!r}")


if __name__ == "__main__":
    main(*sys.argv[1:])
