"""How many logins there were, by where they came from and how they ended."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from authx import metrics
from authx.errors import AuthxError
from authx.sessions.ports import request_door

P = ParamSpec("P")
T = TypeVar("T")


def count_login(came_with: Any, adopted_from: object, outcome: str) -> None:
    """Count a login that ``came_with`` a request or None, or that takes over a Django session."""
    if metrics.is_on():
        door = "adoption" if adopted_from is not None else request_door.provider(came_with)
        metrics.LOGINS.count(door=door, outcome=outcome)


def count_refused(opening: Callable[P, T]) -> Callable[P, T]:
    """Count each login for which ``opening``, which takes what ``open_session`` does, opens nothing."""

    @wraps(opening)
    def counted(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return opening(*args, **kwargs)
        except AuthxError as error:
            came_with = kwargs.get("request", args[1] if len(args) > 1 else None)
            count_login(came_with, kwargs.get("adopted_from"), error.code)
            raise

    return counted
