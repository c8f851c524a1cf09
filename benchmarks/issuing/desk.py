"""Logs in and refreshes in a process of each contestant, through its endpoints and, for ours, from Python."""

from __future__ import annotations

import time
from base64 import b64encode
from collections.abc import Callable
from typing import Any

from benchmarks.issuing.bare import Bare
from benchmarks.issuing.doors import CLIENT_ID, DOORS, read
from benchmarks.peers.process import Caller, Here

#: What opens, closes and marks transactions.
CONTROL = ("BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE")
#: Acts: through the endpoints; from Python, of authx alone; and the bare transaction, in our process.
LOGIN, REFRESH = "login", "refresh"
OPEN, RENEW, BARE = "open_session", "refresh_session", "bare transaction"

Watch = Callable[[Callable[[Any], Any], list[Any]], tuple[Any, list[Any]]]


class Desk(Here):
    """Every method does a block of acts, and returns what each took."""

    def open(self) -> None:
        from django.contrib.auth import get_user_model

        name = self.contestant.name
        self.user = get_user_model().objects.create_user(f"{name} {time.time_ns()}", password="benchmark")
        self.door = DOORS[self.contestant.kind]
        kind = "application/x-www-form-urlencoded" if self.door.is_form else "application/json"
        headers = {"REQUEST_METHOD": "POST", "CONTENT_TYPE": kind}
        if self.contestant.kind == "knox":  # its login is a view behind another authentication
            words = f"{self.user.username}:benchmark".encode()
            headers["HTTP_AUTHORIZATION"] = "Basic " + b64encode(words).decode()
        if self.contestant.kind == "oauth":
            _register_client()
        self.login = Caller(self.door.login_path, headers)
        self.refresh = Caller(self.door.refresh_path, headers)

    def trade(self, times: int) -> dict[str, list[int]]:
        """Nanoseconds of so many logins, and of one refresh of each; by act."""
        return self._trade(times, _timed)

    def counted(self, times: int) -> dict[str, tuple[float, float]]:
        """Statements and transaction control of each; by act."""
        return self._trade(times, _counted)

    def one(self, act: str, times: int) -> None:
        """Do what only is watched from outside: so many of one act. Refreshes need logins before them."""
        if act == BARE:
            for _ in range(times):
                self.bare.refresh()
        elif act in (LOGIN, OPEN):
            self.opened = [self._log_in(act) for _ in range(times)]
        else:
            for token in self.opened:
                self._refresh(act, token)

    def _trade(self, times: int, watch: Watch) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for login, refresh in self._pairs():
            found[login], tokens = watch(self._log_in, [login] * times)
            if refresh:
                found[refresh], renewed = watch(lambda token, act=refresh: self._refresh(act, token), tokens)
                if set(tokens) & set(renewed):
                    raise RuntimeError(f"{self.contestant.name}: nothing was rotated")
        if self.contestant.kind == "authx":
            found[BARE], _ = watch(lambda _: self.bare.refresh(), [None] * times)
        return found

    def _pairs(self) -> list[tuple[str, str]]:
        over_http = (LOGIN, REFRESH if self.door.refresh_path else "")
        return [over_http, (OPEN, RENEW)] if self.contestant.kind == "authx" else [over_http]

    def _log_in(self, act: str) -> str:
        """The refresh token; empty where there is none."""
        if act == OPEN:
            from authx.sessions import open_session

            credentials = open_session(self.user)
            if not hasattr(self, "bare"):
                self.bare = Bare(credentials.session)
            return credentials.refresh_token
        answer = self._ask(self.login, self.door.login_body(self.user.username))
        return read(answer, self.door.opened_in) if self.door.refresh_path else ""

    def _refresh(self, act: str, token: str) -> str:
        if act == RENEW:
            from authx.sessions import refresh_session

            return refresh_session(token).refresh_token
        return read(self._ask(self.refresh, self.door.refresh_body(token)), self.door.renewed_in)

    def _ask(self, call: Caller, body: bytes) -> bytes:
        answer = call(body)
        if call.status != "200 OK":
            raise RuntimeError(f"{self.contestant.name}: {call.status}: {answer!r}")
        return answer


def _register_client() -> None:
    from oauth2_provider.models import get_application_model

    get_application_model().objects.get_or_create(
        client_id=CLIENT_ID, client_type="public", authorization_grant_type="password"
    )


def _timed(call: Callable[[Any], Any], asked: list[Any]) -> tuple[list[int], list[Any]]:
    clock, times, answers = time.perf_counter_ns, [], []
    for one in asked:
        start = clock()
        answers.append(call(one))
        times.append(clock() - start)
    return times, answers


def _counted(call: Callable[[Any], Any], asked: list[Any]) -> tuple[tuple[float, float], list[Any]]:
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    with CaptureQueriesContext(connection) as captured:
        _, answers = _timed(call, asked)
    control = sum(query["sql"].startswith(CONTROL) for query in captured.captured_queries)
    return ((len(captured) - control) / len(asked), control / len(asked)), answers
