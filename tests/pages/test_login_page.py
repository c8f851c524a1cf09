"""authx.pages.views.LoginView as it is read: why and when, who is signed in, other ways to sign in."""

import re
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from django.contrib.auth import get_user_model
from django.http import HttpResponse
from django.template import Context, RequestContext, Template
from django.test import Client, RequestFactory
from django.urls import path
from django.utils import timezone

from authx.conf import conf
from authx.core.reasons import EndReason
from authx.http.cookies import ended_cookie
from authx.models import DeviceSession
from authx.pages.ended import EndedNotice, _when
from authx.pages.views import LoginView
from authx.sessions import end_session
from tests.documented import documented
from tests.signing_in import NAVIGATION, WHY, sign_in, text
from tests.urls import urlpatterns as site

pytestmark = pytest.mark.django_db

LOGIN, LOGOUT, API = "/account/login/", "/account/logout/", "/api/auth/"


def own_page(request):
    """A page of the site's own, with what the documentation says of it."""
    return HttpResponse(Template(documented("sign-in-page.md", "django")).render(RequestContext(request)))


urlpatterns = [
    path("sent-on/", LoginView.as_view(redirect_authenticated_user=True)),
    path("own-page/", own_page),
    *site,
]


@pytest.fixture(autouse=True)
def _urls(settings):
    settings.ROOT_URLCONF = __name__


@pytest.fixture
def browser(ada, password):
    found = Client(headers=NAVIGATION)
    sign_in(found, ada, password)
    return found


@pytest.fixture
def kicked(browser):
    end_session(DeviceSession.objects.live().get(), "kicked")
    return browser


def wrong(client, path=LOGIN):
    return client.post(path, {"username": "ada", "password": "wrong", "remember": "on"})


def title(response):
    return re.search("<title>(.*?)</title>", text(response), re.DOTALL)[1].strip()


def told(response):
    """The reason, its sentence and its time; None without."""
    found = re.search(
        r'id="authx-ended".*?data-reason="(\w+)"><p>(.*?)</p>.*?<time datetime="(.*?)">',
        text(response),
        re.DOTALL,
    )
    return found and found.groups()


def field(response, name):
    return re.search(rf'<input[^>]*name="{name}"[^>]*>', text(response))[0]


# Why, and when


def test_it_says_why_and_when(kicked):
    ended_at = DeviceSession.objects.get().ended_at
    assert told(kicked.get(LOGIN)) == ("kicked", WHY, ended_at.isoformat())


def test_the_title_says_why(kicked):
    assert title(kicked.get(LOGIN)) == "Signed out by an administrator \u2013 Sign in"
    assert title(wrong(kicked)) == "Error: Signed out by an administrator \u2013 Sign in"
    assert title(Client().get(LOGIN)) == "Sign in"
    assert title(wrong(Client())) == "Error: Sign in"


def test_the_first_field_is_described_by_what_stands_above(kicked):
    assert 'aria-describedby="authx-ended"' in field(kicked.get(LOGIN), "username")
    assert 'aria-describedby="authx-error authx-ended"' in field(wrong(kicked), "username")
    assert 'aria-describedby="authx-error"' in field(wrong(Client()), "username")
    assert "aria-describedby" not in field(Client().get(LOGIN), "username")
    for response in (kicked.get(LOGIN), wrong(kicked)):
        described = re.findall(r'aria-describedby="([^"]+)"', text(response))
        assert all(f'id="{each}"' in text(response) for ids in described for each in ids.split())


def test_an_empty_field_is_described_by_its_own_error_too(kicked):
    response = kicked.post(LOGIN, {"username": "", "password": ""})
    assert 'aria-describedby="authx-ended id_username_error"' in field(response, "username")
    assert 'id="id_username_error"' in text(response)


