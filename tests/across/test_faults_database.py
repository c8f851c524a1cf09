"""The database while it is stopped, cut off, or comes and goes; with Redis beside it, and without.

Real servers, owned by the test, and real worker processes. What cannot be known is 503 and a time to come
again; no cookie is taken away, and nobody is logged out.
"""

from __future__ import annotations

import time

import pytest

from tests.faults import (
    ALL_DOORS,
    Proxy,
    ask,
    assert_let_in,
    assert_refused,
    lean_on_redis,
    on_redis,
    open_many,
)
from tests.processes import wait_for

# The workers' database is the test's own PostgreSQL: the same whichever database the other tests run on.
pytestmark = [pytest.mark.slow, pytest.mark.databases("sqlite")]

#: Seconds that a local copy may be old, where there is one.
LAG = 0.3
#: Where an answer needs nothing that only the database knows.
QUICK = ("api", "cookie", "gate")
OTHERS = ("login", *sorted({*ALL_DOORS} - {*QUICK}))


@pytest.fixture
def outage(cluster):
    """Stops the database; it is there again after the test."""
    yield cluster.stop
    if cluster.process is None:
        cluster.start()


def assert_unknown(worker, whose, doors=(*QUICK, *OTHERS)):
    """503, when to come again, and the cookies left alone."""
    for door in doors:
        answer = ask(worker, whose, door)
        assert answer["status"] == 503, (door, answer)
        if "retry_after" in answer:
            assert int(answer["retry_after"]) > 0
            assert answer["cleared"] == []


def assert_nobody_logged_out(history):
    """Each answer was the right one, or that it cannot be known."""
    for answer in history:
        assert answer["status"] in {200, 503}, answer
        assert answer.get("cleared", []) == [], answer
        assert answer["status"] == 200 or answer.get("retry_after", "5"), answer
    assert {answer["status"] for answer in history} == {200, 503}


@pytest.mark.parametrize("lag", [0.0, LAG])
def test_without_the_database_good_tokens_are_served_where_redis_knows(lag, site, redis, cluster, outage):
    with site.workers(2, **on_redis(redis.port, lag=lag)) as workers:
        gone, stays = open_many(workers[0], 2)
        lean_on_redis(workers, redis, stays)
        workers[0].do("end", sid=gone["sid"])
        time.sleep(lag)
        outage()
        for worker in workers:
            assert_refused(worker, gone, QUICK)
            assert_let_in(worker, stays, QUICK)
            assert_unknown(worker, stays, OTHERS)
        assert ask(workers[0], gone, "renewal")["status"] == 503
        cluster.start()
        for worker in workers:
            ask(worker, stays)  # finds its connection dead
            assert_refused(worker, gone, ALL_DOORS)
            assert_let_in(worker, stays)


def test_an_ending_that_cannot_be_written_has_not_happened(site, redis, cluster, outage):
    with site.workers(2, **on_redis(redis.port)) as workers:
        (ada,) = open_many(workers[0], 1)
        lean_on_redis(workers, redis, ada)
        outage()
        answer = workers[0].do("end", sid=ada["sid"])
        assert (answer["status"], answer["code"]) == (503, "store_unavailable")
        assert_let_in(workers[1], ada, QUICK)
        cluster.start()
        assert workers[0].do("end", sid=ada["sid"])["ended"]
        assert_refused(workers[1], ada)


LOST = {
    "killed": lambda redis: redis.kill(),
    "stalled": lambda redis: redis.stall(),
    "emptied": lambda redis: redis.ask("FLUSHALL"),
}


@pytest.mark.parametrize("lag", [0.0, LAG])
@pytest.mark.parametrize("lost", LOST)
def test_with_neither_of_them_nothing_is_known(lost, lag, site, redis, cluster, outage):
    with site.workers(2, **on_redis(redis.port, lag=lag)) as workers:
        gone, stays = open_many(workers[0], 2)
        lean_on_redis(workers, redis, stays)
        workers[0].do("end", sid=gone["sid"])
        outage()
        LOST[lost](redis)
        time.sleep(lag)
        for worker in workers:
            assert_unknown(worker, gone if lag == 0 else stays)
            assert_unknown(worker, stays)
        cluster.start()
        for worker in workers:
            assert_let_in(worker, stays)
            assert_refused(worker, gone, ALL_DOORS)


