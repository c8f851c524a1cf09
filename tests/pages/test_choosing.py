"""The page that asks which device to sign out, where a limit is full and lets its users choose."""

import json
import re
import sys
from datetime import timedelta
from html import unescape

import pytest
from django.contrib.auth import get_user_model, login, user_logged_in
from django.contrib.sessions.models import Session
from django.core.signals import got_request_exception
from django.test import Client
from django.urls import path
from django.utils import timezone
from django.views.debug import ExceptionReporter

from authx.conf import conf, secret_keys
from authx.core.login_proof import read_login_proof
from authx.core.reasons import EndReason
from authx.models import DeviceSession, SessionEvent, UsedTicket
from authx.sessions import Device, end_session, open_session
from tests.urls import urlpatterns as site

pytestmark = pytest.mark.django_db

LOGIN, API, WHO = "/account/login/", "/api/auth/login/", "/whoami/"
PASSWORD = "correct-horse-battery-staple"
DEAD = "This choice is no longer open"
LIMIT = {"types": ["web", "other"], "limit": 1, "when_full": "refuse", "choose": True}
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"


@pytest.fixture(autouse=True)
def limit(settings):
    settings.AUTHX_SESSION_LIMITS = [LIMIT]


@pytest.fixture
def old(ada):
    """The session in the way."""
    return open_session(ada, device=Device(name="Lost <laptop>", type="web")).session


@pytest.fixture
def browser():
    found = Client(headers={"User-Agent": FIREFOX})
    found.get(LOGIN)
    return found


def sign_in(browser, user, path=LOGIN, **fields):
    body = {"username": user.get_username(), "password": PASSWORD, "remember": "on", **fields}
    return browser.post(path, {name: value for name, value in body.items() if value})


def text(response):
    return response.content.decode()


def asked(response):
    """The fields of the form that asks, as a browser would send them with nothing changed."""
    assert response.status_code == 409, text(response)
    page = text(response)
    fields = re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', page)
    found = {name: unescape(value) for name, value in fields}
    found["end"] = re.findall(r'name="end" value="([^"]+)" checked', page)
    return found


def offered(response):
    return re.findall(r'name="end" value="([^"]+)"', text(response))


def sid(browser):
    return browser.get(WHO).json()["session"]


def live(user):
    return {str(session.pk) for session in DeviceSession.objects.live().filter(user=user)}


def assert_dead(response):
    assert response.status_code == 401, text(response)
    assert DEAD in unescape(text(response))
    assert 'name="password"' in text(response)
    assert conf.REFRESH_COOKIE not in response.cookies


def assert_nobody(browser):
    assert browser.get(WHO).json()["user"] is None


# What it shows


def test_a_full_limit_asks_which_device_to_sign_out(browser, ada, old):
    response = sign_in(browser, ada)
    assert "Choose a device to sign out" in text(response)
    assert "Lost &lt;laptop&gt;" in text(response)
    assert asked(response)["end"] == [str(old.pk)]
    assert_nobody(browser)
    assert live(ada) == {str(old.pk)}


def test_it_shows_no_address_and_no_country(browser, ada, old):
    DeviceSession.objects.update(ip="203.0.113.77", country="FR")
    page = text(sign_in(browser, ada))
    assert "203.0.113.77" not in page
    assert not re.search(r"\bFR\b", page)


def test_the_least_recently_used_device_stands_first_and_is_chosen(browser, ada, settings):
    settings.AUTHX_SESSION_LIMITS = [{**LIMIT, "limit": 3}]
    there = [open_session(ada, device=Device(type="web")).session.pk for _ in range(3)]
    for pk, days in zip(there, (1, 6, 3), strict=True):
        seen = timezone.now() - timedelta(days=days)
        DeviceSession.objects.filter(pk=pk).update(last_seen_at=seen)
    response = sign_in(browser, ada)
    assert offered(response) == [str(there[1]), str(there[2]), str(there[0])]
    assert asked(response)["end"] == [str(there[1])]
    assert "Active 6 days ago" in text(response)


def test_it_has_no_inline_script_or_style_and_is_in_no_cache(browser, ada, old):
    response = sign_in(browser, ada)
    assert "<script" not in text(response)
    assert "<style" not in text(response)
    assert not re.search(r'\s(style|on\w+)="', text(response))
    assert {"private", "no-store"} <= set(response["Cache-Control"].split(", "))


