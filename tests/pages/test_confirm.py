"""authx.pages.confirm, decorators and mixins: asking for a recent proof, and what it does to the session."""

import asyncio
import re
from datetime import timedelta
from html import unescape
from urllib.parse import parse_qs, urlsplit

import pytest
from asgiref.sync import sync_to_async
from django.contrib.sessions.models import Session
from django.core.exceptions import ImproperlyConfigured
from django.db import connection, connections
from django.http import HttpResponse
from django.test import AsyncClient, Client
from django.urls import path
from django.utils import timezone
from django.views.generic import View

from authx.core.actor import NOBODY
from authx.models import DeviceSession, SessionEvent
from authx.pages.decorators import recently_authenticated
from authx.pages.mixins import RecentlyAuthenticatedMixin
from authx.sessions import Device, end_session, open_session
from authx.sessions.continuing import continue_session
from tests import urls as site
from tests.outside_urls import without_pages
from tests.racing import race
from tests.site import more_views

pytestmark = pytest.mark.django_db
committing = pytest.mark.django_db(transaction=True)

LOGIN, CONFIRM, DEVICES = "/account/login/", "/account/confirm/", "/account/devices/"
PROVE = "/api/auth/reauthenticate/"
ACCESS, REFRESH = "__Host-authx_access", "__Host-authx_refresh"
MINUTES = timedelta(minutes=5)
FORM = "/form/?page=2"


@recently_authenticated(MINUTES)
def secrets(request):
    return HttpResponse(f"secrets of {request.user}: {request.POST.get('text', '')}")


@recently_authenticated(MINUTES)
async def async_secrets(request):
    user = await request.auser()
    return HttpResponse(f"secrets of {user}")


class Secrets(RecentlyAuthenticatedMixin, View):
    max_age = MINUTES

    def get(self, request):
        return HttpResponse(f"secrets of {request.user}")

    def post(self, request):
        return HttpResponse("changed")


class AsyncSecrets(RecentlyAuthenticatedMixin, View):
    max_age = MINUTES

    async def get(self, request):
        return HttpResponse(f"secrets of {await request.auser()}")


class NoAge(RecentlyAuthenticatedMixin, View):
    pass


urlpatterns = [
    path("secrets/", secrets),
    path("async-secrets/", async_secrets),
    path("class/", Secrets.as_view()),
    path("async-class/", AsyncSecrets.as_view()),
    path("no-age/", NoAge.as_view()),
    path("log-in/<name>/", more_views.log_in),
    *site.urlpatterns,
]
VIEWS = ["/secrets/", "/async-secrets/", "/class/", "/async-class/"]


@pytest.fixture(autouse=True)
def _urls(settings):
    settings.ROOT_URLCONF = __name__


@pytest.fixture
def browser(ada, password):
    """Ada's browser, signed in on our page a day ago; its cookies have come back."""
    return signed_in(ada, password)


def signed_in(user, password):
    client = Client()
    assert client.post(LOGIN, {"username": user.get_username(), "password": password}).status_code == 302
    client.get("/whoami/")
    a_day_ago()
    return client


def a_day_ago():
    DeviceSession.objects.update(auth_time=timezone.now() - timedelta(days=1))


def whoami(client):
    return client.get("/whoami/").json()


def live():
    return DeviceSession.objects.live().get()


def confirm(client, password, **more):
    return client.post(CONFIRM, {"password": password, **more})


def text(response):
    return unescape(response.content.decode())


def copy(client):
    other = Client()
    for name, cookie in client.cookies.items():
        other.cookies[name] = cookie.value
    return other


# The page


def test_it_asks_for_the_password_and_says_whose(browser, ada):
    page = browser.get(CONFIRM, {"next": "/secrets/"})
    assert page.status_code == 200
    assert "Confirm that it is you" in text(page)
    assert ada.get_username() in text(page)
    assert 'name="next" value="/secrets/"' in text(page)
    assert 'autocomplete="current-password"' in text(page)
    assert "no-store" in page["Cache-Control"]


def test_it_has_no_script_and_no_style_of_its_own(browser):
    assert not re.search(r"<script|<style|\son\w+=|\sstyle=", text(browser.get(CONFIRM)))


def test_the_right_password_continues_the_session_and_leads_on(browser, ada, password):
    old = live()
    response = confirm(browser, password, next="/secrets/")
    assert (response.status_code, response["Location"]) == (302, "/secrets/")
    assert {ACCESS, REFRESH} <= set(response.cookies)
    old.refresh_from_db()
    assert (old.end_reason, old.successor) == ("superseded", live().pk)
    assert timezone.now() - live().auth_time < timedelta(minutes=1)
    assert text(browser.get("/secrets/")) == f"secrets of {ada}: "


