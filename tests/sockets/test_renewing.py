"""Renewal of an open socket: by our frame, or by the app's own protocol."""

from __future__ import annotations

import asyncio
import json
import time
import traceback
from datetime import timedelta

import pytest
from django.db import OperationalError

from authx.core.refresh_token import read_refresh_token
from authx.errors import StoreUnavailable, TokenError, TokenExpired, TokenMalformed
from authx.issuer import signing_keys
from authx.sessions import end_session, open_session, refresh_session
from authx.sessions.credentials import access_token_for, claims_of
from authx.sockets import asking, authenticated
from tests.in_process import Echo, Watched, apart, connect, in_loop, scope_of, settle

pytestmark = pytest.mark.django_db(transaction=True)


def frame(token, member="access_token", **more):
    return json.dumps({"type": "authx.renew", member: token, **more}, separators=(",", ":"))


def newer(opened, seconds=60):
    """A token of the same generation that lives on for a minute more."""
    return access_token_for(opened.session, now=opened.now + timedelta(seconds=seconds))[1]


@in_loop
async def test_a_newer_token_lets_it_live_on(opened, settings):
    settings.AUTHX_CLOCK_LEEWAY = timedelta(seconds=60)
    watched, app = Watched(time.time()), Echo()
    peer = connect(app, bearer=opened.access_token)
    await peer.accepted()
    peer.send(frame(newer(opened)))
    answer = json.loads(await peer.text())
    assert answer.keys() == {"type", "expires_in"}
    assert answer["type"] == "authx.renewed"
    assert 955 <= answer["expires_in"] <= 960
    assert [message["type"] for message in app.received] == ["websocket.connect"], "the app never sees it"
    watched.calendar.now = opened.claims.exp + 60
    await watched.look()
    peer.send("still here")
    assert await peer.text() == "still here"
    assert app.scopes[0]["authx"].claims.exp == opened.claims.exp + 60
    watched.calendar.now += 60
    await watched.look()
    assert await peer.closed() == (4408, "token_expired")
    assert watched.watcher.watches.is_clean


@pytest.mark.parametrize(
    "text",
    [
        '{"type": "authx.renew","access_token":"x"}',
        ' {"type":"authx.renew","access_token":"x"}',
        '{"access_token":"x","type":"authx.renew"}',
        '{"type":"authx.renewed","expires_in":900}',
        '{"type":"authx.renew"}',
    ],
)
@in_loop
async def test_every_other_frame_is_the_apps(opened, text):
    peer = connect(bearer=opened.access_token)
    await peer.accepted()
    peer.send(text)
    assert await peer.text() == text


@in_loop
async def test_a_binary_frame_is_the_apps(opened):
    app = Echo()
    peer = connect(app, bearer=opened.access_token)
    await peer.accepted()
    peer.send(data=frame(newer(opened)).encode())
    assert (await peer.next())["bytes"] == frame(newer(opened)).encode()[:0] + app.received[-1]["bytes"]


@in_loop
async def test_without_frames_every_one_is_the_apps(opened):
    peer = connect(bearer=opened.access_token, frames=False)
    await peer.accepted()
    peer.send(frame("x"))
    assert await peer.text() == frame("x")


def of_another(opened):
    return open_session(opened.session.user).access_token


def of_a_refresh(opened):
    return opened.refresh_token


def expired(opened):
    return access_token_for(opened.session, now=opened.now - timedelta(hours=1))[1]


BAD = {
    "another session's": (of_another, "token_malformed"),
    "an expired one": (expired, "token_expired"),
    "a refresh token": (of_a_refresh, "token_malformed"),
    "rubbish": (lambda opened: "rubbish", "token_malformed"),
    "nothing": (lambda opened: "", "token_malformed"),
}


@pytest.mark.parametrize("name", BAD)
@in_loop
async def test_what_is_of_no_use_closes_it(opened, name):
    make, reason = BAD[name]
    peer = connect(bearer=opened.access_token)
    await peer.accepted()
    peer.send(frame(await apart(make, opened)))
    assert await peer.closed() == (4408, reason)


MALFORMED = {
    "no JSON": '{"type":"authx.renew",',
    "no token": '{"type":"authx.renew","token":"x"}',
    "a number": '{"type":"authx.renew","access_token":7}',
    "an object": '{"type":"authx.renew","access_token":{}}',
    "twice": '{"type":"authx.renew","access_token":"x","access_token":"y"}',
    "two of them": '{"type":"authx.renew","access_token":"x","ticket":"y"}',
    "a lone surrogate": '{"type":"authx.renew","access_token":"\ud800"}',
    "nested too deeply": '{"type":"authx.renew","access_token":"x","a":' + "[" * 5000 + "]" * 5000 + "}",
    "a ticket that is none": '{"type":"authx.renew","ticket":"x"}',
}


