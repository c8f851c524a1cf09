"""The documentation says what the code does, and leads nowhere that is not there."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
from datetime import timedelta
from importlib import import_module
from pathlib import Path
from typing import Any

import django
import pytest
from django.utils.module_loading import import_string

from authx import errors
from authx.api import exceptions
from authx.api.urls import urlpatterns
from authx.conf import Conf
from authx.http import refusals
from authx.models import EndReason

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"
TOP = [README, *(ROOT / name for name in ("CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md"))]
PAGES = [*TOP, *sorted((ROOT / "docs").glob("*.md"))]

#: The pages with the tables that are compared with the code.
REFERENCE = (
    *("admin.md", "api.md", "checks.md", "errors.md", "python.md", "refresh-tokens.md", "settings.md"),
    "sockets.md",
)
#: A fenced block: its language, then its text.
FENCE = re.compile(r"^```([\w+]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
#: A link or an image whose target is not on another host.
LINK = re.compile(r"\]\((?!https?:)([^)\s]+)\)")
#: Packages that cannot be imported on a site without them: tests on such a site run the blocks that do.
ELSEWHERE = {"allauth", "defender", "dj_rest_auth", "djoser"}
#: Modules of ours that each need one of them.
NEEDING_THEM = ("authx.contrib.moving.", "authx.contrib.allauth_headless.")
#: Modules that a page itself shows; its own tests run them.
SHOWN = {"demo_client", "device_socket", "device_tokens", "mysite"}
#: Types of a socket's frames, which look like paths.
FRAMES = {"authx.renew", "authx.renewed"}
#: Where one machine keeps its files.
MACHINE_PATH = re.compile(r"(?<![\w.:/-])/(?:home|Users|root|work|tmp|opt)/\w|[A-Z]:\\Users\\")
#: Addresses of package indexes (Python, Debian, npm), dots escaped or not; none stands here whole.
REGISTRY = re.compile(
    "|".join(
        [
            r"py" r"pi\W{1,4}(?:org|io|python)",
            r"python" r"hosted",
            r"\b(?:deb|security|archive|snapshot|ftp|http|cdn)\W{1,4}deb" r"ian\W{1,4}(?:org|net)",
            r"npm" r"js\W",
            r"yarn" r"pkg",
        ]
    ),
    re.IGNORECASE,
)


def prose(page: Path) -> str:
    """The page without its fenced blocks."""
    return FENCE.sub("", page.read_text())


def table(heading: str) -> list[list[str]]:
    """The rows of the reference's table whose first column is called ``heading``; cells are bare text."""
    lines = [line for page in REFERENCE for line in (ROOT / "docs" / page).read_text().splitlines()]
    (start,) = (number for number, line in enumerate(lines) if line.startswith(f"| {heading} |"))
    rows = []
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]])
    return rows


def bare(cell: str) -> str:
    """What stands between a cell's backticks, which is all of it."""
    assert re.fullmatch(r"`[^`]+`", cell), cell
    return cell[1:-1]


def declared_errors() -> list[type[errors.AuthxError]]:
    """Every error that the API answers; a group shares its code with one of its members.

    An OAuth refusal is answered in the RFC's words, which it carries itself.
    """
    found = [value for value in vars(errors).values() if isinstance(value, type)]
    declared = [kind for kind in found if issubclass(kind, errors.AuthxError)]
    return [
        kind for kind in declared if kind is not errors.AuthxError and not issubclass(kind, errors.OAuthError)
    ]


def python_blocks() -> list[Any]:
    return [
        pytest.param(text, id=f"{page.name}-{number}")
        for page in PAGES
        for number, (language, text) in enumerate(FENCE.findall(page.read_text()))
        if language == "python"
    ]


def committed_files() -> list[Path]:
    """What git would commit here; without git, what belongs to the project by its place."""
    if shutil.which("git"):
        command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        if listed.returncode == 0:
            return [ROOT / name for name in listed.stdout.split("\0") if (ROOT / name).is_file()]
    folders = ["authx", "benchmarks", "demo_project", "docs", "tests", "tools", ".ci"]
    nested = [path for name in folders for path in (ROOT / name).rglob("*") if path.is_file()]
    return [*nested, *(path for path in ROOT.iterdir() if path.is_file())]


def test_the_settings_table_is_the_declared_settings():
    rows = table("setting")
    told = {bare(name): eval(bare(default), {"timedelta": timedelta}) for name, default, _ in rows}
    declared = {setting.name: setting.default for setting in Conf.declared()}
    assert list(told) == list(declared)
    assert told == declared


def test_the_errors_table_has_every_code_and_no_ghost():
    named = {error.code for error in declared_errors()}
    kinds = [value for value in vars(exceptions).values() if isinstance(value, type)]
    answered = {
        kind.default_code
        for kind in kinds
        if kind.__module__ == exceptions.__name__ and "default_code" in vars(kind)
    }
    told = [bare(code) for code, _, _ in table("code")]
    assert sorted(told) == sorted(named | answered | set(refusals.DETAILS))


def test_the_table_of_exceptions_has_each_class_and_no_ghost():
    named = {name for row in table("exception") for name in re.findall(r"`([A-Z]\w+)`", " ".join(row))}
    kinds = [value for value in vars(errors).values() if isinstance(value, type)]
    declared = {kind.__name__ for kind in kinds if issubclass(kind, errors.AuthxError)}
    assert named == declared - {"AuthxError"}


