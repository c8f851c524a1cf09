"""authx.sockets: the live notice as a stream, which tells an open page that its session has ended."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta
from threading import enumerate as threads

import pytest
from django.core.asgi import get_asgi_application

from authx.conf import conf
from authx.errors import TokenExpired
from authx.models import DeviceSession, SessionEvent
from authx.sessions import end_everyone, end_session, open_session, refresh_session
from authx.sessions.open_pages import user_hash
from authx.sockets import live, live_notice, pool
from tests.in_process import Watched, apart, connect, in_loop, scope_of, settle
from tests.sockets.test_watching import ENDERS, elsewhere

pytestmark = pytest.mark.django_db(transaction=True)

STREAM = (b"accept", b"text/event-stream")


class Page:
    """A page that asks for the stream, from the server's side."""

    def __init__(self, opened=None, *, user=None, accept=STREAM, path="/account/live/", **scope):
        cookies = {} if opened is None else {conf.REFRESH_COOKIE: opened.refresh_token}
        query = "" if user is None else f"user={user}"
        self.scope = {
            **scope_of(cookies=cookies, query=query, headers=[accept], path=path),
            "type": "http",
            "method": "GET",
            "scheme": "https",
            **scope,
        }
        self.incoming, self.outgoing = asyncio.Queue(), asyncio.Queue()
        self.incoming.put_nowait({"type": "http.request", "body": b"", "more_body": False})
        app = live_notice(get_asgi_application())
        self.task = asyncio.ensure_future(app(self.scope, self.incoming.get, self.outgoing.put))

    async def next(self):
        getting = asyncio.ensure_future(self.outgoing.get())
        await asyncio.wait({getting, self.task}, return_when=asyncio.FIRST_COMPLETED)
        if not getting.done() and self.outgoing.empty():
            getting.cancel()
            await self.task
            raise AssertionError("it is over, and nothing was sent")
        return await getting

    async def answer(self):
        """The status and the headers."""
        start = await self.next()
        return start["status"], {name.decode().lower(): value.decode() for name, value in start["headers"]}

    async def by_django(self):
        """The status, the headers and the body of an answer that is no stream."""
        status, headers = await self.answer()
        assert "event-stream" not in headers.get("content-type", "")
        text, more = await self.body()
        assert not more
        await self.task
        return status, headers, text

    async def body(self):
        """What is sent next, and whether more comes."""
        message = await self.next()
        return message["body"].decode(), message.get("more_body", False)

    async def streams(self):
        """It is open."""
        status, headers = await self.answer()
        assert (status, headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
        text, more = await self.body()
        assert text.startswith("retry: ")
        assert more
        return headers

    async def hears(self):
        """The one event, after which nothing comes."""
        text, more = await self.body()
        assert not more
        await self.task
        assert self.outgoing.empty()
        return text

    async def leave(self):
        self.incoming.put_nowait({"type": "http.disconnect"})
        await self.task


@in_loop
async def test_a_page_with_a_refresh_cookie_gets_a_stream_that_nothing_holds_back(opened):
    page = Page(opened, user=user_hash(opened.session))
    headers = await page.streams()
    assert headers["x-accel-buffering"] == "no"
    assert "no-store" in headers["cache-control"]
    assert "content-length" not in headers
    assert page.outgoing.empty()
    await page.leave()


@pytest.mark.parametrize("place", ["this process", "another"])
@pytest.mark.parametrize("reason", ENDERS)
@in_loop
async def test_it_is_told_the_reason_when_its_session_ends_and_nobody_else_is(
    opened, bob, settings, reason, place
):
    settings.AUTHX_SESSION_LIMITS = [{"types": ["other"], "limit": 1, "when_full": "end_oldest"}]
    watched = Watched(time.time())
    page, other = Page(opened), Page(await apart(open_session, bob))
    await page.streams()
    await other.streams()
    await watched.read()
    await (apart if place == "this process" else elsewhere)(ENDERS[reason], opened)
    if place == "another":
        await settle()
        assert page.outgoing.empty()
        await watched.read()
    assert await page.hears() == f"event: ended\ndata: {reason}\n\n"
    assert other.outgoing.empty() or reason == "credentials_changed"
    other.task.cancel()


@in_loop
async def test_what_ends_between_the_question_and_the_watch_is_told(opened, monkeypatch):
    """The session is asked about once more after it is watched."""
    watched, asked = Watched(time.time()), []
    ask = live._ask

    def ask_then_end(scope):
        found = ask(scope)
        asked.append(found)
        if len(asked) == 1:
            end_everyone("kicked")
        return found

    monkeypatch.setattr(live, "_ask", ask_then_end)
    status, _, _ = await Page(opened).by_django()
    assert (status, len(asked), len(watched.watcher.watches)) == (401, 2, 0)


@in_loop
async def test_a_comment_keeps_a_silent_stream_open(opened, monkeypatch):
    monkeypatch.setattr(live, "COMMENT_SECONDS", 0.01)
    page = Page(opened)
    await page.streams()
    assert await page.body() == (":\n\n", True)
    assert await page.body() == (":\n\n", True)
    await page.leave()


@in_loop
async def test_a_page_that_is_gone_is_watched_no_longer(opened):
    watched, page = Watched(time.time()), Page(opened)
    await page.streams()
    assert len(watched.watcher.watches) == 1
    await page.leave()
    assert len(watched.watcher.watches) == 0
    page = Page(opened)
    await page.streams()
    page.task.cancel()
    await settle()
    assert len(watched.watcher.watches) == 0


@pytest.mark.parametrize(("column", "reason"), [("idle_expires_at", "idle"), ("expires_at", "expired")])
@in_loop
async def test_at_a_limit_the_row_is_read_again_and_the_word_is_the_limits(opened, column, reason):
    watched, page = Watched(time.time()), Page(opened)
    await page.streams()
    watched.calendar.now = opened.session.limit_at.timestamp() - 1
    await watched.look()
    assert page.outgoing.empty()
    past = datetime.now(UTC) - timedelta(seconds=1)
    await apart(lambda: DeviceSession.objects.update(**{column: past}))
    watched.calendar.now = opened.session.limit_at.timestamp() + 11
    await watched.look()
    assert await page.hears() == f"event: ended\ndata: {reason}\n\n"


@in_loop
async def test_a_session_that_has_been_used_goes_on_past_its_old_limit(opened):
    watched, page = Watched(time.time()), Page(opened)
    await page.streams()
    limit = opened.session.limit_at
    later = limit + timedelta(days=1)
    await apart(lambda: DeviceSession.objects.update(idle_expires_at=later))
    watched.calendar.now = limit.timestamp() + 11
    await watched.look()
    while not len(watched.watcher.watches):
        await asyncio.sleep(0)  # it is being asked in a thread
    assert not page.task.done()
    await elsewhere(end_session, opened.session, "kicked")
    await watched.read()
    while (text := (await page.body())[0]) == ":\n\n":
        pass
    assert text == "event: ended\ndata: kicked\n\n"


@in_loop
async def test_where_there_is_no_room_any_more_at_its_limit_it_ends_without_a_word(opened, settings):
    watched, page, socket = Watched(time.time()), Page(opened), connect(bearer=opened.access_token)
    await page.streams()
    await socket.accepted()
    settings.AUTHX_SOCKETS_PER_SESSION = 1
    page_watch = next(iter(each for each in watched.watcher.watches if each.claims.kid == ""))
    watched.watcher.forget(page_watch)
    page_watch.end(TokenExpired("its limit"))
    assert await page.hears() == ""
    socket.hang_up()
    await socket.task


@in_loop
async def test_refreshing_tells_nothing(opened):
    watched, page = Watched(time.time()), Page(opened)
    await page.streams()
    await elsewhere(refresh_session, opened.refresh_token, now=opened.now + timedelta(minutes=1))
    await watched.read()
    assert page.outgoing.empty()
    await page.leave()


@in_loop
async def test_an_open_page_is_no_use(opened):
    def rows():
        return DeviceSession.objects.values().get(), SessionEvent.objects.count()

    before = await apart(rows)
    page = Page(opened)
    await page.streams()
    await page.leave()
    assert await apart(rows) == before


@in_loop
async def test_streams_count_among_the_sockets_of_their_session(opened, settings):
    settings.AUTHX_SOCKETS_PER_SESSION = 2
    socket, page = connect(bearer=opened.access_token), Page(opened)
    await socket.accepted()
    await page.streams()
    assert (await Page(opened).by_django())[0] == 204, "it polls"
    assert (await connect(bearer=opened.access_token).refused())[0] == 429
    await page.leave()
    await Page(opened).streams()


@in_loop
async def test_an_ended_session_gets_no_stream_but_the_views_answer(opened):
    await apart(end_session, opened.session, "kicked")
    status, _, text = await Page(opened).by_django()
    assert status == 401
    assert '"reason": "kicked"' in text


@in_loop
async def test_nobody_and_a_page_of_another_user_get_none(opened, bob):
    theirs = user_hash((await apart(open_session, bob)).session)
    assert (await Page().by_django())[0] == 401
    assert (await Page(opened, user=theirs).by_django())[0] == 401


ELSEWHERE = {
    "who accepts no stream": ({"accept": (b"accept", b"*/*")}, 204),
    "another address": ({"path": "/untouched/"}, 200),
    "an address that is not there": ({"path": "/nowhere/"}, 404),
    "a question for the headers": ({"method": "HEAD"}, 204),
    "a form": ({"method": "POST"}, 403),
    "a query that is not text": ({"query_string": b"user=\xff\xfe"}, 400),
    "a query too long to read": ({"query_string": b"&".join([b"a=1"] * 2000)}, 400),
}


@pytest.mark.parametrize("case", ELSEWHERE)
@in_loop
async def test_everything_else_goes_to_django(opened, case):
    scope, status = ELSEWHERE[case]
    assert (await Page(opened, **scope).by_django())[0] == status


@in_loop
async def test_other_protocols_pass_through():
    seen = []

    async def app(scope, receive, send):
        seen.append(scope)

    for scope in ({"type": "websocket", "path": "/account/live/"}, {"type": "lifespan"}):
        await live_notice(app)(scope, None, None)
    assert seen == [{"type": "websocket", "path": "/account/live/"}, {"type": "lifespan"}]


@in_loop
async def test_an_address_that_begins_with_a_language_is_the_same(opened, settings):
    settings.ROOT_URLCONF = "tests.language_urls"
    page = Page(opened, path="/de/account/live/")
    await page.streams()
    await page.leave()


@in_loop
async def test_when_it_cannot_be_known_any_more_the_stream_ends_without_a_word(opened):
    watched, page = Watched(time.time()), Page(opened)
    await page.streams()
    watched.clock.now += 11
    await watched.look()
    assert await page.hears() == ""


@in_loop
async def test_many_streams_hold_no_thread_and_no_connection_each(ada, settings):
    settings.AUTHX_SOCKETS_PER_SESSION = 10
    each = [await apart(open_session, ada) for _ in range(6)]
    pages = [Page(opened) for opened in each for _ in range(10)]
    for page in pages:
        await page.streams()
    assert len([thread for thread in threads() if thread.name == "authx"]) <= pool.MAX_THREADS + 1
    for page in pages:
        await page.leave()
