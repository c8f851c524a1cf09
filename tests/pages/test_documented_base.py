"""docs/questions.md: our pages in a layout of the site's own, and under a name of its own."""

import pytest
from django.test import Client

from tests.documented import documented, with_changes

pytestmark = pytest.mark.django_db

#: A base whose block of the title has another name.
SITE_BASE = """<title>{% block page_title %}Shop{% endblock %}</title>
{% block head %}{% endblock %}
{% block body %}{% endblock %}"""


def block(holding):
    return documented("questions.md", r"html\+django", holding)


@pytest.fixture
def page(settings):
    """The login page, with these templates before ours."""

    def page(**templates):
        (engine,) = settings.TEMPLATES
        named = {f"{name.replace('_', '/')}.html": text for name, text in templates.items()}
        loaders = [
            ("django.template.loaders.locmem.Loader", named),
            "django.template.loaders.app_directories.Loader",
        ]
        options = {**engine["OPTIONS"], "loaders": loaders}
        settings.TEMPLATES = [{**engine, "APP_DIRS": False, "OPTIONS": options}]
        answer = Client().get("/account/login/", secure=True)
        assert answer.status_code == 200
        return answer.content.decode()

    return page


def test_a_title_block_of_another_name_has_the_titles(page):
    recipe = block("site/base.html")
    assert "<title>Shop</title>" in page(site_base=SITE_BASE, authx_base=recipe)
    shown = page(site_base=SITE_BASE, authx_base=recipe + block("page_title"))
    assert "<title>Sign in</title>" in shown
    assert 'name="password"' in shown


def test_home_leads_where_the_site_says(page):
    text = with_changes(block("brand_url"), {'"start"': '"authx:devices"'})
    assert '<a class="authx-brand" href="/account/devices/">Our shop</a>' in page(authx_base=text)


def test_the_line_with_home_can_be_left_out(page):
    text = '{% extends "authx/base.html" %}{% block header %}{% endblock %}'
    shown = page(authx_base=text)
    assert "authx-brand" not in shown
    assert 'name="password"' in shown
