"""The demo beside other sites, in Chromium: in a frame of theirs, reached by a link of theirs, on one host.

The other site is on ``localhost``, the demo on 127.0.0.1: two hosts, so two sites, and Chromium trusts both.
"""

import json
import os
import shutil
import threading
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from uuid import uuid4

import pytest

from tests.journeys.demo import ACCESS, DEADLINE, REFRESH, serving

pytestmark = [pytest.mark.browser, pytest.mark.slow]

COOKIES = {"DJANGO_SETTINGS_MODULE": "tests.settings.cookies"}
FRAMED = {**COOKIES, "SITE_SAMESITE": "None"}
OURS = {ACCESS, REFRESH, "__Host-authx_device"}


class OtherSite:
    """Shows what it is told in a frame, or behind a link."""

    def __init__(self, origin):
        self.origin = origin

    def showing(self, address):
        return f"{self.origin}/frame?{address}"

    def linking(self, address):
        return f"{self.origin}/link?{address}"


class Shown(BaseHTTPRequestHandler):
    def do_GET(self):
        kind, _mark, address = self.path.partition("?")
        body = f'<iframe src="{address}"></iframe>' if kind == "/frame" else f'<a href="{address}">there</a>'
        page = f"<!doctype html><title>another site</title>{body}"
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(page.encode())

    def log_message(self, *args):
        pass


@pytest.fixture
def other():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Shown)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield OtherSite(f"http://localhost:{server.server_port}")
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def serve(tmp_path):
    """Serve a demo, with a secret and a database of its own, and this environment."""
    with ExitStack() as running:

        def one(**environment):
            directory = tmp_path / f"site-{uuid4()}"
            directory.mkdir()
            return running.enter_context(serving(directory, **environment))

        yield one


@pytest.fixture
def framed(serve, other):
    """The demo, which the other site may show."""
    return serve(**FRAMED, SITE_FRAMED_BY=other.origin)


@pytest.fixture
def partitioned(serve, other):
    """The same with partitioned cookies."""
    return serve(**FRAMED, SITE_FRAMED_BY=other.origin, SITE_PARTITIONED="1")


#: What a person has set: whether cookies of other sites are blocked where they are not partitioned.
ALLOWING = {"profile": {"cookie_controls_mode": 0, "block_third_party_cookies": False}}
BLOCKING = {"profile": {"cookie_controls_mode": 1, "block_third_party_cookies": True}}


class Person:
    """Somebody who looks at one page, itself the demo's or one whose frame shows the demo."""

    def __init__(self, context, site, other):
        self.context, self.site, self.other = context, site, other
        self.context.set_default_timeout(DEADLINE * 1000)
        self.page = self.context.new_page()

    def open(self, path="/private/"):
        """Load the other site's page anew, and the demo's in it."""
        self.page.goto(self.other.showing(self.site.origin + path))
        return self

    def go(self, path="/private/"):
        """Go to the demo itself."""
        self.page.goto(self.site.origin + path)
        return self

    @property
    def view(self):
        """The demo's page: the frame, if there is one."""
        frames = [frame for frame in self.page.frames if frame != self.page.main_frame]
        found = frames[0] if frames else self.page.main_frame
        found.wait_for_load_state()
        return found

    @property
    def heading(self):
        return self.view.locator("h1").last.inner_text()

    @property
    def path(self):
        return self.view.url.removeprefix(self.site.origin)

    def sign_in(self, user="ada"):
        self.view.get_by_label("Username").fill(user)
        self.view.get_by_label("Password").fill(f"{user}-demo")
        return self.press("Sign in")

    def press(self, name, role="button"):
        with self.page.expect_event("framenavigated"):
            self.view.get_by_role(role, name=name, exact=True).click()
        self.view.wait_for_load_state()
        return self

    @property
    def sid(self):
        return self.view.locator("dt:text-is('Session') + dd").inner_text()

    def run(self, script, *arguments):
        """What a script of the demo's page returns."""
        return self.view.evaluate(script, *arguments)

    def cookies(self):
        return {cookie["name"]: cookie for cookie in self.context.cookies() if cookie["name"] in OURS}

    def values(self):
        return {name: cookie["value"] for name, cookie in self.cookies().items()}

    def lose_access(self):
        self.context.clear_cookies(name=ACCESS)


@pytest.fixture
def visit(chromium, browser_args, tmp_path):
    """Open a browser with a profile and preferences of its own; closed when the test is over."""
    names = ("chromium", "chromium-browser", "google-chrome")
    path = os.environ.get("AUTHX_TEST_CHROMIUM") or next(filter(None, map(shutil.which, names)))
    opened = []

    def one(preferences, site, other):
        profile = tmp_path / f"profile-{len(opened)}"
        (profile / "Default").mkdir(parents=True)
        (profile / "Default" / "Preferences").write_text(json.dumps(preferences))
        start = chromium.browser_type.launch_persistent_context
        opened.append(start(profile, executable_path=path, args=browser_args))
        return Person(opened[-1], site, other)

    yield one
    for context in opened:
        context.close()


