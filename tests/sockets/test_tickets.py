"""Tickets: made for one origin, taken once, gone after half a minute."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta

import pytest
from django.core.management import call_command
from django.test import Client
from django.utils import timezone
from rest_framework.test import APIClient

from authx.conf import conf
from authx.errors import SessionEnded, TokenMalformed
from authx.models import UsedTicket
from authx.sessions import end_session, tickets
from authx.sessions.single_use import prune_used
from tests.in_process import ORIGIN, Echo, Watched, apart, connect, in_loop
from tests.racing import race

pytestmark = pytest.mark.django_db(transaction=True)

TICKET = "/api/auth/socket-ticket/"


@pytest.fixture
def asked(opened):
    """What the API answers to a page of our origin."""
    headers = {"Authorization": f"Bearer {opened.access_token}", "Origin": ORIGIN}
    return APIClient().post(TICKET, headers=headers)


def shows(ticket, origin=ORIGIN, app=None, **more):
    return connect(app, subprotocols=["authx", f"authx.ticket.{ticket}"], origin=origin, **more)


def test_the_api_makes_one_for_who_is_signed_in(asked, opened):
    assert asked.status_code == 200
    body = asked.json()
    assert set(body) == {"ticket", "expires_in", "token_expires_in"}
    assert body["expires_in"] == 30
    assert 890 <= body["token_expires_in"] <= 900
    assert asked["Cache-Control"] == "no-store"
    assert APIClient().post(TICKET).status_code == 401
    assert (
        APIClient().get(TICKET, headers={"Authorization": f"Bearer {opened.access_token}"}).status_code == 405
    )


def test_by_cookie_it_takes_a_csrf_token(opened):
    client = Client(enforce_csrf_checks=True)
    client.cookies[conf.ACCESS_COOKIE] = opened.access_token
    client.cookies[conf.REFRESH_COOKIE] = opened.refresh_token
    assert client.post(TICKET, content_type="application/json").status_code == 403
    client.get("/api/auth/login/")
    token = client.cookies["csrftoken"].value
    assert (
        client.post(TICKET, headers={"X-CSRFToken": token}, content_type="application/json").status_code
        == 200
    )


def test_making_one_writes_nothing(asked):
    assert not UsedTicket.objects.exists()


@in_loop
async def test_it_opens_one_socket_that_lives_as_long_as_the_token(asked, opened, ada, settings):
    app, watched = Echo(), Watched(opened.claims.exp + 9.9)
    peer = shows(asked.json()["ticket"], app=app)
    assert (await peer.accepted())["subprotocol"] == "authx"
    (scope,) = app.scopes
    assert (scope["user"], scope["authx"].sid) == (ada, opened.claims.sid)
    assert scope["authx"].claims.exp == opened.claims.exp
    assert scope["authx"].claims.kid == opened.claims.kid
    assert asked.json()["ticket"] not in repr(scope) + repr(vars(scope["authx"]))
    await watched.look()
    watched.calendar.now += 0.2
    await watched.look()
    assert await peer.closed() == (4408, "token_expired")


@in_loop
async def test_its_socket_has_the_claims_of_the_site_too(opened, settings):
    settings.AUTHX_CLAIMS = "tests.sockets.test_tickets.roles"
    app = Echo()
    ticket = tickets.mint(opened.claims, origin=ORIGIN)
    await shows(ticket, app=app).accepted()
    assert app.scopes[0]["authx"].claims.roles == ("boss",)


def roles(session):
    return {"roles": ["boss"]}


@in_loop
async def test_it_is_good_once(asked):
    ticket = asked.json()["ticket"]
    await shows(ticket).accepted()
    status, body, _headers = await shows(ticket).refused()
    assert (status, body["code"]) == (401, "token_malformed")


def test_of_many_who_take_one_at_once_one_does(opened):
    for _ in range(20):
        ticket = tickets.read(tickets.mint(opened.claims, origin=""))
        results = race(*[lambda ticket=ticket: tickets.take(ticket)] * 8)
        assert sorted(type(result).__name__ for result in results) == ["Caller"] + ["TokenMalformed"] * 7


@pytest.mark.parametrize(
    "origin", [None, "null", "https://evil.example", "http://testserver", f"{ORIGIN}:8443"]
)
@in_loop
async def test_it_is_good_for_the_origin_that_asked_alone(asked, origin):
    status, body, _headers = await shows(asked.json()["ticket"], origin=origin).refused()
    assert (status, body["code"]) == (403, "origin_not_allowed")
    await shows(asked.json()["ticket"]).accepted()  # nobody has used it up


@in_loop
async def test_one_made_without_an_origin_is_for_clients_that_have_none(opened):
    ticket = tickets.mint(opened.claims, origin="")
    assert (await shows(ticket).refused())[0] == 403
    await shows(ticket, origin=None).accepted()


@in_loop
async def test_another_site_may_ask_for_one_by_bearer_and_use_it(opened):
    """A page of another origin, whose Bearer token CORS has let through: the ticket names that page."""
    ticket = tickets.mint(opened.claims, origin="https://app.example")
    await shows(ticket, origin="https://app.example").accepted()


@in_loop
async def test_it_is_too_old_after_half_a_minute(opened):
    old = tickets.mint(opened.claims, origin=ORIGIN, now=timezone.now() - timedelta(seconds=31))
    assert (await shows(old).refused())[1]["code"] == "token_expired"


@in_loop
async def test_that_of_an_ended_session_says_why_and_writes_nothing(asked, opened):
    await apart(end_session, opened.session, "kicked")
    status, body, _headers = await shows(asked.json()["ticket"]).refused()
    assert (status, body["code"], body["reason"]) == (401, "session_ended", "kicked")
    assert not await apart(UsedTicket.objects.exists)


@in_loop
async def test_beside_any_other_credential_it_is_a_400(asked, opened):
    ticket, token = asked.json()["ticket"], opened.access_token
    for offered in ([ticket, ticket], [ticket]):
        protocols = ["authx", *(f"authx.ticket.{each}" for each in offered)]
        peer = connect(subprotocols=protocols, bearer=None if len(offered) > 1 else token)
        assert (await peer.refused())[0] == 400
    both = ["authx", f"authx.ticket.{ticket}", f"authx.bearer.{token}"]
    assert (await connect(subprotocols=both).refused())[0] == 400


def test_an_ended_session_takes_none(opened):
    ticket = tickets.read(tickets.mint(opened.claims, origin=""))
    end_session(opened.session, "logout")
    with pytest.raises(SessionEnded):
        tickets.take(ticket)


def test_old_rows_are_deleted_by_one_taker_in_a_hundred(opened, monkeypatch):
    UsedTicket.objects.create(name="old", at=timezone.now() - timedelta(minutes=6))
    UsedTicket.objects.create(name="young", at=timezone.now())
    monkeypatch.setattr("secrets.token_bytes", lambda count: (101).to_bytes(count))
    tickets.take(tickets.read(tickets.mint(opened.claims, origin="")))
    assert UsedTicket.objects.filter(name="old").exists()
    monkeypatch.setattr("secrets.token_bytes", lambda count: (200).to_bytes(count))
    taken = tickets.read(tickets.mint(opened.claims, origin=""))
    tickets.take(taken)
    assert not UsedTicket.objects.filter(name="old").exists()
    assert UsedTicket.objects.filter(name="young").exists()
    with pytest.raises(TokenMalformed):
        tickets.take(taken)


def test_no_clock_within_the_leeway_makes_a_ticket_good_again(opened, settings):
    """Made by a clock that is fast, taken and shown again by one that is slow, tidied by one that is fast."""
    skew = settings.AUTHX_CLOCK_LEEWAY = timedelta(seconds=60)
    now = timezone.now()
    text = tickets.mint(opened.claims, origin="", now=now + skew)
    first = now  # by the slow clock: from then on the ticket is not from the future
    tickets.take(tickets.read(text, now=first), now=first)
    last = now + skew + timedelta(seconds=29)  # by the slow clock: until then it is not too old
    list(prune_used(1000, now=last + 2 * skew))
    with pytest.raises(TokenMalformed):
        tickets.take(tickets.read(text, now=last), now=last)


def test_the_command_deletes_old_rows(capsys):
    for number in range(5):
        UsedTicket.objects.create(name=f"old{number}", at=timezone.now() - timedelta(minutes=6))
    UsedTicket.objects.create(name="young", at=timezone.now())
    call_command("authx_prune", batch=2, pause=0)
    assert list(UsedTicket.objects.values_list("name", flat=True)) == ["young"]


@in_loop
async def test_a_ticket_renews_a_socket(opened):
    watched = Watched(time.time())
    peer = shows(tickets.mint(opened.claims, origin=ORIGIN))
    await peer.accepted()
    fresh = tickets.mint(opened.claims, origin=ORIGIN)
    peer.send(f'{{"type":"authx.renew","ticket":"{fresh}"}}')
    assert '"type":"authx.renewed"' in await peer.text()
    peer.send(f'{{"type":"authx.renew","ticket":"{fresh}"}}')
    assert await peer.closed() == (4408, "token_malformed")
    del watched


@in_loop
async def test_a_ticket_of_another_origin_renews_nothing(opened):
    peer = shows(tickets.mint(opened.claims, origin=ORIGIN))
    await peer.accepted()
    other = tickets.mint(opened.claims, origin="https://evil.example")
    peer.send(f'{{"type":"authx.renew","ticket":"{other}"}}')
    assert await peer.closed() == (4408, "token_malformed")
    await asyncio.sleep(0)
