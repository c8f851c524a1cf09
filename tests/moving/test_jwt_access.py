"""djangorestframework-simplejwt: old access tokens are good for a while, unless something has ended them."""

from datetime import timedelta

import pytest
from django.contrib.auth import get_user_model
from django.db.models import F
from django.utils import timezone
from rest_framework.test import APIClient
from rest_framework_simplejwt.settings import api_settings
from rest_framework_simplejwt.tokens import AccessToken, RefreshToken

from authx.contrib.moving import jwt_access
from authx.models import DeviceSession, NotBeforeMark, SessionEvent
from authx.sessions import end_everyone, end_session, end_user_sessions, open_session

pytestmark = pytest.mark.django_db

WHOAMI = "/api/whoami/"


@pytest.fixture
def token(ada):
    """What the old site gave ada's phone a minute ago."""
    return issued(ada, timedelta(minutes=1))


def issued(user, ago):
    token = AccessToken.for_user(user)
    token.set_iat(at_time=timezone.now() - ago)
    return token


def ask(token, scheme="Bearer"):
    return APIClient().get(WHOAMI, headers={"Authorization": f"{scheme} {token}"})


def kick(ada):
    end_user_sessions(ada, "kicked")


def kick_long_ago(ada):
    kick(ada)
    NotBeforeMark.objects.all().delete()


def kick_everybody(ada):
    end_everyone("kicked")


def kick_one(ada):
    end_session(open_session(ada).session, "kicked")


def log_out(ada):
    end_session(open_session(ada).session, "logout")


def change_password(ada):
    ada.set_password("another")
    ada.save()


def disable(ada):
    ada.is_active = False
    ada.save()


def disable_for_a_while(ada):
    disable(ada)
    ada.is_active = True
    ada.save()


def disable_by_sql(ada):
    get_user_model().objects.update(is_active=False)


def delete(ada):
    ada.delete()


ENDS = [
    *(kick, kick_long_ago, kick_everybody, kick_one, log_out, change_password),
    *(disable, disable_for_a_while, disable_by_sql, delete),
]


def test_it_is_taken_beside_ours(ada, token):
    assert ask(token).json()["user"] == str(ada.pk)
    assert ask(open_session(ada).access_token).json()["user"] == str(ada.pk)


@pytest.mark.parametrize("end", ENDS, ids=lambda end: end.__name__)
def test_whatever_ends_something_of_its_user_ends_it(ada, token, end):
    end(ada)
    answer = ask(token)
    assert answer.status_code == 401, answer.content
    assert answer["WWW-Authenticate"].startswith("Bearer")
    if end in {kick, kick_long_ago, kick_everybody, kick_one}:
        assert (answer.json()["code"], answer.json()["reason"]) == ("token_not_valid", "kicked")


@pytest.mark.parametrize("end", ENDS, ids=lambda end: end.__name__)
def test_nobody_else_notices(ada, bob, token, end):
    end(bob)
    assert ask(token).status_code == (401 if end in {kick_everybody, disable_by_sql} else 200)


@pytest.mark.parametrize("end", [kick, kick_one, change_password, disable_for_a_while])
def test_one_from_later_is_good(ada, end):
    end(ada)
    assert ask(issued(ada, timedelta(0))).status_code == 401, "perhaps of the same second, so nobody knows"
    for rows, column in (
        (SessionEvent._base_manager, "at"),
        (DeviceSession.objects.exclude(ended_at=None), "ended_at"),
        (NotBeforeMark.objects, "at"),
    ):
        rows.update(**{column: F(column) - timedelta(seconds=2)})
    assert ask(issued(ada, timedelta(0))).status_code == 200


def test_the_password_may_be_in_it(ada, monkeypatch):
    monkeypatch.setattr(api_settings, "CHECK_REVOKE_TOKEN", True)
    token = issued(ada, timedelta(minutes=1))
    assert ask(token).status_code == 200
    get_user_model().objects.update(password="another")
    assert ask(token).status_code == 401
    ada.refresh_from_db()
    change_password(ada)
    assert ask(issued(ada, timedelta(0))).status_code == 200


