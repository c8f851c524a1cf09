"""Pages of ours to people who have settled how pages look to them: fewer colors, or nothing that moves."""

from __future__ import annotations

import pytest

from tests.accessibility.visits import VISITS

#: Pages with icons, badges, marks and fields of ours.
PAGES = ["devices", "login-after-a-kick", "login-wrong-password", "sessions", "session", "activity"]
#: What is drawn, and stands for something that no word beside it says as soon.
DRAWN = ".authx-icon, .authx-badge, .authx-dot, .authx-mark, .authx-alarm, .authx-notice, .authx-error"
#: What moves by itself or with the pointer, of what is ours.
MOVING = """() => [...document.querySelectorAll('[class*="authx-"]')].filter((element) => {
  const { animationName, transitionDuration } = getComputedStyle(element);
  return animationName !== "none" || transitionDuration.split(", ").some((each) => parseFloat(each) > 0);
}).map(({ className }) => String(className.baseVal ?? className))"""


@pytest.mark.slow
@pytest.mark.parametrize("name", PAGES)
def test_what_is_drawn_is_seen_with_forced_colors(name, begin):
    visit = VISITS[name]
    tour = begin(visit.who)
    visit.arrive(tour)
    page = tour.page
    page.emulate_media(forced_colors="active")
    drawn = page.locator(DRAWN)
    shown = [each for each in drawn.all() if each.is_visible()]
    assert shown
    kinds = set()
    for each in shown:
        kind = each.get_attribute("class")
        if kind in kinds:
            continue
        kinds.add(kind)
        before = each.screenshot()
        each.evaluate("(element) => (element.style.opacity = 0)")
        assert each.screenshot() != before, f"{kind} cannot be seen"
        each.evaluate("(element) => (element.style.opacity = '')")


@pytest.mark.slow
@pytest.mark.parametrize("name", PAGES)
def test_nothing_moves_where_that_is_not_wanted(name, begin):
    visit = VISITS[name]
    tour = begin(visit.who, reduced_motion="reduce")
    visit.arrive(tour)
    assert tour.page.evaluate(MOVING) == []
