"""Our pages in the admin, plain and under its themes, as somebody at a browser finds them.

Each site is a process of its own, since a theme is an app that stands before the admin.
"""

import json
import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.served import serving
from tests.themes.people import PASSWORD

ROOT = Path(__file__).parents[2]
LOOKING = Path(__file__).with_name("looking.js").read_text()
#: Settings of the sites, by the package that each needs.
SITES = {"plain_admin": "django", "unfold": "unfold", "jazzmin": "jazzmin", "grappelli": "grappelli"}
LIST = "/admin/authx/devicesession/"
CLIENTS = "/admin/authx/serviceclient/"
MAKE_SITE = "import django; django.setup(); from tests.themes.people import make_site; make_site()"
#: Milliseconds that anything may take.
DEADLINE = 60_000

pytestmark = [pytest.mark.browser, pytest.mark.slow]  # each theme is a site of its own


def environment(name, database):
    return {
        "DJANGO_SETTINGS_MODULE": f"tests.settings.{name}",
        "AUTHX_TEST_DATABASE": "sqlite",
        "AUTHX_TEST_DATABASE_NAME": str(database),
        "PYTHONPATH": str(ROOT),
    }


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    """A database with people in it, and the pages of ours."""
    database = tmp_path_factory.mktemp("themes") / "filled.sqlite3"
    made = subprocess.run(
        [sys.executable, "-c", MAKE_SITE],
        cwd=ROOT,
        env={**os.environ, **environment("plain_admin", database)},
        capture_output=True,
        text=True,
    )
    assert made.returncode == 0, made.stderr
    return database, json.loads(made.stdout)


@pytest.fixture(scope="module", params=list(SITES))
def site(request, filled, tmp_path_factory):
    """One of the sites, serving."""
    if find_spec(SITES[request.param]) is None:
        pytest.skip(f"{request.param} is not installed")
    folder = tmp_path_factory.mktemp(request.param)
    database = folder / "site.sqlite3"
    shutil.copy(filled[0], database)
    with serving(
        "uvicorn", folder, app="tests.themes.asgi:application", **environment(request.param, database)
    ) as served:
        served.name, served.pages = request.param, filled[1]
        yield served


@pytest.fixture(scope="module")
def signed_in(chromium, site):
    """The cookies of a superuser."""
    context = chromium.new_context(base_url=site.origin)
    page = context.new_page()
    page.goto("/admin/login/?next=/admin/")
    page.locator("input[name=username]").fill("admin")
    page.locator("input[name=password]").fill(PASSWORD)
    page.locator("input[name=password]").press("Enter")
    page.wait_for_url("**/admin/")
    kept = context.storage_state()
    context.close()
    return kept


@pytest.fixture
def staff(chromium, site, signed_in):
    """Somebody at a browser, who notes what its console complains of."""

    class Staff:
        def __init__(self, **options):
            options = {"viewport": {"width": 1280, "height": 900}, **options}
            self.context = chromium.new_context(base_url=site.origin, storage_state=signed_in, **options)
            self.context.set_default_timeout(DEADLINE)
            self.complaints = []
            self.context.on("console", self._note)
            self.context.on("weberror", lambda error: self.complaints.append(str(error.error)))
            self.page = self.context.new_page()

        def _note(self, message):
            if message.type == "error":
                self.complaints.append(f"{message.location.get('url')}: {message.text}")

        def look(self):
            """What there is to complain of on the page."""
            return self.page.evaluate(LOOKING)

        def press(self, name):
            self.page.get_by_role("button", name=name, exact=True).first.click()
            self.page.wait_for_load_state()

        def text(self):
            return self.page.locator("body").inner_text()

    opened = []

    def open_browser(**options):
        opened.append(Staff(**options))
        return opened[-1]

    yield open_browser
    for each in opened:
        each.context.close()


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 390)])
def test_everything_on_every_page_can_be_seen_and_read(site, staff, scheme, width):
    me = staff(color_scheme=scheme, viewport={"width": width, "height": 900})
    complaints = {}
    for name, path in site.pages.items():
        me.page.goto(path)
        if found := me.look():
            complaints[name] = found
    assert complaints == {}
    assert me.complaints == []
    assert len(site.pages) >= 12


