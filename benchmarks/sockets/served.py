"""The server under test: uvicorn in a process of its own, and what Linux says of that process."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.peers.contestants import BY_NAME, Place
from benchmarks.peers.place import free_port, wait_for
from benchmarks.peers.setup import environment

ROOT = Path(__file__).parents[2]
#: Without its pings, of which 2,000 sockets take a hundred in a second: the door has no part in them.
COMMAND = "uvicorn --host 127.0.0.1 --port {port} --lifespan off --log-level error --ws-ping-interval 100000"


class Server:
    """One process that serves both apps, ``/bare/`` and ``/door/``."""

    def __init__(self, name: str, place: Place) -> None:
        self.port = free_port()
        words = COMMAND.format(port=self.port).split()
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the process
        self._process = subprocess.Popen(
            [sys.executable, "-m", *words, "benchmarks.sockets.site:application"],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT), **environment(BY_NAME[name], place)},
            stdout=self._log,
            stderr=subprocess.STDOUT,
        )
        self._folder = Path("/proc", str(self._process.pid))

    def __enter__(self) -> Server:
        wait_for(self.port)
        return self

    def __exit__(self, *error: Any) -> None:
        """Stop it; sockets that are left do not hold it up, and what it has complained about is shown."""
        self._process.terminate()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        with self._log:
            self._log.seek(0)
            if said := self._log.read().decode(errors="replace"):
                print(said[-4000:], file=sys.stderr)

    @property
    def cpu(self) -> float:
        """Seconds of a core that it has taken, to 10 ms; of all its threads, also those that have gone."""
        fields = (self._folder / "stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    @property
    def memory(self) -> int:
        """Bytes of resident memory."""
        (line,) = (text for text in (self._folder / "status").open() if text.startswith("VmRSS:"))
        return int(line.split()[1]) * 1024
