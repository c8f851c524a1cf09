""" "This wasn't me": the page shows what would end, ends it, and tells nobody else anything."""

import logging
import re
import sys
from datetime import timedelta

import pytest
from asgiref.sync import async_to_sync
from django.conf import settings as site_settings
from django.core.signals import got_request_exception
from django.test import AsyncClient, Client, RequestFactory
from django.urls import path, resolve, reverse
from django.utils import timezone
from django.views.debug import ExceptionReporter

from authx.core.actor import NOBODY
from authx.http.error_reports import MASK, HiddenText, mask_in_address
from authx.models import DeviceSession, SessionEvent
from authx.sessions import Device, end_session, open_session
from authx.sessions.connected_apps import connected_apps
from authx.sessions.consents import remember_consent
from authx.sessions.continuing import continue_session
from authx.sessions.not_me import write_link_token
from authx.testing import clock, login_device
from tests import urls
from tests.faults_in_database import outage
from tests.granted import granted, make_client

pytestmark = pytest.mark.django_db

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"
PAGE = re.compile(r"\s+")


def reset(request):
    raise AssertionError("not asked in these tests")


class WithPasswordReset:
    urlpatterns = [*urls.urlpatterns, path("password-reset/", reset, name="password_reset")]


class WithAllauths:
    urlpatterns = [*urls.urlpatterns, path("password-reset/", reset, name="account_reset_password")]


@pytest.fixture
def opened(ada):
    request = RequestFactory().get("/", REMOTE_ADDR="2001:db8::7", headers={"user-agent": FIREFOX})
    return open_session(ada, request, Device(id="d", name="Ada's <b>phone</b>"))


def came_from(user_agent):
    return RequestFactory().get("/", REMOTE_ADDR="203.0.113.7", headers={"user-agent": user_agent})


def link_to(session, **times):
    return reverse("authx:not-me", args=[write_link_token(session.pk, **times)])


def browser():
    """Somebody who is not signed in, at a browser: it is told to check forms."""
    return Client(enforce_csrf_checks=True, headers={"user-agent": FIREFOX})


def text(response):
    return PAGE.sub(" ", response.content.decode())


def row(credentials):
    return DeviceSession.objects.get(pk=credentials.session.pk)


def test_it_shows_device_place_and_time_and_ends_nothing(opened):
    DeviceSession.objects.update(country="GB")
    visitor, link = browser(), link_to(opened.session)
    for _ in range(2):  # a scanner, then a person
        page = visitor.get(link)
        assert page.status_code == 200
        assert visitor.head(link).status_code == 200
    shown = text(page)
    assert "<bdi>Ada&#x27;s &lt;b&gt;phone&lt;/b&gt;</bdi>" in shown
    assert "<bdi>Firefox on Linux</bdi>" in shown
    assert '<bdi dir="ltr">2001:db8::7</bdi>' in shown
    assert "<bdi>United Kingdom</bdi>" in shown
    assert f'<time datetime="{opened.session.created_at:%Y-%m-%dT%H:%M:%S}' in shown
    assert row(opened).ended_at is None
    assert "<script" not in shown
    assert " style=" not in shown


def test_its_form_ends_the_session_and_signs_nobody_in(opened):
    visitor, link = browser(), link_to(opened.session)
    page = visitor.post(link)
    assert page.status_code == 200
    assert "This device is signed out" in text(page)
    assert "write to those who run this site" in text(page)  # there is no password_reset here
    session = row(opened)
    assert (session.end_reason, session.ended_by) == ("ended_by_user", None)
    assert visitor.get("/whoami/").json()["user"] is None
    assert not {"sessionid", site_settings.SESSION_COOKIE_NAME, "__Host-authx_access"} & set(visitor.cookies)
    event = SessionEvent.objects.get(kind="ended")
    assert (event.ip, event.actor) == ("127.0.0.1", None)


def test_it_needs_no_cookie_and_takes_the_null_origin_of_a_page_without_referrer(opened):
    answer = Client(enforce_csrf_checks=True).post(
        link_to(opened.session), headers={"Origin": "null"}, secure=True
    )
    assert answer.status_code == 200
    assert row(opened).end_reason == "ended_by_user"


