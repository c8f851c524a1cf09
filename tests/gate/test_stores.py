"""The doors on each store and lag: nearly free, and no less strict."""

import os
import sys
import uuid
from datetime import timedelta
from types import ModuleType

import pytest
from django.contrib.auth import get_user_model
from django.core.cache import caches
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from rest_framework.permissions import IsAuthenticated
from rest_framework.response import Response
from rest_framework.test import APIRequestFactory
from rest_framework.views import APIView

from authx.errors import SessionEnded, StoreUnavailable, TokenMalformed
from authx.gate import verify_access_token
from authx.gate.revocation import sources
from authx.models import DeviceSession
from authx.sessions import end_session, open_session, recognize, refresh_session
from authx.sessions.activity import LAST_SEEN_INTERVAL, uses
from authx.sessions.authentication import Caller
from authx.sessions.known_user import KnownUser
from tests.documented import documented
from tests.reading import admit
from tests.rows import row
from tests.sessions.test_refreshing import outage

LAG = timedelta(seconds=1)
WHOAMI = "/api/whoami/"


def redis_cache():
    """A django-redis cache with a prefix of its own; skips where no Redis answers."""
    redis = pytest.importorskip("redis")
    url = os.environ.get("AUTHX_TEST_REDIS", "redis://127.0.0.1:6379/0")
    try:
        redis.Redis.from_url(url, socket_connect_timeout=1).ping()
    except redis.RedisError:
        pytest.skip("no Redis answers")
    return {"BACKEND": "django_redis.cache.RedisCache", "LOCATION": url, "KEY_PREFIX": uuid.uuid4().hex}


def choose(settings, store, lag=timedelta(0)):
    if store == "redis":
        settings.CACHES = {**settings.CACHES, "sessions": redis_cache()}
        settings.AUTHX_REDIS_ALIAS = "sessions"
    settings.AUTHX_REVOCATION_STORE, settings.AUTHX_REVOCATION_LAG = store, lag


@pytest.fixture(autouse=True)
def _forgetful():
    """Each test is a process of its own, as far as copies go."""
    uses.clear()
    sources._copies.clear()
    yield
    uses.clear()
    sources._copies.clear()


QUICK = [("database", LAG), ("redis", timedelta(0)), ("redis", LAG)]
NAMES = ["database, lag", "redis", "redis, lag"]


@pytest.fixture(params=QUICK, ids=NAMES)
def quick(request, settings):
    choose(settings, *request.param)
    return request.param


@pytest.fixture(params=[("database", timedelta(0)), *QUICK], ids=["database", *NAMES])
def each(request, settings):
    choose(settings, *request.param)
    return request.param


@pytest.fixture
def opened(transactional_db, ada):
    return open_session(ada)


@pytest.fixture
def bearer(api, opened):
    api.credentials(HTTP_AUTHORIZATION=f"Bearer {opened.access_token}")
    return api


def queries(call):
    with CaptureQueriesContext(connection) as asked:
        answer = call()
    return answer, len(asked)


# --- what it costs


def test_a_request_costs_no_statement(quick, bearer, ada, settings):
    settings.AUTHX_REVOCATION_LAG *= 300  # no reading is due while we count
    bearer.get(WHOAMI)
    for _ in range(3):
        answer, asked = queries(lambda: bearer.get(WHOAMI))
        assert (answer.status_code, answer.json()["user"], asked) == (200, str(ada.pk), 0)


def test_with_the_database_it_costs_one(bearer, ada, settings):
    bearer.get(WHOAMI)
    answer, asked = queries(lambda: bearer.get(WHOAMI))
    assert (answer.status_code, asked) == (200, 1)


def test_a_request_costs_redis_one_command(settings, bearer):
    choose(settings, "redis")
    bearer.get(WHOAMI)
    store = sources._redis("sessions", "default")
    calls = []
    execute = store._connections.execute
    store._connections.execute = lambda *words: calls.append(words[0]) or execute(*words)
    store._client.execute_command = None  # whoever called it would fail
    for _ in range(5):
        assert bearer.get(WHOAMI).status_code == 200
    assert calls == ["EVALSHA"] * 5


def test_a_lag_costs_redis_nothing(settings, bearer):
    choose(settings, "redis", timedelta(minutes=5))
    bearer.get(WHOAMI)
    store = sources._redis("sessions", "default")
    store._client.execute_command = store._connections.execute = None  # whoever called one would fail
    for _ in range(5):
        assert bearer.get(WHOAMI).status_code == 200


# --- what ends a session ends it


