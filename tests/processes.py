"""Programs that a test starts: where they may listen, whether they are up, and how they end."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from random import SystemRandom
from typing import Any

#: Seconds that anything may take to come up or to end.
DEADLINE = 30.0


#: Below those that systems give to outgoing connections, one of which might get the port first.
_PORTS = range(12_000, 32_000)
_random = SystemRandom()


def free_port() -> int:
    """Return a port at which nothing listens; another at each call, mostly."""
    while True:
        port = _random.choice(_PORTS)
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


def answers(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def wait_for(is_true: Callable[[], Any], *, seconds: float = DEADLINE) -> None:
    """Return once ``is_true()`` is; fails the test after so many seconds."""
    deadline = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < deadline, f"{is_true} did not come true in {seconds} s"
        time.sleep(0.01)


def wait_until_up(process: subprocess.Popen[Any], port: int, log: Path) -> None:
    """Return once it answers at ``port``; the test fails with the log where it ends instead."""
    wait_for(lambda: answers(port) or process.poll() is not None)
    assert process.poll() is None, log.read_text()


def stop(process: subprocess.Popen[Any]) -> None:
    """Have it end; one that does not, when asked to, fails the test and is killed."""
    process.terminate()
    try:
        process.wait(DEADLINE)
    finally:
        process.kill()
