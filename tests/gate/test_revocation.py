"""authx.gate.revocation.sources: what one thread publishes while others make their copies."""

from __future__ import annotations

import sys
import threading

import pytest

from authx.gate.revocation import sources
from authx.gate.revocation.local_copy import LocalCopy
from authx.store.revocation_log import EndedLog


@pytest.fixture(autouse=True)
def no_copies():
    sources._copies.clear()
    yield
    sources._copies.clear()


class Slow(LocalCopy):
    """While it takes over an ending another thread makes the process's first copy for another store."""

    def add(self, ended):
        thread = threading.Thread(target=sources.copy_of, args=["database"])
        thread.start()
        thread.join()
        super().add(ended)


def test_publishing_reaches_all_copies_while_another_is_made():
    slow = sources._copies["redis", "default"] = Slow(EndedLog(), keep=lambda: 60.0)
    sources.publish({"a": "kicked"})
    assert set(sources._copies) == {("redis", "default"), ("database", "default")}
    assert slow._ended == {"a": "kicked"}


def test_publishing_survives_copies_that_come_and_go(settings):
    """As where a setting changes: the copies are forgotten, and made again by whoever asks."""
    settings.AUTHX_REVOCATION_STORE = "database"
    raised, over = [], threading.Event()

    def publish():
        try:
            while not over.is_set():
                sources.publish({"a": "kicked"})
        except Exception as error:
            raised.append(error)

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    threads = [threading.Thread(target=publish) for _ in range(3)]
    try:
        for thread in threads:
            thread.start()
        for _ in range(2000):
            sources.copy_of("database")
            sources._drop()
    finally:
        over.set()
        for thread in threads:
            thread.join()
        sys.setswitchinterval(before)
    assert raised == []
