"""A live server with a bad network and a clock, by which a client is tested against rotation."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from threading import Lock, Thread
from typing import Any
from uuid import UUID

from django.conf import settings
from django.core.handlers.wsgi import WSGIHandler
from django.core.servers.basehttp import ThreadedWSGIServer, WSGIRequestHandler
from django.db import connections
from django.db.models import QuerySet
from django.test import modify_settings

from authx.conf import conf
from authx.core.reasons import EndReason
from authx.models import DeviceSession, SessionEvent
from authx.sessions import end_session
from authx.store import database
from authx.testing.answers import CUT
from authx.testing.faults import FaultyNetwork
from authx.testing.moving_clock import Clock, clock


class RotationSite:
    """The site under test, at ``url``; its ``network`` takes the faults."""

    def __init__(self, url: str, network: FaultyNetwork, moving: Clock) -> None:
        self.url, self.network, self.clock = url, network, moving
        #: The sessions that had ended before, or were meant to.
        self._ended: set[UUID] = set(_ended().values_list("pk", flat=True))
        self._copies_before = _copies().count()

    def expire_access_tokens(self) -> None:
        """Let as much time pass as every access token lives that has been handed out so far."""
        self.clock.advance(conf.ACCESS_TOKEN_LIFETIME + 2 * conf.CLOCK_LEEWAY)

    def end_sessions_of(self, user: Any, reason: str = EndReason.KICKED) -> int:
        """End the sessions of ``user``, such as by a kick; return how many. No logout to complain of."""
        found = list(DeviceSession.objects.using(database.alias()).live(self.clock.now()).filter(user=user))
        self._ended |= {session.pk for session in found}
        return sum(end_session(session, reason) for session in found)

    def logouts(self) -> list[DeviceSession]:
        """Return the sessions that have ended since the start, but by ``end_sessions_of`` or a step-up.

        A logout counts: a client that finds its token refused may well make one.
        """
        found = _ended().filter(successor=None).exclude(pk__in=self._ended)
        return list(found.order_by("ended_at"))

    def copies(self) -> int:
        """Return how often a refresh token was seen in two places: each one is a warning (``copied``)."""
        return _copies().count() - self._copies_before

    def assert_nobody_was_logged_out(self) -> None:
        """Fail if a session has ended that nobody meant to end; say why, and after which requests.

        Raises:
            AssertionError: one has.
        """
        if ended := self.logouts():
            reasons = ", ".join(f"{session.pk} ({session.end_reason})" for session in ended)
            lines = "\n".join(f"  {exchange}" for exchange in self.network.exchanges)
            raise AssertionError(f"logged out: {reasons}; copies noticed: {self.copies()}\n{lines}")


def _ended() -> QuerySet[DeviceSession]:
    return DeviceSession.objects.using(database.alias()).exclude(ended_at=None)


def _copies() -> QuerySet[SessionEvent]:
    return SessionEvent.objects.using(database.alias()).filter(kind=SessionEvent.Kind.COPIED)


@contextmanager
def rotation_site(host: str = "127.0.0.1") -> Iterator[RotationSite]:
    """Serve the site on a free port of ``host``, in threads of this process, with a clock to move.

    For a ``TransactionTestCase``, or pytest's ``transactional_db``: its threads see what is committed.
    """
    shared = {
        alias: connections[alias]
        for alias in connections
        if getattr(connections[alias], "is_in_memory_db", bool)()
    }
    for connection in shared.values():
        connection.inc_thread_sharing()
    network = FaultyNetwork(_site(), Lock() if shared else nullcontext())
    server = ThreadedWSGIServer((host, 0), _RequestHandler, connections_override=shared)
    server.set_app(network)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    try:
        with modify_settings(ALLOWED_HOSTS={"append": host}), clock() as moving:
            thread.start()
            yield RotationSite(f"http://{host}:{server.server_address[1]}", network, moving)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
        for connection in shared.values():
            connection.dec_thread_sharing()


def _site() -> Any:
    """Return the site as ``runserver`` serves it, with its static files where it has any."""
    if "django.contrib.staticfiles" not in settings.INSTALLED_APPS:
        return WSGIHandler()
    from django.contrib.staticfiles.handlers import StaticFilesHandler

    return StaticFilesHandler(WSGIHandler())


class _RequestHandler(WSGIRequestHandler):
    """Django's, whose connections may be cut off."""

    def get_environ(self) -> dict[str, Any]:
        return {**super().get_environ(), CUT: self._cut}

    def _cut(self) -> None:
        self.close_connection = True
        connection: Any = self.connection
        connection.shutdown(socket.SHUT_RDWR)

    def log_message(self, *arguments: Any) -> None:
        """Log nothing: ``FaultyNetwork.exchanges`` has it."""