def test_an_ending_is_seen_at_once_in_this_process_and_says_why(each, bearer, opened):
    assert bearer.get(WHOAMI).status_code == 200
    end_session(opened.session, "kicked")
    answer = bearer.get(WHOAMI)
    assert (answer.status_code, answer.json()["code"], answer.json()["reason"]) == (
        401,
        "session_ended",
        "kicked",
    )
    assert "session_ended kicked" in answer["WWW-Authenticate"]


def test_what_took_the_place_is_said(each, transactional_db, ada):
    from authx.sessions import Device

    first = open_session(ada, device=Device(id="phone-1", type="ios"))
    verify_access_token(first.access_token)
    open_session(ada, device=Device(id="phone-1", type="ios"))
    with pytest.raises(SessionEnded) as caught:
        admit(first.access_token)
    assert (caught.value.reason, caught.value.replaced_by) == ("replaced", "ios")
    assert caught.value.sid == first.session.pk


def test_the_gate_and_recognize_agree(each, opened):
    assert verify_access_token(opened.access_token).sid == str(opened.session.pk)
    assert recognize(opened.access_token).pk == opened.session.pk
    end_session(opened.session, "logout")
    for ask in (verify_access_token, recognize, admit):
        with pytest.raises(SessionEnded, match="logout"):
            ask(opened.access_token)


def test_the_database_has_the_last_word_on_a_hit(quick, opened):
    verify_access_token(opened.access_token)
    sources.publish({str(opened.session.pk): "kicked"})
    assert verify_access_token(opened.access_token).sid == str(opened.session.pk)


def test_a_hit_stands_where_the_database_does_not_answer(quick, opened):
    verify_access_token(opened.access_token)
    end_session(opened.session, "kicked")
    with outage(), pytest.raises(SessionEnded, match="kicked"):
        verify_access_token(opened.access_token)


# --- what write access to Redis can do


@pytest.fixture
def hash_of(settings, bearer):
    """The store on Redis, its lease given, and a way to speak to its hash."""
    choose(settings, "redis")
    bearer.get(WHOAMI)
    assert bearer.get(WHOAMI).status_code == 200
    store = sources._redis("sessions", "default")
    return lambda command, *words: store._client.execute_command(command, store.key, *words)


def test_a_line_deleted_from_redis_lets_nobody_in(hash_of, bearer, opened):
    end_session(opened.session, "kicked")
    assert hash_of("HDEL", str(opened.session.pk)) == 1
    assert bearer.get(WHOAMI).status_code == 401


def test_a_hash_that_lives_on_lets_nobody_in(hash_of, bearer, opened):
    end_session(opened.session, "kicked")
    hash_of("HDEL", str(opened.session.pk))
    hash_of("HINCRBY", "fields", -1)  # as if it had never been written
    hash_of("EXPIRE", 300)
    assert bearer.get(WHOAMI).status_code == 401


def test_who_forges_the_whole_hides_an_ending_from_what_reads_no_row_alone(hash_of, bearer, opened, api):
    end_session(opened.session, "kicked")
    hash_of("HDEL", str(opened.session.pk))
    hash_of("HSET", "another", "kicked")
    assert bearer.get(WHOAMI).status_code == 200
    with pytest.raises(SessionEnded):
        recognize(opened.access_token)
    with pytest.raises(SessionEnded):
        refresh_session(opened.refresh_token)
    browser = Client()
    browser.cookies["__Host-authx_access"] = opened.access_token
    assert browser.get("/whoami/").json()["user"] is None


def test_who_writes_endings_into_redis_signs_nobody_out(hash_of, bearer, opened, ada):
    names = [str(opened.session.pk), "*", f"@{ada.pk}", f"!{opened.claims.kid}"]
    for name in names:
        hash_of("HSET", name, "9:kicked")
    hash_of("HINCRBY", "fields", len(names))
    assert bearer.get(WHOAMI).status_code == 200


def test_a_good_token_is_served_while_the_database_is_away(quick, bearer):
    assert bearer.get(WHOAMI).status_code == 200
    with outage():
        assert bearer.get(WHOAMI).status_code == 200


def test_where_nobody_knows_it_is_503(each, bearer, settings):
    with outage():
        answer = bearer.get(WHOAMI)
    assert answer.status_code == 503
    assert answer["Retry-After"]
    assert bearer.get(WHOAMI).status_code == 200


def test_a_test_case_that_never_commits_sees_its_endings_too(settings, ada, api):
    choose(settings, "database", LAG)
    opened = open_session(ada)
    api.credentials(HTTP_AUTHORIZATION=f"Bearer {opened.access_token}")
    end_session(opened.session, "kicked")
    assert api.get(WHOAMI).status_code == 401


# --- the user, known by key


