"""The clock of ``authx.testing``: Python's time and the database's move together, and nobody sleeps."""

import ast
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from django.test import Client
from django.utils import timezone
from rest_framework.test import APIClient

import authx
from authx import clocks
from authx.errors import SessionEnded, TokenExpired
from authx.gate import verify_access_token
from authx.models import DeviceSession
from authx.sessions import end_session, open_session, recognize, refresh_session
from authx.sessions.lookup import find_by_sid
from authx.store.database import database_now
from authx.store.prepared_statement import RUNS_BEFORE_PREPARING
from authx.testing import clock
from tests.racing import race

pytestmark = pytest.mark.django_db
SOON = timedelta(seconds=5)


def test_every_clock_moves_and_is_put_back():
    system = datetime.now(UTC)
    with clock() as now:
        monotonic = clocks.monotonic()
        now.advance(minutes=20)
        for read in (timezone.now(), database_now(), now.now(), datetime.fromtimestamp(clocks.time(), UTC)):
            assert abs(read - system - timedelta(minutes=20)) < SOON
        assert 1200 <= clocks.monotonic() - monotonic < 1205
        now.advance(timedelta(days=-2))
        assert abs(database_now() - system - timedelta(minutes=20, days=-2)) < SOON
        assert clocks.monotonic() - monotonic >= 1200
        now.move_to(datetime(2031, 2, 3, tzinfo=UTC))
        assert abs(timezone.now() - datetime(2031, 2, 3, tzinfo=UTC)) < SOON
        assert abs(database_now() - datetime(2031, 2, 3, tzinfo=UTC)) < SOON
    for read in (timezone.now(), database_now(), datetime.fromtimestamp(clocks.time(), UTC)):
        assert abs(read - system) < SOON
    assert timezone.now.__module__ == "django.utils.timezone"


def test_an_access_token_expires_and_its_session_goes_on(ada):
    credentials = open_session(ada)
    with clock() as now:
        now.advance(minutes=14)
        assert verify_access_token(credentials.access_token).sid == str(credentials.session.pk)
        now.advance(minutes=2)
        with pytest.raises(TokenExpired):
            verify_access_token(credentials.access_token)
        fresh = refresh_session(credentials.refresh_token)
        assert recognize(fresh.access_token) == credentials.session
    with pytest.raises(TokenExpired):  # from the future: not valid yet
        assert verify_access_token(fresh.access_token, now=timezone.now() + timedelta(hours=1))


@pytest.mark.parametrize(("visits", "days", "reason"), [(0, 8, "idle"), (4, 6.5, "expired")])
def test_the_limits_of_a_session_are_reached(visits, days, reason, ada):
    credentials = open_session(ada)
    with clock() as now:
        for _visit in range(visits):
            now.advance(days=6)
            credentials = refresh_session(credentials.refresh_token)
        now.advance(days=days)
        with pytest.raises(SessionEnded) as ended:
            refresh_session(credentials.refresh_token)
        assert ended.value.reason == reason
        assert not DeviceSession.objects.live().exists()


@pytest.mark.django_db(transaction=True)
def test_statements_that_were_prepared_before_move_too(ada):
    sid = open_session(ada).session.pk
    for _run in range(RUNS_BEFORE_PREPARING + 2):
        system = find_by_sid(sid).now
    with clock() as now:
        for hours in (1, 2):
            now.advance(hours=1)
            for _run in range(RUNS_BEFORE_PREPARING + 2):
                assert abs(find_by_sid(sid).now - system - timedelta(hours=hours)) < SOON
    assert abs(find_by_sid(sid).now - system) < SOON


@pytest.mark.django_db(transaction=True)
def test_other_threads_see_it_too(ada):
    sid = open_session(ada).session.pk
    with clock() as now:
        now.advance(days=1)
        (found,) = race(lambda: find_by_sid(sid).now)
        assert abs(found - now.now()) < SOON