def test_an_end_by_time_is_none_of_it(ada, token):
    session = open_session(ada, now=timezone.now() - timedelta(days=8)).session
    end_session(session, "idle", now=timezone.now())
    assert ask(token).status_code == 200


def test_it_is_over_at_the_date(ada, token, settings):
    settings.AUTHX_MOVING_UNTIL = timezone.now()
    answer = ask(token)
    assert (answer.status_code, answer.json()["code"]) == (401, "token_not_valid")
    assert ask(open_session(ada).access_token).status_code == 200


@pytest.mark.parametrize("kind", ["expired", "refresh", "garbage"])
def test_what_is_no_good_is_refused_in_the_old_words(ada, kind):
    token = {
        "expired": issued(ada, timedelta(days=1)),
        "refresh": RefreshToken.for_user(ada),
        "garbage": "a.b.c",
    }[kind]
    if kind == "expired":
        token.set_exp(lifetime=-timedelta(seconds=1))
    answer = ask(token)
    assert (answer.status_code, answer.json()["code"]) == (401, "token_not_valid")


def test_ours_is_taken_under_the_old_scheme(ada, token, monkeypatch):
    monkeypatch.setattr("rest_framework_simplejwt.authentication.AUTH_HEADER_TYPE_BYTES", {b"JWT"})
    ours = open_session(ada)
    answer = ask(ours.access_token, "JWT")
    assert (answer.status_code, answer.json()["user"]) == (200, str(ada.pk))
    assert "private" in answer["Cache-Control"]
    assert ask(token, "JWT").status_code == 200
    end_session(ours.session, "kicked")
    answer = ask(ours.access_token, "JWT")
    assert (answer.status_code, answer.json()["reason"]) == (401, "kicked")


def test_ours_is_taken_in_the_header_of_the_old_site(ada, token, monkeypatch):
    monkeypatch.setattr(api_settings, "AUTH_HEADER_NAME", "HTTP_X_SHOP_TOKEN", raising=False)
    ours = open_session(ada)
    for each in (ours.access_token, token):
        answer = APIClient().get(WHOAMI, headers={"X-Shop-Token": f"Bearer {each}"})
        assert (answer.status_code, answer.json()["user"]) == (200, str(ada.pk))
    answer = APIClient().get(WHOAMI, headers={"X-Shop-Token": f"Bearer {ours.access_token}"})
    assert "X-Shop-Token" in answer["Vary"].split(", ")
    end_session(ours.session, "kicked")
    answer = APIClient().get(WHOAMI, headers={"X-Shop-Token": f"Bearer {ours.access_token}"})
    assert (answer.status_code, answer.json()["reason"]) == (401, "kicked")


def test_a_client_may_read_the_old_word_for_a_token_that_is_over(ada, settings, rf):
    settings.REST_FRAMEWORK = {
        **settings.REST_FRAMEWORK,
        "EXCEPTION_HANDLER": "authx.contrib.moving.jwt_access.exception_handler",
    }
    ours = open_session(ada)
    end_session(ours.session, "kicked")
    body = ask(ours.access_token).json()
    assert body["code"] == "token_not_valid"
    assert (body["authx_code"], body["reason"]) == ("session_ended", "kicked")
    assert APIClient().get(WHOAMI).json()["code"] == "not_authenticated"


def test_the_store_that_cannot_be_asked_is_no_refusal(ada, token, monkeypatch):
    from django.db import OperationalError

    def fail(*args, **named):
        raise OperationalError("gone")

    monkeypatch.setattr(jwt_access.JWTAuthentication, "get_user", fail)
    answer = ask(token)
    assert (answer.status_code, answer.json()["code"]) == (503, "store_unavailable")
