"""``login_device``: one call signs in any test client, and what ends its session is seen at once."""

import httpx
import pytest
import requests
from asgiref.sync import async_to_sync
from django.contrib.auth import get_user_model
from django.test import AsyncClient, Client
from rest_framework.test import APIClient, RequestsClient

from authx.errors import DeviceInvalid, LoginRefused, SessionLimitReached
from authx.models import DeviceSession
from authx.sessions import end_session, end_sessions
from authx.testing import alogin_device, clock, login_device, token_for

pytestmark = pytest.mark.django_db

API, PAGE, OWN = "/api/whoami/", "/whoami/", "/api/auth/session/"
NOBODY = {"user": None, "session": None}
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0"
BASE = "http://testserver"


def ask(client, path=API, method="get", **body):
    """The answer to any of the clients, status and JSON."""
    if isinstance(client, AsyncClient):
        answer = async_to_sync(getattr(client, method))(path, **body)
    else:
        path = path if isinstance(client, Client) else BASE + path
        answer = getattr(client, method)(path, **body)
    return answer.status_code, answer.json() if answer.content else None


CLIENTS = [Client, AsyncClient, APIClient]
#: Unlike Django's own, it ends each request as a server does: with an old DRF that closes the connection.
BY_REQUESTS = pytest.param(RequestsClient, id="RequestsClient", marks=pytest.mark.django_db(transaction=True))


@pytest.fixture(params=[*CLIENTS, BY_REQUESTS], ids=lambda kind: kind.__name__)
def client(request):
    return request.param()


@pytest.mark.parametrize("transport", ["bearer", "cookie", None])
def test_pages_and_api_know_the_device_until_it_is_kicked(transport, client, ada):
    found = login_device(client, ada, transport=transport, id="phone-1", name="Ada's", type="ios")
    session = found.session
    assert (session.device_id, session.device_name, session.device_type) == ("phone-1", "Ada's", "ios")
    for _time in range(2):
        assert ask(client) == (200, {"user": str(ada.pk), "sid": str(session.pk)})
    status, own = ask(client, OWN)
    assert (status, own["current"], own["device"]["name"]) == (200, True, "Ada's")
    end_session(session, "kicked")
    status, body = ask(client)
    assert (status, body["code"], body["reason"]) == (401, "session_ended", "kicked")


@pytest.mark.parametrize("kind", [*CLIENTS, BY_REQUESTS])
def test_each_client_shows_itself_as_is_usual_for_it(kind, ada):
    client = kind()
    session = login_device(client, ada).session
    known = ask(client, PAGE)[1]
    by_cookie = kind in {Client, AsyncClient}
    assert (
        known == {"user": "ada", "session": str(session.pk)} if by_cookie else {"user": None, "session": None}
    )
    assert "__Host-authx_refresh" in client.cookies or not by_cookie


def test_devices_of_one_user_stand_side_by_side(ada):
    clients = [APIClient(), Client(), APIClient(), AsyncClient()]
    sids = [
        str(login_device(client, ada, name=str(number)).session.pk) for number, client in enumerate(clients)
    ]
    assert [ask(client)[1]["sid"] for client in clients] == sids
    status, _nothing = ask(clients[0], f"/api/auth/sessions/{sids[1]}/", "delete")
    assert status == 204
    assert [ask(client)[0] for client in clients] == [200, 401, 200, 200]
    assert ask(clients[1])[1]["reason"] == "ended_by_user"
    assert ask(clients[2], "/api/auth/sessions/end-others/", "post")[1] == {"ended": 2}


@pytest.mark.parametrize("transport", ["bearer", "cookie"])
def test_a_logout_is_one(transport, ada):
    client = APIClient()
    session = login_device(client, ada, transport=transport).session
    assert ask(client, "/api/auth/logout/", "post")[0] == 204
    assert ask(client)[0] == 401
    session.refresh_from_db()
    assert session.end_reason == "logout"


@pytest.mark.parametrize("kind", [Client, AsyncClient, APIClient])
def test_a_browser_that_signs_in_again_has_left_its_session(kind, ada, bob):
    client = kind()
    first = login_device(client, ada, transport="cookie").session
    assert ask(client)[0] == 200
    second = login_device(client, bob, transport="cookie").session
    assert ask(client)[1] == {"user": str(bob.pk), "sid": str(second.pk)}
    first.refresh_from_db()
    assert first.end_reason == "superseded"


def test_it_is_the_same_browser_at_its_next_login(ada):
    client = Client()
    devices = [login_device(client, ada).session.device_id for _time in range(2)]
    assert devices[0] == devices[1] != ""
    assert login_device(Client(), ada).session.device_id != devices[0]


def test_what_the_old_user_kept_in_the_django_session_is_gone(ada, bob):
    client = Client()
    client.force_login(ada)
    session = client.session
    session["cart"] = "ada's"
    session.save()
    ask(client, PAGE)
    login_device(client, bob)
    assert ask(client, PAGE)[1]["user"] == "bob"
    assert "cart" not in client.session
    assert DeviceSession.objects.live().get().user == bob


def test_what_nobody_kept_there_stays(ada):
    client = Client()
    session = client.session
    session["cart"] = "book"
    session.save()
    client.cookies["sessionid"] = session.session_key
    login_device(client, ada)
    assert ask(client, PAGE)[1]["user"] == "ada"
    assert client.session["cart"] == "book"
    assert client.session.session_key != session.session_key


