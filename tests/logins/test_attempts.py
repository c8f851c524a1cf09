"""When an attempt to sign in counts, and whom it names: other servers, other backends, other keywords."""

import asyncio
import base64
import threading
import time
from typing import ClassVar

import pytest
from asgiref.sync import sync_to_async
from asgiref.testing import ApplicationCommunicator
from django.contrib.auth import aauthenticate, authenticate, get_user_model
from django.core.asgi import get_asgi_application
from django.core.cache import cache
from django.core.cache.backends.locmem import LocMemCache
from django.db import connections
from django.http import HttpResponse
from django.test import Client, RequestFactory
from django.urls import include, path
from rest_framework.authentication import BasicAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.permissions import IsAuthenticated
from rest_framework.response import Response
from rest_framework.views import APIView

from authx.core.account_name import fold_account_name
from authx.core.rates import Rate
from authx.logins import names
from authx.logins.limit import count_login
from authx.store.counters import count
from tests.logins.test_limit import (
    API,
    BACKENDS,
    PAGE,
    CountingHasher,
    exhaust,
    hashes,
    is_limited,
    right,
    wrong,
)

__all__ = ["hashes"]
LIMIT, MODEL = BACKENDS


class ByPassword(APIView):
    """HTTP Basic; the page itself may break afterwards."""

    authentication_classes: ClassVar = [BasicAuthentication]
    permission_classes: ClassVar = [IsAuthenticated]

    def get(self, request):
        if "break" in request.GET:
            raise RuntimeError("a bug of the page")
        return Response({"user": request.user.get_username()})


def has_password(request):
    """A page that only asks."""
    user = authenticate(request, username=request.GET["username"], password=request.GET["password"])
    kind = request.GET.get("kind", "text/html")
    return HttpResponse(str(user is not None), content_type=kind)


urlpatterns = [
    path("basic/", ByPassword.as_view()),
    path("has-password/", has_password),
    path("", include("tests.urls")),
]
ours = pytest.mark.urls(__name__)
committing = pytest.mark.django_db(transaction=True)


@pytest.fixture(params=[True, False], ids=["middleware", "no middleware"])
def perhaps_our_middleware(request, settings):
    if not request.param:
        settings.MIDDLEWARE = [name for name in settings.MIDDLEWARE if not name.startswith("authx.")]


def basic(user, password):
    text = base64.b64encode(f"{user.get_username()}:{password}".encode()).decode()
    return {"Authorization": f"Basic {text}"}


def scope_of(path, method="GET", headers=()):
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "path": path,
        "query_string": b"",
        "headers": [(b"host", b"testserver"), *headers],
        "client": ("192.0.2.7", 1234),
    }


async def ask(path, headers):
    """The status of a GET, from a real ASGI application."""
    given = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    caller = ApplicationCommunicator(get_asgi_application(), scope_of(path, headers=given))
    await caller.send_input({"type": "http.request", "body": b"", "more_body": False})
    started = await caller.receive_output(timeout=30)
    await caller.receive_output(timeout=30)
    await caller.wait(timeout=30)
    return started["status"]


# When it is given back


@ours
@committing
@pytest.mark.usefixtures("perhaps_our_middleware")
def test_a_right_password_at_every_request_is_not_limited_under_asgi(ada, password):
    async def main():
        return {await ask("/basic/", basic(ada, password)) for _try in range(15)}

    assert asyncio.run(main()) == {200}


@ours
@pytest.mark.usefixtures("perhaps_our_middleware")
def test_nor_under_wsgi(ada, password):
    assert {Client().get("/basic/", headers=basic(ada, password)).status_code for _try in range(15)} == {200}


@ours
@pytest.mark.usefixtures("perhaps_our_middleware")
def test_nor_where_the_page_breaks_behind_it(ada, password):
    client = Client(raise_request_exception=False)
    answers = {client.get("/basic/?break", headers=basic(ada, password)).status_code for _try in range(15)}
    assert answers == {500}


class SlowHasher(CountingHasher):
    """Waits to be let go, as a good hash takes its time."""

    begun: ClassVar = threading.Event()
    may_go: ClassVar = threading.Event()

    def encode(self, password, salt):
        SlowHasher.begun.set()
        assert SlowHasher.may_go.wait(10)
        return super().encode(password, salt)


