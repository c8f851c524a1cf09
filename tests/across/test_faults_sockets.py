"""Open sockets while the database is cut off, hangs or restarts.

Real servers, owned by the test. The site closes its sockets when it has been blind for three seconds, so that
a test need not wait for ten (but with AUTHX_TEST_BLIND=10). Nobody is signed out, and what ended is told.
"""

from __future__ import annotations

import os
import time
from contextlib import ExitStack

import pytest

from tests.faults import Proxy, assert_let_in, assert_refused, open_many
from tests.native import CLIENTS, running
from tests.processes import wait_for
from tests.served import SERVERS, closed, reason, serving

# The site's database is the test's own PostgreSQL: the same whichever database the other tests run on.
pytestmark = [pytest.mark.slow, pytest.mark.databases("sqlite")]

#: Seconds for which the site may be blind.
BLIND = float(os.environ.get("AUTHX_TEST_BLIND", "3"))
#: Seconds in which its sockets are told after that: the intervals of reading and of looking, and some.
TOLD = 3.0


@pytest.fixture
def worker(site):
    """Another process of the site, whose way to the database is never cut."""
    with site.workers(1) as (worker,):
        yield worker


@pytest.fixture
def proxy(cluster):
    with Proxy(cluster.port) as proxy:
        yield proxy


@pytest.fixture(params=sorted(SERVERS))
def served(request, proxy, cluster, tmp_path):
    database = {
        "DJANGO_SETTINGS_MODULE": "tests.settings.blind",
        "AUTHX_TEST_DATABASE": "postgresql",
        "AUTHX_TEST_DATABASE_NAME": cluster.NAME,
        "PGHOST": "127.0.0.1",
        "PGPORT": str(proxy.port),
        "PGUSER": "postgres",
    }
    with serving(request.param, tmp_path, **database) as found:
        yield found


@pytest.fixture
def stack():
    with ExitStack() as stack:
        yield stack


def opened(stack, served, people):
    sockets = [stack.enter_context(served.connect(bearer=each["access"])) for each in people]
    for socket, each in zip(sockets, people, strict=True):
        assert socket.recv(timeout=10) == each["name"]
    return sockets


def is_open(socket):
    socket.send("still here")
    return socket.recv(timeout=10) == "still here"


def passes(sockets, seconds):
    """Let time pass, in which nobody is sent anything."""
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        with pytest.raises(TimeoutError):
            sockets[0].recv(timeout=left)


def cut(proxy):
    proxy.resets = True
    proxy.reset()


def mend(proxy):
    proxy.resets = False
    proxy.let_through()


def signed_in(worker, people):
    """At every door, by every credential, and a refresh renews them."""
    for each in people:
        assert_let_in(worker, each)


def test_cut_off_for_a_moment_nothing_closes_and_what_has_ended_is_told(stack, served, worker, proxy):
    people = open_many(worker, 3)
    sockets = opened(stack, served, people)
    cut(proxy)
    worker.do("end", sid=people[1]["sid"])
    passes(sockets, BLIND / 2)
    mend(proxy)
    assert closed(sockets[1], within=5) == (4401, reason(served, "kicked"))
    assert is_open(sockets[0])
    assert is_open(sockets[2])
    signed_in(worker, [people[0], people[2]])


@pytest.mark.parametrize("fault", [cut, Proxy.swallow], ids=["cut off", "hanging"])
def test_blind_for_too_long_all_are_closed_and_come_back(stack, served, worker, proxy, fault):
    people = open_many(worker, 3)
    sockets = opened(stack, served, people)
    fault(proxy)
    began = time.monotonic()
    worker.do("end", sid=people[1]["sid"])
    for socket in sockets:
        # daphne can send neither the code nor the reason
        expected = (1013, "store_unavailable") if served.server.says_why else (4413, "")
        assert closed(socket, within=BLIND + TOLD) == expected
    assert time.monotonic() - began > BLIND - 0.5, "not before its time"
    if fault is cut and served.server.answers:
        status, body = served.refuses(bearer=people[0]["access"])
        assert (status, body["code"]) == (503, "store_unavailable")
    passes_by(BLIND * 1.5 - (time.monotonic() - began))
    mend(proxy)
    again = opened(stack, served, [people[0], people[2]])
    assert all(map(is_open, again))
    status, body = served.session(people[1]["access"])
    assert (status, body["code"], body["reason"]) == (401, "session_ended", "kicked")
    signed_in(worker, [people[0], people[2]])
    assert_refused(worker, people[1])


def passes_by(seconds):
    until = time.monotonic() + seconds
    wait_for(lambda: time.monotonic() > until)


@pytest.mark.parametrize("kind", CLIENTS)
@pytest.mark.parametrize("served", ["daphne", "uvicorn"], indirect=True)
def test_a_native_client_comes_through_and_one_whose_session_ended_stops(stack, served, worker, proxy, kind):
    stays, ends = open_many(worker, 2)
    clients = [stack.enter_context(running(kind, served, each["refresh"])) for each in (stays, ends)]
    for client in clients:
        wait_for(lambda client=client: client.messages)
    cut(proxy)
    worker.do("end", sid=ends["sid"])
    wait_for(lambda: all(len(client.waits) > 1 for client in clients))
    assert [client.end for client in clients] == [None, None]
    mend(proxy)
    assert clients[1].ended(seconds=15) == "kicked"
    wait_for(lambda: clients[0].connections == 2)
    assert clients[0].says("still here")
    signed_in(worker, [stays])


def test_a_database_that_restarts_is_asked_again_on_five_connections(stack, served, worker, cluster):
    """S11: none is stale, and none is left over."""
    people = open_many(worker, 20)
    sockets = opened(stack, served, people)
    cluster.stop()
    cluster.start()
    again = opened(stack, served, people)
    worker.do("end", sid=people[0]["sid"])
    for socket in (sockets[0], again[0]):
        assert closed(socket, within=5) == (4401, reason(served, "kicked"))
    assert is_open(sockets[1])
    sql = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'"
    wait_for(lambda: int(cluster.ask(sql)[0][0]) <= 5 + 2)  # the worker's and the one that asks
    assert "Traceback" not in served.log.read_text()