def test_it_is_as_good_a_second_time(opened):
    visitor, link = browser(), link_to(opened.session)
    visitor.post(link)
    ended_at = row(opened).ended_at
    again = visitor.post(link)
    assert again.status_code == 200
    assert "This device is signed out" in text(visitor.get(link))
    assert row(opened).ended_at == ended_at
    assert SessionEvent.objects.filter(kind="ended").count() == 1


@pytest.mark.parametrize("site", [WithPasswordReset, WithAllauths], ids=["django", "allauth"])
def test_it_leads_to_the_sites_password_reset(site, opened, settings):
    settings.ROOT_URLCONF = site
    visitor, link = browser(), link_to(opened.session)
    for _ in range(2):
        answer = visitor.post(link)
        assert (answer.status_code, answer["Location"]) == (302, "/password-reset/")
        assert answer["Referrer-Policy"] == "no-referrer"
    assert row(opened).end_reason == "ended_by_user"
    assert 'href="/password-reset/"' in text(visitor.get(link))


@pytest.mark.parametrize("site", [WithPasswordReset, WithAllauths], ids=["django", "allauth"])
def test_so_does_the_login_page(site, settings):
    settings.ROOT_URLCONF = site
    assert 'href="/password-reset/"' in text(Client().get("/account/login/"))


def test_what_continues_the_session_ends(opened):
    link = link_to(opened.session)
    first = continue_session(opened.session, NOBODY, methods=["pwd"], came_back=True)
    second = continue_session(first.session, NOBODY, methods=["otp"], came_back=True)
    page = browser().get(link)
    assert "Sign this device out" in text(page)
    browser().post(link)
    assert row(second).end_reason == "ended_by_user"
    assert {row(opened).end_reason, row(first).end_reason} == {"superseded"}
    assert "This device is signed out" in text(browser().get(link))


def test_the_link_of_what_continues_it_does_not_end_another(ada, opened):
    other = open_session(ada, device=Device(id="other"))
    browser().post(link_to(opened.session))
    assert row(other).ended_at is None


def test_whoever_has_signed_in_again_does_not_outrun_it(ada):
    """A login from the same browser takes the place of the session that the notice told of."""
    open_session(ada, device=Device(id="owner"))
    named = open_session(ada, device=Device(id="stranger"))
    again = open_session(ada, device=Device(id="stranger"))
    other = open_session(ada, device=Device(id="another"))
    assert row(named).end_reason == "replaced"
    visitor, link = browser(), link_to(named.session)
    assert "Sign this device out" in text(visitor.get(link))
    assert "This device is signed out" in text(visitor.post(link))
    assert row(again).end_reason == "ended_by_user"
    assert row(other).ended_at is None
    assert "This device is signed out" in text(visitor.get(link))


def test_nor_does_whoever_names_no_device(ada):
    """Of two such logins within an hour the first alone is told of: its link stands for both."""
    open_session(ada, device=Device(id="owner"))
    with clock() as now:
        named = open_session(ada, came_from("curl/8.0"))
        now.advance(minutes=59)
        again = open_session(ada, came_from("curl/8.0"))
        other = open_session(ada, came_from(FIREFOX))
        now.advance(minutes=2)
        later = open_session(ada, came_from("curl/8.0"))  # which has a notice of its own
        browser().post(link_to(named.session))
        assert [row(one).end_reason for one in (named, again)] == ["ended_by_user"] * 2
        assert [row(one).ended_at for one in (other, later)] == [None, None]


@pytest.mark.parametrize("device_id", ["stranger", ""])
def test_a_later_login_that_is_known_goes_on(ada, device_id):
    open_session(ada, device=Device(id="owner"))
    named = open_session(ada, device=Device(id=device_id))
    end_session(named.session, "logout")
    DeviceSession.objects.update(is_unconfirmed=False)
    again = open_session(ada, device=Device(id=device_id))
    DeviceSession.objects.update(is_unconfirmed=False)
    browser().post(link_to(named.session))
    assert row(again).ended_at is None


def test_an_app_is_disconnected_and_asked_about_again(ada):
    client, login = make_client(name="Photo Printer"), open_session(ada).session
    app = granted(client, login)
    remember_consent(ada, client, ["read"], [])
    page = browser().get(link_to(app.session))
    assert "Photo Printer" in text(page)
    assert "Disconnect this app" in text(page)
    browser().post(link_to(app.session))
    assert row(app).end_reason == "ended_by_user"
    assert connected_apps(ada) == []
    assert DeviceSession.objects.get(pk=login.pk).ended_at is None


