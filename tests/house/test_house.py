"""The house: its walls stand, its doors open, and it can be carried elsewhere."""

from __future__ import annotations

import ast
import importlib
import os
import pkgutil
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import venv
import zipfile
from graphlib import TopologicalSorter
from pathlib import Path
from textwrap import dedent

import grimp
import pytest

import authx
from tests.house.test_docs import committed_files

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent

#: What an extra brings, by import name. authx must do without.
EXTRAS = ["django_redis", "redis", "hiredis", "iptocc", "drf_spectacular"]

#: What whoever opens the repository must find.
AT_THE_TOP = [
    "authx/py.typed",
    "authx/migrations/0001_initial.py",
    "demo_project",
    "docs",
    "manage.py",
    "pyproject.toml",
    "setup.cfg",
    "README.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "LICENSE",
    "SECURITY.md",
    ".ci/check",
    ".ci/quick",
    ".ci/run",
]

#: Each extra that a site may want, with where the code is that it is for.
CODE_OF_EXTRAS = {
    "redis": ("authx/gate", "from django_redis"),
    "geo": ("authx/contrib", "from iptocc"),
    "openapi": ("authx/contrib", "from drf_spectacular"),
    "prometheus": ("authx/contrib", "import prometheus_client"),
    "opentelemetry": ("authx/contrib", "from opentelemetry import"),
    "demo": ("demo_project/management", "import uvicorn"),
    "mariadb": ("tests/settings", "django.db.backends.mysql"),
}

#: Tests that the source distribution is tried with: of code, docs, templates, the demo and the benchmarks.
SOME_TESTS = (
    "journeys/test_pages.py",
    "conf/test_conf.py",
    "house/test_docs.py",
    "api/test_permissions.py",
    "house/test_rotation_simulation.py",
)


