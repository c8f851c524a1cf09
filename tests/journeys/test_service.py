"""The journey between sites: the demo, services that have its public keys, and an app of others."""

import time

import pytest

from tests.journeys.fleet import ask, demo, log_in, port  # noqa: F401  # fixtures
from tests.processes import wait_for

# Processes on SQLite, whatever database the other tests are on.
pytestmark = [pytest.mark.databases("sqlite"), pytest.mark.slow]


def kick(site, user, admin):
    url = f"{site}/api/auth/staff/users/{user['user_id']}/kick/"
    status, told = ask(url, {"reason": "test"}, admin["access_token"])
    assert status == 200
    return told["ended"]


def test_kicked_at_the_demo_is_refused_by_the_service(demo):  # noqa: F811
    site, service = demo.site, demo.orders
    ada, bob, admin = (log_in(site, name) for name in ("ada", "bob", "admin"))
    status, told = ask(service, token=ada["access_token"])
    assert (status, told["user"], told["session"]) == (200, ada["user_id"], ada["session_id"])

    assert kick(site, ada, admin) == 1
    ended = time.monotonic()
    wait_for(lambda: ask(service, token=ada["access_token"])[0] == 401, seconds=15)
    assert time.monotonic() - ended < 10
    status, told = ask(service, token=ada["access_token"])
    assert (told["code"], told["reason"]) == ("session_ended", "kicked")
    assert ask(service, token=bob["access_token"])[0] == 200
    assert ask(service, token="nonsense")[0] == 401


def test_a_service_calls_another_for_the_user_and_for_itself(demo):  # noqa: F811
    ada = log_in(demo.site, "ada")
    _status, told = ask(demo.orders, token=ada["access_token"])
    theirs, own = told["stock"]["for_user"], told["stock"]["for_itself"]
    assert (theirs["for"], theirs["session"]) == (ada["user_id"], ada["session_id"])
    assert theirs["actors"] == [own["for"]] == [f"client:{theirs['asked_by']}"]
    assert (theirs["audience"], theirs["scope"]) == (["stock"], ["stock:read"])
    assert (own["actors"], own["in_stock"]) == ([], 3)
    assert ask(demo.stock, token=ada["access_token"])[0] == 401


def test_who_is_kicked_everywhere_is_out_of_every_service_and_app(demo, chromium):  # noqa: F811
    """By the consent page in a real browser, whose form may lead to no other site (form-action 'self')."""
    page = chromium.new_context(java_script_enabled=False).new_page()
    page.goto(demo.reader)
    page.click("text=Sign in with the demo")
    page.fill("[name=username]", "ada")
    page.fill("[name=password]", "ada-demo")
    page.click("button[type=submit]")
    assert page.text_content("h1") == "Allow Reader?"
    page.click("button[value=allow]")
    page.wait_for_url(demo.reader)
    assert "profile:read" in page.text_content("dl")

    ada, admin = (log_in(demo.site, name) for name in ("ada", "admin"))
    assert ask(demo.orders, token=ada["access_token"])[0] == 200
    assert kick(demo.site, ada, admin) == 3  # the page's login, the API's, and the app's
    page.reload()
    assert page.is_visible("text=kicked")
    assert page.is_visible("text=Sign in with the demo")
    wait_for(lambda: ask(demo.orders, token=ada["access_token"])[0] == 401, seconds=15)


def test_who_refuses_is_sent_back_with_nothing(demo, chromium):  # noqa: F811
    page = chromium.new_context().new_page()
    page.goto(demo.reader)
    page.click("text=Sign in with the demo")
    page.fill("[name=username]", "bob")
    page.fill("[name=password]", "bob-demo")
    page.click("button[type=submit]")
    page.click("text=Do not allow")
    page.wait_for_url(demo.reader)
    assert page.is_visible("text=access_denied")
