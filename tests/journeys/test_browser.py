"""The journeys of people: Chromium on the real demo, in a process of its own.

What the demo stores is looked up in its database file. AUTHX_SCREENSHOTS=directory takes a picture of every
page besides, light and dark, wide and narrow.
"""

import os
import re
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from uuid import UUID

import jwt
import pytest

from authx.core.access_token import write_access_token
from authx.core.claims import AccessClaims
from authx.core.keys import Key
from tests.journeys.demo import (
    ACCESS,
    DEADLINE,
    DEVICE_SESSIONS,
    IPHONE,
    PAUSES,
    POLICY,
    REFRESH,
    WITH_AND_WITHOUT,
    Profile,
    choose_to_kick,
    kick,
    say_yes,
    serving,
    slow,
    tab_to,
)

# The demo is the same whatever site the other journeys are made on.
pytestmark = pytest.mark.browser

PAGES = ["/", "/private/", "/live/", "/account/devices/", "/account/login/", "/account/confirm/"]


# Signing in with an impatient hand


@pytest.mark.parametrize("pause", PAUSES)
def test_a_double_click_on_sign_in_signs_in_once(either_site, open_profile, pause):
    """Also in a browser that is known, where the later login would end the earlier one."""
    ada = open_profile(either_site)
    for number in range(3):
        if number:
            ada.go("/").click("Sign out")
        double_click_on_sign_in(ada, "ada", pause)
        assert ada.go("/private/").heading == "Private page", ada.page.content()
        live = either_site.query("SELECT id FROM authx_devicesession WHERE ended_at IS NULL")
        assert [str(UUID(row["id"])) for row in live] == [ada.sid]


def double_click_on_sign_in(person, user, pause):
    """As the hand does it: on the same spot, and so soon that the page is still there."""
    page = person.go("/account/login/").page
    page.get_by_label("Username").fill(user)
    page.get_by_label("Password").fill(f"{user}-demo")
    box = page.get_by_role("button", name="Sign in", exact=True).bounding_box()
    spot = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.click(*spot)
    page.wait_for_timeout(pause)
    page.mouse.click(*spot)
    # The page of the form is idle until its answer begins; that may also be the refusal of a second form.
    page.wait_for_function("!document.querySelector('[name=password]')")
    page.wait_for_load_state("networkidle")


# The main job


@pytest.mark.parametrize(
    ("either_site", "script"),
    [
        pytest.param("wsgi", True, id="wsgi"),
        pytest.param("asgi", True, id="asgi", marks=slow),
        pytest.param("wsgi", False, id="without-javascript"),
    ],
    indirect=["either_site"],
)
def test_an_administrator_kicks_out_one_of_two_browsers(either_site, open_profile, script):
    laptop = open_profile(either_site, java_script_enabled=script)
    phone = open_profile(either_site, java_script_enabled=script, user_agent=IPHONE)
    assert laptop.sign_in("ada").path == "/"
    assert phone.sign_in("ada").path == "/"

    assert laptop.devices == ["Chrome on Linux", "Safari on iPhone"]
    assert phone.devices == ["Safari on iPhone", "Chrome on Linux"]
    assert phone.page.locator(".authx-device-current").count() == 1
    kicked = phone.sid

    admin = open_profile(either_site, java_script_enabled=script)
    admin.sign_in_to_admin()
    choose_to_kick(admin, "iPhone")
    assert "Are you sure" in admin.page.locator("#content").inner_text()
    assert phone.is_signed_in
    say_yes(admin, "lost on the train")
    assert "1 session was ended." in admin.page.locator(".messagelist").inner_text()

    if script and phone.page.locator("dialog[data-stream]").count():
        phone.click("Stay on this page")  # the live notice is there already
    phone.follow("Devices")
    assert phone.path == "/account/login/?next=/account/devices/"
    assert phone.notice == ("kicked", "You were signed out by an administrator.")
    assert laptop.follow("Private").heading == "Private page"
    assert laptop.devices == ["Chrome on Linux"]
    assert laptop.is_signed_in
    ended = either_site.session(kicked)
    assert (ended["end_reason"], ended["ended_at"] is not None) == ("kicked", True)
    assert either_site.outcomes(kicked, "ended") == ["kicked"]

    phone.page.get_by_label("Username").fill("ada")
    phone.page.get_by_label("Password").fill("ada-demo")
    phone.click("Sign in")
    assert phone.path == "/account/devices/"
    assert phone.notice is None
    assert phone.sid != kicked


