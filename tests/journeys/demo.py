"""The demo, served in a process of its own, and people at their browsers.

What the demo stores is looked up in its database file.
"""

import os
import sqlite3
import subprocess
import sys
import time
from contextlib import closing, contextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.error import HTTPError
from urllib.request import urlopen
from uuid import UUID

import pytest

from tests.processes import DEADLINE, free_port, stop

ROOT = Path(__file__).parents[2]
ACCESS, REFRESH = "__Host-authx_access", "__Host-authx_refresh"
IPHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
    "Version/18.5 Mobile/15E148 Safari/604.1"
)
LINUX = (
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36"
)
POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "font-src 'self'; form-action 'self'; base-uri 'none'"
)
DEVICE_SESSIONS = "/admin/authx/devicesession/"
#: What the others have shown in one way already, and this shows in another.
slow = pytest.mark.slow
WITH_AND_WITHOUT = pytest.mark.parametrize(
    "script", [True, pytest.param(False, marks=slow)], ids=["javascript", "without-javascript"]
)
#: Milliseconds between the clicks of a double click.
PAUSES = [
    pytest.param(pause, id=f"{pause}-ms-apart", marks=() if pause == 60 else slow) for pause in (0, 60, 150)
]


class Site:
    """The demo, serving, and what it has stored."""

    def __init__(self, origin, database, welcome):
        self.origin, self.database, self.welcome = origin, database, welcome

    def query(self, statement, *values):
        with closing(sqlite3.connect(self.database, timeout=20)) as connection, connection:
            connection.row_factory = sqlite3.Row
            return connection.execute(statement, values).fetchall()

    def session(self, sid):
        return self.query("SELECT * FROM authx_devicesession WHERE id = ?", UUID(sid).hex)[0]

    def outcomes(self, sid, kind):
        """What came of each event of a kind, oldest first."""
        found = self.query(
            "SELECT outcome FROM authx_sessionevent WHERE session_id = ? AND kind = ? ORDER BY id",
            UUID(sid).hex,
            kind,
        )
        return [row["outcome"] for row in found]

    @contextmanager
    def held_up(self):
        """Nothing can be written meanwhile: whoever wants to waits."""
        with closing(sqlite3.connect(self.database, timeout=20, isolation_level=None)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            yield
            connection.execute("ROLLBACK")

    def let_the_grace_pass(self, sid):
        """Its last rotation was an hour ago: another one is due."""
        earlier = "strftime('%Y-%m-%d %H:%M:%f000', rotated_at, '-1 hour')"  # as Django spells it
        self.query(f"UPDATE authx_devicesession SET rotated_at = {earlier} WHERE id = ?", UUID(sid).hex)

    def let_logins_age(self):
        """Everybody signed in a day ago."""
        earlier = "strftime('%Y-%m-%d %H:%M:%f000', auth_time, '-1 day')"
        self.query(f"UPDATE authx_devicesession SET auth_time = {earlier}")

    def fetch(self, path):
        """Status, content type and body, as a client without cookies gets them."""
        try:
            with urlopen(f"{self.origin}{path}", timeout=DEADLINE) as answer:
                return answer.status, answer.headers.get_content_type(), answer.read()
        except HTTPError as error:
            with error:
                return error.code, error.headers.get_content_type(), error.read()


def eventually(found, what, deadline=DEADLINE):
    """Ask again and again, until it is true."""
    end = time.monotonic() + deadline
    while not found():
        assert time.monotonic() < end, f"not within {deadline} s: {what}"
        time.sleep(0.02)


def environment_with(database):
    ours = ("AUTHX_", "DJANGO_", "DEMO_", "DEBUG", "COV", "PYTEST_")
    others = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    ours_now = {"DEMO_DATABASE": str(database), "DJANGO_SETTINGS_MODULE": "tests.settings.demo"}
    return others | ours_now | {"PYTHONUNBUFFERED": "1"}


@cache
def prepared():
    """A database as the demo makes it, with tables and users; made once, for that takes seconds."""
    with TemporaryDirectory() as directory:
        database = Path(directory) / "demo.sqlite3"
        command = [sys.executable, "manage.py", "demo", "--prepare-only"]
        environment = environment_with(database)
        subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, check=True)
        return database.read_bytes()


@contextmanager
def serving(directory, *options, **environment):
    """``manage.py demo`` on a database of its own in ``directory``, until the block is left.

    ``environment`` is added to that of its process.
    """
    port, database = free_port(), directory / "demo.sqlite3"
    database.write_bytes(prepared())
    environment = environment_with(database) | environment
    command = [sys.executable, "manage.py", "demo", "--port", str(port), *options]
    said, complained = directory / "stdout", directory / "stderr"
    with (
        said.open("w") as stdout,
        complained.open("w") as stderr,
        subprocess.Popen(command, cwd=ROOT, env=environment, stdout=stdout, stderr=stderr) as process,
    ):
        try:

            def is_up():
                assert process.poll() is None, complained.read_text()
                return "Serving on" in said.read_text()

            eventually(is_up, "the demo serves")
            yield Site(f"http://127.0.0.1:{port}", database, said.read_text())
            assert process.poll() is None, complained.read_text()
        finally:
            stop(process)
    assert "Traceback" not in complained.read_text(), complained.read_text()


