"""What several tests of sessions ask for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest


@pytest.fixture
def heard() -> Iterator[list[str]]:
    """The alarms that were announced, in their order."""
    from authx.signals import session_flagged  # not before Django is set up

    told: list[str] = []

    def hear(sender: Any, session: Any, alarm: str, **kwargs: Any) -> None:
        told.append(alarm)

    session_flagged.connect(hear)
    yield told
    session_flagged.disconnect(hear)