def run(*command: object, cwd: Path = ROOT, **environment: str) -> str:
    """Run a command apart from this test session, and return what it printed."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST_", "COV"))}
    done = subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env={**inherited, "PYTHONWARNINGS": "default", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}"
    return done.stdout


def python(program: str, **environment: str) -> str:
    """Run a program in a fresh interpreter in the repository."""
    return run(sys.executable, "-c", dedent(program), **environment)


def modules() -> list[str]:
    """List every module of authx but the optional ones and the migrations."""
    names = [found.name for found in pkgutil.walk_packages(authx.__path__, "authx.")]
    apart = ("authx.contrib", "authx.migrations")
    return ["authx", *(name for name in names if not name.startswith(apart))]


def test_the_import_contracts_hold():
    run(BIN / "lint-imports", "--no-cache")


def test_no_modules_import_one_another_in_a_circle():
    """Nor inside functions, nor for types alone. The contracts compare rings, not the files of one ring."""
    graph = grimp.build_graph("authx", cache_dir=None)
    arrows = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    TopologicalSorter(arrows).prepare()  # raises CycleError, which names them


def test_authx_imports_nothing():
    python("""
        import sys
        import authx
        assert authx.__version__
        heavy = {"django", "rest_framework", "jwt", "cryptography", "itsdangerous", "ua_parser"}
        assert not heavy & set(sys.modules), heavy & set(sys.modules)
    """)


def test_core_works_where_there_is_no_django():
    python("""
        import importlib, pkgutil, sys
        sys.modules["django"] = sys.modules["rest_framework"] = None
        import authx.core, authx.errors
        names = [found.name for found in pkgutil.walk_packages(authx.core.__path__, "authx.core.")]
        assert names
        for name in names:
            importlib.import_module(name)
    """)


def test_the_gate_needs_no_models_and_no_installed_app():
    python("""
        import sys
        from django.conf import settings
        settings.configure(SECRET_KEY="a secret for this test alone", INSTALLED_APPS=[])
        from authx.gate import verify_access_token
        assert "authx.models" not in sys.modules
        assert "rest_framework" not in sys.modules
    """)


def test_another_apps_ready_may_ask_the_gate_before_ours():
    python("""
        import sys, types
        from django.apps import AppConfig
        from django.conf import settings

        asked = []
        class Early(AppConfig):
            name, path = "early", "."
            def ready(self):
                from authx.gate.keys import keyring
                from authx.gate.revocation import sources
                asked.append((sources.source(), sources.database_log.provider(), list(keyring.keyset())))
        sys.modules["early"] = types.ModuleType("early")
        sys.modules["early"].Early = Early
        settings.configure(
            SECRET_KEY="a secret for this test alone",
            INSTALLED_APPS=["early.Early", "django.contrib.auth", "django.contrib.contenttypes", "authx"],
        )
        import django
        django.setup()
        from authx.store.revocation_log import EndedLog
        from authx.sessions.liveness import DatabaseSource
        ((source, log, keys),) = asked
        assert isinstance(source, DatabaseSource) and isinstance(log, EndedLog) and len(keys) == 1
    """)


def test_a_service_without_our_tables_is_told_what_is_missing():
    python("""
        from django.conf import settings
        from django.core.exceptions import ImproperlyConfigured
        settings.configure(SECRET_KEY="a secret for this test alone", INSTALLED_APPS=[])
        from authx.gate.keys.keyring import keyset
        from authx.gate.revocation import sources
        assert len(list(keyset())) == 1
        try:
            sources.source()
        except ImproperlyConfigured as error:
            assert "put authx into INSTALLED_APPS" in str(error)
        else:
            raise AssertionError
    """)


@pytest.mark.parametrize("path", sorted((ROOT / "authx/gate").rglob("*.py")), ids=lambda path: path.stem)
def test_the_gate_names_nothing_outside_it_by_string(path):
    """An arrow that the contracts cannot see: what is needed of an outer ring is registered at a port."""
    outward = re.compile(r"authx\.(?!errors|core|conf|signals|http|gate)\w+\.\w+")
    strings = [node.value for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Constant)]
    assert not [value for value in strings if isinstance(value, str) and outward.search(value)]


@pytest.mark.parametrize("path", sorted((ROOT / "authx/sessions").rglob("*.py")), ids=lambda path: path.stem)
def test_sessions_know_no_web(path):
    """The contract sees no part of Django, only all of it; and no name in a string."""
    web = re.compile(r"(django\.(http|shortcuts|template|urls|core\.handlers)|authx\.http|rest_framework)\b")
    nodes = list(ast.walk(ast.parse(path.read_text())))
    named = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    for node in nodes:
        if isinstance(node, ast.ImportFrom):
            named += [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            named.append(node.value)
    assert not [name for name in named if web.match(name)]


def test_the_checks_of_a_service_that_only_verifies_need_no_models():
    python("""
        import sys
        from django.conf import settings
        settings.configure(SECRET_KEY="of this service alone", INSTALLED_APPS=["authx.contrib.verifier"])
        import django
        django.setup()
        from django.core.management import call_command
        call_command("check", deploy=True)
        assert "authx.models" not in sys.modules
    """)


def test_the_authentication_classes_do_not_import_drf_views():
    """DRF's views read its settings, which name our classes: a circle."""
    python("""
        import sys
        import django
        from django.conf import settings
        settings.configure(
            SECRET_KEY="a secret for this test alone",
            INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "authx"],
        )
        django.setup()
        import authx.api.authentication
        assert "rest_framework.views" not in sys.modules
    """)


