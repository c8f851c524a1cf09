"""Two sites on one host, another port or path: their cookies have one name, and neither takes the other's."""

from datetime import timedelta

import pytest
from django.http import HttpResponse
from django.test import Client, RequestFactory
from django.utils import timezone
from rest_framework.test import APIClient

from authx.conf import secret_keys
from authx.core.device_cookie import BrowserDevice, write_device
from authx.errors import StoreUnavailable
from authx.http.cookies import set_cookies, set_device_cookie
from authx.http.device_cookie import _signer
from authx.logins.presented import cookies_of_others
from authx.models import DeviceSession
from authx.sessions import end_session, open_session
from authx.sessions.credentials import credentials_for
from tests.signing_in import NAVIGATION

pytestmark = pytest.mark.django_db

ACCESS, REFRESH, DEVICE = "__Host-authx_access", "__Host-authx_refresh", "__Host-authx_device"
OURS = {ACCESS, REFRESH, DEVICE}
NOBODY = {"user": None, "session": None}
LOGIN, API = "/account/login/", "/api/auth"


@pytest.fixture
def theirs(ada, settings, request):
    """The three cookies of a site with another secret; its database is not ours."""
    ours, settings.SECRET_KEY = settings.SECRET_KEY, "the secret of the site on the next port, no other" * 2
    settings.AUTHX_COOKIE_ENCRYPTION = getattr(request, "param", False)
    opened = open_session(ada)
    response = HttpResponse()
    lives = {"access_expires_in": 900, "refresh_expires_in": 900}
    set_cookies(response, access_token=opened.access_token, refresh_token=opened.refresh_token, **lives)
    device = BrowserDevice.new().with_login(opened.session.subject, secret_keys(), "")
    set_device_cookie(response, _signer().sign(write_device(device)).decode())
    settings.SECRET_KEY, settings.AUTHX_COOKIE_ENCRYPTION = ours, False
    DeviceSession.objects.all().delete()
    return {name: response.cookies[name].value for name in OURS}


def client_with(cookies, kind=Client, **options):
    client = kind(**options)
    for name, value in cookies.items():
        client.cookies[name] = value
    return client


either_way = pytest.mark.parametrize("theirs", [False, True], ids=["signed", "encrypted"], indirect=True)

#: All that a visitor without a login here may do.
VISITS = {
    "page": lambda client: client.get("/whoami/"),
    "private page": lambda client: client.get("/private/"),
    "login page": lambda client: client.get(LOGIN, headers=NAVIGATION),
    "admin": lambda client: client.get("/admin/login/", headers=NAVIGATION),
    "Django's login page": lambda client: client.get("/django-login/", headers=NAVIGATION),
    "wrong password": lambda client: client.post(LOGIN, {"username": "ada", "password": "wrong"}),
    "logout": lambda client: client.post("/account/logout/"),
    "Django's logout": lambda client: client.post("/django-logout/"),
    "admin's logout": lambda client: client.post("/admin/logout/"),
    "devices": lambda client: client.get("/account/devices/"),
    "step-up": lambda client: client.get("/account/confirm/"),
    "API": lambda client: client.get("/api/whoami/"),
    "API's login": lambda client: client.get(f"{API}/login/"),
    "API's refresh": lambda client: client.post(f"{API}/refresh/"),
    "API's logout": lambda client: client.post(f"{API}/logout/"),
    "API's session": lambda client: client.get(f"{API}/session/"),
}


@either_way
@pytest.mark.parametrize("visit", VISITS)
def test_a_visitor_without_a_login_here_keeps_all_cookies_of_the_other_site(visit, theirs):
    response = VISITS[visit](client_with(theirs))
    assert response.status_code < 500
    assert not OURS & set(response.cookies)


@either_way
def test_nor_are_they_an_error_or_a_reason(theirs):
    client = client_with(theirs)
    assert client.get("/whoami/").json() == NOBODY
    page = client.get("/private/", follow=True)
    assert page.redirect_chain == [("/account/login/?next=/private/", 302)]
    assert "data-reason" not in page.content.decode()
    assert client.post(f"{API}/logout/").status_code == 204
    assert client.post(f"{API}/refresh/").json()["code"] == "refresh_malformed"


@either_way
def test_a_login_here_takes_their_place(theirs, ada, password):
    client = client_with(theirs)
    typed = {"username": ada.get_username(), "password": password}
    response = client.post(f"{LOGIN}?next=/private/", typed, follow=True)
    assert response.redirect_chain == [("/private/", 302)]
    assert response.status_code == 200
    assert {client.cookies[name].value for name in OURS}.isdisjoint(theirs.values())
    assert client.get("/whoami/").json()["user"] == ada.get_username()


@either_way
def test_so_does_one_of_the_api(theirs, ada, password):
    client = client_with(theirs, APIClient)
    typed = {"username": ada.get_username(), "password": password, "transport": "cookie"}
    assert client.post(f"{API}/login/", typed, format="json").status_code == 200
    assert client.get("/api/whoami/").json()["user"] == str(ada.pk)


