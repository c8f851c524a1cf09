"""A page that is left, and one that comes back from the browser's own cache."""

import os
import shutil

import pytest

from authx.models import DeviceSession
from authx.sessions import end_sessions
from tests.client.conftest import LOGOUT, SESSION, Browser, eventually

pytestmark = pytest.mark.slow

NEXT = "/app/?next"
FROM_CACHE = "window.from_cache === true"
WATCH = """() => {
    window.from_cache = false;
    window.seen = [];
    const look = () => document.documentElement.style.visibility;
    addEventListener("pagehide", () => seen.push(["pagehide", look()]));
    addEventListener("pageshow", ({ persisted }) => {
        window.from_cache = persisted;
        seen.push(["pageshow", look()]);
    });
    auth.on("ended", () => seen.push(["ended", look()]));
    return null;
}"""


@pytest.fixture
def caching(chromium, browser_args, site):
    """A profile of a Chromium that keeps pages, which Playwright's others do not."""
    named = filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome")))
    executable = os.environ.get("AUTHX_TEST_CHROMIUM") or next(named)
    found = chromium.browser_type.launch(
        executable_path=executable, args=browser_args, ignore_default_args=["--disable-back-forward-cache"]
    )
    profile = Browser(found, site)
    yield profile
    found.close()
    assert profile.complaints == []


@pytest.fixture
def left(caching, site, ada, password):
    """A tab in which ada has signed in, and gone on to another page."""
    tab = caching.tab()
    tab.login("ada", password)
    tab.run(WATCH)
    return tab


def come_back(tab):
    tab.page.go_back(wait_until="commit")
    tab.wait("window.from_cache !== undefined || window.auth !== undefined")


def test_a_page_that_comes_back_is_shown_once_the_server_was_asked(left, site):
    left.page.goto(NEXT)
    site.front.forget()
    gate = site.front.hold(SESSION)
    come_back(left)
    if not left.run(FROM_CACHE):
        pytest.skip("this browser has not kept the page")
    assert gate.arrived.wait(30)
    assert left.run("document.documentElement.style.visibility") == "hidden"
    site.front.let_go(SESSION)
    left.wait("document.documentElement.style.visibility === ''")
    assert left.run("seen") == [["pagehide", "hidden"], ["pageshow", "hidden"]]
    assert left.call() == 200


def test_a_page_that_comes_back_after_the_end_says_so_before_it_is_shown(left):
    left.page.goto(NEXT)
    end_sessions(DeviceSession.objects.all(), "kicked")
    come_back(left)
    if not left.run(FROM_CACHE):
        pytest.skip("this browser has not kept the page")
    left.wait("document.documentElement.style.visibility === ''")
    assert left.run("seen") == [["pagehide", "hidden"], ["pageshow", "hidden"], ["ended", "hidden"]]
    assert left.endings == ["kicked"]


def test_a_page_that_was_left_by_a_logout_is_loaded_anew(left):
    left.run("auth.logout()")
    left.page.goto(NEXT)
    come_back(left)
    left.wait("window.from_cache === undefined && window.auth !== undefined")
    assert left.run("document.documentElement.style.visibility") == ""
    assert (left.session, left.endings) == (None, [])
    assert left.call() == 401


def test_a_page_that_comes_back_without_a_network_is_shown(left, caching):
    left.page.goto(NEXT)
    caching.context.set_offline(True)
    left.page.go_back(wait_until="commit")
    left.wait("document.documentElement.style.visibility === ''")
    caching.context.set_offline(False)
    assert left.endings == []


def test_a_page_on_which_nobody_was_signed_in_is_not_hidden(caching):
    tab = caching.tab()
    tab.run(WATCH)
    tab.page.goto(NEXT)
    come_back(tab)
    if not tab.run(FROM_CACHE):
        pytest.skip("this browser has not kept the page")
    assert tab.run("seen") == [["pagehide", ""], ["pageshow", ""]]


@pytest.mark.parametrize("how", ["on-leaving", "and-leaving"])
def test_a_logout_arrives_though_the_page_is_left(tab, browser, site, how):
    """``keepalive``: the request outlives the page."""
    other = browser.tab()
    assert other.call() == 200
    site.front.forget()
    if how == "on-leaving":
        tab.run("() => { addEventListener('pagehide', () => void auth.logout()); return null; }")
        tab.page.goto("about:blank")
    else:
        tab.run("() => { void auth.logout(); location.href = 'about:blank'; return null; }")
    eventually(lambda: not DeviceSession.objects.live().exists(), "the session ends")
    assert DeviceSession.objects.get().end_reason == "logout"
    assert site.front.last(LOGOUT).body == b""
    other.wait("endings.length > 0")
    assert other.endings == ["logout"]


def test_a_logout_is_kept_alive_by_the_browser(tab):
    kept = tab.run(
        """async () => {
            const genuine = window.fetch;
            const kept = [];
            window.fetch = (url, init) => {
                kept.push([new URL(url).pathname, init?.keepalive]);
                return genuine(url, init);
            };
            await auth.logout();
            window.fetch = genuine;
            return kept;
        }"""
    )
    assert kept == [[LOGOUT, True]]
