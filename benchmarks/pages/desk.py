"""One contestant's pages in a process of their own, asked by a browser that has been here before."""

from __future__ import annotations

import asyncio
import os
import time
from typing import Any

from benchmarks.pages.contestants import ALONE  # which registers all, in the process of each
from benchmarks.pages.site import VIEWS
from benchmarks.peers.asgi import CountingLoop, respond
from benchmarks.peers.process import Caller, Here, noted_statements

WARM_UP = 200


class Desk(Here):
    """Answers requests for pages, by WSGI or by ASGI."""

    def open(self, by_asgi: bool) -> None:
        from django.core.asgi import get_asgi_application

        self.cookie = self._browser()
        self.callers = {view: Caller(f"/{view}/", {"HTTP_COOKIE": self.cookie}) for view in VIEWS}
        if by_asgi:
            self.application, self.loop = get_asgi_application(), CountingLoop()
        else:
            self.open_connection()
        for view in VIEWS:
            if by_asgi:
                self.take_async(view, WARM_UP // 4)
            else:
                self.take(view, WARM_UP)

    def _browser(self) -> str:
        """The cookies of a browser in which a user is signed in by Django's ``login``."""
        from django.conf import settings
        from django.contrib.auth import get_user_model
        from django.test import Client

        if not settings.MIDDLEWARE:
            return ""
        user = get_user_model().objects.create_user(f"{self.contestant.name} {os.getpid()}")
        browser = Client(headers={"User-Agent": "Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0"})
        browser.force_login(user, "django.contrib.auth.backends.ModelBackend")
        for _ in range(2):  # what a first visit is given; the cookies stay as they are afterwards
            browser.get("/username/")
        if self.contestant.kind == ALONE:
            del browser.cookies[settings.SESSION_COOKIE_NAME]
        return "; ".join(f"{name}={morsel.value}" for name, morsel in browser.cookies.items())

    def take(self, view: str, requests: int) -> tuple[list[int], float]:
        """Nanoseconds of so many requests, and microseconds of processor time of one."""
        caller, began = self.callers[view], time.process_time_ns()
        times = [sum(caller.took()) for _ in range(requests)]
        return times, (time.process_time_ns() - began) / requests / 1000

    def statements_of(self, view: str, requests: int) -> float:
        """SQL statements of a request."""
        with noted_statements() as seen:
            self.take(view, requests)
        return len(seen) / requests

    def take_async(self, view: str, requests: int) -> tuple[list[int], float]:
        """As ``take``, one after the other through the ASGI handler: the async page."""
        began = time.process_time_ns()
        times = self.loop.run_until_complete(self._ask(f"/async/{view}/", requests))
        return times, (time.process_time_ns() - began) / requests / 1000

    def hops(self, path: str, requests: int) -> float:
        """How often a request makes the event loop wait for a thread."""
        before = self.loop.hops
        self.loop.run_until_complete(self._ask(path, requests))
        return (self.loop.hops - before) / requests

    async def _ask(self, path: str, requests: int) -> list[int]:
        times, headers = [], {"cookie": self.cookie, "host": "testserver"}
        for _ in range(requests):
            start = time.perf_counter_ns()
            status = await respond(self.application, path, headers)
            times.append(time.perf_counter_ns() - start)
            if status != 200:
                raise RuntimeError(f"{path}: {status}")
        await asyncio.sleep(0)
        return times

    def close(self) -> Any:
        """Give back the threads."""
        self.loop.run_until_complete(self.loop.shutdown_default_executor())