def test_and_one_that_opens_no_session_here(theirs, ada, password, settings):
    settings.AUTHX_BIND_DJANGO_LOGIN = False
    client = client_with(theirs)
    client.post("/django-login/", {"username": ada.get_username(), "password": password})
    assert {name: client.cookies[name].value for name in (ACCESS, REFRESH)} == {ACCESS: "", REFRESH: ""}
    assert client.get("/whoami/").json()["user"] == ada.get_username()


@pytest.mark.parametrize("path", ["/account/logout/", f"{API}/logout/"])
def test_a_login_here_whose_cookies_they_have_replaced_can_still_be_ended(path, theirs, ada, password):
    client = client_with(theirs)
    client.post(LOGIN, {"username": ada.get_username(), "password": password})
    for name, value in theirs.items():
        client.cookies[name] = value
    response = client.post(path)
    assert not OURS & set(response.cookies)
    assert DeviceSession.objects.get().end_reason == "logout"


# What is ours


@pytest.fixture
def ours(ada):
    opened = open_session(ada)
    return {ACCESS: opened.access_token, REFRESH: opened.refresh_token}


def taken_back(cookies):
    """The cookies that the login page deletes."""
    response = client_with(cookies).get(LOGIN, headers=NAVIGATION)
    assert all(response.cookies[name]["max-age"] == 0 for name in {ACCESS, REFRESH} & set(response.cookies))
    return {ACCESS, REFRESH} & set(response.cookies)


def test_of_an_ended_session_each_cookie_is_taken_back_and_theirs_is_not(ours, theirs):
    for session in DeviceSession.objects.live():
        end_session(session, "kicked")
    assert taken_back(ours) == {ACCESS, REFRESH}
    assert taken_back({ACCESS: ours[ACCESS]}) >= {ACCESS}
    assert taken_back({REFRESH: ours[REFRESH]}) >= {REFRESH}
    assert taken_back({ACCESS: ours[ACCESS], REFRESH: theirs[REFRESH]}) == {ACCESS}
    assert taken_back({ACCESS: theirs[ACCESS], REFRESH: ours[REFRESH]}) >= {REFRESH}
    assert REFRESH not in taken_back({REFRESH: theirs[REFRESH]})
    assert ACCESS not in taken_back({ACCESS: theirs[ACCESS]})


def test_what_a_fallback_secret_has_signed_is_ours(ours, settings):
    for session in DeviceSession.objects.live():
        end_session(session, "kicked")
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = (
        "a new secret of this very site" * 3,
        [settings.SECRET_KEY],
    )
    assert taken_back(ours) == {ACCESS, REFRESH}
    settings.SECRET_KEY_FALLBACKS = []
    assert taken_back(ours) == set()


def test_an_expired_access_token_is_ours_and_one_of_another_issuer_is_not(ada, settings):
    opened = open_session(ada)
    expired = credentials_for(opened.session, generation=1, now=timezone.now() - timedelta(hours=1))
    header = {"cookie": f"{ACCESS}={expired.access_token}"}
    assert cookies_of_others(RequestFactory().get("/", headers=header)) == set()
    settings.AUTHX_ISSUER = "https://the-other.example"
    header = {"cookie": f"{ACCESS}={opened.access_token}"}
    assert cookies_of_others(RequestFactory().get("/", headers=header)) == {ACCESS}


@pytest.mark.parametrize("name", [ACCESS, REFRESH])
def test_one_that_is_nothing_at_all_is_not_ours_to_delete(name):
    assert name not in taken_back({name: "garbage"})


def test_beside_our_refresh_cookie_no_signing_key_is_needed(ours, theirs, monkeypatch):
    def fail(*args, **kwargs):
        raise StoreUnavailable("the managed keys cannot be read")

    monkeypatch.setattr("authx.logins.presented.read_claims", fail)
    header = f"{ACCESS}={theirs[ACCESS]}; {REFRESH}={ours[REFRESH]}"
    assert cookies_of_others(RequestFactory().get("/", headers={"cookie": header})) == set()


# The browser as a device


@pytest.mark.parametrize("value", ["garbage", "a.b.c"])
def test_a_device_cookie_that_is_not_ours_is_overwritten_by_a_login_alone(value, ada, password):
    client = client_with({DEVICE: value})
    assert DEVICE not in client.get(LOGIN, headers=NAVIGATION).cookies
    client.post(LOGIN, {"username": ada.get_username(), "password": password})
    assert client.cookies[DEVICE].value not in {"", value}


@pytest.mark.parametrize("header", ["", f"{DEVICE}=", f"a={DEVICE}"])
def test_a_browser_without_one_is_introduced_by_the_login_page(header):
    response = Client().get(LOGIN, headers=NAVIGATION | {"cookie": header})
    assert response.cookies[DEVICE].value