def journey(person):
    """Sign in, be renewed by the frame's own loading and by its script, sign out."""
    assert person.open().heading == "Sign in"
    assert person.sign_in().heading == "Private page"
    sid = person.sid
    assert person.cookies().keys() == OURS

    for use in ("open", "fetch", "follow"):
        before = person.cookies()[REFRESH]["value"]
        person.site.let_the_grace_pass(sid)
        person.lose_access()
        if use == "open":
            person.open()
        elif use == "fetch":
            assert person.run("() => fetch('/api/hello/').then(answer => answer.status)") == 200
        else:
            person.view.goto(f"{person.site.origin}/private/")
        assert person.open().sid == sid, use
        assert person.cookies()[REFRESH]["value"] != before, use

    assert person.site.session(sid)["generation"] == 4
    person.open("/").press("Sign out")
    assert person.cookies().keys() == {"__Host-authx_device"}
    assert person.site.session(sid)["end_reason"] == "logout"
    assert person.open().heading == "Sign in"


# In a frame


def test_a_frame_of_another_site_is_signed_in_renewed_and_signed_out(framed, other, visit):
    person = visit(ALLOWING, framed, other)
    journey(person)
    journey(person)


def test_so_it_is_where_the_browser_blocks_the_cookies_of_other_sites(partitioned, other, visit):
    person = visit(BLOCKING, partitioned, other)
    journey(person)
    assert all(cookie["partitionKey"] for cookie in person.cookies().values())
    journey(person)


def test_but_not_without_partitions(framed, other, visit):
    person = visit(BLOCKING, framed, other).open()
    person.sign_in()
    assert person.cookies() == {}
    assert person.heading == "Forbidden (403)"


def test_cookies_from_before_they_were_partitioned_are_in_nobodys_way(framed, partitioned, other, visit):
    """A browser sends both kinds, and of two cookies of one name none is believed."""
    person = visit(ALLOWING, framed, other)
    assert person.open().sign_in().heading == "Private page"
    assert not any(cookie.get("partitionKey") for cookie in person.context.cookies())
    person.site = partitioned  # on another port, which is the same to cookies
    assert person.open().sign_in().heading == "Private page"
    assert person.open().heading == "Private page"
    assert all(cookie.get("partitionKey") for cookie in person.context.cookies())
    person.open("/").press("Sign out")
    assert person.cookies().keys() == {"__Host-authx_device"}


PAGES = ["/account/login/", "/account/devices/", "/account/logout/", "/account/confirm/"]


def test_our_pages_are_shown_in_no_frame_unless_the_site_says_so(serve, other, visit):
    person = visit(ALLOWING, serve(**FRAMED), other)
    assert person.open("/").heading.startswith("One login")
    for path in PAGES:
        person.open(path)
        assert person.view.url == "chrome-error://chromewebdata/", path


# By a link


def test_with_strict_cookies_a_link_shows_a_stranger_who_is_known_a_click_later(serve, other, visit):
    person = visit(ALLOWING, serve(**COOKIES, SITE_SAMESITE="Strict"), other)
    assert person.go().sign_in().heading == "Private page"
    sid, before = person.sid, person.values()

    person.page.goto(other.linking(f"{person.site.origin}/private/"))
    person.press("there", role="link")
    assert (person.heading, person.path) == ("Sign in", "/account/login/?next=/private/")
    assert person.view.locator("[data-reason]").count() == 0
    assert person.values() == before

    assert person.press("Private", role="link").sid == sid
    assert person.values() == before


def test_by_default_a_link_shows_who_is_signed_in(serve, other, visit):
    person = visit(ALLOWING, serve(), other)
    sid = person.go().sign_in().sid
    person.page.goto(other.linking(f"{person.site.origin}/private/"))
    assert person.press("there", role="link").sid == sid


# On one host

LOG_OUT = """async () => {
    const asked = await fetch("/api/auth/login/");
    const headers = {"X-CSRFToken": asked.headers.get("X-CSRFToken")};
    return (await fetch("/api/auth/logout/", {method: "POST", headers})).status;
}"""


def test_two_sites_on_one_host_leave_each_others_cookies_alone(serve, other, visit):
    first, second = serve(), serve()
    person = visit(ALLOWING, first, other)
    sid, before = person.go().sign_in().sid, person.values()

    person.site = second
    assert person.go().path == "/account/login/?next=/private/"
    person.view.get_by_label("Username").fill("ada")
    person.view.get_by_label("Password").fill("wrong")
    assert person.press("Sign in").heading == "Sign in"
    assert person.run(LOG_OUT) == 204
    assert person.go("/").values() == before

    person.site = first
    assert person.go().sid == sid


def test_a_login_at_one_takes_the_place_of_the_others_and_is_no_dead_end(serve, other, visit):
    first, second = serve(), serve()
    person = visit(ALLOWING, first, other)
    person.go().sign_in()
    for site in (second, first, second):
        person.site = site
        assert person.go().path == "/account/login/?next=/private/"
        assert person.sign_in("bob").heading == "Private page"
        assert person.go().heading == "Private page"
    person.go("/").press("Sign out")
    assert person.cookies().keys() == {"__Host-authx_device"}


def test_with_names_of_their_own_they_do_not_meet(serve, other, visit):
    first, second = (serve(**COOKIES, SITE_SAMESITE="Lax", SITE_NAME=name) for name in ("shop", "forum"))
    person = visit(ALLOWING, first, other)
    sid = person.go().sign_in().sid
    person.site = second
    assert person.go().sign_in("bob").heading == "Private page"
    person.go("/").press("Sign out")
    person.site = first
    assert person.go().sid == sid
