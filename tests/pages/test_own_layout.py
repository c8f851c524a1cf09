"""Our pages within a base template of the site's own, as docs/questions.md has it, in Chromium."""

import re
from pathlib import Path

import pytest
from django.test import override_settings

import authx
from tests.accessibility.axe import violations
from tests.accessibility.looks import layout
from tests.conftest import PASSWORD
from tests.documented import documented

SHEET = Path(authx.__file__).parent / "static/authx/authx.css"
#: A site's layout, with rules for plain elements that ours have to stand up to.
BASE = """<!DOCTYPE html><html lang="en" class="%(mode)s"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{%% block title %%}Shop{%% endblock %%}</title><style>
%(documented)s
:root { --paper: #fffdf5; --ink: #2b2118; }
%(dark)s
body { margin: 0; background: var(--paper); color: var(--ink); font: 18px/1.7 Georgia, serif; }
h1 { margin: 2rem 0; font-size: 4rem; } h2 { font-size: 3rem; } p { margin: 2em 0; }
main { max-width: 70rem; margin: auto; padding: 1rem; }
</style>{%% block head %%}{%% endblock %%}</head>
<body><header>The shop</header>
<main><p class="shop">Welcome.</p>{%% block body %%}{%% endblock %%}</main></body></html>"""
NIGHT = "--paper: #17120d; --ink: #f3e9dc;"
SWITCH = f":root.dark {{ {NIGHT} }}"
BY_SYSTEM = f"@media (prefers-color-scheme: dark) {{ :root:not(.light) {{ {NIGHT} }} }}"
#: The site's own rules, whether ours of the documentation too, its class, the visitor's system; how it looks.
SITES = {
    "light alone": ("", False, "", "dark", "light"),
    "by the system, dark": (BY_SYSTEM, True, "", "dark", "dark"),
    "by the system, light": (BY_SYSTEM, True, "", "light", "light"),
    "by a switch": (SWITCH, True, "dark", "light", "dark"),
}
SURFACES = {"light": "rgb(255, 255, 255)", "dark": "rgb(25, 29, 39)"}
#: The browser's window: a phone, and a desktop.
WIDTHS = (390, 1280)
_STYLE = "([where, name]) => getComputedStyle(document.querySelector(where))[name]"
_HEIGHT_IN_LINES = "(badge) => badge.getClientRects().length"


@pytest.fixture(params=[pytest.param(name, id=name.replace(", ", "-").replace(" ", "-")) for name in SITES])
def shop(request, chromium, live_server, settings, tmp_path, make_user):
    """The devices page of such a site, and how that site looks."""
    dark, follows, mode, system, looks = SITES[request.param]
    rules = documented("questions.md", "css", "color-scheme") if follows else ""
    for name, text in {
        "site/base.html": BASE % {"dark": dark, "documented": rules, "mode": mode},
        "authx/base.html": documented("questions.md", r"html\+django", "site/base.html"),
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    person = make_user("ada")
    with override_settings(TEMPLATES=[{**settings.TEMPLATES[0], "DIRS": [tmp_path]}]):
        context = chromium.new_context(color_scheme=system, base_url=live_server.url)
        page = context.new_page()
        page.goto("/account/login/")
        yield page, looks, person
        context.close()


def style(page, where, name):
    return page.evaluate(_STYLE, [where, name])


def unreadable(page):
    return {place: why for (_, place), why in violations(page, of_colors=True).items()}


def sign_in(page, person, password):
    page.locator("input[name=username]").fill(person.get_username())
    page.locator("input[name=password]").fill(password)
    page.get_by_role("button", name="Sign in", exact=True).click()
    page.wait_for_load_state("networkidle")


@pytest.mark.browser
@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_our_pages_fit_into_it_and_can_be_read(shop):
    page, looks, person = shop
    sign_in(page, person, "wrong")
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        assert page.locator(".authx-error").is_visible()
        assert layout(page) == []
        assert unreadable(page) == {}
        assert style(page, ".authx-card", "backgroundColor") == SURFACES[looks]
        assert style(page, ".authx-inset h1", "fontSize") == "26px"
        card, field = (page.locator(each).bounding_box() for each in (".authx-card", "input[name=password]"))
        assert card["width"] <= 28 * 16
        assert field["x"] + field["width"] < card["x"] + card["width"]
    sign_in(page, person, PASSWORD)
    page.goto("/account/devices/")
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        assert page.locator(".authx-badge").evaluate(_HEIGHT_IN_LINES) == 1
        assert layout(page) == []
        assert unreadable(page) == {}
        assert style(page, ".authx-device", "backgroundColor") == SURFACES[looks]
    name, badge = (page.locator(each).bounding_box() for each in (".authx-device-name", ".authx-badge"))
    assert abs(name["y"] - badge["y"]) < 12  # beside it, where there is room
    page.locator("summary").first.click()
    assert layout(page) == []
    assert unreadable(page) == {}


@pytest.mark.browser
@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_what_is_the_sites_own_stays_as_it_is(shop):
    page, looks, _ = shop
    paper, ink = (
        ("rgb(255, 253, 245)", "rgb(43, 33, 24)")
        if looks == "light"
        else (
            "rgb(23, 18, 13)",
            "rgb(243, 233, 220)",
        )
    )
    assert style(page, "body", "backgroundColor") == paper
    assert style(page, "body", "color") == ink
    assert style(page, ".shop", "marginTop") == "36px"
    assert style(page, "main", "boxSizing") == "content-box"
    assert style(page, ".authx-inset", "fontFamily") == "Georgia, serif"


def test_browsers_without_light_dark_get_the_light_colors():
    text = SHEET.read_text()
    colors, rest = text.split("@supports not", 1)
    fallback = rest.split("/* Page */", 1)[0]
    light = dict(re.findall(r"(--authx-[\w-]+): light-dark\((#\w+), #\w+\);", colors))
    assert len(light) > 15
    plain = dict(re.findall(r"(--authx-[\w-]+): (.+);", fallback))
    shadow = " ".join(re.search(r"--authx-shadow:(.*?);", colors, re.DOTALL)[1].split())
    assert plain.pop("--authx-shadow") == re.sub(r"light-dark\((.*?\)), transparent\)", r"\1", shadow)
    assert plain == light
