"""``py.typed``: mypy, as strict as it can be, on a site that has authx installed."""

import re
import subprocess
import sys
import sysconfig
import venv
from importlib import import_module
from pathlib import Path
from shutil import copytree

import pytest

from authx import signals

ROOT = Path(__file__).parents[2]
SITE = Path(__file__).with_name("site.py")
PUBLIC = ["api", "client", "gate", "sessions", "sockets", "testing"]
PLUGIN = """
plugins = ["mypy_django_plugin.main"]

[tool.django-stubs]
django_settings_module = "tests.settings.base"
"""
#: The columns of our models are known where the plugin reads them.
COLUMNS = """

def columns(session: DeviceSession) -> None:
    assert_type(session.ended_at, datetime | None)
    assert_type(session.device_name, str)
    assert_type(session.pk, UUID)
"""
#: What a site may well get wrong, and what mypy says of it.
MISTAKES = {
    "home(request: DeviceSessionRequest) -> None:\n    request.device_session.pk": "union-attr",
    'opened(user: User) -> Credentials:\n    return open_session(user, devise=Device(id="x"))': "call-arg",
    "device() -> Device:\n    return Device(id=1)": "arg-type",
    "token(token: str) -> str:\n    return verify_access_token(token)": "return-value",
    "signed(user: User) -> None:\n    login_device(Client(), user, transport='pigeon')": "arg-type",
    "caller(request: CallerRequest[User]) -> None:\n    request.auth.sidd": "attr-defined",
}


@pytest.fixture(scope="module")
def interpreter(tmp_path_factory):
    """A Python that has authx and what there is here, in its site-packages and nowhere else."""
    place = tmp_path_factory.mktemp("python")
    venv.create(place, symlinks=True)
    (packages,) = place.glob("lib/python*/site-packages")
    copytree(ROOT / "authx", packages / "authx")
    (packages / "others.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return place / "bin/python"


def mypy(folder, interpreter, settings=""):
    (folder / "pyproject.toml").write_text(f"[tool.mypy]\nstrict = true\n{settings}")
    command = [
        sys.executable,
        "-m",
        "mypy",
        "--python-executable",
        interpreter,
        "--cache-dir",
        ".mypy",
        "shop.py",
    ]
    environment = {"PYTHONPATH": str(ROOT), "PATH": ""}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True).stdout


@pytest.mark.slow
@pytest.mark.parametrize(("settings", "more"), [("", ""), (PLUGIN, COLUMNS)], ids=["bare", "with the plugin"])
def test_a_strict_site_is_checked_without_a_complaint(settings, more, interpreter, tmp_path):
    (tmp_path / "shop.py").write_text(SITE.read_text() + more)
    found = mypy(tmp_path, interpreter, settings)
    assert found == "Success: no issues found in 1 source file\n"


@pytest.mark.slow
def test_its_mistakes_are_found(interpreter, tmp_path):
    text = SITE.read_text()
    wrong = "\n\n\n".join(f"def wrong_{body}" for body in MISTAKES)
    (tmp_path / "shop.py").write_text(f"{text}\n\n{wrong}\n")
    found = mypy(tmp_path, interpreter)
    assert re.findall(r"error: .*\[([\w-]+)\]$", found, re.MULTILINE) == list(MISTAKES.values()), found


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_name_is_used_there(name):
    text = SITE.read_text()
    public = import_module(f"authx.{name}").__all__
    assert [each for each in public if not re.search(rf"\b{each}\b", text)] == []


def test_so_is_every_signal():
    text = SITE.read_text()
    names = [name for name, value in vars(signals).items() if isinstance(value, signals.Signal)]
    assert [name for name in names if f"signals.{name}" not in text] == []