@ours
@committing
def test_who_hangs_up_while_a_password_is_hashed_has_tried_it(ada, settings, hashes):
    settings.PASSWORD_HASHERS = [f"{__name__}.SlowHasher"]

    async def hang_up():
        SlowHasher.begun.clear()
        SlowHasher.may_go.clear()
        scope = scope_of("/has-password/") | {
            "query_string": f"username={ada.get_username()}&password=wrong".encode()
        }
        caller = ApplicationCommunicator(get_asgi_application(), scope)
        await caller.send_input({"type": "http.request", "body": b"", "more_body": False})
        assert await asyncio.to_thread(SlowHasher.begun.wait, 10)
        await caller.send_input({"type": "http.disconnect"})
        for _turn in range(10):
            await asyncio.sleep(0)
        SlowHasher.may_go.set()
        await caller.wait(timeout=30)

    for _try in range(10):
        asyncio.run(hang_up())
    hashes()
    assert authenticate(username=ada.get_username(), password="wrong") is None
    assert hashes() == 0


class BrokenBackend:
    """A directory that cannot be asked, after the site's own users."""

    def authenticate(self, request, username=None, password=None):
        raise RuntimeError("no answer")


class RefusingBackend:
    """Says no by an exception of DRF's, as some do."""

    def authenticate(self, request, username=None, password=None):
        user = get_user_model().objects.filter(**{get_user_model().USERNAME_FIELD: username}).first()
        if user is None or not user.check_password(password):
            raise AuthenticationFailed
        return user


@ours
@pytest.mark.parametrize("second", ["BrokenBackend", "RefusingBackend"])
@pytest.mark.parametrize("door", ["/basic/", API, PAGE])
def test_a_backend_that_raises_gives_no_try_back(second, door, ada, settings, hashes):
    settings.AUTHENTICATION_BACKENDS = [LIMIT, MODEL, f"{__name__}.{second}"]
    if second == "RefusingBackend":
        settings.AUTHENTICATION_BACKENDS.remove(MODEL)
    client = Client(raise_request_exception=False)
    for _try in range(15):
        if door == "/basic/":
            client.get(door, headers=basic(ada, "wrong"))
        else:
            wrong(client, door, ada.get_username())
    assert hashes() == 10


@ours
def test_a_backend_that_raises_gives_no_try_back_without_our_middleware(ada, settings, hashes):
    settings.MIDDLEWARE = []
    settings.AUTHENTICATION_BACKENDS = [LIMIT, MODEL, f"{__name__}.BrokenBackend"]
    client = Client(raise_request_exception=False)
    for _try in range(15):
        client.get("/has-password/", {"username": ada.get_username(), "password": "wrong"})
    assert hashes() == 10


def test_what_asks_for_no_password_meanwhile_gives_none_back(ada, settings, hashes):
    settings.AUTHENTICATION_BACKENDS = [LIMIT, f"{__name__}.AskingBackend", MODEL]
    for _try in range(15):
        authenticate(username=ada.get_username(), password="wrong")
    assert hashes() == 10


@pytest.mark.parametrize("door", [PAGE, API])
def test_a_right_password_that_is_not_enough_has_not_failed(door, ada, password, settings):
    settings.AUTHX_PASSWORD_LOGIN = f"{__name__}.a_second_factor_is_required"
    answers = {right(Client(), door, ada.get_username(), password).status_code for _try in range(15)}
    assert answers == {401}


def a_second_factor_is_required(request, user):
    return "second_factor_required"


def test_a_request_may_be_closed_twice_and_gives_its_attempt_back_once(ada, rf, password, hashes):
    request = rf.post("/")
    authenticate(request, username=ada.get_username(), password=password)
    close = request.close
    close()
    close()
    request.close()
    for _try in range(15):
        authenticate(username=ada.get_username(), password="wrong")
    assert hashes() == 1 + 10


@committing
def test_of_many_in_one_event_loop_ten_are_hashed(ada, hashes):
    async def main():
        found = await asyncio.gather(
            *(aauthenticate(username=ada.get_username(), password="wrong") for _try in range(30))
        )
        await sync_to_async(connections.close_all)()  # those of the loop's own thread
        return found

    assert set(asyncio.run(main())) == {None}
    assert hashes() == 10


class AskingBackend:
    """Asks the other backends whether the password is a token."""

    def authenticate(self, request, username=None, password=None):
        return authenticate(request, token=password)


@pytest.mark.parametrize("door", [PAGE, API])
def test_a_limit_that_does_not_stand_first_is_asked_first_by_our_doors(door, ada, password, settings, hashes):
    settings.AUTHENTICATION_BACKENDS = [MODEL, LIMIT]
    for _try in range(15):
        wrong(Client(), door, ada.get_username())
    assert hashes() == 10
    assert is_limited(right(Client(), door, ada.get_username(), password))
    cache.clear()
    for _try in range(15):
        assert not is_limited(right(Client(), door, ada.get_username(), password))


