"""authx.gate.revocation.local_copy: of known age, read by one for all, bounded."""

import os
import sys
import threading

import pytest

from authx.errors import StoreUnavailable
from authx.gate.background import in_a_thread
from authx.gate.revocation import local_copy
from authx.gate.revocation.local_copy import (
    FIRST_REST_SECONDS,
    MAX_REST_SECONDS,
    REREAD_AFTER_SECONDS,
    LocalCopy,
    TooManyEndings,
)
from authx.gate.revocation.window import PAUSE_SECONDS, Endings

KEEP = 4500.0


class Clock:
    """Seconds that pass when told."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


class Store:
    """A feed of endings that counts its readings, and can fail or be held up."""

    def __init__(self):
        self.ended, self.fresh, self.readings, self.whole = {}, {}, 0, True
        self.down, self.meanwhile = False, lambda: None
        self.held = threading.Event()
        self.held.set()
        self.reached = threading.Event()

    def end(self, sid, reason="kicked"):
        self.ended[sid] = self.fresh[sid] = reason

    def read(self):
        self.reached.set()
        assert self.held.wait(5)
        self.readings += 1
        if self.down:
            raise StoreUnavailable("down")
        told = dict(self.ended if self.whole else self.fresh)
        self.fresh, whole, self.whole = {}, self.whole, False
        self.meanwhile()
        return Endings(told, None, whole)

    def begin_again(self):
        self.whole = True


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def store():
    return Store()


@pytest.fixture
def copy(store, clock):
    return LocalCopy(store, clock, keep=lambda: KEEP)


def hang(store, clock):
    """Let its readings fail, each after three seconds."""
    read = store.read

    def slow():
        clock.now += 3
        return read()

    store.read, store.down = slow, True


def ask(copy, sid="a", lag=1.0):
    return copy.entries([sid], lag=lag)[0]


def test_it_is_read_when_first_asked_and_not_again_within_half_the_lag(copy, store, clock):
    store.end("a")
    assert ask(copy) == "kicked"
    assert ask(copy, "b") is None
    clock.now += 0.5
    ask(copy)
    assert store.readings == 1


def test_an_ending_is_seen_within_the_lag(copy, store, clock):
    assert ask(copy) is None
    store.end("a")
    clock.now += 1.01
    assert ask(copy) == "kicked"


def test_age_counts_from_the_start_of_a_reading(copy, store, clock):
    read = store.read

    def slow():
        found = read()
        clock.now += 0.9
        return found

    store.read = slow
    ask(copy)
    store.end("a")  # after the reading, which took 0.9 s
    store.read = read
    clock.now += 0.2
    assert ask(copy) == "kicked"


def test_one_reads_for_all_and_the_others_go_on_with_a_good_copy(copy, store, clock):
    ask(copy)
    clock.now += 0.7  # half as old as it may get, and more
    store.held.clear()
    store.reached.clear()
    reader = threading.Thread(target=ask, args=(copy,))
    reader.start()
    assert store.reached.wait(5)
    assert ask(copy) is None  # does not wait
    store.held.set()
    reader.join()
    assert store.readings == 2


def test_who_finds_it_too_old_waits_for_the_reading(copy, store, clock):
    ask(copy)
    clock.now += 5
    store.held.clear()
    store.reached.clear()
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(ask(copy))) for _ in range(8)]
    threads[0].start()
    assert store.reached.wait(5)
    for thread in threads[1:]:
        thread.start()
    store.end("a")
    assert answers == []
    store.held.set()
    for thread in threads:
        thread.join()
    assert answers == ["kicked"] * 8
    assert store.readings == 2


def test_a_reading_that_fails_is_no_matter_while_the_copy_is_good(copy, store, clock):
    ask(copy)
    store.down = True
    clock.now += 0.9
    assert ask(copy) is None


def test_a_copy_too_old_is_never_served(copy, store, clock):
    ask(copy)
    store.down = True
    clock.now += 1.01
    with pytest.raises(StoreUnavailable):
        ask(copy)


def test_after_a_failure_nobody_tries_for_a_moment(copy, store, clock):
    store.down = True
    for _ in range(5):
        with pytest.raises(StoreUnavailable):
            ask(copy)
    assert store.readings == 1
    clock.now += FIRST_REST_SECONDS + 0.01
    store.down = False
    assert ask(copy) is None
    assert store.readings == 2


def test_who_goes_on_failing_is_tried_ever_more_seldom(copy, store, clock):
    store.down = True
    for _ in range(1000):
        clock.now += 0.1
        with pytest.raises(StoreUnavailable):
            ask(copy)
    assert store.readings <= 5 + 100 / MAX_REST_SECONDS + 1
    store.down = False
    clock.now += MAX_REST_SECONDS
    assert ask(copy) is None


def test_a_rest_counts_from_the_end_of_a_reading_that_hung(copy, store, clock):
    ask(copy)
    hang(store, clock)
    clock.now += 1.1
    with pytest.raises(StoreUnavailable):
        ask(copy)
    readings = store.readings
    clock.now += FIRST_REST_SECONDS / 2
    with pytest.raises(StoreUnavailable):
        ask(copy)
    assert store.readings == readings


def test_a_copy_that_got_too_old_while_it_was_read_in_vain_is_not_served(copy, store, clock):
    """Good when it was asked, half as old as it may get; and the reading took its time to fail."""
    ask(copy)
    hang(store, clock)
    clock.now += 0.9
    with pytest.raises(StoreUnavailable):
        ask(copy)


def test_a_reading_in_a_thread_keeps_nobody_waiting(store, clock):
    work = []
    copy = LocalCopy(store, clock, keep=lambda: KEEP, run_in_background=work.append)
    assert ask(copy) is None  # the first has to wait
    assert work == []
    store.end("a")
    clock.now += 0.9
    assert ask(copy) is None
    assert ask(copy) is None  # one at a time
    assert (len(work), store.readings) == (1, 1)
    work.pop()()
    assert ask(copy) == "kicked"
    assert (work, store.readings) == ([], 2)


def test_where_no_thread_can_be_had_the_reading_goes_on_all_the_same(store, clock, monkeypatch):
    def refuse(thread):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    copy = LocalCopy(store, clock, keep=lambda: KEEP, run_in_background=in_a_thread)
    ask(copy)
    store.end("a")
    clock.now += 0.9
    assert ask(copy) == "kicked"


def test_nobody_waits_for_who_has_failed_a_moment_ago(store, clock):
    work = []
    copy = LocalCopy(store, clock, keep=lambda: KEEP, run_in_background=work.append)
    ask(copy)
    store.down = True
    clock.now += 1.1
    with pytest.raises(StoreUnavailable):
        ask(copy)  # this one has
    clock.now += FIRST_REST_SECONDS
    with pytest.raises(StoreUnavailable):
        ask(copy)
    with pytest.raises(StoreUnavailable):
        ask(copy)
    assert (len(work), store.readings) == (1, 2)
    store.down = False
    work.pop()()
    assert ask(copy) is None


def test_what_this_process_ends_it_knows_at_once(copy, store):
    ask(copy)
    copy.add({"a": "logout"})
    assert ask(copy) == "logout"


def test_an_ending_is_forgotten_when_no_token_is_left(copy, store, clock):
    ask(copy)
    store.end("a")
    clock.now += 1
    ask(copy)
    for _ in range(int(KEEP / 500)):
        clock.now += 499
        assert ask(copy) == "kicked"
        assert len(copy) == 1
    store.ended.clear()
    clock.now += 499
    ask(copy)
    assert len(copy) == 0


def test_a_copy_left_alone_for_long_is_read_anew(copy, store, clock):
    store.end("a")
    ask(copy)
    store.ended.clear()
    clock.now += REREAD_AFTER_SECONDS + 1
    assert ask(copy) is None


def test_too_many_endings_are_not_kept(copy, store, clock, monkeypatch):
    monkeypatch.setattr(local_copy, "MAX_ENDINGS", 10)
    ask(copy)
    for number in range(20):
        store.end(f"s{number}")
        clock.now += 1
        try:
            ask(copy)
        except TooManyEndings:
            break
    else:
        pytest.fail("kept them all")
    readings = store.readings
    clock.now += PAUSE_SECONDS - 1
    with pytest.raises(TooManyEndings):
        ask(copy)
    assert (store.readings, len(copy)) == (readings, 0)


def test_a_store_that_names_too_many_is_given_up(copy, store, clock, monkeypatch):
    monkeypatch.setattr("authx.gate.revocation.window.MAX_ENDINGS", 10)
    for number in range(20):
        store.end(f"s{number}")
    with pytest.raises(TooManyEndings):
        ask(copy)
    store.ended = {"s1": "kicked"}
    clock.now += PAUSE_SECONDS + 1
    assert ask(copy, "s1") == "kicked"


def test_an_ending_of_this_process_outlives_a_whole_reading_that_missed_it(copy, store, clock):
    store.meanwhile = lambda: copy.add({"ours": "kicked"})
    assert ask(copy, "ours") == "kicked"
    store.meanwhile = lambda: None
    store.end("ours")
    clock.now += REREAD_AFTER_SECONDS + 1
    assert ask(copy, "ours") == "kicked"
    assert not copy._added


def test_a_forked_child_waits_for_no_thread_of_its_parent(copy, store):
    ask(copy)
    copy._copy.lock.acquire()
    copy._changing.acquire()
    child = os.fork()
    if child == 0:
        try:
            copy.add({"b": "kicked"})
            os._exit(0 if ask(copy) is None and store.readings == 2 else 2)
        finally:
            os._exit(1)
    copy._changing.release()
    copy._copy.lock.release()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_in_a_forked_child_nobody_listens_who_has_stayed_with_the_parent(copy):
    heard = []
    copy.listen(heard.append)
    child = os.fork()
    if child == 0:
        try:
            copy.add({"b": "kicked"})
            os._exit(0 if heard == [] else 2)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    copy.add({"a": "kicked"})
    assert heard == [{"a": "kicked"}]


# --- many threads


@pytest.fixture
def eager_threads():
    """Threads give way after nearly every step."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def at_once(*works):
    """Do each in a thread of its own; what they raise is raised here."""
    raised = []

    def guarded(work):
        try:
            work()
        except Exception as error:
            raised.append(error)

    threads = [threading.Thread(target=guarded, args=[work]) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert raised == []


def test_a_mark_never_gives_way_to_an_earlier_one_of_another_thread(copy, store, clock, eager_threads):
    """One that this process has just committed, while a reading tells of the next."""
    ask(copy)
    last, over = 10, threading.Event()

    def commit():
        while not over.is_set():
            copy.add({"*": f"{last - 1}:kicked"})

    def read():
        nonlocal last
        try:
            for last in range(10, 5000, 2):
                store.end("*", f"{last}:kicked")
                clock.now += 1
                assert ask(copy, "*") == f"{last}:kicked"
        finally:
            over.set()

    at_once(commit, commit, read)