class Profile:
    """A person at a browser of their own, with a cookie jar that nobody shares."""

    def __init__(self, chromium, site, **options):
        self.site = site
        self.context = chromium.new_context(base_url=site.origin, **{"user_agent": LINUX, **options})
        self.context.set_default_timeout(DEADLINE * 1000)
        #: What the console complained of.
        self.complaints = []
        self.context.on("console", self._note)
        self.context.on("weberror", lambda error: self.complaints.append(str(error.error)))
        self.page = self.context.new_page()

    def _note(self, message):
        if message.type in {"error", "warning"}:
            self.complaints.append(f"{message.location.get('url')}: {message.text}")

    def go(self, path):
        self.page.goto(path)
        return self

    def click(self, name, role="button"):
        return self._press(self.page.get_by_role(role, name=name, exact=True))

    def follow(self, name):
        """Click a link of the page's navigation."""
        return self._press(self.page.get_by_role("navigation").get_by_role("link", name=name, exact=True))

    def _press(self, what):
        what.click()  # returns as soon as the new address is known, before there is a page
        self.page.wait_for_load_state()
        return self

    def sign_in(self, user, password=None, *, path="/account/login/", remember=True):
        self.go(path)
        self.page.get_by_label("Username").fill(user)
        self.page.get_by_label("Password").fill(password or f"{user}-demo")
        self.page.get_by_label("Keep me signed in").set_checked(remember)
        return self.click("Sign in")

    def sign_in_to_admin(self, user="admin"):
        self.go(DEVICE_SESSIONS)
        self.page.get_by_label("Username").fill(user)
        self.page.get_by_label("Password").fill(f"{user}-demo")
        return self.click("Log in")

    @property
    def path(self):
        return self.page.url.removeprefix(self.site.origin)

    @property
    def heading(self):
        return self.page.locator("h1").last.inner_text()

    @property
    def notice(self):
        """The reason that the login page gives, and its words; None if it gives none."""
        found = self.page.locator("[data-reason]")
        return (found.get_attribute("data-reason"), found.inner_text()) if found.count() else None

    @property
    def sid(self):
        """The session behind the private page."""
        assert self.is_signed_in, self.page.locator("main").inner_text()
        return self.page.locator("dt:text-is('Session') + dd").inner_text()

    @property
    def is_signed_in(self):
        return self.go("/private/").heading == "Private page"

    @property
    def devices(self):
        """The names on the devices page, this device first."""
        self.go("/account/devices/")
        return self.page.locator(".authx-device-name").all_inner_texts()

    def cookies(self):
        return {cookie["name"]: cookie for cookie in self.context.cookies()}

    def keep_strictly_to(self, policy=POLICY, *, but=()):
        """Every page has this Content Security Policy, but those at the paths ``but``."""

        def strictly(route):
            its_own = route.request.url.removeprefix(self.site.origin) in but
            if route.request.resource_type != "document" or its_own:
                route.continue_()
                return
            answer = route.fetch(max_redirects=0)
            route.fulfill(response=answer, headers={**answer.headers, "content-security-policy": policy})

        self.context.route("**/*", strictly)

    def close(self):
        self.context.unroute_all(behavior="ignoreErrors")
        self.context.close()


def press_twice(page, button):
    """Press a button as on a slow machine: once more when the answer has come, and its page has not.

    The second form goes with the new cookies, and the old token. Return status and Location of both answers.
    """
    answers = []

    def hold(route):
        if route.request.method == "POST" and not answers:
            answers.append(route.fetch(max_redirects=0))  # which keeps its cookies; the page waits for ever
        else:
            route.continue_()

    page.route("**/*", hold)
    box = button.bounding_box()
    spot = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.click(*spot)
    end = time.monotonic() + DEADLINE
    while not answers:
        assert time.monotonic() < end, "the first form is not answered"
        page.wait_for_timeout(20)
    with page.expect_response(lambda response: response.request.method == "POST") as second:
        page.mouse.click(*spot)
    answers.append(second.value)
    page.unroute("**/*", hold)
    return [(each.status, each.headers.get("location")) for each in answers]


def choose_to_kick(admin, row_text, *, every=False):
    """Tick the row, or every such row, choose the action and press the button: a page asks for a yes."""
    page = admin.go(DEVICE_SESSIONS).page
    boxes = page.get_by_role("row").filter(has_text=row_text).get_by_role("checkbox")
    for box in boxes.all() if every else [boxes]:
        box.check()
    page.get_by_label("Action:").select_option("kick")
    page.locator(".actions button").first.click()


def say_yes(admin, reason):
    admin.page.get_by_label("Reason").fill(reason)
    admin._press(admin.page.get_by_role("button", name="Yes, sign"))


def kick(admin, row_text, reason, *, own=False):
    choose_to_kick(admin, row_text)
    if own:
        admin.page.get_by_label("Include my own sessions").check()
    say_yes(admin, reason)


def tab_to(page, target, most=40):
    """Press Tab until ``target`` has the focus, which must be visible all the way."""
    for _ in range(most):
        page.keyboard.press("Tab")
        if target.evaluate("element => element === document.activeElement"):
            ring = target.evaluate(
                "element => [getComputedStyle(element).outlineStyle, getComputedStyle(element).boxShadow]"
            )
            assert ring != ["none", "none"], "the focus cannot be seen"
            return
    raise AssertionError(f"not within {most} tabs: {target}")