@pytest.mark.parametrize("language", ["en", "ar", "de"])
def test_nothing_of_the_list_is_out_of_sight_at_any_width(site, staff, language):
    me = staff(locale=language)
    me.page.goto(LIST)
    complaints = {}
    for width in (390, 600, 768, 900, 1024, 1100, 1280, 1440, 1920):
        me.page.set_viewport_size({"width": width, "height": 900})
        if found := me.look():
            complaints[width] = found
    assert complaints == {}


def test_a_session_is_kicked_out_by_the_button_of_its_row(site, staff):
    me = staff()
    me.page.goto(f"{LIST}?q=farid")
    me.press("Kick out \N{FIRST STRONG ISOLATE}هاتفي\N{POP DIRECTIONAL ISOLATE} of farid")
    assert "It ends at once." in me.text()
    assert me.look() == []
    me.page.get_by_label("Reason").fill("lost")
    me.press("Yes, sign out this session")
    assert "1 session was ended." in me.text()
    assert "Kicked out" in me.page.locator("#result_list tbody").inner_text()
    assert me.complaints == []


def test_users_are_kicked_out_everywhere_by_the_action(site, staff):
    me = staff()
    me.page.goto(f"{LIST}?q=claire.delacroix-montgomery")
    me.page.locator("#result_list tbody input[type=checkbox]").first.check()
    me.page.locator("select[name=action]").select_option("kick_everywhere")
    me.page.locator("button[name=index]").click()
    me.page.get_by_role("button", name="Yes, sign this user out everywhere").wait_for()
    assert me.look() == []
    me.press("Yes, sign this user out everywhere")
    assert "1 session was ended." in me.text()
    assert me.complaints == []


def test_an_action_is_in_reach_on_a_phone(site, staff):
    me = staff(viewport={"width": 390, "height": 900})
    me.page.goto(f"{LIST}?q=ada")
    me.page.locator("#result_list tbody input[type=checkbox]").first.check()
    me.page.locator("select[name=action]").select_option("kick_everywhere")
    me.page.locator("button[name=index]").click()
    me.page.get_by_role("button", name="Yes, sign this user out everywhere").wait_for()
    assert me.look() == []
    assert me.complaints == []


@pytest.mark.parametrize("site", ["unfold"], indirect=True)
def test_the_list_is_unfolds_own_where_a_site_registers_ours_so(site, staff):
    me = staff()
    me.page.goto("/own/authx/devicesession/?q=grace")
    assert me.look() == []
    me.page.goto("/own/authx/devicesession/?q=mira")
    me.page.locator("#result_list tbody input[type=checkbox]").first.check()
    me.page.locator("select[name=action]").select_option("kick")
    me.page.locator("button[name=index]").click()
    me.page.get_by_role("button", name="Yes, sign out this session").wait_for()
    assert me.look() == []
    me.press("Yes, sign out this session")
    assert "1 session was ended." in me.text()
    me.page.locator("#result_list a").filter(has_text="mira").first.click()
    me.page.locator(".authx-history").wait_for()
    assert me.look() == []
    assert me.complaints == []


def test_a_sessions_own_page_leads_to_the_kick_and_to_the_others_of_its_user(site, staff):
    me = staff()
    me.page.goto(site.pages["authx_devicesession_change"])
    me.press("Kick out…")
    assert "It ends at once." in me.text()
    me.page.get_by_role("button", name="No, take me back").click()
    me.page.wait_for_url(f"**{LIST}")
    me.page.goto(site.pages["authx_devicesession_change"])
    me.page.get_by_role("button", name="All sessions of ada").click()
    me.page.wait_for_url(f"**{LIST}?user=*")
    assert me.page.locator("#result_list .authx-device").count() == 2
    assert me.complaints == []


def test_a_client_is_registered_and_its_secret_shown(site, staff):
    me = staff()
    me.page.goto(f"{CLIENTS}add/")
    me.page.get_by_label("Name", exact=False).first.fill("Billing")
    me.page.get_by_label("Redirect URIs").fill("nonsense")
    me.press("Create")
    assert me.page.locator(".authx-page .errorlist").first.is_visible()
    assert me.look() == []
    me.page.get_by_label("Redirect URIs").fill("https://billing.example/done")
    me.page.get_by_label("Resources").fill("https://api.example/")
    me.press("Create")
    assert "client_secret" in me.page.locator(".authx-page pre").inner_text()
    assert me.look() == []
    me.press("I have kept it")
    assert "Billing" in me.page.locator("#result_list").inner_text()
    assert me.complaints == []
