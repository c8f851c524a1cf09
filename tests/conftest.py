"""What every test may ask for: people, clients and a browser.

AUTHX_TEST_STRICT=1 makes a skip a failure: what the machine should have, it must have. A test that
has no meaning on a database, or with a user model, is marked ``databases(...)`` or ``user_model(...)``
instead, and is not collected elsewhere.
"""

from __future__ import annotations

import gc
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextvars import copy_context
from glob import escape, glob
from threading import Lock
from typing import Any

import hypothesis
import pytest
from _pytest import runner
from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.cache import cache
from django.db import connections
from django.utils import translation
from rest_framework.test import APIClient

# How long an example takes says how busy the machine is, and nothing of what is tested.
hypothesis.settings.register_profile("authx", deadline=None)
hypothesis.settings.load_profile("authx")

PASSWORD = "correct-horse-battery-staple"
STRICT = os.environ.get("AUTHX_TEST_STRICT") == "1"
# They need a site with other apps on it: test_variants runs them there.
collect_ignore = [
    folder
    for folder, app in {
        "account_apis": "djoser",
        "impersonation": "hijack",
        "lockouts": "axes",
        "members": "tests.members",
        "openapi": "drf_spectacular",
        "moving": "knox",
        "session_lists": "user_sessions",
        "second_factors": "django_otp",
    }.items()
    if app not in settings.INSTALLED_APPS
]


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool:
    """Run each test in a context that goes with it.

    Each change of a setting for caches or languages leaves a variable of Django's behind, and asgiref sets
    all of them anew wherever async code meets sync code: thousands, after some thousand tests.
    """
    return copy_context().run(runner.pytest_runtest_protocol, item, nextitem)


@pytest.fixture(autouse=True, scope="session")
def _patient_redis() -> None:
    """Wait longer for Redis in this process: 50 ms pass by themselves on a busy machine.

    The processes that a test starts keep the time-out that is shipped.
    """
    from authx.gate.revocation import redis_connection  # not before Django is set up

    redis_connection.TIMEOUT_SECONDS = 2.0


@pytest.fixture(autouse=True)
def _fresh_cache() -> Iterator[None]:
    """Throttles count in the cache; no test pays for another's attempts."""
    cache.clear()
    yield
    cache.clear()


@pytest.fixture(autouse=True)
def _nothing_left_over() -> Iterator[None]:
    """What a test left for the end of its request is no other test's, nor its managed keys or language."""
    yield
    from authx.gate.keys import keyring  # not before Django is set up
    from authx.gate.revocation import sources
    from authx.http.django_session import _forced_keys
    from authx.logins.outcome import take_last
    from authx.sessions.code_pruning import tidying
    from authx.store.after_transaction import _PENDING, _keeping

    take_last()
    tidying.forget()  # a clock that was moved leaves the process with an hour gone by
    _forced_keys.clear()
    sources._copies.clear()  # what has ended in another test's database says nothing of this one's users
    translation.deactivate()  # LocaleMiddleware leaves that of its last request

    if keyring.keyset_of.cache_info().currsize:
        keyset = keyring.keyset()
        if keyset._rows or not keyset._is_known:  # after an outage it rests before it reads again
            keyring.keyset_of.cache_clear()

    for connection in connections.all(initialized_only=True):
        connection.__dict__.pop(_PENDING, None)
    _keeping.clear()


@pytest.fixture
def password() -> str:
    """The password of everybody made by ``make_user``."""
    return PASSWORD


@pytest.fixture
def make_user(db: None) -> Callable[..., Any]:
    """Make a user of the site's user model, whatever that is."""

    def make(name: str, **fields: Any) -> Any:
        model = get_user_model()
        fields = {"password": PASSWORD, "email": f"{name}@example.com", **fields}
        if model.USERNAME_FIELD != "email":
            fields[model.USERNAME_FIELD] = name
        return model._default_manager.create_user(**fields)

    return make


@pytest.fixture
def ada(make_user: Callable[..., Any]) -> Any:
    return make_user("ada")


@pytest.fixture
def bob(make_user: Callable[..., Any]) -> Any:
    return make_user("bob")


@pytest.fixture
def admin(make_user: Callable[..., Any]) -> Any:
    """A superuser."""
    return make_user("admin", is_staff=True, is_superuser=True)


@pytest.fixture
def staff(make_user: Callable[..., Any]) -> Any:
    """Staff, with no permission of its own."""
    return make_user("staff", is_staff=True)


@pytest.fixture
def opened(ada: Any) -> Any:
    """The credentials of a session that ada has just opened."""
    from authx.sessions import open_session  # not before Django is set up

    return open_session(ada)


@pytest.fixture
def committed(django_capture_on_commit_callbacks: Any) -> Callable[[], Any]:
    """What waits for a commit happens at the end of the block, as it would with each request."""
    return lambda: django_capture_on_commit_callbacks(execute=True)


@pytest.fixture
def api() -> APIClient:
    """A client that sends and reads JSON and carries no credentials."""
    return APIClient()


