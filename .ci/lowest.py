"""Print the lowest versions that pyproject.toml allows, as constraints for pip.

Of everything but the tools of tests and documentation, which nobody's site installs.
"""

import re
import tomllib
from pathlib import Path

PYPROJECT = Path(__file__).parent.parent / "pyproject.toml"
#: The extras that no site installs.
TOOLS = {"docs", "test"}
#: A name, perhaps with extras, and the version that it begins with.
LOWER_BOUND = re.compile(r"([\w.-]+)(?:\[[\w,-]+\])?>=([\d.]+)(?:,<[\d.]+)?")


def lowest() -> list[str]:
    """Return a line ``name==version`` for each requirement.

    Raises:
        SystemExit: a requirement has no lower bound.
    """
    project = tomllib.loads(PYPROJECT.read_text())["project"]
    extras = project["optional-dependencies"]
    wanted = [
        *project["dependencies"],
        *(each for name in extras if name not in TOOLS for each in extras[name]),
    ]
    found = []
    for requirement in wanted:
        if (bound := LOWER_BOUND.fullmatch(requirement)) is None:
            raise SystemExit(f"pyproject.toml: {requirement!r} has no lower bound")
        found.append(f"{bound[1]}=={bound[2]}")
    return found


if __name__ == "__main__":
    print(*lowest(), sep="\n")
