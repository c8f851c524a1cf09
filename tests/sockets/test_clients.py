"""Sockets for clients of OAuth: a door that says so lets them in, by their own tokens alone."""

from __future__ import annotations

import json
import time

import pytest
from django.contrib.auth import get_user_model

from authx.conf import conf
from authx.core.claims import AccessClaims
from authx.errors import SessionEnded
from authx.gate.principal import Principal
from authx.models import DeviceSession
from authx.sessions import end_session, open_session, tickets
from authx.sockets import authenticated
from tests.clients import API, SCOPE, exchanged, granted, make_client, service_token, signed
from tests.in_process import ORIGIN, Echo, Watched, apart, connect, in_loop

pytestmark = pytest.mark.django_db(transaction=True)

CLIENTS = {"resource": API, "scope": SCOPE}


@pytest.fixture
def login(ada):
    return open_session(ada)


@pytest.fixture
def client(login):
    return make_client()


@pytest.fixture
def delegated(client, login):
    return granted(client, login.session)


def by_subprotocol(token):
    return {"subprotocols": ["authx", f"authx.bearer.{token}"]}


def by_header(token):
    return {"bearer": token}


CARRIED = pytest.mark.parametrize("carried", [by_header, by_subprotocol])


@CARRIED
@in_loop
async def test_a_client_gets_in_for_its_user(carried, delegated, ada):
    watched, app = Watched(time.time()), Echo()
    peer = connect(app, clients=CLIENTS, **carried(delegated.access_token))
    await peer.accepted()
    (scope,) = app.scopes
    assert scope["user"] == ada
    assert (scope["authx"].sid, scope["authx"].scopes) == (str(delegated.session.pk), (SCOPE,))
    assert scope["authx"].claims.is_delegated
    assert await scope["authx"].auser() == ada
    row = await apart(DeviceSession.objects.get, pk=delegated.session.pk)
    assert row.confirmed_generation == 1, "T2"
    await apart(end_session, delegated.session, "kicked")
    await watched.read()
    assert await peer.closed() == (4401, "kicked")


@CARRIED
@in_loop
async def test_no_door_lets_it_in_that_does_not_say_so(carried, delegated):
    watched = Watched(time.time())
    for audience in ((API,), conf.AUDIENCE):
        peer = connect(**carried(signed(delegated.claims, aud=audience)))
        status, _body, _headers = await peer.refused()
        assert status == 401
    assert watched.watcher.watches.is_clean


@in_loop
async def test_a_service_acts_for_itself(client):
    watched, app = Watched(time.time()), Echo()
    _claims, token = await apart(service_token, client)
    peer = connect(app, clients=CLIENTS, bearer=token)
    await peer.accepted()
    (scope,) = app.scopes
    assert isinstance(scope["user"], Principal)
    assert scope["user"].pk == "client:app-1"
    assert isinstance(await scope["authx"].auser(), Principal)
    peer.hang_up()
    await peer.task
    del watched


@in_loop
async def test_an_exchanged_token_ends_with_the_login_it_came_from(login):
    watched = Watched(time.time())
    peer = connect(clients=CLIENTS, bearer=exchanged(login.claims))
    await peer.accepted()
    await apart(end_session, login.session, "kicked")
    await watched.read()
    assert await peer.closed() == (4401, "kicked")
    peer = connect(clients=CLIENTS, bearer=exchanged(login.claims))
    status, body, _headers = await peer.refused()
    assert (status, body["code"], body["reason"]) == (401, "session_ended", "kicked")


@in_loop
async def test_it_is_closed_when_its_token_expires(delegated):
    watched = Watched(time.time())
    peer = connect(clients=CLIENTS, bearer=delegated.access_token)
    await peer.accepted()
    watched.calendar.now = delegated.claims.exp + 10
    await watched.look()
    assert await peer.closed() == (4408, "token_expired")


@in_loop
async def test_a_missing_scope_is_named(client, login):
    watched = Watched(time.time())
    token = (await apart(granted, client, login.session, scope="orders:write")).access_token
    peer = connect(clients={"resource": API, "scope": ["orders:write", SCOPE]}, bearer=token)
    status, body, headers = await peer.refused()
    assert (status, body["code"]) == (403, "insufficient_scope")
    assert headers["www-authenticate"] == (
        'Bearer realm="api", error="insufficient_scope", scope="orders:write orders:read"'
    )
    del watched


def for_another(claims):
    return signed(claims, aud=("https://other.example/",))


def expired(claims):
    return signed(claims, iat=claims.iat - 900, nbf=claims.iat - 900, exp=claims.iat - 60)


def malformed(claims):
    return "a.b.c"


REFUSED = [(for_another, "token_not_for_us"), (expired, "token_expired"), (malformed, "token_malformed")]


@pytest.mark.parametrize(("make", "code"), REFUSED, ids=lambda value: getattr(value, "__name__", None))
@in_loop
async def test_a_token_that_is_no_good_is_refused_by_its_name(make, code, delegated):
    watched = Watched(time.time())
    status, body, _headers = await connect(clients=CLIENTS, bearer=make(delegated.claims)).refused()
    assert (status, body["code"]) == (401, code)
    del watched


