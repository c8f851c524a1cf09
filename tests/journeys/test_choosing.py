"""A full limit that asks, in Chromium: which device to sign out, with and without scripts.

AUTHX_SCREENSHOTS=directory takes pictures of the page besides, light and dark, wide and narrow.
"""

import json
import os
from pathlib import Path
from uuid import UUID

import pytest

from tests.journeys.demo import IPHONE, PAUSES, WITH_AND_WITHOUT, Profile, serving

pytestmark = pytest.mark.browser

LIMITS = {"types": ["web"], "limit": 3, "when_full": "refuse", "choose": True}
HEADING = "Choose a device to sign out"
BUTTON = "Sign it out and sign in here"
FIREFOX = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0"
LONG = "The laptop that stands in the kitchen of the house by the sea, under the window on the left side"


@pytest.fixture
def full_site(tmp_path):
    with serving(tmp_path, DEMO_LIMITS=json.dumps([LIMITS])) as found:
        yield found


@pytest.fixture
def devices(full_site, open_profile):
    """A phone, a laptop with a long name and a desktop: ada can sign in nowhere else."""
    return fill(full_site, open_profile)


def fill(site, open_profile, **options):
    there = [open_profile(site, user_agent=agent, **options) for agent in (IPHONE, FIREFOX)]
    there.append(open_profile(site, **options))
    for profile in there:
        profile.sign_in("ada")
    for profile, hours, name in zip(there, (24 * 8, 3, 0), ("Ada\u2019s phone", LONG, ""), strict=True):
        seen = f"strftime('%Y-%m-%d %H:%M:%f000', last_seen_at, '-{hours} hours')"
        statement = f"UPDATE authx_devicesession SET last_seen_at = {seen}, device_name = ? WHERE id = ?"
        site.query(statement, name, UUID(profile.sid).hex)
    return there


def live(site):
    rows = site.query("SELECT id FROM authx_devicesession WHERE ended_at IS NULL")
    return {str(UUID(row["id"])) for row in rows}


@WITH_AND_WITHOUT
def test_the_chosen_device_makes_room(full_site, open_profile, devices, script):
    newcomer = open_profile(full_site, java_script_enabled=script)
    newcomer.sign_in("ada", path="/account/login/?next=/private/")
    assert newcomer.heading == HEADING
    page = newcomer.page
    names = page.locator(".authx-choice-name").all_inner_texts()
    assert names == ["Ada\u2019s phone", LONG, "Chrome on Linux"]
    assert page.get_by_role("radio").first.is_checked()
    page.get_by_label("Chrome on Linux").last.check()
    newcomer.click(BUTTON)
    assert newcomer.path == "/private/"
    assert [profile.is_signed_in for profile in (*devices, newcomer)] == [True, True, False, True]
    assert devices[2].notice == ("replaced", "You were signed out because of a newer sign-in (Browser).")


@pytest.mark.parametrize("pause", PAUSES)
def test_a_double_click_signs_in_once(full_site, open_profile, devices, pause):
    newcomer = open_profile(full_site).sign_in("ada")
    box = newcomer.page.get_by_role("button", name=BUTTON).bounding_box()
    spot = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    newcomer.page.mouse.click(*spot)
    newcomer.page.wait_for_timeout(pause)
    newcomer.page.mouse.click(*spot)
    newcomer.page.wait_for_load_state("networkidle")
    assert newcomer.is_signed_in, newcomer.page.content()
    assert newcomer.sid in live(full_site)
    assert len(live(full_site)) == 3


def test_going_back_and_choosing_again_says_that_it_is_over(full_site, open_profile, devices):
    newcomer = open_profile(full_site).sign_in("ada")
    fields = newcomer.page.locator("form").last.evaluate("form => [...new FormData(form).entries()]")
    newcomer.click(BUTTON)
    sid = newcomer.sid
    token = newcomer.go("/account/login/").page.locator("[name=csrfmiddlewaretoken]").first.input_value()
    sent, headers = dict(fields) | {"csrfmiddlewaretoken": token}, {"Referer": full_site.origin}
    answer = newcomer.context.request.post("/account/login/", form=sent, headers=headers)
    assert answer.status == 401
    assert "This choice is no longer open" in answer.text()
    assert newcomer.sid == sid
    assert len(live(full_site)) == 3


def test_with_the_keyboard_alone(full_site, open_profile, devices):
    newcomer = open_profile(full_site).sign_in("ada")
    page = newcomer.page
    for _ in range(30):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.type") == "radio":
            break
    page.keyboard.press("ArrowDown")
    assert page.get_by_role("radio").nth(1).is_checked()
    page.keyboard.press("Enter")
    page.wait_for_url(f"{full_site.origin}/")
    assert [profile.is_signed_in for profile in devices] == [True, False, True]


def test_it_keeps_to_a_strict_policy_and_to_the_screen(full_site, open_profile, devices):
    newcomer = open_profile(full_site)
    newcomer.keep_strictly_to()
    newcomer.sign_in("ada")
    assert newcomer.heading == HEADING
    wide = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    for width in (320, 360, 768, 1280):
        newcomer.page.set_viewport_size({"width": width, "height": 800})
        assert newcomer.page.evaluate(wide) == 0, width
    newcomer.click(BUTTON)
    assert newcomer.is_signed_in
    assert [each for each in newcomer.complaints if "409" not in each] == []


# Pictures


def take_screenshots(chromium, directory, new_directory):
    directory.mkdir(parents=True, exist_ok=True)
    for scheme in ("light", "dark"):
        for width in (1280, 360):
            options = {"color_scheme": scheme, "viewport": {"width": width, "height": 800}}
            _take(chromium, directory, f"{scheme}-{width}", options, new_directory)


def _take(chromium, directory, suffix, options, new_directory):
    opened = []

    def open_one(site, **more):
        opened.append(Profile(chromium, site, **{**options, **more}))
        return opened[-1]

    with serving(new_directory("asking"), DEMO_LIMITS=json.dumps([LIMITS])) as site:
        there = fill(site, open_one)
        newcomer = open_one(site).sign_in("ada", path="/account/login/?next=/private/")
        newcomer.page.screenshot(path=directory / f"choose-{suffix}.png", full_page=True)
        nothing = "form => { form.noValidate = true; form.querySelector(':checked').checked = false; }"
        newcomer.page.locator("form").last.evaluate(nothing)
        newcomer.click(BUTTON)
        newcomer.page.screenshot(path=directory / f"choose-again-{suffix}.png", full_page=True)
        assert len(there) == len(live(site))
        for profile in opened:
            profile.context.close()


@pytest.fixture(scope="module", autouse=True)
def _screenshots(request, tmp_path_factory):
    if directory := os.environ.get("AUTHX_SCREENSHOTS"):
        take_screenshots(request.getfixturevalue("chromium"), Path(directory), tmp_path_factory.mktemp)
