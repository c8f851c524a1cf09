"""docs/watching.md and the dashboard: they name what there is, all of it, and their code runs."""

import ast
import io
import json
import logging
import re
from contextlib import suppress
from logging.config import dictConfig
from types import SimpleNamespace

import pytest
from django.test import RequestFactory

from authx import metrics
from authx.core.actor import NOBODY
from authx.core.risk import Alarm
from authx.metrics import reporting
from authx.metrics.reporting import Reporter
from authx.sessions import open_session
from authx.sessions.risk import record_alarm
from authx.signals import session_flagged
from tests.documented import DOCS, documented, with_changes
from tests.metrics.test_reporting import SOURCES

PAGE = "watching.md"
LEVELS = {"warning": "warning", "error": "error", "exception": "error", "critical": "critical"}


def exported(metric):
    """What Prometheus calls it."""
    return f"authx_{metric.name}" + ("_total" if isinstance(metric, metrics.Counter) else "")


DECLARED = {exported(metric): metric for metric in metrics.declared()}


def rows(heading):
    """The cells of the page's table whose first column is called ``heading``."""
    _, _, rest = (DOCS / PAGE).read_text().partition(f"\n| {heading} |")
    lines = rest.splitlines()[2:]
    table = lines[: next(number for number, line in enumerate(lines) if not line.startswith("|"))]
    return [[cell.strip() for cell in line[1:-1].split("|")] for line in table]


def bare(cell):
    return re.findall(r"`([^`]+)`", cell)


def test_the_table_of_metrics_has_every_metric_with_its_labels():
    told = {bare(name)[0]: bare(labels) for name, labels, _ in rows("metric")}
    assert told == {name: list(metric.labels) for name, metric in DECLARED.items()}


def test_what_the_table_says_of_labels_is_there():
    for name, _, text in rows("metric"):
        known = set().union(*DECLARED[bare(name)[0]].labels.values(), DECLARED[bare(name)[0]].labels)
        words = {word for word in bare(text) if re.fullmatch(r"[a-z_]+|T\d+\w?", word)}
        assert words <= known | {"session_flagged", "jwks_uri"}, name


def log_calls():
    """Each call at WARNING or above in our sources: where, its level, and its extra."""
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
                continue
            names_logger = "logg" in ast.unparse(node.func.value).lower()
            if names_logger and node.func.attr in {*LEVELS, "warn", "fatal", "log"}:
                extra = next((keyword.value for keyword in node.keywords if keyword.arg == "extra"), None)
                yield f"{path.name}:{node.lineno}", node.func.attr, extra


def events():
    found = {}
    for where, verb, extra in log_calls():
        assert isinstance(extra, ast.Dict), f"{where} has no event"
        keys = [ast.literal_eval(key) for key in extra.keys]
        event = ast.literal_eval(extra.values[keys.index("event")])
        assert re.fullmatch(r"[a-z]+(_[a-z]+)+", event), where
        found.setdefault(event, set()).add(LEVELS[verb])
    return found


def test_every_line_at_warning_or_above_names_its_event_and_the_table_has_them_all():
    told = {bare(event)[0]: set(level.split(", ")) for event, level, _ in rows("event")}
    assert told == events()
    assert list(told) == sorted(told)


def expressions():
    dashboard = json.loads((DOCS / "grafana-dashboard.json").read_text())
    for panel in dashboard["panels"]:
        for target in panel["targets"]:
            yield target["expr"]
    yield from re.findall(r"^ +expr: (.+)$", documented(PAGE, "yaml"), re.MULTILINE)


@pytest.mark.parametrize(
    "expression", [pytest.param(text, id=str(n)) for n, text in enumerate(expressions())]
)
def test_an_expression_names_what_there_is(expression):
    names = re.findall(r"\bauthx_\w+", expression)
    assert names
    metric = DECLARED[names[0]]
    assert all(DECLARED[name] is metric for name in names)
    for labels in re.findall(r"by \(([^)]*)\)", expression):
        assert set(labels.split(", ")) <= set(metric.labels)
    for matchers in re.findall(r"\{([^}]*)\}", expression):
        for label, values in re.findall(r'(\w+)=~?"([^"]+)"', matchers):
            assert set(values.split("|")) <= metric.labels[label]
    assert all(expression.count(a) == expression.count(b) for a, b in ("()", "[]", "{}"))
    is_counter = isinstance(metric, metrics.Counter)
    assert bool(re.search(rf"(rate|increase)\({names[0]}(\{{[^}}]*\}})?\[", expression)) is is_counter