@ours
@pytest.mark.parametrize("kind", ["text/html", "Text/HTML; charset=utf-8", "application/xhtml+xml"])
def test_a_page_of_any_spelling_is_a_429(kind, ada):
    exhaust(ada.get_username())
    query = {"username": ada.get_username(), "password": "wrong", "kind": kind}
    assert is_limited(Client().get("/has-password/", query))


# Whom it names


def tries_until_limited(*credentials, backend, hashes, settings):
    """How many of forty wrong guesses, with these credentials in turn, are hashed."""
    settings.AUTHENTICATION_BACKENDS = [LIMIT, f"{__name__}.{backend}", MODEL][: 3 if backend != "Any" else 2]
    hashes()
    for n in range(40):
        authenticate(**credentials[n % len(credentials)])
    return hashes()


class Any:
    """Finds the user by whatever it is given, whatever the keywords."""

    def authenticate(self, request, **credentials):
        user = get_user_model().objects.first()
        secret = next(value for value in credentials.values() if value == "wrong")
        return user if user.check_password(secret) else None


@pytest.mark.parametrize(
    "credentials",
    [
        {"phone": "+49 170 1", "password": "wrong"},
        {"login": "ada", "password": "wrong"},
        {"identifier": "ada", "password": "wrong"},
        {"company": "acme", "employee": 7, "password": "wrong"},
        {"username": "", "password": "wrong"},
        {"username": "ada", "pin": "wrong"},
        {"email": "ada@example.com", "code": "wrong"},
        {"username": "ada", "passwd": "wrong"},
    ],
    ids=lambda credentials: "-".join(credentials),
)
@pytest.mark.usefixtures("ada")
def test_whatever_the_keywords_are_called_ten_are_hashed(credentials, hashes, settings):
    assert tries_until_limited(credentials, backend="Any", hashes=hashes, settings=settings) == 10


def test_a_second_name_beside_the_first_hides_it_not(ada, hashes, settings):
    """Whichever of them a backend goes by."""
    name = ada.get_username()
    credentials = [{"username": name, "email": f"{n}@example.com", "password": "wrong"} for n in range(40)]
    more = [{"username": f"nobody{n}", "email": ada.email, "password": "wrong"} for n in range(40)]
    for tried in (credentials, more):
        cache.clear()
        assert tries_until_limited(*tried, backend="Any", hashes=hashes, settings=settings) == 10


def test_a_company_is_no_account(ada, hashes, settings):
    tried = [{"company": "acme", "employee": n, "password": "wrong"} for n in range(40)]
    assert tries_until_limited(*tried, backend="Any", hashes=hashes, settings=settings) == 40


class NameOrAddressBackend:
    """Takes either in one field, as many sites do."""

    def authenticate(self, request, username=None, password=None):
        field = "email__iexact" if "@" in username else get_user_model().USERNAME_FIELD
        user = get_user_model().objects.filter(**{field: username}).first()
        return user if user is not None and user.check_password(password) else None


@pytest.fixture
def name_or_address(settings):
    settings.AUTHENTICATION_BACKENDS = [LIMIT, f"{__name__}.NameOrAddressBackend"]


@pytest.mark.usefixtures("name_or_address")
def test_an_address_in_the_field_of_the_name_is_the_same_account(ada, hashes):
    for n in range(20):
        authenticate(username=[ada.get_username(), ada.email][n % 2], password="wrong")
    assert hashes() == 10


@pytest.mark.usefixtures("name_or_address")
def test_an_owner_who_types_their_address_is_known(ada, password):
    browser = Client()
    assert right(browser, PAGE, ada.email, password).status_code == 302
    browser.post("/account/logout/")
    exhaust(ada.email)
    assert is_limited(right(Client(), PAGE, ada.email, password))
    assert right(browser, PAGE, ada.email, password).status_code == 302


def test_another_users_browser_helps_nobody_who_is_named_beside_them(ada, bob, password, settings, hashes):
    mallory = Client()
    right(mallory, PAGE, bob.get_username(), password)
    cookie = "; ".join(f"{name}={morsel.value}" for name, morsel in mallory.cookies.items())
    settings.AUTHENTICATION_BACKENDS = [LIMIT, f"{__name__}.Any"]
    hashes()
    for _try in range(15):
        request = RequestFactory().post("/", headers={"Cookie": cookie})
        authenticate(request, username=ada.get_username(), email=bob.email, password="wrong")
    assert hashes() == 10
    request = RequestFactory().post("/", headers={"Cookie": cookie})
    assert authenticate(request, username=ada.get_username(), password="wrong") is None
    assert hashes() == 0