def identifiers(path: Path) -> list[str]:
    """List the names of a file's functions, their arguments, and its variables."""
    nodes = list(ast.walk(ast.parse(path.read_text())))
    names = [node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    names += [node.id for node in nodes if isinstance(node, ast.Name)]
    return names + [node.arg for node in nodes if isinstance(node, ast.arg)]


def test_nothing_is_named_for_being_told():
    """What a function returns has a noun, such as the entries or the text."""
    verbs = {"tell", "told", "say", "said"}
    named = {name: path.name for path in (ROOT / "authx").rglob("*.py") for name in identifiers(path)}
    assert {name: file for name, file in named.items() if verbs & set(name.lower().split("_"))} == {}


def test_every_module_imports_without_any_extra():
    python(
        f"""
        import importlib, sys
        for name in {EXTRAS!r}:
            sys.modules[name] = None
        import django
        django.setup()
        for name in {modules()!r}:
            importlib.import_module(name)
        """,
        DJANGO_SETTINGS_MODULE="tests.settings.base",
    )


@pytest.mark.parametrize("name", modules())
def test_a_public_name_exists(name):
    module = importlib.import_module(name)
    public = getattr(module, "__all__", [])
    assert sorted(set(public)) == sorted(public)
    assert not [each for each in public if not hasattr(module, each)]


@pytest.mark.parametrize("variant", ["base", "custom_user"])
def test_no_migration_is_missing(variant):
    run(
        *(sys.executable, "-m", "django", "makemigrations", "--check", "--dry-run"),
        DJANGO_SETTINGS_MODULE=f"tests.settings.{variant}",
        PYTHONPATH=str(ROOT),
    )


@pytest.mark.parametrize("name", AT_THE_TOP)
def test_the_repository_has(name):
    assert (ROOT / name).exists()


def test_the_changelog_tells_of_this_version():
    assert f"\n## {authx.__version__} " in (ROOT / "CHANGELOG.md").read_text()


def test_extras_name_only_what_there_is_code_for():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert set(project["optional-dependencies"]) == {*CODE_OF_EXTRAS, "docs", "test"}
    for folder, mention in CODE_OF_EXTRAS.values():
        assert any(mention in path.read_text() for path in (ROOT / folder).rglob("*.py"))


def test_the_lowest_versions_are_those_that_pyproject_allows():
    """Of all that a site installs; the tools of tests and documentation are nobody's dependency."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    allowed = [*project["dependencies"], *(each for extra in CODE_OF_EXTRAS for each in extras[extra])]
    expected = {re.sub(r"\[\w+\]|,<\d+", "", each).replace(">=", "==") for each in allowed}
    assert set(run(sys.executable, ".ci/lowest.py").split()) == expected


def test_what_ci_runs_on_every_database_is_there():
    """A test that moves takes its line in ``.ci/run`` along."""
    named = re.findall(r"tests/[\w/]+(?:\.py)?", (ROOT / ".ci/run").read_text())
    assert len(named) > 30
    assert [name for name in named if not (ROOT / name).exists()] == []


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source distribution and the wheel made of it, from a copy of what git would commit.

    setuptools would leave its work in the repository.
    """
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("dist")
    _reach_an_index(tmp_path_factory.mktemp("index"))
    for path in committed_files():
        copy = source / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copy)
    run(sys.executable, "-m", "build", "--outdir", out, source)
    return out


@pytest.fixture(scope="module")
def wheel(built: Path) -> Path:
    (found,) = built.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def unpacked(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What somebody has who unpacks the source distribution."""
    (found,) = built.glob("*.tar.gz")
    place = tmp_path_factory.mktemp("unpacked")
    with tarfile.open(found) as archive:
        archive.extractall(place, filter="data")
    (top,) = place.iterdir()
    return top


@pytest.fixture(scope="module")
def bare(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An interpreter with the wheel and what it depends on, and nothing else."""
    place = tmp_path_factory.mktemp("bare")
    venv.create(place, with_pip=True, symlinks=True)
    run(place / "bin/python", "-m", "pip", "install", "-q", wheel, cwd=place)
    return place / "bin/python"


def _reach_an_index(folder: Path) -> None:
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "-q", "-d", folder]
    found = subprocess.run([*command, "setuptools>=77"], capture_output=True, text=True)
    if found.returncode:
        pytest.skip(f"pip reaches no package index: {found.stderr.strip()[-200:]}")


@pytest.mark.slow
def test_the_package_index_takes_both(built):
    run(sys.executable, "-m", "twine", "check", "--strict", *sorted(built.iterdir()))


@pytest.mark.slow
def test_the_source_distribution_holds_all_that_git_does(unpacked):
    theirs = {path.relative_to(unpacked).as_posix() for path in unpacked.rglob("*") if path.is_file()}
    assert {path.relative_to(ROOT).as_posix() for path in committed_files()} <= theirs