@pytest.mark.parametrize("lag", [0.0, LAG])
def test_without_redis_nothing_is_known_either(lag, site, cluster, outage):
    with site.workers(1, AUTHX_REVOCATION_LAG=lag, AUTHX_REFRESH_RATE=None) as (worker,):
        (ada,) = open_many(worker, 1)
        assert_let_in(worker, ada)
        outage()
        time.sleep(lag)
        assert_unknown(worker, ada)
        cluster.start()
        time.sleep(lag)
        assert_let_in(worker, ada)


def test_a_log_whose_numbers_are_given_anew_hides_no_ending(site, cluster):
    """A standby takes over that had not received the last endings: the next have their numbers."""
    with site.workers(2, AUTHX_REVOCATION_LAG=LAG, AUTHX_REFRESH_RATE=None) as (one, other):
        lost, gone = open_many(one, 2), open_many(one, 2)
        assert_let_in(other, gone[0])
        for whose in lost:
            one.do("end", sid=whose["sid"])
        time.sleep(LAG)
        for whose in lost:
            assert_refused(other, whose, ["gate"])
        forget_endings(cluster, lost)
        for whose in gone:
            one.do("end", sid=whose["sid"])
        time.sleep(LAG)
        for whose in gone:
            assert_refused(other, whose, ["gate"])


def forget_endings(cluster, people):
    """Take their lines out of the log, and give their numbers to the next."""
    sids = ", ".join(f"'{whose['sid']}'" for whose in people)
    ((first, count),) = cluster.ask(
        f"SELECT min(id), count(*) FROM authx_revocationlogentry WHERE subject_key IN ({sids})"
    )
    assert count == len(people)
    cluster.ask(f"DELETE FROM authx_revocationlogentry WHERE id >= {first}")
    cluster.ask(f"SELECT setval(pg_get_serial_sequence('authx_revocationlogentry', 'id'), {first}, false)")


@pytest.mark.parametrize("settings", [{}, {"lag": LAG}], ids=str)
def test_connections_that_are_cut_under_load_log_nobody_out(settings, site, redis, cluster):
    with Proxy(cluster.port) as proxy:
        proxy.latency = 0.003  # so that a cut meets somebody in the middle
        given = {**on_redis(redis.port, **settings), "DATABASE_PORT": proxy.port}
        with site.workers(2, **given) as workers:
            people = open_many(workers[0], 4)
            for worker in workers:
                worker.begin("load", doors=ALL_DOORS, people=people, seconds=2.0, threads=3)
            for _ in range(18):
                time.sleep(0.1)
                proxy.reset()
            assert_nobody_logged_out([answer for worker in workers for answer in worker.result()])
            for worker in workers:
                ask(worker, people[0], "recognize")
                for whose in people:
                    assert_let_in(worker, whose)


def test_a_database_that_comes_and_goes_logs_nobody_out_and_nothing_grows(site, redis, cluster):
    with site.workers(2, **on_redis(redis.port)) as workers:
        people = open_many(workers[0], 4)
        before = sizes(workers, people)
        for worker in workers:
            worker.begin("load", doors=ALL_DOORS, people=people, seconds=2.4, threads=3)
        for _ in range(3):
            time.sleep(0.3)
            cluster.stop()
            time.sleep(0.3)
            cluster.start()
        assert_nobody_logged_out([answer for worker in workers for answer in worker.result()])
        after = sizes(workers, people)
        wait_for(lambda: cluster.clients() <= len(workers))  # PostgreSQL notices a moment later
    for was, now in zip(before, after, strict=True):
        assert now["files"] <= was["files"] + 3  # a connection to Redis for each thread, at most
        assert now["threads"] == was["threads"]
        assert now["memory"] < was["memory"] + 8 * 1024


def sizes(workers, people):
    """How large the workers are after some work."""
    for worker in workers:
        worker.begin("load", doors=ALL_DOORS, people=people, seconds=0.4, threads=3)
    for worker in workers:
        worker.result()
    return [worker.do("size") for worker in workers]