def test_every_copy_of_the_old_cookies_ends_with_it(browser, password):
    thief = copy(browser)
    confirm(browser, password)
    assert whoami(thief) == {"user": None, "session": None}
    assert whoami(browser)["session"] == str(live().pk)


def test_the_copy_of_the_django_session_alone_is_worth_nothing_either(browser, password):
    """Confirmed is confirmed: a step-up begins no new ten minutes for a session id that somebody copied."""
    before = copy(browser)
    confirm(browser, password)
    after = copy(browser)
    for thief in (before, after):
        del thief.cookies[ACCESS], thief.cookies[REFRESH]
        assert whoami(thief)["user"] is None
    assert before.cookies["sessionid"].value != after.cookies["sessionid"].value


def test_the_django_session_goes_on_with_its_data(browser, password):
    kept = browser.session
    kept["cart"] = [1, 2]
    kept.save()
    confirm(browser, password)
    assert browser.session["cart"] == [1, 2]
    assert browser.session["_authx_session"] == str(live().pk)
    assert Session.objects.count() == 1
    whoami(browser)
    assert browser.session["cart"] == [1, 2]


def test_a_login_whose_cookies_have_not_come_back_may_still_be_delivered(ada, password):
    client = Client()
    client.post(LOGIN, {"username": ada.get_username(), "password": password})
    for _times in range(2):
        del client.cookies[ACCESS], client.cookies[REFRESH]
        assert confirm(client, password).status_code == 302
    del client.cookies[ACCESS], client.cookies[REFRESH]
    assert whoami(client)["session"] == str(live().pk)


def test_a_session_renewed_by_the_same_request_is_continued_too(browser, password):
    DeviceSession.objects.update(rotated_at=timezone.now() - timedelta(hours=1))
    del browser.cookies[ACCESS]
    response = confirm(browser, password)
    assert response.status_code == 302
    del browser.cookies[ACCESS]
    assert whoami(browser)["session"] == str(live().pk)


def test_cookies_last_as_long_as_before(ada, password):
    client = Client()
    typed = {"username": ada.get_username(), "password": password, "remember": ""}
    client.post(LOGIN, {name: value for name, value in typed.items() if value})
    response = confirm(client, password)
    assert response.cookies[REFRESH]["max-age"] == ""
    assert live().persistent is False


@pytest.mark.parametrize("typed", ["wrong", "", "a\x00b", "x" * 5000])
def test_a_wrong_password_changes_nothing(browser, typed, ada):
    old = live()
    response = confirm(browser, typed, next="/secrets/")
    assert response.status_code == 200
    assert "Error:" in text(response)
    assert 'name="next" value="/secrets/"' in text(response)
    assert typed[:5] not in text(response) or not typed
    assert live() == old
    assert browser.get("/secrets/").status_code == 302


def test_a_wrong_one_is_recorded_and_counted_as_with_the_api(browser, settings, ada, password):
    settings.AUTHX_LOGIN_RATE = "2/min"
    for _times in range(2):
        assert confirm(browser, "wrong").status_code == 200
    event = SessionEvent.objects.filter(kind="proof_failed").latest("pk")
    assert event.session == live()
    assert SessionEvent.objects.filter(kind="proof_failed").count() == 2
    response = confirm(browser, password)
    assert response.status_code == 429
    assert int(response["Retry-After"]) > 0
    assert "Too many attempts" in text(response)
    limited = browser.post(PROVE, {"password": password}, content_type="application/json")
    assert limited.status_code == 429


def test_the_password_is_spaces_and_all(make_user):
    user = make_user("eve", password=" spaced out ")
    client = signed_in(user, " spaced out ")
    assert confirm(client, "spaced out").status_code == 200
    assert confirm(client, " spaced out ").status_code == 302


def test_a_form_from_elsewhere_confirms_nothing(ada, password):
    client = Client(enforce_csrf_checks=True)
    credentials = open_session(ada)
    client.cookies[ACCESS], client.cookies[REFRESH] = credentials.access_token, credentials.refresh_token
    assert confirm(client, password).status_code == 403


@pytest.mark.parametrize(
    "wanted", ["https://evil.example/", "//evil.example/", "/\\evil.example", "javascript:alert(1)", ""]
)
def test_it_leads_nobody_astray(browser, password, wanted, settings):
    assert wanted not in text(browser.get(CONFIRM, {"next": wanted})) or not wanted
    assert confirm(browser, password, next=wanted)["Location"] == settings.LOGIN_REDIRECT_URL