def test_a_limit_without_choose_says_what_it_has_always_said(browser, ada, old, settings):
    settings.AUTHX_SESSION_LIMITS = [{**LIMIT, "choose": False}]
    response = sign_in(browser, ada)
    assert response.status_code == 200
    assert "You are signed in on as many devices as allowed." in text(response)


def test_a_wrong_password_is_asked_nothing(browser, ada, old):
    assert "Choose" not in text(sign_in(browser, ada, password="wrong"))


def test_a_right_one_that_is_not_enough_is_asked_nothing_either(browser, ada, old, settings):
    settings.AUTHX_PASSWORD_LOGIN = "tests.site.password_rules.second_factor"
    response = sign_in(browser, ada)
    assert response.status_code == 401
    assert "Choose" not in text(response)


# Choosing


def test_the_chosen_device_is_signed_out_and_this_one_signed_in(browser, ada, old):
    response = browser.post(LOGIN, asked(sign_in(browser, ada)))
    assert (response.status_code, response["Location"]) == (302, "/whoami/")
    assert live(ada) == {sid(browser)}
    old.refresh_from_db()
    assert (old.end_reason, old.replaced_by, old.ended_by) == ("replaced", "web", ada)
    new = DeviceSession.objects.get(pk=sid(browser))
    assert (new.amr, new.persistent) == (["pwd"], True)
    assert SessionEvent.objects.get(kind="chosen").session_id == new.pk


def test_the_device_that_was_signed_out_reads_why(ada, browser):
    lost = Client()
    sign_in(lost, ada)
    browser.post(LOGIN, asked(sign_in(browser, ada)))
    page = text(lost.get(LOGIN))
    assert "You were signed out because of a newer sign-in (Browser)." in page


def test_it_leads_where_the_visitor_was_going(browser, ada, old):
    fields = asked(sign_in(browser, ada, path=f"{LOGIN}?next=/private/%3Fa%3D1%26b"))
    assert fields["next"] == "/private/?a=1&b"
    assert browser.post(LOGIN, fields)["Location"] == "/private/?a=1&b"


@pytest.mark.parametrize("target", ["https://evil.example/", "//evil.example/", "javascript:alert(1)"])
def test_it_leads_to_no_other_site(browser, ada, old, target):
    fields = asked(sign_in(browser, ada, next=target))
    assert "next" not in fields
    assert browser.post(LOGIN, {**fields, "next": target})["Location"] == "/whoami/"


@pytest.mark.parametrize("remember", ["on", ""])
def test_it_remembers_whether_to_remember(browser, ada, old, remember):
    browser.post(LOGIN, asked(sign_in(browser, ada, remember=remember)))
    assert DeviceSession.objects.get(pk=sid(browser)).persistent is bool(remember)
    assert bool(browser.cookies[conf.REFRESH_COOKIE]["max-age"]) is bool(remember)


def test_it_needs_the_csrf_token(ada, old):
    browser = Client(enforce_csrf_checks=True)
    token = re.search(r'csrfmiddlewaretoken" value="(\w+)', text(browser.get(LOGIN)))[1]
    fields = asked(sign_in(browser, ada, csrfmiddlewaretoken=token))
    stripped = {name: value for name, value in fields.items() if name != "csrfmiddlewaretoken"}
    assert browser.post(LOGIN, stripped).status_code == 403
    assert live(ada) == {str(old.pk)}
    assert browser.post(LOGIN, fields).status_code == 302


def test_a_browser_that_sent_no_device_cookie_gets_one_to_come_back_with(ada, old):
    browser = Client()
    fields = asked(sign_in(browser, ada))
    assert browser.cookies[conf.DEVICE_COOKIE].value
    assert browser.post(LOGIN, fields).status_code == 302


UNREADABLE = {
    "another site's on this host": "theirs.by-their-key",
    "one that was cleared": '""',
    "one from before it was partitioned, and one from after": f"a.b; {conf.DEVICE_COOKIE}=c.d",
}


