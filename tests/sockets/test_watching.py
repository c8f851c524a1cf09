"""authx.sockets: when an open socket is closed, by whom, and that nothing else passes afterwards."""

from __future__ import annotations

import asyncio
import gc
import logging
import resource
import time
import weakref
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import pytest
from django.contrib.auth import get_user_model

from authx.conf import conf
from authx.errors import StoreUnavailable
from authx.gate.revocation import local_copy, sources
from authx.issuer import signing_keys
from authx.sessions import (
    end_everyone,
    end_session,
    end_user_sessions,
    open_session,
    recognize,
    refresh_session,
)
from authx.sockets import authenticated, connection
from authx.sockets.watches import Watch
from authx.sockets.watching import Watcher
from tests.in_process import ORIGIN, Echo, Watched, apart, connect, in_loop, in_loop_for, scope_of, settle

pytestmark = pytest.mark.django_db(transaction=True)


async def elsewhere(function, *arguments, **named):
    """Call it as another process would: what it publishes does not reach this one's copies."""
    copies, sources._copies = sources._copies, {}
    try:
        return await apart(function, *arguments, **named)
    finally:
        sources._copies = copies


def change_password(user):
    user = get_user_model().objects.get(pk=user.pk)
    user.set_password("another-horse")
    user.save()


def disable(user):
    user = get_user_model().objects.get(pk=user.pk)
    user.is_active = False
    user.save()


def log_in_again(user):
    open_session(user)


ENDERS = {
    "logout": lambda opened: end_session(opened.session, "logout"),
    "kicked": lambda opened: end_session(opened.session, "kicked"),
    "password_changed": lambda opened: change_password(opened.session.user),
    "user_disabled": lambda opened: disable(opened.session.user),
    "user_deleted": lambda opened: opened.session.user.delete(),
    "ended_by_user": lambda opened: end_user_sessions(opened.session.user, "ended_by_user"),
    "replaced": lambda opened: open_session(opened.session.user),
    "credentials_changed": lambda opened: end_everyone("credentials_changed"),
}


@pytest.mark.parametrize("place", ["this process", "another"])
@pytest.mark.parametrize("reason", ENDERS)
@in_loop
async def test_it_is_closed_with_the_reason_for_which_its_session_ended(opened, bob, settings, reason, place):
    """S1, S2: with an app that is busy, and nobody else's."""
    settings.AUTHX_SESSION_LIMITS = [{"types": ["other"], "limit": 1, "when_full": "end_oldest"}]
    watched, busy = Watched(time.time()), asyncio.Event()

    async def app(scope, receive, send):
        await receive()
        await send({"type": "websocket.accept"})
        await busy.wait()
        await send({"type": "websocket.send", "text": "too late"})
        assert (await receive())["code"] == 4401

    others = await apart(open_session, bob)
    peer, other = connect(app, bearer=opened.access_token), connect(bearer=others.access_token)
    await peer.accepted()
    await other.accepted()
    await watched.read()
    call = apart if place == "this process" else elsewhere
    await call(ENDERS[reason], opened)
    if place == "another":
        await settle()
        assert peer.outgoing.empty()
        await watched.read()
    assert await peer.closed() == (4401, reason)
    busy.set()
    await peer.task
    assert peer.outgoing.empty()
    if reason != "credentials_changed":
        other.send("still here")
        assert await other.text() == "still here"


@in_loop
async def test_a_user_disabled_without_a_signal_is_found_by_the_next_handshake(opened, ada):
    """As by a bulk update: every socket of that session hears of it."""
    peer = connect(bearer=opened.access_token)
    await peer.accepted()
    await apart(get_user_model().objects.filter(pk=ada.pk).update, is_active=False)
    status, body, _headers = await connect(bearer=opened.access_token).refused()
    assert (status, body["reason"]) == (401, "user_disabled")
    assert await peer.closed() == (4401, "user_disabled")


