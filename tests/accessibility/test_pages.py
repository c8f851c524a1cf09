"""Every page of ours: axe-core finds nothing, and it holds in narrow windows, in Arabic too.

What is found at the same kind of place on a page of Django's own admin is Django's.
"""

from __future__ import annotations

import re
from collections import defaultdict
from contextlib import contextmanager
from typing import NamedTuple

import pytest
from django.contrib.auth.admin import UserAdmin

from tests.accessibility.axe import kind, violations
from tests.accessibility.looks import layout, space_text
from tests.accessibility.tour import Tour, rendered
from tests.accessibility.visits import VISITS

#: Pages of Django's own, each of the same kind as one of ours, and with one of its models.
DJANGOS = [
    "/admin/auth/user/",
    "/admin/auth/user/?q=nobody-at-all",
    "/admin/auth/group/add/",
    "/admin/auth/user/{many.pk}/change/",
    "/admin/auth/user/{many.pk}/history/",
]
#: Each page is looked at in English, and in Arabic, which is read from right to left: these each time, the
#: others where there is time.
EACH_TIME = {"login-after-a-kick-en", "devices-asked-en", "devices-forty-ar", "session-en", "kick-en"}
LOOKS = [
    pytest.param(name, language, id=id_, marks=[] if id_ in EACH_TIME else [pytest.mark.slow])
    for language in ("en", "ar")
    for name in VISITS
    for id_ in [f"{name}-{language}"]
]
#: Windows, in CSS pixels: a small phone, a desktop of 1280 pixels at 200 %, and the same desktop.
WINDOWS = {"320 px": (320, 1), "200 %": (640, 2), "1280 px": (1280, 1)}


@pytest.fixture(scope="module")
def djangos_own(chromium, origin, world, signed_in):
    """Which kinds of findings are Django's; no more of its own pages are looked at than it takes."""
    known, left = defaultdict(set), {}

    def of_these(kinds, language):
        paths = left.setdefault(language, [*DJANGOS])
        while paths and not kinds <= known[language]:
            tour = Tour(chromium, origin, world, language=language, storage_state=signed_in("boss"))
            with searching_with_help():
                tour.open(paths.pop(0).format(many=world.many))
            known[language] |= {each.kind for each in findings(tour, language)}
            tour.close()
        return kinds & known[language]

    return of_these


@contextmanager
def searching_with_help():
    """Django's list of users has a text beside its search, as ours have."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(UserAdmin, "search_help_text", "Names and addresses")
        yield


class Finding(NamedTuple):
    where: str
    what: str
    kind: tuple[str, str]

    def __str__(self):
        return f"{self.where}: {self.what}"


def findings(tour, language):
    """What is wrong with the page, in each color scheme and window; axe finds the same in each language."""
    page = tour.page
    for scheme in ("light", "dark") if language == "en" else ():
        tour.paint(scheme)
        for (rule, place), why in violations(page, of_colors=scheme == "dark").items():
            yield Finding(scheme, f"{rule}: {place}: {why}", kind(rule, place))
    for window, (width, zoom) in WINDOWS.items():
        tour.widen(width, zoom=zoom)
        yield from _of_layout(window, page)
        if zoom == 1:
            with space_text(page):
                yield from _of_layout(f"{window}, spaced", page)


def _of_layout(window, page):
    for complaint in layout(page):
        # Without what it says, and how wide it is.
        yield Finding(window, complaint, ("layout", re.sub(r'"[^"]*"|\d+', "", complaint)))


@pytest.mark.parametrize(("name", "language"), LOOKS)
def test_a_page(name, language, begin, djangos_own):
    visit = VISITS[name]
    tour = begin(visit.who, language)
    with rendered() as templates:
        visit.arrive(tour)
    assert tour.pattern == visit.url
    assert visit.template in templates
    assert tour.page.evaluate("document.documentElement.dir") == ("rtl" if language == "ar" else "ltr")
    found = {each.kind: str(each) for each in findings(tour, language)}
    known = djangos_own(set(found), language) if visit.url.startswith("admin:") else set()
    wrong = [found[each] for each in found if each not in known]
    assert not wrong, "\n".join(wrong)