@pytest.mark.parametrize("kind", [Client, AsyncClient, APIClient])
def test_a_login_by_the_other_way_counts_from_then_on(kind, ada, bob):
    client = kind()
    login_device(client, ada, transport="bearer")
    login_device(client, bob, transport="cookie")
    assert ask(client)[1]["user"] == str(bob.pk)
    login_device(client, ada, transport="bearer")
    assert ask(client)[1]["user"] == str(ada.pk)


def test_other_credentials_of_a_client_stay(ada):
    client = APIClient()
    client.credentials(HTTP_X_TENANT="north")
    login_device(client, ada)
    assert client.get(API).wsgi_request.META["HTTP_X_TENANT"] == "north"
    other = Client(headers={"Authorization": "Basic YTpi"})
    login_device(other, ada)
    assert other.defaults["HTTP_AUTHORIZATION"] == "Basic YTpi"


def test_the_session_knows_where_it_comes_from(ada):
    client = Client(
        headers={"User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0"},
        REMOTE_ADDR="203.0.113.7",
    )
    session = login_device(client, ada).session
    assert (session.ip, session.device_type) == ("203.0.113.7", "web")
    assert "Firefox" in session.device_label


def test_an_async_test_has_its_own(ada):
    async def sign_in():
        client = AsyncClient()
        session = (await alogin_device(client, ada, name="Tab")).session
        return session, (await client.get("/async-whoami/")).json()

    session, known = async_to_sync(sign_in)()
    assert known == {"user": "ada", "session": str(session.pk)}


def test_a_token_alone(ada):
    token = token_for(ada, type="desktop", amr=("pwd", "otp"))
    answer = Client().get(API, headers={"Authorization": f"Bearer {token}"})
    assert answer.json()["sid"] == str(DeviceSession.objects.get().pk)
    assert DeviceSession.objects.get().amr == ["pwd", "otp"]


def test_settings_are_those_of_the_test(ada, settings):
    settings.AUTHX_ACCESS_COOKIE, settings.AUTHX_COOKIE_ENCRYPTION = "__Host-site_access", True
    client = Client()
    login_device(client, ada)
    assert client.cookies["__Host-site_access"].value.startswith("gAAAA")
    assert ask(client)[0] == 200


def test_what_a_login_refuses_this_does_too(ada, settings):
    settings.AUTHX_SESSION_LIMITS = [{"limit": 1, "when_full": "refuse"}]
    login_device(APIClient(), ada)
    for client in (APIClient(), Client()):
        with pytest.raises(SessionLimitReached):
            login_device(client, ada)
        assert ask(client)[0] == 401
    with pytest.raises(DeviceInvalid):
        login_device(APIClient(), ada, type="toaster")
    with pytest.raises(ValueError, match="transport"):
        login_device(APIClient(), ada, transport="pigeon")
    with pytest.raises(TypeError):
        login_device(APIClient(), ada, kind="ios")
    end_sessions(DeviceSession.objects.all(), "kicked")
    ada.is_active = False
    with pytest.raises(LoginRefused):
        login_device(APIClient(), ada)
    with pytest.raises(LoginRefused):
        login_device(APIClient(), get_user_model()())


@pytest.mark.parametrize("transport", ["bearer", "cookie"])
def test_its_time_passes(transport, ada):
    client = APIClient()
    credentials = login_device(client, ada, transport=transport)
    with clock() as now:
        now.advance(minutes=20)
        status, body = ask(client)
        if transport == "bearer":
            assert (status, body["code"]) == (401, "token_expired")
            answer = APIClient().post("/api/auth/refresh/", {"refresh_token": credentials.refresh_token})
            assert answer.status_code == 200
        else:
            assert status == 200  # renewed
            assert client.cookies["__Host-authx_access"].value != credentials.access_token
        now.advance(days=8)
        client = client if transport == "cookie" else APIClient()
        body = {} if transport == "cookie" else {"refresh_token": answer.json()["refresh_token"]}
        refused = client.post("/api/auth/refresh/", body)
        assert (refused.status_code, refused.json()["reason"]) == (401, "idle")


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("make", [requests.Session, httpx.Client], ids=["requests", "httpx"])
def test_a_client_of_a_live_server(make, live_server, ada):
    with make() as client:
        session = login_device(client, ada).session
        assert client.get(f"{live_server}{API}").json()["sid"] == str(session.pk)
        with clock() as now:
            now.advance(minutes=20)
            assert client.get(f"{live_server}{API}").json()["code"] == "token_expired"
        end_session(session, "kicked")
        assert client.get(f"{live_server}{API}").json()["reason"] == "kicked"
    with make() as client:
        session = login_device(client, ada, transport="cookie").session
        assert client.get(f"{live_server}{PAGE}").json()["session"] == str(session.pk)


@pytest.mark.parametrize("kind", [Client, APIClient])
def test_a_clients_own_logout_forgets_the_session_and_does_not_end_it(ada, kind):
    client = kind()
    login_device(client, ada)
    client.logout()
    assert client.get("/api/whoami/").status_code == 401
    assert ada.device_sessions.live().count() == 1
