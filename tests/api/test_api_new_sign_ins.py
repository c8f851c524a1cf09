"""authx.api.views.new_sign_ins: "Was this you?" for users who have no page that asks it."""

import uuid

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from authx.core.actor import Actor
from authx.models import DeviceSession, EndReason, SessionEvent
from authx.sessions import Device, end_session, open_session
from authx.sessions.continuing import continue_session
from tests.api.test_api_sessions import (
    AUTH,
    SESSION_KEYS,
    assert_ended,
    assert_live,
    both_carriers,
    browser_of,
    client_of,
    client_of_token,
)

pytestmark = pytest.mark.django_db

UNCONFIRMED = f"{AUTH}sessions/unconfirmed/"
SAYINGS = ("confirm", "disown")
each_saying = pytest.mark.parametrize("saying", SAYINGS)


@pytest.fixture
def phone(ada):
    """The first session of the account, which nobody is asked about."""
    return open_session(ada, device=Device(id="p-1", name="Ada's phone", type="ios"))


@pytest.fixture
def laptop(ada, phone):
    """A new device."""
    return open_session(ada, device=Device(id="l-1", name="A laptop", type="desktop"))


def listed(credentials):
    answer = client_of(credentials).get(UNCONFIRMED)
    assert answer.status_code == 200
    return answer.json()


def say(client, saying, session):
    return client.post(f"{AUTH}sessions/{getattr(session, 'pk', session)}/{saying}/")


def state(credentials):
    row = DeviceSession.objects.get(pk=credentials.session.pk)
    return row.is_unconfirmed, row.end_reason


def kinds(credentials):
    return list(SessionEvent.objects.filter(session=credentials.session.pk).values_list("kind", flat=True))


# Which are in question


@both_carriers
def test_those_in_question_are_listed_as_sessions_are_and_one_key_more(client_for, phone, laptop):
    (shown,) = client_for(phone).get(UNCONFIRMED).json()
    assert set(shown) == {*SESSION_KEYS, "may_confirm"}
    assert shown["id"] == str(laptop.session.pk)
    assert (shown["current"], shown["may_confirm"], shown["device"]["name"]) == (False, True, "A laptop")


def test_the_list_of_all_sessions_is_what_it_was(phone, laptop):
    assert all(set(each) == SESSION_KEYS for each in client_of(phone).get(f"{AUTH}sessions/").json())


def test_nothing_is_in_question_where_nothing_is_new(phone):
    assert listed(phone) == []


def test_the_newest_comes_first_and_what_has_ended_is_in_question_no_more(ada, phone, laptop):
    tablet = open_session(ada, device=Device(id="t-1"))
    assert [each["id"] for each in listed(phone)] == [str(tablet.session.pk), str(laptop.session.pk)]
    end_session(tablet.session, EndReason.KICKED)
    assert [each["id"] for each in listed(phone)] == [str(laptop.session.pk)]


def test_a_new_device_sees_itself_and_may_confirm_none(ada, laptop):
    open_session(ada, device=Device(id="t-1"))
    shown = listed(laptop)
    assert {each["current"] for each in shown} == {True, False}
    assert not any(each["may_confirm"] for each in shown)


def test_another_user_sees_nothing_of_it(laptop, bob):
    assert listed(open_session(bob)) == []


def test_nor_does_whoever_is_not_signed_in(laptop, api):
    answer = api.get(UNCONFIRMED)
    assert (answer.status_code, answer.json()["code"]) == (401, "not_authenticated")


# Yes


@both_carriers
def test_yes_ends_the_question_and_nothing_else(client_for, ada, phone, laptop):
    answer = say(client_for(phone), "confirm", laptop.session)
    assert (answer.status_code, answer.content) == (204, b"")
    assert state(laptop) == (False, "")
    assert_live(laptop)
    assert listed(phone) == []
    event = SessionEvent.objects.get(kind=SessionEvent.Kind.CONFIRMED)
    assert (event.session_id, event.actor) == (laptop.session.pk, ada)


