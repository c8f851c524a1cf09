"""Where a suite runs: its sources, an environment of its own, and both runs."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
import tomllib
import venv
from pathlib import Path

from tools.neighbors.outcomes import Outcome, read
from tools.neighbors.suites import Suite

GUEST = Path(__file__).with_name("guest.py")
#: What would say to the suite, from outside, what it has to say itself.
NOT_PASSED_ON = ("DJANGO_SETTINGS_MODULE", "PYTHONPATH", "PYTEST_ADDOPTS", "VIRTUAL_ENV")
NOT_COPIED = shutil.ignore_patterns(".venv", ".tox", "node_modules", "__pycache__")


class NothingRan(Exception):
    """A suite could not be run; the text says why."""


class Place:
    """The folder of one suite under the work folder."""

    def __init__(self, suite: Suite, work: Path, authx: Path, django: str | None) -> None:
        self.suite, self.authx, self.django = suite, authx, django
        self.folder = work / (f"{suite.name}-{django}" if django else suite.name)
        self.environment = self.folder / "environment"
        self.python = self.environment / "bin" / "python"
        self.source = self.folder / "source"
        self.constraints = self.folder / "constraints.txt"

    def prepare(self, checkout: Path | None) -> str:
        """Make what is not there yet, or was made of other ingredients; return the suite's version."""
        ready, made_of = self.folder / "ready.json", self.ingredients(checkout)
        if not ready.is_file() or json.loads(ready.read_text()) != made_of:
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder.mkdir(parents=True)
            self.constraints.write_text(f"Django~={self.django}.0\n" if self.django else "")
            venv.create(self.environment, with_pip=True)
            self.fetch(checkout)
            self.install()
            ready.write_text(json.dumps(made_of))
        asked = f"import importlib.metadata; print(importlib.metadata.version({self.suite.package!r}))"
        return subprocess.check_output([self.python, "-c", asked], text=True).strip()

    def ingredients(self, checkout: Path | None) -> list[object]:
        project = tomllib.loads((self.authx / "pyproject.toml").read_text())["project"]
        newest = checkout and max(path.stat().st_mtime for path in [checkout, *checkout.rglob("*.py")])
        return [sys.version, list(self.suite.needs), str(checkout), newest, project["dependencies"]]

    def fetch(self, checkout: Path | None) -> None:
        """Lay the sources out: a copy of the checkout, else the source distribution."""
        if checkout:
            shutil.copytree(checkout, self.source, symlinks=True, ignore=NOT_COPIED)
        else:
            package = self.suite.package
            self.pip("download", "--no-deps", "--no-binary", package, "--dest", str(self.folder), package)
            (archive,) = self.folder.glob("*.tar.gz")
            with tarfile.open(archive) as opened:
                opened.extractall(self.folder / "unpacked", filter="data")
            (unpacked,) = (self.folder / "unpacked").iterdir()
            unpacked.rename(self.source)
        if not (self.source / self.suite.tests).exists():
            raise NothingRan(
                f"{self.suite.name}: no {self.suite.tests} in there; "
                f"give a checkout that has it: {self.suite.name}=FOLDER"
            )

    def install(self) -> None:
        """Install the suite with what it needs, and what authx needs; authx itself is but linked to."""
        project = tomllib.loads((self.authx / "pyproject.toml").read_text())["project"]
        self.pip("install", *self.suite.needs, *project["dependencies"], f"{self.source}{self.suite.extras}")

    def pip(self, *arguments: str) -> None:
        options = ["-qq", "--disable-pip-version-check", "--constraint", str(self.constraints)]
        subprocess.run([self.python, "-m", "pip", *arguments, *options], check=True)

    def run(self, kind: str) -> Outcome:
        """Run the suite ``with`` authx or ``without``; the log stays beside the result."""
        results, log = self.folder / f"{kind}.json", self.folder / f"{kind}.log"
        results.unlink(missing_ok=True)
        command = [str(self.python), "-P", str(GUEST), str(results), kind, *self.suite.command]
        with log.open("w") as output:
            subprocess.run(
                command,
                cwd=self.source / self.suite.folder,
                env=self.variables(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                check=False,
            )
        if not results.is_file():
            raise NothingRan(f"{self.suite.name}, {kind} authx: nothing ran; see {log}")
        return read(results)

    def variables(self) -> dict[str, str]:
        """Return the environment: the suite's folders on the path, and of authx's the package alone."""
        linked = self.folder / "linked"
        linked.mkdir(exist_ok=True)
        link = linked / "authx"
        link.unlink(missing_ok=True)
        link.symlink_to(self.authx / "authx")
        path = [str((self.source / name).resolve()) for name in self.suite.path]
        kept = {name: value for name, value in os.environ.items() if name not in NOT_PASSED_ON}
        return kept | {"PYTHONPATH": os.pathsep.join([*path, str(linked)])}
