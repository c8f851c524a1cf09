"""authx.pages.new_sign_ins: "Was this you?", and who may say so."""

import re
from datetime import timedelta
from html import unescape

import pytest
from django.contrib.auth.views import PasswordChangeView
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import path
from django.utils import timezone

from authx.core.actor import Actor
from authx.models import DeviceSession, SessionEvent
from authx.sessions import Device, end_session, open_session
from authx.sessions.continuing import continue_session
from tests.urls import urlpatterns as site

LOGIN, DEVICES, ACTIVITY = "/account/login/", "/account/devices/", "/account/activity/"
QUESTION = "Was this you?"
#: The test site, with Django's own name for the page that changes the password.
urlpatterns = [
    path("password/", PasswordChangeView.as_view(template_name="site/form.html"), name="password_change"),
    *site,
]


@pytest.fixture
def browser(ada, password):
    """Ada's old browser, in which the first session of her account was opened."""
    return signed_in(ada, password)


def signed_in(user, password, **how):
    client = Client(**how)
    assert client.post(LOGIN, {"username": user.get_username(), "password": password}).status_code == 302
    return client


@pytest.fixture
def mine(browser):
    return DeviceSession.objects.get()


@pytest.fixture
def laptop(mine, ada):
    """Another device, which has just signed in for the first time."""
    return open_session(ada, device=Device(id="laptop", name="A laptop")).session


def text(response):
    assert response.status_code == 200, response
    return " ".join(unescape(response.content.decode()).split())


def asked(response):
    return re.findall(r'<section class="authx-ask".*?</section>', text(response))


def answer(client, session, said=None, **how):
    return client.post(f"{DEVICES}{session.pk}/confirm/", {} if said is None else {"answer": said}, **how)


def state(session):
    row = DeviceSession.objects.get(pk=session.pk)
    return row.is_unconfirmed, row.end_reason


def kinds():
    return set(SessionEvent.objects.values_list("kind", flat=True))


# The question


def test_a_new_device_is_asked_about_on_the_old_one_above_all_else(browser, laptop):
    DeviceSession.objects.filter(pk=laptop.pk).update(ip="2001:db8::7", country="FR")
    page = browser.get(DEVICES)
    (question,) = asked(page)
    for shown in (QUESTION, "<bdi>A laptop</bdi>", "<bdi>France</bdi>", '<bdi dir="ltr">2001:db8::7</bdi>'):
        assert shown in question
    assert re.search(r"<time datetime=\"[^\"]+\">", question)
    assert text(page).index(QUESTION) < text(page).index("<h1>")
    assert '<span class="authx-badge authx-badge-new">New</span>' in text(page)


def test_nothing_is_asked_where_nothing_is_new(browser):
    assert QUESTION not in text(browser.get(DEVICES))
    assert "authx-badge-new" not in text(browser.get(DEVICES))


def test_the_new_device_is_not_asked_about_itself_nor_about_another_new_one(browser, ada, password):
    thief = signed_in(ada, password)
    open_session(ada, device=Device(id="third"))
    page = thief.get(DEVICES)
    assert QUESTION not in text(page)
    assert text(page).count("authx-badge-new") == 1  # the third; its own row says that it is this device
    assert len(asked(browser.get(DEVICES))) == 2


def test_another_user_is_asked_nothing(laptop, bob):
    other = Client()
    other.force_login(bob)
    assert QUESTION not in text(other.get(DEVICES))


def test_of_many_the_first_are_asked_and_the_others_counted(browser, ada):
    for number in range(5):
        open_session(ada, device=Device(id=f"new-{number}"))
    page = browser.get(DEVICES)
    assert len(asked(page)) == 3
    assert "2 more new sign-ins are marked" in text(page)


def test_an_old_one_of_many_sessions_is_asked_about_all_the_same(browser, ada, laptop):
    DeviceSession.objects.filter(pk=laptop.pk).update(last_seen_at=timezone.now() - timedelta(days=2))
    for number in range(30):
        open_session(ada, device=Device(id=f"known-{number}"))
    DeviceSession.objects.exclude(pk=laptop.pk).update(is_unconfirmed=False)
    (question,) = asked(browser.get(DEVICES))
    assert "A laptop" in question


def test_a_question_costs_no_statement(browser, laptop):
    def statements():
        browser.get(DEVICES)
        with CaptureQueriesContext(connection) as found:
            browser.get(DEVICES)
        return len(found)

    asking = statements()
    answer(browser, laptop)
    assert statements() == asking


