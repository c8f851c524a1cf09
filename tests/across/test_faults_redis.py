"""The Redis store while Redis dies, stalls, forgets, refuses to write or goes back in time.

Real servers, owned by the test, and real worker processes: what one has ended, the others must refuse, at
once where Redis can be asked, and ten seconds later where it has lost what it was told. Nobody else is
logged out. Run with ``--races`` above its default, the flaps take as many seconds.
"""

from __future__ import annotations

import time
from contextlib import ExitStack, contextmanager
from statistics import median

import pytest

from authx.gate.breaker import Breaker
from tests.faults import (
    CHECKING_DOORS,
    Proxy,
    RedisServer,
    ask,
    assert_let_in,
    assert_refused,
    lateness,
    lean_on_redis,
    lease,
    on_redis,
    open_many,
)
from tests.processes import wait_for

# The workers' database is the test's own PostgreSQL: the same whichever database the other tests run on.
pytestmark = [pytest.mark.slow, pytest.mark.databases("sqlite")]

#: Seconds: the longest that an ending may be unknown after Redis has lost it.
BOUND = 10.0
#: Seconds that one request may wait for Redis beyond what the database takes; the time-out is 0.05.
PATIENCE = 0.12
#: Seconds that a local copy may be old, where there is one.
LAG = 0.3


@pytest.fixture
def proxy(redis):
    with Proxy(redis.port) as proxy:
        yield proxy


# Healthy


@pytest.mark.parametrize("lag", [0.0, LAG])
def test_what_one_worker_ends_the_other_refuses(site, redis, lag):
    with site.workers(2, **on_redis(redis.port, lag=lag)) as (one, other):
        gone, stays = open_many(one, 2)
        lean_on_redis([one, other], redis, gone)
        assert one.do("end", sid=gone["sid"])["ended"]
        time.sleep(lag)
        for worker in (one, other):
            assert_refused(worker, gone)
            assert_let_in(worker, stays)


# Redis cannot be asked: the database answers, exactly


def kill(redis, proxy):
    redis.kill()


def stall(redis, proxy):
    redis.stall()


def pause(redis, proxy):
    redis.pause(60, "ALL")


def slow_down(redis, proxy):
    proxy.latency = 0.08


def swallow(redis, proxy):
    proxy.swallow()


def cut_off(redis, proxy):
    proxy.resets = True
    proxy.reset()


UNANSWERED = [kill, stall, pause, slow_down, swallow, cut_off]


@pytest.mark.parametrize(
    ("fault", "lag"), [*((fault, 0.0) for fault in UNANSWERED), (kill, LAG), (stall, LAG)]
)
def test_while_redis_does_not_answer_the_database_does(fault, lag, site, redis, proxy):
    """At once, and for one short wait per worker."""
    with site.workers(1) as (plain,), site.workers(4, **on_redis(proxy.port, lag=lag)) as (one, *others):
        gone, stays = open_many(one, 2)
        lean_on_redis([one, *others], redis, stays)
        database = median(took(ask(plain, stays)) for _ in range(20))
        fault(redis, proxy)
        assert one.do("end", sid=gone["sid"])["ended"]
        time.sleep(lag)
        told = [[ask(other, whose) for whose in [gone, stays] * 15] for other in others]
        assert all([answer["status"] for answer in answers] == [401, 200] * 15 for answers in told)
        first = min(took(answers[0]) for answers in told)  # the others may have waited for a processor
        later = median(took(answer) for answers in told for answer in answers[1:])
        report = " ".join(f"{seconds * 1000:.1f}" for seconds in (database, first, later))
        print(f"{fault.__name__}, lag {lag}: database, first, later: {report} ms")
        assert first - database < PATIENCE
        assert later - database < PATIENCE / 6
        for worker in (one, others[0]):
            assert_refused(worker, gone)
            assert_let_in(worker, stays)


def took(answer):
    return answer["done"] - answer["began"]


@pytest.mark.parametrize("ask_it", [Breaker.allows, lambda breaker: breaker.is_due], ids=["allows", "is_due"])
def test_a_breaker_that_another_thread_closes_meanwhile_lets_pass(ask_it):
    times = iter([0.0, 60.0, 60.0])

    def clock():
        breaker.worked()
        return next(times)

    breaker = Breaker(clock)
    breaker.failed()
    assert ask_it(breaker)


def test_a_worker_whose_write_has_failed_leans_on_redis_again(site, redis):
    with site.workers(1, **on_redis(redis.port)) as (worker,):
        gone, stays = open_many(worker, 2)
        lean_on_redis([worker], redis, stays)
        redis.refuse_writes()
        worker.do("end", sid=gone["sid"])
        redis.recover()
        redis.ask("FLUSHALL")
        wait_for(lambda: ask(worker, stays)["status"] == 200 and lease(redis), seconds=4)


# Redis forgets


@pytest.mark.parametrize("lag", [0.0, LAG])
def test_a_redis_that_forgets_everything_under_load_lets_nobody_in_late(lag, site, redis):
    endings = {}
    with site.workers(3, **on_redis(redis.port, lag=lag)) as (one, *others):
        people = open_many(one, 12)
        lean_on_redis([one, *others], redis, people[0])
        for other in others:
            other.begin("load", doors=CHECKING_DOORS, people=people, seconds=2.0, threads=3)
        for number, gone in enumerate(people[:10]):
            if number % 2:
                redis.ask("FLUSHALL")
            endings[gone["sid"]] = one.do("end", sid=gone["sid"])
            redis.ask("FLUSHALL")
            time.sleep(0.1)
        history = [answer for other in others for answer in other.result()]
        assert {answer["status"] for answer in history} == {200, 401}
        assert lateness(history, endings) <= lag
        lean_on_redis([one, *others], redis, people[-1])
        for other in others:
            assert_refused(other, people[0])


