"""The journey of somebody who gets a mail about a sign-in that was not theirs: in Chromium, signed out."""

from __future__ import annotations

import re
from contextlib import closing

import pytest
from django.contrib.auth import views
from django.core import mail
from django.test import RequestFactory
from django.urls import path, reverse

from authx.models import DeviceSession
from authx.sessions import Device, open_session
from authx.sessions.not_me import write_link_token
from authx.signals import device_session_opened
from tests import urls
from tests.journeys.demo import press_twice
from tests.processes import wait_for
from tests.served import database_here, serving

pytestmark = pytest.mark.django_db(transaction=True)

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"


class WithPasswordReset:
    """The site, with a page for forgotten passwords."""

    reset = views.PasswordResetView.as_view(template_name="site/form.html", success_url="/whoami/")
    urlpatterns = [*urls.urlpatterns, path("password-reset/", reset, name="password_reset")]


@pytest.fixture
def person(chromium, live_server, settings):
    """Somebody without JavaScript, whose browser keeps no cookies of the site."""
    settings.AUTHX_ISSUER = live_server.url
    context = chromium.new_context(base_url=live_server.url, java_script_enabled=False)
    context.set_default_timeout(30_000)
    page = context.new_page()
    page.asked = []
    page.on("request", lambda request: page.asked.append((request.url, request.all_headers())))
    yield page
    context.close()


@pytest.fixture
def opened(ada):
    request = RequestFactory().get("/", REMOTE_ADDR="203.0.113.7", headers={"user-agent": FIREFOX})
    return open_session(ada, request, Device(id="stranger", name="A stranger's phone")).session


def row(session):
    return DeviceSession.objects.get(pk=session.pk)


def test_from_the_mail_to_a_new_password(ada, opened, person, settings):
    settings.ROOT_URLCONF = WithPasswordReset
    settings.AUTHX_NOTICE_MAIL = True
    told = {"session": opened, "user": ada, "request": None, "is_new": True}
    device_session_opened.send_robust(DeviceSession, **told)
    (link,) = re.findall(r"^http://\S+/not-me/\S+$", mail.outbox[0].body, re.MULTILINE)
    person.goto(link)
    assert person.locator("h1").inner_text() == "Was this not you?"
    shown = person.locator("main").inner_text()
    for words in ("A stranger's phone", "Firefox on Linux", "203.0.113.7"):
        assert words in shown
    person.goto(link)  # and a scanner before them
    assert row(opened).ended_at is None
    person.get_by_role("button", name="Sign this device out", exact=True).click()
    person.wait_for_url("**/password-reset/")
    assert row(opened).end_reason == "ended_by_user"
    assert not [url for url, headers in person.asked if "not-me" in headers.get("referer", "")]
    assert [headers for url, headers in person.asked if url.endswith(".css")]
    assert not [cookie for cookie in person.context.cookies() if "authx" in cookie["name"]]
    person.goto("/whoami/")
    assert '"user": null' in person.content()


def test_where_no_page_is_for_forgotten_passwords_words_say_what_to_do(opened, person):
    link = reverse("authx:not-me", args=[write_link_token(opened.pk)])
    person.goto(link)
    person.context.clear_cookies()  # it needs none
    person.get_by_role("button", name="Sign this device out", exact=True).click()
    person.get_by_role("heading", name="This device is signed out").wait_for()
    assert "write to those who run this site" in person.locator("main").inner_text()
    assert row(opened).end_reason == "ended_by_user"
    person.goto(link)
    assert person.locator("h1").inner_text() == "This device is signed out"
    assert person.get_by_role("button").count() == 0


@pytest.mark.parametrize("has_reset", [False, True], ids=["alone", "with-password-reset"])
def test_a_button_that_is_pressed_twice_leads_where_the_first_would(opened, person, settings, has_reset):
    if has_reset:
        settings.ROOT_URLCONF = WithPasswordReset
    person.goto(reverse("authx:not-me", args=[write_link_token(opened.pk)]))
    button = person.get_by_role("button", name="Sign this device out", exact=True)
    assert press_twice(person, button) == [(302, "/password-reset/") if has_reset else (200, None)] * 2
    if has_reset:
        person.wait_for_url("**/password-reset/")
    else:
        person.get_by_role("heading", name="This device is signed out").wait_for()
    assert row(opened).end_reason == "ended_by_user"


def test_a_link_that_was_cut_off_says_so(opened, person):
    link = reverse("authx:not-me", args=[write_link_token(opened.pk)[:50]])
    answer = person.goto(link)
    assert answer.status == 410
    assert person.locator("h1").inner_text() == "This link is not good any more"
    assert row(opened).ended_at is None


@pytest.mark.slow  # and not on a variant of the site: the servers have the test site's settings
@pytest.mark.parametrize("name", ["uvicorn", "hypercorn", "granian"])
def test_the_access_log_of_a_server_has_no_link(opened, tmp_path, name):
    token = write_link_token(opened.pk)
    with serving(name, tmp_path, **database_here()) as server, closing(server.http()) as visitor:
        visitor.request("GET", f"/account/not-me/{token}/")
        assert visitor.getresponse().status == 200
        wait_for(lambda: "/account/not-me/hidden/" in server.log.read_text())
    assert token not in server.log.read_text()
