"""docs/single-page-app.md: the files that stand there, as a site of their own, in Chromium."""

import os
import re
import secrets
import subprocess
import sys

import pytest

from tests import served
from tests.journeys.demo import ROOT, Profile

# It is the same whatever site the other journeys are made on.
pytestmark = [pytest.mark.browser, pytest.mark.slow]

#: A fenced block whose first line is a comment that names its file.
FILE = re.compile(r"^```\w+\n((?:# |// |<!-- )(shop/[\w./]+)(?: -->)?\n.*?)^```$", re.MULTILINE | re.DOTALL)
PEOPLE = """
from django.contrib.auth.models import User
for name in ("ada", "bob"):
    User.objects.create_user(name, password=f"{name}-demo")
"""


class Shop:
    """The site, written into a folder and prepared as the page says."""

    def __init__(self, folder):
        path = os.pathsep.join([str(folder), str(ROOT)])
        self.folder = folder
        self.environment = {
            "DJANGO_SETTINGS_MODULE": "shop.settings",
            "PYTHONPATH": path,
            "SECRET_KEY": secrets.token_urlsafe(50),
        }
        for text, name in FILE.findall((ROOT / "docs/single-page-app.md").read_text()):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text)
        (folder / "shop/__init__.py").touch()
        self.manage("check", "--fail-level", "WARNING")
        self.manage("migrate", "-v", "0")
        self.manage("shell", "-c", PEOPLE)

    def manage(self, *words):
        command = [sys.executable, "-m", "django", *words]
        environment = {**os.environ, **self.environment}
        subprocess.run(
            command, cwd=self.folder, env=environment, check=True, stdout=subprocess.DEVNULL, timeout=120
        )


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    return Shop(tmp_path_factory.mktemp("shop"))


@pytest.fixture
def site(shop, tmp_path):
    with served.serving("uvicorn", tmp_path, app="shop.asgi:application", **shop.environment) as found:
        yield found
    assert "Traceback" not in found.log.read_text(), found.log.read_text()


@pytest.fixture
def open_app(chromium, site):
    opened = []

    def open_one(user=None):
        found = Profile(chromium, site).go("/")
        opened.append(found)
        return sign_in(found, user) if user else found

    yield open_one
    for profile in opened:
        profile.context.close()


def sign_in(profile, user, password=None):
    profile.page.get_by_label("Username").fill(user)
    profile.page.get_by_label("Password").fill(password or f"{user}-demo")
    profile.page.get_by_role("button", name="Sign in").click()
    return profile


def shows(page, user):
    page.locator("#said").filter(has_text=f"{user}: hello").wait_for()
    page.get_by_role("listitem").filter(has_text=f"A pen for {user}").wait_for()
    assert not page.get_by_role("button", name="Sign in").is_visible()


def says(page, words, seconds=5):
    page.get_by_role("status").filter(has_text=words).wait_for(timeout=seconds * 1000)


def uncommon(profile):
    """What the console complained of, but for refused calls and an icon, which browsers write there."""
    return [each for each in profile.complaints if not re.search("status of 401|favicon", each)]


def test_every_file_is_there(shop):
    names = {str(path.relative_to(shop.folder)) for path in (shop.folder / "shop").rglob("*.*")}
    wanted = {"__init__.py", "settings.py", "urls.py", "asgi.py", "templates/app.html", "static/app.js"}
    assert {f"shop/{name}" for name in wanted} <= names


def test_it_signs_in_calls_the_api_keeps_a_socket_and_stays_signed_in(open_app):
    ada = open_app()
    sign_in(ada, "ada", "wrong")
    says(ada.page, "That is not the right name and password.")
    sign_in(ada, "ada")
    shows(ada.page, "ada")
    ada.page.reload()
    shows(ada.page, "ada")
    ada.page.locator("#orders").evaluate("list => list.replaceChildren()")
    ada.page.get_by_role("button", name="Ask again").click()
    shows(ada.page, "ada")
    assert uncommon(ada) == []


def test_an_ending_is_told_in_every_tab_within_a_second_and_to_nobody_else(open_app, shop):
    ada, bob = open_app("ada"), open_app("bob")
    shows(ada.page, "ada")
    shows(bob.page, "bob")
    tab = ada.context.new_page()
    tab.goto("/")
    shows(tab, "ada")
    shop.manage("authx_end", "--user", "ada")
    for page in (ada.page, tab):
        says(page, "You were signed out by an administrator.", served.SOON)
        assert page.locator("#orders").inner_text() == page.locator("#said").inner_text() == ""
    shows(bob.page, "bob")
    sign_in(ada, "ada")
    shows(ada.page, "ada")
    tab.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    shows(tab, "ada")
    assert uncommon(ada) + uncommon(bob) == []


def test_signing_out_is_told_in_every_tab(open_app):
    ada = open_app("ada")
    shows(ada.page, "ada")
    tab = ada.context.new_page()
    tab.goto("/")
    shows(tab, "ada")
    tab.get_by_role("button", name="Sign out").click()
    for page in (ada.page, tab):
        says(page, "You signed out.")
    ada.page.reload()
    ada.page.get_by_role("button", name="Sign in").wait_for()


def test_an_outage_is_no_ending(open_app):
    ada = open_app("ada")
    shows(ada.page, "ada")
    ada.context.set_offline(True)
    ada.page.get_by_role("button", name="Ask again").click()
    says(ada.page, "The server cannot be reached.")
    assert ada.page.locator("#orders").inner_text() == "A pen for ada"
    ada.context.set_offline(False)
    ada.page.get_by_role("button", name="Ask again").click()
    ada.page.wait_for_timeout(300)
    shows(ada.page, "ada")
    assert ada.page.get_by_role("status").inner_text() == ""