def test_a_copy_of_the_endings_gets_old(ada, settings):
    settings.AUTHX_REVOCATION_LAG = timedelta(seconds=60)
    credentials = open_session(ada)
    with clock() as now:
        verify_access_token(credentials.access_token)
        end_session(credentials.session, "kicked")
        now.advance(seconds=61)
        with pytest.raises(SessionEnded):
            verify_access_token(credentials.access_token)
    other = open_session(ada)
    verify_access_token(other.access_token)
    end_session(other.session, "kicked")
    with clock() as now:
        now.advance(seconds=61)
        with pytest.raises(SessionEnded):
            verify_access_token(other.access_token)


def test_the_period_of_a_rate_is_over(ada, password, settings):
    settings.AUTHX_LOGIN_RATE = "2/min"
    body = {"username": "ada", "password": "wrong"}
    with clock() as now:
        for expected in ([401, 401, 429], [401, 401, 429]):
            assert [APIClient().post("/api/auth/login/", body).status_code for _try in range(3)] == expected
            now.advance(seconds=61)
        body["password"] = password
        assert APIClient().post("/api/auth/login/", body).status_code == 200


def test_a_django_session_expires(ada, settings):
    settings.SESSION_COOKIE_AGE = 3600
    client = Client()
    client.force_login(ada)
    session = client.session
    session["cart"] = "book"
    session.save()
    with clock() as now:
        now.advance(minutes=59)
        assert "cart" in client.session
        now.advance(minutes=2)
        assert "cart" not in client.session


def test_blocks_are_nested():
    with clock() as outer:
        outer.advance(hours=1)
        with clock() as inner:
            inner.advance(hours=1)
            assert database_now() - datetime.now(UTC) > timedelta(minutes=119)
        assert timedelta(minutes=59) < database_now() - datetime.now(UTC) < timedelta(minutes=61)


def test_it_is_put_back_whatever_the_test_raises():
    def fail():
        with clock() as now:
            now.advance(days=400)
            raise RuntimeError("as a failing test does")

    with pytest.raises(RuntimeError):
        fail()
    assert abs(database_now() - datetime.now(UTC)) < SOON


@pytest.mark.parametrize("given", [{}, {"by": timedelta(1)}, {"minute": 1}])
def test_what_is_no_duration_is_refused(given):
    with clock() as now, pytest.raises(TypeError):
        now.advance(**given)


def test_a_naive_moment_is_refused():
    with clock() as now, pytest.raises(ValueError, match="aware"):
        now.move_to(datetime(2031, 2, 3))


# What the clock can move: all that reads one reads it where it may be moved


def nodes(path):
    return list(ast.walk(ast.parse(path.read_text())))


def sources():
    here = Path(authx.__file__).parent
    return [
        path for path in here.rglob("*.py") if path.name != "clocks.py" and "migrations" not in path.parts
    ]


def test_every_clock_is_read_in_authx_clocks():
    """Or by the module of Django's ``timezone``: a name that is imported by itself is not moved."""
    read = {"time": {"time", "time_ns", "monotonic", "monotonic_ns"}, "datetime": {"now", "utcnow", "today"}}
    looks = re.compile(r"\b(?:time|datetime)\.\w+\b|^from (?:time|django.utils.timezone) ", re.MULTILINE)
    found = set()
    for path in sources():
        for node in nodes(path) if looks.search(path.read_text()) else ():
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                if node.attr in read.get(node.value.id, ()):
                    found.add(f"{path.name}: {node.value.id}.{node.attr}")
            elif isinstance(node, ast.ImportFrom) and node.module in {"time", "django.utils.timezone"}:
                names = {name.name for name in node.names} & {*read["time"], "now"}
                found |= {f"{path.name}: {name} of {node.module}" for name in names}
    assert found == set()


def test_every_cache_of_statements_is_forgotten():
    """Those that are kept by alias and kind of connection are ``store.compiled.Statements``."""
    kept = re.compile(r"dict\[tuple\[str, type\]")
    found = {path.name: len(kept.findall(path.read_text())) for path in sources()}
    assert {name: count for name, count in found.items() if count} == {"compiled.py": 1}, "its base, no other"
