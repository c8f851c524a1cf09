"""Does a block of every act through this process's own endpoints: timed, or counted."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

# Registers the contestants: what a process of one begins by importing is this module.
from benchmarks.oauth import contestants, forms
from benchmarks.oauth.counting import Count, counting
from benchmarks.oauth.servers import SERVERS
from benchmarks.peers.process import Caller, Here

os.environ["AUTHLIB_INSECURE_TRANSPORT"] = "1"  # it takes http for an error otherwise
ACTS = ("authorize GET", "authorize POST", "code", "refresh", "client_credentials", "exchange")
_SECRET_OF_CSRF = "c" * 32


@dataclass(frozen=True)
class Took:
    """Nanoseconds by the clock, and of this process's processor time."""

    wall: int
    cpu: int


class Visitor(Caller):
    """Calls the application, and keeps where the answer leads."""

    def start_response(self, status: str, headers: list[tuple[str, str]]) -> None:
        self.status = status
        self.location = next((value for name, value in headers if name == "Location"), "")

    def __call__(self, body: bytes = b"") -> bytes:
        content = super().__call__(body)
        if self.status not in ("200 OK", "302 Found"):
            raise RuntimeError(f"{self.environ['PATH_INFO']}: {self.status}: {content[:500]!r}")
        return content


class Desk(Here):
    """One authorization server with its clients, and a browser in which a user is signed in."""

    def open(self) -> None:
        from django.contrib.auth import get_user_model
        from django.db import connection

        connection.ensure_connection()
        self.server = SERVERS[self.contestant.kind](self.contestant.name)
        name = f"user of {self.contestant.name}"
        self.user = get_user_model().objects.create_user(name[:150], password="benchmark")
        self.server.register(self.user)
        browser = self._browser()
        asked = {"QUERY_STRING": urlencode(forms.authorization(self.server.reader)), "HTTP_COOKIE": browser}
        sent = {"REQUEST_METHOD": "POST", "CONTENT_TYPE": forms.FORM}
        protected = {"HTTP_X_CSRFTOKEN": _SECRET_OF_CSRF}
        self.page = Visitor(forms.AUTHORIZE_PATH, asked)
        self.button = Visitor(forms.AUTHORIZE_PATH, asked | sent | protected)
        self.of_reader = Visitor(
            forms.TOKEN_PATH, sent | {"HTTP_AUTHORIZATION": forms.basic(self.server.reader)}
        )
        self.of_shop = Visitor(forms.TOKEN_PATH, sent | {"HTTP_AUTHORIZATION": forms.basic(self.server.shop)})

    def _browser(self) -> str:
        """The cookies of a browser in which the user is signed in by Django's ``login``."""
        from django.test import Client

        browser = Client(headers={"User-Agent": "Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0"})
        browser.force_login(self.user, "django.contrib.auth.backends.ModelBackend")
        for _ in range(2):  # what a first visit is given; the cookies stay as they are afterwards
            browser.get(forms.AUTHORIZE_PATH, forms.authorization(self.server.reader))
        cookies = {name: morsel.value for name, morsel in browser.cookies.items()}
        cookies["csrftoken"] = _SECRET_OF_CSRF
        return "; ".join(f"{name}={value}" for name, value in cookies.items())

    def block(self, number: int) -> dict[str, list[Took]]:  # type: ignore[override]
        """What each of so many of every act took."""
        return self._block(number, timed)

    def counted(self, number: int) -> dict[str, list[Count]]:
        """What each of so many of every act asked of the database."""
        return self._block(number, counting)

    def _block(self, number: int, watch: Callable[..., Any]) -> dict[str, list[Any]]:
        found: dict[str, list[Any]] = {}
        self.server.forget_consent()
        found["authorize GET"], pages = watch(self.page, [b""] * number)
        if any(b"<form" not in page for page in pages):
            raise RuntimeError(f"{self.contestant.name}: nobody is asked for consent")
        consent = urlencode(self.server.consent()).encode()
        codes: list[str] = []

        def allow(body: bytes) -> bytes:
            page = self.button(body)
            codes.append(forms.code_in(self.button.location, page))
            return page

        found["authorize POST"], _ = watch(allow, [consent] * number)
        found["code"], opened = watch(self.of_reader, [forms.redemption(code) for code in codes])
        self.server.grow_old()
        tokens = [forms.member(answer, "refresh_token") for answer in opened]
        found["refresh"], renewed = watch(self.of_reader, [forms.refresh(token) for token in tokens])
        if any(forms.member(answer, "refresh_token") in tokens for answer in renewed):
            raise RuntimeError(f"{self.contestant.name}: nothing was rotated")
        own = forms.encode("client_credentials", self.server.own)
        found["client_credentials"], _ = watch(self.of_shop, [own] * number)
        bodies = [self.server.exchange(forms.member(answer, "access_token")) for answer in renewed]
        if None not in bodies:
            found["exchange"], _ = watch(self.of_shop, bodies)
        return found

    def authenticated(self, number: int) -> dict[str, list[Took]]:
        """What so many client authentications took alone, by method."""
        found = {}
        for method, asks in self.server.authentications(number).items():
            found[method], answers = timed(lambda ask: ask(), asks)
            if not all(answers):
                raise RuntimeError(f"{self.contestant.name}: {method} is refused")
        return found

    def serve(self) -> tuple[int, str]:
        """Serve the site by threads, as long as the process lives; return the port and whose client asks."""
        from django.core.servers.basehttp import ThreadedWSGIServer, WSGIRequestHandler

        class Quiet(WSGIRequestHandler):
            def log_message(self, *words: Any) -> None:
                pass

        class Crowded(ThreadedWSGIServer):
            request_queue_size = 128

        httpd = Crowded(("127.0.0.1", 0), Quiet)
        httpd.set_app(self.page.application)
        threading.Thread(target=httpd.serve_forever, daemon=True).start()
        return int(httpd.server_address[1]), self.server.reader

    def granted(self) -> str:
        """A refresh token that is due."""
        page = self.button(urlencode(self.server.consent()).encode())
        code = forms.code_in(self.button.location, page)
        token = forms.member(self.of_reader(forms.redemption(code)), "refresh_token")
        self.server.grow_old()
        return token

    def rotations(self) -> int:
        return self.server.rotations()


def timed(call: Callable[[Any], Any], asked: list[Any]) -> tuple[list[Took], list[Any]]:
    took, answers = [], []
    for one in asked:
        start, began = time.perf_counter_ns(), time.process_time_ns()
        answers.append(call(one))
        took.append(Took(time.perf_counter_ns() - start, time.process_time_ns() - began))
    return took, answers


_REGISTERED = contestants.OAUTH
