"""The sign-in page in Chromium, with and without scripts: why and when, who is signed in, how long to wait.

AUTHX_SCREENSHOTS=directory takes pictures besides, light and dark, wide and narrow, both ways round.
"""

import os
import re
from pathlib import Path

import pytest
from playwright.sync_api import expect

from authx.http.cookies import ended_cookie
from tests.journeys.demo import ACCESS, REFRESH, WITH_AND_WITHOUT, Profile, serving
from tests.signing_in import WHY

pytestmark = [pytest.mark.browser, pytest.mark.slow]

LOGIN, ADMIN = "/account/login/", "/admin/"


def end(site, reason="kicked"):
    """End every session, as staff do elsewhere."""
    now = "strftime('%Y-%m-%d %H:%M:%f000', 'now')"
    site.query(
        f"UPDATE authx_devicesession SET ended_at = {now}, end_reason = ? WHERE ended_at IS NULL", reason
    )


def try_password(profile, password):
    profile.page.get_by_label("Username").fill("ada")
    profile.page.get_by_label("Password").fill(password)
    return profile.click("Sign in")


def described(profile):
    """What a screen reader says of the first field, beside its name."""
    field = profile.page.get_by_role("textbox", name="Username")
    ids = field.get_attribute("aria-describedby") or ""
    return [profile.page.locator(f"[id='{each}']").inner_text() for each in ids.split()]


@WITH_AND_WITHOUT
def test_why_and_when_stay_until_somebody_has_signed_in(site, open_profile, script):
    ada = open_profile(site, java_script_enabled=script).sign_in("ada")
    end(site)
    page = ada.go("/private/").page
    assert ada.path == f"{LOGIN}?next=/private/"
    for round_ in range(3):
        assert ada.notice == ("kicked", WHY)
        said = page.locator("#authx-ended").inner_text()
        assert re.search(r"Today at \S+ [ap]\.m\. UTC|Today at (noon|midnight) UTC", said)
        assert "Sign in to go on where you were." in said
        assert "Signed out by an administrator \u2013 Sign in" in page.title()
        assert WHY in described(ada)[-1]
        expect(page.get_by_role("textbox", name="Username")).to_have_accessible_description(
            re.compile("administrator")
        )
        assert not {ACCESS, REFRESH} & ada.cookies().keys()
        if round_ < 2:
            try_password(ada, "wrong")
            assert page.title().startswith("Error: ")
            assert "correct username and password" in described(ada)[0]
    try_password(ada, "ada-demo")
    assert ada.path == "/private/"
    assert ended_cookie() not in ada.cookies()
    ada.go("/").click("Sign out")
    assert ada.go(LOGIN).notice is None


@WITH_AND_WITHOUT
def test_a_kicked_administrator_is_told_by_the_admin(site, open_profile, script):
    admin = open_profile(site, java_script_enabled=script)
    admin.sign_in_to_admin()
    end(site)
    page = admin.go(ADMIN).page
    assert admin.path == "/admin/login/?next=/admin/"
    for _round in range(2):
        message = page.locator(".messagelist li")
        assert message.count() == 1
        assert message.inner_text().startswith(f"{WHY} Today at ")
        assert message.locator("time").get_attribute("datetime")
        page.get_by_label("Username").fill("admin")
        page.get_by_label("Password").fill("wrong")
        admin.click("Log in")
    page.get_by_label("Password").fill("admin-demo")
    admin.click("Log in")
    assert admin.path == ADMIN
    assert WHY not in page.locator("body").inner_text()


@WITH_AND_WITHOUT
def test_who_is_signed_in_is_told_so_and_goes_on_or_signs_out(site, open_profile, script):
    ada = open_profile(site, java_script_enabled=script).sign_in("ada")
    page = ada.go(f"{LOGIN}?next=/private/").page
    assert page.get_by_role("heading", level=1).inner_text() == "You are signed in as ada"
    ada.click("Go on", role="link")
    assert ada.path == "/private/"
    ada.go(f"{LOGIN}?next=/private/").click("Sign out")
    assert ada.path == f"{LOGIN}?next=/private/"
    assert page.get_by_role("heading", level=1).inner_text() == "Sign in"
    assert ada.notice is None
    page.get_by_label("Username").fill("bob")
    page.get_by_label("Password").fill("bob-demo")
    ada.click("Sign in")
    assert ada.path == "/private/"
    assert "bob" in page.locator("dl").inner_text()


