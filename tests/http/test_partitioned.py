"""authx.http.partitioned: what a partitioned cookie looks like, and what goes with it."""

import copy
import pickle
from http.cookies import Morsel

import pytest
from asgiref.sync import async_to_sync
from asgiref.testing import ApplicationCommunicator
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.db.transaction import non_atomic_requests
from django.http import HttpResponse
from django.test import Client, RequestFactory
from django.urls import path

from authx.http.cookies import clear_cookies, read_cookie, set_access_cookie, set_cookies, set_device_cookie
from authx.http.partitioned import is_partitioned
from authx.sessions import open_session

pytestmark = pytest.mark.urls(__name__)

ACCESS, REFRESH, DEVICE = OURS = ("__Host-authx_access", "__Host-authx_refresh", "__Host-authx_device")
PARTITIONING = "authx.pages.partitioned.PartitionedCookiesMiddleware"
GONE = "Max-Age=0"


@non_atomic_requests  # Django refuses an async view in a transaction
def setting(request):
    """Set cookies as sites do: of any kind."""
    response = HttpResponse()
    response.set_cookie("anywhere", "1", secure=True, samesite="None", max_age=60)
    response.set_cookie("old", "2", secure=True, samesite="none", domain="example.com", path="/a")
    response.set_cookie("insecure", "3", samesite="None")
    response.set_cookie("here", "4", secure=True, samesite="Lax")
    response.set_cookie("unsaid", "5", secure=True)
    response.delete_cookie("deleted", samesite="None")
    return response


@non_atomic_requests
async def async_setting(request):
    return setting(request)


urlpatterns = [path("", setting), path("async/", async_setting)]


@pytest.fixture
def partitioned(settings):
    settings.AUTHX_COOKIE_SAMESITE, settings.AUTHX_COOKIE_PARTITIONED = "None", True


@pytest.fixture
def response():
    return HttpResponse()


def lines(response):
    """The Set-Cookie headers, as both of Django's handlers write them, each with its attributes in a set."""
    written = [cookie.output(header="").strip() for cookie in response.cookies.values()]
    return [(line.partition(";")[0], set(line.split("; ")[1:])) for line in written]


def attributes(*more):
    return {"HttpOnly", "Path=/", "SameSite=None", "Secure", *more}


def test_ours_are_partitioned_and_each_deletes_its_older_twin_first(partitioned, response):
    set_access_cookie(response, "an-access", 900, persistent=False)
    set_device_cookie(response, "a-device")
    found = lines(response)
    assert [name for name, _rest in found] == [
        f'{ACCESS}=""',
        f"{ACCESS}=an-access",
        f'{DEVICE}=""',
        f"{DEVICE}=a-device",
    ]
    assert found[0][1] == attributes("expires=Thu, 01 Jan 1970 00:00:00 GMT", GONE)
    assert found[1][1] == attributes("Partitioned")
    assert "Partitioned" in found[3][1]
    assert "Max-Age=34560000" in found[3][1]


def test_both_kinds_are_taken_back(partitioned, response):
    clear_cookies(response)
    kinds = [(name, GONE in rest, "Partitioned" in rest) for name, rest in lines(response)]
    assert kinds == [
        (f'{ACCESS}=""', True, False),
        (f'{ACCESS}=""', True, True),
        (f'{REFRESH}=""', True, False),
        (f'{REFRESH}=""', True, True),
    ]


def test_without_the_setting_nothing_is_partitioned(response, settings):
    settings.AUTHX_COOKIE_SAMESITE = "None"
    set_access_cookie(response, "an-access", 900, persistent=False)
    assert lines(response) == [(f"{ACCESS}=an-access", attributes())]


def test_done_twice_the_last_one_counts(partitioned, response):
    """As where a view signs somebody out, and somebody else in."""
    clear_cookies(response)
    set_cookies(response, access_token="a", access_expires_in=60, refresh_token="r", refresh_expires_in=None)
    values = [name for name, _rest in lines(response)]
    assert values == [f'{ACCESS}=""', f"{ACCESS}=a", f'{REFRESH}=""', f"{REFRESH}=r"]
    assert all(GONE not in rest or "Partitioned" not in rest for _name, rest in lines(response))


