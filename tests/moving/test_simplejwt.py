"""djangorestframework-simplejwt: an outstanding refresh token becomes one session; nobody is logged out."""

import base64
import json
from datetime import timedelta

import jwt
import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.hashers import ScryptPasswordHasher
from django.core.exceptions import ImproperlyConfigured
from django.db import connection
from django.db.models import F
from django.utils import timezone
from rest_framework.test import APIClient, APIRequestFactory
from rest_framework_simplejwt.exceptions import TokenError
from rest_framework_simplejwt.serializers import TokenRefreshSerializer
from rest_framework_simplejwt.settings import api_settings
from rest_framework_simplejwt.token_blacklist.models import BlacklistedToken, OutstandingToken
from rest_framework_simplejwt.tokens import RefreshToken, SlidingToken

from authx.contrib.moving.jwt_refresh import OldRefreshToken
from authx.contrib.moving.once import OldCredential, move
from authx.contrib.moving.simplejwt import Refresh
from authx.errors import SessionEnded
from authx.models import DeviceSession, NotBeforeMark, SessionEvent
from authx.sessions import end_everyone, end_session, end_user_sessions, open_session
from tests.racing import race

pytestmark = pytest.mark.django_db

REFRESH = "/api/token/refresh/"


@pytest.fixture
def old(ada):
    """What the old site gave ada's phone."""
    return RefreshToken.for_user(ada)


def refresh(api, token, path=REFRESH, **more):
    return api.post(path, {"refresh": str(token), **more})


def pass_time(session_id, by=timedelta(minutes=1)):
    """Let the exchange be so long ago."""
    session = DeviceSession.objects.get(pk=session_id)
    session.created_at -= by
    session.save(update_fields=["created_at"])


def test_an_old_refresh_token_becomes_a_session(api, ada, old):
    answer = refresh(api, old, device={"id": "phone-1", "name": "Ada's phone", "type": "ios"})
    assert answer.status_code == 200, answer.content
    body = answer.json()
    assert body["access"] == body["access_token"]
    assert body["refresh"] == body["refresh_token"]
    session = DeviceSession.objects.get()
    assert (session.user, str(session.pk)) == (ada, body["session_id"])
    assert (session.device_id, session.device_name, session.device_type) == ("phone-1", "Ada's phone", "ios")
    assert (session.amr, session.known_auth_time) == ([], None)
    assert answer["Cache-Control"] == "no-store"
    api.credentials(HTTP_AUTHORIZATION=f"Bearer {body['access']}")
    assert api.get("/api/whoami/").json()["user"] == str(ada.pk)


def test_the_same_token_again_is_the_same_session(api, old):
    first, again = (refresh(api, old).json() for _time in range(2))
    assert first["session_id"] == again["session_id"]
    assert DeviceSession.objects.count() == 1
    for body in (first, again):
        assert refresh(api, body["refresh"]).status_code == 200


def test_after_the_grace_it_is_a_spent_token_that_came_back(api, old):
    body = refresh(api, old).json()
    pass_time(body["session_id"])
    answer = refresh(api, old)
    assert (answer.status_code, answer.json()["code"]) == (401, "refresh_reused")
    assert 'error="invalid_token"' in answer["WWW-Authenticate"]
    answer = refresh(api, old)
    assert (answer.json()["code"], answer.json()["reason"]) == ("session_ended", "reused")
    assert refresh(api, body["refresh"]).json()["reason"] == "reused"


def test_a_site_may_be_more_patient_where_the_answer_was_lost(api, old, django_capture_on_commit_callbacks):
    patient = f"{REFRESH}patient/"
    first = refresh(api, old, patient).json()
    pass_time(first["session_id"], timedelta(days=1))
    second = refresh(api, old, patient)
    assert (second.status_code, second.json()["session_id"]) == (200, first["session_id"])
    with django_capture_on_commit_callbacks(execute=True):
        api.get("/api/whoami/", headers={"Authorization": f"Bearer {second.json()['access']}"})
    assert refresh(api, old, patient).json()["code"] == "refresh_reused"


