"""What is done when a request has been answered: by one receiver, for Django takes a microsecond for each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.core.signals import request_finished

Step = Callable[[], Any]

_steps: tuple[Step, ...] = ()


def after_request(step: Step) -> None:
    """Call ``step`` whenever a request has been answered, on its thread, after those that were given before.

    Given twice, it is called once.
    """
    global _steps
    if step not in _steps:
        _steps = (*_steps, step)


def _take_steps(**kwargs: Any) -> None:
    for step in _steps:
        step()


request_finished.connect(_take_steps, dispatch_uid="authx.store.after_request", weak=False)