@pytest.mark.parametrize("left", ["cookies", "sessionid"])
def test_it_is_kept_after_wrong_passwords_and_said_to_no_other_visit(left, kicked):
    if left == "sessionid":
        for name in (conf.ACCESS_COOKIE, conf.REFRESH_COOKIE):
            del kicked.cookies[name]
    first = told(kicked.get(LOGIN))
    assert first[:2] == ("kicked", WHY)
    drop_cleared(kicked)
    assert told(kicked.get(LOGIN)) is None
    for response in (wrong(kicked), wrong(kicked), wrong(kicked, "/admin/login/")):
        assert WHY in text(response)
        assert first[2][:19] in text(response)


def drop_cleared(client):
    """As a browser does, and Django's test client does not."""
    for name in [name for name, cookie in client.cookies.items() if cookie["max-age"] == 0]:
        del client.cookies[name]


def test_a_django_session_that_was_emptied_by_another_page_is_explained_all_the_same(kicked):
    for name in (conf.ACCESS_COOKIE, conf.REFRESH_COOKIE):
        del kicked.cookies[name]
    assert kicked.get("/account/devices/").status_code == 302
    drop_cleared(kicked)
    assert "sessionid" not in kicked.cookies
    assert told(kicked.get(LOGIN))[0] == "kicked"


@pytest.mark.parametrize("way", ["page", "api", "logout"])
def test_it_is_forgotten_once_somebody_has_signed_in_or_out(way, kicked, ada, password):
    kicked.get(LOGIN)
    drop_cleared(kicked)
    assert ended_cookie() in kicked.cookies
    if way == "page":
        response = sign_in(kicked, ada, password)
    elif way == "api":
        body = {"username": ada.get_username(), "password": password, "transport": "cookie"}
        response = kicked.post(f"{API}login/", body, "application/json")
        assert response.status_code == 200
    else:
        response = kicked.post(LOGOUT)
    assert response.cookies[ended_cookie()]["max-age"] == 0
    drop_cleared(kicked)
    kicked.post(LOGOUT)
    assert told(kicked.get(LOGIN)) is None


def test_the_cookie_is_not_believed_while_somebody_is_signed_in(kicked, ada, password):
    kicked.get(LOGIN)
    value = kicked.cookies[ended_cookie()].value
    sign_in(kicked, ada, password)
    kicked.cookies[ended_cookie()] = value
    response = kicked.get(LOGIN)
    assert told(response) is None
    assert title(response) == "Sign in"


def test_a_newer_ending_is_told_before_the_one_that_was_kept(kicked, ada, password):
    kicked.get(LOGIN)
    value = kicked.cookies[ended_cookie()].value
    sign_in(kicked, ada, password)
    kicked.cookies[ended_cookie()] = value
    end_session(DeviceSession.objects.live().get(), "password_changed")
    assert told(kicked.get(LOGIN))[0] == "password_changed"


@pytest.mark.parametrize(
    "value", ["", "x", "é", "a.b.c", "0" * 5000], ids=["empty", "x", "accent", "dots", "long"]
)
def test_a_cookie_that_is_not_ours_says_nothing(value, client):
    response = client.get(LOGIN, headers={"Cookie": f"{ended_cookie()}={value}"})
    assert (response.status_code, told(response)) == (200, None)


def test_a_stranger_gets_no_cookie_for_it(client):
    assert ended_cookie() not in client.get(LOGIN, headers=NAVIGATION).cookies


def test_it_takes_no_statement_more(kicked, django_assert_num_queries):
    with django_assert_num_queries(0):
        Client().get(LOGIN)
    kicked.get(LOGIN)
    drop_cleared(kicked)
    with django_assert_num_queries(0):
        kicked.get(LOGIN)


@pytest.mark.parametrize("reason", EndReason)
def test_every_reason_has_a_title(reason, browser):
    end_session(DeviceSession.objects.live().get(), reason)
    response = browser.get(LOGIN)
    assert re.fullmatch("Signed [^.]+ \u2013 Sign in", title(response))


