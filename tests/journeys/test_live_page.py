"""The demo's live page in Chromium: a socket and calls of the API by script, until the session ends.

AUTHX_SCREENSHOTS=directory takes pictures of it besides, light and dark, wide and narrow.
"""

import os
import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.journeys.demo import (
    IPHONE,
    ROOT,
    Profile,
    choose_to_kick,
    environment_with,
    kick,
    say_yes,
    serving,
    tab_to,
)
from tests.journeys.test_live import KICKED, PHONE, SOON, TURN

# The demo is the same whatever site the other journeys are made on.
pytestmark = [pytest.mark.browser, pytest.mark.slow]

#: Keeps the moment at which the page said so, in ms.
WATCH = """
new MutationObserver(() => {
    const over = document.getElementById('over')
    if (over && !over.hidden) window.saidAt ??= Date.now()
}).observe(document, {subtree: true, attributes: true, attributeFilter: ['hidden']})
"""


class Watcher(Profile):
    """A person who looks at the live page."""

    def __init__(self, chromium, site, **options):
        super().__init__(chromium, site, **options)
        self.context.add_init_script(WATCH)
        #: What sockets were opened, and which tokens the calls carried.
        self.sockets, self.tokens = [], []
        self.page.on("websocket", lambda socket: self.sockets.append(socket.url))
        self.page.on("request", self._note_request)

    def _note_request(self, request):
        if request.url.endswith("/api/hello/"):
            self.tokens.append(request.headers["authorization"].removeprefix("Bearer "))

    def watch(self, user):
        self.sign_in(user, path="/account/login/?next=/live/")
        assert self.path == "/live/"
        return self

    def shown(self, name):
        return self.page.locator(f"[data-show='{name}']").inner_text()

    def until(self, name, text, seconds=10):
        """Wait until this place of the page has this text; a pattern will do."""
        place = self.page.locator(f"[data-show='{name}']").filter(has_text=text)
        place.wait_for(state="attached", timeout=seconds * 1000)
        return self

    def until_connected(self):
        return self.until("socket", "Connected").until("call", "Answered").until("message", "Number")

    @property
    def over(self):
        """The notice that the session is over."""
        return self.page.get_by_role("alert")

    @property
    def said_at(self):
        return datetime.fromtimestamp(self.page.evaluate("window.saidAt") / 1000, UTC)


@pytest.fixture
def open_page(chromium):
    opened = []

    def open_one(site, kind=Watcher, **options):
        opened.append(kind(chromium, site, **options))
        return opened[-1]

    yield open_one
    for profile in opened:
        profile.context.close()


@pytest.fixture
def admin(open_page):
    def sign_in(site):
        found = open_page(site, Profile)
        found.sign_in_to_admin()
        return found

    return sign_in


@pytest.fixture
def streaming(tmp_path):
    """The demo with sockets."""
    with serving(tmp_path, "--asgi") as found:
        yield found


def ended_at(site, user):
    found = site.query(
        "SELECT ended_at FROM authx_devicesession AS session JOIN auth_user ON auth_user.id = user_id"
        " WHERE username = ?",
        user,
    )
    return [datetime.fromisoformat(row["ended_at"]).replace(tzinfo=UTC) for row in found]


def test_two_browsers_that_are_kicked_say_so_within_a_second_and_others_stay(streaming, open_page, admin):
    laptop, phone = open_page(streaming).watch("ada"), open_page(streaming, user_agent=IPHONE).watch("ada")
    other, boss = open_page(streaming).watch("bob"), admin(streaming)
    for each in (laptop, phone, other):
        each.until_connected()
        assert not each.over.is_visible()
    choose_to_kick(boss, re.compile(r"^\s*ada"), every=True)
    say_yes(boss, "lost on the train")
    for each in (laptop, phone):
        each.over.wait_for(timeout=10_000)
        assert KICKED in each.over.inner_text()
        assert (each.shown("socket"), each.shown("call")) == ("Closed", "Refused")
        assert each.shown("message").startswith("Closed with 4401 (kicked)")
        assert each.shown("answer").startswith("session_ended (kicked)")
    (moment,) = set(ended_at(streaming, "ada"))
    late = [(each.said_at - moment).total_seconds() for each in (laptop, phone)]
    assert max(late) < SOON, late
    calls = int(other.shown("calls"))
    other.page.get_by_role("button", name="Call now").click()
    other.until("calls", str(calls + 1)).until("call", "Answered")
    assert other.shown("socket") == "Connected"
    assert not other.over.is_visible()
    assert other.complaints == []


