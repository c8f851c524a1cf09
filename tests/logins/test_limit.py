"""authx.backends.LoginLimitBackend: how often a password may be tried, whatever the door and the spelling."""

import base64
import contextlib
import random
import threading
from typing import ClassVar

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth import aauthenticate, authenticate, get_user_model
from django.contrib.auth.hashers import MD5PasswordHasher
from django.db import DataError, connections, transaction
from django.http import HttpResponseRedirect, JsonResponse
from django.test import AsyncClient, Client, RequestFactory, override_settings
from django.urls import include, path
from rest_framework.authentication import BasicAuthentication
from rest_framework.permissions import IsAuthenticated
from rest_framework.response import Response
from rest_framework.test import APIClient
from rest_framework.views import APIView

from authx.checks.logins import check_counting, check_login_backend, check_proxies
from authx.core.account_name import MAX_NAME_LENGTH, fold_account_name
from authx.core.device_cookie import BrowserDevice, read_device, write_device
from authx.http.device_cookie import browser_device, login_nonce, remember_login
from authx.models import DeviceSession, SessionEvent
from tests.faults_in_database import broken_audit

PAGE, DJANGO, ADMIN, API = "/account/login/", "/django-login/", "/admin/login/", "/api/auth/login/"
BACKENDS = ["authx.backends.LoginLimitBackend", "django.contrib.auth.backends.ModelBackend"]
DEVICE_COOKIE = "__Host-authx_device"
Kind = SessionEvent.Kind


class CountingHasher(MD5PasswordHasher):
    """Counts how often a password was hashed."""

    hashed: ClassVar[int] = 0
    lock = threading.Lock()

    def encode(self, password, salt):
        with self.lock:
            CountingHasher.hashed += 1
        return super().encode(password, salt)


@pytest.fixture
def hashes(settings, ada):
    """How often a password has been hashed since the last call."""
    settings.PASSWORD_HASHERS = [f"{__name__}.CountingHasher"]

    def since():
        found, CountingHasher.hashed = CountingHasher.hashed, 0
        return found

    since()
    return since


class ByPassword(APIView):
    """A site's own API with HTTP Basic, which authenticates at every request."""

    authentication_classes: ClassVar = [BasicAuthentication]
    permission_classes: ClassVar = [IsAuthenticated]

    def get(self, request):
        return Response({"user": request.user.get_username()})


def json_login(request):
    """A site's own JSON login, as allauth's headless one."""
    user = authenticate(request, username=request.POST["username"], password=request.POST["password"])
    return JsonResponse({"ok": user is not None}, status=200 if user else 400)


def redirecting_login(request):
    """A site's own login, which leads back to its page."""
    user = authenticate(request, username=request.POST["username"], password=request.POST["password"])
    return HttpResponseRedirect("/in/" if user else "/again/")


urlpatterns = [
    path("basic/", ByPassword.as_view()),
    path("json-login/", json_login),
    path("redirecting-login/", redirecting_login),
    path("", include("tests.urls")),
]


def wrong(client, door, name, **more):
    """The response to a wrong password."""
    body = {"username": name, "password": "wrong"}
    if door == API:
        return client.post(API, body, content_type="application/json", **more)
    return client.post(door, body, **more)


def right(client, door, name, password, **more):
    body = {"username": name, "password": password}
    if door == API:
        return client.post(API, body, content_type="application/json", **more)
    return client.post(door, body, **more)


def is_limited(response):
    """Whether it is a 429 that says for how long."""
    if response.status_code == 429:
        assert 0 < int(response["Retry-After"]) <= 60
    return response.status_code == 429


def addresses():
    """Another address for each try."""
    return ({"REMOTE_ADDR": f"203.0.113.{n}"} for n in range(1, 255))


def exhaust(name, door=API):
    """A stranger's ten wrong tries, each from another address."""
    for _n, address in zip(range(10), addresses(), strict=False):
        assert not is_limited(wrong(Client(), door, name, **address))


# Every door


