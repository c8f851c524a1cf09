"""The live notice: Chromium with many tabs on the real demo, kicked out in the admin of the demo.

AUTHX_SCREENSHOTS=directory takes a picture of the notice besides, light and dark, wide and narrow.
"""

import os
import re
import time
from pathlib import Path

import pytest

from tests.journeys.demo import (
    ACCESS,
    IPHONE,
    POLICY,
    REFRESH,
    Profile,
    choose_to_kick,
    kick,
    say_yes,
    serving,
)

# The demo is the same whatever site the other journeys are made on.
pytestmark = [pytest.mark.browser, pytest.mark.slow]

KICKED = "You were signed out by an administrator."
#: The row of the session to kick.
PHONE = re.compile("iPhone.*Live", re.DOTALL)
#: Seconds in which a page is told.
SOON = 1.0


@pytest.fixture
def streaming(tmp_path):
    """The demo under uvicorn, which serves the stream."""
    with serving(tmp_path, "--asgi") as found:
        yield found


@pytest.fixture
def polling(tmp_path):
    """The demo under WSGI."""
    with serving(tmp_path) as found:
        yield found


class Tabs(Profile):
    """A browser with tabs, and what they ask of ``live/``."""

    def __init__(self, chromium, site, **options):
        super().__init__(chromium, site, **options)
        #: Who has asked for a stream, and how the questions were answered.
        self.streamed, self.answers = [], []
        self.context.on("request", self._note_request)
        self.context.on("response", self._note_response)

    def _note_request(self, request):
        if request.resource_type == "eventsource":
            self.streamed.append(request.frame.page)

    def _note_response(self, response):
        if "/account/live/" in response.url and response.request.resource_type == "fetch":
            self.answers.append(response.status)

    def leave_the_first_tab(self):
        """It has no part in what follows."""
        self.page.goto("about:blank")
        self.streamed.clear()

    def open(self, count, path="/private/"):
        tabs = [self.context.new_page() for _ in range(count)]
        for tab in tabs:
            tab.goto(path)
        return tabs

    def until(self, found, what, seconds=10):
        end = time.monotonic() + seconds
        while not found():
            assert time.monotonic() < end, f"not within {seconds} s: {what}"
            self.page.wait_for_timeout(20)

    def until_streaming(self, count=1):
        self.until(lambda: len(self.streamed) >= count, f"{count} streams")
        self.page.wait_for_timeout(300)  # it is open, and nobody else opens one


@pytest.fixture
def open_tabs(chromium):
    opened = []

    def open_one(site, kind=Tabs, **options):
        opened.append(kind(chromium, site, **options))
        return opened[-1]

    yield open_one
    for profile in opened:
        profile.context.unroute_all(behavior="ignoreErrors")
        profile.context.close()


@pytest.fixture
def admin(open_tabs):
    def sign_in(site):
        found = open_tabs(site, Profile)
        found.sign_in_to_admin()
        return found

    return sign_in


def notice(tab):
    return tab.get_by_role("alertdialog")


def told(tab, seconds=SOON):
    """What the notice in a tab says, if it comes in time."""
    notice(tab).wait_for(timeout=seconds * 1000)
    return tab.locator("#authx-live-reason").inner_text()


def unexpected(profile):
    """What the console complained of, but for the answer that the session has ended."""
    return [each for each in profile.complaints if "/account/live/" not in each or "401" not in each]


def silent(tabs):
    return all(not tab.locator("#authx-live").is_visible() for tab in tabs)


def test_ten_tabs_hold_one_stream_and_are_told_within_a_second_of_the_kick(streaming, open_tabs, admin):
    ada, boss = open_tabs(streaming, user_agent=IPHONE).sign_in("ada"), admin(streaming)
    ada.leave_the_first_tab()
    tabs = ada.open(10)
    ada.until_streaming()
    choose_to_kick(boss, PHONE)
    assert silent(tabs)
    streams = set(ada.streamed)
    began = time.monotonic()
    say_yes(boss, "lost on the train")
    assert told(tabs[0]) == KICKED
    assert [told(tab) for tab in tabs] == [KICKED] * 10
    assert time.monotonic() - began < 3 * SOON, "the kick itself, and ten tabs one after the other"
    assert len(streams) == 1
    assert {tab.locator("#authx-live-title").inner_text() for tab in tabs} == {"You are signed out"}
    assert all(tab.locator("#authx-live-time").inner_text() for tab in tabs)
    assert ada.streamed == [*streams]
    assert unexpected(ada) == []