@pytest.mark.parametrize("path", [LOGIN, "/admin/login/"])
@pytest.mark.parametrize("sent", UNREADABLE.values(), ids=UNREADABLE)
def test_a_browser_whose_device_cookie_we_cannot_read_gets_one_too(sent, path, admin, settings):
    settings.AUTHX_COOKIE_SAMESITE, settings.AUTHX_COOKIE_PARTITIONED = "None", ";" in sent
    open_session(admin, device=Device(type="web"))
    browser = Client(headers={"User-Agent": FIREFOX})
    browser.defaults["HTTP_COOKIE"] = f"{conf.DEVICE_COOKIE}={sent}"
    fields = asked(sign_in(browser, admin, path))
    del browser.defaults["HTTP_COOKIE"]
    response = browser.post(LOGIN, fields)
    assert response.status_code == 302, text(response)


def test_a_device_cookie_of_ours_is_kept_by_the_question(browser, ada, old):
    assert conf.DEVICE_COOKIE not in sign_in(browser, ada).cookies


def test_several_at_once_where_a_limit_was_lowered(browser, ada, settings):
    settings.AUTHX_SESSION_LIMITS = []
    there = [str(open_session(ada, device=Device(type="web")).session.pk) for _ in range(3)]
    settings.AUTHX_SESSION_LIMITS = [{**LIMIT, "limit": 2}]
    response = sign_in(browser, ada)
    assert 'type="checkbox"' in text(response)
    assert "Sign 2 of them out" in text(response)
    fields = asked(response)
    assert fields["end"] == there[:2]
    assert browser.post(LOGIN, fields).status_code == 302
    assert live(ada) == {there[2], sid(browser)}


# Again, and twice


def test_where_there_is_still_no_room_it_asks_again(browser, ada, old):
    fields = asked(sign_in(browser, ada))
    end_session(old, EndReason.LOGOUT)
    third = open_session(ada, device=Device(type="web")).session
    again = browser.post(LOGIN, fields)
    assert "There is still no room" in text(again)
    assert asked(again)["end"] == [str(third.pk)]
    assert asked(again)["proof"] != fields["proof"]
    assert browser.post(LOGIN, asked(again)).status_code == 302
    assert live(ada) == {sid(browser)}


def test_nothing_chosen_is_asked_again_and_ends_nothing(browser, ada, old):
    fields = asked(sign_in(browser, ada))
    del fields["end"]
    again = browser.post(LOGIN, fields)
    assert asked(again)["end"] == [str(old.pk)]
    assert live(ada) == {str(old.pk)}


@pytest.mark.parametrize("next_", ["", "/private/"])
def test_asked_again_it_still_leads_where_the_visitor_was_going(browser, ada, old, next_):
    fields = asked(sign_in(browser, ada, next=next_, remember=""))
    del fields["end"]
    again = asked(browser.post(LOGIN, fields))
    assert again.get("next", "") == next_
    assert "remember" not in again


def test_a_double_click_signs_in_once(browser, ada, old):
    fields = asked(sign_in(browser, ada))
    jar = {name: morsel.value for name, morsel in browser.cookies.items() if morsel.value}
    clicks = [Client(headers={"User-Agent": FIREFOX}) for _ in range(2)]
    for click in clicks:
        click.cookies.load(jar)
        assert click.post(LOGIN, fields).status_code == 302
    assert sid(clicks[0]) == sid(clicks[1])
    assert live(ada) == {sid(clicks[0])}
    assert SessionEvent.objects.filter(kind="chosen").count() == 1


def test_going_back_and_choosing_again_changes_nothing(browser, ada, old):
    fields = asked(sign_in(browser, ada))
    browser.post(LOGIN, fields)
    before = sid(browser)
    assert_dead(browser.post(LOGIN, fields))
    assert sid(browser) == before
    assert live(ada) == {before}


def test_another_browser_cannot_send_the_form(browser, ada, old):
    fields = asked(sign_in(browser, ada))
    other = Client()
    other.get(LOGIN)
    for thief in (other, Client()):
        assert_dead(thief.post(LOGIN, fields))
        assert_nobody(thief)
    assert live(ada) == {str(old.pk)}


@pytest.mark.parametrize("change", [{"proof": "made-up"}, {"end": "x"}, {"end": str(DeviceSession().pk)}])
def test_a_form_that_was_tampered_with_is_told_to_sign_in_again(browser, ada, old, change):
    fields = {**asked(sign_in(browser, ada)), **change}
    assert_dead(browser.post(LOGIN, fields))
    assert_nobody(browser)
    assert live(ada) == {str(old.pk)}