@in_loop
async def test_what_is_watched_without_an_expiry_ends_with_its_session_alone(opened):
    """A stream that carries no data."""
    watched, ends = Watched(opened.claims.exp + 1000), []
    watch = watched.watcher.watch(opened.claims, ends.append, until_expiry=False)
    await watched.look()
    assert ends == []
    await apart(end_session, opened.session, "kicked")
    await settle()
    assert [error.reason for error in ends] == ["kicked"]
    assert watch.error is ends[0]


@in_loop
async def test_logging_out_one_device_leaves_the_others_of_the_user(opened, ada):
    watched, second = Watched(time.time()), await apart(open_session, ada)
    peer, other = connect(bearer=opened.access_token), connect(bearer=second.access_token)
    await peer.accepted()
    await other.accepted()
    await elsewhere(end_user_sessions, ada, "credentials_changed", keep=second.session)
    await watched.read()
    assert await peer.closed() == (4401, "credentials_changed")
    other.send("still here")
    assert await other.text() == "still here"


@in_loop
async def test_a_session_opened_after_everybody_was_ended_stays(opened, ada):
    await elsewhere(end_everyone, "kicked")
    watched, later = Watched(time.time()), await apart(open_session, ada)
    peer = connect(bearer=later.access_token)
    await peer.accepted()
    await watched.read()  # the first reading brings everything that is in the log
    peer.send("still here")
    assert await peer.text() == "still here"


@in_loop
async def test_refreshing_closes_nothing(opened):
    """S4: rotation, T1b and T3."""
    watched, peer = Watched(time.time()), connect(bearer=opened.access_token)
    await peer.accepted()
    later = opened.now + conf.REFRESH_GRACE
    for now in (opened.now, later, later + timedelta(seconds=1)):
        await elsewhere(refresh_session, opened.refresh_token, now=now)
        await watched.read()
    peer.send("still here")
    assert await peer.text() == "still here"


@in_loop
async def test_it_is_closed_when_the_gate_would_refuse_the_token_and_not_before(opened):
    """S3: at ``exp`` itself the gate would let the client in again."""
    watched, app = Watched(opened.claims.exp + 9.9), Echo()
    peer = connect(app, bearer=opened.access_token)
    await peer.accepted()
    await watched.look()
    peer.send("still here")
    assert await peer.text() == "still here"
    watched.calendar.now += 0.2
    await watched.look()
    peer.send("too late")
    assert await peer.closed() == (4408, "token_expired")
    await peer.task
    assert app.received[-1] == {"type": "websocket.disconnect", "code": 4408, "reason": "token_expired"}
    assert "too late" not in str(app.received)


@in_loop
async def test_a_withdrawn_key_closes_what_it_has_signed(ada):
    key = await apart(lambda: signing_keys.rotate(at_once=True))
    opened = await apart(open_session, ada)
    assert opened.claims.kid == key.kid
    watched, peer = Watched(time.time()), connect(bearer=opened.access_token)
    await peer.accepted()
    await elsewhere(signing_keys.withdraw, key.kid)
    await watched.read()
    assert await peer.closed() == (4408, "key_unknown")


@in_loop
async def test_an_ending_between_the_two_questions_is_not_lost(opened, monkeypatch):
    """S18: in any order, and with the ending seen before or after the session was asked about."""
    from authx.sockets import asking

    asked = asking.admit
    for moment in ("before", "after", "after, and read"):
        opened = await apart(open_session, opened.session.user)
        watched = Watched(time.time())

        async def admit(claimed, moment=moment, opened=opened, watched=watched):
            if moment == "before":
                await elsewhere(end_session, opened.session, "kicked")
            admitted = await asked(claimed)
            await elsewhere(end_session, opened.session, "kicked")
            if moment == "after, and read":
                await watched.read()
            return admitted

        monkeypatch.setattr(asking, "admit", admit)
        peer = connect(bearer=opened.access_token)
        if moment == "after":
            await peer.accepted()
            await watched.read()
            assert await peer.closed() == (4401, "kicked")
        else:
            status, body, _headers = await peer.refused()
            assert (status, body["reason"]) == (401, "kicked")
        assert len(watched.watcher.watches) == 0