def test_the_leadership_passes_on_when_its_tab_is_closed(streaming, open_tabs, admin):
    ada, boss = open_tabs(streaming, user_agent=IPHONE).sign_in("ada"), admin(streaming)
    ada.leave_the_first_tab()
    tabs = ada.open(3)
    ada.until_streaming()
    (leader,) = ada.streamed
    leader.close()
    others = [tab for tab in tabs if tab is not leader]
    ada.until_streaming(2)
    assert ada.streamed[1] in others
    kick(boss, PHONE, "")
    assert [told(tab) for tab in others] == [KICKED] * 2


def test_a_tab_that_is_put_to_sleep_leads_nobody(streaming, open_tabs, admin):
    ada, boss = open_tabs(streaming, user_agent=IPHONE).sign_in("ada"), admin(streaming)
    ada.leave_the_first_tab()
    tabs = ada.open(2)
    ada.until_streaming()
    (leader,) = ada.streamed
    (other,) = (tab for tab in tabs if tab is not leader)
    leader.evaluate("document.dispatchEvent(new Event('freeze'))")  # Chromium freezes none that is visible
    ada.until_streaming(2)
    assert ada.streamed[1] is other
    kick(boss, PHONE, "")
    assert told(other) == KICKED
    leader.evaluate("document.dispatchEvent(new Event('resume'))")
    assert told(leader, 3) == KICKED


def test_the_way_back_leads_to_the_page_and_the_notice_goes_where_somebody_signs_in(
    streaming, open_tabs, admin
):
    ada, boss = open_tabs(streaming, user_agent=IPHONE).sign_in("ada"), admin(streaming)
    (tab,) = ada.open(1, "/private/?a=1&b=2")
    kick(boss, PHONE, "")
    told(ada.page)
    told(tab)
    ada.page.get_by_role("link", name="Sign in again").click()
    ada.page.get_by_label("Username").fill("ada")
    ada.page.get_by_label("Password").fill("ada-demo")
    ada.click("Sign in")
    assert ada.path == "/"
    ada.leave_the_first_tab()
    tab.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    notice(tab).wait_for(state="hidden")
    ada.until_streaming()
    kick(boss, PHONE, "")
    told(tab)
    tab.get_by_role("link", name="Sign in again").click()
    tab.get_by_label("Username").fill("ada")
    tab.get_by_label("Password").fill("ada-demo")
    tab.get_by_role("button", name="Sign in").click()
    tab.wait_for_url("**/private/?a=1&b=2")


def test_forms_are_kept_and_nothing_is_loaded_again(streaming, open_tabs, admin):
    ada, boss = open_tabs(streaming, user_agent=IPHONE).sign_in("ada"), admin(streaming)
    page = ada.go("/account/confirm/").page
    page.get_by_label("Password").fill("half a pass")
    loaded = []
    page.on("framenavigated", lambda frame: loaded.append(frame.url))
    kick(boss, PHONE, "")
    told(page)
    assert page.evaluate("document.activeElement.textContent") == "Sign in again"
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    notice(page).wait_for(state="hidden")
    assert page.get_by_label("Password").input_value() == "half a pass"
    asked = len(ada.answers)
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    ada.until(lambda: len(ada.answers) > asked, "it asks again")
    page.wait_for_timeout(500)
    assert silent([page]), "once is enough"
    assert loaded == []


def test_a_step_up_in_one_tab_shows_nothing_in_the_others(streaming, open_tabs):
    ada = open_tabs(streaming).sign_in("ada")
    tabs = ada.open(3)
    ada.until_streaming()
    before, streams = ada.sid, len(ada.streamed)
    ada.go("/account/confirm/").page.get_by_label("Password").fill("ada-demo")
    ada.click("Confirm")
    assert ada.sid != before
    ada.until(lambda: len(ada.streamed) > streams, "somebody streams for the new session")
    ada.page.wait_for_timeout(2500)  # as long as a second look takes
    assert silent(tabs)
    assert 204 in ada.answers


