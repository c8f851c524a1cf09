"""Everything can be done with the keyboard alone, by whoever sees where the focus is."""

from __future__ import annotations

from datetime import timedelta
from itertools import count

import pytest
from django.db.models import F
from django.urls import reverse

from authx.models import Consent, DeviceSession
from tests.accessibility.keyboard import Keyboard
from tests.accessibility.visits import VISITS
from tests.accessibility.ways import LIST, authorize, kick
from tests.accessibility.world import person, sign_in
from tests.conftest import PASSWORD

HERE = "Chrome on Linux"
#: The first page of each template.
WALKED = {visit.template: name for name, visit in reversed(VISITS.items())}


@pytest.fixture(scope="module")
def numbers():
    """A number for each: everybody has a name of their own."""
    return count(1)


@pytest.fixture
def somebody(world, numbers):
    """Who has two more devices; each test has somebody of its own."""
    user = person(f"somebody-{next(numbers)}")
    sign_in(user, on="phone")
    sign_in(user, on="tablet", name="Kitchen")
    return user


@pytest.fixture
def seat(begin, somebody):
    """Their browser, where they are signed in and look at their devices."""
    tour = begin()
    tour.sign_in(somebody)
    tour.open("authx:devices")
    return tour


def live(user):
    return {str(session) for session in DeviceSession.objects.live().filter(user=user)}


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(WALKED.values()))
def test_the_focus_is_seen_wherever_tab_leads(name, begin):
    visit = VISITS[name]
    tour = begin(visit.who)
    visit.arrive(tour)
    stops, wrong = Keyboard(tour.page).walk()
    assert stops
    assert not wrong, "\n".join(wrong)


def test_from_the_login_page_to_the_devices(begin, somebody):
    tour = begin()
    tour.open(f"{reverse('authx:login')}?next={reverse('authx:devices')}")
    keyboard = Keyboard(tour.page)
    keyboard.start()
    met = []
    for typed in ("", "", somebody.get_username(), PASSWORD, " ", ""):
        keyboard.keys.press("Tab")
        keyboard.keys.type(typed)
        met.append(keyboard.here())
    assert met == [
        'link "Skip to main content"',
        'link "Home"',
        'textbox "Username"',
        'textbox "Password"',
        'checkbox "Keep me signed in"',
        'button "Sign in"',
    ]
    keyboard.press("Enter")
    assert tour.pattern == "authx:devices"


def test_the_first_tab_offers_to_skip_the_header(seat):
    keyboard = Keyboard(seat.page)
    keyboard.keys.press("Tab")
    assert keyboard.here() == 'link "Skip to main content"'
    keyboard.keys.press("Enter")
    assert seat.page.evaluate("document.activeElement.id") == "content"


def test_renaming_a_device(seat, somebody):
    keyboard = Keyboard(seat.page)
    seat.page.locator("summary", has_text="Kitchen").focus()
    keyboard.keys.press("Enter")
    keyboard.tab_to('textbox "Name shown here"')
    keyboard.keys.press("Control+A")
    keyboard.keys.type("Study")
    keyboard.press("Enter")
    assert "Study" in live(somebody)


def test_signing_out_a_device(seat, somebody):
    keyboard = Keyboard(seat.page)
    keyboard.tab_to('button "Sign out Kitchen"')
    keyboard.press("Enter")
    assert live(somebody) == {HERE, "Safari on iPhone"}
    assert "Kitchen has been signed out." in seat.page.get_by_role("status").inner_text()


def test_signing_out_everywhere_else_after_a_while(seat, somebody):
    """The login is an hour old: the password is asked for first."""
    hour = timedelta(hours=1)
    DeviceSession.objects.filter(user=somebody).update(auth_time=F("auth_time") - hour)
    keyboard = Keyboard(seat.page)
    keyboard.tab_to('button "Sign out everywhere else"')
    keyboard.press("Enter")
    assert seat.pattern == "authx:confirm"
    keyboard.tab_to('textbox "Password"')
    keyboard.keys.type(PASSWORD)
    keyboard.press("Enter")
    assert seat.pattern == "authx:devices"
    keyboard.tab_to('button "Sign out everywhere else"')
    keyboard.press("Enter")
    assert live(somebody) == {HERE}


def test_allowing_an_app(seat, somebody):
    authorize(seat)
    keyboard = Keyboard(seat.page)
    keyboard.tab_to('button "Allow"')
    keyboard.press("Enter")
    assert Consent.objects.filter(user=somebody).exists()


def test_the_notice_in_an_open_page(begin, somebody):
    """The focus is on its first control, and stays within it; Escape closes it."""
    tour = begin()
    VISITS["live-notice"].arrive(tour)
    keyboard = Keyboard(tour.page)
    met = [keyboard.here()]
    for _ in range(4):
        keyboard.keys.press("Tab")
        met.append(keyboard.here())
    assert met[:2] == ['link "Sign in again"', 'button "Stay on this page"']
    assert {*met} <= {*met[:2], ""}  # at the end comes the browser itself
    keyboard.keys.press("Escape")
    assert not tour.page.locator("dialog[open]").count()


@pytest.fixture
def desk(begin, somebody):
    """Staff at the list of somebody's sessions."""
    tour = begin("boss")
    tour.open(f"{reverse(LIST)}?q={somebody.get_username()}")
    return tour


def test_kicking_out_a_row(desk, somebody):
    keyboard = Keyboard(desk.page)
    keyboard.tab_to(f'button "Kick out Kitchen of {somebody}"')
    keyboard.press("Enter")
    _give_a_reason(keyboard, 'button "Yes, sign out this session"')
    assert live(somebody) == {"Safari on iPhone"}


def test_kicking_out_a_selection(desk, somebody):
    keyboard = Keyboard(desk.page)
    keyboard.tab_to('checkbox "Select all objects on this page for an action"')
    keyboard.keys.press("Space")
    desk.page.locator("select[name=action]").focus()
    keyboard.keys.type("Kick out sel")
    keyboard.tab_to('button "Run"' if desk.page.get_by_role("button", name="Run").count() else 'button "Go"')
    keyboard.press("Enter")
    _give_a_reason(keyboard, 'button "Yes, sign out 2 sessions"')
    assert live(somebody) == set()


def test_kicking_out_oneself_alone(begin, numbers):
    """There is no button before the box is ticked, and the browser insists on the box."""
    chief = person(f"chief-{next(numbers)}", is_staff=True, is_superuser=True)
    tour = begin()
    tour.sign_in(chief)
    kick(tour, "kick", chief.get_username())
    page, keyboard = tour.page, Keyboard(tour.page)
    yes = page.get_by_role("button", name="Yes, sign out this session")
    assert not yes.count()
    keyboard.tab_to('textbox "Reason"')
    keyboard.keys.press("Enter")
    assert page.locator("[name=include_own]:invalid").count() == 1
    assert live(chief) == {HERE}
    page.locator("[name=include_own]").focus()
    keyboard.keys.press("Space")
    assert yes.is_visible()
    keyboard.tab_to('button "Yes, sign out this session"')
    keyboard.press("Enter")
    assert live(chief) == set()


def _give_a_reason(keyboard, yes):
    keyboard.tab_to('textbox "Reason"')
    keyboard.keys.type("lost on the train")
    keyboard.tab_to(yes)
    keyboard.press("Enter")
