"""The metrics of authx in OpenTelemetry: ``AUTHX_METRICS = "authx.contrib.opentelemetry.Meter"``.

Only its API is used: which provider is told, and where that exports to, is what the site has set up.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from opentelemetry import metrics as opentelemetry

from authx import __version__, metrics

#: Before the name of each metric, and of each attribute.
PREFIX: Final = "authx"


class Meter:
    """Tells OpenTelemetry what authx counts."""

    def __init__(self, provider: opentelemetry.MeterProvider | None = None) -> None:
        """Make the instruments at ``provider``, the global one unless given; it may still be set later."""
        meter = opentelemetry.get_meter(PREFIX, __version__, meter_provider=provider)
        self._instruments: dict[str, Any] = {
            metric.name: _instrument(meter, metric) for metric in metrics.declared()
        }

    def count(self, metric: metrics.Counter, amount: int, labels: Mapping[str, str]) -> None:
        """Add ``amount`` to a counter."""
        self._instruments[metric.name].add(amount, _attributes(labels))

    def change(self, metric: metrics.Level, amount: int, labels: Mapping[str, str]) -> None:
        """Add ``amount`` to how many there are now."""
        self._instruments[metric.name].add(amount, _attributes(labels))

    def set(self, metric: metrics.Gauge, value: float, labels: Mapping[str, str]) -> None:
        """Set a value."""
        self._instruments[metric.name].set(value, _attributes(labels))


def _instrument(meter: opentelemetry.Meter, metric: metrics.Metric) -> Any:
    name = f"{PREFIX}.{metric.name.removesuffix('_seconds')}"
    unit = "s" if metric.name.endswith("_seconds") else "1"
    if isinstance(metric, metrics.Counter):
        return meter.create_counter(name, unit, metric.help)
    if isinstance(metric, metrics.Level):
        return meter.create_up_down_counter(name, unit, metric.help)
    return meter.create_gauge(name, unit, metric.help)


def _attributes(labels: Mapping[str, str]) -> dict[str, str]:
    return {f"{PREFIX}.{name}": value for name, value in labels.items()}
