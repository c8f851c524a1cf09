"""The rules that can be asked for by name."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.rotation_simulation.rivals import CounterAlone, MintingGrace, Strict
from benchmarks.rotation_simulation.server import Authx, Server, Settings

SERVERS: dict[str, Callable[[Settings], Server]] = {
    "strict": Strict,
    "minting grace": MintingGrace,
    "counter alone": CounterAlone,
    "authx": Authx,
}
