"""The devices page and what is around it: details, another name, very many devices, recent activity."""

import re
from datetime import timedelta
from html import unescape

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from authx.core.actor import Actor
from authx.core.device import form_of
from authx.core.reasons import EndReason
from authx.models import DeviceSession, SessionEvent
from authx.pages import activity as activity_module
from authx.pages import views
from authx.sessions import Device, end_session, open_session

LOGIN, DEVICES, ACTIVITY = "/account/login/", "/account/devices/", "/account/activity/"
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"
MARKUP = "<script>alert(1)</script>"


@pytest.fixture
def browser(ada, password):
    client = Client(headers={"User-Agent": FIREFOX})
    client.post(LOGIN, {"username": ada.get_username(), "password": password})
    return client


def text(response):
    assert response.status_code == 200
    return " ".join(unescape(response.content.decode()).split())


def names(response):
    return re.findall(r'class="authx-device-name"[^>]*><bdi>([^<]*)<', text(response))


def rename(browser, session, name, **more):
    return browser.post(f"{DEVICES}{session.pk}/rename/", {"name": name}, **more)


# Details


def test_the_details_say_how_and_from_where_and_until_when(browser, ada):
    page = text(browser.get(DEVICES))
    for shown in ("<dt>With</dt><dd>password</dd>", '<bdi dir="ltr">127.0.0.1</bdi>', "if it is not used"):
        assert shown in page.replace("> <", "><")


@pytest.mark.parametrize("here", [True, False], ids=["this device", "another"])
def test_places_are_said_to_be_guessed_where_one_is_shown(browser, ada, here):
    guessed = "Places are guessed from IP addresses."
    other = open_session(ada, device=Device(name="Pocket")).session
    page = text(browser.get(DEVICES))
    assert guessed not in page
    assert "Times are in the time zone" in page
    shown = DeviceSession.objects.exclude(pk=other.pk) if here else DeviceSession.objects.filter(pk=other.pk)
    shown.update(country="FR")
    page = text(browser.get(DEVICES))
    assert "<bdi>France</bdi>" in page
    assert guessed in page


ASKED = []


def city(session):
    """What AUTHX_PLACE names here."""
    ASKED.append(session.pk)
    return "Springfield"


def test_the_place_of_each_is_asked_for_once(browser, ada, settings):
    """It may be a look-up at another service; a new sign-in stands above the list, and in it."""
    settings.AUTHX_PLACE = f"{__name__}.city"
    open_session(ada, device=Device(id="new", name="Pocket"))
    ASKED.clear()
    page = text(browser.get(DEVICES))
    assert page.count("<bdi>Springfield</bdi>") == 3
    assert sorted(ASKED) == sorted(DeviceSession.objects.values_list("pk", flat=True))


def test_every_sign_out_button_has_a_name_of_its_own(browser, ada):
    open_session(ada, device=Device(name="Pocket"))
    buttons = re.findall(r"<button[^>]*>(Sign out<span[^>]*>[^<]*)<", text(browser.get(DEVICES)))
    spoken = [re.sub(r"<[^>]*>", "", button) for button in buttons]
    assert spoken == ["Sign out Firefox on Linux", "Sign out Pocket"]


# Another name


def test_a_device_is_renamed(browser, ada):
    phone = open_session(ada, device=Device(name="phone")).session
    answer = rename(browser, phone, "Ada's  phone\n", follow=True)
    assert "It is called Ada's phone now." in text(answer)
    assert names(answer) == ["Firefox on Linux", "Ada's phone"]
    event = SessionEvent.objects.get(kind="renamed")
    assert (event.session_id, event.actor, event.note) == (phone.pk, ada, "Ada's phone")


def test_this_device_is_renamed_too_and_an_empty_name_takes_it_back(browser, ada):
    mine = DeviceSession.objects.get()
    assert names(rename(browser, mine, "Desk", follow=True)) == ["Desk"]
    assert names(rename(browser, mine, " ", follow=True)) == ["Firefox on Linux"]


