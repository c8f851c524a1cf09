"""The tests of docs/testing.md, run by pytest as it says, in the folder of a plain site."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.documented import documented

ROOT = Path(__file__).parents[2]
PAGE = "testing.md"
FILES = ["conftest.py", "test_devices.py", "test_with_unittest.py", "test_client.py"]
#: As ``startproject`` makes it, with authx added; the tests' database is in memory, as is Django's default.
SETTINGS = """
SECRET_KEY = "of-this-test-alone-7Qm2xV9dKc4pZ1sWb8nRf5tYh3jLg6aEu0iOqXw"
ROOT_URLCONF = "shop_urls"
USE_TZ = True
LOGIN_URL = "authx:login"
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "db.sqlite3"}}
INSTALLED_APPS = ["django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions",
    "django.contrib.messages", "rest_framework", "authx"]
MIDDLEWARE = ["django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware", "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "authx.pages.middleware.DeviceSessionMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware"]
TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True,
    "OPTIONS": {"context_processors": ["django.template.context_processors.request",
        "django.contrib.auth.context_processors.auth",
        "django.contrib.messages.context_processors.messages"]}}]
"""
URLS = """
from django.urls import include, path

urlpatterns = [path("api/auth/", include("authx.api.urls")), path("account/", include("authx.pages.urls"))]
"""


def run(folder, *words):
    ours = ("PYTEST_", "COV_CORE_", "COVERAGE_", "AUTHX_")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    environment |= {
        "DJANGO_SETTINGS_MODULE": "shop_settings",
        "PYTHONPATH": os.pathsep.join([str(ROOT), "."]),
    }
    return subprocess.run(
        [sys.executable, "-m", *words], cwd=folder, env=environment, capture_output=True, text=True
    )


@pytest.fixture
def suite(tmp_path):
    for name in FILES:
        (tmp_path / name).write_text(documented(PAGE, "python", f"# {name}"))
    (tmp_path / "shop_settings.py").write_text(SETTINGS)
    (tmp_path / "shop_urls.py").write_text(URLS)
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = -p no:cacheprovider -p no:randomly\n")
    return tmp_path


@pytest.mark.slow
def test_a_site_tests_itself_as_the_page_says(suite):
    done = run(suite, "pytest", "-q")
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^6 passed", done.stdout.splitlines()[-1]), done.stdout


@pytest.mark.slow
def test_djangos_own_runner_runs_those_of_unittest(suite):
    done = run(suite, "django", "test", "test_with_unittest")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Ran 1 test" in done.stderr


def test_the_plugin_may_be_loaded_before_django_is_set_up():
    program = "import authx.testing.pytest_plugin, sys; assert 'authx.models' not in sys.modules"
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True)
