"""Other sites: in transactions, with another user model, with other packages beside us."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow  # each is a test session of its own
ROOT = Path(__file__).parents[2]
# Of the session we are in, and none of the other's business: coverage, xdist, options.
OURS = ("PYTEST_", "COV_CORE_", "COVERAGE_")


@pytest.mark.parametrize("variant", ["atomic", "session_auth", "custom_user"])
def test_the_journeys_pass_on_a_variant_of_the_site(variant):
    run_on(variant, "tests/journeys")


def test_subjects_are_shown_on_a_site_with_another_user_model():
    run_on("custom_user", "tests/sessions/test_subjects.py")


def test_every_door_works_with_a_user_model_that_is_none_of_djangos():
    run_on("members", "tests/members")


def test_second_factors_of_other_apps_are_told_of():
    pytest.importorskip("allauth.mfa", reason="django-allauth[mfa,socialaccount] is not installed")
    pytest.importorskip("django_otp", reason="django-otp is not installed")
    run_on("second_factors", "tests/second_factors")


def test_impersonations_by_other_apps_agree_with_the_api():
    pytest.importorskip("hijack", reason="django-hijack is not installed")
    pytest.importorskip("loginas", reason="django-loginas is not installed")
    run_on("impersonation", "tests/impersonation")


def test_the_account_views_of_other_packages_end_and_continue_our_sessions():
    pytest.importorskip("djoser", reason="djoser is not installed")
    pytest.importorskip("dj_rest_auth", reason="dj-rest-auth is not installed")
    run_on("account_apis", "tests/account_apis")


def test_a_lockout_by_another_app_is_told_at_our_doors():
    pytest.importorskip("axes", reason="django-axes is not installed")
    run_on("lockouts", "tests/lockouts")


def test_the_schema_of_a_site_says_what_its_api_does():
    pytest.importorskip("drf_spectacular", reason="drf-spectacular is not installed")
    run_on("openapi", "tests/openapi")


def test_requests_and_clients_that_are_made_of_the_schema():
    pytest.importorskip("drf_spectacular", reason="drf-spectacular is not installed")
    pytest.importorskip("openapi_python_client", reason="openapi-python-client is not installed")
    run_on("openapi", "tests/openapi", which="slow")


def test_sites_move_in_from_other_packages_and_nobody_is_logged_out():
    packages = ["rest_framework_simplejwt", "knox", "dj_rest_auth", "allauth.usersessions", "drf_spectacular"]
    for package in packages:
        pytest.importorskip(package.partition(".")[0], reason=f"{package} is not installed")
    run_on("moving", "tests/moving", "--no-migrations")


def test_the_list_of_django_user_sessions_agrees_with_ours():
    # It imports pkg_resources, which Python 3.12 and newer do not bring: .ci/run asks this of 3.11 alone.
    pytest.importorskip("user_sessions", reason="django-user-sessions is not installed")
    run_on("session_lists", "tests/session_lists", "--no-migrations")


def run_on(variant, tests, *options, which="not browser and not slow"):
    environment = {k: v for k, v in os.environ.items() if not k.startswith(OURS)}
    environment["DJANGO_SETTINGS_MODULE"] = f"tests.settings.{variant}"
    command = [sys.executable, "-m", "pytest", tests, "-q", "-p", "no:cacheprovider", *options]
    # The browser looks the same on every variant: one look is enough.
    command += ["-m", which, "-rs"]
    run = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert run.returncode == 0, f"{variant}\n{run.stdout}\n{run.stderr}"
    summary = run.stdout.strip().splitlines()[-1]
    assert re.search(r"\b[1-9]\d* passed\b", summary), run.stdout
    assert "skipped" not in summary, run.stdout
