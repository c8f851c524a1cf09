"""The native clients of docs/native-clients.md at the door itself."""

from __future__ import annotations

import time
from contextlib import ExitStack
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest

from authx.conf import conf
from authx.models import DeviceSession
from authx.sessions import end_session, open_session
from authx.sessions.credentials import access_token_for
from tests.native import CLIENTS, running
from tests.processes import wait_for
from tests.served import HASTY, database_here, serving, settings_in

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]


@pytest.fixture(params=CLIENTS)
def kind(request):
    return request.param


#: The server that says least, and one that says all.
EITHER = pytest.mark.parametrize("served", ["daphne", "uvicorn"], indirect=True)


@pytest.fixture
def served(request, tmp_path, transactional_db):
    with serving(getattr(request, "param", "uvicorn"), tmp_path, **database_here()) as found:
        yield found


@pytest.fixture
def hasty(tmp_path, transactional_db):
    """With access tokens of three seconds, which are renewed after two and a quarter."""
    with serving("uvicorn", tmp_path, **database_here(), **settings_in(tmp_path, HASTY)) as found:
        yield found


def opens(client, name, times=1):
    wait_for(lambda: client.connections == times and client.messages.count(name) == times)


@EITHER
def test_it_stops_with_its_session(served, kind, opened, ada):
    name = ada.get_username()
    with running(kind, served, opened.refresh_token) as client:
        opens(client, name)
        assert client.says("hello")
        end_session(opened.session, "kicked")
        assert client.ended(seconds=3) == "kicked"
    assert (client.connections, client.waits, client.messages) == (1, [], [name, "hello"])


def test_it_stays_on_one_connection_beyond_its_token(hasty, kind, opened, ada):
    with running(kind, hasty, opened.refresh_token) as client:
        opens(client, ada.get_username())
        first = client.tokens.access
        wait_for(lambda: client.tokens.access != first)
        wait_for(lambda: hasty.session(first)[0] == 401)  # it has expired, and would keep no socket open
        assert client.says("still here")
        assert (client.connections, client.waits) == (1, [])
        assert client.messages == [ada.get_username(), "still here"], "no frame of authx is the app's"
        stops(client, opened.session)


#: Seconds from the expiry of a token that is nearly refused; the leeway is ten.
NEARLY = timedelta(seconds=8)


@pytest.mark.parametrize("late", [timedelta(minutes=5), NEARLY], ids=["at the handshake", "while it is open"])
def test_a_token_that_has_expired_is_renewed_and_it_comes_back_at_once(served, kind, opened, ada, late):
    """Of which the client knew nothing, having been asleep."""
    old = access_token_for(opened.session, now=opened.now - conf.ACCESS_TOKEN_LIFETIME - late)[1]

    def has_slept(client):
        client.tokens.access, client.tokens.old_at = old, time.monotonic() + 600

    with running(kind, served, opened.refresh_token, before=has_slept) as client:
        opens(client, ada.get_username(), times=2 if late == NEARLY else 1)
        assert client.tokens.access != old
        assert client.waits == []
        stops(client, opened.session)


def goes(client, url):
    client.url = url


def stops(client, session):
    end_session(session, "kicked")
    assert client.ended() == "kicked"


@EITHER
def test_where_there_are_too_many_it_waits_and_stays_signed_in(served, kind, opened, ada):
    with ExitStack() as stack:
        others = [stack.enter_context(served.connect(bearer=opened.access_token)) for _ in range(20)]
        for each in others:
            each.recv(timeout=10)
        with running(kind, served, opened.refresh_token) as client:
            wait_for(lambda: len(client.waits) > 3)
            assert client.connections == 0
            assert min(client.waits) >= client.shortest
            assert len({round(wait, 3) for wait in client.waits}) > 1, "they differ"
            stack.close()
            opens(client, ada.get_username())
            assert DeviceSession.objects.get().ended_at is None
            stops(client, opened.session)


def test_where_every_token_is_refused_it_comes_back_at_once_and_then_waits(served, kind, opened, tmp_path):
    """At a door whose keys are others than those of the site that renews: no tight loop, and no end."""
    folder = tmp_path / "other"
    folder.mkdir()
    settings = settings_in(folder, f"SECRET_KEY = {'o' * 50!r}\n")
    with serving("uvicorn", folder, **database_here(), **settings) as other:
        url = other.url("/bare/")
        with running(kind, served, opened.refresh_token, before=lambda client: goes(client, url)) as client:
            wait_for(lambda: len(client.waits) > 3)
            tries, waits = other.log.read_text().count("GET /bare/"), len(client.waits)
            assert waits <= tries <= waits + 3
            assert (client.connections, client.end) == (0, None)


@EITHER
def test_it_stops_where_its_session_has_ended_before(served, kind, opened):
    end_session(opened.session, "password_changed")
    with running(kind, served, opened.refresh_token) as client:
        assert client.ended() == "password_changed"
        assert (client.connections, client.waits) == (0, [])


def test_a_server_that_restarts_is_waited_for(kind, opened, ada, tmp_path, transactional_db):
    with ExitStack() as stack:
        with serving("uvicorn", tmp_path, **database_here()) as served:
            client = stack.enter_context(running(kind, served, opened.refresh_token))
            opens(client, ada.get_username())
        wait_for(lambda: len(client.waits) > 1)
        with serving("uvicorn", tmp_path, port=served.port, **database_here()):
            opens(client, ada.get_username(), times=2)
            stops(client, opened.session)


def test_a_store_that_holds_a_newer_session_goes_on_with_it(served, kind, opened, ada):
    """As after a step-up by another process that shares the store."""
    newer = open_session(ada)
    with running(kind, served, opened.refresh_token) as client:
        opens(client, ada.get_username())
        client.store.write(newer.refresh_token)
        end_session(opened.session, "superseded")
        opens(client, ada.get_username(), times=2)
        assert client.waits == []
        stops(client, newer.session)


class Elsewhere(BaseHTTPRequestHandler):
    """A site that has moved to another one."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.server.seen.append(self.path)
        self.send_response(302)
        self.send_header("Location", self.server.to)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *arguments):
        pass


def test_a_token_follows_no_redirect(served, kind, opened):
    with HTTPServer(("127.0.0.1", 0), Elsewhere) as moved:
        moved.seen, moved.to = [], served.url("/bare/")
        Thread(target=moved.serve_forever, daemon=True).start()
        url = f"ws://127.0.0.1:{moved.server_port}/bare/"
        with running(kind, served, opened.refresh_token, before=lambda client: goes(client, url)) as client:
            wait_for(lambda: client.end or client.waits)
        moved.shutdown()
        assert moved.seen[0] == "/bare/"
        assert client.connections == 0
        assert "/bare/" not in served.log.read_text()
