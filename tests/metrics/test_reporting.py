"""authx.metrics: what is declared, who is told, and that a meter fails nobody."""

import ast
import logging
import os
import subprocess
import sys
from pathlib import Path
from threading import Barrier, Thread

import pytest

import authx
from authx import metrics
from authx.metrics import reporting
from authx.metrics.metric import OTHER
from authx.metrics.reporting import COMPLAINT_SECONDS, Reporter
from authx.sessions import open_session
from tests.metrics.conftest import TALLY
from tests.metrics.meters import Tally

SOURCES = sorted(Path(authx.__file__).parent.rglob("*.py"))


@pytest.fixture
def fresh(monkeypatch):
    """A process in which no meter has been made."""
    monkeypatch.setattr(reporting, "_reporter", Reporter())


def test_nothing_is_counted_unless_a_meter_is_named(fresh, settings):
    assert not metrics.is_on()
    metrics.ENDINGS.count(reason="kicked")
    metrics.begin()
    assert not reporting._reporter._meters
    settings.AUTHX_METRICS = TALLY
    assert metrics.is_on()
    metrics.ENDINGS.count(3, reason="kicked")
    assert reporting._reporter.meter(TALLY).values == {("endings", "kicked"): 3}


def test_a_meter_is_made_once_in_a_process_however_often_it_is_named(fresh, settings, monkeypatch):
    monkeypatch.setattr(Tally, "made", [], raising=False)
    for _ in range(2):
        settings.AUTHX_METRICS = TALLY
        metrics.begin()
        metrics.ENDINGS.count(reason="kicked")
        settings.AUTHX_METRICS = None
    (made,) = Tally.made
    assert made.values["endings", "kicked"] == 2


def test_threads_that_count_first_together_make_one(fresh, settings, monkeypatch):
    monkeypatch.setattr(Tally, "made", [], raising=False)
    settings.AUTHX_METRICS = TALLY
    barrier = Barrier(8)

    def count():
        barrier.wait()
        metrics.ENDINGS.count(reason="kicked")

    threads = [Thread(target=count) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(Tally.made) == 1


@pytest.mark.parametrize("meter", ["Broken", "Unmade", "Missing", "nowhere.Missing"])
def test_a_meter_that_fails_is_logged_once_in_a_while_and_fails_no_login(
    meter, settings, monkeypatch, caplog, ada, django_capture_on_commit_callbacks
):
    now = [0.0]
    monkeypatch.setattr(reporting, "_reporter", Reporter(lambda: now[0]))
    settings.AUTHX_METRICS = f"tests.metrics.meters.{meter}"
    metrics.begin()
    for _ in range(3):
        with django_capture_on_commit_callbacks(execute=True):
            open_session(ada)
    assert [record.event for record in caplog.records] == ["metrics_failed"]
    now[0] += COMPLAINT_SECONDS
    metrics.ENDINGS.count(reason="kicked")
    assert [record.levelno for record in caplog.records] == [logging.ERROR] * 2
    assert caplog.records[-1].exc_info


def test_a_value_that_is_not_declared_is_another(fresh, settings):
    settings.AUTHX_METRICS = TALLY
    for word in ("ada@example.com", "198.51.100.7", ""):
        metrics.LOGINS.count(door="api", outcome=word)
    assert reporting._reporter.meter(TALLY).values == {("logins", "api", OTHER): 3}


def test_labels_are_few_and_short():
    for metric in metrics.declared():
        assert len(list(metric.series())) <= 150, metric.name
        for values in metric.labels.values():
            assert all(0 < len(value) <= 64 for value in values), metric.name
            assert OTHER not in values


def test_names_are_declared_once():
    names = [metric.name for metric in metrics.declared()]
    assert len(set(names)) == len(names) > 10


def uses():
    """Each call of a metric: the file, the name of the constant, the verb and the labels."""
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and isinstance(node.func.value, ast.Attribute)
                and isinstance(node.func.value.value, ast.Name)
                and node.func.value.value.id == "metrics"
            ):
                verb, constant = node.func.attr, node.func.value.attr
                yield path.name, constant, verb, {keyword.arg for keyword in node.keywords}


def test_every_metric_is_used_and_always_with_the_labels_it_declares():
    kinds = {"count": metrics.Counter, "change": metrics.Level, "set": metrics.Gauge}
    found = list(uses())
    for name, constant, verb, labels in found:
        metric = getattr(metrics, constant)
        assert isinstance(metric, kinds[verb]), name
        assert labels == set(metric.labels), name
    used = {getattr(metrics, constant).name for _, constant, _, _ in found}
    assert used == {metric.name for metric in metrics.declared()}


@pytest.mark.slow
@pytest.mark.parametrize("app", ["authx", "authx.contrib.verifier"])
def test_the_meter_is_there_before_anything_is_counted(app):
    """At a service that only verifies too."""
    code = f"""
from django.conf import settings
settings.configure(
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "rest_framework", "{app}"],
    AUTHX_METRICS="{TALLY}",
    SECRET_KEY="x" * 50,
)
import django
django.setup()
from authx.metrics.reporting import _reporter
assert _reporter._meters
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, timeout=30, capture_output=True)
    assert done.returncode == 0, done.stderr


def test_what_is_forked_while_a_thread_makes_a_meter_counts_all_the_same():
    """The lock that the thread holds stays with the parent."""
    code = """
import os, sys, threading
from django.conf import settings
settings.configure(AUTHX_METRICS="tests.metrics.meters.Tally")
from authx import metrics
from authx.metrics.reporting import _reporter
held, over = threading.Event(), threading.Event()
def hold():
    with _reporter._lock:
        held.set(); over.wait(20)
threading.Thread(target=hold, daemon=True).start()
held.wait(20)
import warnings; warnings.simplefilter("ignore")
if (pid := os.fork()) == 0:
    metrics.ENDINGS.count(reason="kicked")
    os._exit(0 if _reporter._meters else 1)
_, status = os.waitpid(pid, 0)
over.set()
sys.exit(os.waitstatus_to_exitcode(status))
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, timeout=30, capture_output=True)
    assert done.returncode == 0, done.stderr
