"""Buttons that are pressed twice on a slow machine, in Chromium, with and without scripts.

The answer to the first has come, and its cookies are there, but the page of the form is still shown. Each
ends where the first would have led.
"""

import json
from uuid import UUID

import pytest
from playwright.sync_api import expect

from tests.journeys.demo import DEVICE_SESSIONS, IPHONE, WITH_AND_WITHOUT, press_twice, serving

pytestmark = [pytest.mark.browser, pytest.mark.slow]

LOGIN, DEVICES, CONFIRM = "/account/login/", "/account/devices/", "/account/confirm/"
LIMITS = {"types": ["web"], "limit": 1, "when_full": "refuse", "choose": True}
PHONE = "Safari on iPhone"


def live(site):
    rows = site.query("SELECT id FROM authx_devicesession WHERE ended_at IS NULL")
    return {str(UUID(row["id"])) for row in rows}


def fill_in(person, user, path=LOGIN):
    page = person.go(path).page
    page.get_by_label("Username").fill(user)
    page.get_by_label("Password").fill(f"{user}-demo")
    return page


def shown(page, heading):
    expect(page.get_by_role("heading", name=heading, exact=True)).to_be_visible()


@WITH_AND_WITHOUT
def test_sign_in(either_site, open_profile, script):
    ada = open_profile(either_site, java_script_enabled=script)
    for known in (False, True):
        if known:
            ada.go("/").click("Sign out")
        page = fill_in(ada, "ada", f"{LOGIN}?next=/private/")
        answers = press_twice(page, page.get_by_role("button", name="Sign in", exact=True))
        assert answers == [(302, "/private/")] * 2
        shown(page, "Private page")
        assert live(either_site) == {ada.sid}


@WITH_AND_WITHOUT
def test_sign_in_to_the_admin(either_site, open_profile, script):
    admin = open_profile(either_site, java_script_enabled=script)
    page = fill_in(admin, "admin", DEVICE_SESSIONS)
    answers = press_twice(page, page.get_by_role("button", name="Log in"))
    assert answers == [(302, DEVICE_SESSIONS)] * 2
    page.wait_for_url(f"**{DEVICE_SESSIONS}")
    assert page.locator("#result_list").count() == 1
    assert live(either_site) == {admin.sid}


@WITH_AND_WITHOUT
def test_choose_a_device_to_sign_out(tmp_path, open_profile, script):
    with serving(tmp_path, DEMO_LIMITS=json.dumps([LIMITS])) as site:
        open_profile(site).sign_in("ada")
        ada = open_profile(site, java_script_enabled=script)
        page = ada.sign_in("ada", path=f"{LOGIN}?next=/private/").page
        answers = press_twice(page, page.get_by_role("button", name="Sign it out and sign in here"))
        assert answers == [(302, "/private/")] * 2
        shown(page, "Private page")
        assert live(site) == {ada.sid}


@WITH_AND_WITHOUT
def test_going_back_and_signing_in_again(site, open_profile, script):
    """Whether the browser shows the old page, with the old token, or asks for it anew."""
    ada = open_profile(site, java_script_enabled=script).sign_in("ada", path=f"{LOGIN}?next=/private/")
    page = ada.page
    page.go_back()
    page.get_by_label("Username").fill("ada")
    page.get_by_label("Password").fill("ada-demo")
    ada.click("Sign in")
    shown(page, "Private page")
    assert live(site) == {ada.sid}


def test_a_page_that_was_left_open_says_who_is_signed_in_and_takes_another(site, open_profile):
    ada = open_profile(site)
    left = fill_in(ada, "bob", f"{LOGIN}?next=/private/")
    ada.page = ada.context.new_page()
    ada.sign_in("ada")
    left.get_by_role("button", name="Sign in", exact=True).click()
    shown(left, "You are signed in as ada")
    ada.page = left
    left.get_by_label("Username").fill("bob")
    left.get_by_label("Password").fill("bob-demo")
    ada.click("Sign in")
    assert ada.path == "/private/"
    assert "bob" in left.locator("dl").inner_text()


#: The buttons of the devices page: which, where they lead, and what the page then says.
BUTTONS = {
    "sign out": ("Sign out Chrome on Linux", None, "You are signed out"),
    "sign out everywhere else": ("Sign out everywhere else", DEVICES, "Your devices"),
    "end one": (f"Sign out {PHONE}", DEVICES, "Your devices"),
    "yes, it was me": (f"Yes, it was me {PHONE}", DEVICES, "Your devices"),
    "no, it was not": (f"No, secure my account {PHONE}", "/password/", "Change your password"),
}


@WITH_AND_WITHOUT
@pytest.mark.parametrize("which", BUTTONS)
def test_a_button_of_the_devices_page(site, open_profile, which, script):
    button, leads, heading = BUTTONS[which]
    ada = open_profile(site, java_script_enabled=script).sign_in("ada")
    phone = open_profile(site, user_agent=IPHONE).sign_in("ada")
    page = ada.go(DEVICES).page
    answers = press_twice(page, page.get_by_role("button", name=button, exact=True))
    assert answers == [(200 if leads is None else 302, leads)] * 2
    shown(page, heading)
    assert phone.is_signed_in == (which in {"sign out", "yes, it was me"})


@WITH_AND_WITHOUT
def test_rename(site, open_profile, script):
    ada = open_profile(site, java_script_enabled=script).sign_in("ada")
    page = ada.go(DEVICES).page
    page.locator(".authx-more summary").first.click()
    page.get_by_label("Name shown here").fill("A <laptop>")
    answers = press_twice(page, page.get_by_role("button", name="Rename"))
    assert answers == [(302, DEVICES)] * 2
    shown(page, "A <laptop>")


@WITH_AND_WITHOUT
def test_confirm(site, open_profile, script):
    ada = open_profile(site, java_script_enabled=script).sign_in("ada")
    page = ada.go(f"{CONFIRM}?next=/private/").page
    page.get_by_label("Password").fill("ada-demo")
    answers = press_twice(page, page.get_by_role("button", name="Confirm", exact=True))
    assert answers == [(302, "/private/")] * 2
    shown(page, "Private page")
    assert live(site) == {ada.sid}
