"""The way from a metric to the site's meter, which never fails a request."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from threading import RLock
from typing import Any, Final, Literal

from django.utils.module_loading import import_string

from authx import clocks
from authx.conf import conf
from authx.metrics.metric import Metric

logger = logging.getLogger("authx")

#: Seconds between two complaints about a meter that fails.
COMPLAINT_SECONDS: Final = 60.0


class Reporter:
    """Makes the meters of a process, each once, and passes on what is counted."""

    def __init__(self, clock: Callable[[], float] = clocks.monotonic) -> None:
        self._clock = clock
        #: By their dotted paths; each is a ``kinds.Meter``.
        self._meters: dict[str, Any] = {}
        self._lock = RLock()
        self._complained_at = float("-inf")

    def meter(self, path: str) -> Any:
        """Return the meter at the dotted ``path``, made at the first call.

        Raises:
            Exception: whatever making it raises.
        """
        found = self._meters.get(path)
        if found is None:
            with self._lock:  # one that registers itself somewhere must not be made twice
                found = self._meters.get(path)
                if found is None:
                    found = self._meters[path] = import_string(path)()
        return found

    def report(self, how: str, metric: Metric, amount: float, labels: Mapping[str, str]) -> None:
        """Tell the meter; what goes wrong is logged, once a minute."""
        try:
            if (path := conf.METRICS) is not None:
                getattr(self.meter(path.path), how)(metric, amount, metric.known(labels))
        except Exception:  # the site's code
            self.complain(metric.name)

    def complain(self, what: str) -> None:
        """Log the error that is being handled, unless another was logged in the last minute."""
        now = self._clock()
        if now - self._complained_at >= COMPLAINT_SECONDS:
            self._complained_at = now
            logger.exception("AUTHX_METRICS has failed: %s.", what, extra={"event": "metrics_failed"})

    def after_fork(self) -> None:
        """Replace the lock that a thread of the parent may hold."""
        self._lock = RLock()


_reporter = Reporter()


def is_on() -> bool:
    """Return whether anything is counted."""
    return conf.METRICS is not None


def report(how: Literal["count", "change", "set"], metric: Metric, amount: float, labels: Any) -> None:
    """Tell the site's meter, if there is one."""
    if conf.METRICS is not None:
        _reporter.report(how, metric, amount, labels)


def begin() -> None:
    """Make the meter now, so that its counters are there before they count; never fails."""
    try:
        if (path := conf.METRICS) is not None:
            _reporter.meter(path.path)
    except Exception:  # the site's code
        _reporter.complain("it cannot be made")


os.register_at_fork(after_in_child=_reporter.after_fork)
