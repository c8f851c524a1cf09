"""Nothing is verified, read or looked up twice in a request, whoever asks.

Counted by the interpreter, as those functions run that do the work at last (PyJWT's, itsdangerous',
cryptography's, our own readers): it does not matter who calls them, nor under which name they were imported.
"""

import inspect
import sys
from collections import Counter
from contextlib import contextmanager

import pytest
from cryptography.fernet import MultiFernet
from django.test import Client
from itsdangerous import Signer
from jwt.algorithms import ECAlgorithm

from authx.conf import conf
from authx.core.refresh_token import is_genuine, read_refresh_token
from authx.gate.signature_cache import signatures
from authx.gate.verify import read_anybodys_claims, read_claims
from authx.http import cookies
from authx.logins.good_headers import good_headers
from authx.sessions import end_sessions, lookup, open_session
from authx.sessions.live_lookup import find_live_session
from tests.clients import create_service

pytestmark = pytest.mark.django_db(transaction=True)

AUTH = "/api/auth/"
ADMIN = "/admin/authx/devicesession/"
JSON = {"content_type": "application/json"}

COUNTED = {
    ECAlgorithm.verify: "signature checked",
    read_claims: "access token read",
    read_anybodys_claims: "access token read",
    read_refresh_token: "refresh token read",
    is_genuine: "refresh token proved",
    cookies._parse: "cookie header read",
    lookup._Statement.read: "session found",
    find_live_session: "session found",
}
CODES = {inspect.unwrap(function).__code__: name for function, name in COUNTED.items()}
SALTS = {b"authx.refresh": "refresh token unsigned", b"authx.device": "device cookie unsigned"}


@contextmanager
def counted():
    """Count what is done in this thread from now on, beginning with no token that is known already."""
    found = Counter()

    def called(frame, event, arg):
        if event != "call":
            return
        name = CODES.get(frame.f_code)
        if frame.f_code is Signer.unsign.__code__:
            name = SALTS.get(frame.f_locals["self"].salt)
        elif frame.f_code is MultiFernet.decrypt.__code__:
            name = "cookie decrypted", frame.f_locals["msg"]
        if name:
            found[name] += 1

    signatures.clear()
    good_headers.clear()
    before = sys.getprofile()
    sys.setprofile(called)
    try:
        yield found
    finally:
        sys.setprofile(before)


ACCESS = {"signature checked", "access token read"}
REFRESH = {"refresh token read", "refresh token unsigned", "refresh token proved"}


class Scene:
    """A user signed in by an app and in a browser; and an administrator in another browser."""

    def __init__(self, ada, admin):
        self.user, self.opened, self.app = ada, open_session(ada), Client()
        self.browser, self.staff = self.signed_in(ada), self.signed_in(admin)

    def signed_in(self, user):
        client = Client()
        client.force_login(user)
        for _ in range(2):  # the second confirms the cookies that the first has brought
            assert client.get("/whoami/", secure=True).json()["session"]
        assert {conf.ACCESS_COOKIE, conf.REFRESH_COOKIE} <= client.cookies.keys()
        return client

    def page(self, path="/whoami/", **headers):
        return self.browser.get(path, secure=True, headers=headers)

    def post(self, path, body=None, client=None):
        more = JSON if path.startswith(AUTH) else {}
        return (client or self.browser).post(path, body or {}, secure=True, **more)

    def send(self, path, **body):
        return self.app.post(f"{AUTH}{path}", body, **JSON)

    def bearer(self, method, path, token=None):
        token = token or self.opened.access_token
        return getattr(self.app, method)(path, headers={"Authorization": f"Bearer {token}"})

    def as_service(self, path, token):
        service, secret = create_service("orders")
        return self.send(path, token=token, client_id=service.client_id, client_secret=secret)


def access_gone(scene):
    """Have the access cookie run out, as browsers drop it then."""
    scene.browser.cookies.pop(conf.ACCESS_COOKIE, None)


def too_often(scene):
    scene.settings.AUTHX_REFRESH_RATE = "1/day"
    for _ in range(2):  # the first beyond the rate raises the alarm, and looks for the session to do so
        access_gone(scene)
        scene.page()


def ended(scene):
    end_sessions(scene.user.device_sessions.all(), "kicked")


def ended_elsewhere(scene):
    """Have no Django session, whose flush would have the middleware look again."""
    del scene.browser.cookies["sessionid"]
    ended(scene)


def nothing(scene):
    """Have nothing prepared."""