@in_loop
async def test_logins_get_in_there_as_ever(login, ada, client):
    watched, app = Watched(time.time()), Echo()
    for carried in (
        by_header(login.access_token),
        {"cookies": {conf.ACCESS_COOKIE: login.access_token}, "origin": ORIGIN},
    ):
        peer = connect(app, clients=CLIENTS, **carried)
        await peer.accepted()
        assert (app.scopes[-1]["user"], app.scopes[-1]["authx"].claims.is_delegated) == (ada, False)
        peer.hang_up()
        await peer.task
    bad = expired(login.claims)
    status, body, _headers = await connect(clients=CLIENTS, bearer=bad).refused()
    assert (status, body["code"]) == (401, "token_expired")
    del watched


@in_loop
async def test_no_cookie_is_a_clients(delegated, login):
    watched = Watched(time.time())
    for token in (delegated.access_token, exchanged(login.claims)):
        for audience in (CLIENTS, {"resource": list(conf.AUDIENCE), "scope": SCOPE}):
            peer = connect(clients=audience, cookies={conf.ACCESS_COOKIE: token}, origin=ORIGIN)
            assert (await peer.refused())[0] == 401
    del watched


# Renewal


def frame(token):
    return json.dumps({"type": "authx.renew", "access_token": token}, separators=(",", ":"))


def later(claims: AccessClaims, **changes):
    seconds = {"iat": claims.iat + 5, "nbf": claims.iat + 5, "exp": claims.exp + 5}
    return signed(claims, **{**seconds, **changes})


@in_loop
async def test_it_is_renewed_by_a_newer_token_of_its_client(delegated):
    watched, app = Watched(time.time()), Echo()
    peer = connect(app, clients=CLIENTS, bearer=delegated.access_token)
    await peer.accepted()
    peer.send(frame(later(delegated.claims)))
    assert json.loads(await peer.text())["type"] == "authx.renewed"
    assert app.scopes[0]["authx"].claims.exp == delegated.claims.exp + 5
    peer.hang_up()
    await peer.task
    del watched


async def renewed_by(watched, first, second):
    peer = connect(clients=CLIENTS, bearer=first)
    await peer.accepted()
    peer.send(frame(second))
    return await peer.closed()


@in_loop
async def test_no_other_token_renews_it(delegated, login, client):
    """Of the same user, and even of the same session: what came by another way is another's."""
    watched = Watched(time.time())
    own, from_login = delegated.access_token, exchanged(login.claims)
    another = (await apart(granted, client, login.session)).access_token
    narrower = later(delegated.claims, scope="orders:write")
    malformed = (4408, "token_malformed")
    assert await renewed_by(watched, own, another) == malformed
    assert await renewed_by(watched, own, login.access_token) == malformed
    assert await renewed_by(watched, own, from_login) == malformed
    assert await renewed_by(watched, from_login, login.access_token) == malformed
    assert await renewed_by(watched, login.access_token, from_login) == malformed
    assert await renewed_by(watched, from_login, exchanged(login.claims, requester="service-2")) == malformed
    assert await renewed_by(watched, own, narrower) == (4408, "insufficient_scope")


@in_loop
async def test_no_ticket_renews_what_a_login_was_exchanged_for(login):
    """As it renews a socket of that login itself."""
    watched = Watched(time.time())
    for token in (login.access_token, exchanged(login.claims)):
        peer = connect(clients=CLIENTS, bearer=token)
        await peer.accepted()
        ticket = tickets.mint(login.claims, origin="")
        peer.send(json.dumps({"type": "authx.renew", "ticket": ticket}, separators=(",", ":")))
        if token == login.access_token:
            assert json.loads(await peer.text())["type"] == "authx.renewed"
            peer.hang_up()
            await peer.task
        else:
            assert await peer.closed() == (4408, "token_malformed")
    del watched


@in_loop
async def test_its_user_as_read_now(delegated, ada):
    watched, app = Watched(time.time()), Echo()
    peer = connect(app, clients=CLIENTS, bearer=delegated.access_token)
    await peer.accepted()
    users = get_user_model()._default_manager.filter(pk=ada.pk)
    await apart(lambda: users.update(is_active=False))
    with pytest.raises(SessionEnded):
        await app.scopes[0]["authx"].auser()
    assert await peer.closed() == (4401, "user_disabled")
    del watched


@pytest.mark.parametrize(
    "clients",
    [
        {"resource": API},
        {"scope": SCOPE},
        {"resource": [], "scope": SCOPE},
        {"resource": API, "scope": []},
        {"resource": API, "scope": ['a"b']},
        {"resource": [7], "scope": SCOPE},
        {"resource": [""], "scope": SCOPE},
    ],
    ids=str,
)
def test_a_door_names_both_or_neither(clients):
    with pytest.raises(ValueError, match="resource"):
        authenticated(Echo(), **clients)