def view_of(look):
    class View(APIView):
        permission_classes = [IsAuthenticated]

        def get(self, request):
            return Response({"saw": look(request)})

    return View.as_view()


def visit(opened, look):
    request = APIRequestFactory().get("/", HTTP_AUTHORIZATION=f"Bearer {opened.access_token}")
    return view_of(look)(request)


@pytest.mark.parametrize(
    "look",
    [
        lambda request: request.user.is_authenticated and not request.user.is_anonymous,
        lambda request: bool(request.user),
        lambda request: str(request.user.pk),
        lambda request: str(request.user.id),
        lambda request: isinstance(request.user, get_user_model()),
        lambda request: request.user == get_user_model()(pk=request.user.pk),
        lambda request: request.user != get_user_model()(pk=0),
        lambda request: hash(request.user) == hash(get_user_model()(pk=request.user.pk)),
        lambda request: request.user._meta.model_name,
    ],
)
def test_what_the_token_tells_of_a_user_costs_nothing(quick, opened, look):
    visit(opened, look)
    answer, asked = queries(lambda: visit(opened, look))
    assert (answer.status_code, asked) == (200, 0)
    assert answer.data["saw"]


def test_a_user_that_is_touched_is_read_once(quick, opened, ada):
    def look(request):
        return [request.user.username, request.user.email, request.user.is_active, str(request.user)]

    visit(opened, lambda request: True)
    answer, asked = queries(lambda: visit(opened, look))
    assert (answer.data["saw"], asked) == ([ada.username, ada.email, True, str(ada)], 1)


def test_it_can_be_used_like_any_user(quick, opened, ada, bob):
    def look(request):
        user = request.user
        assert user == ada
        assert ada == user
        assert user != bob
        assert list(DeviceSession.objects.filter(user=user)) == [opened.session]
        user.first_name = "Ada"
        user.save()
        assert "password" not in repr(user)
        return user.has_perm("nothing.at_all")

    assert visit(opened, look).data["saw"] is False
    ada.refresh_from_db()
    assert ada.first_name == "Ada"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda users: users.update(is_active=False), "user_disabled"),
        (lambda users: users.update(password="md5$another$0123456789abcdef"), "password_changed"),
        (lambda users: users._raw_delete("default"), "user_deleted"),
    ],
)
def test_who_may_no_longer_is_found_out_when_the_user_is_touched(quick, opened, ada, change, reason):
    visit(opened, lambda request: True)
    if reason == "user_deleted":
        DeviceSession.objects.update(user=None)
        ada.delete()
    else:
        change(get_user_model().objects.filter(pk=ada.pk))
    answer = visit(opened, lambda request: request.user.username)
    answer.render()
    assert (answer.status_code, answer.data["code"], answer.data["reason"]) == (401, "session_ended", reason)
    assert visit(opened, lambda request: True).status_code == 401  # and is written down


def test_a_user_that_cannot_be_read_is_503(quick, opened):
    visit(opened, lambda request: True)
    with outage():
        answer = visit(opened, lambda request: request.user.username)
    assert answer.status_code == 503


def test_the_session_is_read_when_asked_for(quick, bearer, opened):
    bearer.get(WHOAMI)
    answer = bearer.get("/api/auth/session/")
    assert answer.json()["id"] == str(opened.session.pk)
    assert answer.json()["current"] is True


def test_a_token_of_another_subject_is_malformed(quick, opened, bob):
    DeviceSession.objects.filter(pk=opened.session.pk).update(subject=str(bob.pk), user=bob)
    caller = admit(opened.access_token)
    with pytest.raises(TokenMalformed):
        _ = caller.session


def test_a_subject_that_is_no_key_is_malformed(opened):
    from dataclasses import replace

    with pytest.raises(TokenMalformed):
        Caller(replace(opened.claims, sub="not a number")).user()


def test_a_known_user_can_be_copied(opened, ada):
    import copy
    import pickle

    known = KnownUser(ada.pk, lambda: ada)
    assert copy.copy(known) == ada
    assert pickle.loads(pickle.dumps(known)) == ada


# --- T2 and last seen, without the row


def test_the_first_use_confirms_its_generation_once(quick, bearer, opened):
    bearer.get(WHOAMI)
    assert row(opened).confirmed_generation == 1
    DeviceSession.objects.update(confirmed_generation=0)
    bearer.get(WHOAMI)
    assert row(opened).confirmed_generation == 0  # the process remembers that it was written


