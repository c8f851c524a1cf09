"""authx.checks.sockets: what stands beside the socket door."""

from __future__ import annotations

import sys
import types
from datetime import timedelta

import pytest
from channels.auth import AuthMiddleware, AuthMiddlewareStack
from channels.routing import ProtocolTypeRouter, URLRouter
from channels.security.websocket import AllowedHostsOriginValidator
from django.core.checks.registry import registry
from django.urls import path

from authx.checks.sockets import check_sockets, check_sockets_in_production
from authx.sockets import authenticated


async def app(scope, receive, send):
    """An app."""


@pytest.fixture
def serve(settings, monkeypatch):
    """Make this the site's ASGI application."""

    def serve(application):
        module = types.ModuleType("served_here")
        module.application = application
        monkeypatch.setitem(sys.modules, "served_here", module)
        settings.ASGI_APPLICATION = "served_here.application"

    return serve


def ids(messages):
    return [message.id for message in messages]


def routed(inner):
    return URLRouter([path("ws/", inner)])


class Starlette:
    """Keeps its routes as Starlette does."""

    def __init__(self, inner):
        self.router = types.SimpleNamespace(routes=[types.SimpleNamespace(app=inner)])


FINE = {
    "the door": lambda: authenticated(app),
    "a bare function": lambda: app,
    "the door in a router": lambda: ProtocolTypeRouter(
        {"http": app, "websocket": authenticated(routed(app))}
    ),
    "the door at one path": lambda: AllowedHostsOriginValidator(routed(authenticated(app))),
    "no sockets": lambda: ProtocolTypeRouter({"http": app}),
}


@pytest.mark.parametrize("name", FINE)
def test_nothing_is_said_about(name, serve):
    serve(FINE[name]())
    assert check_sockets() == []


WRONG = {
    "behind the door": (lambda: authenticated(AuthMiddlewareStack(routed(app))), "authx.W041"),
    "at one path behind it": (lambda: authenticated(routed(AuthMiddlewareStack(app))), "authx.W041"),
    "behind it, under Starlette": (lambda: Starlette(authenticated(AuthMiddlewareStack(app))), "authx.W041"),
    "a class of the site's own": (lambda: authenticated(Own(app)), "authx.W041"),
    "before the door": (lambda: AuthMiddlewareStack(routed(authenticated(app))), "authx.W041"),
    "without the door": (lambda: AllowedHostsOriginValidator(AuthMiddlewareStack(routed(app))), "authx.W044"),
}


class Own(AuthMiddleware):
    """A site's own, made from that of Channels."""


@pytest.mark.parametrize("name", WRONG)
def test_channels_own_middleware_is_found(name, serve):
    make, expected = WRONG[name]
    serve(ProtocolTypeRouter({"http": app, "websocket": make()}))
    (message,) = check_sockets()
    assert message.id == expected
    assert message.hint


def test_two_places_are_found_both(serve):
    inner = [path("a/", AuthMiddlewareStack(app)), path("b/", authenticated(AuthMiddlewareStack(app)))]
    serve(URLRouter(inner))
    assert sorted(ids(check_sockets())) == ["authx.W041", "authx.W044"]


@pytest.mark.parametrize("path", ["nowhere.application", "served_here.nothing", "served", "", 7])
def test_an_application_that_cannot_be_imported_is_reported_by_others(path, serve, settings):
    serve(app)
    settings.ASGI_APPLICATION = path
    assert check_sockets() == []
    assert check_sockets_in_production() == []


def test_a_circle_is_walked_once(serve):
    one = types.SimpleNamespace(app=None)
    one.app = types.SimpleNamespace(inner=one)
    serve(one)
    assert check_sockets() == []


@pytest.fixture
def checks_as_before():
    """Forget the checks that an app registers as it is installed: they would speak in other tests."""
    before = set(registry.registered_checks)
    yield
    registry.registered_checks = before


def test_an_application_that_cannot_be_seen_is_missed_where_there_are_sockets(checks_as_before, settings):
    assert check_sockets() == []
    settings.AUTHX_SOCKET_ORIGINS = []
    assert ids(check_sockets()) == ["authx.W040"]
    del settings.AUTHX_SOCKET_ORIGINS
    settings.INSTALLED_APPS = ["daphne", *settings.INSTALLED_APPS]
    assert ids(check_sockets()) == ["authx.W040"]
    settings.ASGI_APPLICATION = "tests.asgi.application"
    assert check_sockets() == []


@pytest.fixture
def service(serve, settings):
    """A service that only verifies, with sockets."""
    serve(authenticated(app))
    settings.DEBUG = True
    settings.AUTHX_REVOCATION_STORE = "remote"
    settings.AUTHX_JWKS_URL = "http://issuer.example/jwks/"
    settings.AUTHX_REVOCATIONS_URL = "http://issuer.example/revocations/"


def test_a_service_is_told_how_late_its_sockets_are(service, settings):
    settings.AUTHX_REVOCATION_LAG = timedelta(seconds=1)
    assert check_sockets_in_production() == []
    settings.AUTHX_REVOCATION_LAG = timedelta(seconds=5)
    assert ids(check_sockets_in_production()) == ["authx.W042"]
    settings.AUTHX_REVOCATIONS_URL = None
    assert ids(check_sockets_in_production()) == ["authx.W043"]


def test_a_service_without_sockets_is_told_nothing(service, settings, serve):
    serve(app)
    settings.AUTHX_REVOCATION_LAG = timedelta(seconds=5)
    assert check_sockets_in_production() == []


def test_an_issuer_is_told_nothing(serve, settings):
    serve(authenticated(app))
    settings.AUTHX_REVOCATION_LAG = timedelta(seconds=5)
    assert check_sockets_in_production() == []