@pytest.fixture
def flaps(request):
    """How often Redis comes and goes, and how long each of the two lasts."""
    rounds = request.config.getoption("races")
    return (3, 0.3) if rounds <= 30 else (min(rounds, 150), 1.0)


@pytest.mark.parametrize("lag", [0.0, LAG])
def test_a_redis_that_comes_and_goes_logs_nobody_out_and_nothing_grows(lag, site, redis, cluster, flaps):
    times, seconds = flaps
    load = {"doors": CHECKING_DOORS, "threads": 4, "seconds": 2 * seconds}
    with site.workers(2, **on_redis(redis.port, lag=lag)) as workers:
        one, other = workers
        people = open_many(one, times + 2)
        lean_on_redis(workers, redis, people[0])
        before = sizes(workers, load, people)
        history, endings = [], {}
        for gone in people[:times]:
            other.begin("load", people=people, **load)
            redis.kill()
            time.sleep(seconds / 2)
            endings[gone["sid"]] = one.do("end", sid=gone["sid"])
            time.sleep(seconds / 2)
            redis.start()
            history += other.result()
        assert lateness(history, endings) <= BOUND
        for worker in workers:
            for gone in people[:times]:
                wait_for(lambda: ask(worker, gone)["status"] == 401, seconds=BOUND)  # noqa: B023
            assert_let_in(worker, people[-1])
        after = sizes(workers, load, people[times:])
        assert redis.clients() <= 2 * (4 + 1)
        wait_for(lambda: cluster.clients() <= len(workers))  # PostgreSQL notices a moment later
    for was, now in zip(before, after, strict=True):
        assert now["files"] <= was["files"] + 4  # a connection for each thread, at most
        assert now["threads"] == was["threads"]
        # Django's test client keeps a kilobyte or two of each request.
        assert now["memory"] < was["memory"] + 8 * 1024 + 2 * len(history)


def sizes(workers, load, people):
    """How large the workers are after some work."""
    for worker in workers:
        worker.begin("load", people=people, **load)
    for worker in workers:
        worker.result()
    return [worker.do("size") for worker in workers]


# Redis loses what it was told: what is left of its lease bounds how long


@contextmanager
def writes_paused(redis):
    redis.pause(60, "WRITE")
    yield


@contextmanager
def read_only_replica(redis):
    redis.refuse_writes()
    yield


@contextmanager
def out_of_memory(redis):
    redis.run_out_of_memory()
    yield


@contextmanager
def older_snapshot(redis):
    redis.save()
    yield
    redis.kill()
    redis.start()


LOSSES = [writes_paused, read_only_replica, out_of_memory, older_snapshot]


def test_an_ending_that_redis_lost_is_known_when_its_lease_has_run_out(site):
    with ExitStack() as stack:
        stories = [Loss(stack, site, loss, 0.0) for loss in LOSSES]
        stories.append(Loss(stack, site, older_snapshot, LAG))
        for story in stories:
            story.end()
        for story in stories:
            print(f"{story.name}: let in {story.lateness():.2f} s after its ending")
        assert all(story.late <= BOUND for story in stories), [(story.name, story.late) for story in stories]
        assert any(story.late > 0 for story in stories), "nothing was lost"


class Loss:
    """One Redis that loses one ending, and two workers that lean on it."""

    def __init__(self, stack, site, loss, lag):
        self.name, self.loss = f"{loss.__name__}_lag_{lag}", loss
        self.redis = stack.enter_context(RedisServer())
        self.workers = stack.enter_context(site.workers(2, **on_redis(self.redis.port, lag=lag)))
        self.people = open_many(self.workers[0], 2)
        lean_on_redis(self.workers, self.redis, self.people[0])

    def end(self):
        gone = self.people[0]["sid"]
        with self.loss(self.redis):
            self.endings = {gone: self.workers[0].do("end", sid=gone)}
        for worker in self.workers:
            worker.begin("load", doors=["gate", "api"], people=self.people, seconds=BOUND + 0.5, rest=0.1)

    def lateness(self):
        history = [answer for worker in self.workers for answer in worker.result()]
        assert history[-1]["done"] > self.endings[self.people[0]["sid"]]["done"] + BOUND
        self.late = lateness(history, self.endings)
        return self.late


def test_endings_numbered_anew_after_a_failover_are_not_taken_for_those_known(site, redis):
    """A copy has read further than the snapshot goes that Redis begins again with."""
    with site.workers(3, **on_redis(redis.port, lag=LAG)) as (one, other, third):
        lost, gone, stays = open_many(one, 2), open_many(one, 2), open_many(one, 1)[0]
        lean_on_redis([one, other, third], redis, stays)
        redis.save()
        for session in lost:
            one.do("end", sid=session["sid"])
        time.sleep(LAG)
        for session in lost:
            assert_refused(other, session, ["gate"])
        redis.kill()
        redis.start()
        for session in gone:
            third.do("end", sid=session["sid"])
        time.sleep(LAG)
        for session in gone:
            assert_refused(other, session, ["gate"])
