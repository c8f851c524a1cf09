"""Forms that are sent twice: each ends where the first of them leads, and none of them twice the work.

A sign-in form that comes after the answer to the first is sent with the old CSRF token and the new cookies.
"""

import re
from functools import partial
from html import unescape

import pytest
from asgiref.sync import async_to_sync
from django.core.exceptions import PermissionDenied
from django.db.models import F
from django.http import HttpResponseForbidden
from django.test import AsyncClient, Client
from django.urls import path, reverse

from authx.conf import conf
from authx.models import DeviceSession, SessionEvent
from authx.pages.views import LoginView
from authx.sessions import Device, end_session, open_session
from authx.sessions.not_me import write_link_token
from tests.faults_in_database import outage
from tests.racing import race
from tests.urls import urlpatterns as site

pytestmark = pytest.mark.django_db
committing = pytest.mark.django_db(transaction=True)

LOGIN, LOGOUT, DEVICES = "/account/login/", "/account/logout/", "/account/devices/"
CONFIRM = "/account/confirm/"
#: Where a name and a password are typed.
DOORS = {"page": LOGIN, "django": "/django-login/", "admin": "/admin/login/"}
CSRF = "django.middleware.csrf.CsrfViewMiddleware"
SAME_ORIGIN = {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
#: Who sends the form, as their browsers say.
STRANGERS = {
    "another site": {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"},
    "another site without a name": {"Sec-Fetch-Site": "cross-site", "Origin": "null"},
    "a sibling": {"Sec-Fetch-Site": "same-site", "Origin": "https://evil.testserver"},
    "no page": {"Sec-Fetch-Site": "none"},
    "a page that contradicts itself": {"Sec-Fetch-Site": "same-origin", "Origin": "https://evil.example"},
    "another port": {"Origin": "https://testserver:8443"},
    "no https": {"Origin": "http://testserver"},
    "a longer name": {"Origin": "https://testserver.evil.example"},
    "nobody who says so": {},
}

each_door = pytest.mark.parametrize("door", DOORS.values(), ids=DOORS)


class Elsewhere(LoginView):
    """A site's own, which knows better where its visitors go."""

    def get_success_url(self):
        return f"/untouched/?user={self.request.user}"


def refuse(request):
    raise PermissionDenied


urlpatterns = [path("elsewhere/", Elsewhere.as_view()), path("refused/", refuse), *site]


@pytest.fixture(autouse=True)
def urls(settings):
    settings.ROOT_URLCONF = __name__


@pytest.fixture
def browser(admin):
    """The browser of an administrator, who may enter by every door; its forms are checked."""
    return Client(enforce_csrf_checks=True, headers=SAME_ORIGIN)


@pytest.fixture
def form(browser, admin, password):
    """Open a page with a form, and fill it in."""

    def fill(page=LOGIN, **more):
        fields = hidden(browser.get(page))
        return fields | {"username": admin.get_username(), "password": password, "remember": "on"} | more

    return fill


def hidden(response):
    found = re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', response.content.decode())
    assert found, response
    return {name: unescape(value) for name, value in found}


def answer(response):
    return response.status_code, response.get("Location")


def sid(browser):
    return browser.get("/whoami/").json()["session"]


def stored():
    """What says who is signed in where, and all that has happened; without what any page's visit changes."""
    visited = {"last_seen_at", "confirmed_generation"}
    rows = DeviceSession.objects.order_by("pk").values()
    return [
        [{key: value for key, value in row.items() if key not in visited} for row in rows],
        list(SessionEvent.objects.order_by("pk").values_list("pk", "kind")),
    ]


def grow_old():
    back = conf.REFRESH_GRACE
    DeviceSession.objects.update(created_at=F("created_at") - back, rotated_at=F("rotated_at") - back)


# The sign-in form


@pytest.mark.parametrize("wanted", ["", "/private/?page=2"])
@pytest.mark.parametrize("by_session", [False, True], ids=["cookie", "session"])
@each_door
def test_the_second_is_led_where_the_first_was(browser, form, door, wanted, by_session, settings):
    settings.CSRF_USE_SESSIONS = by_session
    sent = form(f"{door}?next={wanted}" if wanted else door)
    first = browser.post(door, sent | ({"next": wanted} if wanted else {}))
    opened, before = sid(browser), stored()
    second = browser.post(door, sent | ({"next": wanted} if wanted else {}))
    assert answer(second) == answer(first)
    assert first.status_code == 302
    assert wanted in second["Location"]
    assert (sid(browser), stored()) == (opened, before)
    assert len(before[0]) == 1


@each_door
def test_nor_is_it_kept_by_caches_nor_sets_a_cookie(browser, form, door):
    sent = form(door)
    browser.post(door, sent)
    second = browser.post(door, sent)
    assert second.status_code == 302
    assert {"private", "no-store"} <= set(re.split(r",\s*", second["Cache-Control"]))
    assert "Cookie" in second["Vary"]
    assert not second.cookies


@each_door
def test_without_the_middleware_that_checks_forms_the_views_do(browser, form, door, settings):
    settings.MIDDLEWARE = [each for each in settings.MIDDLEWARE if each != CSRF]
    sent = form(door)
    first, second = browser.post(door, sent), browser.post(door, sent)
    assert answer(second) == answer(first)


@each_door
def test_in_an_asynchronous_site_too(browser, form, door):
    sent = form(door)
    first = browser.post(door, sent)
    again = AsyncClient(enforce_csrf_checks=True)
    again.cookies = browser.cookies
    assert answer(async_to_sync(again.post)(door, sent, headers=SAME_ORIGIN)) == answer(first)


def test_a_view_of_the_sites_own_is_asked_where_it_leads(browser, form, admin):
    sent = form("/elsewhere/")
    first, second = browser.post("/elsewhere/", sent), browser.post("/elsewhere/", sent)
    assert answer(second) == answer(first) == (302, f"/untouched/?user={admin}")


def test_by_origin_alone(browser, form):
    """As over plain http, or from an older browser."""
    sent = form()
    browser.post(LOGIN, sent)
    again = Client(enforce_csrf_checks=True, headers={"Origin": "https://testserver"})
    again.cookies = browser.cookies
    assert again.post(LOGIN, sent, secure=True).status_code == 302


def test_however_the_name_is_spelled(browser, form, admin):
    sent = form()
    browser.post(LOGIN, sent)
    assert browser.post(LOGIN, sent | {"username": f" {admin.get_username()} "})["Location"] == "/whoami/"


@pytest.mark.parametrize("wanted", ["https://evil.example/", "//evil.example/", "/\\evil.example", LOGOUT])
@each_door
def test_it_leads_to_no_other_site_and_to_no_logout(browser, form, door, wanted):
    sent = form(door) | {"next": wanted}
    first, second = browser.post(door, sent), browser.post(door, sent)
    assert answer(second) == answer(first)
    assert "evil" not in second["Location"]
    grow_old()
    assert "evil" not in browser.post(door, sent)["Location"]


# With the token in the Django session, before the first answer has come


@pytest.fixture
def lost(browser, form, settings):
    """Send the form by a door, and lose the answer: the form, and the browser as it was before."""
    settings.CSRF_USE_SESSIONS = True

    def send(door, **more):
        sent = form(door, **more)
        before = jar(browser)
        assert browser.post(door, sent).status_code == 302
        return sent, twin(browser, before)

    return send


@each_door
def test_the_second_is_led_back_to_the_form_where_nobody_is_signed_in_yet(lost, door):
    sent, again = lost(door, next="/private/")
    before = stored()
    second = again.post(door, sent)
    assert answer(second) == (302, f"{door}?next=/private/")
    assert jar(second) == {}, "the first one's answer is not made again"
    assert stored() == before
    assert sid(again) is None
    fresh = hidden(again.get(second["Location"])) | {
        "username": sent["username"],
        "password": sent["password"],
    }
    assert answer(again.post(second["Location"], fresh)) == (302, "/private/")
    assert DeviceSession.objects.live().get().pk.hex == sid(again).replace("-", "")


@each_door
def test_not_if_it_names_somebody_else(lost, bob, door):
    sent, again = lost(door)
    assert again.post(door, sent | {"username": bob.get_username()}).status_code == 403


@each_door
def test_nor_in_a_browser_that_has_not_signed_in(lost, door):
    sent, again = lost(door)
    del again.cookies[conf.DEVICE_COOKIE]
    assert again.post(door, sent).status_code == 403
    again.get(LOGIN)  # which makes it known as another
    assert again.post(door, sent).status_code == 403


@each_door
def test_nor_after_a_while(lost, door):
    sent, again = lost(door)
    grow_old()
    assert again.post(door, sent).status_code == 403


@each_door
def test_nor_once_that_session_is_over(lost, door):
    sent, again = lost(door)
    end_session(DeviceSession.objects.get(), "kicked")
    assert again.post(door, sent).status_code == 403


@pytest.mark.parametrize("headers", STRANGERS.values(), ids=STRANGERS)
@each_door
def test_nor_for_a_form_of_another_site(lost, door, headers):
    sent, again = lost(door)
    other = Client(enforce_csrf_checks=True, headers=headers)
    other.cookies = again.cookies
    before = stored()
    assert other.post(door, sent, secure=True).status_code == 403
    assert stored() == before


# What is refused as ever


@pytest.mark.parametrize("headers", STRANGERS.values(), ids=STRANGERS)
@each_door
def test_a_form_of_another_site_is_refused_and_told_nothing(browser, form, door, headers):
    sent = form(door)
    browser.post(door, sent)
    before = stored()
    other = Client(enforce_csrf_checks=True, headers=headers)
    told = []
    for cookies in ({}, browser.cookies):
        other.cookies.update(cookies)
        response = other.post(door, sent, secure=True)
        assert response.status_code == 403
        told.append(response.content)
    assert told[0] == told[1], "whether somebody is signed in does not show"
    assert stored() == before


@each_door
def test_so_is_whoever_is_not_signed_in(browser, form, door):
    sent = form(door)
    sent["csrfmiddlewaretoken"] = "x" * 64
    assert browser.post(door, sent).status_code == 403
    assert stored() == [[], []]


@pytest.mark.parametrize("reason", ["kicked", "logout"])
@each_door
def test_so_is_whoever_has_been_signed_out_since(browser, form, door, reason):
    sent = form(door)
    browser.post(door, sent)
    end_session(DeviceSession.objects.get(), reason)
    before = stored()
    assert browser.post(door, sent).status_code == 403
    assert stored() == before


@committing
def test_an_outage_leads_nobody_on(browser, form):
    sent = form()
    browser.post(LOGIN, sent)
    with outage():
        response = browser.post(LOGIN, sent)
    assert response.status_code == 403
    assert sid(browser)


def test_no_password_is_tried(browser, form):
    """Or another page could find out whether one is right, and how many tries there are."""
    sent = form()
    browser.post(LOGIN, sent)
    before = stored()
    for _try in range(20):
        assert browser.post(LOGIN, sent | {"password": "wrong"})["Location"] == "/whoami/"
    assert stored() == before


class Closed:
    """A middleware of a site's, which closes the sign-in form to everybody."""

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        if request.method == "POST":
            return HttpResponseForbidden("closed")
        return self.get_response(request)


def test_another_refusal_of_the_sites_stays(browser, form, settings):
    sent = form()
    browser.post(LOGIN, sent)
    fresh = form()
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, f"{__name__}.Closed"]
    closed = twin(browser, jar(browser))
    for each in (sent, fresh):
        response = closed.post(LOGIN, each)
        assert (response.status_code, response.content) == (403, b"closed")


def test_other_forms_are_refused_as_ever(browser, form, settings):
    sent = form()
    browser.post(LOGIN, sent)
    for page in (f"{DEVICES}end-others/", CONFIRM, "/password-change/", "/refused/"):
        assert browser.post(page, sent).status_code == 403, page


# A form that is late, or somebody else's


@each_door
def test_a_late_form_is_led_to_its_own_page(browser, form, door):
    """As that of a page left open: the page says who is signed in, and its token is good."""
    sent = form(door) | {"next": "/private/"}
    browser.post(door, sent)
    grow_old()
    before = stored()
    assert answer(browser.post(f"{door}?a=1", sent)) == (302, f"{door}?a=1&next=/private/")
    assert answer(browser.post(door, {**sent, "next": ""})) == (302, door)
    assert stored() == before


def test_so_is_one_that_names_somebody_else(browser, form, bob):
    sent = form() | {"next": "/private/"}
    browser.post(LOGIN, sent)
    opened = sid(browser)
    for name in (bob.get_username(), "nobody", "", "\0", "x" * 100_000):
        second = browser.post(LOGIN, sent | {"username": name})
        assert answer(second) == (302, f"{LOGIN}?next=/private/"), name[:10]
    page = browser.get(second["Location"])
    assert "You are signed in as" in page.content.decode()
    assert sid(browser) == opened
    fresh = hidden(page) | {"username": bob.get_username(), "password": sent["password"]}
    assert answer(browser.post(LOGIN, fresh)) == (302, "/private/")
    assert sid(browser) != opened


# A full limit that asks


@pytest.fixture
def asked(settings, admin, browser, form):
    """The page that asks which device to sign out, filled in."""
    settings.AUTHX_SESSION_LIMITS = [
        {"types": ["web", "other"], "limit": 1, "when_full": "refuse", "choose": True}
    ]
    there = open_session(admin, device=Device(type="web")).session
    page = browser.post(LOGIN, form() | {"next": "/private/"})
    assert page.status_code == 409
    return hidden(page) | {"end": str(there.pk)}


def test_the_second_choice_is_led_where_the_first_was(browser, asked):
    first = browser.post(LOGIN, asked)
    opened, before = sid(browser), stored()
    second = browser.post(LOGIN, asked)
    assert answer(second) == answer(first) == (302, "/private/")
    assert (sid(browser), stored()) == (opened, before)


def test_a_proof_of_nobody_names_nobody(browser, asked):
    browser.post(LOGIN, asked)
    second = browser.post(LOGIN, asked | {"proof": "x" * 100})
    assert answer(second) == (302, f"{LOGIN}?next=/private/")


def test_a_late_choice_is_led_to_the_sign_in_page(browser, asked):
    browser.post(LOGIN, asked)
    grow_old()
    assert answer(browser.post(LOGIN, asked)) == (302, f"{LOGIN}?next=/private/")


# Every other form


def other_forms(admin, password):
    """Path and fields of each form, and where it leads."""
    known = Device(id="phone", name="A phone")
    phone = open_session(admin, device=known).session
    own = DeviceSession.objects.exclude(pk=phone.pk).live().get()
    DeviceSession.objects.filter(pk=phone.pk).update(is_unconfirmed=True)
    of_phone = f"{DEVICES}{phone.pk}"
    return {
        "sign out": (LOGOUT, {}, None),
        "sign out everywhere else": (f"{DEVICES}end-others/", {}, DEVICES),
        "end one": (f"{of_phone}/end/", {}, DEVICES),
        "end this one": (f"{DEVICES}{own.pk}/end/", {}, LOGIN),
        "rename": (f"{of_phone}/rename/", {"name": "Another name"}, DEVICES),
        "yes, it was me": (f"{of_phone}/confirm/", {"answer": "yes"}, DEVICES),
        "no, it was not": (f"{of_phone}/confirm/", {"answer": "no"}, DEVICES),
        "confirm": (CONFIRM, {"password": password, "next": "/private/"}, "/private/"),
        "not me": (reverse("authx:not-me", args=[write_link_token(phone.pk)]), {}, None),
    }


FORMS = ["sign out", "sign out everywhere else", "end one", "end this one", "rename", "yes, it was me",
         "no, it was not", "confirm", "not me"]  # fmt: skip


@pytest.fixture
def clicked(browser, form, admin, password):
    """The browser as it is when one of the forms is sent, and that form."""

    def fill(name):
        browser.post(LOGIN, form())
        where, fields, leads = other_forms(admin, password)[name]
        return where, hidden(browser.get(DEVICES)) | fields, leads

    return fill


def twin(browser, cookies):
    found = Client(enforce_csrf_checks=True, headers=SAME_ORIGIN)
    found.cookies.load(cookies)
    return found


def jar(browser):
    return {name: morsel.value for name, morsel in browser.cookies.items() if morsel.value}


def arrive(browser, response):
    """Go where the browser is led, at most four pages on."""
    for _page in range(4):
        if response.status_code != 302:
            break
        response = browser.get(response["Location"])
    return response


@pytest.mark.parametrize("when", ["before the first answer", "after it"])
@pytest.mark.parametrize("name", FORMS)
def test_any_other_form_may_be_sent_twice(browser, clicked, name, when):
    where, fields, leads = clicked(name)
    before = jar(browser)
    first = browser.post(where, fields)
    assert first.get("Location") == leads
    again = twin(browser, before if when == "before the first answer" else jar(browser))
    second = again.post(where, fields)
    assert second.status_code in {200, 302}, second.content
    assert arrive(again, second).status_code == 200
    assert DeviceSession.objects.filter(is_unconfirmed=True, ended_at=None).count() == (
        name in {"end this one", "rename", "confirm", "sign out"}
    )


@committing
@pytest.mark.parametrize("name", FORMS)
def test_any_other_form_may_be_sent_twice_at_once(browser, clicked, name):
    where, fields, _leads = clicked(name)
    before = jar(browser)
    browsers = [twin(browser, before) for _click in range(2)]
    answers = race(*[partial(each.post, where, fields) for each in browsers])
    for each, response in zip(browsers, answers, strict=True):
        assert getattr(response, "status_code", response) in {200, 302}
        assert arrive(each, response).status_code == 200


@committing
@each_door
def test_a_sign_in_that_is_sent_twice_at_once_signs_in_once(browser, form, door):
    sent = form(door) | {"next": "/private/"}
    browsers = [twin(browser, jar(browser)) for _click in range(2)]
    answers = race(*[partial(each.post, door, sent) for each in browsers])
    assert [answer(each) for each in answers] == [(302, "/private/")] * 2
    assert len({sid(each) for each in browsers}) == DeviceSession.objects.count() == 1