def test_a_password_change_in_one_tab_shows_nothing_in_the_others(streaming, open_tabs):
    boss = open_tabs(streaming, user_agent=IPHONE)
    boss.sign_in_to_admin()
    other = open_tabs(streaming).sign_in("admin")
    boss.open(1)
    tabs = boss.open(2)
    boss.until_streaming()
    asked = len(boss.answers)
    page = boss.go("/admin/password_change/").page
    page.locator("#id_old_password").fill("admin-demo")
    for field in ("#id_new_password1", "#id_new_password2"):
        page.locator(field).fill("another-horse-battery")
    page.locator("input[type=submit]").click()
    page.wait_for_url("**/password_change/done/")
    assert told(other.page, 2 * SOON + 2) == "You were signed out because your password was changed."
    boss.until(lambda: len(boss.answers) > asked, "the tabs have asked")
    boss.page.wait_for_timeout(2500)
    assert silent(tabs)


def test_who_signs_out_in_one_tab_is_told_in_the_others_alone(streaming, open_tabs):
    ada = open_tabs(streaming).sign_in("ada")
    tabs = ada.open(2)
    shown = "document.getElementById('authx-live').addEventListener('toggle', () => console.error('shown'))"
    ada.until_streaming()
    ada.go("/").page.evaluate(shown)
    assert ada.click("Sign out").heading == "You are signed out"
    for tab in tabs:
        assert told(tab, 2 * SOON) in {"You signed out.", "You are not signed in any more."}
    assert unexpected(ada) == []


def test_a_page_whose_form_has_been_sent_asks_once_it_has_not_gone(streaming, open_tabs, admin):
    """A page that goes need not know, and its last question would stand in the console."""
    ada, boss = open_tabs(streaming, user_agent=IPHONE).sign_in("ada"), admin(streaming)
    ada.leave_the_first_tab()
    (tab,) = ada.open(1)
    ada.until_streaming()
    choose_to_kick(boss, PHONE)
    asked = len(ada.answers)
    tab.evaluate("document.body.dispatchEvent(new Event('submit', { bubbles: true, cancelable: true }))")
    say_yes(boss, "lost on the train")
    assert told(tab, 5 * SOON + 5) == KICKED
    assert ada.answers[asked:] == [401]


def test_another_user_in_the_same_browser_is_told_in_the_pages_of_the_first(streaming, open_tabs):
    shared = open_tabs(streaming).sign_in("ada")
    (tab,) = shared.open(1)
    shared.sign_in("bob")
    assert told(tab, 2 * SOON + 2) == "Somebody signed in again in this browser."
    shared.go("/private/").page.wait_for_timeout(300)
    assert silent([shared.page])


WITHOUT_LOCKS = "Object.defineProperty(Navigator.prototype, 'locks', {value: undefined})"
TURN = """state => {
    Object.defineProperty(document, 'visibilityState', {get: () => state, configurable: true})
    document.dispatchEvent(new Event('visibilitychange'))
}"""


def test_without_web_locks_each_tab_that_is_looked_at_streams_by_itself(streaming, open_tabs, admin):
    ada, boss = open_tabs(streaming, user_agent=IPHONE), admin(streaming)
    ada.context.add_init_script(WITHOUT_LOCKS)
    ada.sign_in("ada")
    ada.leave_the_first_tab()
    tabs = ada.open(2)
    ada.until_streaming(2)
    assert set(ada.streamed) == set(tabs)
    tabs[1].evaluate("() => new Promise(done => setTimeout(done, 300))")
    tabs[1].evaluate(TURN, "hidden")
    kick(boss, PHONE, "")
    assert told(tabs[0]) == KICKED
    tabs[1].evaluate(TURN, "visible")
    assert told(tabs[1]) == KICKED


def test_under_wsgi_one_tab_polls_and_each_asks_when_it_is_looked_at(polling, open_tabs, admin):
    ada, boss = open_tabs(polling, user_agent=IPHONE), admin(polling)
    ada.context.clock.install()
    ada.sign_in("ada")
    ada.leave_the_first_tab()
    tabs = ada.open(4)
    ada.context.clock.fast_forward(61_000)
    ada.until(lambda: ada.answers == [204], "one of them asks")
    kick(boss, PHONE, "")
    assert silent(tabs)
    tabs[2].evaluate(TURN, "visible")
    assert told(tabs[2], 5) == KICKED
    ada.context.clock.fast_forward(61_000)
    assert [told(tab, 5) for tab in tabs] == [KICKED] * 4
    asked = len(ada.answers)
    for _ in range(10):
        ada.context.clock.fast_forward(61_000)
        ada.page.wait_for_timeout(20)
    assert len(ada.answers) == asked, "nobody asks for ever"
    assert ada.streamed == []


