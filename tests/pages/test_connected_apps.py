"""authx.pages.device_actions: the apps on "your devices", and disconnecting them."""

import re
from datetime import timedelta
from html import unescape

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from authx.models import Consent, DeviceSession
from authx.sessions import Device, open_session
from tests.apps import API, connect, consent, make_client, reason_of, serve

DEVICES, CONFIRM, LOGIN = "/account/devices/", "/account/confirm/", "/account/login/"
END_OTHERS = f"{DEVICES}end-others/"
MARKUP = "<script>alert(1)</script>\"'&"

pytestmark = pytest.mark.django_db


@pytest.fixture
def browser(ada, password):
    client = Client(enforce_csrf_checks=True)
    return signed_in(client, ada, password)


def signed_in(client, user, password):
    sent = {"username": user.get_username(), "password": password, **token(client.get(LOGIN))}
    assert client.post(LOGIN, sent).status_code == 302
    return client


@pytest.fixture
def login(browser):
    return DeviceSession.objects.first_party().get()


@pytest.fixture
def app():
    return make_client("app-1", "Reader")


@pytest.fixture
def reader(app, login):
    return connect(app, login)


def token(page):
    return {"csrfmiddlewaretoken": re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', text(page))[1]}


def text(response):
    assert response.status_code == 200, response
    return response.content.decode()


def apps_of(response):
    """The part of the page about apps, as a person reads it; empty if there is none."""
    found = re.search(r'<section aria-labelledby="connected-apps">.*?</section>', text(response), re.DOTALL)
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", found[0])).split()) if found else ""


def path_of(client_id):
    return f"{DEVICES}apps/{client_id}/disconnect/"


def press(browser, client_id="app-1", path=""):
    """Send the form of the button that disconnects the app."""
    return browser.post(path or path_of(client_id), token(browser.get(DEVICES)))


def test_an_app_stands_in_a_part_of_its_own(browser, reader, ada, settings):
    settings.AUTHX_SCOPES = {"orders:read": "See your orders"}
    shown = apps_of(browser.get(DEVICES))
    for words in ("Connected apps 1", "Reader", "api.shop.example", "See your orders", "Used just now"):
        assert words in shown
    assert "Allowed " in shown
    assert "changing your password does" in shown
    page = text(browser.get(DEVICES))
    assert page.count('class="authx-device"') == 1
    assert "You are not signed in anywhere else." in page
    assert f'action="{path_of("app-1")}"' in page


def test_without_apps_the_page_has_no_word_of_them(browser, app, bob):
    connect(app, open_session(bob).session)
    serve(app)
    page = browser.get(DEVICES)
    assert apps_of(page) == ""
    assert "onnected" not in text(page)


def test_what_an_app_calls_itself_is_text(browser, login, settings):
    settings.AUTHX_SCOPES = {"x": MARKUP}
    connect(make_client("app-2", MARKUP), login, scope="x")
    shown = browser.get(DEVICES)
    assert "<script" not in text(shown)
    assert apps_of(shown).count(MARKUP) == 2


def test_an_app_that_may_nothing_says_so(browser, app, login):
    connect(app, login, scope="", audience=())
    assert "nothing else" in apps_of(browser.get(DEVICES))


def test_when_it_was_used_is_told(browser, reader):
    DeviceSession.objects.filter(pk=reader.pk).update(last_seen_at=timezone.now() - timedelta(hours=3))
    assert "Used 3 hours ago" in unescape(text(browser.get(DEVICES)))


def test_a_button_disconnects_the_app_and_asks_for_consent_again(browser, ada, app, login, reader):
    consent(app, ada)
    also = connect(app, login)
    response = press(browser)
    assert (response.status_code, response["Location"]) == (302, DEVICES)
    assert [reason_of(one) for one in (reader, also, login)] == ["ended_by_user", "ended_by_user", ""]
    assert not Consent.objects.exists()
    page = browser.get(DEVICES)
    assert "Reader has been disconnected." in text(page)
    assert apps_of(page) == ""


def test_what_is_remembered_alone_is_shown_and_forgotten(browser, ada, app):
    consent(app, ada)
    shown = apps_of(browser.get(DEVICES))
    assert "may connect again without asking you" in shown
    assert "Forget" in shown
    press(browser)
    assert not Consent.objects.exists()


def test_a_second_click_says_that_it_was_done(browser, reader):
    press(browser)
    browser.get(DEVICES)
    assert press(browser)["Location"] == DEVICES
    assert "had been disconnected already" in text(browser.get(DEVICES))


@pytest.mark.parametrize("client_id", ["app-1", "no-such", "%00", "a%00b", "x" * 300, "a/b", "%F0%9F%92%A9"])
def test_anothers_app_is_as_missing_as_none(client_id, browser, app, bob):
    bobs = connect(app, open_session(bob).session)
    consent(app, bob)
    assert press(browser, path=path_of(client_id)).status_code == 404
    assert reason_of(bobs) == ""
    assert Consent.objects.exists()


@pytest.mark.parametrize("client_id", ["https://reader.example/client.json", "a b", "ü?#"])
def test_any_client_id_has_a_button(client_id, browser, login):
    session = connect(make_client(client_id), login)
    (action,) = re.findall(r'action="([^"]*/disconnect/)"', text(browser.get(DEVICES)))
    assert press(browser, path=unescape(action))["Location"] == DEVICES
    assert reason_of(session) == "ended_by_user"


def test_the_form_needs_its_csrf_token(browser, reader):
    assert browser.post(path_of("app-1")).status_code == 403
    assert reason_of(reader) == ""


def test_a_link_disconnects_nothing(browser, reader):
    assert browser.get(path_of("app-1"))["Location"] == DEVICES
    assert reason_of(reader) == ""


def test_nobody_disconnects_without_signing_in(reader):
    response = Client().post(path_of("app-1"))
    assert response["Location"] == f"{LOGIN}?next={path_of('app-1')}"
    assert reason_of(reader) == ""


def test_an_old_login_is_asked_for_its_password_first(browser, login, reader, ada, app, settings):
    settings.AUTHX_DEVICES_MAX_AUTH_AGE = timedelta(minutes=9)
    consent(app, ada)
    DeviceSession.objects.filter(pk=login.pk).update(auth_time=timezone.now() - timedelta(minutes=10))
    assert press(browser)["Location"].startswith(CONFIRM)
    assert reason_of(reader) == ""
    assert Consent.objects.exists()
    settings.AUTHX_DEVICES_MAX_AUTH_AGE = None
    assert press(browser)["Location"] == DEVICES
    assert reason_of(reader) == "ended_by_user"


def test_signing_out_everywhere_else_leaves_apps_connected(browser, ada, reader):
    phone = open_session(ada, device=Device(type="ios")).session
    press(browser, path=END_OTHERS)
    assert [reason_of(one) for one in (phone, reader)] == ["ended_by_user", ""]
    assert "1 other device has been signed out." in text(browser.get(DEVICES))
    press(browser, path=END_OTHERS)
    assert "signed out." not in text(browser.get(DEVICES))


def test_an_app_is_no_device_to_sign_out(browser, reader):
    assert press(browser, path=f"{DEVICES}{reader.pk}/end/").status_code == 404
    assert reason_of(reader) == ""


def test_ones_own_password_change_ends_apps_and_keeps_this_device(browser, ada, login, reader, password):
    page = browser.get("/password-change/")
    sent = {"old_password": password, "new_password1": "another-good-one", **token(page)}
    sent["new_password2"] = sent["new_password1"]
    assert browser.post("/password-change/", sent).status_code == 302
    assert [reason_of(one) for one in (login, reader)] == ["password_changed"] * 2
    here = DeviceSession.objects.live().get()
    assert (here.client_id, here.pk) == ("", DeviceSession.objects.get(pk=login.pk).successor)
    assert apps_of(browser.get(DEVICES)) == ""


def test_more_apps_cost_no_more_statements(browser, login):
    counts = []
    for number in range(3):
        with CaptureQueriesContext(connection) as queries:
            browser.get(DEVICES)
        counts.append(len(queries))
        for name in (f"with-consent-{number}", f"trusted-{number}"):
            client = make_client(name, name)
            connect(client, login, audience=(API, "urn:x"))
            if name.startswith("with"):
                consent(client, login.user)
    assert counts[1] == counts[2] == counts[0] + 1  # the names of trusted ones
