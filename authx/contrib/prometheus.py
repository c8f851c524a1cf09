"""The metrics of authx in prometheus-client: ``AUTHX_METRICS = "authx.contrib.prometheus.Meter"``.

They are registered once in a process, in the registry that prometheus-client's own views show, and where
PROMETHEUS_MULTIPROC_DIR is set they are added up over the processes (its multiprocess mode).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

import prometheus_client as prometheus

from authx import metrics

#: Before the name of each metric.
PREFIX: Final = "authx"

#: How processes are put together in multiprocess mode: those that live, and their newest copy.
_ADDED: Final = "livesum"
_NEWEST: Final = "livemax"


class Meter:
    """Tells prometheus-client what authx counts."""

    def __init__(self, registry: prometheus.CollectorRegistry = prometheus.REGISTRY) -> None:
        """Register all metrics in ``registry``; counters with at most one label begin at 0.

        An increase from nothing is none to Prometheus: the first reuse of a token would raise no alert.
        """
        self._counters: dict[str, prometheus.Counter] = {}
        self._gauges: dict[str, prometheus.Gauge] = {}
        for metric in metrics.declared():
            self._register(metric, registry)

    def count(self, metric: metrics.Counter, amount: int, labels: Mapping[str, str]) -> None:
        """Add ``amount`` to a counter."""
        counter = self._counters[metric.name]
        (counter.labels(**labels) if labels else counter).inc(amount)

    def change(self, metric: metrics.Level, amount: int, labels: Mapping[str, str]) -> None:
        """Add ``amount`` to how many there are now."""
        gauge = self._gauges[metric.name]
        (gauge.labels(**labels) if labels else gauge).inc(amount)

    def set(self, metric: metrics.Gauge, value: float, labels: Mapping[str, str]) -> None:
        """Set a value."""
        gauge = self._gauges[metric.name]
        (gauge.labels(**labels) if labels else gauge).set(value)

    def _register(self, metric: metrics.Metric, registry: prometheus.CollectorRegistry) -> None:
        arguments = (f"{PREFIX}_{metric.name}", metric.help, list(metric.labels))
        if not isinstance(metric, metrics.Counter):
            mode: Literal["livesum", "livemax"] = _NEWEST if metric is metrics.COPY_READ_AT else _ADDED
            gauge = prometheus.Gauge(*arguments, registry=registry, multiprocess_mode=mode)
            self._gauges[metric.name] = gauge
            return
        counter = prometheus.Counter(*arguments, registry=registry)
        self._counters[metric.name] = counter
        if len(metric.labels) == 1:  # without any it begins by itself
            for labels in metric.series():
                counter.labels(**labels)