@WITH_AND_WITHOUT
def test_who_has_to_wait_is_told_for_how_long(site, open_profile, script):
    guesser = open_profile(site, java_script_enabled=script)
    guesser.go(LOGIN)
    for _try in range(30):
        try_password(guesser, "wrong")
        said = guesser.page.get_by_role("alert").inner_text()
        if "Too many attempts" in said:
            break
    assert re.fullmatch(r"Too many attempts\. Please try again in \d+ (seconds?|minutes)\.", said.strip())
    assert said.strip() in described(guesser)[0]


@pytest.mark.parametrize("direction", ["ltr", "rtl"])
def test_it_fits_at_every_width_and_keeps_to_a_strict_policy(site, open_profile, direction):
    ada = open_profile(site)
    ada.keep_strictly_to()
    ada.sign_in("ada")
    for shown in ("signed-in", "kicked", "wrong"):
        if shown == "kicked":
            site.query("UPDATE authx_devicesession SET answers_lost = 1")
            end(site, "reused")
        ada.go(LOGIN)
        if shown == "wrong":
            try_password(ada, "wrong")
        assert_fits(ada.page, direction)
    assert [each for each in ada.complaints if "favicon" not in each] == []


def assert_fits(page, direction):
    page.evaluate(f"document.documentElement.dir = '{direction}'")
    wide = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    for width in (320, 390, 640, 1280):  # 640 is what 200 % leaves of 1280
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate(wide) == 0, width
        boxes = [box.bounding_box() for box in page.locator("input:visible, button:visible").all()]
        assert all(box["x"] >= 0 and box["x"] + box["width"] <= width for box in boxes), width


def test_with_the_keyboard_alone(site, open_profile):
    ada = open_profile(site).sign_in("ada")
    end(site)
    page = ada.go("/private/").page
    assert page.evaluate("document.activeElement.name") == "username"
    page.keyboard.type("ada")
    page.keyboard.press("Tab")
    page.keyboard.type("ada-demo")
    page.keyboard.press("Enter")
    page.wait_for_url("**/private/")


# Pictures


def take_screenshots(chromium, directory, new_directory):
    directory.mkdir(parents=True, exist_ok=True)
    for scheme in ("light", "dark"):
        for width in (1280, 390):
            options = {"color_scheme": scheme, "viewport": {"width": width, "height": 900}}
            with serving(new_directory("signing-in")) as site:
                profile = Profile(chromium, site, **options)
                _take(profile, directory, f"{scheme}-{width}", site)
                profile.context.close()


def _take(profile, directory, suffix, site):
    page = profile.page

    def shoot(name):
        for direction in ("ltr", "rtl"):
            page.evaluate(f"document.documentElement.dir = '{direction}'")
            page.screenshot(path=directory / f"{name}-{suffix}-{direction}.png", full_page=True)

    profile.go(LOGIN)
    shoot("login")
    profile.sign_in("ada").go(f"{LOGIN}?next=/private/")
    shoot("login-signed-in")
    end(site)
    profile.go("/private/")
    shoot("login-kicked")
    try_password(profile, "wrong")
    shoot("login-wrong")
    for _try in range(12):
        try_password(profile, "wrong")
    shoot("login-limited")
    profile.sign_in_to_admin()
    end(site, "reused")
    profile.go(ADMIN)
    shoot("admin-login")
    profile.go(LOGIN)
    shoot("login-copied")


@pytest.fixture(scope="module", autouse=True)
def _screenshots(request, tmp_path_factory):
    if directory := os.environ.get("AUTHX_SCREENSHOTS"):
        take_screenshots(request.getfixturevalue("chromium"), Path(directory), tmp_path_factory.mktemp)