REUSABLE = f"{REFRESH}reusable/"


def age(hours):
    """Let everything about the one session be so long ago."""
    by = timedelta(hours=hours)
    DeviceSession.objects.update(
        **{name: F(name) - by for name in ("created_at", "rotated_at", "idle_expires_at", "last_seen_at")}
    )


@pytest.mark.django_db(transaction=True)
def test_a_client_that_keeps_the_old_token_lives_on_where_the_site_lets_it(api, ada, old):
    for _day in range(10):  # longer than it may be idle
        tabs = [refresh(api, old, REUSABLE) for _tab in range(2)]
        assert [tab.status_code for tab in tabs] == [200, 200], tabs[0].content
        assert not tabs[0].json().keys() & {"refresh", "refresh_token"}, "one holder is enough"
        headers = {"Authorization": f"Bearer {tabs[-1].json()['access']}"}
        assert api.get("/api/whoami/", headers=headers).status_code == 200
        age(hours=20)
    session = DeviceSession.objects.get()
    assert (session.twin_streak, session.strike_generation) == (0, None)
    end_session(session, "kicked")
    assert refresh(api, old, REUSABLE).json()["reason"] == "kicked"


@pytest.mark.django_db(transaction=True)
@pytest.mark.databases("sqlite", "postgresql", "mariadb")
def test_tabs_that_share_it_are_one_holder(ada, old):
    for _round in range(4):
        answers = race(*[lambda: refresh(APIClient(), old, REUSABLE) for _tab in range(4)])
        assert {answer.status_code for answer in answers} == {200}, [answer.content for answer in answers]
        age(hours=1)
    session = DeviceSession.objects.get()
    assert (session.twin_streak, session.ended_at) == (0, None)


@pytest.mark.parametrize("path", [REFRESH, f"{REFRESH}blacklisting/"])
def test_the_old_site_takes_it_still_unless_this_one_blacklists_it(api, old, path):
    first = refresh(api, old, path).json()
    serializer = TokenRefreshSerializer(data={"refresh": str(old)})
    if path == REFRESH:
        assert serializer.is_valid()
    else:
        with pytest.raises(TokenError, match="blacklisted"):
            serializer.is_valid()
    assert refresh(api, old, path).json()["session_id"] == first["session_id"]


def test_what_is_not_opened_is_not_blacklisted(api, ada, old, settings):
    settings.AUTHX_SESSION_LIMITS = [{"limit": 1, "when_full": "refuse"}]
    open_session(ada)
    answer = refresh(api, old, f"{REFRESH}blacklisting/")
    assert (answer.status_code, answer.json()["code"]) == (409, "session_limit")
    assert not BlacklistedToken.objects.exists()


def test_ours_are_served_at_the_old_path(api, old):
    body = refresh(api, old).json()
    again = refresh(api, body["refresh"]).json()
    assert (again["session_id"], again["refresh"]) == (body["session_id"], body["refresh"])
    answer = api.post(REFRESH, {"refresh_token": body["refresh_token"]})
    assert answer.json()["access"] == answer.json()["access_token"]
    form = api.generic(
        "POST", REFRESH, f"refresh={body['refresh']}", content_type="application/x-www-form-urlencoded"
    )
    assert form.status_code == 200, form.content
    form = api.generic("POST", REFRESH, f"refresh={old}", content_type="application/x-www-form-urlencoded")
    assert form.json()["session_id"] == body["session_id"]


def blacklisted(old):
    old.blacklist()


def disabled(old):
    change(is_active=False)


def disabled_for_a_while(old):
    change(is_active=False)
    change(is_active=True)


def disabled_by_sql(old):
    users().update(is_active=False)


def with_a_new_password(old):
    user = users().get()
    user.set_password("another")
    user.save()


def without_a_password(old):
    user = users().get()
    user.set_unusable_password()
    user.save()


def kicked(old):
    end_user_sessions(users().get(), "kicked")


