"""What runs within a suite's own process: add authx to its settings if asked, and note what fails.

Started as a file by the suite's Python, so it imports nothing of ours; the tests import it too.
"""

from __future__ import annotations

import json
import runpy
import sys
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

AFTER = "django.contrib.auth.middleware.AuthenticationMiddleware"
MIDDLEWARE = "authx.pages.middleware.DeviceSessionMiddleware"
AUTHENTICATION = (
    "authx.api.authentication.BearerAuthentication",
    "authx.api.authentication.CookieAuthentication",
)
#: DRF's own, for a site that names none.
DRF_AUTHENTICATION = (
    "rest_framework.authentication.SessionAuthentication",
    "rest_framework.authentication.BasicAuthentication",
)


def with_authx(name: str, value: Any) -> Any:
    """Return the setting of this name as a site has it that has added authx; it keeps its type."""
    if name == "INSTALLED_APPS" and "django.contrib.auth" in value and "authx" not in value:
        return type(value)([*value, "authx"])
    if name == "MIDDLEWARE" and AFTER in value and MIDDLEWARE not in value:
        place = list(value).index(AFTER) + 1
        return type(value)([*value[:place], MIDDLEWARE, *value[place:]])
    if name == "REST_FRAMEWORK" and AUTHENTICATION[0] not in value.get("DEFAULT_AUTHENTICATION_CLASSES", ()):
        theirs = value.get("DEFAULT_AUTHENTICATION_CLASSES", DRF_AUTHENTICATION)
        return {**value, "DEFAULT_AUTHENTICATION_CLASSES": [*AUTHENTICATION, *theirs]}
    return value


def prepare(*, authx: bool) -> None:
    """Change every assignment of a setting: by a settings module, by ``configure``, by a test."""
    from django.conf import Settings, UserSettingsHolder, global_settings

    # Both runs: authx demands it, and one suite has it off.
    on_assignment(Settings, lambda name, value: True if name == "USE_TZ" else value)
    if authx:
        on_assignment(Settings, with_authx)
        on_assignment(UserSettingsHolder, with_authx)
        # A site need not have it.
        global_settings.REST_FRAMEWORK = with_authx("REST_FRAMEWORK", {})  # type: ignore[attr-defined]


def on_assignment(holder: Any, change: Callable[[str, Any], Any]) -> None:
    assign = holder.__setattr__
    holder.__setattr__ = lambda self, name, value: assign(self, name, change(name, value))


class Noted:
    """Every test that ran, and the text of each that failed; a plugin of pytest as well."""

    def __init__(self) -> None:
        self.ran: set[str] = set()
        self.failed: dict[str, str] = {}

    def pytest_runtest_logreport(self, report: Any) -> None:
        self.ran.add(report.nodeid)
        if report.failed:
            self.failed[report.nodeid] = report.longreprtext

    def pytest_collectreport(self, report: Any) -> None:
        if report.failed:
            self.failed[report.nodeid] = report.longreprtext

    def unittest_result(self, result: Any) -> None:
        # A result counts its tests and names those that failed alone.
        self.ran |= {str(number) for number in range(result.testsRun)}
        for test, text in [*result.failures, *result.errors]:
            self.failed[test.id()] = text
        for test in result.unexpectedSuccesses:
            self.failed[test.id()] = "passed, and was expected to fail"

    def write(self, path: Path) -> None:
        path.write_text(json.dumps({"tests": len(self.ran), "failed": self.failed}, indent=1))


def run_pytest(noted: Noted, arguments: list[str]) -> None:
    import pytest

    pytest.main(arguments, plugins=[noted])


def run_runtests(noted: Noted, arguments: list[str]) -> None:
    """Run Django's own ``runtests.py``, in its folder."""
    from django.test.runner import DiscoverRunner

    run_suite = DiscoverRunner.run_suite

    def run_suite_and_note(self: Any, *arguments: Any, **options: Any) -> Any:
        # Made an error by runtests.py; its fixtures are for a site without USE_TZ.
        warnings.filterwarnings("ignore", ".*received a naive datetime", RuntimeWarning)
        result = run_suite(self, *arguments, **options)
        noted.unittest_result(result)
        return result

    DiscoverRunner.run_suite = run_suite_and_note  # type: ignore[method-assign]
    sys.argv = ["runtests.py", *arguments]
    with suppress(SystemExit):  # its verdict; ours is what was noted
        runpy.run_path("runtests.py", run_name="__main__")


def main(results: str, kind: str, runner: str, *arguments: str) -> None:
    noted = Noted()
    prepare(authx=kind == "with")
    {"pytest": run_pytest, "runtests": run_runtests}[runner](noted, list(arguments))
    if noted.ran:  # else it did not even begin, and its log says why
        noted.write(Path(results))


if __name__ == "__main__":
    main(*sys.argv[1:])