def test_who_is_not_signed_in_signs_in(client, settings):
    assert client.get(CONFIRM, {"next": "/secrets/"})["Location"] == f"{LOGIN}?next=/secrets/"
    assert confirm(client, "x", next="/secrets/")["Location"] == f"{LOGIN}?next=/secrets/"


def test_a_session_that_is_kicked_meanwhile_is_not_continued(browser, password):
    old, ends = live(), []

    def kick_meanwhile(execute, sql, params, many, context):
        if sql.startswith("UPDATE") and "successor" in sql and not ends:
            ends.append(end_session(old, "kicked"))
        return execute(sql, params, many, context)

    with connection.execute_wrapper(kick_meanwhile):
        response = confirm(browser, password, next="/secrets/")
    assert ends == [True]
    assert response["Location"] == f"{LOGIN}?next=/secrets/"
    assert not DeviceSession.objects.live().exists()
    assert not browser.session.keys()


def test_a_site_without_a_django_session_is_served_too(ada, password):
    client, credentials = Client(), open_session(ada)
    client.cookies[ACCESS], client.cookies[REFRESH] = credentials.access_token, credentials.refresh_token
    assert confirm(client, password).status_code == 302
    assert whoami(client)["session"] == str(live().pk)


# Twice


def test_a_form_that_is_sent_twice_leaves_its_sender_signed_in(browser, password, ada):
    """The browser gave up the first answer, and its cookies with it."""
    impatient = copy(browser)
    confirm(browser, password)
    first = live()
    assert confirm(impatient, password, next="/secrets/")["Location"] == "/secrets/"
    assert live() == first
    assert whoami(impatient)["session"] == str(first.pk)


def test_but_not_with_a_wrong_password(browser, password):
    other = copy(browser)
    confirm(browser, password)
    assert confirm(other, "wrong").status_code == 200
    assert whoami(other)["user"] is None


def test_nor_after_the_grace(browser, password):
    other, old = copy(browser), live()
    confirm(browser, password)
    DeviceSession.objects.filter(pk=old.pk).update(ended_at=timezone.now() - timedelta(minutes=1))
    assert confirm(other, password)["Location"].startswith(LOGIN)
    assert not DeviceSession.objects.filter(pk=old.pk).exclude(end_reason="superseded").exists()


@committing
def test_two_tabs_at_once_are_both_served(browser, password):
    tabs = [copy(browser) for _ in range(3)]
    statuses = race(*[lambda tab=tab: confirm(tab, password).status_code for tab in tabs])
    assert statuses == [302] * 3
    assert {whoami(tab)["session"] for tab in tabs} == {str(live().pk)}


# Who has no password


@pytest.fixture
def passwordless(make_user):
    """A user whom another site lets in, signed in a day ago."""
    user = make_user("eve")
    user.set_unusable_password()
    user.save()
    client = Client()
    client.get("/log-in/eve/")
    client.get("/whoami/")
    a_day_ago()
    return client


def test_who_has_no_password_signs_in_again_and_that_counts(passwordless):
    old = live()
    response = passwordless.get("/secrets/", follow=True)
    assert response.redirect_chain[-1] == (f"{LOGIN}?next=/secrets/", 302)
    passwordless.get("/log-in/eve/")
    assert live() != old
    assert passwordless.get("/secrets/").status_code == 200


def test_a_login_page_that_sends_them_straight_back_does_not_go_round_in_circles(passwordless, settings):
    settings.LOGIN_URL = "/secrets/"  # as good as one that redirects whoever is signed in
    page = passwordless.get("/secrets/", follow=True)
    assert page.status_code == 200
    assert "Sign out and sign in again" in text(page)
    assert "Password" not in text(page)


def test_there_they_can_sign_out_and_are_led_back(passwordless):
    passwordless.get("/secrets/", follow=True)
    page = passwordless.get("/secrets/", follow=True)
    target = re.search(r'name="next" value="([^"]*)"', page.content.decode())[1]
    response = passwordless.post("/account/logout/", {"next": unescape(target)})
    assert response["Location"] == f"{LOGIN}?next=/secrets/"
    assert not DeviceSession.objects.live().exists()


# Views


@pytest.mark.parametrize("view", VIEWS)
def test_a_recent_proof_is_let_in(view, browser, ada, password):
    confirm(browser, password)
    assert text(browser.get(view)).startswith(f"secrets of {ada}")


@pytest.mark.parametrize("view", VIEWS)
def test_an_older_one_is_asked_for_again(view, browser):
    response = browser.get(f"{view}?a=1&b=2")
    target = urlsplit(response["Location"])
    assert (response.status_code, target.path) == (302, CONFIRM)
    assert parse_qs(target.query) == {"next": [f"{view}?a=1&b=2"]}
    assert "Cookie" in response["Vary"]