@pytest.mark.slow
def test_tests_pass_in_the_unpacked_source_distribution(unpacked):
    where = {"PYTHONPATH": str(unpacked), "DJANGO_SETTINGS_MODULE": "tests.settings.base"}
    came_from = run(sys.executable, "-c", "import authx; print(authx.__file__)", cwd=unpacked, **where)
    assert Path(came_from.strip()).is_relative_to(unpacked)
    tests = [f"tests/{name}" for name in SOME_TESTS]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests]
    summary = run(*command, cwd=unpacked, **where).strip().splitlines()[-1]
    assert re.search(r"\b[1-9]\d* passed\b", summary), summary
    assert "skipped" not in summary, summary


@pytest.mark.slow
def test_the_wheel_holds_the_package_and_all_its_files(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    tracked = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "authx").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert names == tracked


@pytest.mark.slow
def test_a_bare_site_runs_on_the_wheel(bare, tmp_path):
    (tmp_path / "bare_site.py").write_text(dedent(BARE_SITE))
    (tmp_path / "bare_urls.py").write_text(dedent(BARE_URLS))
    settings = {"DJANGO_SETTINGS_MODULE": "bare_site", "PYTHONPATH": str(tmp_path)}

    def manage(*words: str) -> str:
        return run(bare, "-W", "error", "-m", "django", *words, cwd=tmp_path, **settings)

    manage("check", "--fail-level", "WARNING")
    manage("migrate", "-v", "0")
    assert "authx" in manage("findstatic", "authx", "--first")
    program = """
        import django
        django.setup()
        from django.test import Client
        from django.template.loader import get_template
        get_template("authx/login.html")
        for path, status in {"/account/login/": 200, "/account/devices/": 302,
                             "/api/auth/session/": 401, "/.well-known/jwks.json": 200}.items():
            answer = Client(SERVER_NAME="localhost").get(path)
            assert answer.status_code == status, (path, answer.status_code)
    """
    run(bare, "-c", dedent(program), cwd=tmp_path, **settings)


#: The installation of the README.
BARE_SITE = """
    SECRET_KEY = "a secret for this site alone, long enough to please the checks of Django"
    ALLOWED_HOSTS = ["localhost"]
    ROOT_URLCONF = "bare_urls"
    STATIC_URL = "/static/"
    LOGIN_URL = "authx:login"
    DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "bare.sqlite3"}}
    INSTALLED_APPS = [
        "django.contrib.admin",
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.messages",
        "django.contrib.sessions",
        "django.contrib.staticfiles",
        "rest_framework",
        "authx",
    ]
    MIDDLEWARE = [
        "django.middleware.security.SecurityMiddleware",
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.middleware.common.CommonMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "authx.pages.middleware.DeviceSessionMiddleware",
        "django.contrib.messages.middleware.MessageMiddleware",
    ]
    TEMPLATES = [
        {
            "BACKEND": "django.template.backends.django.DjangoTemplates",
            "APP_DIRS": True,
            "OPTIONS": {
                "context_processors": [
                    "django.template.context_processors.request",
                    "django.contrib.auth.context_processors.auth",
                    "django.contrib.messages.context_processors.messages",
                ],
            },
        },
    ]
    AUTHENTICATION_BACKENDS = [
        "authx.backends.LoginLimitBackend",
        "django.contrib.auth.backends.ModelBackend",
    ]
    REST_FRAMEWORK = {
        "DEFAULT_AUTHENTICATION_CLASSES": [
            "authx.api.authentication.BearerAuthentication",
            "authx.api.authentication.CookieAuthentication",
        ],
        "EXCEPTION_HANDLER": "authx.api.exception_handler",
    }
"""

BARE_URLS = """
    from django.contrib import admin
    from django.urls import include, path

    urlpatterns = [
        path("account/", include("authx.pages.urls")),
        path("api/auth/", include("authx.api.urls")),
        path("admin/", admin.site.urls),
        path("", include("authx.wellknown.urls")),
    ]
"""
