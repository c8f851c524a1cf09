"""Every page of ours is visited: those that have a URL, and those that stand in the place of another."""

from __future__ import annotations

import pkgutil
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from django.contrib import admin
from django.test import Client
from django.urls import URLPattern, URLResolver, reverse
from rest_framework.views import APIView

import authx
from tests.accessibility.visits import NO_PAGES, NOT_PAGES, VISITS

TEMPLATES = Path(authx.__file__).parent / "templates"
#: Mail is no page.
MAIL = "authx/mail/"


def urls_of_ours() -> dict[str, URLPattern]:
    """Every URL pattern of ours by its name, but for those of the API, which answer JSON."""
    found = {f"admin:{each.name}": each for each in leaves(admin.site.urls[0]) if is_of_ours(each)}
    for module in pkgutil.walk_packages(authx.__path__, "authx."):
        if module.name.endswith(".urls"):
            urls = import_module(module.name)
            found |= {f"{urls.app_name}:{each.name}": each for each in leaves(urls.urlpatterns) if each.name}
    return {name: each for name, each in found.items() if not is_api(each)}


def leaves(patterns: Any) -> Iterator[URLPattern]:
    for each in patterns:
        if isinstance(each, URLResolver):
            yield from leaves(each.url_patterns)
        else:
            yield each


def is_of_ours(pattern: URLPattern) -> bool:
    """Whether it is one of the admin's that shows what is ours."""
    module = getattr(pattern.callback, "__module__", "")
    return bool(pattern.name) and (pattern.name.startswith("authx_") or module.startswith("authx."))


def is_api(pattern: URLPattern) -> bool:
    return issubclass(getattr(pattern.callback, "cls", object), APIView)


def pages_of_ours() -> set[str]:
    """Every template that is a page: what others extend or include begins with no name of its own."""
    names = {path.relative_to(TEMPLATES).as_posix() for path in TEMPLATES.rglob("*.html")}
    sources = {name: (TEMPLATES / name).read_text() for name in names}
    used = {
        name
        for name in names
        if any(f'{tag} "{name}"' in text for text in sources.values() for tag in ("extends", "include"))
    }
    return {name for name in names - used if not name.startswith(MAIL)}


@pytest.mark.parametrize("name", sorted(urls_of_ours()))
def test_every_url_of_ours_is_visited(name):
    visited = {visit.url for visit in VISITS.values()}
    assert name in visited or name in NO_PAGES, f"no visit for URL name {name}: add one to VISITS"
    assert not (name in visited and name in NO_PAGES)


@pytest.mark.parametrize("template", sorted(pages_of_ours()))
def test_every_template_of_ours_is_visited(template):
    visited = {visit.template for visit in VISITS.values()}
    assert template in visited | {*NOT_PAGES}, f"no visit for template {template}: add one to VISITS"


def test_what_is_visited_or_is_no_page_exists():
    assert {*NO_PAGES} <= {*urls_of_ours()}
    assert {*NOT_PAGES} <= pages_of_ours()
    for name, visit in VISITS.items():
        assert not visit.template.startswith("authx/") or (TEMPLATES / visit.template).exists(), name


@pytest.mark.parametrize("name", sorted(NO_PAGES))
def test_what_is_called_no_page_is_none(name, world):
    things = {"devicesession": world.alarmed.pk, "serviceclient": world.app.pk, "signingkey": world.key.pk}
    of_model = next((pk for model, pk in things.items() if f"_{model}_" in name), world.app.client_id)
    parts = dict.fromkeys(urls_of_ours()[name].pattern.converters, of_model)
    browser = Client()
    browser.force_login(world.boss)
    answer = browser.get(reverse(name, kwargs=parts | ({"sid": world.alarmed.pk} if "sid" in parts else {})))
    is_page = answer.status_code == 200 and answer["Content-Type"].startswith("text/html")
    assert not is_page, f"{name} answers with a page: visit it"