def test_a_new_generation_is_confirmed_too(quick, bearer, opened, settings):
    bearer.get(WHOAMI)
    settings.AUTHX_REFRESH_GRACE = timedelta(microseconds=1)
    newer = refresh_session(opened.refresh_token)
    assert (row(opened).generation, row(opened).confirmed_generation) == (2, 1)
    bearer.get(WHOAMI)  # the older token confirms nothing
    assert row(opened).confirmed_generation == 1
    bearer.credentials(HTTP_AUTHORIZATION=f"Bearer {newer.access_token}")
    bearer.get(WHOAMI)
    assert row(opened).confirmed_generation == 2


def test_a_write_that_failed_is_tried_again(quick, bearer, opened, monkeypatch):
    bearer.get(WHOAMI)
    uses.clear()
    DeviceSession.objects.update(confirmed_generation=0)
    with outage():
        assert bearer.get(WHOAMI).status_code == 200
    assert row(opened).confirmed_generation == 0
    monkeypatch.setattr(uses, "_rest_until", float("-inf"))
    bearer.get(WHOAMI)
    assert row(opened).confirmed_generation == 1


def test_a_database_that_is_away_is_not_asked_by_every_request(quick, bearer, opened, monkeypatch):
    bearer.get(WHOAMI)
    uses.clear()
    with outage():
        bearer.get(WHOAMI)
        tried = []
        monkeypatch.setattr(uses, "_write", lambda *args: tried.append(args))
        bearer.get(WHOAMI)
    assert tried == []


def test_last_seen_is_written_once_a_minute(quick, bearer, opened, monkeypatch):
    clock = [1000.0]
    monkeypatch.setattr(uses, "_clock", lambda: clock[0])
    bearer.get(WHOAMI)
    long_ago = row(opened).last_seen_at - timedelta(hours=1)
    DeviceSession.objects.update(last_seen_at=long_ago)
    clock[0] += LAST_SEEN_INTERVAL.total_seconds() - 1
    _, asked = queries(lambda: bearer.get(WHOAMI))
    assert (row(opened).last_seen_at, asked) == (long_ago, 0)
    clock[0] += 1
    _, asked = queries(lambda: bearer.get(WHOAMI))
    assert row(opened).last_seen_at > long_ago
    assert asked == 1


def test_last_seen_never_goes_back(quick, bearer, opened):
    ahead = row(opened).last_seen_at + timedelta(hours=1)
    DeviceSession.objects.update(last_seen_at=ahead)
    bearer.get(WHOAMI)
    assert (row(opened).last_seen_at, row(opened).confirmed_generation) == (ahead, 1)


def test_a_session_that_has_ended_is_not_touched(quick, opened):
    caller = Caller(opened.claims)
    end_session(opened.session, "logout")
    before = row(opened)
    caller.record_use()
    assert (row(opened).confirmed_generation, row(opened).last_seen_at) == (0, before.last_seen_at)


def test_memory_of_uses_is_bounded(opened, monkeypatch):
    from dataclasses import replace

    monkeypatch.setattr(uses, "max_sessions", 3)
    for _ in range(10):
        uses.record(replace(opened.claims, sid=str(uuid.uuid4())))
    assert len(uses) == 3


# --- stores that sites bring


class Nobody:
    """A store that knows of no session at all."""

    def end_reason(self, claims, now):
        return "kicked"


class Everybody:
    def end_reason(self, claims, now):
        return None


def nobody():
    """Make one."""
    return Nobody()


class Unknown:
    def end_reason(self, claims, now):
        raise StoreUnavailable("who knows")


@pytest.mark.parametrize(("kind", "status"), [(Nobody, 401), (nobody, 401), (Everybody, 200), (Unknown, 503)])
def test_a_store_of_the_sites_own_is_asked(settings, bearer, kind, status):
    settings.AUTHX_REVOCATION_STORE = f"{__name__}.{kind.__name__}"
    assert bearer.get(WHOAMI).status_code == status


def fails(*args, **named):
    raise ConnectionError("gone")


def test_a_store_of_the_sites_own_as_the_documentation_writes_it(settings, bearer, opened, monkeypatch):
    module = ModuleType("documented_stores")
    exec(documented("operations.md", "python", "class Store"), vars(module))
    monkeypatch.setitem(sys.modules, module.__name__, module)
    memory = {"BACKEND": "django.core.cache.backends.locmem.LocMemCache", "LOCATION": "endings"}
    settings.CACHES = {**settings.CACHES, "endings": memory}
    settings.AUTHX_REVOCATION_STORE = f"{module.__name__}.Store"
    assert bearer.get(WHOAMI).status_code == 200
    caches["endings"].set(opened.claims.sid, "kicked")
    answer = bearer.get(WHOAMI)
    assert (answer.status_code, answer.json()["reason"]) == (401, "kicked")
    monkeypatch.setattr(caches["endings"], "get", fails)
    assert bearer.get(WHOAMI).json()["code"] == "store_unavailable"