def test_a_changed_password_makes_it_worthless(browser, ada, old):
    fields = asked(sign_in(browser, ada))
    ada.set_password("another-horse-battery-staple")
    ada.save()
    assert_dead(browser.post(LOGIN, fields))
    assert_nobody(browser)


def test_the_sites_function_is_asked_again(browser, ada, old, settings):
    fields = asked(sign_in(browser, ada))
    settings.AUTHX_PASSWORD_LOGIN = "tests.site.password_rules.second_factor"
    response = browser.post(LOGIN, fields)
    assert response.status_code == 401
    assert 'data-code="second_factor_required"' in text(response)
    assert live(ada) == {str(old.pk)}


def test_no_password_no_choice_by_one(browser, ada, old, settings):
    fields = asked(sign_in(browser, ada, next="/private/"))
    settings.AUTHX_PASSWORD_LOGIN, settings.LOGIN_URL = False, "/django-login/"
    response = browser.post(LOGIN, fields)
    assert (response.status_code, response["Location"]) == (302, "/django-login/?next=/private/")
    assert_nobody(browser)
    assert live(ada) == {str(old.pk)}


def test_too_many_bad_ones_have_to_wait(browser, ada, old, settings):
    settings.AUTHX_LOGIN_RATE = "1/min"
    fields = {**asked(sign_in(browser, ada)), "end": "x"}
    assert browser.post(LOGIN, fields).status_code == 401
    response = browser.post(LOGIN, fields)
    assert response.status_code == 429
    assert int(response["Retry-After"]) > 0
    assert "Too many attempts" in text(response)


def test_the_api_takes_the_pages_proof_by_cookie_from_the_same_browser_alone(browser, ada, old):
    fields = asked(sign_in(browser, ada))
    body = {"proof": fields["proof"], "end": str(old.pk), "transport": "cookie"}
    answer = browser.post(API, json.dumps(body), content_type="application/json")
    assert answer.status_code == 200, answer.content
    assert live(ada) == {sid(browser)}


def test_a_visitor_who_is_signed_in_as_somebody_else_leaves_that_session(browser, ada, bob, old):
    sign_in(browser, bob)
    bobs = sid(browser)
    fields = asked(sign_in(browser, ada))
    assert browser.post(LOGIN, fields).status_code == 302
    assert browser.get(WHO).json()["user"] == ada.get_username()
    assert bobs not in live(bob)


# Other pages that sign in


@pytest.mark.parametrize("path", ["/django-login/", "/admin/login/"])
def test_a_login_by_another_page_is_asked_too(path, browser, admin):
    old = open_session(admin, device=Device(type="web")).session
    response = sign_in(browser, admin, path=path, next="/private/")
    fields = asked(response)
    assert f'action="{LOGIN}"' in text(response)
    assert not [data for data in Session.objects.all() if "_auth_user_id" in data.get_decoded()]
    response = browser.post(LOGIN, fields)
    assert (response.status_code, response["Location"]) == (302, "/private/")
    assert live(admin) == {sid(browser)}
    assert DeviceSession.objects.get(pk=old.pk).end_reason == "replaced"


@pytest.mark.parametrize("path", [LOGIN, "/admin/login/"])
def test_it_is_shown_in_no_frame_whichever_page_it_follows(path, browser, admin, settings):
    assert not any("XFrameOptions" in name for name in settings.MIDDLEWARE)
    open_session(admin, device=Device(type="web"))
    assert sign_in(browser, admin, path)["X-Frame-Options"] == "DENY"


def broken(request):
    """A context processor with a bug."""
    if request.method == "POST":
        raise RuntimeError("a bug of the site's")
    return {}


