"""What pages are looked at with finds what is wrong with a page."""

from __future__ import annotations

import pytest

from tests.accessibility.axe import kind, violations
from tests.accessibility.looks import layout, space_text

STYLE = "<style>body { margin: 0; font: 16px/1.5 monospace } * { box-sizing: border-box }</style>"
#: A page, and how the complaint about it begins; empty for a page that is as it should be.
PAGES = {
    "as-it-should-be": ("<p>Good <button>Press</button></p>", ""),
    "hidden-from-sight": (
        "<p style='position: absolute; width: 1px; height: 1px; overflow: hidden; white-space: nowrap'>"
        "A long text</p>",
        "",
    ),
    "too-wide": ("<div style='width: 400px'>Text</div>", "scrolls sideways: 400 > 320"),
    "too-long-a-word": (f"<p>{'x' * 100}</p>", "scrolls sideways"),
    "outside": ("<p style='position: absolute; left: -30px'>Text</p>", 'outside the window: "Text"'),
    "in-its-own-scroller": (f"<div style='overflow-x: auto' tabindex=0>{'x' * 100}</div>", ""),
    "cut-off-beside": (f"<p style='overflow: hidden'>{'x' * 100}</p>", "cut off"),
    "cut-off-below": ("<p style='height: 1em; overflow: hidden'>One<br>two</p>", "cut off"),
    "text-on-text": (
        "<p>Below</p><p style='margin-top: -40px'>Above</p>",
        'overlap: "Below" and "Above"',
    ),
    "text-on-a-button": ("<button>Press</button><p style='margin-top: -20px'>Text</p>", 'overlap: "Text"'),
    "button-on-a-button": (
        "<button>Press</button><button style='margin-left: -30px'>Other</button>",
        "overlap: body > button and body > button",
    ),
    "too-small-a-button": (
        "<button style='width: 40px; white-space: nowrap'>A long word</button>",
        "does not fit",
    ),
}


@pytest.fixture(scope="module")
def window(chromium):
    page = chromium.new_page(viewport={"width": 320, "height": 600})
    yield page
    page.close()


def show(window, body):
    window.set_content(
        f"<!doctype html><html lang=en><title>Page</title>{STYLE}<body><main><h1>Page</h1>{body}</main>"
    )
    return window


@pytest.mark.parametrize("name", PAGES)
def test_a_layout_that_does_not_hold_is_found(name, window):
    body, complaint = PAGES[name]
    window.set_content(f"<!doctype html>{STYLE}{body}")
    found = layout(window)
    assert bool(found) == bool(complaint), found
    assert any(complaint in each for each in found) or not complaint, found


def test_text_that_does_not_hold_when_it_is_spaced_is_found(window):
    window.set_content(
        f"<!doctype html>{STYLE}<p style='height: 24px; width: 6em; overflow: hidden'>Two words</p>"
    )
    assert layout(window) == []
    with space_text(window):
        assert layout(window) != []
    assert layout(window) == []


@pytest.mark.parametrize(
    ("body", "rule", "of_colors"),
    [
        ("<img src=x>", "image-alt", False),
        ("<button></button>", "button-name", False),
        ("<input name=q>", "label", False),
        ("<h4>Out of order</h4>", "heading-order", False),
        ("<p style='color: #aaa; background: #fff'>Pale</p>", "color-contrast", True),
    ],
)
def test_axe_finds_what_is_wrong(body, rule, of_colors, window):
    assert violations(show(window, "<p>Good</p>"), of_colors=of_colors) == {}
    assert [found for found, _ in violations(show(window, body), of_colors=of_colors)] == [rule]


def test_pages_are_compared_by_the_kind_of_place():
    assert kind("list", "#row-12 > li:nth-child(3)") == kind("list", "#row-7 > li:nth-child(1)")
    assert kind("list", "ul > li") != kind("list", "ol > li")
