"""django-rest-knox and DRF's authtoken: a token without a refresh becomes a session for its device, once."""

from datetime import timedelta

import pytest
from django.utils import timezone
from knox.models import AuthToken
from rest_framework.authtoken.models import Token
from rest_framework.test import APIClient

from authx.contrib.moving.once import OldCredential, mark_of, move
from authx.errors import RefreshMalformed, SessionEnded
from authx.models import DeviceSession
from authx.sessions import end_session, end_user_sessions
from tests.moving.test_simplejwt import pass_time
from tests.racing import race

pytestmark = pytest.mark.django_db

KNOX, DELETING, AUTHTOKEN = "/api/knox/", "/api/knox/deleting/", "/api/authtoken/"
PHONE = {"id": "phone-1", "type": "ios"}


@pytest.fixture
def knox(ada):
    """The token of ada's phone."""
    return AuthToken.objects.create(ada)[1]


@pytest.fixture
def token(ada):
    """The one token of all of ada's devices."""
    return Token.objects.create(user=ada).key


def post(path, text=None, client=None, scheme=None, **body):
    client = client or APIClient()
    headers = {} if scheme is None else {"Authorization": f"{scheme} {text}"}
    body = body if scheme else {"token": text, **body}
    return client.post(path, body, format="json", headers=headers)


@pytest.mark.parametrize("scheme", [None, "Token", "token"])
@pytest.mark.parametrize("path", [KNOX, AUTHTOKEN])
def test_a_token_becomes_a_session(ada, knox, token, path, scheme):
    answer = post(path, knox if path == KNOX else token, scheme=scheme, device=PHONE)
    assert answer.status_code == 200, answer.content
    session = DeviceSession.objects.get()
    assert (session.user, session.device_id, session.device_type) == (ada, "phone-1", "ios")
    assert str(session.pk) == answer.json()["session_id"]
    assert answer["Cache-Control"] == "no-store"
    again = post(path, knox if path == KNOX else token, device=PHONE).json()
    assert again["session_id"] == answer.json()["session_id"]
    pass_time(again["session_id"])
    late = post(path, knox if path == KNOX else token, device=PHONE)
    assert (late.status_code, late.json()["code"]) == (401, "refresh_reused")


@pytest.mark.parametrize("path", [KNOX, DELETING])
def test_knox_keeps_its_token_or_not(knox, path):
    first = post(path, knox).json()
    assert AuthToken.objects.exists() is (path == KNOX)
    assert post(path, knox).json()["session_id"] == first["session_id"]


def test_a_device_of_authtoken_says_which_it_is(token):
    for device in ({}, {"id": ""}, {"name": "phone"}):
        answer = post(AUTHTOKEN, token, device=device)
        assert (answer.status_code, list(answer.json())) == (400, ["device"])
    assert post(AUTHTOKEN, token).status_code == 400
    ids = {
        post(AUTHTOKEN, token, device={"id": name}).json()["session_id"]
        for name in ("phone", "laptop", "phone")
    }
    assert len(ids) == DeviceSession.objects.live().count() == 2


def test_a_stolen_token_opens_no_more_sessions_than_logins_are_tried(token, settings):
    settings.AUTHX_LOGIN_RATE = "3/min"
    answers = [post(AUTHTOKEN, token, device={"id": f"device-{n}"}).status_code for n in range(5)]
    assert answers == [200, 200, 200, 429, 429]


def expire(user):
    AuthToken.objects.update(expiry=timezone.now() - timedelta(seconds=1))
    Token.objects.all().delete()


def kick(user):
    end_user_sessions(user, "kicked")


def change_password(user):
    user.set_password("another")
    user.save()


def disable(user):
    user.is_active = False
    user.save()


def disable_for_a_while(user):
    disable(user)
    user.is_active = True
    user.save()


@pytest.mark.parametrize("end", [expire, kick, change_password, disable, disable_for_a_while])
@pytest.mark.parametrize("path", [KNOX, DELETING, AUTHTOKEN])
def test_what_is_over_opens_nothing(ada, knox, token, path, end):
    end(ada)
    text = token if path == AUTHTOKEN else knox
    answer = post(path, text, device=PHONE)
    assert answer.status_code == 401, answer.content
    assert answer.json()["code"] in {"refresh_malformed", "session_ended"}
    assert not DeviceSession.objects.exists()


@pytest.mark.parametrize("path", [KNOX, AUTHTOKEN])
@pytest.mark.parametrize("text", ["x" * 40, "", " ", 7, [], "\x00", "é", "a b", "x" * 5000])
def test_what_is_no_token_opens_nothing(ada, path, text):
    answer = post(path, text, device=PHONE)
    assert (answer.status_code, answer.json()["code"]) == (401, "refresh_malformed")
    assert post(path, device=PHONE).json()["code"] == "not_authenticated"
    assert post(path, "x", scheme="Basic", device=PHONE).json()["code"] == "not_authenticated"


def test_a_login_after_a_kick_has_a_token_of_its_own(ada, token):
    kick(ada)
    assert not Token.objects.exists()
    new, _is_new = Token.objects.get_or_create(user=ada)
    assert post(AUTHTOKEN, new.key, device=PHONE).status_code == 200


def test_old_headers_are_taken_until_the_date(ada, knox, token, settings):
    def statuses():
        client = APIClient()
        return [
            client.get(path, headers={"Authorization": f"Token {text}"}).status_code
            for path, text in (("/judged/knox/", knox), ("/judged/authtoken/", token))
        ]

    assert statuses() == [200, 200]
    settings.AUTHX_MOVING_UNTIL = timezone.now()
    assert statuses() == [401, 401]
    settings.AUTHX_MOVING_UNTIL = timezone.now() + timedelta(days=1)
    moved = post(KNOX, knox).json()["session_id"]
    assert statuses() == [200, 200]
    end_session(DeviceSession.objects.get(pk=moved), "kicked")
    assert statuses() == [401, 200], "knox's is one device, the other is many"
    kick(ada)
    assert statuses() == [401, 401]
    answer = APIClient().get("/judged/knox/", headers={"Authorization": "Token \xff\xfe"})
    assert answer.status_code == 401


@pytest.mark.django_db(transaction=True)
@pytest.mark.databases("sqlite", "postgresql", "mariadb")
@pytest.mark.parametrize("path", [KNOX, DELETING, AUTHTOKEN])
def test_many_at_once_open_one_session(knox, token, path):
    text = token if path == AUTHTOKEN else knox
    answers = race(*[lambda: post(path, text, device=PHONE) for _actor in range(6)])
    assert {answer.status_code for answer in answers} == {200}, answers
    assert len({answer.json()["session_id"] for answer in answers}) == 1
    assert DeviceSession.objects.count() == 1


@pytest.mark.parametrize("gone", [RefreshMalformed("no such token"), SessionEnded("logout")])
def test_whoever_is_overtaken_is_answered_with_the_same_session(ada, gone):
    """The other has opened it, and taken the credential away, before this one is looked at."""
    mark, first = mark_of("knox", "digest"), []

    def overtaken():
        if not first:
            winner = OldCredential(mark=mark, admit=lambda: ada, spend=lambda: None, backend="")
            first.append(move(winner, None))
        raise gone

    found = move(OldCredential(mark=mark, admit=overtaken, spend=lambda: None, backend=""), None)
    assert found.session.pk == first[0].session.pk
    assert DeviceSession.objects.count() == 1