def kicked_long_ago(old):
    kicked(old)
    NotBeforeMark.objects.all().delete()  # as authx_prune does, hours later


def kicked_with_everybody(old):
    end_everyone("kicked")
    NotBeforeMark.objects.all().delete()


def deleted(old):
    users().delete()


def users():
    return get_user_model().objects.filter(username="ada")


def change(**columns):
    user = users().get()
    for name, value in columns.items():
        setattr(user, name, value)
    user.save()


ENDS = {
    blacklisted: "logout",
    disabled: "user_disabled",
    disabled_for_a_while: "user_disabled",
    disabled_by_sql: "user_disabled",
    with_a_new_password: "password_changed",
    without_a_password: "password_changed",
    kicked: "kicked",
    kicked_long_ago: "kicked",
    kicked_with_everybody: "kicked",
    deleted: "user_deleted",
}


@pytest.mark.parametrize("end", ENDS, ids=lambda end: end.__name__)
def test_whatever_has_ended_it_is_honored(api, old, end):
    end(old)
    answer = refresh(api, old)
    assert answer.status_code == 401, answer.content
    assert (answer.json()["code"], answer.json()["reason"]) == ("session_ended", ENDS[end])
    assert not DeviceSession.objects.exists()


@pytest.mark.parametrize("end", [end for end in ENDS if end is not blacklisted], ids=lambda end: end.__name__)
def test_so_it_is_when_the_session_has_been_opened(api, old, end):
    body = refresh(api, old).json()
    end(old)
    for token in (old, body["refresh"]):
        answer = refresh(api, token)
        assert (answer.status_code, answer.json()["code"]) == (401, "session_ended"), answer.content


def test_the_sites_own_rule_about_users_is_asked(api, old, monkeypatch):
    monkeypatch.setattr(api_settings, "USER_AUTHENTICATION_RULE", lambda user: user.username != "ada")
    answer = refresh(api, old)
    assert (answer.status_code, answer.json()["reason"]) == (401, "user_disabled")
    assert not DeviceSession.objects.exists()


def test_when_it_was_noted_is_no_younger_than_when_it_was_issued(api, ada):
    """simplejwt notes a token when it is issued, or as late as when it is blacklisted."""
    token = RefreshToken()
    token["uid"] = str(ada.pk)
    token.set_iat(at_time=timezone.now() - timedelta(hours=2))
    end_user_sessions(ada, "kicked", now=timezone.now() - timedelta(hours=1))
    OutstandingToken.objects.create(
        user=ada, jti=token["jti"], token=str(token), created_at=timezone.now(), expires_at=timezone.now()
    )
    answer = refresh(api, token)
    assert (answer.status_code, answer.json()["reason"]) == (401, "kicked"), answer.content


def test_a_kick_between_the_look_at_it_and_its_session_is_honored_too(ada, old):
    looked = OldRefreshToken(str(old))

    def admit():
        user = looked.admit()
        if not NotBeforeMark.objects.exists():
            kicked(old)
        return user

    with pytest.raises(SessionEnded, match="kicked"):
        move(OldCredential(mark=looked.mark, admit=admit), None)
    assert not DeviceSession.objects.exists()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("atomic", [False, True])
def test_what_is_decided_stays_also_in_a_site_of_transactions(api, old, atomic, monkeypatch):
    monkeypatch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", atomic)
    body = refresh(api, old).json()
    pass_time(body["session_id"])
    assert refresh(api, old).json()["code"] == "refresh_reused"
    assert DeviceSession.objects.get().end_reason == "reused"


def test_a_token_without_an_id_is_known_by_all_that_it_says(api, ada, monkeypatch):
    monkeypatch.setattr(api_settings, "JTI_CLAIM", None)
    payload = {"token_type": "refresh", "uid": str(ada.pk), "exp": 9_999_999_999, "iat": 1}
    payload |= {"iss": "https://shop.example", "aud": "shop"}
    one, other = (jwt.encode({**payload, "n": n}, api_settings.SIGNING_KEY, "HS256") for n in (1, 2))
    ids = [refresh(api, token).json()["session_id"] for token in (one, other, one)]
    assert ids[0] == ids[2] != ids[1]