def test_lost_answers_are_no_copy_in_the_title(browser):
    end_session(DeviceSession.objects.live().get(), "reused")
    DeviceSession.objects.update(answers_lost=True)
    assert title(browser.get(LOGIN)) == "Signed out: answers kept getting lost \u2013 Sign in"
    drop_cleared(browser)
    assert title(wrong(browser)) == "Error: Signed out: answers kept getting lost \u2013 Sign in"


BERLIN = ZoneInfo("Europe/Berlin")
NOON = datetime(2026, 3, 1, 12, tzinfo=BERLIN)


@pytest.mark.parametrize(
    ("ago", "said"),
    [
        (timedelta(minutes=1), "Today at 11:59 a.m. CET"),
        (timedelta(hours=12), "Today at midnight CET"),
        (timedelta(hours=12, minutes=1), "Feb. 28, 2026 at 11:59 p.m. CET"),
        (timedelta(days=300), "May 5, 2025 at noon CEST"),
    ],
    ids=["a minute", "this midnight", "yesterday", "last year"],
)
def test_when_it_was_is_told_in_the_time_zone_of_the_request(ago, said):
    with timezone.override(BERLIN):
        assert _when(NOON - ago, NOON) == said


def test_where_the_time_is_unknown_none_is_told():
    notice = EndedNotice("kicked", WHY, "Signed out", None)
    assert (notice.when, notice.time, str(notice)) == ("", "", WHY)


# Whoever is signed in


def test_it_says_who_is_signed_in_and_leads_on(browser, ada):
    response = browser.get(f"{LOGIN}?next=/whoami/")
    assert f"You are signed in as <bdi>{ada.get_username()}</bdi>" in text(response)
    assert '<a class="authx-button" href="/whoami/">Go on</a>' in text(response)
    assert "autofocus" not in text(response)
    assert 'name="password"' in text(response)


def test_without_a_next_it_leads_where_a_login_does(browser, settings):
    settings.LOGIN_REDIRECT_URL = "/whoami/"
    assert 'href="/whoami/">Go on' in text(browser.get(LOGIN))


@pytest.mark.parametrize(
    "wanted", ["https://evil.example/", "//evil.example/", LOGOUT, "javascript:alert(1)"]
)
def test_it_leads_on_to_no_other_site(wanted, browser):
    response = browser.get(LOGIN, {"next": wanted})
    assert f'href="{wanted}"' not in text(response)
    assert "Go on" in text(response)


def test_signing_out_leads_back_to_use_another_account(browser):
    page = text(browser.get(f"{LOGIN}?next=/whoami/"))
    action, wanted = re.search(
        r'<form method="post" action="([^"]+)">.*?name="next" value="([^"]+)"', page, re.DOTALL
    ).groups()
    response = browser.post(action, {"next": wanted})
    assert (response.status_code, response["Location"]) == (302, f"{LOGIN}?next=/whoami/")
    assert not DeviceSession.objects.live().exists()
    after = browser.get(response["Location"])
    assert "You are signed in" not in text(after)
    assert told(after) is None


def test_another_account_takes_the_place(browser, bob, password):
    sign_in(browser, bob, password)
    assert DeviceSession.objects.live().get().user == bob
    assert "signed in as <bdi>bob" in text(browser.get(LOGIN)).lower()


def test_a_wrong_password_leaves_who_is_signed_in(browser):
    response = wrong(browser)
    assert "You are signed in as" in text(response)
    assert 'role="alert"' in text(response)


def test_nobody_is_said_to_be_signed_in(client):
    response = client.get(LOGIN)
    assert "You are signed in" not in text(response)
    assert "autofocus" in field(response, "username")


def test_a_site_may_send_them_on_at_once(browser, settings):
    settings.LOGIN_REDIRECT_URL = "/whoami/"
    response = browser.get("/sent-on/")
    assert (response.status_code, response["Location"]) == (302, "/whoami/")
    assert Client().get("/sent-on/").status_code == 200