@pytest.mark.parametrize("name", [MARKUP, "x" * 5000, "\x00\x1b[31m", "\u202egnp.exe", "", "💩" * 200])
def test_no_name_breaks_the_page(browser, ada, name):
    phone = open_session(ada).session
    answer = rename(browser, phone, name, follow=True)
    assert answer.status_code == 200
    assert MARKUP not in answer.content.decode()
    assert len(DeviceSession.objects.get(pk=phone.pk).device_name) <= 100


def test_nobody_renames_what_is_not_theirs(browser, bob):
    theirs = open_session(bob, device=Device(name="bob's")).session
    assert rename(browser, theirs, "mine").status_code == 404
    assert DeviceSession.objects.get(pk=theirs.pk).device_name == "bob's"


def test_what_has_ended_keeps_its_name(browser, ada):
    over = open_session(ada, device=Device(name="over")).session
    end_session(over, EndReason.KICKED)
    assert "had been signed out already" in text(rename(browser, over, "other", follow=True))
    assert DeviceSession.objects.get(pk=over.pk).device_name == "over"


def test_renaming_takes_a_form_and_its_token(browser, ada):
    phone = open_session(ada, device=Device(name="phone")).session
    assert browser.get(f"{DEVICES}{phone.pk}/rename/").status_code == 302
    strict = Client(enforce_csrf_checks=True)
    strict.cookies = browser.cookies
    assert rename(strict, phone, "other").status_code == 403
    assert DeviceSession.objects.get(pk=phone.pk).device_name == "phone"


# Everything else at once


@pytest.mark.parametrize(("minutes", "asks"), [(14, False), (16, True)])
def test_signing_out_everywhere_else_takes_a_fresh_login(browser, ada, minutes, asks):
    phone = open_session(ada).session
    mine = DeviceSession.objects.exclude(pk=phone.pk)
    mine.update(auth_time=timezone.now() - timedelta(minutes=minutes))
    answer = browser.post(f"{DEVICES}end-others/")
    assert ("/confirm/" in answer["Location"]) is asks
    assert (DeviceSession.objects.get(pk=phone.pk).ended_at is None) is asks


def test_one_device_alone_takes_none_so_fresh(browser, ada):
    phone = open_session(ada).session
    DeviceSession.objects.exclude(pk=phone.pk).update(auth_time=timezone.now() - timedelta(minutes=16))
    browser.post(f"{DEVICES}{phone.pk}/end/")
    assert DeviceSession.objects.get(pk=phone.pk).end_reason == "ended_by_user"


def test_a_site_that_takes_any_login_takes_any(browser, ada, settings):
    settings.AUTHX_DEVICES_MAX_AUTH_AGE = None
    phone = open_session(ada).session
    DeviceSession.objects.exclude(pk=phone.pk).update(auth_time=timezone.now() - timedelta(days=3))
    browser.post(f"{DEVICES}end-others/")
    assert DeviceSession.objects.get(pk=phone.pk).end_reason == "ended_by_user"


# Very many


def test_the_first_are_shown_and_then_all(browser, ada, monkeypatch):
    monkeypatch.setattr(views, "SHOWN", 3)
    for number in range(5):  # a second after one another: those of one moment are in no order
        at = timezone.now() - timedelta(seconds=5 - number)
        open_session(ada, device=Device(name=str(number)), now=at)
    first = browser.get(DEVICES)
    assert names(first) == ["Firefox on Linux", "4", "3", "2"]
    assert "Show all 5</a>" in text(first)
    assert 'class="authx-count">5<' in text(first)
    every = browser.get(f"{DEVICES}?all=1")
    assert names(every) == ["Firefox on Linux", "4", "3", "2", "1", "0"]
    assert "Show all" not in text(every)


def test_as_many_as_are_shown_at_first_are_all(browser, ada, monkeypatch):
    monkeypatch.setattr(views, "SHOWN", 3)
    for number in range(3):
        open_session(ada, device=Device(name=str(number)))
    assert "Show all" not in text(browser.get(DEVICES))


def test_more_devices_cost_no_more_statements(browser, ada):
    def statements():
        browser.get(DEVICES)
        with CaptureQueriesContext(connection) as asked:
            browser.get(DEVICES)
        return len(asked)

    open_session(ada)
    few = statements()
    for _ in range(15):
        open_session(ada)
    assert statements() == few


# Forms of devices