@pytest.mark.parametrize("kind", ["json", "form"])
def test_a_login_names_the_account_as_its_field_is_called(api, ada, password, kind, monkeypatch):
    monkeypatch.setattr(get_user_model(), "USERNAME_FIELD", "email")
    if kind == "json":
        answer = api.post("/api/token/", {"email": ada.email, "password": password})
    else:
        body, kind = f"email={ada.email}&password={password}", "application/x-www-form-urlencoded"
        answer = api.generic("POST", "/api/token/", body, content_type=kind)
    assert answer.status_code == 200, answer.content
    assert answer.json()["refresh"]


def test_a_save_that_changes_neither_ends_nothing(api, ada, old):
    ada.email = "ada@shop.example"
    ada.save()
    ada.last_login = timezone.now()
    ada.save(update_fields=["last_login"])
    assert refresh(api, old).status_code == 200


def test_a_better_hash_of_the_same_password_ends_nothing(api, ada, old, password, settings, monkeypatch):
    monkeypatch.setattr(ScryptPasswordHasher, "work_factor", 2)  # quick
    settings.PASSWORD_HASHERS = [
        "django.contrib.auth.hashers.ScryptPasswordHasher",
        *settings.PASSWORD_HASHERS,
    ]
    before = ada.password
    assert ada.check_password(password)
    assert ada.password != before
    assert refresh(api, old).status_code == 200


def test_a_token_from_after_it_is_good(api, ada, old):
    with_a_new_password(old)
    ada.refresh_from_db()
    new = RefreshToken.for_user(ada)
    OutstandingToken.objects.filter(jti=new["jti"]).update(created_at=timezone.now() + timedelta(seconds=1))
    assert refresh(api, new).status_code == 200
    assert refresh(api, old).json()["reason"] == "password_changed"


def test_the_password_may_be_in_the_token(api, ada, monkeypatch):
    monkeypatch.setattr(api_settings, "CHECK_REVOKE_TOKEN", True)
    old = RefreshToken.for_user(ada)
    users().update(password="another")
    assert refresh(api, old).json()["reason"] == "password_changed"
    ada.refresh_from_db()
    assert refresh(api, RefreshToken.for_user(ada)).status_code == 200


def expired(ada):
    token = RefreshToken.for_user(ada)
    token.set_exp(lifetime=-timedelta(seconds=1))
    return token


def without_a_user(ada):
    token = RefreshToken.for_user(ada)
    del token["uid"]
    return token


def of_nobody(ada):
    token = RefreshToken.for_user(ada)
    token["uid"] = "no number"
    return token


def of_a_giant(ada):
    token = RefreshToken.for_user(ada)
    token["uid"] = 10**40
    return token


def signed_by_another(ada):
    payload = RefreshToken.for_user(ada).payload | {"iss": "https://shop.example", "aud": "shop"}
    return jwt.encode(payload, "another key that is long enough to be one", "HS256")


def of_another_issuer(ada):
    payload = RefreshToken.for_user(ada).payload | {"iss": "https://other.example", "aud": "shop"}
    return jwt.encode(payload, api_settings.SIGNING_KEY, "HS256")


def for_another_audience(ada):
    payload = RefreshToken.for_user(ada).payload | {"iss": "https://shop.example", "aud": "other"}
    return jwt.encode(payload, api_settings.SIGNING_KEY, "HS256")


def unsigned(ada):
    return jwt.encode(RefreshToken.for_user(ada).payload, "", "none")


def an_access_token(ada):
    return RefreshToken.for_user(ada).access_token


def ours_with_a_wrong_end(ada):
    token = open_session(ada).refresh_token
    return token[:-1] + ("A" if token[-1] != "A" else "B")


def nested(ada):
    header = base64.urlsafe_b64encode(b"[" * 9000).decode().rstrip("=")
    return f"{header}.e30.c2ln"


