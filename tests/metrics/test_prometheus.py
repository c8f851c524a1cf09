"""authx.contrib.prometheus: what a Prometheus server is shown, by one process and by several."""

import os
import subprocess
import sys

import pytest

from authx import metrics
from authx.metrics import reporting
from authx.metrics.reporting import Reporter

prometheus = pytest.importorskip("prometheus_client", reason="prometheus-client is not installed")
METER = "authx.contrib.prometheus.Meter"


@pytest.fixture
def registry():
    return prometheus.CollectorRegistry()


@pytest.fixture
def meter(registry, monkeypatch, settings):
    from authx.contrib.prometheus import Meter

    reporter = Reporter()
    reporter._meters[METER] = Meter(registry)
    monkeypatch.setattr(reporting, "_reporter", reporter)
    settings.AUTHX_METRICS = METER


def shown(registry):
    """The samples that are not 0, as Prometheus reads them."""
    text = prometheus.generate_latest(registry).decode()
    lines = [line.rpartition(" ") for line in text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in lines if float(value) and "_created" not in name}


def test_what_is_counted_changed_and_set(meter, registry):
    metrics.LOGINS.count(door="api", outcome="opened")
    metrics.LOGINS.count(door="api", outcome="opened")
    metrics.ENDINGS.count(5, reason="kicked")
    metrics.SOCKETS_OPENED.count()
    metrics.SOCKETS_OPEN.change(1)
    metrics.SOCKETS_OPEN.change(1)
    metrics.SOCKETS_OPEN.change(-1)
    metrics.BREAKER_OPEN.set(1, breaker="redis_reads")
    assert shown(registry) == {
        'authx_logins_total{door="api",outcome="opened"}': 2,
        'authx_endings_total{reason="kicked"}': 5,
        "authx_sockets_opened_total": 1,
        "authx_sockets_open": 1,
        'authx_breaker_open{breaker="redis_reads"}': 1,
    }
    metrics.BREAKER_OPEN.set(0, breaker="redis_reads")
    assert 'authx_breaker_open{breaker="redis_reads"}' not in shown(registry)


def test_counters_of_one_label_begin_at_0_or_the_first_reuse_would_be_no_increase(meter, registry):
    text = prometheus.generate_latest(registry).decode()
    assert 'authx_alarms_total{alarm="refresh_reused"} 0.0' in text
    assert 'authx_refreshes_total{transition="T6"} 0.0' in text
    assert "authx_sockets_opened_total 0.0" in text


def test_every_metric_can_be_told(meter, registry):
    for metric in metrics.declared():
        for labels in metric.series():
            verb = {metrics.Counter: "count", metrics.Level: "change", metrics.Gauge: "set"}[type(metric)]
            getattr(metric, verb)(7, **labels)
    assert len(shown(registry)) == sum(len(list(metric.series())) for metric in metrics.declared())
    assert set(shown(registry).values()) == {7.0}


WORKER = """
import sys
from django.conf import settings
settings.configure(AUTHX_METRICS="authx.contrib.prometheus.Meter")
from authx import metrics
metrics.begin()
metrics.LOGINS.count(door="api", outcome="opened")
metrics.SOCKETS_OPEN.change(1)
metrics.COPY_READ_AT.set(float(sys.argv[1]), copy="endings")
print("ready", flush=True)
sys.stdin.readline()
"""


@pytest.mark.slow
def test_several_processes_are_added_up_and_what_a_dead_one_has_counted_stays(tmp_path):
    environment = {
        **os.environ,
        "PROMETHEUS_MULTIPROC_DIR": str(tmp_path),
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    workers = [
        subprocess.Popen([sys.executable, "-c", WORKER, str(read_at)], env=environment, **pipes)
        for read_at in (100.0, 200.0)
    ]
    try:
        for worker in workers:
            assert worker.stdout.readline() == "ready\n"
        assert together(tmp_path) == {
            'authx_logins_total{door="api",outcome="opened"}': 2,
            "authx_sockets_open": 2,
            'authx_copy_read_timestamp_seconds{copy="endings"}': 200,
        }
    finally:
        for worker in workers:
            worker.communicate("\n", timeout=20)
    from prometheus_client.multiprocess import mark_process_dead

    mark_process_dead(workers[1].pid, str(tmp_path))
    assert together(tmp_path) == {
        'authx_logins_total{door="api",outcome="opened"}': 2,
        "authx_sockets_open": 1,
        'authx_copy_read_timestamp_seconds{copy="endings"}': 100,
    }


def together(folder):
    from prometheus_client.multiprocess import MultiProcessCollector

    registry = prometheus.CollectorRegistry()
    MultiProcessCollector(registry, str(folder))
    return shown(registry)