def test_each_button_has_a_name_of_its_own(browser, ada, laptop):
    open_session(ada, device=Device(id="phone", name="A phone"))
    found = re.findall(
        r'name="answer"[^>]*>([^<]*<span class="authx-hidden">[^<]*)<', text(browser.get(DEVICES))
    )
    spoken = [re.sub(r"<[^>]*>", "", one) for one in found]
    assert len(set(spoken)) == len(spoken) == 4
    assert "Yes, it was me A laptop" in spoken


MARKUP = "<script>alert(1)</script>\"'&"


def test_no_name_breaks_the_question(browser, ada, mine):
    open_session(ada, device=Device(id="laptop", name=MARKUP))
    assert MARKUP not in browser.get(DEVICES).content.decode()


# Yes


@pytest.mark.parametrize("said", [None, "yes"])
def test_yes_ends_the_question_and_nothing_else(browser, ada, laptop, said):
    page = answer(browser, laptop, said, follow=True)
    assert QUESTION not in text(page)
    assert "You will not be asked about A laptop again." in text(page)
    assert state(laptop) == (False, "")
    event = SessionEvent.objects.get(kind="confirmed")
    assert (event.session_id, event.actor) == (laptop.pk, ada)
    assert "You confirmed that this sign-in was you" in text(browser.get(ACTIVITY))


def test_a_second_yes_changes_nothing(browser, laptop):
    answer(browser, laptop)
    assert answer(browser, laptop).status_code == 302
    assert SessionEvent.objects.filter(kind="confirmed").count() == 1


def test_yes_reaches_what_has_become_of_the_session(browser, ada, laptop):
    session = DeviceSession.objects.get(pk=laptop.pk)
    continued = continue_session(session, Actor(ada), methods=("pwd",), came_back=True).session
    assert "A laptop" in asked(browser.get(DEVICES))[0]
    answer(browser, laptop)
    assert state(continued) == (False, "")


@pytest.mark.parametrize("said", ["yes", "no"])
def test_none_answers_for_itself(browser, ada, password, said):
    thief = signed_in(ada, password)
    (own,) = DeviceSession.objects.filter(is_unconfirmed=True)
    assert answer(thief, own, said).status_code == 403
    assert state(own) == (True, "")
    assert "confirmed" not in kinds()


def test_nor_by_the_id_that_it_had_before_a_step_up(browser, ada, password):
    thief = signed_in(ada, password)
    (before,) = DeviceSession.objects.filter(is_unconfirmed=True)
    assert thief.post("/account/confirm/", {"password": password}).status_code == 302
    (own,) = DeviceSession.objects.filter(is_unconfirmed=True, ended_at=None)
    assert own.pk != before.pk
    assert answer(thief, before).status_code == 403
    assert state(own) == (True, "")


def test_nor_does_a_second_new_device_for_the_first(browser, ada, password, laptop):
    thief = signed_in(ada, password)
    assert answer(thief, laptop).status_code == 403
    assert state(laptop) == (True, "")


def test_nor_after_it_has_signed_in_again(browser, ada, password, laptop):
    thief = signed_in(ada, password)
    thief.post(LOGIN, {"username": ada.get_username(), "password": password})
    assert answer(thief, laptop).status_code == 403
    assert state(laptop) == (True, "")


def test_nor_does_a_login_without_a_device_session(browser, ada, laptop, settings):
    settings.AUTHX_BIND_DJANGO_LOGIN = False
    other = Client()
    other.force_login(ada)
    assert QUESTION not in text(other.get(DEVICES))
    assert answer(other, laptop).status_code == 403
    assert state(laptop) == (True, "")


def test_a_confirmed_device_may_answer_for_the_next(browser, ada, password, laptop):
    second = signed_in(ada, password)
    own = DeviceSession.objects.filter(is_unconfirmed=True).exclude(pk=laptop.pk).get()
    answer(browser, own)
    assert len(asked(second.get(DEVICES))) == 1
    answer(second, laptop)
    assert state(laptop) == (False, "")


def test_another_users_session_is_as_missing_as_one_that_is_not_there(laptop, bob, mine):
    other = Client()
    other.force_login(bob)
    missing = "0198c5d4-0000-7000-8000-000000000000"
    found = [answer(other, laptop), answer(other, laptop, "no")]
    found += [other.post(f"{DEVICES}{missing}/confirm/", {"answer": said}) for said in ("yes", "no")]
    assert [one.status_code for one in found] == [404] * 4
    assert state(laptop) == (True, "")


