"""The login page of an admin site, which says why the last session ended, whatever its template."""

import re
from datetime import timedelta

import pytest
from asgiref.sync import async_to_sync
from django.conf import settings as site_settings
from django.contrib import messages
from django.contrib.admin.sites import AdminSite
from django.http import HttpResponse
from django.test import AsyncClient, Client
from django.urls import path
from django.utils import timezone

from authx.models import DeviceSession
from authx.sessions import end_session
from tests.signing_in import NAVIGATION, WHY, sign_in, text
from tests.urls import urlpatterns as site

pytestmark = pytest.mark.django_db

LOGIN = "/admin/login/"

FORM = "<form method=post>{% csrf_token %}{{ form.username }}{{ form.password }}</form>"
TEMPLATES = {
    "own/without-messages.html": "{% for error in form.non_field_errors %}<b>{{ error }}</b>{% endfor %}"
    + FORM,
    "own/tag-before.html": "{% load authx %}<i>{% ended_message %}</i>"
    "{% for message in messages %}<b>{{ message }}</b>{% endfor %}" + FORM,
    "own/tag-behind.html": "{% load authx %}{% if messages %}{% for message in messages %}"
    "<b>{{ message }}</b>{% endfor %}{% endif %}{% ended_notice as ended %}"
    "{% if ended %}<i>{{ ended.message }}</i>{% endif %}" + FORM,
    "own/tag-alone.html": "{% load authx %}<i>{% ended_message %}</i>" + FORM,
    "own/nothing.html": "<p>A page without a form.</p>",
}

staff_site = AdminSite(name="staff-site")
own_site = AdminSite(name="own-site")


def leave_a_message(request):
    messages.info(request, "Saved <b>it</b>.")
    return HttpResponse()


urlpatterns = [
    path("staff/", staff_site.urls),
    path("own/", own_site.urls),
    path("leave-a-message/", leave_a_message),
    *site,
]


@pytest.fixture(autouse=True)
def _urls(settings):
    settings.ROOT_URLCONF = __name__


@pytest.fixture
def browser(admin, password):
    """The administrator's browser, signed in."""
    found = Client(headers=NAVIGATION)
    sign_in(found, admin, password, LOGIN)
    assert found.get("/admin/").status_code == 200
    return found


@pytest.fixture
def kicked(browser):
    """The same, kicked out."""
    end_session(DeviceSession.objects.live().get(), "kicked")
    return browser


@pytest.fixture
def own_template(settings):
    """Give the admin site of its own one of the templates above."""
    (engine,) = settings.TEMPLATES
    loaders = [
        ("django.template.loaders.locmem.Loader", TEMPLATES),
        "django.template.loaders.app_directories.Loader",
    ]
    options = {**engine["OPTIONS"], "loaders": loaders}
    settings.TEMPLATES = [{**engine, "APP_DIRS": False, "OPTIONS": options}]

    def use(name):
        own_site.login_template = f"own/{name}.html"

    yield use
    own_site.login_template = None


def said(response):
    return text(response).count(WHY)


def times(response):
    return re.findall(r'<time datetime="([^"]+)">([^<]+)</time>', text(response))


def test_a_kicked_administrator_is_led_there_and_told_why_and_when(kicked):
    response = kicked.get("/admin/", follow=True)
    assert response.redirect_chain == [("/admin/login/?next=/admin/", 302)]
    assert response.status_code == 200
    assert said(response) == 1
    ended_at = DeviceSession.objects.get().ended_at
    ((machine, words),) = times(response)
    assert machine == ended_at.isoformat()
    assert words.startswith("Today at ")
    assert words.endswith(" UTC")
    assert f'<li class="warning">{WHY} <time' in text(response)


def test_it_is_said_by_no_template_of_the_site():
    assert not [entry for entry in site_settings.TEMPLATES if entry.get("DIRS")]
    assert "authx" in site_settings.INSTALLED_APPS


def test_nobody_else_is_told_anything(browser):
    stranger = Client().get(LOGIN)
    assert (said(stranger), times(stranger)) == (0, [])
    assert "messagelist" not in text(stranger)
    browser.post("/admin/logout/")
    assert said(browser.get(LOGIN)) == 0


def test_it_stays_after_a_wrong_password_and_goes_with_the_right_one(kicked, admin, password):
    wrong = kicked.post(LOGIN, {"username": admin.get_username(), "password": "wrong"})
    assert wrong.status_code == 200
    assert said(wrong) == 1
    assert "errornote" in text(wrong)
    sent = {"username": admin.get_username(), "password": password, "next": "/admin/"}
    inside = kicked.post(LOGIN, sent, follow=True)
    assert (inside.status_code, said(inside)) == (200, 0)
    kicked.post("/admin/logout/")
    assert said(kicked.get(LOGIN)) == 0