def test_the_detail_in_the_admin_tells_the_whole_story(site, open_profile):
    phone, admin = open_profile(site, user_agent=IPHONE).sign_in("ada"), open_profile(site)
    admin.sign_in_to_admin()
    kick(admin, "iPhone", "lost on the train")
    assert not phone.is_signed_in
    row = admin.page.get_by_role("row").filter(has_text="iPhone")
    assert row.locator(".field-state .authx-badge").inner_text() == "Kicked out"
    row.get_by_role("link").first.click()
    events = admin.page.locator(".authx-history").inner_text()
    assert "Signed in" in events
    assert "lost on the train" in events


def test_an_admin_who_is_kicked_has_left_the_admin_too(site, open_profile):
    victim, admin = open_profile(site, user_agent=IPHONE), open_profile(site)
    victim.sign_in_to_admin()
    admin.sign_in_to_admin()
    kick(admin, "iPhone", "", own=True)
    victim.click("Home", role="link")
    assert victim.path.startswith("/admin/login/")
    assert "You were signed out by an administrator." in victim.page.locator("body").inner_text()
    assert victim.go("/private/").path == "/account/login/?next=/private/"
    assert admin.go(DEVICE_SESSIONS).path == DEVICE_SESSIONS


def test_one_who_kicks_herself_out_lands_on_the_login_page(site, open_profile):
    admin = open_profile(site)
    admin.sign_in_to_admin()
    kick(admin, "admin", "done for today", own=True)
    assert admin.path.startswith("/admin/login/")
    assert not admin.is_signed_in


# Silent renewal


def stale(token, site):
    """The same access token, had it been issued two hours earlier."""
    payload = jwt.decode(token, options={"verify_signature": False})
    for name in ("exp", "iat"):
        payload[name] -= 7200
    secret = site.database.with_suffix(".secret").read_text()
    return write_access_token(AccessClaims.from_payload(payload), Key.derive(secret))


def lose_access(profile, how):
    """What 15 minutes, a full cookie jar or a broken extension do to the access cookie."""
    cookie = profile.cookies()[ACCESS]
    profile.context.clear_cookies(name=ACCESS)
    if how != "missing":
        value = "garbage" if how == "garbage" else stale(cookie["value"], profile.site)
        profile.context.add_cookies([{**cookie, "value": value}])


def wait_until(profile, found, what):
    """Let the browser report, until it is true; the demo itself waits 20 s for its database."""
    end = time.monotonic() + DEADLINE / 2
    while not found():
        assert time.monotonic() < end, f"not in time: {what}"
        profile.page.wait_for_timeout(20)


def open_tabs(profile, count, path="/private/"):
    """Open tabs in one go, each on an address of its own; none is answered before all have asked."""
    tabs, asked = [], []
    noting = {"page": lambda tab: tabs.append(tab), "request": lambda request: asked.append(request)}
    for event, note in noting.items():
        profile.context.on(event, note)
    script = "([count, path]) => { for (let i = 0; i < count; i++) window.open(`${path}?tab=${i}`) }"
    with profile.site.held_up():
        profile.page.evaluate(script, [count, path])
        wait_until(profile, lambda: len(asked) >= count, "all tabs have asked")
    wait_until(profile, lambda: len(tabs) == count, "all tabs are open")
    for tab in tabs:
        tab.locator("h1").wait_for()
    for event, note in noting.items():
        profile.context.remove_listener(event, note)
    return tabs


