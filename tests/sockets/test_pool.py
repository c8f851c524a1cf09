"""authx.sockets.pool: few threads, connections that are kept and replaced, answers in time."""

from __future__ import annotations

import asyncio
import threading
from contextvars import ContextVar

import pytest
from django.db import connection

from authx.errors import StoreUnavailable
from authx.sockets.pool import Pool
from tests.in_process import in_loop
from tests.processes import wait_for

pytestmark = pytest.mark.django_db(transaction=True)

_tenant: ContextVar[str] = ContextVar("tenant", default="")


def ours():
    return [thread for thread in threading.enumerate() if thread.name == "authx"]


async def gone(pool):
    """Let its threads go, and wait for that."""
    pool.close()
    for thread in ours():
        await asyncio.to_thread(thread.join, 10)
    assert ours() == []


async def idle(pool):
    """Wait until its threads wait for work."""
    while pool._idle < pool._threads:
        await asyncio.sleep(0)


@in_loop
async def test_it_returns_what_the_function_returns_and_raises_what_it_raises():
    pool = Pool()
    assert await pool.run(lambda: 7) == 7
    with pytest.raises(ZeroDivisionError):
        await pool.run(lambda: 1 / 0)
    await gone(pool)


@in_loop
async def test_the_function_runs_in_the_context_of_its_caller():
    pool = Pool()
    _tenant.set("acme")
    assert await pool.run(_tenant.get) == "acme"
    await gone(pool)


@in_loop
async def test_there_are_so_many_threads_and_no_more():
    pool, goes_on = Pool(3), threading.Event()
    waiting = [asyncio.ensure_future(pool.run(lambda: goes_on.wait(10))) for _ in range(20)]
    while len(ours()) < 3:
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.05)
    assert len(ours()) == 3
    goes_on.set()
    assert await asyncio.gather(*waiting) == [True] * 20
    await gone(pool)


@in_loop
async def test_one_thread_is_enough_while_there_is_little_to_do():
    pool = Pool()
    for _ in range(20):
        await pool.run(lambda: None)
        await idle(pool)
    assert len(ours()) == 1
    await gone(pool)


@in_loop
async def test_an_idle_thread_goes_and_the_next_work_starts_another():
    pool = Pool(keep=0.05)
    for _ in range(3):
        assert await pool.run(lambda: 7) == 7
        await asyncio.to_thread(wait_for, lambda: not ours())
    assert (pool._threads, pool._idle) == (0, 0)


@in_loop
async def test_where_no_thread_can_be_started_nobody_waits_and_the_loop_goes_on(monkeypatch):
    pool = Pool(2)

    def full(thread):
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as limit:
        limit.setattr(threading.Thread, "start", full)
        with pytest.raises(StoreUnavailable):
            await pool.run(lambda: 7)
    assert await pool.run(lambda: 7) == 7
    held, goes_on = threading.Event(), threading.Event()
    busy = asyncio.ensure_future(pool.run(lambda: (held.set(), goes_on.wait(10))))
    while not held.is_set():
        await asyncio.sleep(0.01)
    with monkeypatch.context() as limit:
        limit.setattr(threading.Thread, "start", full)
        waiting = asyncio.ensure_future(pool.run(lambda: 8))
        await asyncio.sleep(0)
    goes_on.set()
    assert await waiting == 8, "the other one does it"
    await busy
    await gone(pool)


@in_loop
async def test_an_answer_that_does_not_come_is_an_outage():
    pool, goes_on = Pool(1, timeout=0.05), threading.Event()
    with pytest.raises(StoreUnavailable):
        await pool.run(lambda: goes_on.wait(10))
    late = []
    with pytest.raises(StoreUnavailable):
        await pool.run(lambda: late.append("nobody waits for it"))
    goes_on.set()
    await gone(pool)
    assert late == []


@in_loop
async def test_what_nobody_waits_for_any_more_is_not_called():
    pool, held, goes_on, called = Pool(1), threading.Event(), threading.Event(), []
    busy = asyncio.ensure_future(pool.run(lambda: (held.set(), goes_on.wait(10))))
    left = asyncio.ensure_future(pool.run(lambda: called.append("nobody waits for it")))
    while not held.is_set():
        await asyncio.sleep(0.01)
    left.cancel()
    with pytest.raises(asyncio.CancelledError):
        await left
    goes_on.set()
    await busy
    assert await pool.run(lambda: 7) == 7
    await gone(pool)
    assert called == []


def test_an_answer_for_a_loop_that_is_closed_ends_no_thread():
    """As where a server stops in the middle of a handshake."""
    pool, held, goes_on = Pool(1), threading.Event(), threading.Event()

    async def leave():
        asking = asyncio.ensure_future(pool.run(lambda: (held.set(), goes_on.wait(10))))
        while not held.is_set():
            await asyncio.sleep(0.01)
        return asking

    assert asyncio.run(leave()).cancelled()
    (thread,) = ours()

    async def come_back():
        goes_on.set()
        assert await pool.run(lambda: 7) == 7
        assert ours() == [thread]
        await gone(pool)

    asyncio.run(come_back())


def backend():
    """Which connection this thread has."""
    connection.ensure_connection()
    return id(connection.connection)


@in_loop
async def test_a_connection_is_kept_whatever_conn_max_age_says_and_not_for_ever():
    assert connection.settings_dict["CONN_MAX_AGE"] == 0
    now = [0.0]
    pool = Pool(1, clock=lambda: now[0])
    first = await pool.run(backend)
    assert await pool.run(backend) == first
    await idle(pool)
    now[0] = 61.0
    await pool.run(backend)  # after which it is closed
    assert await pool.run(lambda: connection.connection) is None
    await gone(pool)


@pytest.mark.databases("sqlite", "mariadb")
@in_loop
async def test_a_connection_of_a_pool_is_given_back_at_once(monkeypatch):
    """Django's pool has four by default, and requests wait for them."""
    pool = Pool(1)
    await pool.run(backend)
    assert await pool.run(lambda: connection.connection) is not None
    await idle(pool)
    monkeypatch.setitem(connection.settings_dict["OPTIONS"], "pool", True)
    await pool.run(lambda: None)
    assert await pool.run(lambda: connection.connection) is None
    await gone(pool)


@in_loop
async def test_a_lost_connection_costs_a_second_try_and_a_new_one_does_not():
    pool, tries = Pool(1), []

    def ask():
        tries.append(connection.connection is not None)
        if len(tries) == 1:
            raise StoreUnavailable("the server has closed it")
        return 7

    await pool.run(backend)
    assert await pool.run(ask) == 7
    assert tries == [True, False]
    tries.clear()
    with pytest.raises(StoreUnavailable):
        await pool.run(ask)  # there was no connection that could have been lost
    await gone(pool)
