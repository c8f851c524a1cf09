"""tools.neighbors: what it adds to a suite's settings, what it makes of two runs, and both runs in small."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.settings import base
from tools.neighbors.__main__ import wanted
from tools.neighbors.guest import AFTER, AUTHENTICATION, DRF_AUTHENTICATION, MIDDLEWARE, with_authx
from tools.neighbors.outcomes import Outcome, Row, explained, ghosts, read, table, unexplained
from tools.neighbors.place import NothingRan, Place
from tools.neighbors.suites import PYTEST, SUITES

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "neighbors.md"
GUEST = ROOT / "tools" / "neighbors" / "guest.py"

ROW = Row(
    "polls",
    "1.2",
    without=Outcome(7, {"test_old": "E  no", "test_both": "E  no"}),
    beside=Outcome(8, {"test_both": "E  no", "test_known": "E  why", "test_new": "E  what\nE   1 != 2\n"}),
    explained=frozenset({"test_known", "test_gone"}),
)


# The settings


@pytest.mark.parametrize("kind", [list, tuple])
def test_authx_is_installed_where_there_are_users(kind):
    assert with_authx("INSTALLED_APPS", kind(["django.contrib.auth", "polls"])) == kind(
        ["django.contrib.auth", "polls", "authx"]
    )
    assert with_authx("INSTALLED_APPS", kind(["polls"])) == kind(["polls"])


@pytest.mark.parametrize("kind", [list, tuple])
def test_the_middleware_stands_directly_after_djangos(kind):
    assert with_authx("MIDDLEWARE", kind(["first", AFTER, "last"])) == kind(
        ["first", AFTER, MIDDLEWARE, "last"]
    )
    assert with_authx("MIDDLEWARE", kind(["first"])) == kind(["first"])


def test_our_classes_stand_before_those_of_the_suite_or_of_drf():
    suite = {"DEFAULT_AUTHENTICATION_CLASSES": ("theirs",), "PAGE_SIZE": 7}
    assert with_authx("REST_FRAMEWORK", suite) == {
        "DEFAULT_AUTHENTICATION_CLASSES": [*AUTHENTICATION, "theirs"],
        "PAGE_SIZE": 7,
    }
    assert with_authx("REST_FRAMEWORK", {})["DEFAULT_AUTHENTICATION_CLASSES"] == [
        *AUTHENTICATION,
        *DRF_AUTHENTICATION,
    ]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("INSTALLED_APPS", ["django.contrib.auth"]),
        ("MIDDLEWARE", (AFTER,)),
        ("REST_FRAMEWORK", {}),
        ("DEBUG", True),
    ],
)
def test_what_has_authx_already_is_left_alone(name, value):
    added = with_authx(name, value)
    assert with_authx(name, added) == added


def test_a_site_that_follows_the_readme_has_it_already():
    for name in ("INSTALLED_APPS", "MIDDLEWARE", "REST_FRAMEWORK"):
        assert with_authx(name, getattr(base, name)) == getattr(base, name)


# What came of the runs


def test_the_table():
    assert table([ROW, replace(ROW, suite="choices", without=ROW.beside)]).splitlines() == [
        "suite    version  tests  failed without  failed with  differs",
        "polls    1.2      8      2               3            3, 1 explained",
        "    test_known (explained)",
        "    test_new",
        "        E   1 != 2",
        "    test_old (fails without authx alone)",
        "choices  1.2      8      3               3            0",
    ]


def test_a_difference_without_a_reason_is_unexplained_and_a_reason_without_one_is_a_ghost():
    assert unexplained(ROW) == ["test_new", "test_old"]
    assert ghosts(ROW) == ["test_gone"]


def test_reasons_are_read_by_suite():
    names = "- `test_b[x-1]`\n- `test_c (k={'a': 'b'})`"
    page = f"# Page\n\n- `test_a`\n\n## one\n\nWhy:\n\n{names}\n\n## two\n\n- `test_d`\n"
    assert explained(page, "one") == {"test_b[x-1]", "test_c (k={'a': 'b'})"}
    assert explained(page, "two") == {"test_d"}
    assert explained(page, "three") == frozenset()


def test_the_page_has_every_suite_and_no_other():
    headings = [line.removeprefix("## ") for line in PAGE.read_text().splitlines() if line.startswith("## ")]
    assert [heading for heading in headings if heading in SUITES] == list(SUITES)


# What is to be run


def test_all_suites_are_run_or_those_that_are_named():
    assert wanted([]) == dict.fromkeys(SUITES)
    assert wanted(["drf", "djoser=../djoser"]) == {"drf": None, "djoser": Path("../djoser")}
    with pytest.raises(SystemExit, match="no such suite: polls"):
        wanted(["drf", "polls"])


def test_a_checkout_is_copied_and_has_to_have_the_tests(tmp_path):
    checkout = tmp_path / "checkout"
    (checkout / "testproject").mkdir(parents=True)
    (checkout / "testproject" / "tests.py").write_text("")
    place = Place(SUITES["djoser"], tmp_path / "work", ROOT, None)
    place.fetch(checkout)
    assert (place.source / "testproject" / "tests.py").is_file()
    elsewhere = Place(SUITES["drf"], tmp_path / "work", ROOT, None)
    with pytest.raises(NothingRan, match="drf=FOLDER"):
        elsewhere.fetch(checkout)


def test_an_environment_is_made_anew_where_it_was_made_of_something_else(tmp_path):
    checkout = tmp_path / "checkout"
    checkout.mkdir()
    place = Place(SUITES["drf"], tmp_path / "work", ROOT, None)
    assert place.ingredients(None) == place.ingredients(None)
    before = place.ingredients(checkout)
    (checkout / "changed.py").write_text("")
    assert len({str(made_of) for made_of in (place.ingredients(None), before)}) == 2
    assert place.ingredients(checkout) != before


# Both runs, of suites of a few lines


SETTINGS = f"""
SECRET_KEY = "a secret of this test alone"
DATABASES = {{"default": {{"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}}}
INSTALLED_APPS = ["django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions"]
MIDDLEWARE = ("django.contrib.sessions.middleware.SessionMiddleware", "{AFTER}")
USE_TZ = False
"""
TESTS = f"""
from django.conf import settings
from django.test import TestCase, override_settings
from rest_framework.views import APIView

class Tests(TestCase):
    def test_passes(self):
        self.assertTrue(settings.USE_TZ)
        self.assertNotIn("tests.house", __import__("sys").modules)

    def test_fails(self):
        self.fail("in both")

    def test_alone(self):
        self.assertNotIn("authx", settings.INSTALLED_APPS)

    def test_beside(self):
        from authx.models import DeviceSession
        self.assertFalse(DeviceSession.objects.exists())
        self.assertEqual(settings.MIDDLEWARE[-1], "{MIDDLEWARE}")
        self.assertEqual(APIView.authentication_classes[0].__name__, "BearerAuthentication")

    @override_settings(MIDDLEWARE=["{AFTER}"])
    def test_overridden(self):
        self.assertEqual(settings.MIDDLEWARE, ["{AFTER}", "{MIDDLEWARE}"])
"""
#: As Django's does it: settings are assigned after they have been loaded.
RUNTESTS = """
import os, sys
os.environ["DJANGO_SETTINGS_MODULE"] = "few_settings"
import django
from django.conf import settings
settings.INSTALLED_APPS = list(settings.INSTALLED_APPS)
settings.MIDDLEWARE = settings.MIDDLEWARE
django.setup()
from django.test.utils import get_runner
sys.exit(bool(get_runner(settings)(verbosity=0).run_tests(sys.argv[1:])))
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    "command",
    [
        (*PYTEST, "-p", "no:randomly", "--ds=few_settings", "-c", "pytest.ini"),
        ("runtests", "test_few"),
    ],
    ids=["pytest", "runtests"],
)
def test_what_differs_in_a_suite_of_a_few_lines(command, tmp_path):
    for name, text in {
        "few_settings.py": SETTINGS,
        "test_few.py": TESTS,
        "runtests.py": RUNTESTS,
        "pytest.ini": "[pytest]\n",
    }.items():
        (tmp_path / name).write_text(text)
    few = replace(SUITES["django"], name="few", command=command, folder=".", path=(".",))
    place = Place(few, tmp_path, ROOT, None)
    place.folder.mkdir()
    place.source, place.python = tmp_path, Path(sys.executable)
    without, beside = place.run("without"), place.run("with")
    assert (without.tests, beside.tests) == (5, 5)
    assert short(without) == {"test_fails", "test_beside", "test_overridden"}
    assert short(beside) == {"test_fails", "test_alone"}
    assert "in both" in str(beside.failed)
    assert read(place.folder / "with.json") == beside


def short(outcome):
    return {name.replace("::", ".").rsplit(".", 1)[-1] for name in outcome.failed}


def test_what_does_not_even_begin_says_where_its_log_is(tmp_path):
    place = Place(replace(SUITES["django"], folder=".", path=(".",)), tmp_path, ROOT, None)
    place.source, place.python = tmp_path, Path(sys.executable)
    place.folder.mkdir()
    with pytest.raises(NothingRan, match=r"without authx: nothing ran; see .*without\.log"):
        place.run("without")
    assert "runtests.py" in (place.folder / "without.log").read_text()


def test_it_is_run_as_a_folder_or_as_a_module():
    for command in (["tools/neighbors"], ["-m", "tools.neighbors"]):
        done = subprocess.run(
            [sys.executable, *command, "--help"], cwd=ROOT, capture_output=True, text=True, check=True
        )
        assert "docs/neighbors.md" in done.stdout