ANDROID = "Mozilla/5.0 (Linux; Android 15; Pixel 9) AppleWebKit/537.36 Chrome/140.0 Mobile Safari/537.36"
TABLET = "Mozilla/5.0 (Linux; Android 15; SM-X910) AppleWebKit/537.36 Chrome/140.0 Safari/537.36"
IPHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1 Version/18.1 Mobile/15E148"
IPAD = "Mozilla/5.0 (iPad; CPU OS 18_1 like Mac OS X) AppleWebKit/605.1 Version/18.1 Mobile/15E148"
WINDOWS = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/140.0 Safari/537.36"


@pytest.mark.parametrize(
    ("kind", "agent", "form"),
    [
        ("web", ANDROID, "phone"),
        ("web", TABLET, "tablet"),
        ("web", IPHONE, "phone"),
        ("web", IPAD, "tablet"),
        ("web", WINDOWS, "laptop"),
        ("web", FIREFOX, "laptop"),
        ("web", "", "browser"),
        ("ios", "Acme/3 CFNetwork", "phone"),
        ("ios", "Acme/3 (iPad)", "tablet"),
        ("android", "", "phone"),
        ("desktop", "Acme/3", "desktop"),
        ("other", "curl/8", "terminal"),
        ("kiosk", "", "terminal"),
    ],
)
def test_a_device_is_drawn_as_what_it_is(kind, agent, form):
    assert form_of(kind, agent) == form


# Activity


def lines(response):
    found = re.search(r'<ul class="authx-activity"[^>]*>(.*?)</ul>', text(response))
    items = re.findall(r"<li>(.*?)</li>", found[1]) if found else []
    return [" ".join(re.sub(r"<time.*?</time>|<[^>]+>", " ", item).split()) for item in items]


def test_what_happened_is_told_in_words(browser, ada):
    phone = open_session(ada, device=Device(name="Pocket")).session
    end_session(phone, EndReason.KICKED)
    Client(headers={"User-Agent": FIREFOX}).post(LOGIN, {"username": ada.get_username(), "password": "wrong"})
    found = lines(browser.get(ACTIVITY))
    assert found[:3] == [
        "A sign-in failed Firefox on Linux · 127.0.0.1",
        "Signed out by an administrator Pocket",
        "Signed in Pocket",
    ]
    assert found[3].startswith("Signed in Firefox on Linux")


@pytest.mark.parametrize("reason", list(EndReason))
def test_every_reason_has_words(browser, ada, reason):
    end_session(open_session(ada, device=Device(name="Pocket")).session, reason)
    assert lines(browser.get(ACTIVITY))[0] == f"{activity_module._ENDINGS[reason]} Pocket"


@pytest.mark.parametrize("still_there", [True, False])
def test_where_staff_are_is_not_told(browser, ada, admin, still_there):
    phone, laptop = (open_session(ada, device=Device(name=name)).session for name in ("Pocket", "Laptop"))
    end_session(phone, EndReason.KICKED, by=Actor(user=admin, ip="203.0.113.9", user_agent=FIREFOX))
    end_session(laptop, EndReason.ENDED_BY_USER, by=Actor(user=ada, ip="198.51.100.4"))
    if not still_there:
        admin.delete()
    assert lines(browser.get(ACTIVITY))[:2] == [
        "Signed out from another of your devices Laptop · 198.51.100.4",
        "Signed out by an administrator Pocket",
    ]


def test_nobody_elses_is_told(browser, bob, password):
    open_session(bob, device=Device(name="bob's"))
    Client().post(LOGIN, {"username": bob.get_username(), "password": "wrong"})
    assert len(lines(browser.get(ACTIVITY))) == 1


def test_the_devices_page_shows_the_newest_of_it(browser, ada):
    for _ in range(9):
        open_session(ada)
    page = browser.get(DEVICES)
    assert len(lines(page)) == 5
    assert f'<a href="{ACTIVITY}">See all</a>' in text(page)


def test_names_are_text_there_too(browser, ada):
    open_session(ada, device=Device(name=MARKUP))
    assert MARKUP not in browser.get(ACTIVITY).content.decode()


def test_nobody_sees_activity_without_signing_in(client):
    assert client.get(ACTIVITY).status_code == 302
