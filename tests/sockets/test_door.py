"""authx.sockets: who is let in, and what the app sees of it."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import AnonymousUser

from authx.conf import conf
from authx.errors import SessionEnded
from authx.models import DeviceSession
from authx.sessions import end_session, open_session
from authx.sockets import authenticated
from tests.in_process import HOST, ORIGIN, Echo, apart, connect, in_loop, opens

pytestmark = pytest.mark.django_db(transaction=True)


@in_loop
async def test_a_bearer_token_opens_it_and_the_app_sees_whose_it_is(opened, ada):
    app = Echo()
    peer = connect(app, bearer=opened.access_token)
    assert await peer.accepted() == {"type": "websocket.accept", "subprotocol": None}
    peer.send("hello")
    assert await peer.text() == "hello"
    (scope,) = app.scopes
    assert (scope["user"], scope["authx"].sid) == (ada, str(opened.session.pk))
    assert scope["authx"].claims == opened.claims
    peer.hang_up()
    await peer.task


@in_loop
async def test_the_cookie_opens_it_for_a_page_of_the_site(opened, ada):
    app = Echo()
    peer = connect(app, cookies={conf.ACCESS_COOKIE: opened.access_token}, origin=ORIGIN)
    await peer.accepted()
    assert app.scopes[0]["user"] == ada


@in_loop
async def test_a_token_in_a_subprotocol_opens_it_and_ours_alone_is_sent_back(opened, ada):
    app = Echo()
    peer = connect(
        app, subprotocols=["authx", f"authx.bearer.{opened.access_token}"], origin="https://other.example"
    )
    assert (await peer.accepted())["subprotocol"] == "authx"
    assert app.scopes[0]["user"] == ada


@in_loop
async def test_what_the_app_selects_is_left_to_it(opened):
    app = Echo("chat.v2")
    peer = connect(app, subprotocols=["chat.v2", "authx", f"authx.bearer.{opened.access_token}"])
    assert (await peer.accepted())["subprotocol"] == "chat.v2"
    assert app.scopes[0]["subprotocols"] == ["chat.v2"]


WAYS = {
    "header": lambda token: {"bearer": token},
    "subprotocol": lambda token: {"subprotocols": ["authx", f"authx.bearer.{token}", "v2"]},
    "encoded subprotocol": lambda token: {
        "subprotocols": ["authx", f"authx.bearer.{token}", "v2"],
        "headers": [(b"Sec-WebSocket-Protocol", f"authx, authx%2Ebearer.{token}, v2".encode())],
    },
    "cookie": lambda token: {
        "cookies": {conf.ACCESS_COOKIE: token, conf.DEVICE_COOKIE: f"device-{token}", "theme": "dark"},
        "origin": ORIGIN,
    },
}


@pytest.mark.parametrize("way", WAYS)
@in_loop
async def test_the_app_sees_no_credential(opened, way):
    app = Echo()
    peer = connect(app, **WAYS[way](opened.access_token))
    await peer.accepted()
    (scope,) = app.scopes
    assert opened.access_token not in repr(scope) + repr(vars(scope["authx"]))
    kept = {name.lower(): value for name, value in scope["headers"]}
    assert kept[b"host"] == HOST.encode()
    assert kept.get(b"cookie") == (b"theme=dark" if way == "cookie" else None)
    assert scope["subprotocols"] == (["v2"] if "subprotocol" in way else [])
    assert opened.access_token in repr(peer.scope), "the server's own scope is left alone"


@pytest.mark.parametrize("way", WAYS)
@in_loop
async def test_no_frame_of_ours_shows_a_credential_where_the_app_fails(opened, way):
    """Reporters of errors send the variables of every frame."""

    async def app(scope, receive, send):
        raise LookupError("the app's own")

    with pytest.raises(LookupError) as raised:
        await connect(app, **WAYS[way](opened.access_token)).next()
    ours = [entry for entry in raised.traceback if "authx/sockets" in str(entry.path)]
    assert ours
    for entry in ours:
        assert opened.access_token not in repr(entry.frame.f_locals)


@in_loop
async def test_credentials_of_others_reach_the_app(opened):
    app = Echo()
    basic = [(b"authorization", b"Basic c3RhZ2luZzpzZWNyZXQ=")]
    cookies = {conf.ACCESS_COOKIE: opened.access_token, "sessionid": "abc"}
    await connect(app, headers=basic, cookies=cookies, origin=ORIGIN).accepted()
    assert dict(app.scopes[0]["headers"])[b"authorization"] == basic[0][1]
    assert dict(app.scopes[0]["headers"])[b"cookie"] == b"sessionid=abc"


@in_loop
async def test_nobody_is_refused_with_the_answer_of_the_api():
    status, body, headers = await connect().refused()
    assert (status, body["code"]) == (401, "not_authenticated")
    assert headers["www-authenticate"] == 'Bearer realm="api"'
    assert headers["cache-control"] == "no-store"


@in_loop
async def test_nobody_gets_into_a_public_app_as_nobody():
    app = Echo()
    peer = connect(app, public=True)
    await peer.accepted()
    assert app.scopes[0]["authx"] is None
    assert app.scopes[0]["user"] == AnonymousUser()
    peer.send('{"type":"authx.renew","access_token":"x"}')
    assert await peer.text() == '{"type":"authx.renew","access_token":"x"}', "there is nothing to renew"


@pytest.mark.parametrize("name", ["token", "access_token", "ticket", "Authorization"])
@in_loop
async def test_a_token_in_the_query_opens_nothing_and_is_not_repeated(opened, name):
    status, body, headers = await connect(query=f"a=1&{name}={opened.access_token}").refused()
    assert (status, body["code"]) == (401, "not_authenticated")
    assert "query string" in body["detail"]
    assert opened.access_token not in f"{body}{headers}"
    app = Echo()
    await connect(app, public=True, query=f"{name}={opened.access_token}").accepted()
    assert app.scopes[0]["authx"] is None


@in_loop
async def test_an_ended_session_is_refused_with_its_reason(opened):
    await apart(end_session, opened.session, "kicked")
    status, body, headers = await connect(bearer=opened.access_token).refused()
    assert (status, body["code"], body["reason"]) == (401, "session_ended", "kicked")
    assert 'error_description="session_ended kicked"' in headers["www-authenticate"]


@in_loop
async def test_a_server_that_cannot_answer_closes(opened):
    peer = connect(answers=False)
    assert (await peer.next())["type"] == "websocket.close"
    await peer.task


CONTRADICTIONS = {
    "two Authorization headers": {
        "headers": [(b"authorization", b"Bearer x"), (b"authorization", b"Bearer y")]
    },
    "Basic beside Bearer": {"headers": [(b"authorization", b"Bearer x"), (b"authorization", b"Basic y")]},
    "header and subprotocol": {"bearer": "x", "subprotocols": ["authx", "authx.bearer.y"]},
    "two subprotocols": {"subprotocols": ["authx", "authx.bearer.x", "authx.bearer.y"]},
    "a token without ours beside it": {"subprotocols": ["authx.bearer.x"]},
    "a host that is not ours": {
        "cookies": {"__Host-authx_access": "x"},
        "host": "evil.example",
        "origin": ORIGIN,
    },
    "two hosts": {
        "cookies": {"__Host-authx_access": "x"},
        "headers": [(b"host", b"testserver")],
        "origin": ORIGIN,
    },
    "no host": {"cookies": {"__Host-authx_access": "x"}, "host": "", "origin": "https://"},
}


@pytest.mark.parametrize("public", [False, True])
@pytest.mark.parametrize("name", CONTRADICTIONS)
@in_loop
async def test_a_handshake_that_contradicts_itself_is_a_400(name, public, django_assert_num_queries):
    status, body, _headers = await connect(public=public, **CONTRADICTIONS[name]).refused()
    assert (status, body["code"]) == (400, "invalid_request")


@pytest.mark.parametrize(
    "header", ["Bearer", "bearer ", "\tBearer {}", "Bearer-like {}", "Bearer  {}", "Bearer {} x"]
)
@in_loop
async def test_a_header_that_is_not_well_formed_is_a_bad_token(opened, header):
    headers = [(b"authorization", header.format(opened.access_token).encode())]
    status, body, _headers = await connect(headers=headers, public=True).refused()
    assert (status, body["code"]) == (401, "token_malformed")


RUBBISH = {
    "empty": "",
    "words": "not a token",
    "control characters": "\x00\x1f",
    "three segments": "a.b.c",
    "ten megabytes": "x" * 10_000_000,
}


@pytest.mark.parametrize("public", [False, True])
@pytest.mark.parametrize("name", RUBBISH)
@pytest.mark.parametrize("way", ["header", "subprotocol", "cookie"])
@in_loop
async def test_rubbish_is_refused_without_asking_anybody(name, way, public, opened, monkeypatch):
    from authx.sockets import asking

    monkeypatch.setattr(asking, "admit", None)
    shown = WAYS[way](RUBBISH[name])
    if (way, name) == ("cookie", "empty"):
        shown["cookies"][conf.ACCESS_COOKIE] = '"x"'
    status, body, _headers = await connect(public=public, **shown).refused()
    assert (status, body["code"]) == (401, "token_malformed")


@in_loop
async def test_beside_a_bad_token_the_cookie_is_not_looked_at(opened):
    cookies = {conf.ACCESS_COOKIE: opened.access_token}
    for shown in ({"bearer": "bad"}, {"subprotocols": ["authx", "authx.bearer.bad"]}):
        status, body, _headers = await connect(cookies=cookies, origin=ORIGIN, **shown).refused()
        assert (status, body["code"]) == (401, "token_malformed")


@in_loop
async def test_two_cookies_of_our_name_are_none(opened):
    headers = [(b"cookie", f"{conf.ACCESS_COOKIE}={opened.access_token}".encode()), (b"cookie", b"a=b, c")]
    await connect(headers=headers, origin=ORIGIN).accepted()
    planted = [*headers, (b"cookie", f"{conf.ACCESS_COOKIE}=x".encode())]
    assert (await connect(headers=planted, origin=ORIGIN).refused())[1]["code"] == "not_authenticated"


@in_loop
async def test_the_access_cookie_of_another_session_than_the_refresh_cookies_is_no_credential(opened, ada):
    other = await apart(open_session, ada)
    mine = {conf.ACCESS_COOKIE: opened.access_token, conf.REFRESH_COOKIE: opened.refresh_token}
    await connect(cookies=mine, origin=ORIGIN).accepted()
    planted = mine | {conf.ACCESS_COOKIE: other.access_token}
    assert (await connect(cookies=planted, origin=ORIGIN).refused())[0] == 401


ORIGINS = {
    None: False,
    "": False,
    "null": False,
    ORIGIN: True,
    "http://testserver": False,
    "https://testserver:8443": False,
    "https://testserver:443": False,
    "https://testserver.": False,
    "https://TESTSERVER": False,
    "https://testserver/": False,
    "https://testserver.evil.example": False,
    "https://eviltestserver": False,
    "https://sub.testserver": False,
    "https://app.example": True,
    "https://app.example.evil.example": False,
    "capacitor://localhost": True,
    f"{ORIGIN}, {ORIGIN}": False,
    f"{ORIGIN} https://evil.example": False,
}


@pytest.mark.parametrize("hosts", [["testserver"], ["*"]], ids=["our hosts", "any host"])
@pytest.mark.parametrize("origin", ORIGINS)
@in_loop
async def test_the_cookie_is_good_for_pages_of_the_exact_origin_alone(opened, settings, origin, hosts):
    settings.ALLOWED_HOSTS = hosts
    settings.AUTHX_SOCKET_ORIGINS = ["https://app.example", "capacitor://localhost"]
    peer = connect(cookies={conf.ACCESS_COOKIE: opened.access_token}, origin=origin, public=True)
    if ORIGINS[origin]:
        await peer.accepted()
    else:
        status, body, _headers = await peer.refused()
        assert (status, body["code"]) == (403, "origin_not_allowed")


@in_loop
async def test_two_origins_are_none(opened):
    twice = [(b"origin", ORIGIN.encode())]
    peer = connect(cookies={conf.ACCESS_COOKIE: opened.access_token}, origin=ORIGIN, headers=twice)
    assert (await peer.refused())[0] == 403


@pytest.mark.parametrize(
    ("host", "secure", "is_let_in"),
    [
        ("localhost:8000", True, True),
        ("127.0.0.1:8000", True, True),
        ("[::1]:8000", True, True),
        ("testserver:8000", True, False),
        ("localhost.testserver", True, False),
        ("testserver:8000", False, True),
    ],
)
@in_loop
async def test_plain_http_is_for_this_machine_or_for_cookies_that_say_so(
    opened, settings, host, secure, is_let_in
):
    settings.ALLOWED_HOSTS = ["*"]
    settings.AUTHX_COOKIE_SECURE = secure
    peer = connect(cookies={conf.ACCESS_COOKIE: opened.access_token}, host=host, origin=f"http://{host}")
    if is_let_in:
        await peer.accepted()
    else:
        assert (await peer.refused())[0] == 403


@in_loop
async def test_a_header_needs_no_origin_and_none_is_looked_at(opened):
    for origin in (None, "null", "https://evil.example"):
        await connect(bearer=opened.access_token, origin=origin).accepted()


@in_loop
async def test_the_token_is_confirmed_and_nobody_is_seen(opened):
    seen = opened.session.last_seen_at
    await connect(bearer=opened.access_token).accepted()
    row = await apart(DeviceSession.objects.get, pk=opened.session.pk)
    assert (row.confirmed_generation, row.last_seen_at) == (1, seen)


@pytest.mark.parametrize("way", ["header", "subprotocol", "cookie"])
def test_a_handshake_is_one_statement(opened, way, django_assert_num_queries):
    """One more where the token is used for the first time."""
    shown = WAYS[way](opened.access_token)
    with django_assert_num_queries(2):
        assert opens(**shown)
    with django_assert_num_queries(1):
        assert opens(**shown)


@in_loop
async def test_a_session_has_so_many_sockets_at_once(opened, ada, settings):
    settings.AUTHX_SOCKETS_PER_SESSION = 2
    other = await apart(open_session, ada)
    first, second = (connect(bearer=opened.access_token) for _ in range(2))
    await first.accepted()
    await second.accepted()
    status, body, headers = await connect(bearer=opened.access_token).refused()
    assert (status, body["code"], headers["retry-after"]) == (429, "too_many_sockets", "5")
    await connect(bearer=other.access_token).accepted()
    first.hang_up()
    await first.task
    await connect(bearer=opened.access_token).accepted()


@in_loop
async def test_other_scopes_pass_through_untouched():
    seen = []

    async def app(scope, receive, send):
        seen.append((scope, receive, send))

    given = ({"type": "http", "headers": [(b"authorization", b"Bearer x")]}, object(), object())
    await authenticated(app)(*given)
    assert seen[0] == given


@in_loop
async def test_the_user_is_read_anew_when_asked_for(opened, ada):
    app = Echo()
    peer = connect(app, bearer=opened.access_token)
    await peer.accepted()
    session = app.scopes[0]["authx"]

    def rename():
        ada.first_name = "Augusta"
        ada.save()

    await apart(rename)
    assert app.scopes[0]["user"].first_name == ""
    assert (await session.auser()).first_name == "Augusta"
    await apart(end_session, opened.session, "kicked")
    with pytest.raises(SessionEnded):
        await session.auser()
    assert await peer.closed() == (4401, "kicked")


@in_loop
async def test_the_app_may_close_it_with_a_word_of_its_own(opened):
    app = Echo()
    peer = connect(app, bearer=opened.access_token)
    await peer.accepted()
    for bad in ("", "Two words", "x" * 33, "é"):
        with pytest.raises(ValueError, match="machine word"):
            await app.scopes[0]["authx"].close(bad)
    await app.scopes[0]["authx"].close("moved")
    assert await peer.closed() == (4401, "moved")


@pytest.mark.parametrize("query", [b"\xff", b"room=\xc3", b"a=%ff", "ä=ö".encode("latin-1")])
@pytest.mark.parametrize("public", [False, True])
@in_loop
async def test_a_query_string_that_is_no_text_is_the_apps(opened, query, public):
    """Servers hand over the octets that they were sent."""
    app = Echo()
    peer = connect(app, bearer=opened.access_token, public=public, query_string=query)
    await peer.accepted()
    assert app.scopes[0]["query_string"] == query
    status, body, _headers = await connect(query_string=query).refused()
    assert (status, body["code"]) == (401, "not_authenticated")


@pytest.mark.parametrize("value", [b"text/plain; charset*=none''x", b"text/plain; charset*=utf-8''%00"])
@in_loop
async def test_a_handshake_that_claims_odd_content_has_none(opened, value):
    """Django's request fails at these."""
    headers = [(b"content-type", value)]
    status, body, _headers = await connect(headers=headers).refused()
    assert (status, body["code"]) == (401, "not_authenticated")
    app = Echo()
    await connect(app, bearer=opened.access_token, headers=headers).accepted()
    assert (b"content-type", value) in app.scopes[0]["headers"]
