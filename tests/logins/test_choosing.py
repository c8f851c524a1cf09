"""A login that a full limit refuses, and that comes back with a proof and the session to end for it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from uuid import uuid4

import pytest
from django.contrib.auth import get_user_model
from django.core.cache import cache
from django.core.management import call_command
from django.db import connection
from django.db.models import F
from django.test import RequestFactory
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from rest_framework.test import APIClient

from authx.conf import conf, secret_keys
from authx.core.actor import NOBODY
from authx.core.login_proof import read_login_proof, write_login_proof
from authx.core.reasons import EndReason
from authx.errors import LoginProofInvalid, SessionEnded
from authx.http.request_state import request_state
from authx.logins.choosing import LoginByProof, client_holder
from authx.models import DeviceSession, SessionEvent, UsedTicket
from authx.sessions import (
    Device,
    end_session,
    end_user_sessions,
    open_session,
    recognize,
)
from authx.sessions.choosing import spend
from authx.sessions.continuing import continue_session
from authx.store import database
from tests.racing import race

pytestmark = pytest.mark.django_db

LOGIN, WHO = "/api/auth/login/", "/api/whoami/"
PASSWORD = "correct-horse-battery-staple"
CHOOSE = {"types": ["ios", "android"], "limit": 1, "when_full": "refuse", "choose": True}
WEB = {"types": ["web", "other"], "limit": 1, "when_full": "refuse", "choose": True}


@pytest.fixture(autouse=True)
def limits(settings):
    settings.AUTHX_SESSION_LIMITS = [CHOOSE, WEB]


@pytest.fixture
def phone(ada):
    """The phone that is lost: the only one that may be signed in."""
    return open_session(ada, device=Device(id="lost", name="Ada's phone", type="ios")).session


def by_password(client=None, *, user="ada", transport="body", **fields):
    name = f"{user}@example.com" if get_user_model().USERNAME_FIELD == "email" else user
    return _post(client, {"username": name, "password": PASSWORD, "transport": transport, **fields})


def by_proof(proof, end, client=None, **fields):
    return _post(client, {"proof": proof, "end": end, **fields})


def _post(client, body):
    if body.get("transport") != "cookie":
        body.setdefault("device", {"id": "new", "type": "android"})
    return (client or APIClient()).post(LOGIN, body, format="json")


def refused(response):
    assert response.status_code == 409, response.content
    body = response.json()
    assert body["code"] == "session_limit"
    return body


def assert_invalid(response):
    assert response.status_code == 401, response.content
    assert response.json()["code"] == "proof_invalid"
    assert "proof_invalid" in response["WWW-Authenticate"]


def live(user):
    return {session.pk for session in DeviceSession.objects.live().filter(user=user)}


def events(kind):
    return list(SessionEvent.objects.filter(kind=kind))


# What the refusal says


def test_a_refused_login_is_told_what_may_end_and_no_place(ada, phone):
    body = refused(by_password())
    assert set(body) == {"detail", "code", "sessions", "proof"}
    (item,) = body["sessions"]
    last_seen = item.pop("last_seen_at")
    assert item == {"id": str(phone.pk), "label": "Ada's phone", "type": "ios"}
    assert last_seen.startswith(f"{phone.last_seen_at:%Y-%m-%dT%H:%M}")
    assert live(ada) == {phone.pk}


def test_a_limit_without_choose_says_what_it_has_always_said(ada, phone, settings):
    settings.AUTHX_SESSION_LIMITS = [{**CHOOSE, "choose": False}]
    assert set(refused(by_password())) == {"detail", "code"}
    assert events("choice_offered") == []


def test_a_wrong_password_is_told_nothing(ada, phone):
    response = by_password(password="wrong-wrong-wrong")
    assert response.status_code == 401
    assert set(response.json()) == {"detail", "code"}
    assert events("choice_offered") == []


def test_a_right_one_that_is_not_enough_is_told_nothing_either(ada, phone, settings):
    settings.AUTHX_PASSWORD_LOGIN = "tests.site.password_rules.second_factor"
    response = by_password()
    assert (response.status_code, response.json()["code"]) == (401, "second_factor_required")
    assert set(response.json()) == {"detail", "code"}


def test_only_sessions_that_the_limit_counts_are_listed(ada, bob, phone):
    open_session(ada, device=Device(type="desktop"))
    open_session(bob, device=Device(type="ios"))
    assert [item["id"] for item in refused(by_password())["sessions"]] == [str(phone.pk)]


def test_the_question_is_an_event_of_the_account(ada, phone):
    refused(by_password())
    (event,) = events("choice_offered")
    assert (event.subject, event.session, event.outcome) == (str(ada.pk), None, "session_limit")


# The choice


def test_the_chosen_session_ends_and_the_new_one_opens(ada, phone):
    body = refused(by_password())
    answer = by_proof(body["proof"], str(phone.pk))
    assert answer.status_code == 200, answer.content
    new = answer.json()
    assert recognize(new["access_token"]).pk in live(ada)
    assert live(ada) == {recognize(new["access_token"]).pk}
    assert new["refresh_token"]
    row = DeviceSession.objects.get(pk=new["session_id"])
    assert (row.device_id, row.device_type, row.amr) == ("new", "android", ["pwd"])


def test_the_ended_device_is_told_what_took_its_place(ada, phone):
    body = refused(by_password())
    by_proof(body["proof"], str(phone.pk))
    phone.refresh_from_db()
    assert (phone.end_reason, phone.replaced_by, phone.ended_by) == ("replaced", "android", ada)


def test_the_trail_shows_who_chose_whom(ada, phone):
    new = by_proof(refused(by_password())["proof"], str(phone.pk)).json()["session_id"]
    (chosen,) = events("chosen")
    assert (str(chosen.session_id), chosen.note, chosen.actor) == (new, str(phone.pk), ada)
    (ended,) = events("ended")
    assert (ended.session_id, ended.outcome, ended.note) == (phone.pk, "replaced", "by android, chosen")


def test_by_cookie_too(ada):
    old = open_session(ada, device=Device(type="web")).session
    browser = APIClient(enforce_csrf_checks=True)
    browser.get(LOGIN)
    token = {"headers": {"X-CSRFToken": browser.cookies["csrftoken"].value}}
    body = {"username": ada.get_username(), "password": PASSWORD, "transport": "cookie"}
    told = refused(browser.post(LOGIN, body, format="json", **token))
    assert conf.REFRESH_COOKIE not in browser.cookies
    body = {"proof": told["proof"], "end": str(old.pk), "transport": "cookie", "remember": False}
    assert browser.post(LOGIN, body, format="json").status_code == 403  # without the CSRF token
    answer = browser.post(LOGIN, body, format="json", **token)
    assert answer.status_code == 200, answer.content
    assert "refresh_token" not in answer.json()
    new = DeviceSession.objects.get(pk=answer.json()["session_id"])
    assert live(ada) == {new.pk}
    assert not new.persistent
    assert browser.get(WHO).status_code == 200


def test_by_cookie_too_where_the_browser_has_the_device_cookie_of_another_site_on_the_host(ada):
    old = open_session(ada, device=Device(type="web")).session
    browser = APIClient()
    browser.cookies[conf.DEVICE_COOKIE] = "theirs.by-their-key"
    told = refused(by_password(browser, transport="cookie"))
    answer = by_proof(told["proof"], str(old.pk), browser, transport="cookie")
    assert answer.status_code == 200, answer.content


def test_a_login_by_proof_is_the_last_login_of_its_user(ada, phone):
    by_proof(refused(by_password())["proof"], str(phone.pk))
    ada.refresh_from_db()
    assert ada.last_login is not None


@pytest.mark.parametrize("asked_again", [False, True])
def test_the_user_authenticated_when_the_password_was_right(asked_again, ada, phone):
    """A site that demands a login of a minute ago must not take one of four minutes for it."""
    text = refused(by_password())["proof"]
    earlier = rewritten(text, expires_at=opened(text).expires_at - 240)
    if asked_again:
        end_session(phone, EndReason.KICKED)
        other = open_session(ada, device=Device(id="other", type="ios")).session
        earlier, phone = refused(by_proof(earlier, str(phone.pk)))["proof"], other
    answer = by_proof(earlier, str(phone.pk))
    session = DeviceSession.objects.get(pk=answer.json()["session_id"])
    assert session.created_at - session.auth_time == pytest.approx(
        timedelta(minutes=4), abs=timedelta(seconds=30)
    )


def test_the_methods_and_the_backend_of_the_login_are_kept(ada, phone, settings):
    settings.AUTHX_AMR = {"django.contrib.auth.backends.ModelBackend": ["pwd", "otp"]}
    proof = refused(by_password())["proof"]
    settings.AUTHX_AMR = {}
    new = by_proof(proof, str(phone.pk)).json()["session_id"]
    row = DeviceSession.objects.get(pk=new)
    assert "otp" in row.amr
    assert row.backend == "django.contrib.auth.backends.ModelBackend"


# Once


def test_a_proof_is_good_once(ada, phone):
    proof = refused(by_password())["proof"]
    assert by_proof(proof, str(phone.pk)).status_code == 200
    before = live(ada)
    assert_invalid(by_proof(proof, str(next(iter(before)))))
    assert live(ada) == before


def test_an_emptied_cache_makes_it_no_good_again(ada, phone):
    proof = refused(by_password())["proof"]
    by_proof(proof, str(phone.pk))
    cache.clear()
    assert_invalid(by_proof(proof, str(phone.pk)))


def test_pruning_makes_it_no_good_again_and_removes_what_is_over(ada, phone):
    proof = refused(by_password())["proof"]
    by_proof(proof, str(phone.pk))
    call_command("authx_prune", days=0, verbosity=0)
    assert_invalid(by_proof(proof, str(phone.pk)))
    UsedTicket.objects.update(at=F("at") - timedelta(minutes=11))  # five, and as long as rows are kept
    call_command("authx_prune", verbosity=0)
    assert not UsedTicket.objects.exists()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("ends", ["the same", "another"])
def test_of_two_that_present_it_at_once_one_gets_in(ada, settings, ends):
    settings.AUTHX_SESSION_LIMITS = [{**CHOOSE, "limit": 2}]
    there = [open_session(ada, device=Device(type="ios")).session.pk for _ in range(2)]
    proof = refused(by_password())["proof"]
    end = [str(there[0]), str(there[0 if ends == "the same" else 1])]
    answers = race(*(partial(_answer, proof, each) for each in end))
    assert sorted(answers) == [200, 401]
    assert len(live(ada)) == 2
    assert len(events("chosen")) == 1


def _answer(proof, end, **fields):
    return by_proof(proof, end, **fields).status_code


@pytest.mark.django_db(transaction=True)
def test_of_many_that_present_it_at_once_one_gets_in(ada, phone):
    proof = refused(by_password())["proof"]
    answers = race(*[partial(_answer, proof, str(phone.pk))] * 8)
    assert sorted(answers) == [200, *[401] * 7]
    assert len(live(ada)) == 1


@pytest.mark.django_db(transaction=True)
def test_two_proofs_that_choose_the_same_session_let_one_in(ada, phone):
    """Both users, or both tabs, were told of the same phone; the second is asked again."""
    proofs = [refused(by_password(device={"id": each, "type": "ios"}))["proof"] for each in "ab"]
    devices = [{"id": each, "type": "ios"} for each in "ab"]
    answers = race(
        *(
            partial(_answer, proof, str(phone.pk), device=device)
            for proof, device in zip(proofs, devices, strict=True)
        )
    )
    assert sorted(answers) == [200, 409]
    assert len(live(ada)) == 1


def test_a_double_click_in_a_browser_is_answered_with_the_same_session(ada):
    old = open_session(ada, device=Device(type="web")).session
    browser = APIClient()
    told = refused(by_password(browser, transport="cookie"))
    jar = {name: morsel.value for name, morsel in browser.cookies.items()}
    answers = []
    for _ in range(2):
        twin = APIClient()
        twin.cookies.load(jar)
        answers.append(by_proof(told["proof"], str(old.pk), twin, transport="cookie").json())
    assert answers[0]["session_id"] == answers[1]["session_id"]
    assert len(live(ada)) == 1
    assert len(events("chosen")) == 1


def test_the_browser_that_has_the_answer_cannot_present_it_again(ada):
    old = open_session(ada, device=Device(type="web")).session
    browser = APIClient()
    told = refused(by_password(browser, transport="cookie"))
    first = by_proof(told["proof"], str(old.pk), browser, transport="cookie")
    assert first.status_code == 200
    assert_invalid(by_proof(told["proof"], first.json()["session_id"], browser, transport="cookie"))
    assert browser.get(WHO).status_code == 200


# Whom it may end


def test_a_session_that_has_ended_meanwhile_makes_room_by_itself(ada, phone):
    proof = refused(by_password())["proof"]
    end_session(phone, EndReason.LOGOUT)
    assert by_proof(proof, str(phone.pk)).status_code == 200
    assert DeviceSession.objects.get(pk=phone.pk).end_reason == "logout"
    assert events("chosen") == []


def test_one_that_was_continued_meanwhile_ends_in_its_successor(ada, phone):
    proof = refused(by_password())["proof"]
    successor = continue_session(phone, NOBODY, methods=["pwd"], came_back=False).session
    assert by_proof(proof, str(phone.pk)).status_code == 200
    assert DeviceSession.objects.get(pk=successor.pk).end_reason == "replaced"


def test_it_ends_the_chosen_one_even_where_there_is_room_by_now(ada, settings):
    settings.AUTHX_SESSION_LIMITS = [{**CHOOSE, "limit": 2}]
    one, other = (open_session(ada, device=Device(type="ios")).session for _ in range(2))
    proof = refused(by_password())["proof"]
    end_session(one, EndReason.LOGOUT)
    assert by_proof(proof, str(other.pk)).status_code == 200
    assert len(live(ada)) == 1


@pytest.mark.parametrize("whose", ["nobody's", "another user's", "a kind that is not counted"])
def test_what_it_may_not_end_is_one_answer_and_changes_nothing(ada, bob, phone, whose):
    there = {
        "nobody's": uuid4(),
        "another user's": open_session(bob, device=Device(type="ios")).session.pk,
        "a kind that is not counted": open_session(ada, device=Device(type="desktop")).session.pk,
    }
    before = live(ada) | live(bob)
    proof = refused(by_password())["proof"]
    answer = by_proof(proof, str(there[whose]))
    assert answer.status_code == 400
    assert answer.json() == {"end": ["There is no such session to end for this login."]}
    assert live(ada) | live(bob) == before
    assert by_proof(proof, str(phone.pk)).status_code == 200  # it was not spent


@pytest.mark.parametrize(
    "end",
    ["x", "", [], None, {"id": "x"}, 7, ["x"], "../..", "00000000-0000-0000-0000-00000000000g", [None]],
)
def test_what_is_no_id_is_a_400(ada, phone, end):
    proof = refused(by_password())["proof"]
    answer = by_proof(proof, end)
    assert answer.status_code == 400
    assert "end" in answer.json()


@pytest.mark.parametrize("name", ["username", "password"])
def test_a_body_that_says_twice_who_it_is_is_a_400(ada, phone, name):
    proof = refused(by_password())["proof"]
    answer = by_proof(proof, str(phone.pk), **{name: "ada"})
    assert (answer.status_code, list(answer.json())) == (400, [name])
    assert by_proof(proof, str(phone.pk), **{name: None}).status_code == 200


def test_as_a_form_too(ada, phone):
    proof = refused(by_password())["proof"]
    fields = f"proof={proof}&end={phone.pk}&device.id=new&device.type=android"
    answer = APIClient().post(LOGIN, fields, content_type="application/x-www-form-urlencoded")
    assert answer.status_code == 200, answer.content


# Still no room


def test_where_there_is_no_room_still_it_asks_again_with_a_fresh_proof(ada, phone):
    told = refused(by_password())
    end_session(phone, EndReason.LOGOUT)
    third = open_session(ada, device=Device(type="ios")).session
    again = refused(by_proof(told["proof"], str(phone.pk)))
    assert [item["id"] for item in again["sessions"]] == [str(third.pk)]
    assert again["proof"] != told["proof"]
    assert_invalid(by_proof(told["proof"], str(third.pk)))  # the first one is spent
    assert by_proof(again["proof"], str(third.pk)).status_code == 200
    assert len(live(ada)) == 1


def test_a_fresh_proof_is_good_no_longer_than_the_first(ada, phone):
    told = refused(by_password())
    first = opened(told["proof"])
    end_session(phone, EndReason.LOGOUT)
    open_session(ada, device=Device(type="ios"))
    again = opened(refused(by_proof(told["proof"], str(phone.pk)))["proof"])
    assert again.expires_at == first.expires_at
    assert again.nonce != first.nonce


def test_nothing_ends_where_nothing_opens(ada, settings):
    settings.AUTHX_SESSION_LIMITS = [{**CHOOSE, "limit": 3}]
    there = [open_session(ada, device=Device(type="ios")).session.pk for _ in range(3)]
    proof = refused(by_password())["proof"]
    settings.AUTHX_SESSION_LIMITS = [CHOOSE]
    again = refused(by_proof(proof, str(there[0])))
    assert live(ada) == set(there)
    assert again["must_end"] == 3
    assert events("chosen") == events("ended") == []


def test_a_lowered_limit_takes_several_at_once(ada, settings):
    settings.AUTHX_SESSION_LIMITS = []
    there = [open_session(ada, device=Device(type="ios")).session.pk for _ in range(3)]
    settings.AUTHX_SESSION_LIMITS = [{**CHOOSE, "limit": 2}]
    told = refused(by_password())
    assert told["must_end"] == 2
    assert [item["id"] for item in told["sessions"]] == list(map(str, there))
    assert by_proof(told["proof"], [str(sid) for sid in there[:2]]).status_code == 200
    assert len(live(ada)) == 2
    assert there[2] in live(ada)


def test_a_full_limit_without_choose_refuses_plainly_even_with_a_proof(ada, phone, settings):
    proof = refused(by_password())["proof"]
    settings.AUTHX_SESSION_LIMITS = [CHOOSE, {"limit": 1, "when_full": "refuse"}]
    assert set(refused(by_proof(proof, str(phone.pk)))) == {"detail", "code"}
    assert live(ada) == {phone.pk}


# What makes a proof worthless


def opened(text):
    return read_login_proof(text, secret_keys())


def rewritten(text, **changes):
    return write_login_proof(replace(opened(text), **changes), secret_keys(), now=1_800_000_000)


def test_it_is_good_for_five_minutes(ada, phone):
    proof = opened(refused(by_password())["proof"])
    assert proof.expires_at - timezone.now().timestamp() == pytest.approx(300, abs=30)


@pytest.mark.parametrize(("seconds", "good"), [(-1, True), (0, False), (1, False)])
def test_to_the_second(ada, phone, seconds, good):
    text = refused(by_password())["proof"]
    at = datetime.fromtimestamp(opened(text).expires_at + seconds, UTC)
    request, tried = RequestFactory().post(LOGIN), []
    try:
        with LoginByProof(request, text, holder=client_holder("new"), now=at) as login:
            tried.append(login.user)
    except LoginProofInvalid:
        pass
    assert tried == ([ada] if good else [])


def test_an_old_one_lets_nobody_in(ada, phone):
    text = rewritten(refused(by_password())["proof"], expires_at=int(timezone.now().timestamp()) - 1)
    assert_invalid(by_proof(text, str(phone.pk)))


def change_password(user):
    user.set_password("another-horse-battery-staple")
    user.save()


def change_password_unnoticed(user):
    user.set_password("another-horse-battery-staple")
    type(user).objects.filter(pk=user.pk).update(password=user.password)


def disable(user):
    user.is_active = False
    user.save()


def disable_unnoticed(user):
    type(user).objects.filter(pk=user.pk).update(is_active=False)


def kick_everywhere(user):
    end_user_sessions(user, EndReason.KICKED)


def delete(user):
    user.delete()


HAPPENED = [
    change_password,
    change_password_unnoticed,
    disable,
    disable_unnoticed,
    kick_everywhere,
    delete,
]


@pytest.mark.parametrize("happens", HAPPENED, ids=lambda each: each.__name__)
def test_what_happens_to_the_user_kills_it(ada, phone, happens):
    proof = refused(by_password())["proof"]
    happens(get_user_model().objects.get(pk=ada.pk))
    assert_invalid(by_proof(proof, str(phone.pk)))
    assert not DeviceSession.objects.filter(device_id="new").exists()


def test_a_kick_of_somebody_else_does_not(ada, bob, phone):
    proof = refused(by_password())["proof"]
    kick_everywhere(bob)
    assert by_proof(proof, str(phone.pk)).status_code == 200


def test_a_backend_that_is_gone_kills_it(ada, phone):
    text = rewritten(refused(by_password())["proof"], backend="site.gone.Backend")
    assert_invalid(by_proof(text, str(phone.pk)))


def test_another_tenants_is_none(ada, phone):
    text = rewritten(refused(by_password())["proof"], database="another")
    assert_invalid(by_proof(text, str(phone.pk)))


def test_the_sites_function_is_asked_again(ada, phone, settings):
    proof = refused(by_password())["proof"]
    settings.AUTHX_PASSWORD_LOGIN = "tests.site.password_rules.second_factor"
    answer = by_proof(proof, str(phone.pk))
    assert (answer.status_code, answer.json()["code"]) == (401, "second_factor_required")
    assert live(ada) == {phone.pk}


def test_a_login_of_another_door_is_not_for_this_one(ada, phone):
    """Where the site asked for more than a password, or for something else, its page goes on."""
    text = rewritten(refused(by_password())["proof"], by_password=False)
    assert_invalid(by_proof(text, str(phone.pk)))


def test_no_proof_is_taken_where_no_password_is(ada, phone, settings):
    proof = refused(by_password())["proof"]
    settings.AUTHX_PASSWORD_LOGIN = False
    assert by_proof(proof, str(phone.pk)).status_code == 404


@pytest.mark.parametrize(
    "proof", ["x", "", "a.b", "gAAAA", 7, True, ["x"], {"a": 1}, "é", "\x00", "A" * 4097, "A" * 4000]
)
def test_what_is_none_is_a_clear_4xx(ada, phone, proof):
    answer = by_proof(proof, str(phone.pk))
    assert answer.status_code in {400, 401}
    if answer.status_code == 401:
        assert_invalid(answer)
    assert live(ada) == {phone.pk}


# Who may present it


def test_another_browser_may_not(ada):
    old = open_session(ada, device=Device(type="web")).session
    browser, other = APIClient(), APIClient()
    told = refused(by_password(browser, transport="cookie"))
    refused(by_password(other, transport="cookie"))  # it has a device cookie of its own
    for thief in (other, APIClient()):
        assert_invalid(by_proof(told["proof"], str(old.pk), thief, transport="cookie"))
    assert by_proof(told["proof"], str(old.pk), browser, transport="cookie").status_code == 200


def test_a_browsers_is_not_for_a_body_nor_the_other_way_round(ada, phone):
    browser = APIClient()
    old = open_session(ada, device=Device(type="web")).session
    cookie = refused(by_password(browser, transport="cookie"))["proof"]
    body_id = opened(cookie).holder.partition(":")[2]
    assert_invalid(by_proof(cookie, str(old.pk), browser, device={"id": body_id, "type": "web"}))
    body = refused(by_password(device={"id": body_id, "type": "ios"}))["proof"]
    assert_invalid(by_proof(body, str(phone.pk), browser, transport="cookie", device={"type": "ios"}))


def test_another_device_id_may_not(ada, phone):
    proof = refused(by_password())["proof"]
    for device in ({"id": "other", "type": "android"}, {"type": "android"}):
        assert_invalid(by_proof(proof, str(phone.pk), device=device))


def test_a_client_without_a_device_id_is_bound_to_nothing(ada, phone):
    proof = refused(by_password(device={"type": "ios"}))["proof"]
    assert_invalid(by_proof(proof, str(phone.pk), device={"id": "x", "type": "ios"}))
    assert by_proof(proof, str(phone.pk), device={"type": "ios"}).status_code == 200


def test_another_kind_of_device_may_present_it_and_is_judged_as_what_it_is(ada, phone):
    """A desktop has room beside the phone, but may not end the phone for it: no limit of its counts that."""
    proof = refused(by_password())["proof"]
    answer = by_proof(proof, str(phone.pk), device={"id": "new", "type": "desktop"})
    assert (answer.status_code, list(answer.json())) == (400, ["end"])
    assert phone.pk in live(ada)


# Counted


def test_bad_proofs_count_as_failed_logins_of_their_account(ada, phone, settings):
    settings.AUTHX_LOGIN_RATE = "2/min"
    text = rewritten(refused(by_password())["proof"], expires_at=1)
    for _ in range(2):
        assert_invalid(by_proof(text, str(phone.pk)))
    answer = by_proof(text, str(phone.pk))
    assert answer.status_code == 429
    assert int(answer["Retry-After"]) > 0
    assert by_password().status_code == 429
    assert [event.outcome for event in events("login_failed")] == ["proof_invalid"] * 2
    assert {event.subject for event in events("login_failed")} == {str(ada.pk)}


def test_made_up_ones_count_for_their_address_alone(ada, phone, settings):
    settings.AUTHX_LOGIN_RATE, settings.AUTHX_ADDRESS_RATE = "1/min", "3/min"
    for _ in range(3):
        assert_invalid(by_proof("made-up", str(phone.pk)))
    assert by_proof("made-up", str(phone.pk)).status_code == 429


def test_a_session_that_cannot_be_chosen_counts_too(ada, phone, settings):
    settings.AUTHX_LOGIN_RATE = "2/min"
    proof = refused(by_password())["proof"]
    for _ in range(2):
        assert by_proof(proof, str(uuid4())).status_code == 400
    assert by_proof(proof, str(uuid4())).status_code == 429


def test_good_ones_do_not_count(ada, phone, settings):
    settings.AUTHX_LOGIN_RATE, settings.AUTHX_ADDRESS_RATE = "1/min", "1/min"
    end = str(phone.pk)
    for number in range(3):
        device = {"id": f"new-{number}", "type": "ios"}
        proof = refused(by_password(device=device))["proof"]
        answer = by_proof(proof, end, device=device)
        assert answer.status_code == 200, answer.content
        end = answer.json()["session_id"]


def test_a_question_asked_again_does_not_count(ada, phone, settings):
    settings.AUTHX_LOGIN_RATE = "1/min"
    proof, end = refused(by_password())["proof"], phone
    for _ in range(3):
        end_session(end, EndReason.LOGOUT)
        third = open_session(ada, device=Device(type="ios")).session
        proof, end = refused(by_proof(proof, str(end.pk)))["proof"], third


# Faults and costs


def test_where_the_claims_fail_nothing_has_ended_and_the_proof_is_not_spent(ada, phone, settings):
    proof = refused(by_password())["proof"]
    settings.AUTHX_CLAIMS = "tests.site.views.no_such_function"
    client = APIClient(raise_request_exception=False)
    assert by_proof(proof, str(phone.pk), client).status_code == 500
    settings.AUTHX_CLAIMS = None
    assert live(ada) == {phone.pk}
    assert by_proof(proof, str(phone.pk)).status_code == 200


def test_a_login_with_room_costs_no_statement_more(ada, settings):
    def statements():
        DeviceSession.objects.all().update(ended_at=timezone.now())
        with CaptureQueriesContext(
            connection,
        ) as found:
            assert by_password().status_code == 200
        return len(found)

    statements()
    with_choose = statements()
    settings.AUTHX_SESSION_LIMITS = [{**CHOOSE, "choose": False}, {**WEB, "choose": False}]
    assert statements() == with_choose


def test_spending_is_undone_with_its_transaction(ada, phone):
    proof = opened(refused(by_password())["proof"])

    def fail():
        spend(proof)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        database.transact(fail)
    database.transact(partial(spend, proof))
    with pytest.raises(LoginProofInvalid):
        database.transact(partial(spend, proof))


def test_the_ended_devices_tokens_are_refused_at_once(ada):
    lost = open_session(ada, device=Device(type="ios"))
    by_proof(refused(by_password())["proof"], str(lost.session.pk))
    with pytest.raises(SessionEnded) as ended:
        recognize(lost.access_token)
    assert (ended.value.reason, ended.value.replaced_by) == ("replaced", "android")


def test_no_wait_is_left_over_from_another_request(ada, phone):
    proof = refused(by_password())["proof"]
    request = RequestFactory().post(LOGIN)
    with LoginByProof(request, proof, holder=client_holder("new")):
        assert request_state(request).login_wait == 0