def test_where_the_stream_fails_twice_the_tab_polls_and_streams_again_later(streaming, open_tabs, admin):
    ada, boss = open_tabs(streaming, user_agent=IPHONE), admin(streaming)
    ada.context.clock.install()
    ada.sign_in("ada")
    ada.leave_the_first_tab()

    def refuse_streams(route):
        if route.request.resource_type == "eventsource":
            route.fulfill(status=502)
        else:
            route.fallback()

    ada.context.route("**/account/live/**", refuse_streams)
    (tab,) = ada.open(1)
    ada.until(lambda: len(ada.streamed) == 1, "it tries to stream")
    ada.until(lambda: ada.answers == [204], "it asks instead")
    ada.context.clock.fast_forward(4_000)
    ada.until(lambda: len(ada.streamed) == 2, "it tries once more")
    ada.until(lambda: ada.answers == [204] * 2, "it asks again")
    ada.context.clock.fast_forward(59_000)
    assert len(ada.streamed) == 2
    ada.context.clock.fast_forward(2_000)
    ada.until(lambda: ada.answers == [204] * 3, "it polls")
    ada.context.unroute("**/account/live/**")
    for count in range(4, 8):
        ada.context.clock.fast_forward(61_000)
        ada.until(lambda count=count: ada.answers == [204] * count, "it polls on")
    ada.until(lambda: len(ada.streamed) == 3, "it streams again")
    kick(boss, PHONE, "")
    assert told(tab, 2 * SOON) == KICKED


def test_what_ended_while_there_was_no_network_is_told_when_it_is_back(streaming, open_tabs, admin):
    ada, boss = open_tabs(streaming, user_agent=IPHONE).sign_in("ada"), admin(streaming)
    ada.until_streaming()
    ada.context.set_offline(True)
    kick(boss, PHONE, "")
    ada.page.evaluate(TURN, "visible")
    ada.page.wait_for_timeout(300)
    assert silent([ada.page]), "an outage is no ending"
    ada.context.set_offline(False)
    assert told(ada.page, 5) == KICKED


NOT_OURS = {
    "an outage": {"status": 503, "json": {"code": "store_unavailable", "detail": "x"}},
    "a proxy's 401": {"status": 401, "body": "<h1>401</h1>", "content_type": "text/html"},
    "another 401": {"status": 401, "json": {"detail": "x"}},
    "a login page": {"status": 200, "body": "<h1>Sign in</h1>", "content_type": "text/html"},
    "a redirect": {"status": 302, "headers": {"Location": "/account/login/"}},
    "a ban": {"status": 403, "body": ""},
}


@pytest.mark.parametrize("case", NOT_OURS)
def test_an_answer_that_is_not_ours_shows_nothing(polling, open_tabs, case):
    ada = open_tabs(polling).sign_in("ada")
    answered = []

    def answer(route):
        answered.append(1)
        route.fulfill(**NOT_OURS[case])

    ada.context.route("**/account/live/**", answer)
    ada.page.evaluate(TURN, "visible")
    ada.until(lambda: answered, "it asks")
    ada.page.wait_for_timeout(300)
    assert silent([ada.page])


def test_a_message_of_somebody_elses_is_not_believed(streaming, open_tabs):
    ada = open_tabs(streaming).sign_in("ada")
    ada.until_streaming()
    other = ada.context.new_page()
    other.goto("/account/login/")
    other.evaluate("new BroadcastChannel('authx.live').postMessage({code: 'session_ended', detail: 'evil'})")
    ada.until(lambda: ada.answers == [204, 204], "both tabs ask the site itself")
    assert silent([ada.page, other])


def test_an_open_page_is_no_use_of_the_session(streaming, open_tabs):
    ada = open_tabs(streaming).sign_in("ada")
    sid = ada.sid
    ada.until_streaming()
    streaming.let_the_grace_pass(sid)
    ada.context.clear_cookies(name=ACCESS)
    before = dict(streaming.session(sid))
    ada.page.evaluate(TURN, "visible")
    ada.until(lambda: ada.answers == [204], "it asks")
    assert dict(streaming.session(sid)) == before
    assert ACCESS not in ada.cookies()
    assert REFRESH in ada.cookies()