def test_a_second_yes_changes_nothing(phone, laptop):
    assert [say(client_of(phone), "confirm", laptop.session).status_code for _time in range(2)] == [204] * 2
    assert kinds(laptop).count("confirmed") == 1


def test_a_device_that_was_confirmed_may_confirm_the_next(ada, phone, laptop):
    tablet = open_session(ada, device=Device(id="t-1"))
    say(client_of(phone), "confirm", tablet.session)
    assert [each["may_confirm"] for each in listed(tablet)] == [False], "the laptop was there before it"
    watch = open_session(ada, device=Device(id="w-1"))
    assert say(client_of(tablet), "confirm", watch.session).status_code == 204


def test_none_that_is_in_question_itself_says_yes_for_another(ada, phone, laptop):
    tablet = open_session(ada, device=Device(id="t-1"))
    answer = say(client_of(laptop), "confirm", tablet.session)
    assert (answer.status_code, answer.json()["code"]) == (403, "permission_denied")
    assert "This device is new itself" in answer.json()["detail"]
    assert state(tablet) == (True, "")


def test_nor_does_a_login_that_only_names_a_known_device(ada, password, phone, laptop, api):
    body = {"username": ada.get_username(), "password": password, "device": {"id": "p-1", "type": "ios"}}
    again = api.post(f"{AUTH}login/", body, format="json").json()
    client = client_of_token(again)
    assert [each["may_confirm"] for each in client.get(UNCONFIRMED).json()] == [False]
    assert say(client, "confirm", laptop.session).status_code == 403
    assert state(laptop) == (True, "")


def test_after_the_password_was_given_again_it_may_as_before(password, phone, laptop):
    answer = client_of(phone).post(f"{AUTH}reauthenticate/", {"password": password}).json()
    client = client_of_token(answer)
    assert [each["may_confirm"] for each in client.get(UNCONFIRMED).json()] == [True]
    assert say(client, "confirm", laptop.session).status_code == 204


# No


@both_carriers
def test_no_ends_that_session_and_says_whose_word_it_was(client_for, ada, phone, laptop):
    answer = say(client_for(phone), "disown", laptop.session)
    assert (answer.status_code, answer.content) == (204, b"")
    assert_ended(laptop, "ended_by_user")
    assert_live(phone)
    event = SessionEvent.objects.get(kind=SessionEvent.Kind.DISOWNED)
    assert (event.session_id, event.actor) == (laptop.session.pk, ada)


def test_a_second_no_changes_nothing(phone, laptop):
    assert [say(client_of(phone), "disown", laptop.session).status_code for _time in range(2)] == [204] * 2
    assert kinds(laptop) == ["opened", "ended", "disowned"]


def test_what_has_ended_otherwise_keeps_its_reason(phone, laptop):
    end_session(laptop.session, EndReason.KICKED)
    assert say(client_of(phone), "disown", laptop.session).status_code == 204
    assert state(laptop) == (True, "kicked")
    assert "disowned" not in kinds(laptop)


def test_one_that_is_in_question_itself_may_say_no(ada, laptop):
    tablet = open_session(ada, device=Device(id="t-1"))
    assert say(client_of(tablet), "disown", laptop.session).status_code == 204
    assert_ended(laptop, "ended_by_user")


def test_the_one_who_comes_back_is_in_question_again(ada, phone, laptop):
    say(client_of(phone), "disown", laptop.session)
    again = open_session(ada, device=Device(id="l-1"))
    assert [each["id"] for each in listed(phone)] == [str(again.session.pk)]


# Both


@each_saying
def test_what_has_become_of_the_session_is_meant_too(saying, ada, phone, laptop):
    session = DeviceSession.objects.get(pk=laptop.session.pk)
    continued = continue_session(session, Actor(ada), methods=("pwd",), came_back=True)
    assert [each["id"] for each in listed(phone)] == [str(continued.session.pk)]
    assert say(client_of(phone), saying, laptop.session).status_code == 204
    assert state(continued) == {"confirm": (False, ""), "disown": (True, "ended_by_user")}[saying]


