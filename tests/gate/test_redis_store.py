"""The lease in Redis: who gives it, and what it is worth. Real Redis servers, one per test."""

import json
import os
import sys
from contextlib import suppress
from random import Random
from threading import Barrier, Thread, get_ident

import pytest
from django.core.cache import caches
from django.core.exceptions import ImproperlyConfigured

from authx.core.log_position import LogPosition
from authx.errors import StoreUnavailable
from authx.gate.breaker import FIRST_PAUSE_SECONDS, MAX_PAUSE_SECONDS, TRIAL_SECONDS, Breaker
from authx.gate.revocation import redis_connection
from authx.gate.revocation import redis_scripts as scripts
from authx.gate.revocation.redis_connection import connect
from authx.gate.revocation.redis_store import (
    ENDINGS_PER_COMMAND,
    LEASE_SECONDS,
    LOCK_SECONDS,
    RETRY_SECONDS,
    RedisStore,
)
from authx.gate.revocation.window import PAUSE_SECONDS, Endings, window
from tests.faults import RedisServer
from tests.processes import free_port, wait_for


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


class Log:
    """A log of endings in memory: a factory of readers, as the store expects one."""

    def __init__(self):
        self.lines, self.readings, self.down, self.meanwhile = [], [], False, lambda: None

    def end(self, *sids, reason="kicked"):
        self.lines += [(len(self.lines) + number, sid, reason) for number, sid in enumerate(sids, 1)]

    def __call__(self, position=None):
        return Reader(self, position)


class Reader:
    def __init__(self, log, position):
        self.log, self.position = log, position

    def read(self):
        if self.log.down:
            raise StoreUnavailable("down")
        before = self.position
        found = [line for line in self.log.lines if before is None or line[0] > before.last]
        self.log.readings.append(len(found))
        rows = [(number, sid) for number, sid, _ in found]
        self.position = (before or LogPosition()).advanced(rows, 0)
        self.log.meanwhile()
        return Endings({sid: reason for _, sid, reason in found}, self.position, before is None)

    def begin_again(self):
        self.position = None


@pytest.fixture(scope="module")
def server():
    with RedisServer() as server:
        yield server


def reason_in(store, sid):
    return store.entries([sid])[0]