def test_it_works_under_a_strict_content_security_policy(streaming, open_tabs, admin):
    ada, boss = open_tabs(streaming, user_agent=IPHONE).sign_in("ada"), admin(streaming)

    def strictly(route):
        answer = route.fetch(max_redirects=0)
        route.fulfill(response=answer, headers={**answer.headers, "content-security-policy": POLICY})

    ada.context.route("**/private/", strictly)
    ada.leave_the_first_tab()
    assert ada.page.goto("/private/").header_value("content-security-policy") == POLICY
    ada.until_streaming()
    kick(boss, PHONE, "")
    assert told(ada.page) == KICKED
    assert unexpected(ada) == []


def test_a_page_that_comes_back_from_the_browsers_cache_is_not_shown_before_it_has_asked(
    streaming, chromium, browser_args
):
    """C12: Back after signing out shows no page of the session."""
    kept = chromium.browser_type.launch(
        executable_path=os.environ.get("AUTHX_TEST_CHROMIUM") or _chromium(),
        args=browser_args,
        ignore_default_args=["--disable-back-forward-cache"],
    )
    try:
        ada = Tabs(kept, streaming).sign_in("ada")
        ada.leave_the_first_tab()
        page = ada.go("/private/").page
        ada.until_streaming()
        page.evaluate("window.wasKept = true")
        page.goto("/account/login/")
        page.evaluate("history.back()")
        page.wait_for_function("window.wasKept")
        ada.until(lambda: 204 in ada.answers, "it has asked")
        page.wait_for_function("getComputedStyle(document.querySelector('h1')).visibility === 'visible'")
        page.goto("/account/login/")
        other = ada.context.new_page()
        other.goto("/")
        other.get_by_role("button", name="Sign out").click()
        other.wait_for_load_state()
        page.evaluate("history.back()")
        assert told(page, 3)
        assert page.evaluate("window.wasKept"), "Chromium has kept the page"
        assert page.evaluate("getComputedStyle(document.querySelector('h1')).visibility") == "hidden"
        assert page.get_by_role("button", name="Stay on this page").count() == 0
    finally:
        kept.close()


def _chromium():
    import shutil

    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))))


@pytest.mark.parametrize("width", [320, 360, 1280])
def test_the_notice_fits_and_says_its_name(streaming, open_tabs, admin, width):
    ada = open_tabs(streaming, user_agent=IPHONE, viewport={"width": width, "height": 640}).sign_in("ada")
    kick(admin(streaming), PHONE, "")
    told(ada.page)
    box = notice(ada.page).bounding_box()
    assert box["x"] >= 8
    assert box["x"] + box["width"] <= width - 8
    assert abs(box["x"] * 2 + box["width"] - width) < 20
    assert box["y"] >= 8
    assert box["y"] + box["height"] <= 632
    assert ada.page.get_by_role("alertdialog", name="You are signed out").count() == 1
    ids = notice(ada.page).get_attribute("aria-describedby").split()
    assert ada.page.locator(f"#{ids[0]}").inner_text() == KICKED
    assert ada.page.locator(f"#{ids[1]}").inner_text() != ""


@pytest.fixture(scope="module", autouse=True)
def _screenshots(request, tmp_path_factory):
    if directory := os.environ.get("AUTHX_SCREENSHOTS"):
        for scheme in ("light", "dark"):
            for width in (1280, 360):
                with serving(tmp_path_factory.mktemp("screenshots"), "--asgi") as site:
                    take_picture(request.getfixturevalue("chromium"), site, Path(directory), scheme, width)


def take_picture(chromium, site, directory, scheme, width):
    options = {"color_scheme": scheme, "viewport": {"width": width, "height": 800}}
    ada = Tabs(chromium, site, user_agent=IPHONE, **options).sign_in("ada")
    boss = Profile(chromium, site)
    boss.sign_in_to_admin()
    ada.go("/private/")
    kick(boss, PHONE, "")
    told(ada.page)
    ada.page.wait_for_timeout(200)
    directory.mkdir(parents=True, exist_ok=True)
    ada.page.screenshot(path=directory / f"live-notice-{scheme}-{width}.png")
    for profile in (ada, boss):
        profile.context.close()
