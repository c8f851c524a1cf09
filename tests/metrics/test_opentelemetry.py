"""authx.contrib.opentelemetry: what the SDK is told."""

import pytest

from authx import metrics
from authx.metrics import reporting
from authx.metrics.reporting import Reporter

sdk = pytest.importorskip("opentelemetry.sdk.metrics", reason="opentelemetry-sdk is not installed")
METER = "authx.contrib.opentelemetry.Meter"


@pytest.fixture
def reader(monkeypatch, settings):
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader

    from authx.contrib.opentelemetry import Meter

    reader = InMemoryMetricReader()
    provider = sdk.MeterProvider([reader], shutdown_on_exit=False)
    reporter = Reporter()
    reporter._meters[METER] = Meter(provider)
    monkeypatch.setattr(reporting, "_reporter", reporter)
    settings.AUTHX_METRICS = METER
    yield reader
    provider.shutdown()


def exported(reader):
    data = reader.get_metrics_data()
    return {
        (metric.name, *sorted(point.attributes.items())): point.value
        for resource in (data.resource_metrics if data else [])
        for scope in resource.scope_metrics
        for metric in scope.metrics
        for point in metric.data.data_points
    }


def test_what_is_counted_changed_and_set(reader):
    metrics.LOGINS.count(door="api", outcome="opened")
    metrics.LOGINS.count(door="api", outcome="opened")
    metrics.ENDINGS.count(5, reason="kicked")
    metrics.SOCKETS_OPEN.change(1)
    metrics.SOCKETS_OPEN.change(1)
    metrics.SOCKETS_OPEN.change(-1)
    metrics.COPY_READ_AT.set(100.5, copy="endings")
    metrics.BREAKER_OPEN.set(1, breaker="redis_reads")
    metrics.BREAKER_OPEN.set(0, breaker="redis_reads")
    assert exported(reader) == {
        ("authx.logins", ("authx.door", "api"), ("authx.outcome", "opened")): 2,
        ("authx.endings", ("authx.reason", "kicked")): 5,
        ("authx.sockets_open",): 1,
        ("authx.copy_read_timestamp", ("authx.copy", "endings")): 100.5,
        ("authx.breaker_open", ("authx.breaker", "redis_reads")): 0,
    }


def test_every_metric_can_be_told(reader):
    for metric in metrics.declared():
        for labels in metric.series():
            verb = {metrics.Counter: "count", metrics.Level: "change", metrics.Gauge: "set"}[type(metric)]
            getattr(metric, verb)(7, **labels)
    found = exported(reader)
    assert len(found) == sum(len(list(metric.series())) for metric in metrics.declared())
    assert set(found.values()) == {7}


def test_without_a_provider_nothing_happens_and_nothing_fails(monkeypatch, settings, caplog):
    monkeypatch.setattr(reporting, "_reporter", Reporter())
    settings.AUTHX_METRICS = METER
    metrics.begin()
    metrics.ENDINGS.count(reason="kicked")
    assert not caplog.records