def test_a_visitor_who_is_signed_in_elsewhere_stays_so(ada, bob, opened):
    visitor = Client()
    login_device(visitor, bob)
    visitor.post(link_to(opened.session))
    assert visitor.get("/whoami/").json()["user"] == bob.get_username()
    session = row(opened)
    assert (session.end_reason, session.ended_by) == ("ended_by_user", None)


def test_a_visitor_whose_session_it_is_is_signed_out(ada):
    visitor = Client()
    login_device(visitor, ada)
    assert visitor.get("/whoami/").json()["user"] == ada.get_username()
    visitor.post(link_to(DeviceSession.objects.get()))
    assert visitor.get("/whoami/").json()["user"] is None


# Links that are no good


def old(session):
    return link_to(session, now=timezone.now() - timedelta(days=7, minutes=1))


def of_nobody(session):
    DeviceSession.objects.filter(pk=session.pk)._raw_delete("default")
    return link_to(session)


def forged(session):
    link = link_to(session)
    return link[:-3] + ("A" if link[-3] != "A" else "B") + link[-2:]


def mutilated(session):
    return link_to(session)[:-20] + "/"


def garbage(session):
    return reverse("authx:not-me", args=["%00\N{SNOWMAN}<script>"])


@pytest.mark.parametrize("method", ["get", "head", "post"])
@pytest.mark.parametrize("make", [old, of_nobody, forged, mutilated, garbage])
def test_a_link_that_is_no_good_ends_nothing_and_says_no_more_than_that(ada, opened, make, method):
    SessionEvent._base_manager.all()._raw_delete("default")
    link = make(opened.session)
    refused = getattr(browser(), method)(link)
    assert refused.status_code == 410
    if method != "head":
        other = getattr(browser(), method)(forged(opened.session) if make is not forged else garbage(None))
        assert refused.content == other.content  # whatever is wrong with it
        assert "This link is not good any more" in text(refused)
    assert not DeviceSession.objects.exclude(ended_at=None).exists()


def test_it_is_good_for_seven_days_and_no_longer(opened):
    link = link_to(opened.session)
    with clock() as now:
        now.advance(days=7, seconds=-10)
        assert browser().get(link).status_code == 200
        now.advance(seconds=20)
        assert browser().get(link).status_code == 410


def test_a_fallback_key_is_good_and_one_that_is_gone_is_not(opened, settings):
    link, before = link_to(opened.session), settings.SECRET_KEY
    settings.SECRET_KEY = "a new key, long enough to be one, and random enough for a test"
    assert browser().get(link).status_code == 410
    settings.SECRET_KEY_FALLBACKS = [before]
    assert browser().post(link).status_code == 200
    assert row(opened).end_reason == "ended_by_user"


@pytest.mark.parametrize("method", ["put", "delete", "patch", "options"])
def test_other_methods_are_not_allowed(opened, method):
    assert getattr(browser(), method)(link_to(opened.session)).status_code == 405
    assert row(opened).ended_at is None


def test_a_session_that_was_over_says_so(opened):
    end_session(opened.session, "logout")
    page = browser().get(link_to(opened.session))
    assert page.status_code == 200
    assert "<form" not in text(page)
    browser().post(link_to(opened.session))
    assert row(opened).end_reason == "logout"


def test_of_a_user_who_is_gone_nothing_is_shown(ada, opened):
    link = link_to(opened.session)
    ada.delete()
    page = browser().get(link)
    assert "Ada" not in text(page)
    assert "2001:db8" not in text(page)
    assert browser().post(link).status_code == 200


# What it leaves behind


@pytest.mark.parametrize("method", ["get", "post"])
@pytest.mark.parametrize("make", [link_to, old])
def test_its_response_is_kept_nowhere_and_sends_nobody_the_link(opened, method, make):
    response = getattr(browser(), method)(make(opened.session))
    assert response["Referrer-Policy"] == "no-referrer"
    assert "no-store" in response["Cache-Control"]
    assert response["X-Frame-Options"] == "DENY"
    assert "noindex" in response["X-Robots-Tag"]