def test_socket_and_calls_stay_alive_over_renewals(tmp_path, open_page):
    """It takes as long as two tokens live, and leaves a busy machine five seconds for each renewal."""
    with serving(tmp_path, "--asgi", "--token-seconds", "12", DEMO_LEEWAY="2") as site:
        ada = open_page(site).watch("ada").until_connected()
        first = ada.tokens[0]
        assert "good for 12 seconds" in ada.page.locator("main").inner_text()
        ada.until("renewals", re.compile("^[2-9]$"), seconds=60)
        refused = ada.context.request.get("/api/hello/", headers={"Authorization": f"Bearer {first}"})
        assert refused.json()["code"] == "token_expired"
        number = int(re.match(r"Number (\d+)", ada.shown("message"))[1])
        ada.until("message", f"Number {number + 1}")
        ada.page.get_by_role("button", name="Call now").click()
        ada.until("answer", "200, hello ada")
        assert ada.tokens[-1] != first
        assert (ada.shown("connections"), len(ada.sockets)) == ("1", 1), ada.shown("log")
        assert ada.shown("socket") == "Connected"
        assert not ada.over.is_visible()
        assert ada.complaints == []


def test_an_interruption_is_shown_and_is_no_ending(streaming, open_page):
    ada, connections = open_page(streaming), []

    def pass_on(route):
        connections.append(route)
        route.connect_to_server()

    ada.page.route_web_socket("**/ws/count/", pass_on)
    ada.watch("ada").until_connected()
    connections[0].close(code=1012, reason="restart")
    ada.until("socket", "Lost, coming back")
    ada.until("connections", "2").until("socket", "Connected").until("message", "Number 1,")
    assert not ada.over.is_visible()


def test_a_server_that_cannot_be_reached_signs_nobody_out(tmp_path, open_page):
    with serving(tmp_path) as site:
        ada = open_page(site).watch("ada").until("call", "Answered")
    ada.page.get_by_role("button", name="Call now").click()
    ada.until("call", "No answer").until("answer", "The server cannot be reached")
    assert not ada.over.is_visible()


def test_under_wsgi_it_says_how_to_get_a_socket_and_hears_of_the_kick_by_the_next_call(
    tmp_path, open_page, admin
):
    with serving(tmp_path) as site:
        ada, boss = open_page(site, user_agent=IPHONE).watch("ada").until("call", "Answered"), admin(site)
        assert ada.shown("socket") == "Not available"
        assert "python manage.py demo --asgi" in ada.page.get_by_role("region", name="Socket").inner_text()
        kick(boss, PHONE, "")
        ada.page.get_by_role("button", name="Call now").click()
        ada.over.wait_for()
        assert KICKED in ada.over.inner_text()
        assert ada.shown("answer").endswith(tuple("0123456789M"))
        assert "session_ended (kicked)" in ada.shown("answer")
        assert ada.sockets == []