@pytest.mark.parametrize(
    ("either_site", "how"),
    [
        ("wsgi", "expired"),
        pytest.param("asgi", "expired", marks=slow),
        pytest.param("wsgi", "missing", marks=slow),
        pytest.param("wsgi", "garbage", marks=slow),
    ],
    indirect=["either_site"],
)
def test_ten_tabs_at_once_all_show_the_page_after_one_rotation(either_site, open_profile, how):
    ada = open_profile(either_site).sign_in("ada")
    sid = ada.sid
    for generation in (2, 3):
        either_site.let_the_grace_pass(sid)
        lose_access(ada, how)
        tabs = open_tabs(ada, 10)
        assert [tab.locator("h1").inner_text() for tab in tabs] == ["Private page"] * 10
        assert {tab.locator("dt:text-is('Session') + dd").inner_text() for tab in tabs} == {sid}
        session = either_site.session(sid)
        assert (session["generation"], session["ended_at"]) == (generation, None)
        outcomes = either_site.outcomes(sid, "refreshed")
        assert outcomes == ["T1"] * (generation - 1)
        for tab in tabs:
            tab.reload()
            assert tab.locator("h1").inner_text() == "Private page"
            tab.close()
    assert either_site.session(sid)["confirmed_generation"] == 3
    assert len(ada.devices) == 1


def test_a_renewed_browser_goes_on_without_noticing(site, open_profile):
    ada = open_profile(site).sign_in("ada")
    sid, before = ada.sid, ada.cookies()
    site.let_the_grace_pass(sid)
    lose_access(ada, "expired")
    ada.follow("Devices")
    assert ada.heading == "Your devices"
    after = ada.cookies()
    assert after[REFRESH]["value"] != before[REFRESH]["value"]
    assert (ada.sid, site.session(sid)["generation"]) == (sid, 2)


def test_a_spent_token_that_comes_back_ends_the_session_and_says_why(site, open_profile):
    ada, thief = open_profile(site).sign_in("ada"), open_profile(site)
    sid, stolen = ada.sid, ada.cookies()[REFRESH]
    for _ in range(2):
        site.let_the_grace_pass(sid)
        lose_access(ada, "missing")
        assert ada.is_signed_in
    thief.context.add_cookies([stolen])
    assert not thief.is_signed_in
    assert thief.notice[0] == "reused"
    assert not ada.is_signed_in
    assert ada.notice == ("reused", "You were signed out because your session may have been copied.")
    assert site.session(sid)["end_reason"] == "reused"


def test_a_browser_full_of_garbage_signs_in_all_the_same(site, open_profile):
    for value in ("garbage", "a.b.c", "x" * 2000):
        ada = open_profile(site).sign_in("ada")
        kept = ada.cookies()
        for name in (ACCESS, REFRESH, "sessionid"):
            ada.context.add_cookies([{**kept[name], "value": value}])
        assert not ada.is_signed_in
        assert ada.notice is None
        assert ada.sign_in("ada").is_signed_in


# Leaving


def test_signing_out_ends_this_session_and_no_other(site, open_profile):
    laptop, phone = open_profile(site).sign_in("ada"), open_profile(site).sign_in("ada")
    sid = laptop.sid
    tab = laptop.context.new_page()
    tab.goto("/private/")
    assert laptop.go("/").click("Sign out").heading == "You are signed out"
    tab.get_by_role("link", name="Devices").click()
    tab.wait_for_load_state()
    assert tab.url == f"{site.origin}/account/login/?next=/account/devices/"
    assert tab.locator("[data-reason]").count() == 0
    assert not {ACCESS, REFRESH} & laptop.cookies().keys()
    assert site.session(sid)["end_reason"] == "logout"
    assert phone.is_signed_in


def test_a_copy_of_the_cookies_is_worth_nothing_after_the_logout(site, open_profile):
    ada, thief = open_profile(site).sign_in("ada"), open_profile(site)
    thief.context.add_cookies(ada.context.cookies())
    assert thief.is_signed_in
    ada.go("/").click("Sign out")
    assert not thief.is_signed_in