@pytest.mark.parametrize("path", [LOGIN, "/admin/login/"])
@pytest.mark.parametrize("debug", [False, True])
def test_the_proof_is_in_no_report_of_a_page_that_cannot_be_made(debug, path, admin, settings):
    (engine,) = settings.TEMPLATES
    processors = [*engine["OPTIONS"]["context_processors"], f"{__name__}.broken"]
    settings.TEMPLATES = [{**engine, "OPTIONS": {"context_processors": processors}}]
    settings.DEBUG = debug
    open_session(admin, device=Device(type="web"))
    reports = []

    def report(sender, request=None, **kwargs):
        reporter = ExceptionReporter(request, *sys.exc_info())
        reports.extend([reporter.get_traceback_html(), reporter.get_traceback_text()])

    got_request_exception.connect(report)
    try:
        sign_in(Client(raise_request_exception=False), admin, path)
    finally:
        got_request_exception.disconnect(report)
    assert ["choose.html" in found for found in reports] == [True, True]
    assert not [found for found in reports if "gAAAA" in found or PASSWORD in found]


def test_another_login_in_the_same_request_has_chosen_nothing(browser, ada, bob, old):
    """As by a receiver of the site's, which signs an account's owner in where its guest has signed in."""
    fields = asked(sign_in(browser, ada))

    def sign_in_instead(sender, request, user, **kwargs):
        if user == ada:
            login(request, bob, "django.contrib.auth.backends.ModelBackend")

    user_logged_in.connect(sign_in_instead)
    try:
        assert browser.post(LOGIN, fields).status_code == 302
    finally:
        user_logged_in.disconnect(sign_in_instead)
    (session,) = DeviceSession.objects.live().filter(user=bob)
    assert browser.get(WHO).json() == {"user": bob.get_username(), "session": str(session.pk)}
    assert live(ada) == set(), "it was overwritten"


def test_another_page_goes_on_also_where_ours_takes_no_password(browser, ada, old, settings):
    settings.AUTHX_PASSWORD_LOGIN = False
    settings.LOGIN_URL = "/django-login/"
    fields = asked(sign_in(browser, ada, path="/django-login/"))
    assert browser.post(LOGIN, fields).status_code == 302
    assert live(ada) == {sid(browser)}


def test_another_pages_proof_is_none_at_the_api(browser, ada, old):
    fields = asked(sign_in(browser, ada, path="/django-login/"))
    body = {"proof": fields["proof"], "end": str(old.pk), "transport": "cookie"}
    answer = browser.post(API, json.dumps(body), content_type="application/json")
    assert (answer.status_code, answer.json()["code"]) == (401, "proof_invalid")


def test_the_methods_of_another_page_are_kept(browser, ada, old, settings):
    settings.AUTHX_AMR = {"django.contrib.auth.backends.ModelBackend": ["pwd", "otp"]}
    fields = asked(sign_in(browser, ada, path="/django-login/"))
    settings.AUTHX_AMR = {}
    browser.post(LOGIN, fields)
    new = DeviceSession.objects.get(pk=sid(browser))
    assert "otp" in new.amr
    assert new.backend == "django.contrib.auth.backends.ModelBackend"


def sign_in_and_open_for(request, name):
    """A site's own view, such as one where parents sign in and then hand the device to a child."""
    people = get_user_model()._default_manager
    login(request, people.get_by_natural_key("ada"), "django.contrib.auth.backends.ModelBackend")
    open_session(people.get_by_natural_key(name), device=Device(type="web"))


urlpatterns = [path("for/<name>/", sign_in_and_open_for), *site]


@pytest.mark.urls(__name__)
def test_nobody_is_asked_about_the_devices_of_somebody_else(browser, ada, bob):
    theirs = open_session(bob, device=Device(name="Bob's laptop", type="web")).session
    response = browser.post("/for/bob/")
    assert response.status_code == 409
    assert "proof" not in text(response)
    assert str(theirs.pk) not in text(response)


def test_where_our_pages_are_not_included_another_page_refuses_as_ever(browser, ada, old, settings):
    settings.ROOT_URLCONF = "tests.without_pages_urls"
    response = sign_in(browser, ada, path="/django-login/")
    assert response.status_code == 409
    assert 'name="proof"' not in text(response)
    assert SessionEvent.objects.filter(kind="choice_offered").count() == 0


def test_a_proof_is_spent_also_where_the_site_wants_no_device_session(browser, ada, old, settings):
    fields = asked(sign_in(browser, ada))
    settings.AUTHX_BIND_DJANGO_LOGIN = False
    browser.post(LOGIN, fields)
    assert UsedTicket.objects.get().name == read_login_proof(fields["proof"], secret_keys()).nonce