def test_the_way_back_leads_to_the_page_with_the_keyboard_alone(streaming, open_page, admin):
    ada, boss = open_page(streaming, user_agent=IPHONE).watch("ada").until_connected(), admin(streaming)
    calls = int(ada.shown("calls"))
    tab_to(ada.page, ada.page.get_by_role("button", name="Call now"))
    ada.page.keyboard.press("Enter")
    ada.until("calls", str(calls + 1))
    kick(boss, PHONE, "")
    ada.over.wait_for()
    ada.page.evaluate("scrollTo(0, document.body.scrollHeight)")
    link = ada.over.get_by_role("link", name="Sign in again")
    assert link.bounding_box()["y"] >= 0, "it can be seen wherever the page is scrolled to"
    tab_to(ada.page, link)
    ada.page.keyboard.press("Enter")
    ada.page.get_by_label("Username").fill("ada")
    ada.page.get_by_label("Password").fill("ada-demo")
    ada.page.keyboard.press("Enter")
    ada.page.wait_for_url("**/live/")
    ada.until_connected()


def test_it_goes_on_where_somebody_has_signed_in_again_in_another_tab(streaming, open_page, admin):
    ada, boss = open_page(streaming, user_agent=IPHONE).watch("ada").until_connected(), admin(streaming)
    kick(boss, PHONE, "")
    ada.over.wait_for()
    other = ada.context.new_page()
    other.goto("/account/login/")
    other.get_by_label("Username").fill("ada")
    other.get_by_label("Password").fill("ada-demo")
    other.get_by_role("button", name="Sign in").click()
    other.wait_for_url(f"{streaming.origin}/")
    ada.page.evaluate(TURN, "visible")
    ada.over.wait_for(state="hidden")
    ada.until_connected()


@pytest.mark.parametrize("seconds", ["4", "901", "-20", "1e3", "ten"])
def test_a_life_of_tokens_that_is_none_is_refused_by_the_command(tmp_path, seconds):
    command = [sys.executable, "manage.py", "demo", "--prepare-only", f"--token-seconds={seconds}"]
    environment = environment_with(tmp_path / "demo.sqlite3")
    run = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert run.returncode == 2
    assert "argument --token-seconds: a number from 5 to 900" in run.stderr


def test_without_javascript_it_says_so_and_where_to_go(streaming, open_page):
    ada = open_page(streaming, java_script_enabled=False).watch("ada")
    assert "yours is turned off" in ada.page.locator("main").inner_text()
    assert ada.shown("socket") == ada.shown("call") == ada.shown("token") == "Not started"
    ada.page.locator("main").get_by_role("link", name="private page").click()
    assert ada.heading == "Private page"


def test_nothing_of_others_may_run_in_it(streaming, open_page):
    answer = open_page(streaming).sign_in("ada").page.goto("/live/")
    policy = answer.header_value("content-security-policy")
    assert "unsafe" not in policy
    assert "default-src 'none'" in policy


@pytest.fixture(scope="module", autouse=True)
def _screenshots(request, tmp_path_factory):
    if directory := os.environ.get("AUTHX_SCREENSHOTS"):
        Path(directory).mkdir(parents=True, exist_ok=True)
        for options in ([], ["--asgi"]):
            with serving(tmp_path_factory.mktemp("screenshots"), *options) as site:
                take_pictures(request.getfixturevalue("chromium"), site, Path(directory), bool(options))


def take_pictures(chromium, site, directory, has_sockets):
    for scheme in ("light", "dark"):
        for width in (1280, 360):
            name = f"live-page-{'asgi' if has_sockets else 'wsgi'}-{scheme}-{width}"
            options = {"color_scheme": scheme, "viewport": {"width": width, "height": 800}}
            ada, boss = Watcher(chromium, site, user_agent=IPHONE, **options), Profile(chromium, site)
            ada.watch("ada").until("call", "Answered").until("socket", re.compile("Connected|Not available"))
            ada.page.screenshot(path=directory / f"{name}.png", full_page=True)
            boss.sign_in_to_admin()
            kick(boss, PHONE, "")
            ada.page.get_by_role("button", name="Call now").click()
            ada.over.wait_for()
            ada.page.screenshot(path=directory / f"{name}-kicked.png", full_page=True)
            for profile in (ada, boss):
                profile.context.close()
