#!/usr/bin/env python
"""Mutation testing: does a test fail for every small change of the code that decides about logins?

.venv/bin/pip install cosmic-ray mutmut
.venv/bin/python .ci/mutants.py                             # the modules that pyproject.toml lists
.venv/bin/python .ci/mutants.py authx/core/rates.py ...     # some of them

Each change is made in memory, in a process of its own that runs the module's tests until one fails: no file
is touched. A survivor that docs/mutation-testing.md gives a reason for counts as explained; any other one is
printed, and makes this fail.
"""

from __future__ import annotations

import importlib
import os
import re
import sys
import time
import tomllib
from pathlib import Path

from mutant_runs import passes, survivors_of
from mutations import mutants_of

ROOT = Path(__file__).resolve().parent.parent
EXPLAINED = ROOT / "docs" / "mutation-testing.md"

#: What the tests import beside the project and takes long: loaded once.
PRELOADED = ("cryptography.fernet", "django.contrib.admin", "django.test", "itsdangerous", "jwt")


def main() -> int:
    os.chdir(ROOT)
    sys.path.insert(0, str(ROOT))
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings.base"
    modules: dict[str, list[str]] = tomllib.loads(Path("pyproject.toml").read_text())["tool"]["mutants"]
    for name in PRELOADED:
        importlib.import_module(name)
    rows = [(path, *examine(path, modules[path])) for path in sys.argv[1:] or modules]
    rows.append(("all", *(sum(row[column] for row in rows) for column in (1, 2, 3))))  # type: ignore[misc]
    print(f"\n{'module':36} mutants  killed  explained  survive")
    for path, mutants, known, new in rows:
        killed = mutants - known - new
        print(f"{path:36} {mutants:7} {killed:7} {known:10} {new:8} {killed / mutants:8.1%}")
    return int(rows[-1][-1] > 0)


def examine(path: str, tests: list[str]) -> tuple[int, int, int]:
    """Print what survives without a reason; return how many changes there are, explained and not."""
    source = Path(path).read_text()
    began = time.monotonic()
    if not passes(path, tests, source, 3600, shown=True):
        sys.exit(f"{path}: its tests fail without any change")
    timeout = 60 + 10 * (time.monotonic() - began)
    if passes(path, tests, "raise AssertionError", timeout):
        sys.exit(f"{path}: its tests do not import it")
    mutants, reasons, known, new = mutants_of(source), explained(path), 0, 0
    for mutant in survivors_of(path, tests, mutants, timeout):
        if mutant.change in reasons:
            known += 1
        else:
            new += 1
            print(f"{path}:{mutant.line}: {mutant.change}", flush=True)
    return len(mutants), known, new


def explained(path: str) -> set[str]:
    """Return the changes that stand in the section of this module in docs/mutation-testing.md."""
    text = EXPLAINED.read_text() if EXPLAINED.exists() else ""
    section = text.partition(f"\n## {path}\n")[2].partition("\n## ")[0]
    return {" ".join(change.split()) for change in re.findall(r"^- `(.+)`$", section, re.MULTILINE)}


if __name__ == "__main__":
    sys.exit(main())