@pytest.mark.parametrize(
    "names", [["diana", "d\u0131ana", "D\u0130ANA"], ["\u00f8la", "ola"], ["\u00e6sir", "aesir"]]
)
def test_letters_that_a_database_takes_for_others_fold_to_them(names):
    assert len({fold_account_name(name) for name in names}) == 1


def test_names_that_no_form_lets_through_are_one(hashes, ada, settings):
    """MariaDB ignores any number of characters that have no weight."""
    tried = [{"username": "\u115f" * (1100 + n) + ada.get_username(), "password": "wrong"} for n in range(40)]
    tried = [{**each, "username": f"{n}{each['username']}"} for n, each in enumerate(tried)]
    assert tries_until_limited(*tried, backend="Any", hashes=hashes, settings=settings) == 10


class OddManager:
    """A site's own, without natural keys or with other ones."""

    def __init__(self, error, found=None):
        self.error, self.found = error, found

    def get_by_natural_key(self, name):
        raise self.error

    def get(self, **query):
        return self.found


@pytest.mark.parametrize("error", [TypeError, AttributeError])
def test_a_manager_without_natural_keys_is_asked_by_column(error, ada, monkeypatch):
    monkeypatch.setitem(vars(get_user_model()._meta), "default_manager", OddManager(error(), ada))
    assert names.find_users({"username": "ada"}) == [ada]


# As much is counted whether or not there is such an account


class CountingCache(LocMemCache):
    """Counts what it is asked."""

    asked: ClassVar[int] = 0

    def make_and_validate_key(self, key, version=None):
        CountingCache.asked += 1
        return super().make_and_validate_key(key, version)


def test_a_name_that_finds_nobody_costs_the_cache_as_much(rf, settings):
    settings.CACHES = {"default": {"BACKEND": f"{__name__}.CountingCache", "LOCATION": "counting"}}
    asked = {}
    for subject in ("7", None):
        name = f"user{subject}"
        asked[subject] = []
        for _try in range(12):
            CountingCache.asked = 0
            count_login(rf.post("/", REMOTE_ADDR=f"203.0.113.{len(name)}"), names=[name], subjects=[subject])
            asked[subject].append(CountingCache.asked)
    assert asked["7"] == asked[None]


class LaggingCache(LocMemCache):
    """Reads from a replica that has heard of nothing yet."""

    def get(self, key, default=None, version=None):
        return default


@pytest.mark.parametrize(
    "backend", ["django.core.cache.backends.redis.RedisCache", "django_redis.cache.RedisCache"]
)
def test_nor_does_one_of_redis_own(backend, settings):
    """Another database of the same server stands for the replica."""
    pytest.importorskip("django_redis")
    settings.CACHES = {
        "default": {
            "BACKEND": backend,
            "LOCATION": [f"redis://127.0.0.1:6379/{number}" for number in (0, 9)],
            "KEY_PREFIX": f"authx-test-{time.time_ns()}",
        }
    }
    try:
        cache.get("anything")
    except Exception:
        pytest.skip("no Redis on 127.0.0.1:6379")
    assert [bool(count("test", "ada", Rate(3, 60)).wait) for _try in range(5)] == [False] * 3 + [True] * 2


def test_a_replica_that_lags_behind_gives_nobody_more_tries(settings):
    settings.CACHES = {"default": {"BACKEND": f"{__name__}.LaggingCache", "LOCATION": "lagging"}}
    waits = [count("test", "ada", Rate(3, 60), now=1_772_366_400.0 + n / 100).wait for n in range(5)]
    assert [bool(wait) for wait in waits] == [False] * 3 + [True] * 2


# The browser's own counter


def test_a_django_session_alone_buys_no_new_counters(ada, password, hashes):
    """Each response gives it our cookies, until one of them comes back."""
    browser = Client()
    right(browser, PAGE, ada.get_username(), password)
    kept = browser.cookies["sessionid"].value
    hashes()
    for _round in range(3):
        thief = Client()
        thief.cookies["sessionid"] = kept
        thief.get("/account/devices/")
        assert "__Host-authx_device" in thief.cookies
        for name in ("sessionid", "__Host-authx_access", "__Host-authx_refresh"):
            thief.cookies.pop(name, None)
        for _try in range(10):
            wrong(thief, API, ada.get_username())
    assert hashes() == 10
