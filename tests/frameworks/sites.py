"""The views of docs/frameworks.md, each as the URLconf of a site."""

from __future__ import annotations

import sys
from functools import cache
from types import ModuleType
from typing import Any

from django.urls import include, path

from tests.documented import documented

PAGE = "frameworks.md"


@cache
def shown(first_line: str) -> ModuleType:
    """A module of the page; strawberry looks for it where modules are."""
    name = f"tests.frameworks.shown_{first_line.split()[-1].replace('-', '_')}"
    found = sys.modules[name] = ModuleType(name)
    exec(compile(documented(PAGE, "python", first_line), f"{PAGE}: {first_line}", "exec"), found.__dict__)
    return found


def site(*patterns: Any) -> ModuleType:
    """A site with these, and all that the site of the tests has."""
    found: Any = ModuleType("site")
    found.urlpatterns = [*patterns, path("", include("tests.urls"))]
    return found
