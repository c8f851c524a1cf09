"""authx.core.freshness and authx.gate.shared_copy: one policy for all copies, and one who renews for all."""

import gc
import os
import threading
import time
import weakref
from dataclasses import replace

import pytest

from authx.core.freshness import NEVER, History, Policy, Verdict, is_usable, judge
from authx.errors import StoreUnavailable
from authx.gate.shared_copy import SharedCopy, drop_on_change

USE, BACKGROUND, WAIT, REFUSE = Verdict
POLICY = Policy(renew_after=10, wait_after=60, refuse_after=100, rest=2, max_rest=8, failing_for=50)
READ = History(read_at=1000.0, tried_at=1000.0)


def failed(at, *, failures=1, read_at=1000.0):
    return replace(READ, read_at=read_at, tried_at=at, failed_at=at, failures=failures)


@pytest.mark.parametrize(
    ("history", "now", "verdict"),
    [
        (READ, 1010, USE),
        (READ, 1010.1, BACKGROUND),
        (READ, 1060, BACKGROUND),
        (READ, 1060.1, WAIT),
        (History(), 1000, WAIT),
        (READ, 999, WAIT),  # the clock was put back
        (failed(1070), 1071.9, USE),  # rests
        (failed(1070), 1072, BACKGROUND),  # nobody waits for it
        (failed(1070), 1120, WAIT),  # long ago
        (failed(1100), 1101, REFUSE),  # too old, and cannot be renewed now
        (failed(1070, read_at=NEVER), 1071, REFUSE),
        (failed(1070, read_at=NEVER), 1072, BACKGROUND),
        (failed(1070, failures=3), 1077.9, USE),  # 2, 4, 8 seconds
        (failed(1070, failures=30), 1078, BACKGROUND),
        (replace(failed(1070), is_trying=True), 1075, BACKGROUND),
    ],
)
def test_a_copy_is_used_renewed_waited_for_or_refused(history, now, verdict):
    assert judge(history, POLICY, now) is verdict


def test_who_lacks_something_waits_however_fresh_the_copy():
    assert judge(READ, POLICY, 1001, is_missing=True) is WAIT
    assert judge(failed(1001), POLICY, 1004, is_missing=True) is BACKGROUND


def test_what_is_missing_is_looked_for_once_per_cool_down_and_waited_for_while_somebody_looks():
    policy = replace(POLICY, missing_cool_down=0.5)
    missed = READ.missed(1001.0)
    assert judge(missed, policy, 1001.4, is_missing=True) is USE
    assert judge(missed, policy, 1001.5, is_missing=True) is WAIT
    assert judge(replace(missed, is_trying=True), policy, 1001.4, is_missing=True) is WAIT
    assert judge(READ, replace(policy, cool_down=2), 1001.4, is_missing=True) is USE


def test_a_reading_that_started_after_the_question_serves_it_whatever_it_took():
    assert is_usable(READ, POLICY, 1200, asked_at=1000)
    assert not is_usable(READ, POLICY, 1200, asked_at=1000.1)
    assert not is_usable(History(), POLICY, 1200, asked_at=NEVER)


class Source:
    """Counts its readings; can fail, or hold them up."""

    def __init__(self):
        self.now, self.readings, self.error = 1000.0, 0, None
        self.meanwhile = lambda: None
        self.reached, self.go_on = threading.Event(), threading.Event()
        self.go_on.set()

    def clock(self):
        return self.now

    def read(self, now):
        self.reached.set()
        assert self.go_on.wait(10)
        self.readings += 1
        self.meanwhile()
        if self.error is not None:
            raise self.error


@pytest.fixture
def source():
    return Source()


@pytest.fixture
def copy(source):
    return SharedCopy(source.read, clock=source.clock)


def test_all_wait_for_the_one_reading(source, copy):
    source.go_on.clear()
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(copy.ensure_fresh(POLICY))) for _ in range(8)]
    for thread in threads:
        thread.start()
    assert source.reached.wait(10)
    source.go_on.set()
    for thread in threads:
        thread.join(10)
    assert (answers, source.readings) == ([True] * 8, 1)


def test_who_has_waited_for_a_failure_does_not_try_again(source, copy):
    source.error = StoreUnavailable("down")
    source.go_on.clear()
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(copy.ensure_fresh(POLICY))) for _ in range(8)]
    for thread in threads:
        thread.start()
    assert source.reached.wait(10)
    source.go_on.set()
    for thread in threads:
        thread.join(10)
    assert (answers, source.readings) == ([False] * 8, 1)


def test_an_error_that_is_no_outage_reaches_the_caller_and_leaves_the_copy_to_the_next(source, copy):
    source.error = ZeroDivisionError()
    with pytest.raises(ZeroDivisionError):
        copy.ensure_fresh(POLICY)
    source.error = None
    assert copy.ensure_fresh(POLICY)


def test_a_reading_may_say_that_nothing_is_kept(source, copy):
    source.meanwhile = copy.forget
    assert not copy.ensure_fresh(POLICY)
    assert copy.history.read_at == NEVER


def test_what_is_no_longer_missing_when_the_turn_comes_is_not_looked_for(source, copy):
    assert copy.ensure_fresh(POLICY)
    source.now += 1
    assert copy.ensure_fresh(POLICY, is_missing=lambda: False)
    assert source.readings == 1


def test_a_fork_leaves_the_lock_and_the_try_of_its_parent(source, copy):
    copy.ensure_fresh(POLICY)
    copy.history = copy.history.started(1001.0)
    with copy.lock:
        child = os.fork()
        if child == 0:
            try:
                source.now += 61
                os._exit(0 if copy.ensure_fresh(POLICY) and not copy.history.is_trying else 2)
            finally:
                os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_who_keeps_a_copy_goes_without_the_garbage_collector():
    """With its connections, at once."""

    class Owner(Source):
        def __init__(self):
            super().__init__()
            self.copy = SharedCopy(self.read, clock=time.monotonic, after_fork=self.go_on.set)

    owner = Owner()
    assert owner.copy.ensure_fresh(POLICY)
    gone, copy = weakref.ref(owner), owner.copy
    gc.disable()
    try:
        del owner
        assert gone() is None
    finally:
        gc.enable()
    copy.reload()  # nobody is there to read
    copy.after_fork()


def test_what_is_built_from_a_setting_is_dropped_when_it_changes(settings):
    dropped = []
    drop_on_change(lambda: dropped.append(True), "AUTHX_JWKS_URL")
    settings.AUTHX_ISSUER = "https://elsewhere.example"
    assert dropped == []
    settings.AUTHX_JWKS_URL = "https://elsewhere.example/jwks.json"
    assert dropped == [True]