def test_signing_out_another_device_from_the_devices_page(site, open_profile):
    laptop, phone = open_profile(site).sign_in("ada"), open_profile(site, user_agent=IPHONE).sign_in("ada")
    bob = open_profile(site).sign_in("bob")
    sid = phone.sid
    laptop.go("/account/devices/").page.get_by_role("listitem").filter(has_text="iPhone").get_by_role(
        "button", name="Sign out"
    ).click()
    assert "Safari on iPhone has been signed out." in laptop.page.get_by_role("status").inner_text()
    assert laptop.devices == ["Chrome on Linux"]
    assert phone.follow("Private").path == "/account/login/?next=/private/"
    assert phone.notice == ("ended_by_user", "You were signed out from another of your devices.")
    assert site.session(sid)["end_reason"] == "ended_by_user"
    assert bob.is_signed_in


def test_signing_out_everywhere_else(site, open_profile):
    laptop, phone, tablet = (open_profile(site).sign_in("ada") for _ in range(3))
    bob = open_profile(site).sign_in("bob")
    assert len(laptop.devices) == 3
    laptop.click("Sign out everywhere else")
    assert "2 other devices have been signed out." in laptop.page.get_by_role("status").inner_text()
    assert len(laptop.devices) == 1
    assert [profile.is_signed_in for profile in (laptop, phone, tablet, bob)] == [True, False, False, True]
    assert phone.notice[0] == "ended_by_user"


@WITH_AND_WITHOUT
def test_an_old_login_is_confirmed_before_it_signs_others_out_and_ends_every_copy(site, open_profile, script):
    laptop = open_profile(site, java_script_enabled=script).sign_in("ada")
    phone, thief = open_profile(site, user_agent=IPHONE).sign_in("ada"), open_profile(site)
    before = laptop.sid
    thief.context.add_cookies(laptop.context.cookies())
    assert thief.is_signed_in
    site.let_logins_age()

    laptop.go("/account/devices/").click("Sign out everywhere else")
    assert laptop.path == "/account/confirm/?next=/account/devices/"
    assert "Nothing has been changed yet" in laptop.page.get_by_role("status").inner_text()
    assert "ada" in laptop.page.locator("main").inner_text()
    laptop.page.get_by_label("Password").fill("wrong")
    laptop.click("Confirm")
    assert "This is not your password." in laptop.page.locator("main").inner_text()
    assert phone.is_signed_in
    assert thief.is_signed_in
    laptop.page.get_by_label("Password").fill("ada-demo")
    laptop.click("Confirm")
    assert laptop.path == "/account/devices/"
    assert site.session(before)["end_reason"] == "superseded"
    assert not thief.is_signed_in
    assert thief.notice[0] == "superseded"
    laptop.click("Sign out everywhere else")
    assert laptop.devices == ["Chrome on Linux"]
    assert not phone.is_signed_in
    assert laptop.sid != before
    assert laptop.complaints == []


def test_a_tab_that_still_shows_the_old_session_takes_up_the_new_one(site, open_profile):
    ada = open_profile(site).sign_in("ada")
    site.let_logins_age()
    other = ada.context.new_page()
    other.goto("/account/devices/")
    ada.go("/account/confirm/").page.get_by_label("Password").fill("ada-demo")
    ada.click("Confirm")
    other.get_by_role("navigation").get_by_role("link", name="Private", exact=True).click()
    other.wait_for_load_state()
    assert other.locator("dt:text-is('Session') + dd").inner_text() == ada.sid


def test_a_button_that_is_pressed_twice_confirms_once(site, open_profile):
    ada = open_profile(site).sign_in("ada")
    ada.go("/account/confirm/").page.get_by_label("Password").fill("ada-demo")
    ada.page.get_by_role("button", name="Confirm").dblclick()
    ada.page.wait_for_url(f"{site.origin}/")
    assert ada.is_signed_in
    assert len(ada.devices) == 1


# Signing in


def lasting(profile):
    """The names of the cookies that outlive the browser."""
    return {name for name, cookie in profile.cookies().items() if cookie["expires"] != -1}