def test_what_is_set_is_read_again_by_test_clients_that_send_all_they_were_given(partitioned, response):
    set_access_cookie(response, "an-access", 900, persistent=True)
    client = Client()
    client.cookies.update(response.cookies)
    sent = "; ".join(f"{cookie.key}={cookie.coded_value}" for cookie in client.cookies.values())
    assert read_cookie(RequestFactory().get("/", headers={"cookie": sent}), ACCESS) == "an-access"


@pytest.mark.django_db
def test_a_test_client_stays_signed_in(partitioned, ada, password, settings):
    settings.ROOT_URLCONF = "tests.urls"
    client = Client()
    client.post("/account/login/", {"username": ada.get_username(), "password": password})
    assert client.get("/whoami/").json()["user"] == ada.get_username()
    client.post("/account/logout/")
    assert client.get("/whoami/").json()["user"] is None


@pytest.mark.django_db
def test_a_silent_renewal_is_partitioned_too(partitioned, ada, settings):
    settings.ROOT_URLCONF = "tests.urls"
    client = Client()
    client.cookies[REFRESH] = open_session(ada).refresh_token
    response = client.get("/whoami/")
    assert is_partitioned(response, ACCESS)


@pytest.mark.parametrize("kept", [copy.copy, copy.deepcopy, lambda it: pickle.loads(pickle.dumps(it))])
def test_a_response_that_is_kept_somewhere_keeps_it(kept, partitioned, response):
    set_access_cookie(response, "an-access", 900, persistent=True)
    assert lines(kept(response)) == lines(response)


def test_python_that_knows_the_attribute_writes_the_same(partitioned, response, monkeypatch):
    """As from 3.14 on, and where a site has patched it in."""
    set_access_cookie(response, "an-access", 900, persistent=False)
    before = lines(response)
    monkeypatch.setitem(Morsel._reserved, "partitioned", "Partitioned")
    monkeypatch.setattr(Morsel, "_flags", {*Morsel._flags, "partitioned"})
    later = HttpResponse()
    set_access_cookie(later, "an-access", 900, persistent=False)
    assert lines(later) == before
    later.cookies[ACCESS]["partitioned"] = True
    assert later.cookies[ACCESS].OutputString().count("Partitioned") == 1
    later.set_cookie("theirs", "1", secure=True, samesite="None")
    later.cookies["theirs"]["partitioned"] = True
    assert is_partitioned(later, "theirs")


# Django's cookies, and others'


def written_by(handler, route, settings):
    """The Set-Cookie headers that a server is handed."""
    settings.MIDDLEWARE = [PARTITIONING]
    if handler == "WSGI":
        found = []
        environ = RequestFactory().get(route).environ
        WSGIHandler()(environ, lambda status, headers: found.extend(headers)).close()
        return [value.strip() for name, value in found if name == "Set-Cookie"]

    async def ask():
        scope = {"type": "http", "method": "GET", "path": route, "headers": [], "query_string": b""}
        server = ApplicationCommunicator(ASGIHandler(), scope)
        await server.send_input({"type": "http.request", "body": b""})
        headers = (await server.receive_output())["headers"]
        await server.receive_output()
        await server.wait()
        return headers

    return [value.decode() for name, value in async_to_sync(ask)() if name == b"Set-Cookie"]


@pytest.mark.django_db
@pytest.mark.parametrize("route", ["/", "/async/"])
@pytest.mark.parametrize("handler", ["WSGI", "ASGI"])
def test_every_cookie_that_goes_anywhere_is_partitioned(handler, route, settings):
    found = written_by(handler, route, settings)
    named = [(line.partition("=")[0], "Partitioned" in line, GONE in line) for line in found]
    assert sorted(named) == sorted(
        [
            ("anywhere", False, True),
            ("anywhere", True, False),
            ("deleted", False, True),
            ("deleted", True, True),
            ("here", False, False),
            ("insecure", False, False),
            ("old", False, True),
            ("old", True, False),
            ("unsaid", False, False),
        ]
    )
    assert all(
        "Domain=example.com" in line and "Path=/a" in line for line in found if line.startswith("old=")
    )
    for name in ("anywhere", "old"):
        twins = [line for line in found if line.startswith(f"{name}=")]
        assert GONE in twins[0], "the deletion stands first"


def test_ours_are_left_as_they_are(partitioned, settings, response):
    from authx.pages.partitioned import PartitionedCookiesMiddleware

    set_access_cookie(response, "an-access", 900, persistent=True)
    before = lines(response)
    assert lines(PartitionedCookiesMiddleware(lambda request: response)(RequestFactory().get("/"))) == before