def together(work, count):
    """Do the same in so many threads of its own."""
    threads = [Thread(target=work) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@pytest.fixture
def log():
    return Log()


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def use(settings, server, log, clock):
    """Make a store on the module's server, or on another."""
    server.ask("FLUSHALL")

    def make(location=server.location, **cache):
        backend = "django_redis.cache.RedisCache"
        settings.CACHES = {**settings.CACHES, "sessions": {"BACKEND": backend, "LOCATION": location, **cache}}
        return RedisStore("sessions", log, clock=clock)

    return make


@pytest.fixture
def store(use):
    store = use()
    with suppress(StoreUnavailable):
        reason_in(store, "nobody")
    return store


# --- the lease


def test_the_first_to_ask_gives_the_lease_and_is_answered(use, log):
    log.end("a")
    store = use()
    assert reason_in(store, "a") == "kicked"
    assert reason_in(store, "b") is None
    assert log.readings == [1]


def test_everything_is_one_key_that_expires_with_the_lease(store, server):
    store.publish({"a": "logout"})
    assert server.ask("KEYS", "*") == [store.key]
    assert 0 < server.ask("PTTL", store.key) <= LEASE_SECONDS * 1000


def test_without_a_lease_nothing_is_known(store, server):
    server.ask("DEL", store.key)
    with pytest.raises(StoreUnavailable):
        reason_in(store, "a")


def test_a_lease_that_was_lost_is_given_again_soon(store, server, clock):
    server.ask("FLUSHALL")
    with pytest.raises(StoreUnavailable):
        reason_in(store, "a")
    clock.now += RETRY_SECONDS
    assert reason_in(store, "a") is None


def test_it_is_renewed_when_a_third_is_over_and_what_is_new_is_read(store, server, log, clock):
    log.end("a")
    assert reason_in(store, "a") is None  # not published, and not read yet
    server.ask("PEXPIRE", store.key, 5000)
    clock.now += LEASE_SECONDS / 3 * 1.1
    assert reason_in(store, "a") == "kicked"
    assert log.readings == [0, 1]
    assert server.ask("PTTL", store.key) > 5000
    clock.now += 1
    reason_in(store, "a")
    assert log.readings == [0, 1]


def test_a_lease_that_another_has_just_renewed_is_left_alone(store, use, log):
    other = use()
    other.keep_lease()
    assert reason_in(other, "a") is None
    assert log.readings == [0]


def test_the_lease_counts_from_before_the_reading(use, server, log):
    store = use()

    def now():
        seconds, microseconds = map(int, server.ask("TIME"))
        return seconds * 1000 + microseconds / 1000

    began = now()
    log.meanwhile = lambda: wait_for(lambda: now() > began + 30)
    store.keep_lease()
    assert server.ask("PEXPIRETIME", store.key) <= began + LEASE_SECONDS * 1000 + 25


def test_a_reading_that_arrives_after_its_lease_is_worth_nothing(use, server):
    """Redis was stopped between the two: what it then carries out is too late."""
    store = use()
    begun = store._script(scripts.BEGIN, "owner", 5000, 30000, 6666)
    store._script(scripts.FINISH, "owner", "[]", int(begun[0]) - 1, 0)
    assert server.ask("EXISTS", store.key) == 0


def test_a_hash_that_vanished_during_the_reading_gets_no_lease(use, server, log):
    store = use()
    log.meanwhile = lambda: server.ask("FLUSHALL")
    store.keep_lease()
    assert server.ask("EXISTS", store.key) == 0
    with pytest.raises(StoreUnavailable):
        reason_in(store, "a")


def test_an_ending_published_during_the_first_reading_is_not_lost(use, log):
    """It commits after the log was read and before the lease is given."""
    store, other = use(), use()
    log.meanwhile = lambda: other.publish({"late": "kicked"})
    store.keep_lease()
    assert reason_in(store, "late") == "kicked"


def test_one_reads_and_the_others_wait_for_the_lease(use, log):
    store, other = use(), use()

    def meanwhile():
        with pytest.raises(StoreUnavailable):
            reason_in(other, "a")

    log.meanwhile = meanwhile
    store.keep_lease()
    assert log.readings == [0]
    assert reason_in(other, "a") is None


def test_a_reader_that_died_is_succeeded(use, server, clock):
    store, other = use(), use()
    store._script(scripts.BEGIN, "dead", int(LOCK_SECONDS * 1000), 30000, 6666)
    with pytest.raises(StoreUnavailable):
        reason_in(other, "a")
    until = server.ask("HGET", other.key, "lock").split()[0]
    server.ask("HSET", other.key, "lock", f"{int(until) - 6000} dead")
    clock.now += RETRY_SECONDS
    assert reason_in(other, "a") is None
    assert store._script(scripts.FINISH, "dead", "[]", int(until) + 60000, 0) == 0


def test_a_database_that_is_down_gives_no_lease(use, log, server):
    log.down = True
    store = use()
    with pytest.raises(StoreUnavailable):
        reason_in(store, "a")
    assert server.ask("HEXISTS", store.key, "lease") == 0


@pytest.mark.parametrize(
    "upto",
    [
        *("", "nonsense", "7", '[1, "a", [[1]]]', "{", b"\xff", "[" * 100_000),
        *('[1e999, "a", []]', '[18446744073709551616, "a", []]', '[-1, "a", []]'),
        *('[0, "", [[1, 1e999, 0]]]', f"[0, '', {[[1, 2, 3]] * 1000}]".replace("'", '"')),
    ],
    ids=range(12),
)
def test_a_position_that_cannot_be_read_is_read_from_the_beginning(store, server, log, clock, upto):
    log.end("a")
    server.ask("HSET", store.key, "upto", upto)
    server.ask("PEXPIRE", store.key, 5000)
    clock.now += LEASE_SECONDS
    assert reason_in(store, "a") == "kicked"
    assert LogPosition.from_json(json.loads(server.ask("HGET", store.key, "upto"))).last == 1


def test_too_many_endings_are_not_kept(use, server, log, clock, monkeypatch):
    monkeypatch.setattr("authx.gate.revocation.window.MAX_ENDINGS", 5)
    log.end(*"abcdef")
    store = use()
    for _ in range(10):
        with pytest.raises(StoreUnavailable):
            reason_in(store, "a")
        clock.now += PAUSE_SECONDS / 11
    assert len(log.readings) == 1
    monkeypatch.undo()
    clock.now += PAUSE_SECONDS
    server.ask("DEL", store.key)  # the lock of the first, who has not come to its end
    assert reason_in(store, "a") == "kicked"


def test_what_no_longer_matters_is_thrown_away(store, server, clock):
    store.publish({"old": "kicked", "recent": "kicked"})
    now = int(server.ask("TIME")[0])
    server.ask("HSET", store.key, "#1", f"{now - int(window().total_seconds()) - 5} kicked old")
    server.ask("PEXPIRE", store.key, 5000)
    clock.now += LEASE_SECONDS
    store.keep_lease()
    assert (reason_in(store, "old"), reason_in(store, "recent")) == (None, "kicked")
    assert server.ask("HMGET", store.key, "#1", "#2", "first") == [None, f"{now} kicked recent", "2"]


# --- publishing


def test_what_is_published_is_known_at_once(store):
    store.publish({"a": "logout", "b": "kicked"})
    assert (reason_in(store, "a"), reason_in(store, "b"), reason_in(store, "c")) == ("logout", "kicked", None)


def test_the_first_word_stands(store):
    store.publish({"a": "logout"})
    store.publish({"a": "kicked"})
    assert reason_in(store, "a") == "logout"


def test_many_fit(store, use, log, server):
    many = {f"sid-{number}": "kicked" for number in range(2 * ENDINGS_PER_COMMAND + 50)}
    store.publish(many)
    assert reason_in(store, f"sid-{2 * ENDINGS_PER_COMMAND + 49}") == "kicked"
    server.ask("FLUSHALL")
    log.end(*many)
    store = use()
    assert reason_in(store, f"sid-{2 * ENDINGS_PER_COMMAND + 49}") == "kicked"


def test_publishing_to_a_dead_redis_fails_nobody_and_is_logged(use, caplog):
    use(f"redis://127.0.0.1:{free_port()}/0").publish({"a": "kicked"})
    assert "endings_not_published" in [getattr(record, "event", "") for record in caplog.records]


def test_two_issuers_on_one_redis_do_not_meet(store, use, settings):
    settings.AUTHX_ISSUER = "https://elsewhere.example"
    other = use()
    other.keep_lease()
    store.publish({"a": "kicked"})
    assert reason_in(other, "a") is None
    assert store.key != other.key


def test_the_aliass_prefix_is_kept(use):
    assert use(KEY_PREFIX="shop", VERSION=7).key.startswith("shop:7:authx:endings:")


# --- the feed of a local copy


def test_a_feed_tells_all_and_then_what_is_new(store):
    feed = store.feed()
    store.publish({"a": "kicked"})
    assert (feed.read().ended, feed.read().ended) == ({"a": "kicked"}, {})
    store.publish({"b": "logout"})
    found = feed.read()
    assert (found.ended, found.whole) == ({"b": "logout"}, False)


def test_a_feed_reads_any_number(store):
    many = {f"sid-{number}": "kicked" for number in range(2 * ENDINGS_PER_COMMAND + 50)}
    store.publish(many)
    found = store.feed().read()
    assert (found.ended, found.whole) == (many, True)


def test_a_feed_begins_again_where_redis_did(store, server, log, clock):
    feed = store.feed()
    store.publish({"a": "kicked"})
    feed.read()
    server.ask("FLUSHALL")
    log.end("b")
    clock.now += LEASE_SECONDS
    found = feed.read()
    assert (found.ended, found.whole) == ({"b": "kicked"}, True)


def test_a_feed_notices_numbers_that_are_given_anew(store, server):
    """An older snapshot of the same hash, and as many endings since."""
    feed = store.feed()
    store.publish({"a": "kicked"})
    before, expires = server.ask("HGETALL", store.key), server.ask("PEXPIRETIME", store.key)
    store.publish({"lost": "kicked"})
    feed.read()
    server.ask("DEL", store.key)
    server.ask("HSET", store.key, *(word for item in before.items() for word in item))
    server.ask("PEXPIREAT", store.key, expires)
    store.publish({"new": "kicked", "newer": "kicked"})
    found = feed.read()
    assert (found.ended, found.whole) == ({"a": "kicked", "new": "kicked", "newer": "kicked"}, True)


def test_a_feed_reads_the_log_where_redis_does_not_know(use, log, server):
    feed = use(f"redis://127.0.0.1:{free_port()}/0").feed()
    log.end("a")
    assert (feed.read().ended, feed.read().ended) == ({"a": "kicked"}, {})
    log.down = True
    with pytest.raises(StoreUnavailable):
        feed.read()


def test_a_feed_goes_back_to_redis(store, server, log, clock):
    feed = store.feed()
    feed.read()
    server.ask("FLUSHALL")
    log.end("a")
    assert feed.read().ended == {"a": "kicked"}  # from the log
    clock.now += RETRY_SECONDS
    found = feed.read()
    assert (found.ended, found.whole) == ({"a": "kicked"}, True)
    assert feed.read().ended == {}


# --- the connection


def test_time_outs_are_ours_whatever_the_alias_says(use):
    store = use(OPTIONS={"SOCKET_TIMEOUT": 9, "CONNECTION_POOL_KWARGS": {"socket_timeout": 8}})
    with_url = use("redis://127.0.0.1:1/0?socket_timeout=7&socket_connect_timeout=7")
    for made in (store, with_url):
        kwargs = made._client.connection_pool.connection_kwargs
        ours = redis_connection.TIMEOUT_SECONDS
        assert (kwargs["socket_timeout"], kwargs["socket_connect_timeout"]) == (ours, ours)
        assert kwargs["retry"].get_retries() == 0


def test_the_aliass_own_connections_are_left_alone(use, settings):
    from django.core.cache import caches

    use(OPTIONS={"SOCKET_TIMEOUT": 9})
    pool = caches["sessions"].client.get_client().connection_pool
    assert pool.connection_kwargs["socket_timeout"] == 9


def test_answers_that_the_alias_decodes_are_read_too(use):
    store = use(OPTIONS={"CONNECTION_POOL_KWARGS": {"decode_responses": True}})
    store.keep_lease()
    store.publish({"a": "kicked"})
    assert reason_in(store, "a") == "kicked"
    assert store.feed().read().ended == {"a": "kicked"}


def test_djangos_caches_are_not_left_open_for_it(use):
    """Each would be closed after every request of this thread."""
    store = use()
    store.keep_lease()
    assert reason_in(store, "a") is None
    assert "sessions" not in [alias for alias in caches if hasattr(caches._connections, alias)]


def test_a_cache_that_is_not_django_redis_is_refused():
    with pytest.raises(ImproperlyConfigured, match="AUTHX_REDIS_ALIAS"):
        connect("default")


class SentinelServer(RedisServer):
    """A Sentinel that watches one primary."""

    def __init__(self, primary):
        super().__init__()
        self.primary = primary

    def command(self):
        file = self.directory / "sentinel.conf"
        file.write_text(
            f"port {self.port}\nbind 127.0.0.1\ndir {self.directory}\n"
            f"sentinel monitor authx 127.0.0.1 {self.primary.port} 1\n"
        )
        return ["redis-server", str(file), "--sentinel"]


def test_it_works_through_sentinel(use, server):
    with SentinelServer(server) as sentinel:
        store = use(
            "redis://authx/0",
            OPTIONS={
                "CLIENT_CLASS": "django_redis.client.SentinelClient",
                "CONNECTION_FACTORY": "django_redis.pool.SentinelConnectionFactory",
                "SENTINELS": [("127.0.0.1", sentinel.port)],
            },
        )
        store.keep_lease()
        store.publish({"a": "kicked"})
        assert reason_in(store, "a") == "kicked"
        assert server.ask("KEYS", "*") == [store.key]


class ClusterServer(RedisServer):
    """A cluster of one, which has all the slots."""

    def command(self):
        return [*super().command(), "--cluster-enabled", "yes"]


class ClusterFactory:
    """How a site connects django-redis to a cluster, which it does not do by itself."""

    def __init__(self, options):
        self.options = options

    def connect(self, url):
        from redis.cluster import RedisCluster

        return RedisCluster.from_url(url)


def test_it_works_on_a_cluster(use):
    with ClusterServer() as cluster:
        cluster.ask("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
        wait_for(lambda: "cluster_state:ok" in cluster.ask("CLUSTER", "INFO"))
        factory = f"{__name__}.ClusterFactory"
        store = use(f"redis://127.0.0.1:{cluster.port}", OPTIONS={"CONNECTION_FACTORY": factory})
        store.keep_lease()
        store.publish({"a": "kicked"})
        assert reason_in(store, "a") == "kicked"
        assert store.feed().read().ended == {"a": "kicked"}


# --- the breaker


def test_a_breaker_lets_one_try_and_waits_longer_each_time():
    clock = Clock()
    breaker = Breaker(clock)
    assert breaker.allows()
    waited = []
    for _ in range(7):
        breaker.failed()
        assert not breaker.allows()
        start = clock.now
        while not breaker.allows():
            clock.now += 0.5
        assert not breaker.allows()  # the trial is one caller's
        waited.append(clock.now - start)
    assert waited == [
        FIRST_PAUSE_SECONDS,
        2.0,
        4.0,
        8.0,
        MAX_PAUSE_SECONDS,
        MAX_PAUSE_SECONDS,
        MAX_PAUSE_SECONDS,
    ]
    breaker.worked()
    assert breaker.allows()
    assert breaker.is_closed


def test_a_trial_nobody_finished_is_given_to_the_next():
    clock = Clock()
    breaker = Breaker(clock)
    breaker.failed()
    clock.now += FIRST_PAUSE_SECONDS
    assert breaker.allows()
    clock.now += TRIAL_SECONDS
    assert breaker.allows()


def test_a_dead_redis_is_not_asked_at_every_request(use, clock, monkeypatch):
    store = use(f"redis://127.0.0.1:{free_port()}/0")
    with pytest.raises(StoreUnavailable):
        reason_in(store, "a")
    monkeypatch.setattr(store._client, "execute_command", None)  # whoever asked it would fail
    monkeypatch.setattr(store._connections, "execute", None)
    for _ in range(10):
        with pytest.raises(StoreUnavailable):
            reason_in(store, "a")


@pytest.mark.parametrize("stalls", [True, False], ids=["stalled", "read-only"])
def test_a_caller_that_renews_in_vain_waits_once(stalls, store, server, clock):
    """50 ms; an error that comes at once says nothing of the reading."""
    store.publish({"a": "kicked"})
    clock.now += LEASE_SECONDS / 3 * 1.1
    server.ask("PEXPIRE", store.key, 5000)  # so that it is due
    server.stall() if stalls else server.ask("REPLICAOF", "127.0.0.1", 1)
    try:
        if stalls:
            with pytest.raises(StoreUnavailable, match="a moment ago"):
                reason_in(store, "a")
            assert len(store._connections._idle) == 1, "the one that reads has not been used"
        else:
            assert reason_in(store, "a") == "kicked"
    finally:
        server.go_on() if stalls else server.ask("REPLICAOF", "NO", "ONE")
    assert store._reads.is_closed is not stalls


def test_the_lease_is_paced(store, log, clock):
    for _ in range(100):
        clock.now += 0.1
        store.keep_lease()
    assert len(log.readings) == 1  # the lease was long enough each time it was looked at


def test_a_stumble_while_publishing_is_not_the_end_of_it(store, server, monkeypatch):
    execute, calls = store._client.execute_command, []

    def stumble(*words):
        calls.append(words)
        if len(calls) == 1:
            raise TimeoutError("50 ms")
        return execute(*words)

    monkeypatch.setattr(store._client, "execute_command", stumble)
    store.publish({"a": "kicked"})
    assert reason_in(store, "a") == "kicked"


def test_a_write_that_failed_does_not_keep_the_lease_from_being_renewed(store, server, log, clock):
    server.ask("REPLICAOF", "127.0.0.1", 1)
    store.publish({"a": "kicked"})
    log.end("a")
    server.ask("REPLICAOF", "NO", "ONE")
    assert reason_in(store, "a") is None
    server.ask("PEXPIRE", store.key, 5000)
    clock.now += LEASE_SECONDS / 3 * 1.1
    assert reason_in(store, "a") == "kicked"


def test_a_connection_that_the_server_has_closed_is_made_anew(store, server):
    assert reason_in(store, "a") is None
    server.ask("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    assert reason_in(store, "a") is None
    assert store._reads.is_closed


@pytest.mark.parametrize("has_hiredis", [True, False])
def test_any_name_reaches_it_as_it_is_with_hiredis_and_without(has_hiredis, use, monkeypatch):
    with monkeypatch.context() as without:
        if not has_hiredis:
            without.setitem(sys.modules, "hiredis", None)
        store = use()
    odd = ["@a b", "@é\n\r\n$3", "@*3", "@", "@" + "ü" * 255]
    with suppress(StoreUnavailable):
        reason_in(store, "nobody")
    assert (store._connections._pack is not None) is has_hiredis
    marks = {name: f"{number}:kicked" for number, name in enumerate(odd, 1)}
    store.publish(marks)
    assert store.entries(odd) == list(marks.values())
    with pytest.raises(ValueError, match="surrogates"):
        store.entries(["@\ud800"])
    assert store.entries(odd) == list(marks.values())


def test_a_late_answer_is_never_taken_for_the_next(store, server, clock):
    store.publish({"a": "kicked"})
    assert reason_in(store, "a") == "kicked"
    server.stall()
    try:
        with pytest.raises(StoreUnavailable):
            reason_in(store, "a")
    finally:
        server.go_on()
    clock.now += FIRST_PAUSE_SECONDS
    assert reason_in(store, "b") is None
    assert reason_in(store, "a") == "kicked"


def test_no_two_threads_talk_on_one_connection_at_once(use, monkeypatch):
    monkeypatch.setattr(redis_connection, "TIMEOUT_SECONDS", 10)  # so many threads, and so few cores
    store = use()
    store.keep_lease()
    told, begin = [], Barrier(150)  # more than redis-py lets a pool have

    def ask():
        begin.wait()
        told.extend(reason_in(store, "a") for _ in range(20))

    together(ask, 150)
    assert told == [None] * 3000
    assert store._reads.is_closed


def test_a_thread_leaves_its_connection_to_the_next(store, server):
    def made():
        return server.ask("INFO", "stats")["total_connections_received"]

    before = made()
    for _ in range(150):  # as under ASGI, where each request has a thread
        together(lambda: reason_in(store, "a"), 1)
    assert made() - before == 1  # the one that asks this


def test_a_forked_child_does_not_talk_on_its_parents_connection(store):
    store.publish({"a": "kicked"})
    assert reason_in(store, "b") is None
    child = os.fork()
    if child == 0:
        try:
            told = [reason_in(store, sid) for sid in "ab" * 50]
            os._exit(0 if told == ["kicked", None] * 50 else 2)
        finally:
            os._exit(1)
    told = [reason_in(store, sid) for sid in "ba" * 50]
    assert told == [None, "kicked"] * 50
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


# --- marks


def test_a_mark_gives_way_to_a_later_one_and_to_no_earlier(store, server):
    store.publish({"*": "12:kicked"})
    store.publish({"*": "9:logout"})
    assert reason_in(store, "*") == "12:kicked"
    store.publish({"*": "100:logout"})
    assert reason_in(store, "*") == "100:logout"
    store.publish({"@some body": "7:kicked"})
    assert reason_in(store, "@some body") == "7:kicked"
    assert server.ask("HGET", store.key, "last") == "3"


def test_what_becomes_of_an_old_mark_does_not_touch_the_later_one(store, server, clock):
    store.publish({"*": "12:kicked"})
    store.publish({"*": "13:kicked", "@some body": "14:kicked"})
    now = int(server.ask("TIME")[0])
    old = now - int(window().total_seconds()) - 5
    server.ask("HSET", store.key, "#1", f"{old} 12:kicked *", "#3", f"{old} 14:kicked @some body")
    server.ask("PEXPIRE", store.key, 5000)
    clock.now += LEASE_SECONDS
    store.keep_lease()
    assert reason_in(store, "*") == "13:kicked"
    assert server.ask("HGET", store.key, "first") == "2"
    server.ask("HSET", store.key, "#2", f"{old} 13:kicked *")
    server.ask("PEXPIRE", store.key, 5000)
    clock.now += LEASE_SECONDS
    store.keep_lease()
    assert (reason_in(store, "*"), reason_in(store, "@some body")) == (None, None)


def test_a_copy_fed_from_redis_is_told_of_marks(store):
    store.publish({"@some body": "12:kicked", "*": "9:kicked", "!kid": ""})
    assert store.feed().read().ended == {"@some body": "12:kicked", "*": "9:kicked", "!kid": ""}


@pytest.mark.parametrize(("name", "told"), [("*", "x:kicked"), ("@7", ""), ("*", "7"), ("*", "-:x")])
def test_what_is_no_mark_is_nothing_we_have_written(store, server, log, name, told):
    """A copy then reads the log itself; whoever asks Redis asks the database (``gate.revocation``)."""
    log.end("a")
    server.ask("HSET", store.key, name, told, "#1", f"1 {told} {name}", "last", 1)
    server.ask("HINCRBY", store.key, "fields", 2)  # by somebody who keeps the count
    found = store.feed().read()
    assert (name in found.ended, "a" in found.ended) == (told == "7", told != "7")


# --- a hash that is not what was written, and clocks that are not to be trusted


def redis_now(server):
    """Milliseconds."""
    seconds, microseconds = map(int, server.ask("TIME"))
    return seconds * 1000 + microseconds // 1000


def move_lease(store, server, seconds):
    """As a clock does that is put back by so much."""
    ends, owner = server.ask("HGET", store.key, "lease").split()
    server.ask("HSET", store.key, "lease", f"{int(ends) + seconds * 1000} {owner}")
    server.ask("PEXPIRE", store.key, server.ask("PTTL", store.key) + seconds * 1000)


def is_whole(store, server):
    return server.ask("HLEN", store.key) == int(server.ask("HGET", store.key, "fields")) + 1


@pytest.fixture(params=["clock", "expiry", "no expiry", "content"])
def outlast(request, store, server):
    """Make the lease seem to go on for longer than a lease lasts."""
    ways = {
        "clock": lambda: move_lease(store, server, 290),
        "expiry": lambda: server.ask("EXPIRE", store.key, 60),
        "no expiry": lambda: server.ask("PERSIST", store.key),
        "content": lambda: server.ask("HSET", store.key, "lease", f"{redis_now(server) + 10_500} x"),
    }
    return ways[request.param]


def test_a_lease_longer_than_a_lease_is_none(store, server, log, clock, outlast):
    """The clock of Redis was put back, or somebody has made the hash live on; and a line was not written."""
    log.end("lost")
    feed = store.feed()
    outlast()
    with pytest.raises(StoreUnavailable):
        reason_in(store, "lost")
    assert feed.read().ended == {"lost": "kicked"}  # from the log
    clock.now += RETRY_SECONDS
    assert reason_in(store, "lost") == "kicked"
    assert 0 < server.ask("PTTL", store.key) <= LEASE_SECONDS * 1000


def test_who_keeps_the_hash_alive_does_not_keep_the_lease(store, server, log, clock):
    log.end("lost")
    server.ask("HSET", store.key, "lease", f"{redis_now(server) - 1} x")
    server.ask("PEXPIRE", store.key, 9000)
    with pytest.raises(StoreUnavailable):
        reason_in(store, "lost")
    clock.now += RETRY_SECONDS
    assert reason_in(store, "lost") == "kicked"


def test_a_worker_whose_leases_are_longer_lends_them_to_nobody_else(use, monkeypatch, clock, log):
    other, store = use(), use()
    monkeypatch.setattr("authx.gate.revocation.redis_store.LEASE_SECONDS", 60.0)
    assert reason_in(other, "a") is None
    monkeypatch.undo()
    log.end("a")
    other.key = None
    store.keep_lease()
    assert reason_in(store, "a") == "kicked"


@pytest.mark.parametrize("seconds", [-1, LOCK_SECONDS + 1, 290])
def test_a_lock_that_has_run_out_or_lies_too_far_ahead_is_none(store, server, clock, log, seconds):
    log.end("a")
    server.ask("HSET", store.key, "lock", f"{redis_now(server) + int(seconds * 1000)} dead")
    server.ask("HINCRBY", store.key, "fields", 1)
    server.ask("PEXPIRE", store.key, 5000)
    clock.now += LEASE_SECONDS / 3 * 1.1
    assert reason_in(store, "a") == "kicked"


def test_a_process_believes_no_lease_for_longer_than_one_lasts(store, server, log, clock):
    """Whatever the clock of Redis does: here it stands still."""
    log.end("lost")
    for _ in range(9):
        clock.now += LEASE_SECONDS / 10
        assert reason_in(store, "lost") is None
    clock.now += LEASE_SECONDS / 10 + 0.01
    with pytest.raises(StoreUnavailable):
        reason_in(store, "lost")
    clock.now += RETRY_SECONDS
    assert reason_in(store, "lost") == "kicked"
    clock.now += LEASE_SECONDS - 1
    assert reason_in(store, "lost") == "kicked"


def test_a_lease_that_others_renew_is_believed(store, use, server, clock):
    other = use()
    for _ in range(5):
        server.ask("PEXPIRE", store.key, 5000)
        clock.now += LEASE_SECONDS / 3 * 1.1
        other.keep_lease()
        assert reason_in(store, "a") is None


FIELDS = ["a", "@7", "*", "#1", "#3", "first", "last", "epoch", "upto", "lease", "fields"]


@pytest.mark.parametrize("field", FIELDS)
def test_whatever_is_deleted_is_noticed_and_written_again(field, store, server, log, clock):
    endings = {"a": "kicked", "@7": "3:kicked", "*": "4:kicked"}
    for sid, reason in endings.items():
        log.end(sid, reason=reason)
    store.publish(endings)
    feed = store.feed()
    assert feed.read().ended == endings
    server.ask("HDEL", store.key, field)
    with pytest.raises(StoreUnavailable):
        store.entries(endings)
    store.publish({"b": "kicked"})  # which does not make up for it
    with pytest.raises(StoreUnavailable):
        store.entries(endings)
    clock.now += RETRY_SECONDS
    assert store.entries(endings) == list(endings.values())
    found = feed.read()
    assert (found.ended, found.whole) == (endings, True)
    assert is_whole(store, server)


def test_a_line_deleted_during_a_reading_gives_no_lease(store, server, log, clock):
    log.end("a", "b")
    store.publish({"a": "kicked"})
    server.ask("PEXPIRE", store.key, 5000)
    clock.now += LEASE_SECONDS / 3 * 1.1
    log.meanwhile = lambda: server.ask("HDEL", store.key, "a")
    with pytest.raises(StoreUnavailable):
        reason_in(store, "a")
    log.meanwhile = lambda: None
    clock.now += RETRY_SECONDS
    assert store.entries("ab") == ["kicked", "kicked"]


def test_nobody_who_has_ended_is_told_to_live_whatever_is_deleted_when(store, server, log, clock):
    drawn, ended, known = Random(11), [], 0
    for number in range(300):
        sid = f"sid-{number}"
        log.end(sid)
        ended.append(sid)
        store.publish({sid: "kicked", "*": f"{number}:kicked"})
        clock.now += RETRY_SECONDS
        if drawn.random() < 0.5:
            fields = server.ask("HKEYS", store.key)
            server.ask("HDEL", store.key, *drawn.sample(fields, min(len(fields), drawn.randint(1, 4))))
        with suppress(StoreUnavailable):
            assert store.entries(ended) == ["kicked"] * len(ended)
            known += 1
    assert known > 100


def test_the_count_is_kept_whatever_is_written(store, server, log, clock):
    drawn = Random(7)
    for number in range(200):
        name = drawn.choice(["*", "@7", f"sid-{drawn.randrange(50)}"])
        told = f"{drawn.randrange(30)}:kicked" if name[0] in "*@" else "kicked"
        if drawn.random() < 0.3:
            log.end(name, reason=told)
        store.publish({name: told, f"sid-{number}": "kicked"})
        if drawn.random() < 0.2:  # the first lines no longer matter
            first = int(server.ask("HGET", store.key, "first"))
            for line in range(first, first + 3):
                entry = server.ask("HGET", store.key, f"#{line}")
                if entry is not None:
                    server.ask("HSET", store.key, f"#{line}", "1 " + entry.split(" ", 1)[1])
        server.ask("PEXPIRE", store.key, 5000)
        clock.now += LEASE_SECONDS / 3 * 1.1
        store.keep_lease()
        assert is_whole(store, server)
    assert int(server.ask("HGET", store.key, "first")) > 20


def test_another_kind_of_key_in_its_place_gives_way(store, server, log, clock):
    log.end("a")
    server.ask("SET", store.key, "somebody's", "PX", 60_000)
    with pytest.raises(StoreUnavailable):
        reason_in(store, "a")
    clock.now += LEASE_SECONDS
    assert reason_in(store, "a") == "kicked"


def test_numbers_without_lines_keep_no_reader_busy(store, server, log):
    log.end("a")
    server.ask("HSET", store.key, "last", 10**15)
    assert store.feed().read().ended == {"a": "kicked"}  # from the log


@pytest.mark.parametrize("wrong", ["redis", "calendar"])
def test_one_clock_that_runs_ahead_throws_nothing_away(wrong, use, server, log, clock):
    """Redis's alone, or one worker's: the endings before it went wrong still matter."""
    past = window().total_seconds() + 60
    now = redis_now(server) / 1000
    if wrong == "redis":  # all of its times are that much later than the worker's
        store = writer = use()
        store._calendar = lambda: now - past
    else:
        store, writer = use(), use()
        store._calendar = lambda: now + past
    store.keep_lease()
    writer.publish({"a": "kicked"})
    if wrong == "redis":
        server.ask("HSET", store.key, "#1", f"{int(now - past)} kicked a")  # before its clock went wrong
    server.ask("PEXPIRE", store.key, 5000)
    clock.now += LEASE_SECONDS
    store.keep_lease()
    assert reason_in(writer, "a") == "kicked"


def test_a_line_written_while_the_clock_of_redis_was_behind_is_kept(store, server, clock):
    now = redis_now(server) // 1000
    store._calendar = lambda: now + 7200
    store.publish({"a": "kicked"})
    assert server.ask("HGET", store.key, "#1") == f"{now + 7200} kicked a"


@pytest.mark.parametrize("lost", ["SCRIPT FLUSH", "a restart"])
def test_a_server_that_knows_no_script_is_sent_it_again(lost, use, log):
    log.end("a")
    with RedisServer() as own:
        store = use(own.location)
        assert reason_in(store, "a") == "kicked"
        if lost == "a restart":
            own.kill()
            own.start()
            store._renew_at = float("-inf")  # now, and not when it is due
        else:
            own.ask("SCRIPT", "FLUSH")
        assert reason_in(store, "a") == "kicked"
        assert reason_in(store, "b") is None
        assert store._reads.is_closed


def test_a_question_is_one_command(store, server, monkeypatch):
    from redis.connection import AbstractConnection

    def sent():
        return server.ask("INFO", "commandstats")["cmdstat_evalsha"]["calls"]

    def send(connection, *command, **options):
        writes.append(get_ident())
        return send_packed_command(connection, *command, **options)

    reason_in(store, "a")  # on a connection that stays
    before, writes, send_packed_command = sent(), [], AbstractConnection.send_packed_command
    with monkeypatch.context() as patch:
        patch.setattr(AbstractConnection, "send_packed_command", send)
        for _ in range(50):
            reason_in(store, "a")
    assert sent() - before == 50
    assert writes.count(get_ident()) == 50  # other threads may follow the endings