def test_a_name_is_escaped_and_isolated(password, make_user):
    name = "<b>\u05d0\u05d3\u05d4"
    user = make_user("other")
    get_user_model()._default_manager.filter(pk=user.pk).update(**{get_user_model().USERNAME_FIELD: name})
    browser = Client()
    assert browser.post(LOGIN, {"username": name, "password": password}).status_code == 302
    assert "<bdi>&lt;b&gt;" in browser.get(LOGIN).content.decode()


# Too many attempts, and the rest of the form


@pytest.mark.parametrize(
    ("rate", "said"),
    [
        ("1/min", r"Please try again in (\d+ seconds|1 second|2 minutes)\."),
        ("1/hour", r"Please try again in \d+ minutes\."),
        ("1/day", r"Please try again in \d+ hours\."),
    ],
)
def test_too_many_attempts_say_how_long_to_wait(rate, said, client, ada, settings):
    settings.AUTHX_LOGIN_RATE = rate
    wrong(client)
    response = wrong(client)
    assert response.status_code == 429
    assert re.search(rf"Too many attempts\. {said}", text(response))


@pytest.mark.parametrize(
    ("lifetime", "said"),
    [
        (timedelta(days=30), "For up to 30 days. Leave this off on a shared computer."),
        (timedelta(days=1), "For up to 1 day. Leave this off on a shared computer."),
        (timedelta(hours=9), "Leave this off on a shared computer."),
    ],
    ids=str,
)
def test_how_long_they_stay_signed_in_is_said(lifetime, said, client, settings):
    settings.AUTHX_SESSION_LIFETIME = lifetime
    settings.AUTHX_IDLE_LIFETIME = min(conf.IDLE_LIFETIME, lifetime)
    response = client.get(LOGIN)
    assert f'<div class="authx-help" id="id_remember_helptext">{said}</div>' in text(response)
    assert 'aria-describedby="id_remember_helptext"' in field(response, "remember")


def test_nothing_is_inline(kicked):
    for response in (kicked.get(LOGIN), wrong(kicked), Client().get(LOGIN)):
        assert not re.search(r"<script|<style|\s(?:style|on\w+)=", text(response))


# Blocks, and pages of the site's own


def rendered(source):
    loaded = Template('{% extends "authx/login.html" %}' + source)
    request = RequestFactory().get(LOGIN)
    return loaded.render(Context({"request": request, "form": LoginView.authentication_form(request)}))


def test_no_other_ways_are_shown_where_there_are_none():
    assert "authx-ways" not in rendered("")
    assert "authx-ways" not in rendered("{% block passkeys %}\n{% endblock %}{% block sso %} {% endblock %}")


@pytest.mark.parametrize("name", ["passkeys", "sso"])
def test_other_ways_stand_below_the_form_behind_a_word(name):
    page = rendered(f"{{% block {name} %}}<b>here</b>{{% endblock %}}")
    assert re.search(r'</form>\s*<div class="authx-ways"><p class="authx-or">or</p><b>here</b></div>', page)


def test_both_have_one_word():
    page = rendered("{% block passkeys %}<b>1</b>{% endblock %}{% block sso %}<b>2</b>{% endblock %}")
    assert page.count("authx-or") == 1


def test_a_page_of_the_sites_own_says_it_as_documented(kicked):
    ended_at = DeviceSession.objects.get().ended_at
    page = text(kicked.get("/own-page/"))
    assert re.search(
        rf'<p role="status">{WHY} <time datetime="{re.escape(ended_at.isoformat())}">Today at', page
    )
    assert "<p" not in text(Client().get("/own-page/"))


def test_a_template_without_the_request_says_nothing():
    source = "{% load authx %}{% ended_notice as ended %}{{ ended }}{% ended_message %}"
    assert Template(source).render(Context()) == "None"