@pytest.mark.parametrize(
    ("make", "code"),
    [
        (expired, "session_ended"),
        (of_nobody, "session_ended"),
        (of_a_giant, "session_ended"),
        (without_a_user, "refresh_malformed"),
        (signed_by_another, "refresh_malformed"),
        (of_another_issuer, "refresh_malformed"),
        (for_another_audience, "refresh_malformed"),
        (unsigned, "refresh_malformed"),
        (an_access_token, "refresh_malformed"),
        (ours_with_a_wrong_end, "refresh_malformed"),
        (nested, "refresh_malformed"),
    ],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_what_is_no_good_opens_nothing(api, ada, make, code):
    token = make(ada)
    before = DeviceSession.objects.count()
    answer = refresh(api, token)
    assert (answer.status_code, answer.json()["code"]) == (401, code), answer.content
    assert DeviceSession.objects.count() == before


@pytest.mark.parametrize("sent", [1, True, [], {}, "", " ", "\x00", "a.b.c", "é.é.é", "x" * 20_000, "\ud800"])
def test_nor_does_what_is_no_token(api, sent):
    body = json.dumps({"refresh": sent})
    answer = api.generic("POST", REFRESH, body, content_type="application/json")
    assert (answer.status_code, answer.json()["code"]) == (401, "refresh_malformed"), answer.content


@pytest.mark.parametrize(
    "device", [1, "phone", {"id": 7}, {"id": "x" * 129}, {"type": "toaster"}, {"id": "\n"}]
)
def test_a_device_that_is_none_is_a_bad_request_and_spends_nothing(api, old, device):
    answer = refresh(api, old, device=device)
    assert answer.status_code in {200, 400}, answer.content
    if answer.status_code == 400:
        assert not DeviceSession.objects.exists()
        assert refresh(api, old).status_code == 200


def test_one_token_has_one_spelling(api, old):
    text = str(old)
    last = text[-1]
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    at = alphabet.index(last)
    others = [text[:-1] + alphabet[(at + step) % 64] for step in (1, 2, 3, 4, 63)]
    ids = {
        answer.json()["session_id"]
        for each in [text, *others]
        if (answer := refresh(api, each)).status_code == 200
    }
    assert len(ids) == 1


def test_guesses_are_counted_by_address_and_old_tokens_are_none(api, ada, old, settings):
    settings.AUTHX_ADDRESS_RATE = "3/min"
    past = expired(ada)
    assert [refresh(api, past).status_code for _time in range(5)] == [401] * 5
    assert [refresh(api, signed_by_another(ada)).status_code for _time in range(4)] == [401, 401, 401, 429]
    answer = refresh(api, old)
    assert (answer.status_code, answer.json()["code"]) == (429, "throttled")
    assert int(answer["Retry-After"]) > 0


def test_one_token_is_exchanged_as_often_as_a_session_is_refreshed(api, old, settings):
    settings.AUTHX_REFRESH_RATE = "2/min"
    assert [refresh(api, old).status_code for _time in range(3)] == [200, 200, 429]


def test_it_is_over_at_the_date(api, old, settings):
    settings.AUTHX_MOVING_UNTIL = timezone.now()
    answer = refresh(api, old)
    assert (answer.status_code, answer.json()["reason"]) == (401, "expired")
    settings.AUTHX_MOVING_UNTIL = timezone.now() + timedelta(minutes=1)
    body = refresh(api, old).json()
    settings.AUTHX_MOVING_UNTIL = timezone.now()
    assert refresh(api, body["refresh"]).status_code == 200, "ours goes on"


def test_without_a_date_nothing_is_taken(api, old, settings):
    settings.AUTHX_MOVING_UNTIL = None
    with pytest.raises(ImproperlyConfigured, match="AUTHX_MOVING_UNTIL"):
        refresh(api, old)


def test_a_sliding_token_has_its_own_end(api, ada):
    sliding = SlidingToken.for_user(ada)
    view = Refresh.as_view(token_class=SlidingToken)
    body = {"refresh": str(sliding)}
    request = APIRequestFactory().post("/", body, format="json")
    assert view(request).status_code == 200
    sliding = SlidingToken.for_user(ada)
    sliding.set_exp("refresh_exp", lifetime=-timedelta(seconds=1))
    request = APIRequestFactory().post("/", {"refresh": str(sliding)}, format="json")
    assert view(request).status_code == 401


def test_a_login_at_the_old_path_is_a_session_at_once(api, ada, password):
    answer = api.post("/api/token/", {"username": "ada", "password": password, "device": {"id": "tablet"}})
    body = answer.json()
    assert (body["access"], body["refresh"]) == (body["access_token"], body["refresh_token"])
    assert DeviceSession.objects.get().device_id == "tablet"
    answer = api.post("/api/token/", {"username": "ada", "password": "wrong"})
    assert (answer.status_code, answer.json()["code"]) == (401, "invalid_credentials")


def test_a_token_without_a_name_is_signed_out_as_its_session(api, old, monkeypatch):
    monkeypatch.setattr(api_settings, "JTI_CLAIM", None)
    assert api.post("/api/token/blacklist/", {"refresh": str(old)}).status_code == 200
    body = refresh(api, old).json()
    assert api.post("/api/token/blacklist/", {"refresh": str(old)}).status_code == 200
    assert refresh(api, body["refresh"]).json()["reason"] == "logout"


@pytest.mark.parametrize("which", ["old", "ours", "moved"])
def test_blacklisting_signs_out(api, ada, old, which):
    body = refresh(api, old).json() if which != "old" else {}
    sent = body["refresh"] if which == "ours" else str(old)
    answer = api.post("/api/token/blacklist/", {"refresh": sent})
    assert (answer.status_code, answer.json()) == (200, {})
    answer = refresh(api, old if which == "old" else body["refresh"])
    assert (answer.json()["code"], answer.json()["reason"]) == ("session_ended", "logout")
    assert refresh(api, old).status_code == 401


def test_verify_takes_the_tokens_of_both(api, ada, old):
    ours = open_session(ada)
    good = [str(old.access_token), ours.access_token, ours.refresh_token]
    for token in good:
        assert api.post("/api/token/verify/", {"token": token}).status_code == 200
    end_session(ours.session, "kicked")
    for token in [*good, "a.b.c", "", None, 7]:
        answer = api.post("/api/token/verify/", {"token": token}, format="json")
        assert (answer.status_code, answer.json()["code"]) == (401, "token_malformed"), token


def verified(api, token):
    return api.post("/api/token/verify/", {"token": str(token)}).status_code


@pytest.mark.parametrize("end", [end for end in ENDS if end is not blacklisted], ids=lambda end: end.__name__)
@pytest.mark.parametrize("has_moved", [False, True])
def test_verify_takes_an_old_refresh_token_as_long_as_it_is_good(api, old, end, has_moved):
    if has_moved:
        refresh(api, old)
    assert verified(api, old) == 200
    end(old)
    assert verified(api, old) == 401
    assert DeviceSession.objects.count() == has_moved, "to ask opens nothing, and spends nothing"


def test_verify_takes_none_that_is_blacklisted_or_too_old(api, ada, old, settings):
    old.blacklist()
    late = RefreshToken.for_user(ada)
    assert [verified(api, token) for token in (old, late)] == [401, 200]
    settings.AUTHX_MOVING_UNTIL = timezone.now()
    assert verified(api, late) == 401


@pytest.mark.django_db(transaction=True)
@pytest.mark.databases("sqlite", "postgresql", "mariadb")
@pytest.mark.parametrize("path", [REFRESH, f"{REFRESH}blacklisting/"])
def test_many_at_once_open_one_session(ada, old, path):
    answers = race(*[lambda: refresh(APIClient(), old, path) for _actor in range(6)])
    assert {answer.status_code for answer in answers} == {200}, answers
    assert len({answer.json()["session_id"] for answer in answers}) == 1
    assert DeviceSession.objects.count() == 1
    assert SessionEvent.objects.filter(kind="opened").count() == 1