@pytest.mark.parametrize("door", [PAGE, DJANGO, ADMIN, API])
def test_the_eleventh_wrong_password_waits_at_every_door_and_hashes_nothing(door, ada, hashes):
    answers = [wrong(Client(), door, ada.get_username(), **address) for address in list(addresses())[:12]]
    assert [is_limited(answer) for answer in answers] == [False] * 10 + [True] * 2
    assert hashes() == 10


def test_all_doors_are_one_account(ada, password, hashes):
    for door in [PAGE, DJANGO, ADMIN, API, PAGE, DJANGO, ADMIN, API, PAGE, DJANGO]:
        assert not is_limited(wrong(Client(), door, ada.get_username()))
    for door in (PAGE, DJANGO, ADMIN, API):
        assert is_limited(right(Client(), door, ada.get_username(), password))
    assert not DeviceSession.objects.exists()


def test_whoever_calls_authenticate_is_limited_without_a_request_too(ada, password, hashes):
    for _try in range(10):
        assert authenticate(username=ada.get_username(), password="wrong") is None
    assert authenticate(username=ada.get_username(), password=password) is None
    assert authenticate(None, username=ada.get_username(), password=password) is None
    assert hashes() == 10


@pytest.mark.django_db(transaction=True)
def test_so_is_an_async_site(ada, password, hashes):
    async def tries():
        for _try in range(10):
            assert await aauthenticate(username=ada.get_username(), password="wrong") is None
        return await aauthenticate(username=ada.get_username(), password=password)

    assert async_to_sync(tries)() is None
    assert hashes() == 10


@pytest.mark.django_db(transaction=True)
def test_an_async_success_is_given_back(ada, password):
    async def tries():
        for _try in range(25):
            assert await aauthenticate(username=ada.get_username(), password=password) is not None
        return [await aauthenticate(username=ada.get_username(), password="wrong") for _try in range(9)]

    assert async_to_sync(tries)() == [None] * 9
    assert authenticate(username=ada.get_username(), password=password) is not None


@pytest.mark.django_db(transaction=True)
def test_the_page_says_so_under_asgi(ada):
    async def tries():
        client = AsyncClient()
        body = {"username": ada.get_username(), "password": "wrong"}
        return [await client.post(door, body) for door in 11 * [ADMIN]]

    assert [is_limited(answer) for answer in async_to_sync(tries)()] == [False] * 10 + [True]


def test_nobody_is_signed_in_by_the_backend_that_limits(ada, client):
    client.force_login(ada)
    assert client.session["_auth_user_backend"] == BACKENDS[1]
    assert ada.has_perm("authx.kick_devicesession") is False


@pytest.mark.parametrize("door", [PAGE, API])
def test_where_it_is_not_listed_our_own_doors_ask_the_same_limit(door, ada, password, hashes, settings):
    settings.AUTHENTICATION_BACKENDS = BACKENDS[1:]
    for _try in range(10):
        assert not is_limited(wrong(Client(), door, ada.get_username()))
    assert is_limited(right(Client(), door, ada.get_username(), password))
    assert hashes() == 10
    assert SessionEvent.objects.filter(kind=Kind.LOGIN_LIMITED).exists()


def test_where_it_is_listed_our_own_doors_count_once(ada, password, hashes):
    for _try in range(9):
        wrong(Client(), PAGE, ada.get_username())
        assert not is_limited(right(Client(), PAGE, ada.get_username(), password))


def test_a_proof_of_the_password_counts_too(ada, password, hashes):
    client = APIClient()
    token = right(client, API, ada.get_username(), password).json()["access_token"]
    hashes()
    prove = "/api/auth/reauthenticate/"
    headers = {"Authorization": f"Bearer {token}"}
    answers = [client.post(prove, {"password": "wrong"}, headers=headers) for _try in range(11)]
    assert [answer.status_code for answer in answers] == [401] * 10 + [429]
    assert client.post(prove, {"password": password}, headers=headers).status_code == 429
    assert hashes() == 10
    failed = SessionEvent.objects.filter(kind=Kind.PROOF_FAILED)
    assert failed.count() == 10
    assert {event.session for event in failed} == {DeviceSession.objects.get()}