@pytest.mark.slow
@in_loop
async def test_of_many_handshakes_that_race_their_endings_none_is_left_open(ada, request):
    """S18, with the real threads."""
    rounds = max(30, request.config.getoption("--races"))
    for _ in range(rounds // 10):
        people = [await apart(open_session, ada) for _ in range(10)]
        peers = [connect(bearer=each.access_token) for each in people]
        await asyncio.gather(*[apart(end_session, each.session, "kicked") for each in people])
        for peer in peers:
            message = await peer.next()
            if message["type"] == "websocket.accept":
                assert await peer.closed() == (4401, "kicked")
            else:
                assert message["status"] == 401


@in_loop
async def test_the_thread_that_reads_finds_endings_of_other_processes(opened):
    peer = connect(bearer=opened.access_token)
    await peer.accepted()
    started = time.monotonic()
    await elsewhere(end_session, opened.session, "kicked")
    assert await peer.closed() == (4401, "kicked")
    assert time.monotonic() - started < 5


@pytest.fixture
def quiet(caplog):
    """Nothing is logged, but what an outage is about."""
    with caplog.at_level(logging.DEBUG):
        yield caplog


@in_loop
async def test_while_the_log_cannot_be_read_for_a_moment_nothing_is_closed(opened, monkeypatch, quiet):
    watched, peer = Watched(time.time()), connect(bearer=opened.access_token)
    await peer.accepted()
    await watched.read()
    with monkeypatch.context() as broken:
        broken.setattr("authx.store.revocation_log.EndedLog.read", unreadable)
        await elsewhere(end_session, opened.session, "kicked")
        watched.clock.now += 10.0
        await watched.read()
        await watched.look()
        assert peer.outgoing.empty()
    watched.clock.now += local_copy.MAX_REST_SECONDS
    await watched.read()
    assert await peer.closed() == (4401, "kicked"), "what ended meanwhile is told"


def unreadable(self):
    raise StoreUnavailable("down")


@in_loop
async def test_who_cannot_know_for_too_long_closes_all_and_lets_nobody_in(opened, monkeypatch):
    watched, peer = Watched(time.time()), connect(bearer=opened.access_token)
    await peer.accepted()
    await watched.read()
    monkeypatch.setattr("authx.store.revocation_log.EndedLog.read", unreadable)
    watched.clock.now += 10.5
    await watched.read()
    status, body, headers = await connect(bearer=opened.access_token).refused()
    assert (status, body["code"], headers["retry-after"]) == (503, "store_unavailable", "5")
    await watched.look()
    assert await peer.closed() == (1013, "store_unavailable")
    assert len(watched.watcher.watches) == 0
    await apart(recognize, opened.access_token)  # nobody has been signed out


@in_loop
async def test_while_the_store_cannot_be_asked_nobody_is_let_in(opened, monkeypatch):
    from django.db import OperationalError

    def lost(*arguments):
        raise OperationalError

    monkeypatch.setattr("authx.sessions.lookup._Statement.read", lost)
    status, body, headers = await connect(bearer=opened.access_token).refused()
    assert (status, body["code"], headers["retry-after"]) == (503, "store_unavailable", "5")


@in_loop
async def test_with_too_many_endings_for_a_copy_the_sessions_are_asked(opened, ada, monkeypatch):
    watched = Watched(time.time())
    by_mark, live = [await apart(open_session, ada) for _ in range(2)]
    peers = {name: connect(bearer=each.access_token) for name, each in {"row": opened, "live": live}.items()}
    for peer in peers.values():
        await peer.accepted()
    monkeypatch.setattr("authx.gate.revocation.window.MAX_ENDINGS", 0)
    monkeypatch.setattr(local_copy, "MAX_ENDINGS", 0)
    await elsewhere(end_session, by_mark.session, "kicked")
    await elsewhere(end_session, opened.session, "kicked")
    await watched.read()
    assert watched.follower.is_paused
    await watched.look()
    assert await peers["row"].closed() == (4401, "kicked")
    for _ in range(10):  # longer than may be blind
        watched.clock.now += 5
        await watched.look()
        await asyncio.wait_for(watched.watcher._asking, 20)
    peers["live"].send("still here")
    assert await peers["live"].text() == "still here"
    await elsewhere(end_user_sessions, ada, "user_disabled")
    watched.clock.now += 5
    await watched.look()
    assert await peers["live"].closed() == (4401, "user_disabled")


@in_loop
async def test_after_the_end_the_app_may_say_what_it_likes_and_nobody_complains(opened, quiet):
    """S15: servers raise if anything is sent after a close."""
    watched, ended, said = Watched(time.time()), asyncio.Event(), []

    async def app(scope, receive, send):
        await receive()
        await send({"type": "websocket.accept"})
        await ended.wait()
        for message in ({"type": "websocket.send", "text": "x"}, {"type": "websocket.close"}, ACCEPT):
            await send(message)
        said.extend([await receive(), await receive()])

    peer = connect(app, bearer=opened.access_token)
    await peer.accepted()
    await apart(end_session, opened.session, "kicked")
    assert await peer.closed() == (4401, "kicked")
    ended.set()
    await peer.task
    assert said == [{"type": "websocket.disconnect", "code": 4401, "reason": "kicked"}] * 2
    assert peer.outgoing.empty()
    assert not [record for record in quiet.records if record.levelno >= logging.WARNING]
    del watched


ACCEPT = {"type": "websocket.accept"}


@in_loop
async def test_a_server_that_complains_about_a_late_message_is_not_heard(opened):
    """uvicorn raises RuntimeError where the close frame has overtaken a message."""
    blocked, ended = asyncio.Event(), asyncio.Event()

    async def app(scope, receive, send):
        await receive()
        await send(ACCEPT)
        await send({"type": "websocket.send", "text": "slow"})
        return "done"

    peer = connect(app, bearer=opened.access_token)
    put = peer.outgoing.put

    async def server_send(message):
        await put(message)
        if message["type"] == "websocket.send":
            blocked.set()
            await ended.wait()
            raise RuntimeError("Unexpected ASGI message 'websocket.send', after sending 'websocket.close'.")

    peer.task.cancel()
    peer.outgoing = asyncio.Queue()
    put = peer.outgoing.put
    peer.task = asyncio.ensure_future(
        peer.app(peer.scope, queue_of({"type": "websocket.connect"}).get, server_send)
    )
    await peer.accepted()
    await blocked.wait()
    await apart(end_session, opened.session, "kicked")
    assert await peer.text() == "slow"
    assert await peer.closed() == (4401, "kicked")
    ended.set()
    await peer.task


def queue_of(*messages):
    queue = asyncio.Queue()
    for message in messages:
        queue.put_nowait(message)
    return queue


@in_loop
async def test_a_client_that_takes_no_close_frame_delays_nobody(opened, bob, monkeypatch):
    monkeypatch.setattr(connection, "CLOSE_SECONDS", 0.1)
    others = await apart(open_session, bob)
    stuck, other = connect(bearer=opened.access_token), connect(bearer=others.access_token)
    await stuck.accepted()
    await other.accepted()
    never = asyncio.Event()

    async def hang(message):
        await never.wait()

    stuck_app = connect(bearer=opened.access_token)
    await stuck_app.accepted()
    task = asyncio.ensure_future(
        stuck_app.app(stuck_app.scope, queue_of({"type": "websocket.connect"}).get, hang)
    )
    await settle()
    await apart(end_everyone, "kicked")
    assert await other.closed() == (4401, "kicked")
    assert await stuck.closed() == (4401, "kicked")
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


@in_loop
async def test_an_app_that_never_returns_is_closed_and_watched_no_more(opened):
    watched, never = Watched(time.time()), asyncio.Event()

    async def app(scope, receive, send):
        await receive()
        await send(ACCEPT)
        await never.wait()

    peer = connect(app, bearer=opened.access_token)
    await peer.accepted()
    await apart(end_session, opened.session, "kicked")
    assert await peer.closed() == (4401, "kicked")
    assert watched.watcher.watches.is_clean
    peer.task.cancel()


@in_loop
async def test_it_can_end_before_the_app_has_accepted_it(opened):
    watched, asked = Watched(time.time()), asyncio.Event()

    async def app(scope, receive, send):
        await receive()
        await asked.wait()
        await send(ACCEPT)

    peer = connect(app, bearer=opened.access_token)
    while not len(watched.watcher.watches) or not peer.incoming.empty():
        await asyncio.sleep(0.01)
    await apart(end_session, opened.session, "kicked")
    status, body, _headers = await asyncio.wait_for(first_refusal(peer), 10)
    assert (status, body["reason"]) == (401, "kicked")
    asked.set()
    await peer.task
    assert peer.outgoing.empty()


async def first_refusal(peer):
    import json

    start, body = await peer.next(), await peer.next()
    return start["status"], json.loads(body["body"]), start["headers"]


@in_loop
async def test_a_message_that_is_too_long_closes_it(opened, settings):
    settings.AUTHX_SOCKET_MESSAGE_SIZE = 8
    for text, data in (("x" * 9, None), (None, b"x" * 9), ("é" * 5, None), ("😀" * 3, None)):
        app = Echo()
        peer = connect(app, bearer=opened.access_token)
        await peer.accepted()
        peer.send("😀😀")
        assert await peer.text() == "😀😀"
        peer.send(text, data)
        assert await peer.closed() == (1009, "")
        await peer.task
        assert app.received[-1]["type"] == "websocket.disconnect"


@in_loop
async def test_a_server_that_cannot_send_a_code_is_given_another(opened, settings):
    """daphne: sockets that should close would stay open."""
    settings.AUTHX_SOCKET_MESSAGE_SIZE = 8
    peer, sent = connect(bearer=opened.access_token), []
    peer.task.cancel()

    async def server_send(message):
        if message["type"] == "websocket.close" and message["code"] < 3000:
            raise ValueError("invalid close code")
        sent.append(message)

    messages = queue_of({"type": "websocket.connect"}, {"type": "websocket.receive", "text": "x" * 9})
    await peer.app(peer.scope, messages.get, server_send)
    assert sent[1:] == [{"type": "websocket.close", "code": 4409, "reason": ""}]


@in_loop
async def test_a_client_that_has_gone_counts_no_more_however_long_the_app_goes_on(opened):
    watched, never = Watched(time.time()), asyncio.Event()

    async def app(scope, receive, send):
        await receive()
        await send(ACCEPT)
        await receive()
        await never.wait()

    peer = connect(app, bearer=opened.access_token)
    await peer.accepted()
    peer.hang_up()
    await settle()
    assert len(watched.watcher.watches) == 0
    peer.task.cancel()


@in_loop
async def test_a_receive_that_the_app_gave_up_loses_no_message(opened):
    async def app(scope, receive, send):
        await receive()
        await send(ACCEPT)
        with suppress(TimeoutError):
            await asyncio.wait_for(receive(), 0.01)
        await send({"type": "websocket.send", "text": "given up"})
        await send({"type": "websocket.send", "text": (await receive())["text"]})

    peer = connect(app, bearer=opened.access_token)
    await peer.accepted()
    assert await peer.text() == "given up"
    peer.send("not lost")
    assert await peer.text() == "not lost"
    await peer.task


@in_loop
async def test_whatever_the_app_raises_reaches_the_server(opened):
    watched = Watched(time.time())

    async def app(scope, receive, send):
        raise LookupError("the app's own")

    with pytest.raises(LookupError, match="the app's own"):
        await connect(app, bearer=opened.access_token).next()
    assert len(watched.watcher.watches) == 0


@in_loop
async def test_a_thousand_sockets_of_a_hundred_users_are_told_their_own_names(make_user):
    """S16: CVE-2020-35681."""

    async def app(scope, receive, send):
        await receive()
        await send(ACCEPT)
        await asyncio.sleep(0)
        await send({"type": "websocket.send", "text": f"{scope['user'].get_username()} {scope['authx'].sid}"})

    people = [await apart(lambda n=n: open_session(make_user(f"user{n}"))) for n in range(100)]
    peers = [(each, connect(app, bearer=each.access_token)) for _ in range(10) for each in people]
    for each, peer in peers:
        await peer.accepted()
        assert await peer.text() == f"{each.session.user.get_username()} {each.session.pk}"


@in_loop
async def test_what_is_opened_and_closed_leaves_nothing_behind(opened, settings):
    """S15."""
    settings.AUTHX_SOCKETS_PER_SESSION = 1000
    watched = Watched(time.time())
    for _ in range(5):
        peers = [connect(bearer=opened.access_token) for _ in range(200)]
        for peer in peers:
            await peer.accepted()
        assert len(watched.watcher.watches) == 200
        for peer in peers:
            peer.hang_up()
            await peer.task
        assert watched.watcher.watches.is_clean
    del peers, peer
    gc.collect()
    left = [each for each in gc.get_objects() if type(each) is Watch]  # isinstance would wake lazy users
    assert left == []


@pytest.mark.parametrize("way", ["client", "app", "end"])
@in_loop
async def test_what_is_closed_is_freed_without_the_garbage_collector(opened, way):
    """Many sockets that go at once would else leave it as much to do as there was memory."""
    watched, sessions = Watched(time.time()), []

    async def app(scope, receive, send):
        sessions.append(weakref.ref(scope["authx"]))
        await receive()
        await send(ACCEPT)
        if way != "app":
            await receive()

    gc.disable()
    try:
        peer = connect(app, bearer=opened.access_token)
        await peer.accepted()
        if way == "client":
            peer.hang_up()
        elif way == "end":
            await elsewhere(end_session, opened.session, "kicked")
            await watched.read()
            assert await peer.closed() == (4401, "kicked")
        await peer.task
        await settle()
        assert [found() for found in sessions] == [None]
    finally:
        gc.enable()


@pytest.mark.slow
@in_loop_for(600)
async def test_the_memory_stays_as_it_is_whatever_is_opened_and_closed(opened, settings):
    """S15, at length."""
    settings.AUTHX_SOCKETS_PER_SESSION = 1000
    watched = Watched(time.time())

    async def turn_over(number):
        for _ in range(number // 500):
            peers = [connect(bearer=opened.access_token) for _ in range(500)]
            for peer in peers:
                await peer.accepted()
                peer.hang_up()
            for peer in peers:
                await peer.task
        del peers, peer
        gc.collect()
        return len(gc.get_objects()), resident()

    objects, size = await turn_over(5_000)
    later = await turn_over(15_000)
    assert watched.watcher.watches.is_clean
    assert later[0] - objects < 1500, "a tenth of an object for each; timers that are off stay for a while"
    assert later[1] - size < 2 * 2**20


def resident():
    """Bytes of memory that this process has; where there is no /proc, the objects have to do."""
    found = Path("/proc/self/statm")
    return int(found.read_text().split()[1]) * resource.getpagesize() if found.exists() else 0


@in_loop
async def test_a_slow_site_delays_no_handshake(opened):
    """S12: every ``sync_to_async`` of a process waits for one thread, and the door does not."""
    from threading import Event

    from asgiref.sync import sync_to_async

    held, goes_on = Event(), Event()

    def sleep():
        held.set()
        goes_on.wait(20)

    sleeping = asyncio.ensure_future(sync_to_async(sleep)())
    while not held.is_set():
        await asyncio.sleep(0.01)
    await connect(bearer=opened.access_token).accepted()
    goes_on.set()
    await sleeping


@in_loop
async def test_one_connection_reads_and_four_ask_for_any_number_of_sockets(opened, settings):
    """S11."""
    from threading import enumerate as threads

    settings.AUTHX_SOCKETS_PER_SESSION = 1000
    peers = [connect(bearer=opened.access_token) for _ in range(500)]
    for peer in peers:
        await peer.accepted()
    assert sum(thread.name == "authx" for thread in threads()) <= 5
    await apart(end_session, opened.session, "kicked")
    for peer in peers:
        assert await peer.closed() == (4401, "kicked")


@in_loop
async def test_a_watch_of_a_loop_that_is_closed_is_given_up(opened):
    """As where a server was stopped without closing its sockets."""
    watched = Watched(time.time())

    async def leave():
        other = Watcher(watched.follower, clock=watched.clock)
        other.watch(opened.claims, lambda error: None)
        return other

    def in_another_loop():
        loop = asyncio.new_event_loop()
        try:
            return loop.run_until_complete(leave())
        finally:
            loop.close()

    other = await asyncio.to_thread(in_another_loop)
    await apart(end_session, opened.session, "kicked")
    await apart(end_everyone, "kicked")
    assert not other._follows


@in_loop
async def test_a_refresh_cookie_that_is_none_leaves_the_access_cookie_alone(opened):
    cookies = {conf.ACCESS_COOKIE: opened.access_token, conf.REFRESH_COOKIE: "rubbish"}
    await connect(cookies=cookies, origin=ORIGIN).accepted()


@in_loop
async def test_what_a_server_raises_before_the_end_is_the_apps_to_know(opened):
    peer = connect(bearer=opened.access_token)
    peer.task.cancel()

    async def server_send(message):
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        await peer.app(peer.scope, queue_of({"type": "websocket.connect"}).get, server_send)


@in_loop
async def test_a_close_of_the_apps_that_the_server_refuses_does_not_keep_it_open(opened):
    """daphne raises at codes that it cannot send; an app that goes on must not outlive the session."""
    watched, refused = Watched(time.time()), asyncio.Event()
    incoming, outgoing = queue_of({"type": "websocket.connect"}), asyncio.Queue()
    said = []

    async def app(scope, receive, send):
        await receive()
        await send(ACCEPT)
        with pytest.raises(ValueError, match="1013"):
            await send({"type": "websocket.close", "code": 1013})
        refused.set()
        said.append(await receive())

    async def server_send(message):
        if message.get("code") == 1013:
            raise ValueError("1013 cannot be sent")
        await outgoing.put(message)

    scope = scope_of(bearer=opened.access_token)
    task = asyncio.ensure_future(authenticated(app)(scope, incoming.get, server_send))
    await asyncio.wait_for(refused.wait(), 10)
    await apart(end_session, opened.session, "kicked")
    await asyncio.wait_for(task, 10)
    assert said == [{"type": "websocket.disconnect", "code": 4401, "reason": "kicked"}]
    assert outgoing.get_nowait()["type"] == "websocket.accept"
    assert outgoing.get_nowait()["code"] == 4401
    del watched


@in_loop
async def test_an_app_that_only_sends_does_not_go_on_for_ever_after_the_end(opened, monkeypatch):
    """Servers tell it by an OSError that its client has gone, but are not asked any more."""
    monkeypatch.setattr(connection, "PATIENCE_SECONDS", 0.0)
    watched, until = Watched(time.time()), time.monotonic() + 20

    async def app(scope, receive, send):
        await receive()
        await send(ACCEPT)
        while time.monotonic() < until:  # the end takes some statements of another thread
            await send({"type": "websocket.send", "text": "news"})
            await asyncio.sleep(0)

    peer = connect(app, bearer=opened.access_token)
    await peer.accepted()
    await apart(end_session, opened.session, "kicked")
    with pytest.raises(OSError, match="ended"):
        await peer.task
    messages = [peer.outgoing.get_nowait() for _ in range(peer.outgoing.qsize())]
    assert messages[-1]["code"] == 4401
    assert {message["type"] for message in messages[:-1]} <= {"websocket.send"}
    del watched