def test_kept_signed_in_the_cookies_outlive_the_browser(site, open_profile):
    ada = open_profile(site).sign_in("ada", remember=True)
    assert {ACCESS, REFRESH, "sessionid"} <= lasting(ada)


def test_not_kept_signed_in_the_cookies_end_with_the_browser_also_after_a_renewal(site, open_profile):
    ada = open_profile(site).sign_in("ada", remember=False)
    names = {ACCESS, REFRESH, "sessionid"}
    assert names <= ada.cookies().keys()
    assert not names & lasting(ada)
    sid = ada.sid
    site.let_the_grace_pass(sid)
    lose_access(ada, "expired")
    assert ada.sid == sid
    assert site.session(sid)["generation"] == 2
    assert not names & lasting(ada)


def test_no_script_can_read_a_cookie_of_ours(site, open_profile):
    ada = open_profile(site).sign_in("ada")
    cookies = ada.cookies()
    for name in (ACCESS, REFRESH, "__Host-authx_device"):
        found = cookies[name]
        assert (found["httpOnly"], found["secure"], found["sameSite"]) == (True, True, "Lax")
    assert "authx" not in ada.page.evaluate("document.cookie")


def test_a_wrong_password_is_an_error_that_can_be_mended(site, open_profile):
    ada = open_profile(site).sign_in("ada", "wrong")
    assert ada.path == "/account/login/"
    assert "correct username and password" in ada.page.get_by_role("alert").inner_text()
    assert ada.page.get_by_label("Username").input_value() == "ada"
    assert ada.page.get_by_label("Password").input_value() == ""
    assert not {ACCESS, REFRESH} & ada.cookies().keys()
    ada.page.get_by_label("Password").fill("ada-demo")
    ada.click("Sign in")
    assert ada.is_signed_in


def test_who_keeps_guessing_is_asked_to_wait_even_with_the_right_password(site, open_profile):
    guesser = open_profile(site)

    def is_asked_to_wait(password):
        guesser.sign_in("ada", password)
        alert = guesser.page.get_by_role("alert")
        return alert.count() > 0 and "Too many attempts" in alert.inner_text()

    # Tries are counted by the minute, and one may end at any time: at the latest the next one shows it.
    tries = (is_asked_to_wait("wrong") and is_asked_to_wait("ada-demo") for _ in range(30))
    assert any(tries)
    assert not {ACCESS, REFRESH} & guesser.cookies().keys()


def test_the_login_leads_to_where_one_was_going_and_nowhere_else(site, open_profile):
    ada = open_profile(site).sign_in("ada", path="/account/login/?next=/private/")
    assert ada.path == "/private/"
    ada.go("/").click("Sign out")
    ada.sign_in("ada", path="/account/login/?next=https://evil.example/")
    assert ada.path == "/"


def test_signing_in_as_somebody_else_ends_the_session_that_was_there(site, open_profile):
    shared = open_profile(site).sign_in("ada")
    sid = shared.sid
    shared.sign_in("bob")
    assert "bob" in shared.go("/private/").page.locator("dl").inner_text()
    assert site.session(sid)["end_reason"] == "superseded"


# For everybody


def test_everything_can_be_done_with_the_keyboard_alone(site, open_profile):
    other, ada = open_profile(site, user_agent=IPHONE).sign_in("ada"), open_profile(site)
    page = ada.go("/account/devices/").page
    page.reload()
    tab_to(page, page.get_by_label("Username"))
    page.keyboard.type("ada")
    tab_to(page, page.get_by_label("Password"))
    page.keyboard.type("ada-demo")
    tab_to(page, page.get_by_label("Keep me signed in"))
    page.keyboard.press("Space")
    page.keyboard.press("Space")
    page.keyboard.press("Enter")
    page.wait_for_url("**/account/devices/")
    tab_to(page, page.get_by_role("listitem").filter(has_text="iPhone").get_by_role("button"))
    page.keyboard.press("Enter")
    page.get_by_role("status").wait_for()
    assert not other.is_signed_in
    tab_to(page, page.get_by_role("link", name="Home", exact=True))
    page.keyboard.press("Enter")
    page.wait_for_url(f"{site.origin}/")
    tab_to(page, page.get_by_role("button", name="Sign out"))
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="You are signed out").wait_for()