# What the answer becomes


@override_settings(ROOT_URLCONF=__name__)
def test_an_answer_that_is_no_page_says_how_long_to_wait_and_stays_what_it_is(ada):
    exhaust(ada.get_username())
    answer = wrong(Client(), "/json-login/", ada.get_username())
    assert answer.status_code == 400
    assert 0 < int(answer["Retry-After"]) <= 60
    answer = wrong(Client(), "/redirecting-login/", ada.get_username())
    assert (answer.status_code, answer["Location"]) == (302, "/again/")
    assert 0 < int(answer["Retry-After"]) <= 60


def test_an_answer_to_somebody_else_says_nothing(ada, bob, password):
    exhaust(ada.get_username())
    answer = right(Client(), DJANGO, bob.get_username(), password)
    assert answer.status_code == 302
    assert "Retry-After" not in answer


# What counts


@pytest.mark.parametrize("door", [PAGE, DJANGO, API])
def test_a_success_counts_for_nothing(door, ada, password):
    for _try in range(25):
        assert not is_limited(right(Client(), door, ada.get_username(), password))


def test_a_success_clears_nothing(ada, password):
    for door in (PAGE, API) * 5:
        wrong(Client(), door, ada.get_username())
    for door in (PAGE, API):
        assert is_limited(right(Client(), door, ada.get_username(), password))


@override_settings(ROOT_URLCONF=__name__)
def test_a_client_that_sends_its_password_at_every_request_is_not_limited_by_that(ada, password):
    def basic(secret):
        text = base64.b64encode(f"{ada.get_username()}:{secret}".encode()).decode()
        return Client().get("/basic/", headers={"Authorization": f"Basic {text}"}).status_code

    assert {basic(password) for _try in range(30)} == {200}
    assert {basic("wrong") for _try in range(10)} == {401}
    assert basic(password) == 401


def test_fourteen_people_behind_one_address_sign_in(make_user, password):
    people = [make_user(f"user{n}") for n in range(14)]
    for person in people:
        wrong(Client(), PAGE, person.get_username())
        assert right(Client(), PAGE, person.get_username(), password).status_code == 302


def test_what_failed_for_want_of_a_server_does_not_count(ada, password, settings):
    settings.AUTHENTICATION_BACKENDS = [BACKENDS[0], f"{__name__}.BrokenBackend", BACKENDS[1]]
    for _try in range(20):
        with contextlib.suppress(RuntimeError):
            authenticate(username=ada.get_username(), password=password)
    settings.AUTHENTICATION_BACKENDS = BACKENDS
    assert authenticate(username=ada.get_username(), password=password) is not None