@both_carriers
@each_saying
def test_none_answers_for_itself(saying, client_for, laptop):
    answer = say(client_for(laptop), saying, laptop.session)
    assert (answer.status_code, answer.json()["code"]) == (403, "permission_denied")
    assert "cannot answer for itself" in answer.json()["detail"]
    assert state(laptop) == (True, "")


@both_carriers
@each_saying
def test_another_users_session_is_the_same_404_as_a_missing_one(saying, client_for, phone, bob):
    bobs, ended = open_session(bob), open_session(bob).session
    end_session(ended, EndReason.KICKED)
    client = client_for(phone)
    answers = [say(client, saying, each) for each in (uuid.uuid4(), bobs.session, ended)]
    assert {(each.status_code, each.json()["code"]) for each in answers} == {(404, "not_found")}
    assert len({each.content for each in answers}) == 1
    assert_live(bobs)


def test_one_that_has_ended_cannot_be_confirmed(phone, laptop):
    end_session(laptop.session, EndReason.LOGOUT)
    assert say(client_of(phone), "confirm", laptop.session).status_code == 404


@each_saying
def test_by_cookie_it_takes_the_csrf_token(saying, phone, laptop):
    browser = browser_of(phone)
    browser.credentials()  # no header
    answer = say(browser, saying, laptop.session)
    assert (answer.status_code, answer.json()["code"]) == (403, "permission_denied")
    assert state(laptop) == (True, "")


@each_saying
def test_nobody_says_it_without_a_login_or_by_a_link(saying, phone, laptop, api):
    assert say(api, saying, laptop.session).status_code == 401
    assert client_of(phone).get(f"{AUTH}sessions/{laptop.session.pk}/{saying}/").status_code == 405


def test_a_login_without_a_session_sees_them_and_says_no_alone(ada, phone, laptop):
    """As a site's own way to sign in, or a test that forces one."""
    client = APIClient()
    client.force_authenticate(ada)
    assert [each["may_confirm"] for each in client.get(UNCONFIRMED).json()] == [False]
    assert say(client, "confirm", laptop.session).status_code == 403
    assert say(client, "disown", laptop.session).status_code == 204


# What it costs


def statements(act):
    with CaptureQueriesContext(connection) as asked:
        assert act().status_code in {200, 204}
    return [each["sql"].split()[0] for each in asked if "SAVEPOINT" not in each["sql"]]


def test_the_list_costs_one_statement_beside_the_check_however_many_there_are(ada, phone):
    client = client_of(phone)
    client.get(UNCONFIRMED)  # "last seen" is written
    assert statements(lambda: client.get(UNCONFIRMED)) == ["SELECT"] * 2
    for number in range(5):
        open_session(ada, device=Device(id=f"new-{number}"))
    assert statements(lambda: client.get(UNCONFIRMED)) == ["SELECT"] * 2


def test_after_a_step_up_it_costs_one_more_however_many_there_are(ada, password, phone):
    for number in range(5):
        open_session(ada, device=Device(id=f"new-{number}"))
    answer = client_of(phone).post(f"{AUTH}reauthenticate/", {"password": password}).json()
    client = client_of_token(answer)
    client.get(UNCONFIRMED)
    assert statements(lambda: client.get(UNCONFIRMED)) == ["SELECT"] * 3


def test_each_answer_costs_what_a_rename_does(phone, laptop):
    client = client_of(phone)
    client.get(UNCONFIRMED)
    renamed = statements(lambda: client.patch(f"{AUTH}sessions/{laptop.session.pk}/", {"name": "x"}))
    confirmed = statements(lambda: say(client, "confirm", laptop.session))
    assert len(confirmed) <= len(renamed), (confirmed, renamed)
