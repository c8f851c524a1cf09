"""authx.core.deprecation: a site can make errors of our warnings, and of no others."""

import os
import subprocess
import sys
from pathlib import Path

from tests.documented import documented

ROOT = Path(__file__).parents[2]


USE = """
import warnings

from authx.core.deprecation import AuthxDeprecationWarning


def test_use():
    warnings.warn("of somebody else's", DeprecationWarning)
    warnings.warn("x is deprecated", AuthxDeprecationWarning)
"""


def run(program, folder):
    """Run it as on a site, where authx is found among installed packages and in no other way."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PY", "DJANGO"))}
    environment["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    command = [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(ROOT)!r}); {program}"]
    return subprocess.run(command, capture_output=True, text=True, cwd=folder, env=environment)


def test_a_site_makes_errors_of_ours_alone(tmp_path):
    """As the documentation says, with pytest's option."""
    command = documented("upgrading.md", "sh", "-W error").split()
    options = [*command[command.index("pytest") + 1 :], "-p", "no:cacheprovider"]
    (tmp_path / "test_use.py").write_text(USE)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    found = run(f"import pytest; raise SystemExit(pytest.main({options!r}))", tmp_path)
    assert "1 failed, 1 warning" in found.stdout, found.stdout + found.stderr
    assert "AuthxDeprecationWarning: x is deprecated" in found.stdout


def test_so_do_the_settings_of_its_tests(tmp_path):
    (tmp_path / "test_settings.py").write_text(documented("upgrading.md", "python", "simplefilter"))
    (tmp_path / "test_use.py").write_text(USE)
    found = run("import test_settings, test_use; test_use.test_use()", tmp_path)
    assert found.returncode == 1
    assert "AuthxDeprecationWarning: x is deprecated" in found.stderr