def test_the_first_tab_offers_to_skip_the_navigation(site, open_profile):
    page = open_profile(site).go("/").page
    page.keyboard.press("Tab")
    skip = page.get_by_role("link", name="Skip to main content")
    assert skip.evaluate("element => element === document.activeElement")
    assert skip.bounding_box()["x"] >= 0
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "content"


def every_page(profile):
    """Open every page that there is to the person signed in, one after the other."""
    page = profile.page
    for path in [*PAGES, "/admin/", DEVICE_SESSIONS]:
        assert page.goto(path).status == 200
        yield path
    page.locator("#result_list .field-person a").first.click()
    yield "detail"
    page.goto(DEVICE_SESSIONS)
    page.get_by_label("Action:").select_option("kick_everywhere")
    page.locator("#result_list").get_by_role("checkbox").last.check()
    page.locator(".actions button").click()
    page.get_by_label("Reason").wait_for()
    yield "confirmation"


def test_no_page_breaks_a_strict_content_security_policy_or_complains(either_site, open_profile):
    ada, admin = open_profile(either_site).sign_in("ada"), open_profile(either_site)
    visitor = open_profile(either_site)
    admin.sign_in_to_admin()
    for profile in (ada, admin, visitor):
        # The live page brings a policy, and Chromium would let an answer that is made here open no socket.
        profile.keep_strictly_to(but=["/live/"])
    assert len(list(every_page(admin))) == 10
    for path in PAGES:
        policy = ada.page.goto(path).header_value("content-security-policy")
        assert policy == POLICY or (path == "/live/" and "unsafe" not in policy)
        visitor.go(path)
    visitor.sign_in("bob", "wrong")
    ada.go("/").click("Sign out")
    assert ada.heading == "You are signed out"
    assert ada.complaints + admin.complaints + visitor.complaints == []


def test_the_strict_policy_would_have_been_noticed(site, open_profile):
    """The test above can fail: a page that breaks the policy does complain."""
    ada = open_profile(site)
    body = "<!doctype html><title>x</title><style>p {color: red}</style><p onclick='1'>x</p>"
    headers = {"content-type": "text/html", "content-security-policy": POLICY}
    ada.context.route("**/*", lambda route: route.fulfill(body=body, headers=headers))
    ada.go("/")
    assert any("Content Security Policy" in complaint for complaint in ada.complaints)


@slow
def test_no_page_is_wider_than_the_screen(site, open_profile):
    ada, visitor = open_profile(site).sign_in("ada"), open_profile(site)
    open_profile(site, user_agent=IPHONE).sign_in("ada")
    wide = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    for profile in (ada, visitor):
        for path in PAGES:
            for width in (320, 360, 768, 1280):
                profile.go(path).page.set_viewport_size({"width": width, "height": 800})
                assert profile.page.evaluate(wide) == 0, (path, width)


# Cookies that a sibling domain plants


#: Before our names: what a browser takes for part of a name, and readers that strip it for nothing.
PLANTED = ["\u2000", "\u3000", "\u00a0", "\u0085"]


class Sibling(BaseHTTPRequestHandler):
    """A page on another host of the same domain, which sets cookies for all of it."""

    #: What its ``Set-Cookie`` headers say.
    planted = []

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        for cookie in self.planted:
            self.send_header("Set-Cookie", cookie.encode().decode("latin-1"))
        self.end_headers()

    def log_message(self, *args):
        pass


@pytest.fixture
def sibling():
    """The origin of a sibling of the site, and what it shall plant."""
    with ThreadingHTTPServer(("127.0.0.1", 0), type("_", (Sibling,), {"planted": []})) as server:
        threading.Thread(target=server.serve_forever).start()
        yield f"http://evil.example.localhost:{server.server_port}/", server.RequestHandlerClass.planted
        server.shutdown()