def test_answers_take_a_form_its_token_and_a_login(browser, laptop):
    url = f"{DEVICES}{laptop.pk}/confirm/"
    assert browser.get(url)["Location"] == DEVICES
    assert LOGIN in Client().post(url)["Location"]
    strict = Client(enforce_csrf_checks=True)
    strict.cookies = browser.cookies
    assert strict.post(url).status_code == 403
    assert browser.put(url).status_code == 405
    assert state(laptop) == (True, "")


@pytest.mark.parametrize("said", ["maybe", "", "YES", "yes\x00"])
def test_another_answer_is_none(browser, laptop, said):
    assert answer(browser, laptop, said).status_code == 400
    assert state(laptop) == (True, "")


@pytest.mark.parametrize("said", ["yes", "no"])
def test_an_old_login_is_asked_for_a_proof_first(browser, mine, laptop, said):
    DeviceSession.objects.filter(pk=mine.pk).update(auth_time=timezone.now() - timedelta(hours=13))
    assert "/account/confirm/" in answer(browser, laptop, said)["Location"]
    assert state(laptop) == (True, "")


# No


def test_no_ends_that_session_alone_and_says_what_to_do(browser, mine, laptop):
    page = answer(browser, laptop, "no", follow=True)
    assert "A laptop has been signed out. Whoever used it may know your password: change it now." in text(
        page
    )
    assert (state(laptop), state(mine)) == ((True, "ended_by_user"), (False, ""))
    assert "You said that this sign-in was not you" in text(browser.get(ACTIVITY))


@pytest.mark.urls(__name__)
def test_no_leads_to_the_page_that_changes_the_password(browser, laptop):
    assert 'href="/password/"' in text(browser.get(DEVICES))
    assert answer(browser, laptop, "no")["Location"] == "/password/"


@pytest.mark.urls(__name__)
def test_so_it_does_where_the_session_had_ended_already(browser, laptop):
    end_session(laptop, "logout")
    assert answer(browser, laptop, "no")["Location"] == "/password/"
    assert answer(browser, laptop)["Location"] == DEVICES
    assert state(laptop) == (True, "logout")


def test_no_ends_what_has_become_of_the_session(browser, ada, laptop):
    session = DeviceSession.objects.get(pk=laptop.pk)
    continued = continue_session(session, Actor(ada), methods=("pwd",), came_back=True).session
    answer(browser, laptop, "no")
    assert state(continued) == (True, "ended_by_user")


def test_the_thief_who_comes_back_is_asked_about_again(browser, ada, password):
    thief = signed_in(ada, password)
    (own,) = DeviceSession.objects.filter(is_unconfirmed=True)
    answer(browser, own, "no")
    assert thief.get(DEVICES).status_code == 302
    thief.post(LOGIN, {"username": ada.get_username(), "password": password})
    assert len(asked(browser.get(DEVICES))) == 1


# Others


def test_the_api_is_told_nothing_of_it(browser, laptop):
    found = browser.get("/api/auth/sessions/").json()
    assert len(found) == 2
    assert not {key for item in found for key in item if "confirm" in key or "new" in key}


def test_whoever_names_a_known_device_says_nothing_of_an_earlier_login(mine, laptop, ada, password):
    """The tokens of the API as cookies: the password is known, and the owner's device id has been read."""
    body = {"username": ada.get_username(), "password": password, "device": {"id": mine.device_id}}
    tokens = Client().post("/api/auth/login/", body, content_type="application/json").json()
    stranger = Client()
    stranger.cookies["__Host-authx_access"] = tokens["access_token"]
    stranger.cookies["__Host-authx_refresh"] = tokens["refresh_token"]
    assert asked(stranger.get(DEVICES)) == []
    assert stranger.post(f"{DEVICES}{laptop.pk}/confirm/").status_code == 403
    laptop.refresh_from_db()
    assert laptop.is_unconfirmed


def test_who_signs_in_again_on_a_known_browser_may(browser, laptop, ada, password):
    browser.post("/account/logout/")
    assert browser.post(LOGIN, {"username": ada.get_username(), "password": password}).status_code == 302
    assert browser.post(f"{DEVICES}{laptop.pk}/confirm/").status_code == 302
    laptop.refresh_from_db()
    assert not laptop.is_unconfirmed