def test_no_log_has_the_link(opened, caplog):
    links = [make(opened.session) for make in (link_to, old, forged)]
    with caplog.at_level(logging.DEBUG):
        for link in links:
            browser().get(link, headers={"Referer": f"https://testserver{link}"})
            browser().put(link)
    assert caplog.records
    for link in links:
        token = link.rstrip("/").rpartition("/")[2]
        assert not [record for record in caplog.records if token in record.getMessage()]


#: A template of the site's own, which is broken.
BROKEN = {"authx/not_me.html": "{% extends 'no/such/page.html' %}"}


@pytest.mark.parametrize("debug", [True, False])
def test_no_report_of_an_error_has_it(opened, settings, debug):
    settings.DEBUG = debug
    loaders = [("django.template.loaders.locmem.Loader", BROKEN)]
    engine = {"APP_DIRS": False, "OPTIONS": {"loaders": loaders}}
    settings.TEMPLATES = [{**settings.TEMPLATES[0], **engine}]
    link = link_to(opened.session)
    token = link.rstrip("/").rpartition("/")[2]
    visitor = Client(raise_request_exception=False)
    reports = []

    def report(sender, request, **kwargs):
        reporter = ExceptionReporter(request, *sys.exc_info())
        reports.extend([reporter.get_traceback_text(), reporter.get_traceback_html(), repr(request)])

    got_request_exception.connect(report)
    try:
        environment = {"RAW_URI": link, "REQUEST_URI": link.replace(".", "%2E")}
        answer = visitor.get(link, headers={"Referer": f"https://testserver{link}"}, **environment)
    finally:
        got_request_exception.disconnect(report)
    assert answer.status_code == 500
    assert len(reports) == 3
    for told in [*reports, text(answer)]:
        assert token not in told
        assert token.replace(".", "%2E") not in told
    assert "no/such/page.html" in reports[0]


async def at_the_door(link):
    return await AsyncClient().get(link)


@pytest.mark.django_db(transaction=True)
def test_it_is_the_same_under_asgi(opened):
    response = async_to_sync(at_the_door)(link_to(opened.session))
    assert response.status_code == 200
    assert "Sign this device out" in text(response)
    assert response.asgi_request.path == f"/account/not-me/{MASK}/"
    assert MASK in response.asgi_request.scope["path"]


def test_the_address_loses_the_secret_alone():
    request = RequestFactory().get("/a/secret%2Etoken/b?q=1", headers={"Referer": "https://x/secret.token/"})
    request.META["RAW_URI"] = "/a/secret%2Etoken/b?q=1"
    mask_in_address(request, "secret.token")
    assert request.get_full_path() == f"/a/{MASK}/b?q=1"
    assert request.META["RAW_URI"] == f"/a/{MASK}/b?q=1"
    assert request.META["HTTP_REFERER"] == f"https://x/{MASK}/"
    assert request.META["SERVER_NAME"] == "testserver"
    request.scope = {"raw_path": b"/a/secret.token/b", "root_path": ""}
    mask_in_address(request, "secret.token")
    assert request.scope == {"raw_path": f"/a/{MASK}/b".encode(), "root_path": ""}


def test_the_argument_of_the_view_is_no_text():
    match = resolve("/account/not-me/abc/")
    assert isinstance(match.kwargs["token"], HiddenText)
    assert "abc" not in repr(match)


@pytest.mark.django_db(transaction=True)
def test_without_the_database_nothing_is_known(opened):
    link = link_to(opened.session)
    with outage():
        for method in ("get", "post"):
            response = getattr(browser(), method)(link)
            assert (response.status_code, response["Referrer-Policy"]) == (503, "no-referrer")
    assert row(opened).ended_at is None


def test_it_needs_no_login_where_every_page_does(opened, settings):
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, "django.contrib.auth.middleware.LoginRequiredMiddleware"]
    assert browser().post(link_to(opened.session)).status_code == 200
    assert row(opened).end_reason == "ended_by_user"


def test_nor_our_middleware(opened, settings):
    ours = "authx.pages.middleware.DeviceSessionMiddleware"
    settings.MIDDLEWARE = [name for name in settings.MIDDLEWARE if name != ours]
    assert browser().post(link_to(opened.session)).status_code == 200
    assert row(opened).end_reason == "ended_by_user"