def test_the_errors_table_has_the_status_of_each_code():
    told = {bare(code): status for code, status, _ in table("code")}
    for error in declared_errors():
        if error is errors.KeyInvalid:  # the site's fault: no answer is made of it
            continue
        assert told[error.code] == str(refusals.status_of(error.code)), error
        if not issubclass(error, errors.SocketError):  # which the API never raises
            assert told[error.code] == str(exceptions.refusal(error()).status_code), error
    assert told[exceptions.InvalidRequest.default_code] == str(exceptions.InvalidRequest.status_code)
    for code in refusals.DETAILS.keys() - {error.code for error in declared_errors()}:
        assert told[code] == str(refusals.status_of(code)), code
    assert told["oauth_refused"] == str(exceptions.refusal(errors.OAuthError()).status_code)


def test_the_reasons_table_has_every_reason_and_no_ghost():
    assert [bare(reason) for reason, _ in table("reason")] == EndReason.values


def test_the_routes_table_has_every_route():
    told = {bare(route).split()[1] for route, _ in table("route")}
    served = {re.sub(r"<\w+:(\w+)>", r"<\1>", str(url.pattern)) for url in urlpatterns}
    assert told == served


@pytest.mark.parametrize(
    ("mark", "last"),
    [
        ("demo-command", ".venv/bin/python manage.py demo"),
        ("test-command", '.venv/bin/pytest -n 3 --dist worksteal -m "not slow and not exhaustive"'),
    ],
)
def test_the_readme_has_the_command_once(mark, last):
    text = README.read_text()
    assert text.count(f"<!-- {mark} -->") == 1
    (command,) = re.findall(rf"^<!-- {mark} -->\n```sh\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    extra = mark.partition("-")[0]
    assert command == f'python3 -m venv .venv && .venv/bin/pip install -e ".[{extra}]" && {last}\n'


def test_the_readme_can_be_read_in_a_few_minutes():
    assert len(README.read_text().split()) <= 900


def test_the_index_leads_to_every_page_once():
    text = (ROOT / "docs/index.md").read_text()
    pages = {page.name for page in (ROOT / "docs").glob("*.md")} - {"index.md"}
    assert sorted(LINK.findall(text)) == sorted(pages)


def test_every_picture_is_made_by_a_script():
    from tools import pictures

    shown = {name for page in PAGES for name in re.findall(r"images/([\w-]+\.\w+)\)", page.read_text())}
    by_benchmarks = {"requests.svg"}
    assert shown - by_benchmarks == set(pictures.NAMES)
    assert {path.name for path in (ROOT / "docs/images").iterdir()} == shown


@pytest.mark.parametrize("shell", ["sh", "bash"])
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_shell_blocks_are_of_that_shell(page, shell):
    if shutil.which(shell) is None:
        pytest.skip(f"there is no {shell}")
    for language, text in FENCE.findall(page.read_text()):
        if language == shell:
            assert shell == "bash" or "<<<" not in text, "sh is bash in disguise on many a machine"
            subprocess.run([shell, "-n"], input=text, text=True, check=True)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_files_that_are_named_are_there(page):
    named = set(re.findall(r"`([\w.-]+(?:/[\w.-]+)+\.py)`", page.read_text()))
    assert {
        name for name in named if not ((ROOT / name).is_file() or (ROOT / "authx" / name).is_file())
    } == set()


@pytest.mark.parametrize("text", python_blocks())
def test_a_python_block_compiles_and_names_what_is_there(text):
    tree = ast.parse(text)
    compile(tree, "documentation", "exec")
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and not is_elsewhere(node.module):
            module = import_module(node.module)
            assert not [name.name for name in node.names if not hasattr(module, name.name)]
        elif (
            isinstance(node, ast.Constant)
            and node.value not in FRAMES
            and re.fullmatch(r"authx(\.\w+)+", str(node.value))
            and not is_elsewhere(node.value)
        ):
            assert is_there(node.value), node.value


@pytest.mark.parametrize("text", [each for each in python_blocks() if "timedelta(" in each.values[0]])
def test_a_python_block_imports_its_durations(text):
    assert re.search(r"^from datetime import .*\btimedelta\b", text, re.MULTILINE)


def is_elsewhere(name: str) -> bool:
    """True for a module that this site cannot import, or something in one."""
    if name == "django.tasks" and django.VERSION < (6, 0):
        return True
    return name.startswith(NEEDING_THEM) or name.split(".")[0] in ELSEWHERE | SHOWN


def is_there(path: str) -> bool:
    """True for a dotted path of a module, or of something in one."""
    try:
        import_string(path)
    except ImportError:
        import_module(path)
    return True


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_example_has_the_name_of_pythons_own_site(page):
    """A package ``site`` of somebody's would never be imported: Python has loaded its own."""
    assert re.findall(r"^.*(?:[\"' ]site\.[a-z]+[.:\"]|^# site/).*$", page.read_text(), re.MULTILINE) == []


def slugs(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    for link in LINK.findall(prose(page)):
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        assert target.is_relative_to(ROOT), link
        assert target.is_file(), link
        assert not anchor or anchor in slugs(target), link


@pytest.mark.parametrize("pattern", [MACHINE_PATH, REGISTRY], ids=["machine path", "registry"])
def test_no_file_names_one_machine_or_a_registry(pattern):
    """This file and its patterns included."""
    found = []
    for path in committed_files():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue  # a picture
        name = path.relative_to(ROOT)
        found += [f"{name}: {match[0]}" for match in pattern.finditer(text)]
    assert found == []
