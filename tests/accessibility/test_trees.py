"""What is read out of the pages that matter most: their accessibility trees, in words.

They are kept in ``trees/``; AUTHX_WRITE_TREES=1 writes them anew, and what has changed in them is to be read.
"""

from __future__ import annotations

import os
import re
from itertools import count
from pathlib import Path

import pytest

from authx.sessions import end_session
from tests.accessibility.ax import Reader
from tests.accessibility.visits import VISITS
from tests.accessibility.ways import kick
from tests.accessibility.world import change, person, sign_in

TREES = Path(__file__).parent / "trees"
#: A date with or without a time, as Django writes them in English, or a day as people call it.
CLOCK = r"(noon|midnight|[\d:]+ [ap]\.m\.)"
MOMENT = re.compile(rf"([A-Z][a-z]+\.? \d{{1,2}}, \d{{4}}(, {CLOCK})?|Today at {CLOCK})( UTC)?")
#: Everybody's own name.
OWN = re.compile(r"hedy-\d+")


def compare(name, tour, selector="body"):
    """Compare the tree beneath an element, in which all moments are the same."""
    file, tree = (
        TREES / f"{name}.txt",
        OWN.sub("hedy", MOMENT.sub("(date)", Reader(tour.page).tree(selector))),
    )
    if os.environ.get("AUTHX_WRITE_TREES") == "1":
        file.write_text(tree, "utf-8")
    assert tree == file.read_text("utf-8")


def test_the_login_page_with_a_reason(begin, world):
    tour = begin()
    tour.sign_in(person("grete"))
    end_session(tour.session(), "kicked")
    tour.open("authx:devices")
    compare("login", tour)


def test_the_login_page_after_a_wrong_password(begin):
    tour = begin()
    VISITS["login-wrong-password"].arrive(tour)
    compare("login-wrong-password", tour)


@pytest.fixture(scope="module")
def numbers():
    """A number for each: the names of people and of their devices are their own."""
    return count(1)


@pytest.fixture
def hedy(world, numbers):
    """Who has two devices."""
    user = person(f"hedy-{next(numbers)}")
    change(sign_in(user, on="phone"), country="DE")
    sign_in(user, on="tablet", name="Kitchen")
    return user


@pytest.fixture
def devices(begin, hedy):
    """The page of her devices, of which this is the third."""
    tour = begin()
    tour.sign_in(hedy)
    tour.open("authx:devices")
    return tour


def test_the_devices(devices):
    compare("devices", devices)


def test_the_details_of_a_device(devices):
    devices.page.locator("summary").first.click()
    compare("devices-details", devices)


def test_kicking_out(begin, hedy):
    """Of the page's middle: around it stands what is Django's, and differs from version to version."""
    tour = begin("boss")
    kick(tour, "kick", hedy.get_username())
    compare("kick", tour, "#content")