@pytest.mark.parametrize("name", MALFORMED)
@in_loop
async def test_a_malformed_frame_of_ours_closes_it(opened, name):
    peer = connect(bearer=opened.access_token)
    await peer.accepted()
    peer.send(MALFORMED[name])
    assert await peer.closed() == (4408, "token_malformed")


@in_loop
async def test_a_token_of_an_older_generation_renews_nothing(opened):
    later = opened.now + timedelta(minutes=1)
    credentials = await apart(refresh_session, opened.refresh_token, now=later)
    assert read_refresh_token(credentials.refresh_token, [__import__("django").conf.settings.SECRET_KEY])
    app = Echo()
    peer = connect(app, bearer=opened.access_token)
    await peer.accepted()
    peer.send(frame(credentials.access_token) if credentials.claims.iat <= time.time() + 10 else frame("x"))
    await settle()
    peer = connect(app, bearer=await apart(current_token, credentials))
    await peer.accepted()
    assert app.scopes[-1]["authx"].claims.gen == 2
    peer.send(frame(opened.access_token))
    assert await peer.closed() == (4408, "token_malformed")


def current_token(credentials):
    return access_token_for(credentials.session, now=credentials.now - timedelta(minutes=1))[1]


@in_loop
async def test_an_ended_session_is_not_renewed_but_closed_with_its_reason(opened, monkeypatch):
    monkeypatch.setattr("authx.gate.revocation.sources.publish", lambda entries: None)
    watched, peer = Watched(time.time()), connect(bearer=opened.access_token)
    await peer.accepted()
    await apart(end_session, opened.session, "kicked")
    peer.send(frame(newer(opened, 5)))
    assert await peer.closed() == (4401, "kicked")
    del watched


@in_loop
async def test_while_the_store_cannot_be_asked_it_goes_on_as_it_was(opened, monkeypatch):
    def lost(*arguments):
        raise OperationalError

    peer = connect(bearer=opened.access_token)
    await peer.accepted()
    with monkeypatch.context() as outage:
        outage.setattr("authx.sessions.lookup._Statement.read", lost)
        peer.send(frame(newer(opened, 5)))
        assert json.loads(await peer.text()) == {"type": "authx.not_renewed", "code": "store_unavailable"}
    peer.send("still here")
    assert await peer.text() == "still here"
    peer.send(frame(newer(opened, 5)))
    assert "authx.renewed" in await peer.text()


@in_loop
async def test_a_renewal_that_races_a_kick_leaves_it_closed(opened, monkeypatch):
    """S18: whichever is first."""
    asked = asking.admit
    peer = connect(bearer=opened.access_token)
    await peer.accepted()

    async def admit(claimed):
        admitted = await asked(claimed)
        await apart(end_session, opened.session, "kicked")
        return admitted

    monkeypatch.setattr(asking, "admit", admit)
    peer.send(frame(newer(opened, 5)))
    assert await peer.closed() == (4401, "kicked")
    await peer.task
    assert peer.outgoing.empty()


@pytest.mark.parametrize("moment", ["while it is asked about", "later"])
@in_loop
async def test_the_key_of_the_newer_token_is_watched_too(ada, monkeypatch, moment):
    await apart(lambda: signing_keys.rotate(at_once=True))
    first = await apart(open_session, ada)
    key = await apart(lambda: signing_keys.rotate(at_once=True))
    peer = connect(bearer=first.access_token)
    await peer.accepted()
    token = await apart(newer, first, 5)
    asked = asking.admit

    async def admit(claimed):
        admitted = await asked(claimed)
        if moment == "while it is asked about":
            await apart(signing_keys.withdraw, key.kid)
        return admitted

    monkeypatch.setattr(asking, "admit", admit)
    peer.send(frame(token))
    if moment == "later":
        assert "authx.renewed" in await peer.text()
        await apart(signing_keys.withdraw, key.kid)
    assert await peer.closed() == (4408, "key_unknown")


@in_loop
async def test_after_a_renewal_the_key_of_the_old_token_matters_no_more(ada):
    old = await apart(lambda: signing_keys.rotate(at_once=True))
    first = await apart(open_session, ada)
    await apart(lambda: signing_keys.rotate(at_once=True))
    peer = connect(bearer=first.access_token)
    await peer.accepted()
    peer.send(frame(await apart(newer, first, 5)))
    assert "authx.renewed" in await peer.text()
    await apart(signing_keys.withdraw, old.kid)
    await settle()
    peer.send("still here")
    assert await peer.text() == "still here"