@pytest.fixture
def live_server(live_server: Any) -> Iterator[Any]:
    """pytest-django's, which answers one request at a time where its threads share a connection.

    That is so with SQLite in memory, and Python's ``sqlite3`` crashes where two of them use it at once.
    """
    server, shares = live_server.thread.httpd, live_server.thread.connections_override
    app, turn = server.get_app(), Lock()

    def one_at_a_time(environ: Any, start_response: Any) -> list[bytes]:
        with turn:
            response = app(environ, start_response)
            try:
                return [b"".join(response)]
            finally:
                response.close()

    server.set_app(one_at_a_time if shares else app)
    yield live_server
    server.set_app(app)


#: The suggestions under the address, which Chromium renders in a process beside that of each page.
_SUGGESTIONS = ("WebUIOmniboxPopup", "WebUIOmniboxAimPopup", "WebUIOmniboxFullPopup")
#: What Playwright turns off: of two switches of one name Chromium takes the last.
_OFF_IN_PLAYWRIGHT = (
    "AvoidUnnecessaryBeforeUnloadCheckSync",
    "DestroyProfileOnBrowserClose",
    "HttpsUpgrades",
    "HttpsFirstBalancedModeAutoEnable",
    "LensOverlay",
    "MediaRouter",
    "PaintHolding",
    "ThirdPartyStoragePartitioning",
    "AvoidCorsURLLoaderRestartOnRedirect",
    "OptimizationHints",
    "NetworkTimeServiceQuerying",
    "AimEnabled",
    "PreconnectToSearch",
)


@pytest.fixture(scope="session")
def browser_args() -> list[str]:
    """How Chromium starts: quietly, asking nothing of the network, and with nothing but its pages."""
    return [
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        f"--disable-features={','.join([*_SUGGESTIONS, *_OFF_IN_PLAYWRIGHT])}",
    ]


@pytest.fixture(scope="module")
def chromium(browser_args: list[str]) -> Iterator[Any]:
    """A running Chromium (Playwright's ``Browser``); each profile is a ``new_context()``.

    One per module: Playwright keeps an event loop running in this thread, which Django and async
    tests would trip over, so it must be gone when the module is.
    """
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    found = [shutil.which(name) for name in ("chromium", "chromium-browser", "google-chrome")]
    executable = os.environ.get("AUTHX_TEST_CHROMIUM") or next(filter(None, found), None)
    if executable is None:
        pytest.skip("no Chromium on PATH (Debian: apt-get install chromium)")
    with pytest.MonkeyPatch.context() as patch, playwright.sync_playwright() as started:
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
        browser = started.chromium.launch(executable_path=executable, args=browser_args)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def firefox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A running Firefox; each person at it has cookies of their own (``person``)."""
    found = filter(None, map(shutil.which, ("firefox-esr", "firefox")))
    executable = os.environ.get("AUTHX_TEST_FIREFOX") or next(found, None)
    if executable is None:
        pytest.skip("no Firefox on PATH (Debian: apt-get install firefox-esr)")
    running = pytest.importorskip("tests.firefox", reason="websockets is not installed").running
    with running(executable, tmp_path_factory.mktemp("firefox")) as browser:
        yield browser


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark browser tests, and drop what has no meaning on this database or with this user model."""
    kept, dropped = [], []
    for item in items:
        if {"chromium", "firefox"} & {*getattr(item, "fixturenames", ())}:
            item.add_marker("browser")
        (kept if has_meaning(item) else dropped).append(item)
    if dropped:
        config.hook.pytest_deselected(items=dropped)
        items[:] = kept


def has_meaning(item: pytest.Item) -> bool:
    here = {"databases": settings.DATABASE, "user_model": settings.AUTH_USER_MODEL}
    markers = [(item.get_closest_marker(name), value) for name, value in here.items()]
    return all(marker is None or value in marker.args for marker, value in markers)


@pytest.hookimpl(tryfirst=True)
def pytest_unconfigure() -> None:
    """Remove what SQLite keeps beside a database that a thread still had open when it was destroyed.

    And close connections to Redis that are left to the garbage collector, whose warnings are errors here.
    """
    if (redis := sys.modules.get("redis.connection")) is not None:
        for each in gc.get_objects():
            if issubclass(type(each), redis.AbstractConnection):  # ``isinstance`` evaluates lazy objects
                each.disconnect()
    if settings.configured and settings.DATABASE == "sqlite":
        for left in glob(f"{escape(settings.DATABASES['default']['TEST']['NAME'])}*"):
            os.remove(left)


def _fail_if_skipped(report: Any) -> Any:
    if STRICT and report.skipped and not hasattr(report, "wasxfail"):
        _path, _line, reason = report.longrepr
        report.outcome = "failed"
        report.longrepr = f"AUTHX_TEST_STRICT: {report.nodeid} was not run. {reason}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: Any) -> Any:
    return _fail_if_skipped((yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector) -> Any:
    return _fail_if_skipped((yield))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--races",
        type=int,
        default=30,
        help="How long the random tests are: as many interleavings, twice as many histories of a session,"
        " and logins at once in proportion. 10000 is the long form.",
    )