@pytest.mark.parametrize("view", VIEWS)
def test_nobody_is_sent_to_the_login_page(view, client):
    assert client.get(view)["Location"] == f"{LOGIN}?next={view}"


@committing
def test_under_asgi_too(ada):
    async def visit():
        client = AsyncClient()
        credentials = await sync_to_async(open_session)(ada)
        client.cookies[ACCESS] = credentials.access_token
        try:
            fresh = [await client.get(view) for view in VIEWS]
            await sync_to_async(a_day_ago)()
            return fresh, [await client.get(view) for view in VIEWS]
        finally:
            await sync_to_async(connections.close_all)()

    fresh, old = asyncio.run(visit())
    assert [response.status_code for response in fresh] == [200] * 4
    assert [response.status_code for response in old] == [302] * 4


def test_what_a_form_sent_is_not_kept_but_its_page_comes_back(browser, password):
    response = browser.post("/secrets/", {"text": "x"}, headers={"referer": f"http://testserver{FORM}"})
    assert parse_qs(urlsplit(response["Location"]).query) == {"next": [FORM]}
    page = browser.get(response["Location"])
    assert "Nothing has been changed yet" in text(page)
    assert confirm(browser, password, next=FORM)["Location"] == FORM
    assert text(browser.post("/secrets/", {"text": "x"})).endswith(": x")


@pytest.mark.parametrize(
    "referer", ["https://evil.example/form/", "http://testserver.evil.example/", "//evil.example/", ""]
)
def test_a_form_whose_page_is_unknown_leads_to_its_own_address(browser, referer):
    response = browser.post("/class/?a=1", headers={"referer": referer})
    assert parse_qs(urlsplit(response["Location"]).query) == {"next": ["/class/?a=1"]}


def test_a_referer_that_reads_as_another_host_is_kept_on_this_one(browser, password):
    response = browser.post("/class/", headers={"referer": "http://testserver//evil.example/"})
    (wanted,) = parse_qs(urlsplit(response["Location"]).query)["next"]
    assert confirm(browser, password, next=wanted)["Location"] == "/%2Fevil.example/"


def test_without_our_pages_a_fresh_login_is_asked_for(browser, settings):
    settings.ROOT_URLCONF = type("Urls", (), {"urlpatterns": [path("secrets/", secrets), *without_pages]})
    settings.LOGIN_URL = "/django-login/"
    assert browser.get("/secrets/")["Location"] == "/django-login/?next=/secrets/"


@pytest.mark.parametrize("max_age", [None, 300, timedelta(0), timedelta(milliseconds=1), -MINUTES], ids=str)
def test_an_age_that_is_none_is_a_mistake_of_the_programmer(max_age):
    with pytest.raises(ValueError, match="timedelta"):
        recently_authenticated(max_age)


def test_a_view_without_an_age_is_one_too(browser):
    with pytest.raises(ImproperlyConfigured, match="NoAge"):
        browser.get("/no-age/")


# Our own pages


@pytest.fixture
def phone(ada):
    return open_session(ada, device=Device(name="phone")).session


def ends(client, phone):
    return [client.post(f"{DEVICES}{phone.pk}/end/"), client.post(f"{DEVICES}end-others/")]


def test_signing_other_devices_out_takes_a_recent_proof(browser, phone, password):
    a_day_ago()
    for response in ends(browser, phone):
        assert urlsplit(response["Location"]).path == CONFIRM
        assert parse_qs(urlsplit(response["Location"]).query) == {"next": [DEVICES]}
    assert DeviceSession.objects.live().count() == 2
    confirm(browser, password, next=DEVICES)
    assert ends(browser, phone)[0]["Location"] == DEVICES
    assert DeviceSession.objects.live().count() == 1


def test_a_site_may_ask_for_a_more_recent_one_or_for_none(browser, phone, settings):
    DeviceSession.objects.update(auth_time=timezone.now() - timedelta(minutes=10))
    settings.AUTHX_DEVICES_MAX_AUTH_AGE = timedelta(minutes=9)
    assert CONFIRM in ends(browser, phone)[0]["Location"]
    settings.AUTHX_DEVICES_MAX_AUTH_AGE = None
    assert ends(browser, phone)[0]["Location"] == DEVICES


def test_signing_out_oneself_takes_none(browser):
    assert browser.post(f"{DEVICES}{live().pk}/end/")["Location"] == LOGIN