@pytest.mark.parametrize("how", ["by Set-Cookie", pytest.param("by a script", marks=slow)])
def test_a_sibling_domain_plants_no_cookie_of_ours(how, either_site, open_profile, sibling):
    site, (evil, headers) = either_site, sibling
    site.origin = site.origin.replace("127.0.0.1", "shop.example.localhost")
    names = (ACCESS, REFRESH, "__Host-authx_device")
    bobs = open_profile(site).sign_in("bob").cookies()
    planted = [
        f"{odd}{name}={bobs[name]['value']}; Domain=example.localhost; Path=/"
        for odd in ["", "=", *PLANTED]
        for name in names
    ]

    def visit(profile):
        """Go to the other site, and come back; the Cookie header that the site was then sent."""
        headers[:] = planted if how == "by Set-Cookie" else []
        profile.page.goto(evil)
        if how == "by a script":
            profile.page.evaluate("planted => planted.forEach(cookie => {document.cookie = cookie})", planted)
        all_there = f"document.cookie.split('; ').length === {len(PLANTED) * len(names)}"
        profile.page.wait_for_function(all_there)
        with profile.page.expect_request("**/private/") as asked:
            profile.go("/private/")
        return asked.value.all_headers()["cookie"]

    stranger = open_profile(site)
    sent = visit(stranger)
    assert [sent.count(f"{name}={bobs[name]['value']}") for name in names] == [len(PLANTED)] * 3
    assert not re.search("(^|; )__Host-", sent)
    assert stranger.path == "/account/login/?next=/private/"
    assert ACCESS not in stranger.cookies()

    ada = open_profile(site).sign_in("ada")
    sid = ada.sid
    sent = visit(ada)
    assert [sent.count(name) for name in names] == [len(PLANTED) + 1] * 3
    assert ada.sid == sid
    site.let_the_grace_pass(sid)
    lose_access(ada, "missing")
    assert ada.sid == sid
    assert site.session(sid)["generation"] == 2
    ada.go("/account/login/").sign_in("ada")
    assert site.session(ada.sid)["device_id"] == site.session(sid)["device_id"]


# The demo itself


STATIC = {
    "/static/authx/authx.css": "text/css",
    "/static/authx/admin.css": "text/css",
    "/static/authx/client.js": "text/javascript",
    "/static/authx/live.js": "text/javascript",
    "/static/demo/demo.css": "text/css",
    "/static/demo/live.js": "text/javascript",
    "/static/demo/icon.svg": "image/svg+xml",
    "/favicon.ico": "image/svg+xml",  # what a page that names no icon makes the browser ask for
    "/static/admin/css/base.css": "text/css",
    "/static/admin/js/actions.js": "text/javascript",
}


def test_static_files_are_served(either_site):
    for path, content_type in STATIC.items():
        status, found, body = either_site.fetch(path)
        assert (status, found, bool(body)) == (200, content_type, True), path
    assert either_site.fetch("/static/demo/../settings.py")[0] == 404
    assert either_site.fetch("/static/nothing.css")[0] == 404


def test_an_address_that_is_not_there_has_a_page(either_site):
    status, _, body = either_site.fetch("/nowhere/")
    assert status == 404
    assert b"Page not found" in body


def printed_lines(site):
    """The shell lines that the demo printed."""
    return re.search(r"ready to paste into a shell\n+(.*?)\n+Serving on", site.welcome, re.DOTALL)[1]


def test_the_lines_that_the_demo_prints_work_in_a_shell(either_site):
    run = subprocess.run(
        ["sh", "-eu"], input=printed_lines(either_site), capture_output=True, text=True, timeout=120
    )
    assert (run.returncode, run.stderr) == (0, "")
    assert len(run.stdout.splitlines()) == 5, run.stdout
    hello, devices, session, logged_out, refused = run.stdout.splitlines()
    assert '"hello":"ada"' in hello
    assert '"name":"My terminal"' in devices
    assert '"current":true' in session
    assert logged_out == "204"
    assert '"code":"session_ended"' in refused
    assert '"reason":"logout"' in refused


