"""The main journey in Firefox: signed in, a page with a socket, kicked out, told why, signed in again."""

import pytest

from tests.journeys.demo import DEVICE_SESSIONS, serving
from tests.journeys.test_live import KICKED, SOON

# The demo is the same whatever site the other journeys are made on.
pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture
def site(tmp_path):
    with serving(tmp_path, "--asgi") as found:
        yield found


@pytest.fixture
def people(firefox, site):
    """Two people at one Firefox: a user and an administrator."""
    with firefox.person(site) as ada, firefox.person(site) as admin:
        yield ada, admin


def sign_in(tab, user):
    tab.fill("Username", user).fill("Password", f"{user}-demo").click("Sign in")


def choose_to_kick(admin, user):
    """Tick every session of this user, and press the button: a page asks whether that is meant."""
    admin.go(DEVICE_SESSIONS)
    rows = f"""[...document.querySelectorAll("#result_list tbody tr")].filter(
        row => row.querySelector(".field-person bdi").innerText.trim() === "{user}")"""
    assert admin.run(f"{rows}.map(row => row.querySelector('input').click()).length") > 0
    admin.run("document.querySelector('select[name=action]').value = 'kick'")
    admin.press("document.querySelector('.actions button')")
    admin.until(lambda: "Are you sure" in admin.text("#content"), "it asks whether that is meant")


def test_the_main_journey(people, site):
    ada, admin = people
    ada.go("/live/").until_at("/account/login/?next=/live/")
    sign_in(ada, "ada")
    ada.until_at("/live/")
    ada.until(lambda: ada.text("[data-show=socket]") == "Connected", "the socket is connected")
    ada.until(lambda: ada.text("[data-show=answer]").startswith("200, hello ada"), "the API answers")
    ada.until(lambda: ada.text("[data-show=message]").startswith("Number"), "the socket says something")
    page = ada.another().go("/private/")  # in front of the live page
    assert page.text("h1") == "Private page"

    admin.go(DEVICE_SESSIONS)
    admin.fill("Username:", "admin").fill("Password:", "admin-demo").click("Log in")
    admin.until_at(DEVICE_SESSIONS)
    choose_to_kick(admin, "ada")
    assert ada.text("#over") == page.text("#authx-live[open]") == ""
    admin.press("document.querySelector('.submit-row [type=submit]')")
    admin.until(lambda: "ended" in admin.text(".messagelist"), "they are ended")
    ada.until(lambda: KICKED in ada.text("#over"), "the live page is told", SOON)
    page.until(lambda: KICKED in page.text("#authx-live[open]"), "the live notice is shown", SOON)
    assert ada.text("[data-show=message]").startswith("Closed with 4401 (kicked)")
    assert ada.text("[data-show=answer]").startswith("session_ended (kicked)")
    assert admin.go("/private/").text("h1") == "Private page"

    ada.look_at().click("Sign in again", "a").until_at("/account/login/?next=/live/")
    sign_in(ada, "ada")
    ada.until_at("/live/")
    ada.until(lambda: ada.text("[data-show=socket]") == "Connected", "the socket is connected")
    page.look_at().until(lambda: page.text("#authx-live[open]") == "", "the notice goes: she has signed in")