@in_loop
async def test_a_renewal_goes_on_where_the_app_gives_up_its_receive(opened, monkeypatch):
    asked, given_up = asking.admit, asyncio.Event()

    async def admit(claimed):
        await given_up.wait()
        return await asked(claimed)

    async def app(scope, receive, send):
        await receive()
        await send({"type": "websocket.accept"})
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(receive(), 0.2)
        given_up.set()
        await send({"type": "websocket.send", "text": (await receive())["text"]})

    peer = connect(app, bearer=opened.access_token)
    await peer.accepted()
    monkeypatch.setattr(asking, "admit", admit)
    peer.send(frame(newer(opened, 5)))
    assert "authx.renewed" in await peer.text()
    peer.send("hello")
    assert await peer.text() == "hello"


@in_loop
async def test_the_apps_own_protocol_renews_by_the_session(opened, monkeypatch):
    app = Echo()
    peer = connect(app, bearer=opened.access_token, frames=False)
    await peer.accepted()
    session = app.scopes[0]["authx"]
    assert 900 <= await session.renew(newer(opened, 5)) <= 905
    monkeypatch.setattr(asking, "admit", unavailable)
    with pytest.raises(StoreUnavailable):
        await session.renew(newer(opened, 5))
    with pytest.raises(TokenMalformed):
        await session.renew("rubbish")
    assert await peer.closed() == (4408, "token_malformed")
    with pytest.raises(TokenError):
        await session.renew(newer(opened, 5))
    assert issubclass(TokenExpired, TokenError)


async def unavailable(claimed):
    raise StoreUnavailable("down")


@in_loop
async def test_a_renewal_tells_nothing_to_logs_or_reprs(opened, caplog):
    caplog.set_level("DEBUG")
    app, token = Echo(), newer(opened, 5)
    peer = connect(app, bearer=opened.access_token)
    await peer.accepted()
    peer.send(frame(token))
    await peer.text()
    peer.send(frame(f"{token}x"))
    await peer.closed()
    await asyncio.wait_for(peer.task, 10)
    seen = caplog.text + repr(app.scopes) + repr(vars(app.scopes[0]["authx"]))
    for secret in (token, opened.access_token):
        assert secret not in seen
        assert secret.rpartition(".")[2] not in seen
    assert claims_of is not None


@in_loop
async def test_who_goes_while_a_renewal_is_answered_is_gone_for_the_app_and_nothing_else(opened):
    """Servers raise where the client has gone; with the token in the frames, were it the app's to know."""
    incoming: asyncio.Queue = asyncio.Queue()
    accepted, said = asyncio.Event(), []

    async def app(scope, receive, send):
        await receive()
        await send({"type": "websocket.accept"})
        said.append(await receive())

    async def server_send(message):
        if message["type"] != "websocket.accept":
            raise OSError("the client has gone")
        accepted.set()

    for message in (
        {"type": "websocket.connect"},
        {"type": "websocket.receive", "text": frame(newer(opened, 5))},
        {"type": "websocket.disconnect", "code": 1006},
    ):
        incoming.put_nowait(message)
    await authenticated(app)(scope_of(bearer=opened.access_token), incoming.get, server_send)
    assert accepted.is_set()
    assert said == [{"type": "websocket.disconnect", "code": 1006}]


@pytest.mark.parametrize("moment", ["while it is renewed", "afterwards"])
@in_loop
async def test_no_frame_of_ours_shows_the_token_of_a_renewal_where_the_app_gives_up(
    opened, monkeypatch, moment
):
    asked, renewed, token = asking.admit, asyncio.Event(), newer(opened, 5)

    async def admit(claimed):
        if moment == "while it is renewed":
            await asyncio.Event().wait()
        return await asked(claimed)

    async def app(scope, receive, send):
        await receive()
        await send({"type": "websocket.accept"})
        if moment == "afterwards":
            waiting = asyncio.ensure_future(receive())
            await renewed.wait()
            waiting.cancel()
            await waiting
        async with asyncio.timeout(0.2):
            await receive()

    peer = connect(app, bearer=opened.access_token)
    await peer.accepted()
    monkeypatch.setattr(asking, "admit", admit)
    peer.send(frame(token))
    if moment == "afterwards":
        assert "authx.renewed" in await peer.text()
        renewed.set()
    with pytest.raises((TimeoutError, asyncio.CancelledError)) as raised:
        await peer.task
    errors = [raised.value]
    errors.extend(found for found in (raised.value.__cause__, raised.value.__context__) if found)
    entries = [entry for each in errors for entry, _line in traceback.walk_tb(each.__traceback__)]
    ours = [entry for entry in entries if "authx/sockets/connection" in entry.f_code.co_filename]
    assert [entry for entry in ours if entry.f_code.co_name == "receive"]
    for entry in ours:
        assert token not in repr(entry.f_locals)