def test_the_old_id_of_another_device_ends_what_continues_it(browser, phone, password):
    confirm(browser, password)
    new = continue_session(phone, NOBODY, methods=["pwd"], came_back=True).session
    browser.post(f"{DEVICES}{phone.pk}/end/")
    new.refresh_from_db()
    assert new.end_reason == "ended_by_user"


def test_ones_own_old_id_is_a_logout(browser, password):
    old = live()
    confirm(browser, password)
    browser.post(f"{DEVICES}{old.pk}/end/")
    assert not DeviceSession.objects.live().exists()


# The API in a browser


def test_a_step_up_by_the_api_takes_the_django_session_with_it(browser, password):
    kept = browser.session
    kept["cart"] = [1]
    kept.save()
    before = browser.cookies["sessionid"].value
    answer = browser.post(PROVE, {"password": password}, content_type="application/json")
    assert browser.session["_authx_session"] == answer.json()["session_id"] == str(live().pk)
    assert browser.session["cart"] == [1]
    assert browser.cookies["sessionid"].value != before
    assert whoami(browser)["session"] == str(live().pk)
    assert browser.session["cart"] == [1]


def test_a_late_answer_to_the_old_session_hands_nothing_out(browser, password):
    """Its request had begun to renew when the step-up was made in another tab."""
    tab, old = copy(browser), live()
    DeviceSession.objects.update(rotated_at=timezone.now() - timedelta(hours=1))
    del tab.cookies[ACCESS]
    done = []

    def step_up_meanwhile(execute, sql, params, many, context):
        result = execute(sql, params, many, context)
        if sql.startswith("UPDATE") and "generation" in sql and not done:
            done.append(True)
            done.append(continue_session(old, NOBODY, methods=["pwd"], came_back=True))
        return result

    with connection.execute_wrapper(step_up_meanwhile):
        response = tab.get("/whoami/")
    assert done[1:]
    assert not {ACCESS, REFRESH} & set(response.cookies)


@pytest.mark.parametrize("path", ["/whoami/", "/api/whoami/", "/api/auth/session/"])
def test_an_old_access_cookie_beside_the_new_refresh_cookie_is_renewed(browser, password, path):
    """A late answer to the old session has put it back."""
    old = browser.cookies[ACCESS].value
    confirm(browser, password)
    browser.cookies[ACCESS] = old
    response = browser.get(path)
    assert response.status_code == 200
    assert str(live().pk) in response.content.decode() or path == "/api/whoami/"
    assert browser.cookies[ACCESS].value != old
    assert whoami(browser)["session"] == str(live().pk)


# Staff who look at the site as somebody else


def test_an_impersonation_is_confirmed_by_who_is_behind_it_and_goes_on(staff, ada, password, settings):
    ada.set_password("another")
    ada.save()
    client = signed_in(staff, password)
    settings.AUTHX_BIND_DJANGO_LOGIN = False
    client.get("/log-in/ada/")
    old = live()
    assert whoami(client) == {"user": "ada", "session": str(old.pk)}
    a_day_ago()
    assert staff.get_username() in text(client.get(CONFIRM))
    assert confirm(client, "another").status_code == 200
    assert confirm(client, password).status_code == 302
    assert live().user == staff
    assert live() != old
    assert whoami(client) == {"user": "ada", "session": str(live().pk)}


@pytest.mark.parametrize("view", VIEWS)
def test_a_login_that_is_to_have_no_session_is_refused(ada, settings, view):
    settings.AUTHX_BIND_DJANGO_LOGIN = False
    client = Client()
    client.get("/log-in/ada/")
    assert client.get(view).status_code == 403
    assert client.get(CONFIRM)["Location"].startswith(LOGIN)


def test_a_login_that_could_not_be_adopted_signs_in_once_more(ada, settings):
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.signed_cookies"
    settings.MIDDLEWARE, everything = (
        [m for m in settings.MIDDLEWARE if "authx" not in m],
        settings.MIDDLEWARE,
    )
    settings.AUTHX_BIND_DJANGO_LOGIN = False
    client = Client()
    client.force_login(ada)
    settings.MIDDLEWARE, settings.AUTHX_BIND_DJANGO_LOGIN = everything, True
    kept = client.session
    for name in [name for name in dict(kept.items()) if name.startswith("_authx")]:
        del kept[name]
    kept.save()
    client.cookies["sessionid"] = kept.session_key
    assert whoami(client) == {"user": "ada", "session": None}
    assert client.get("/secrets/")["Location"] == f"{LOGIN}?next=/secrets/"
    client.get("/log-in/ada/")
    assert client.get("/secrets/").status_code == 200