KICK = {"action": "kick", "post": "yes", "reason": "a lost laptop"}

#: What is prepared, what is asked, what at least is done, and how often a session is looked up: again before
#: cookies leave with the response, for it may have ended or moved on meanwhile.
JOURNEYS = {
    "bearer": (nothing, lambda s: s.bearer("get", "/api/whoami/"), ACCESS, 1),
    "bearer, which shows its session": (nothing, lambda s: s.bearer("get", f"{AUTH}session/"), ACCESS, 1),
    "page": (nothing, lambda s: s.page(), ACCESS, 1),
    "page that nobody asks who it is": (nothing, lambda s: s.page("/untouched/"), ACCESS, 0),
    "page of an ended session": (ended, lambda s: s.page(), ACCESS, 1),
    "page, prefetched": (access_gone, lambda s: s.page(sec_purpose="prefetch"), set(), 0),
    "page, renewed": (access_gone, lambda s: s.page(), REFRESH, 2),
    "page, renewed too often": (too_often, lambda s: s.page(), REFRESH, 1),
    "cookie API": (nothing, lambda s: s.page("/api/whoami/"), ACCESS, 1),
    "cookie API, renewed": (access_gone, lambda s: s.page("/api/whoami/"), REFRESH, 2),
    "cookie API, renewed too often": (too_often, lambda s: s.page("/api/whoami/"), REFRESH, 1),
    "cookie API of an ended session": (ended_elsewhere, lambda s: s.page("/api/public/"), ACCESS, 1),
    "refresh by body": (
        nothing,
        lambda s: s.send("refresh/", refresh_token=s.opened.refresh_token),
        REFRESH,
        1,
    ),
    "refresh by cookie": (nothing, lambda s: s.post(f"{AUTH}refresh/"), ACCESS | REFRESH, 2),
    "logout by Bearer": (nothing, lambda s: s.bearer("post", f"{AUTH}logout/"), ACCESS, 1),
    "logout by body": (
        nothing,
        lambda s: s.send("logout/", refresh_token=s.opened.refresh_token),
        REFRESH,
        1,
    ),
    "logout by cookie": (nothing, lambda s: s.post(f"{AUTH}logout/"), ACCESS | REFRESH, 1),
    "logout page": (nothing, lambda s: s.post("/account/logout/"), ACCESS, 1),
    "logout page, access gone": (access_gone, lambda s: s.post("/account/logout/"), REFRESH, 1),
    "kick": (
        nothing,
        lambda s: s.post(ADMIN, KICK | {"_selected_action": s.opened.session.pk}, s.staff),
        ACCESS,
        1,
    ),
    "kick by API": (
        nothing,
        lambda s: s.post(f"{AUTH}staff/sessions/{s.opened.session.pk}/kick/", client=s.staff),
        ACCESS,
        1,
    ),
    "introspection": (nothing, lambda s: s.as_service("introspect/", s.opened.access_token), ACCESS, 1),
    "introspection of a refresh token": (
        nothing,
        lambda s: s.as_service("introspect/", s.opened.refresh_token),
        REFRESH,
        1,
    ),
    "revocation": (nothing, lambda s: s.as_service("revoke/", s.opened.access_token), ACCESS, 1),
    "revocation of a refresh token": (
        nothing,
        lambda s: s.as_service("revoke/", s.opened.refresh_token),
        REFRESH,
        1,
    ),
    "login over another": (
        nothing,
        lambda s: s.post("/account/login/", s.name_and_password),
        ACCESS | REFRESH,
        2,
    ),
    "login by API over another": (
        nothing,
        lambda s: s.post(f"{AUTH}login/", s.name_and_password | {"transport": "cookie"}),
        ACCESS | REFRESH,
        2,
    ),
}


@pytest.fixture
def scene(settings, ada, admin, password):
    settings.AUTHX_COOKIE_ENCRYPTION = True  # so that reading a cookie is work that can be counted
    scene = Scene(ada, admin)
    scene.settings = settings
    scene.name_and_password = {"username": ada.get_username(), "password": password}
    return scene


@pytest.mark.parametrize("name", JOURNEYS)
def test_each_is_read_once(name, scene):
    prepare, act, expected, lookups = JOURNEYS[name]
    prepare(scene)
    with counted() as found:
        answer = act(scene)
    assert answer.status_code in {200, 204, 302}, answer.content
    assert found.pop("session found", 0) == lookups
    assert expected <= found.keys()
    assert set(found.values()) <= {1}, found