def test_no_other_page_says_it(kicked):
    assert said(kicked.get(LOGIN)) == 1
    assert said(kicked.get("/whoami/")) == 0
    other = kicked.get("/account/login/")
    assert said(other) == 1  # that page has its own way


def test_it_is_in_no_cache(kicked):
    response = kicked.get(LOGIN)
    assert {"private", "no-store"} <= set(re.split(r",\s*", response["Cache-Control"]))
    assert "Cookie" in response["Vary"]


@pytest.mark.parametrize("reason", ["idle", "password_changed", "replaced", "reused"])
def test_it_says_whatever_the_reason_is(reason, browser):
    end_session(DeviceSession.objects.live().get(), reason)
    assert "messagelist" in text(browser.get(LOGIN))
    assert times(browser.get(LOGIN))


def test_a_session_that_ran_out_ended_when_its_time_was_up(browser):
    at = timezone.now() - timedelta(days=3)
    DeviceSession.objects.update(expires_at=at, idle_expires_at=at)
    ((machine, words),) = times(browser.get(LOGIN))
    assert machine == at.isoformat()
    assert not words.startswith("Today")


def test_another_admin_site_says_it_too(kicked):
    response = kicked.get("/staff/", follow=True)
    assert response.redirect_chain == [("/staff/login/?next=/staff/", 302)]
    assert said(response) == 1


@pytest.mark.parametrize("name", ["without-messages", "tag-before", "tag-behind", "tag-alone"])
def test_a_template_of_the_sites_own_says_it_once(name, kicked, own_template):
    own_template(name)
    response = kicked.get("/own/login/")
    assert said(response) == 1
    assert 'name="password"' in text(response)


def test_one_that_shows_no_messages_shows_it_beside_what_is_wrong(kicked, own_template, admin):
    own_template("without-messages")
    response = kicked.post("/own/login/", {"username": admin.get_username(), "password": "wrong"})
    assert said(response) == 1
    assert len(re.findall("<b>", text(response))) == 2
    assert len(times(response)) == 1


def test_one_without_a_form_is_left_as_it_is(kicked, own_template):
    own_template("nothing")
    response = kicked.get("/own/login/")
    assert text(response) == TEMPLATES["own/nothing.html"]


@pytest.mark.parametrize("name", ["tag-before", "without-messages"])
def test_one_of_the_sites_own_says_nothing_to_others(name, own_template):
    own_template(name)
    response = Client().get("/own/login/")
    assert (said(response), times(response)) == (0, [])
    assert "<b>" not in text(response)


def test_the_messages_of_the_request_are_shown_too_and_used_up(kicked):
    kicked.get("/leave-a-message/")
    response = kicked.get(LOGIN)
    assert said(response) == 1
    assert "Saved &lt;b&gt;it&lt;/b&gt;." in response.content.decode()
    assert "Saved" not in text(kicked.get(LOGIN))


def test_messages_that_a_template_does_not_show_wait_for_the_next_page(kicked, own_template):
    own_template("without-messages")
    kicked.get("/leave-a-message/")
    assert "Saved" not in text(kicked.get("/own/login/"))
    assert "Saved" in text(kicked.get(LOGIN))


def test_a_site_without_messages_says_it_too(kicked, settings):
    (engine,) = settings.TEMPLATES
    processors = [each for each in engine["OPTIONS"]["context_processors"] if "messages" not in each]
    settings.TEMPLATES = [{**engine, "OPTIONS": {**engine["OPTIONS"], "context_processors": processors}}]
    settings.MIDDLEWARE = [each for each in settings.MIDDLEWARE if "messages" not in each]
    assert said(kicked.get(LOGIN)) == 1


def test_what_it_says_is_escaped(browser, settings):
    DeviceSession.objects.update(replaced_by="<script>")
    end_session(DeviceSession.objects.live().get(), "replaced")
    page = browser.get(LOGIN).content.decode()
    assert "<script>" not in page.split('<div class="main"')[1].split("<form")[0]


def test_an_asynchronous_site_says_it_too(kicked):
    client = AsyncClient(headers=NAVIGATION)
    client.cookies = kicked.cookies

    async def ask():
        return await client.get(LOGIN)

    assert said(async_to_sync(ask)()) == 1


def test_it_takes_no_statement_more(kicked, django_assert_num_queries):
    kicked.get(LOGIN)  # which empties the Django session
    with django_assert_num_queries(1):  # that of any page: whose session it was
        assert said(kicked.get(LOGIN)) == 1


def test_who_may_not_enter_is_told_that_alone(ada, password):
    visitor = Client()
    visitor.post("/account/login/", {"username": ada.get_username(), "password": password})
    response = visitor.get(LOGIN)
    assert "not authorized" in text(response)
    assert times(response) == []
