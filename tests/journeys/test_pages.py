"""The journeys on pages: of people with browsers, who click, type and read."""

import re
from datetime import timedelta
from html import unescape

import pytest
from django.test import Client

from authx.models import DeviceSession
from tests.branches import generation_of
from tests.signing_in import NAVIGATION

# Confirmation waits for a commit, so the transactions here are real ones.
pytestmark = pytest.mark.django_db(transaction=True)

ACCESS, REFRESH, DEVICE = "__Host-authx_access", "__Host-authx_refresh", "__Host-authx_device"
BACKGROUND = {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty"}
AGENTS = {
    "laptop": "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
    "tablet": (
        "Mozilla/5.0 (iPad; CPU OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
        "Version/17.5 Mobile/15E148 Safari/604.1"
    ),
}


class Visitor:
    """A person at a browser."""

    def __init__(self, device="laptop"):
        self.client = Client(enforce_csrf_checks=True, headers={"User-Agent": AGENTS[device]})
        self.session_id = None

    def click(self, path):
        """Follow a link, and the redirects behind it; the page where it ends."""
        return self.forgetting(self.client.get(path, follow=True, headers=NAVIGATION))

    def send(self, page, action, **typed):
        """Send a form of ``page`` and follow where it leads."""
        path = page.redirect_chain[-1][0] if page.redirect_chain else page.request["PATH_INFO"]
        token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', text_of(page))[1]
        following = re.search(r'name="next" value="([^"]*)"', text_of(page))
        if following:
            typed["next"] = unescape(following[1])
        fields = {"csrfmiddlewaretoken": token, **typed}
        return self.forgetting(self.client.post(action or path, fields, follow=True, headers=NAVIGATION))

    def fetch(self, path):
        """What a script on the page asks the API."""
        return self.client.get(path, headers={"Accept": "application/json", **BACKGROUND})

    def forgetting(self, page):
        """Lose the cookies that a response has taken back, as a browser does."""
        jar = self.client.cookies
        for name in [name for name, cookie in jar.items() if cookie["max-age"] == 0]:
            del jar[name]
        return page

    def sign_in(self, user, password, *, at="/account/login/", remember=True):
        typed = {"username": user.get_username(), "password": password}
        page = self.send(self.click(at), None, **typed, **({"remember": "on"} if remember else {}))
        self.session_id = self.client.get("/whoami/").json()["session"]
        return page

    def sign_out(self):
        return self.send(self.click("/account/devices/"), "/account/logout/")

    def devices(self):
        """The devices page as a person reads it: device names, this one first."""
        page = self.click("/account/devices/")
        assert page.status_code == 200
        return re.findall(r'class="authx-device-name"[^>]*><bdi>([^<]+)<', text_of(page))

    def end(self, other):
        return self.send(self.click("/account/devices/"), f"/account/devices/{other.session_id}/end/")

    def end_others(self):
        return self.send(self.click("/account/devices/"), "/account/devices/end-others/")

    def kick(self, other, reason):
        token = {"X-CSRFToken": self.client.cookies["csrftoken"].value}
        path = f"/api/auth/staff/sessions/{other.session_id}/kick/"
        return self.client.post(path, {"reason": reason}, content_type="application/json", headers=token)

    def lose_the_access_cookie(self):
        """Its Max-Age has passed."""
        del self.client.cookies[ACCESS]

    def restart_the_browser(self):
        """Lose what was to be kept for this run of the browser only."""
        jar = self.client.cookies
        for name in [name for name, cookie in jar.items() if cookie["max-age"] == ""]:
            del jar[name]

    @property
    def refresh_token(self):
        return self.client.cookies[REFRESH].value


def text_of(page):
    return page.content.decode()


def assert_sees_the_private_page(visitor, user):
    page = visitor.click("/private/")
    assert page.redirect_chain == []
    assert f'<p id="user">{user.get_username()}</p>' in text_of(page)


def assert_must_sign_in(page, *, reason=None):
    """It is the login page, and says why, if there is anything to say."""
    assert page.redirect_chain, "nobody was sent anywhere"
    assert page.redirect_chain[-1][0].startswith("/account/login/")
    assert page.status_code == 200
    said = re.search(r'data-reason="(\w+)"', text_of(page))
    assert (said and said[1]) == reason


def let_time_pass(visitor, **duration):
    """Everything that the session remembers happened so much longer ago."""
    passed = timedelta(**duration)
    session = DeviceSession.objects.get(pk=visitor.session_id)
    moved = ["created_at", "auth_time", "last_seen_at", "rotated_at", "idle_expires_at", "expires_at"]
    shifted = {name: getattr(session, name) - passed for name in moved}
    DeviceSession.objects.filter(pk=session.pk).update(**shifted)


def test_from_signing_in_to_signing_out(ada, password):
    laptop = Visitor()

    # The page wants to know who asks, and afterwards shows what was asked for.
    assert_must_sign_in(laptop.click("/private/"))
    page = laptop.sign_in(ada, password, at="/private/")
    assert page.redirect_chain[-1][0] == "/private/"
    assert_sees_the_private_page(laptop, ada)

    # She signs out, and is told so; the page is closed again, and nothing of ours is left but the device.
    farewell = laptop.sign_out()
    assert "You are signed out" in text_of(farewell)
    assert_must_sign_in(laptop.click("/private/"))
    assert not {ACCESS, REFRESH} & set(laptop.client.cookies)
    assert DeviceSession.objects.get().end_reason == "logout"


def test_a_wrong_password_signs_nobody_in(ada):
    laptop = Visitor()
    page = laptop.send(laptop.click("/account/login/"), None, username=ada.get_username(), password="wrong")
    assert (page.status_code, page.redirect_chain) == (200, [])
    assert "Please enter a correct" in text_of(page)
    assert_must_sign_in(laptop.click("/private/"))
    assert not DeviceSession.objects.exists()


def test_two_devices_see_each_other_and_one_ends_the_other(ada, password):
    laptop, tablet = Visitor("laptop"), Visitor("tablet")
    laptop.sign_in(ada, password)
    tablet.sign_in(ada, password)

    # Each of them sees both, itself first.
    assert [name.split()[0] for name in laptop.devices()] == ["Firefox", "Safari"]
    assert [name.split()[0] for name in tablet.devices()] == ["Safari", "Firefox"]

    # The laptop ends the tablet, and is told so.
    page = laptop.end(tablet)
    assert page.redirect_chain[-1][0] == "/account/devices/"
    assert "has been signed out." in text_of(page)
    assert len(laptop.devices()) == 1

    # The tablet's next click lands on the login page, which says why; said once, it is not said again.
    assert_must_sign_in(tablet.click("/private/"), reason="ended_by_user")
    assert_must_sign_in(tablet.click("/private/"))
    assert_sees_the_private_page(laptop, ada)

    # It may sign in again.
    tablet.sign_in(ada, password)
    assert_sees_the_private_page(tablet, ada)


def test_signing_out_everywhere_else(ada, bob, password):
    laptop, tablet, other, bobs = Visitor(), Visitor("tablet"), Visitor(), Visitor()
    for visitor, user in ((laptop, ada), (tablet, ada), (other, ada), (bobs, bob)):
        visitor.sign_in(user, password)

    page = laptop.end_others()
    assert "2 other devices have been signed out." in text_of(page)
    assert "You are not signed in anywhere else." in text_of(page)
    for ended in (tablet, other):
        assert_must_sign_in(ended.click("/private/"), reason="ended_by_user")
    assert_sees_the_private_page(laptop, ada)
    assert_sees_the_private_page(bobs, bob)


def test_kicked_out_by_an_administrator(ada, admin, password):
    laptop, tablet, desk = Visitor("laptop"), Visitor("tablet"), Visitor()
    laptop.sign_in(ada, password)
    tablet.sign_in(ada, password)
    desk.sign_in(admin, password)

    assert desk.kick(laptop, "lost in a taxi").json() == {"ended": 1}
    page = laptop.click("/private/")
    assert_must_sign_in(page, reason="kicked")
    assert "You were signed out by an administrator." in text_of(page)
    assert_sees_the_private_page(tablet, ada)
    assert_sees_the_private_page(desk, admin)


def test_an_administrator_who_is_kicked_out_is_out_of_the_admin_too(admin, make_user, password):
    boss = make_user("boss", is_staff=True, is_superuser=True)
    desk, other_desk = Visitor(), Visitor()
    desk.sign_in(admin, password)
    other_desk.sign_in(boss, password)
    assert desk.click("/admin/").redirect_chain == []

    assert other_desk.kick(desk, "gone home").json() == {"ended": 1}
    assert desk.click("/admin/").redirect_chain[-1][0].startswith("/admin/login/")


def test_a_session_is_renewed_silently_for_as_long_as_somebody_comes(ada, password):
    laptop = Visitor()
    laptop.sign_in(ada, password)
    for _visit in range(3):
        let_time_pass(laptop, days=2)
        laptop.lose_the_access_cookie()
        spent = laptop.refresh_token
        assert_sees_the_private_page(laptop, ada)
        assert laptop.refresh_token != spent
    assert DeviceSession.objects.get().generation == 4


def test_a_form_that_was_open_for_an_hour_is_not_lost(ada, password):
    laptop, tablet = Visitor("laptop"), Visitor("tablet")
    laptop.sign_in(ada, password)
    tablet.sign_in(ada, password)
    page = laptop.click("/account/devices/")
    let_time_pass(laptop, hours=1)
    laptop.lose_the_access_cookie()

    answer = laptop.send(page, f"/account/devices/{tablet.session_id}/end/")
    assert "has been signed out." in text_of(answer)
    assert_sees_the_private_page(laptop, ada)


@pytest.mark.parametrize(
    ("away", "reason"),
    [({"days": 7, "minutes": 16}, "idle"), ({"days": 30, "minutes": 1}, "idle")],
    ids=["week", "month"],
)
def test_who_stays_away_too_long_is_told_so(away, reason, ada, password):
    laptop = Visitor()
    laptop.sign_in(ada, password)
    let_time_pass(laptop, **away)
    laptop.lose_the_access_cookie()
    assert_must_sign_in(laptop.click("/private/"), reason=reason)


def test_coming_every_day_does_not_last_for_ever(ada, password):
    laptop = Visitor()
    laptop.sign_in(ada, password)
    for _visit in range(5):
        let_time_pass(laptop, days=6)
        laptop.lose_the_access_cookie()
        page = laptop.click("/private/")
    assert_must_sign_in(page, reason="expired")


def test_remembered_in_a_browser_that_is_restarted(ada, password):
    laptop = Visitor()
    laptop.sign_in(ada, password, remember=True)
    laptop.restart_the_browser()
    assert_sees_the_private_page(laptop, ada)

    # Renewed, it is remembered still.
    let_time_pass(laptop, days=1)
    laptop.lose_the_access_cookie()
    laptop.click("/private/")
    laptop.restart_the_browser()
    assert_sees_the_private_page(laptop, ada)


def test_not_remembered_in_a_browser_that_is_restarted(ada, password):
    laptop = Visitor()
    laptop.sign_in(ada, password, remember=False)
    assert_sees_the_private_page(laptop, ada)

    # Renewed, it is still not to be remembered.
    let_time_pass(laptop, hours=1)
    laptop.lose_the_access_cookie()
    assert_sees_the_private_page(laptop, ada)
    laptop.restart_the_browser()
    assert_must_sign_in(laptop.click("/private/"))


@pytest.mark.parametrize(
    "elsewhere", ["https://evil.example/", "//evil.example/", "/\\evil.example", "javascript:alert(1)"]
)
def test_signing_in_leads_to_no_other_site(elsewhere, ada, password):
    laptop = Visitor()
    laptop.click("/account/login/")
    token = laptop.client.cookies["csrftoken"].value
    typed = {"username": ada.get_username(), "password": password, "next": elsewhere}
    answer = laptop.client.post("/account/login/", {"csrfmiddlewaretoken": token, **typed})
    assert (answer.status_code, answer["Location"]) == (302, "/whoami/")


def test_the_device_is_known_again_at_its_next_login(ada, password):
    laptop = Visitor()
    laptop.sign_in(ada, password)
    first = DeviceSession.objects.get()
    laptop.sign_out()
    laptop.sign_in(ada, password)
    second = DeviceSession.objects.live().get()
    assert second.pk != first.pk
    assert second.device_id == first.device_id != ""


def test_changing_the_password_keeps_this_device_and_signs_the_others_out(ada, password):
    laptop, tablet = Visitor("laptop"), Visitor("tablet")
    laptop.sign_in(ada, password)
    tablet.sign_in(ada, password)

    new = "a-new-horse-battery-staple"
    form = laptop.click("/password-change/")
    laptop.send(form, "/password-change/", old_password=password, new_password1=new, new_password2=new)
    assert_sees_the_private_page(laptop, ada)
    assert_must_sign_in(tablet.click("/private/"), reason="password_changed")


def test_a_stolen_cookie_ends_the_session_and_its_owner_is_told(ada, password):
    laptop, thief = Visitor("laptop"), Visitor("tablet")
    laptop.sign_in(ada, password)
    stolen = laptop.refresh_token

    # The owner renews twice, so the thief's copy is two generations old.
    for _visit in range(2):
        let_time_pass(laptop, hours=1)
        laptop.lose_the_access_cookie()
        assert_sees_the_private_page(laptop, ada)
        assert_sees_the_private_page(laptop, ada)

    thief.client.cookies[REFRESH] = stolen
    assert_must_sign_in(thief.click("/private/"), reason="reused")
    assert_must_sign_in(laptop.click("/private/"), reason="reused")


def test_a_copied_jar_used_only_after_its_owner_is_found_in_its_second_generation(ada, password):
    laptop, thief = Visitor("laptop"), Visitor("laptop")
    laptop.sign_in(ada, password)
    thief.client.cookies[REFRESH] = laptop.refresh_token

    for _generation in range(2):
        let_time_pass(laptop, hours=1)
        laptop.lose_the_access_cookie()
        thief.client.cookies.pop(ACCESS, None)
        assert_sees_the_private_page(laptop, ada)
        assert_sees_the_private_page(thief, ada)  # at once: one more tab, as far as anybody can tell

    let_time_pass(laptop, hours=1)
    laptop.lose_the_access_cookie()
    thief.lose_the_access_cookie()
    assert_sees_the_private_page(laptop, ada)
    assert_must_sign_in(thief.click("/private/"), reason="reused")
    assert_must_sign_in(laptop.click("/private/"), reason="reused")


def test_ten_tabs_restored_at_once_share_one_renewal(ada, password):
    laptop = Visitor()
    laptop.sign_in(ada, password)
    let_time_pass(laptop, hours=1)
    laptop.lose_the_access_cookie()
    spent = laptop.refresh_token

    given = set()
    for _tab in range(10):  # each set out with the cookies of before
        laptop.client.cookies[REFRESH] = spent
        laptop.client.cookies.pop(ACCESS, None)
        assert_sees_the_private_page(laptop, ada)
        given.add(laptop.refresh_token)
    assert {generation_of(token) for token in given} == {2}
    assert DeviceSession.objects.get().generation == 2


def test_a_tab_that_comes_late_is_sent_to_itself_once_and_shows_its_page(ada, password):
    laptop = Visitor()
    laptop.sign_in(ada, password)
    let_time_pass(laptop, hours=1)
    laptop.lose_the_access_cookie()
    spent = laptop.refresh_token
    assert_sees_the_private_page(laptop, ada)  # another tab renews
    assert_sees_the_private_page(laptop, ada)  # and uses what it was given
    jar = laptop.client.cookies.copy()

    let_time_pass(laptop, minutes=1)
    laptop.client.cookies[REFRESH] = spent
    del laptop.client.cookies[ACCESS]
    redirect = laptop.client.get("/private/", headers=NAVIGATION)
    assert (redirect.status_code, redirect["Location"]) == (302, "/private/?authx_retry=1")

    laptop.client.cookies = jar  # by then the browser has the other tab's cookies
    page = laptop.click(redirect["Location"])
    assert (page.redirect_chain, page.status_code) == ([], 200)


def test_a_page_and_its_script_share_one_session(ada, admin, password):
    laptop, desk = Visitor(), Visitor()
    laptop.sign_in(ada, password)
    desk.sign_in(admin, password)
    assert laptop.fetch("/api/whoami/").json() == {"user": str(ada.pk), "sid": laptop.session_id}

    # What the script is refused, it is refused for the same reason; it leaves the telling to the page.
    desk.kick(laptop, "gone home")
    refused = laptop.fetch("/api/whoami/")
    assert (refused.status_code, refused.json()["reason"]) == (401, "kicked")
    assert_must_sign_in(laptop.click("/private/"), reason="kicked")