class BrokenBackend:
    """A directory that cannot be asked."""

    def authenticate(self, request, username=None, password=None):
        raise RuntimeError("no answer")


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("spread", [False, True], ids=["one address", "many addresses"])
def test_of_many_at_once_ten_are_hashed(ada, hashes, spread):
    barrier = threading.Barrier(30)

    def attempt(n):
        request = RequestFactory().post("/", REMOTE_ADDR=f"203.0.113.{n if spread else 1}")
        barrier.wait()
        authenticate(request, username=ada.get_username(), password="wrong")
        connections.close_all()

    threads = [threading.Thread(target=attempt, args=(n,)) for n in range(30)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert hashes() == 10


# Spellings


@pytest.mark.parametrize("door", [PAGE, DJANGO, ADMIN, API])
def test_tabs_and_blanks_are_no_other_account(door, ada, hashes):
    name = ada.get_username()
    for n in range(10):
        wrong(Client(), door, [f"\t{name}", f"{name} ", f" {name}", f"{name}\u3000", f"\u200b{name}"][n % 5])
    assert is_limited(wrong(Client(), door, name))


@pytest.mark.parametrize(
    "names",
    [
        ["ada", "ADA", "Ada", "aDa"],
        ["straße", "STRASSE", "Strasse"],
        ["ªda", "ada", "\uff21da", "á́da", "a\u0301da"],
        ["a da", "ada ", "\tada", "a\u00a0da", "a\u200bda", "a\x00da", "a\u202eda", "a\x1fda"],
    ],
    ids=["case", "casefold", "marks", "white and invisible"],
)
def test_spellings_of_one_name_fold_to_one(names):
    assert len({fold_account_name(name) for name in names}) == 1


def test_other_names_stay_others():
    names = ["ada", "bob", "ada1", "a.da", "ada@example.com", "電話", "電", "", "ада"]
    assert len({fold_account_name(name) for name in names}) == len(names)


def test_the_longest_name_is_cut_and_costs_no_more():
    assert len(fold_account_name("x" * 10_000_000)) == MAX_NAME_LENGTH
    assert len(fold_account_name("\ufdfa" * 1000)) == MAX_NAME_LENGTH
    assert fold_account_name("\ud800a") == "a"


def test_a_429_tells_nobody_who_exists(ada):
    """The same names, in the same order, for somebody who is there and somebody who is not."""
    for seed in range(12):
        draw = random.Random(seed)
        spell = [str.upper, str.title, str.lower, lambda name: f" {name}", lambda name: f"{name}\t", str]
        spellings = [draw.choice(spell) for _try in range(14)]
        doors = [draw.choice([PAGE, API, ADMIN]) for _try in range(14)]
        told = []
        for name in (ada.get_username(), "zoe" + ada.get_username()[3:]):
            from django.core.cache import cache

            cache.clear()
            answers = [
                wrong(Client(), door, spelled(name)) for door, spelled in zip(doors, spellings, strict=True)
            ]
            told.append([answer.status_code for answer in answers])
        assert told[0] == told[1], seed


@pytest.mark.databases("mariadb")
@pytest.mark.parametrize("other", ["ada ", "ADA", "áda", "a\x01da"])
@pytest.mark.usefixtures("ada")
def test_what_the_collation_takes_for_the_same_name_is_the_same_account(other, hashes):
    for _try in range(10):
        authenticate(username="ada", password="wrong")
    hashes()
    assert authenticate(username=other, password="wrong") is None
    assert hashes() == 0


@pytest.mark.databases("mariadb")
def test_also_what_no_folding_knows(make_user, hashes):
    """Whatever the server's collation says: the user whom a name finds is counted."""
    make_user("ae")
    finds = [name for name in ("æ", "ǽ", "Æ") if get_user_model().objects.filter(username=name).exists()]
    for name in finds:
        for _try in range(10):
            authenticate(username=name, password="wrong")
    if finds:
        hashes()
        assert authenticate(username="ae", password="wrong") is None
        assert hashes() == 0


def test_a_backend_that_does_not_mind_the_case_is_limited_alike(ada, hashes, settings):
    settings.AUTHENTICATION_BACKENDS = [BACKENDS[0], f"{__name__}.AnyCaseBackend"]
    name = ada.get_username()
    for n in range(30):
        spelled = "".join(c.upper() if n >> i & 1 else c for i, c in enumerate(name))
        authenticate(username=spelled, password="wrong")
    assert hashes() == 10


class AnyCaseBackend:
    """Finds users whatever the case, as many sites' own backends do."""

    def authenticate(self, request, username=None, password=None):
        field = get_user_model().USERNAME_FIELD
        user = get_user_model().objects.filter(**{f"{field}__iexact": username}).first()
        return user if user is not None and user.check_password(password) else None


def test_an_address_and_a_name_are_one_account(ada, hashes, settings):
    settings.AUTHENTICATION_BACKENDS = [BACKENDS[0], f"{__name__}.EmailBackend", BACKENDS[1]]
    for _try in range(5):
        authenticate(username=ada.get_username(), password="wrong")
        authenticate(email=ada.email.upper(), password="wrong")
    hashes()
    assert authenticate(email=ada.email, password="wrong") is None
    assert authenticate(username=ada.get_username(), password="wrong") is None
    assert hashes() == 0


class EmailBackend:
    """Signs people in by their address."""

    def authenticate(self, request, email=None, password=None):
        user = get_user_model().objects.filter(email__iexact=email).first()
        return user if user is not None and user.check_password(password) else None


def test_credentials_without_a_password_are_nobodys_guess(ada, password):
    for _try in range(30):
        assert authenticate(token="x" * 20) is None
    assert authenticate(username=ada.get_username(), password=password) is not None


@pytest.mark.parametrize("name", ["\0", "\ud800", "x" * 5000, 5, b"ada", "", None, "ada\0"])
def test_any_name_is_refused_and_none_raises(name, db):
    for _try in range(11):
        # Django's own backend is less careful
        with contextlib.suppress(ValueError, UnicodeError, DataError), transaction.atomic():
            assert authenticate(username=name, password="wrong") is None


# Addresses


def strangers(address, tries, **more):
    """Whether each of so many tries, for a name of its own, was limited."""
    answers = (
        wrong(Client(), API, f"nobody{n}", REMOTE_ADDR=address(n) if callable(address) else address, **more)
        for n in range(tries)
    )
    return [is_limited(answer) for answer in answers]


@pytest.fixture
def two_an_address(settings, db):
    settings.AUTHX_ADDRESS_RATE = "2/min"


@pytest.mark.usefixtures("two_an_address")
def test_an_address_is_limited_whomever_it_tries():
    assert strangers("203.0.113.7", 4) == [False, False, True, True]
    assert strangers("203.0.113.8", 1) == [False]


@pytest.mark.usefixtures("two_an_address")
def test_an_ipv6_caller_cannot_walk_through_their_own_network():
    assert strangers(lambda n: f"2001:db8:1:2::{n:x}", 3) == [False, False, True]
    assert strangers("2001:db8:1:3::1", 1) == [False]


@pytest.mark.usefixtures("two_an_address")
@pytest.mark.parametrize("address", ["", "unix:", "garbage", None])
def test_an_unknown_address_has_no_limit(address):
    assert strangers(address, 5) == [False] * 5


@pytest.mark.usefixtures("two_an_address")
@pytest.mark.parametrize("proxy", ["127.0.0.1", "::1", "10.1.2.3", "192.168.0.1", "172.31.0.1", "fd00::1"])
@pytest.mark.parametrize("header", ["X-Forwarded-For", "X-Real-IP", "Forwarded"])
def test_behind_a_proxy_that_nobody_named_there_is_no_limit_and_the_log_says_so(proxy, header, caplog):
    assert strangers(proxy, 5, headers={header: "203.0.113.9"}) == [False] * 5
    assert [record.levelname for record in caplog.records if "AUTHX_TRUSTED_PROXIES" in record.message] == [
        "WARNING"
    ]


@pytest.mark.usefixtures("two_an_address")
@pytest.mark.parametrize("address", ["203.0.113.7", "8.8.8.8", "2001:db8::1"])
def test_from_a_public_address_the_header_changes_nothing(address):
    found = strangers(address, 3, headers={"X-Forwarded-For": "203.0.113.9"})
    assert found == [False, False, True]


@pytest.mark.usefixtures("two_an_address")
def test_behind_a_proxy_that_is_named_the_visitors_are_limited(settings):
    settings.AUTHX_TRUSTED_PROXIES = 1
    assert strangers("10.0.0.1", 3, headers={"X-Forwarded-For": "203.0.113.9"}) == [False, False, True]
    assert strangers("10.0.0.1", 1, headers={"X-Forwarded-For": "203.0.113.10"}) == [False]


def test_a_hundred_failures_a_minute_from_one_address(db):
    assert strangers("203.0.113.7", 101) == [False] * 100 + [True]


@pytest.mark.parametrize(("setting", "limited"), [("LOGIN_RATE", False), ("ADDRESS_RATE", True)])
def test_none_turns_one_of_them_off(setting, limited, ada, settings):
    setattr(settings, f"AUTHX_{setting}", None)
    answers = [wrong(Client(), API, ada.get_username()) for _try in range(12)]
    assert is_limited(answers[-1]) == limited


# The owner's browser


@pytest.fixture
def owners_browser(ada, password):
    """A browser that ada has signed in from, and out of."""
    client = Client()
    assert right(client, PAGE, ada.get_username(), password).status_code == 302
    client.post("/account/logout/")
    return client


@pytest.mark.parametrize("door", [PAGE, DJANGO, API])
def test_the_owner_gets_in_while_strangers_are_limited(door, owners_browser, ada, password):
    exhaust(ada.get_username())
    assert is_limited(right(Client(), door, ada.get_username(), password))
    answer = right(owners_browser, door, ada.get_username(), password)
    assert answer.status_code in (200, 302)
    assert DeviceSession.objects.live().filter(user=ada).exists()


@pytest.mark.usefixtures("two_an_address")
def test_also_from_an_address_that_is_limited(owners_browser, ada, password):
    assert strangers("127.0.0.1", 3)[-1]
    assert right(owners_browser, PAGE, ada.get_username(), password).status_code == 302


def test_that_browser_has_a_limit_of_its_own(owners_browser, ada, password):
    for _try in range(10):
        assert not is_limited(wrong(owners_browser, PAGE, ada.get_username()))
    assert is_limited(right(owners_browser, PAGE, ada.get_username(), password))
    assert right(Client(), PAGE, ada.get_username(), password).status_code == 302


def test_a_browser_is_known_to_whom_has_signed_in_there_alone(owners_browser, bob, password):
    exhaust(bob.get_username())
    assert is_limited(right(owners_browser, PAGE, bob.get_username(), password))


def test_a_cookie_of_ones_own_account_helps_against_no_other(ada, bob, password):
    mallory = Client()
    assert right(mallory, PAGE, bob.get_username(), password).status_code == 302
    mallory.post("/account/logout/")
    exhaust(ada.get_username())
    assert is_limited(wrong(mallory, API, ada.get_username()))


@pytest.mark.parametrize(
    "spoil",
    [
        lambda value: value[:-1] + ("A" if value[-1] != "A" else "B"),
        lambda value: ("A" if value[0] != "A" else "B") + value[1:],
        lambda value: value.rpartition(".")[0],
        lambda value: "garbage",
    ],
    ids=["last character", "first character", "no signature", "garbage"],
)
def test_a_forged_cookie_is_a_stranger(spoil, owners_browser, ada, password):
    owners_browser.cookies[DEVICE_COOKIE] = spoil(owners_browser.cookies[DEVICE_COOKIE].value)
    exhaust(ada.get_username())
    assert is_limited(right(owners_browser, API, ada.get_username(), password))


def test_a_login_by_cookie_through_the_api_makes_the_browser_known_too(ada, password):
    client = Client()
    body = {"username": ada.get_username(), "password": password, "transport": "cookie"}
    assert client.post(API, body, content_type="application/json").status_code == 200
    exhaust(ada.get_username())
    assert client.post(API, body, content_type="application/json").status_code == 200


def test_an_id_that_a_body_names_is_never_signed_into_a_cookie(ada, bob, password):
    owners_id = "the-owners-device-id22"
    body = {"username": ada.get_username(), "password": password, "device": {"id": owners_id}}
    assert Client().post(API, body, content_type="application/json").status_code == 200
    mallory = Client()
    body |= {"username": bob.get_username(), "transport": "cookie"}
    assert mallory.post(API, body, content_type="application/json").status_code == 200
    assert owners_id not in mallory.cookies[DEVICE_COOKIE].value
    assert DeviceSession.objects.get(user=bob).device_id != owners_id
    assert DeviceSession.objects.live().filter(user=ada, device_id=owners_id).exists()


def test_a_browser_keeps_its_id_from_login_to_login_and_user_to_user(owners_browser, ada, bob, password):
    for user in (ada, bob, ada):
        right(owners_browser, PAGE, user.get_username(), password)
        owners_browser.post("/account/logout/")
    assert len(set(DeviceSession.objects.values_list("device_id", flat=True))) == 1


def test_the_cookie_tells_nobody_who_has_signed_in(owners_browser, ada):
    value = owners_browser.cookies[DEVICE_COOKIE].value
    assert ada.get_username() not in value
    assert str(ada.pk) not in read_device(value.rpartition(".")[0]).logins


def test_the_last_eight_users_of_a_browser_are_known():
    device, secrets = BrowserDevice.new(), ["secret" * 8]
    for n in range(10):
        device = device.with_login(str(n), secrets)
    known = [n for n in range(10) if device.login_nonce(str(n), secrets)]
    assert known == list(range(2, 10))
    assert read_device(write_device(device)) == device
    assert len(write_device(device)) <= 340


def test_a_user_who_signs_in_again_takes_one_place_and_has_a_new_nonce():
    device, secrets = BrowserDevice.new(), ["secret" * 8]
    once = device.with_login("1", secrets)
    again = once.with_login("2", secrets).with_login("1", secrets)
    assert len(again.logins) == 2
    assert again.login_nonce("1", secrets) != once.login_nonce("1", secrets)


def test_a_browser_stays_known_while_the_secret_is_a_fallback(rf, settings):
    from django.http import HttpResponse

    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "old-secret" * 4, []
    response = HttpResponse()
    remember_login(rf.get("/"), response, "7")
    value = response.cookies[DEVICE_COOKIE].value
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "new-secret" * 4, ["old-secret" * 4]
    later = rf.get("/", headers={"Cookie": f"{DEVICE_COOKIE}={value}"})
    assert login_nonce(later, "7") is not None
    settings.SECRET_KEY_FALLBACKS = []
    much_later = rf.get("/", headers={"Cookie": f"{DEVICE_COOKIE}={value}"})
    assert login_nonce(much_later, "7") is None
    assert browser_device(much_later).id not in value


# Events


def test_failures_and_refusals_are_events(ada, client):
    for _try in range(12):
        wrong(client, PAGE, ada.get_username(), headers={"User-Agent": "Fox/1"}, REMOTE_ADDR="203.0.113.7")
    failed = SessionEvent.objects.filter(kind=Kind.LOGIN_FAILED)
    limited = SessionEvent.objects.filter(kind=Kind.LOGIN_LIMITED)
    assert (failed.count(), limited.count()) == (10, 2)
    for event in [*failed, *limited]:
        assert (event.session, event.actor, event.subject) == (None, None, str(ada.pk))
        assert (event.ip, event.user_agent) == ("203.0.113.7", "Fox/1")
    assert {event.outcome for event in limited} == {"account"}


def test_they_are_bounded_for_each_account(ada, bob, settings):
    settings.AUTHX_LOGIN_RATE = "1000/min"
    settings.AUTHX_ADDRESS_RATE = None
    for _try in range(40):
        authenticate(username=ada.get_username(), password="wrong")
    authenticate(username=bob.get_username(), password="wrong")
    told = SessionEvent.objects.filter(kind=Kind.LOGIN_FAILED)
    assert told.filter(subject=str(ada.pk)).count() == 10
    assert told.filter(subject=str(bob.pk)).count() == 1


def test_and_for_all_names_that_are_nobodys(rf, db):
    for n in range(300):
        request = rf.post("/", REMOTE_ADDR=f"203.0.{n // 20}.7")
        authenticate(request, username=f"nobody{n}", password="wrong")
    assert SessionEvent.objects.count() == 100


def test_what_was_typed_for_a_name_is_not_kept(db, client):
    wrong(client, PAGE, "my-actual-password")
    wrong(client, API, "my-actual-password")
    event = SessionEvent.objects.first()
    assert "my-actual" not in repr(vars(event))


@pytest.mark.django_db(transaction=True)
@override_settings(ROOT_URLCONF=__name__)
def test_they_stay_where_the_request_is_rolled_back(ada, settings):
    connection = connections["default"]
    connection.settings_dict["ATOMIC_REQUESTS"] = True
    try:
        text = base64.b64encode(f"{ada.get_username()}:wrong".encode()).decode()
        assert Client().get("/basic/", headers={"Authorization": f"Basic {text}"}).status_code == 401
    finally:
        connection.settings_dict["ATOMIC_REQUESTS"] = False
    assert SessionEvent.objects.get().kind == Kind.LOGIN_FAILED


@pytest.mark.django_db(transaction=True)
def test_an_event_that_cannot_be_written_stops_nobody(ada, password, caplog):
    with broken_audit():
        assert wrong(Client(), PAGE, ada.get_username()).status_code == 200
    assert "could not be recorded" in caplog.text
    assert not SessionEvent.objects.exists()


def test_a_failure_is_recorded_where_the_country_cannot_be_told(ada, password, settings):
    settings.AUTHX_COUNTRY = f"{__name__}.no_country"
    assert wrong(Client(), PAGE, ada.get_username()).status_code == 200
    assert SessionEvent.objects.get().kind == Kind.LOGIN_FAILED


def no_country(ip):
    raise RuntimeError("no data")


def test_failures_of_a_site_without_the_backend_are_events_too(ada, settings):
    settings.AUTHENTICATION_BACKENDS = BACKENDS[1:]
    wrong(Client(), ADMIN, ada.get_username())
    assert SessionEvent.objects.get().subject == str(ada.pk)


def test_a_failure_that_was_not_counted_is_not_put_down_to_an_earlier_attempt(ada, bob, password, settings):
    assert authenticate(username=ada.get_username(), password=password) == ada
    settings.AUTHENTICATION_BACKENDS = BACKENDS[1:]  # as where a backend before ours refuses
    assert authenticate(username=bob.get_username(), password="wrong") is None
    assert SessionEvent.objects.get().subject == str(bob.pk)


# Checks


def ids(messages):
    return [message.id for message in messages]


@pytest.mark.parametrize(
    ("backends", "found"),
    [
        (BACKENDS, []),
        (BACKENDS[1:], ["authx.W022"]),
        (BACKENDS[::-1], ["authx.W022"]),
        ([f"{__name__}.OurLimit", BACKENDS[1]], []),
        (["no.such.Backend"], ["authx.W022"]),
        ([], ["authx.W022"]),
    ],
)
def test_the_backend_is_asked_for_and_first(backends, found, settings):
    settings.AUTHENTICATION_BACKENDS = backends
    assert ids(check_login_backend()) == found


def test_it_is_not_asked_for_where_nothing_is_limited(settings):
    settings.AUTHENTICATION_BACKENDS = BACKENDS[1:]
    settings.AUTHX_LOGIN_RATE = settings.AUTHX_ADDRESS_RATE = None
    assert check_login_backend() == []


from authx.backends import LoginLimitBackend  # noqa: E402


class OurLimit(LoginLimitBackend):
    """A site's own."""


@pytest.mark.parametrize(
    ("backend", "says"),
    [
        ("django.core.cache.backends.locmem.LocMemCache", "forgets counters"),
        ("django.core.cache.backends.dummy.DummyCache", "keeps nothing"),
        ("django.core.cache.backends.filebased.FileBasedCache", "atomically"),
        ("django.core.cache.backends.db.DatabaseCache", "atomically, and forgets"),
        ("django.core.cache.backends.redis.RedisCache", ""),
        ("django_redis.cache.RedisCache", ""),
    ],
)
def test_a_cache_that_cannot_count_or_forgets_is_named(backend, says, settings):
    settings.CACHES = {"default": {"BACKEND": backend, "LOCATION": "redis://127.0.0.1:6379/0"}}
    found = check_counting()
    assert ids(found) == (["authx.W023"] if says else [])
    assert all(says in message.msg for message in found)


def test_proxies_are_asked_for(settings):
    assert ids(check_proxies()) == ["authx.W024"]
    settings.AUTHX_TRUSTED_PROXIES = 1
    assert check_proxies() == []
    settings.AUTHX_TRUSTED_PROXIES, settings.AUTHX_ADDRESS_RATE = 0, None
    assert check_proxies() == []