def test_the_dashboard_shows_every_metric_and_says_what_each_series_is():
    dashboard = json.loads((DOCS / "grafana-dashboard.json").read_text())
    targets = [target for panel in dashboard["panels"] for target in panel["targets"]]
    shown = {name for target in targets for name in re.findall(r"authx_\w+", target["expr"])}
    assert shown == set(DECLARED)
    for target in targets:
        grouped = re.findall(r"by \(([^)]*)\)", target["expr"])
        named = re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])
        assert named == (grouped[0].split(", ") if grouped else [])
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])


def test_the_rules_are_yaml_as_prometheus_reads_it():
    yaml = pytest.importorskip("yaml", reason="PyYAML is not installed")
    (group,) = yaml.safe_load(documented(PAGE, "yaml"))["groups"]
    for rule in group["rules"]:
        assert rule.keys() <= {"alert", "expr", "for", "annotations"}
        assert re.fullmatch(r"[A-Z]\w+", rule["alert"])
        assert rule["annotations"]["summary"].endswith(".")


def run(holding, language="python", **changes):
    """What a block of the page defines."""
    names = {"__name__": "documented"}
    exec(with_changes(documented(PAGE, language, holding), changes), names)
    return SimpleNamespace(**names)


def test_the_view_shows_the_metrics_of_this_process(monkeypatch):
    prometheus = pytest.importorskip("prometheus_client", reason="prometheus-client is not installed")
    from authx.contrib.prometheus import Meter

    registry = prometheus.CollectorRegistry()
    meter = Meter(registry)
    meter.count(metrics.ENDINGS, 1, {"reason": "kicked"})
    page = run("def metrics(request)")
    page.metrics.__globals__["REGISTRY"] = registry
    monkeypatch.delenv("PROMETHEUS_MULTIPROC_DIR", raising=False)
    answer = page.metrics(RequestFactory().get("/metrics"))
    assert b'authx_endings_total{reason="kicked"} 1.0' in answer.content
    assert answer["Content-Type"].startswith("text/plain")


def test_the_view_and_the_hook_in_multiprocess_mode(monkeypatch, tmp_path):
    pytest.importorskip("prometheus_client", reason="prometheus-client is not installed")
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    (tmp_path / "gauge_livesum_77.db").touch()
    (tmp_path / "counter_77.db").touch()
    run("def child_exit").child_exit(None, SimpleNamespace(pid=77))
    assert [path.name for path in tmp_path.iterdir()] == ["counter_77.db"]
    (tmp_path / "counter_77.db").unlink()
    assert run("def metrics(request)").metrics(RequestFactory().get("/metrics")).status_code == 200


def test_a_meter_of_ones_own_is_told_everything(monkeypatch, settings, caplog):
    names = {"count": metrics.Counter, "change": metrics.Level, "set": metrics.Gauge}
    reporter = Reporter()
    reporter._meters["mysite.meters.LoggingMeter"] = run("class LoggingMeter").LoggingMeter()
    monkeypatch.setattr(reporting, "_reporter", reporter)
    settings.AUTHX_METRICS = "mysite.meters.LoggingMeter"
    with caplog.at_level(logging.INFO, "mysite.metrics"):
        for metric in metrics.declared():
            (verb,) = [verb for verb, kind in names.items() if isinstance(metric, kind)]
            getattr(metric, verb)(1, **next(metric.series()))
    assert [record.getMessage().split()[0] for record in caplog.records] == [
        metric.name for metric in metrics.declared()
    ]
    assert {record.name for record in caplog.records} == {"mysite.metrics"}


def test_a_line_becomes_json():
    formatter = run("class JSONFormatter").JSONFormatter
    configured = run("LOGGING =").LOGGING
    stream = io.StringIO()
    configured["formatters"]["json"]["()"] = formatter
    configured["handlers"]["json"]["stream"] = stream
    logger = logging.getLogger("authx")
    before = logger.level, logger.handlers[:]
    try:
        dictConfig(configured)
        with suppress(ZeroDivisionError):
            try:
                raise ZeroDivisionError
            finally:
                logger.exception("A session was not renewed.", extra={"event": "session_not_renewed"})
    finally:
        level, logger.handlers = before
        logger.setLevel(level)
    line = json.loads(stream.getvalue())
    assert line.keys() == {"at", "level", "event", "message", "error"}
    assert (line["level"], line["event"]) == ("ERROR", "session_not_renewed")
    assert "ZeroDivisionError" in line["error"]


def test_an_alarm_is_logged_with_whose_it_is(ada, caplog, django_capture_on_commit_callbacks):
    receiver = run("def log_alarm").log_alarm
    session = open_session(ada).session
    try:
        with django_capture_on_commit_callbacks(execute=True):
            record_alarm(session, Alarm.COPIED, at=session.created_at, actor=NOBODY)
    finally:
        session_flagged.disconnect(receiver)
    (record,) = caplog.records
    assert (record.event, record.alarm, record.user) == ("session_flagged", "copied", session.subject)
    assert record.session == str(session.pk)