def test_the_home_page_shows_the_same_lines(site, open_profile):
    shown = open_profile(site).go("/").page.locator("pre code").inner_text()
    assert shown.strip() == printed_lines(site).strip()


def test_the_demo_says_who_may_sign_in_and_where(site, open_profile):
    for user in ("admin", "ada", "bob"):
        password = re.search(rf"^ +{user} +(\S+)$", site.welcome, re.MULTILINE)[1]
        assert open_profile(site).sign_in(user, password).is_signed_in
    addresses = re.findall(r"^ +(http://\S+)", site.welcome, re.MULTILINE)
    assert len(addresses) >= 4
    for address in addresses:
        assert site.fetch(address.removeprefix(site.origin))[0] == 200


def test_what_the_terminal_opened_is_among_the_devices_of_the_browser(site, open_profile):
    ada = open_profile(site).sign_in("ada")
    login = printed_lines(site).split("curl -s $API/hello/")[0]
    subprocess.run(["sh", "-eu"], input=login, check=True, text=True, timeout=120)
    assert ada.devices == ["Chrome on Linux", "My terminal"]


# Pictures


def take_screenshots(chromium, directory, new_directory):
    """A picture of every page into ``directory``: light and dark, 1280 and 360 pixels wide."""
    for scheme in ("light", "dark"):
        for width in (1280, 360):
            options = {"color_scheme": scheme, "viewport": {"width": width, "height": 800}}
            with serving(new_directory("screenshots")) as site:
                _take(chromium, site, Path(directory), f"{scheme}-{width}", options)


def _take(chromium, site, directory, suffix, options):
    directory.mkdir(parents=True, exist_ok=True)

    def keep(profile, name):
        profile.page.screenshot(path=directory / f"{name}-{suffix}.png", full_page=True)

    visitor, ada, phone, admin = (Profile(chromium, site, **options) for _ in range(4))
    for name, path in {"home": "/", "login": "/account/login/", "not-found": "/nowhere/"}.items():
        keep(visitor.go(path), f"visitor-{name}")
    keep(visitor.sign_in("nobody", "wrong"), "login-error")
    other = Profile(chromium, site, user_agent=IPHONE, **options).sign_in("ada")
    phone.sign_in("ada")
    ada.sign_in("ada")
    for name, path in {"home": "/", "private": "/private/", "devices": "/account/devices/"}.items():
        keep(ada.go(path), f"ada-{name}")
    keep(admin.go(DEVICE_SESSIONS), "admin-login")
    admin.sign_in_to_admin()
    for name in every_page(admin):
        if name in {DEVICE_SESSIONS, "detail", "confirmation"}:
            keep(admin, f"admin-{name.strip('/').rpartition('/')[2]}")
    kick(admin, "iPhone", "lost on the train")
    keep(admin, "admin-kicked")
    keep(other.go("/private/"), "login-kicked")
    admin.page.locator("#result_list tr:has-text('iPhone') .field-person a").first.click()
    keep(admin, "admin-detail-kicked")
    site.let_logins_age()
    keep(ada.go("/account/devices/").click("Sign out everywhere else"), "confirm")
    ada.page.get_by_label("Password").fill("wrong")
    keep(ada.click("Confirm"), "confirm-error")
    ada.page.get_by_label("Password").fill("ada-demo")
    keep(ada.click("Confirm").click("Sign out everywhere else"), "devices-alone")
    keep(phone.go("/private/"), "login-ended")
    keep(ada.go("/").click("Sign out"), "signed-out")
    for profile in (visitor, ada, phone, admin, other):
        profile.context.close()


@pytest.fixture(scope="module", autouse=True)
def _screenshots(request, tmp_path_factory):
    if directory := os.environ.get("AUTHX_SCREENSHOTS"):
        take_screenshots(request.getfixturevalue("chromium"), directory, tmp_path_factory.mktemp)
