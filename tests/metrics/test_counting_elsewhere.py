"""What is counted of clients, sockets, stores and copies."""

import asyncio

import pytest

from authx.client import service_token, tokens
from authx.core.oauth_client import AUTHORIZATION_CODE, CLIENT_CREDENTIALS, REFRESH_TOKEN
from authx.errors import OAuthError, StoreUnavailable
from authx.gate.breaker import FIRST_PAUSE_SECONDS, Breaker
from authx.gate.keys.remote import RemoteKeys
from authx.gate.revocation.local_copy import LocalCopy
from authx.gate.revocation.redis_store import RedisStore
from authx.gate.revocation.remote import IntrospectionSource, RemoteFeed
from authx.gate.revocation.window import Endings
from authx.sessions import end_session, open_session
from tests.core.test_access_token import CLAIMS
from tests.faults_in_database import outage
from tests.in_process import apart, connect, in_loop
from tests.metrics.conftest import counted
from tests.oauth import conftest as site
from tests.oauth.conftest import API
from tests.oauth.flow import basic, code_of, post, redemption, tokens_of
from tests.oauth.test_authorize import url
from tests.processes import free_port
from tests.token_endpoint import running

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.databases("sqlite")]

make_client, app, signed_in = site.make_client, site.app, site.signed_in


@pytest.fixture
def authorization_server(settings):
    settings.ROOT_URLCONF = "tests.oauth_urls"
    settings.AUTHX_ISSUER = "https://id.example"
    settings.AUTHX_SCOPES = site.SCOPES
    settings.AUTHX_RESOURCES = {API: [*site.SCOPES]}


@pytest.fixture
def endpoint(settings):
    with running() as found:
        settings.DEBUG = True
        settings.AUTHX_TOKEN_URL, settings.AUTHX_SERVICE_CREDENTIALS = found.url, found.credentials
        yield found
    tokens._drop()


def test_grants_by_type_and_outcome(authorization_server, tally, signed_in, app):
    token = tokens_of(signed_in)["refresh_token"]
    post({"grant_type": REFRESH_TOKEN, "refresh_token": token}, basic())
    post({"grant_type": REFRESH_TOKEN, "refresh_token": "nonsense"}, basic())
    post(redemption("nonsense"), basic())
    post(redemption(code_of(signed_in)), basic(secret="wrong"))
    post({"grant_type": "password"}, basic())
    post({}, basic())
    assert counted(tally, "grants") == {
        (AUTHORIZATION_CODE, "issued"): 1,
        (REFRESH_TOKEN, "issued"): 1,
        (REFRESH_TOKEN, "invalid_grant"): 1,
        (AUTHORIZATION_CODE, "invalid_grant"): 1,
        (AUTHORIZATION_CODE, "invalid_client"): 1,
        ("other", "unsupported_grant_type"): 1,
        ("other", "invalid_request"): 1,
    }


def test_service_tokens_that_a_client_fetches_for_itself(authorization_server, tally, make_client):
    make_client("robot", grant_types=[CLIENT_CREDENTIALS])
    form = {"grant_type": CLIENT_CREDENTIALS}
    assert post(form, basic("robot")).status_code == 200
    assert post({**form, "scope": "nothing"}, basic("robot")).status_code == 400
    with outage():
        assert post(form, basic("robot")).status_code == 503
    assert counted(tally, "grants") == {
        (CLIENT_CREDENTIALS, "issued"): 1,
        (CLIENT_CREDENTIALS, "invalid_scope"): 1,
        (CLIENT_CREDENTIALS, "temporarily_unavailable"): 1,
    }


def test_authorizations_that_are_refused(authorization_server, tally, signed_in, app):
    signed_in.get(url(scope="nothing"))
    signed_in.get(url(redirect_uri="https://thief.example/"))
    signed_in.get(url(prompt="none"))
    assert counted(tally, "refusals") == {
        ("oauth", "invalid_scope"): 1,
        ("oauth", "invalid_request"): 1,
        ("oauth", "consent_required"): 1,
    }


def test_tokens_that_a_service_has_asked_an_issuer_for(tally, endpoint, settings):
    service_token(audience="stock")
    service_token(audience="stock")  # kept
    settings.AUTHX_SERVICE_CREDENTIALS = ("orders", "wrong")
    with pytest.raises(OAuthError):
        service_token(audience="stock")
    settings.AUTHX_TOKEN_URL = f"http://127.0.0.1:{free_port()}/token/"
    for _ in range(2):  # the second one is the breaker's
        with pytest.raises(StoreUnavailable):
            service_token(audience="stock")
    assert counted(tally, "service_tokens") == {("issued",): 1, ("refused",): 1, ("unavailable",): 1}
    assert counted(tally, "store_failures") == {("issuer",): 1}
    assert counted(tally, "breaker_open") == {("issuer_tokens",): 1}


def test_a_redis_that_is_down(tally, settings):
    pytest.importorskip("django_redis", reason="django-redis is not installed")
    backend = "django_redis.cache.RedisCache"
    settings.CACHES = {
        **settings.CACHES,
        "gone": {"BACKEND": backend, "LOCATION": f"redis://127.0.0.1:{free_port()}/0"},
    }
    store = RedisStore("gone", lambda position=None: pytest.fail("nobody reads"))
    for _ in range(2):
        with pytest.raises(StoreUnavailable):
            store.entries(["nobody"])
    assert counted(tally, "store_failures") == {("redis",): 2}  # one to write, one to read
    assert counted(tally, "breaker_open") == {("redis_reads",): 1, ("redis_writes",): 1}


def test_a_breaker_that_closes_again(tally):
    clock = [1000.0]
    breaker = Breaker(lambda: clock[0], name="redis_reads")
    breaker.worked()
    assert not tally
    breaker.failed()
    assert counted(tally, "breaker_open") == {("redis_reads",): 1}
    clock[0] += FIRST_PAUSE_SECONDS
    assert breaker.allows()
    breaker.worked()
    assert tally["breaker_open", "redis_reads"] == 0
    assert not counted(tally, "breaker_open")


class Feed:
    """A log that is read, or is not."""

    down = False

    def read(self):
        if self.down:
            raise StoreUnavailable("down")
        return Endings({}, None, whole=True)

    def begin_again(self):
        """Do nothing: it always begins."""


def test_readings_of_a_copy(tally, monkeypatch):
    clock, feed = [1000.0], Feed()
    monkeypatch.setattr("authx.clocks.time", lambda: 5000.0)
    copy = LocalCopy(feed, lambda: clock[0], keep=lambda: 60.0)
    copy.entries(["nobody"], lag=1.0)
    copy.entries(["nobody"], lag=1.0)  # as fresh as before
    feed.down = True
    clock[0] += 10
    with pytest.raises(StoreUnavailable):
        copy.entries(["nobody"], lag=1.0)
    assert counted(tally, "copy_readings") == {("endings", "read"): 1, ("endings", "failed"): 1}
    assert counted(tally, "copy_read_timestamp_seconds") == {("endings",): 5000.0}


def test_readings_of_an_issuers_keys(tally):
    keys = RemoteKeys("https://id.example/jwks", fetch=lambda url: {})
    with pytest.raises(StoreUnavailable):
        keys.find("any")
    assert counted(tally, "copy_readings") == {("issuer_keys", "failed"): 1}


def answering_nonsense(url, **how):
    return {"keys": "none"}


def test_an_issuer_that_does_not_answer_as_it_should(tally):
    with pytest.raises(StoreUnavailable):
        RemoteKeys("https://id.example/jwks", fetch=answering_nonsense).find("any")
    with pytest.raises(StoreUnavailable):
        RemoteFeed("https://id.example/revocations/", fetch=answering_nonsense).read()
    with pytest.raises(StoreUnavailable):
        IntrospectionSource("token", "https://id.example/i", fetch=answering_nonsense).answer(CLAIMS, None)
    assert counted(tally, "store_failures") == {("issuer",): 3}


@in_loop
async def test_sockets_opened_open_and_closed_by_the_client(tally, ada):
    opened = await apart(open_session, ada)
    peer = connect(bearer=opened.access_token)
    await peer.accepted()
    assert counted(tally, "sockets_opened") == {(): 1}
    assert counted(tally, "sockets_open") == {(): 1}
    peer.hang_up(1001)
    await peer.task
    assert counted(tally, "sockets_closed") == {("1001",): 1}
    assert not counted(tally, "sockets_open")


@in_loop
async def test_sockets_closed_because_their_session_ended(tally, ada):
    opened = await apart(open_session, ada)
    peer = connect(bearer=opened.access_token)
    await peer.accepted()
    await apart(end_session, opened.session, "kicked")
    assert await peer.closed() == (4401, "kicked")
    await peer.task
    assert counted(tally, "sockets_closed") == {("4401",): 1}
    assert not counted(tally, "sockets_open")


@pytest.mark.parametrize(
    "said", [None, {"type": "websocket.close", "code": 1011}, {"type": "websocket.close"}]
)
@in_loop
async def test_sockets_that_the_app_closes_or_leaves(tally, ada, said):
    async def app(scope, receive, send):
        await receive()
        await send({"type": "websocket.accept"})
        if said:
            await send(said)

    opened = await apart(open_session, ada)
    peer = connect(app, bearer=opened.access_token)
    await peer.task
    code = "1005" if said is None else str(said.get("code", 1000))
    assert counted(tally, "sockets_closed") == {(code,): 1}
    assert not counted(tally, "sockets_open")


@in_loop
async def test_a_socket_whose_app_fails(tally, ada):
    async def app(scope, receive, send):
        await receive()
        await send({"type": "websocket.accept"})
        raise ZeroDivisionError

    opened = await apart(open_session, ada)
    peer = connect(app, bearer=opened.access_token)
    await asyncio.wait([peer.task])
    assert isinstance(peer.task.exception(), ZeroDivisionError)
    assert not counted(tally, "sockets_open")
    assert counted(tally, "sockets_closed") == {("1005",): 1}


@in_loop
async def test_handshakes_that_are_refused_by_code_and_open_nothing(tally, ada):
    opened = await apart(open_session, ada)
    await apart(end_session, opened.session, "kicked")
    for credential in ({"bearer": opened.access_token}, {"bearer": "nonsense"}, {}):
        await connect(**credential).refused()
    assert counted(tally, "refusals") == {
        ("sockets", "session_ended"): 1,
        ("sockets", "token_malformed"): 1,
        ("sockets", "not_authenticated"): 1,
    }
    assert not counted(tally, "sockets_opened")
    assert not counted(tally, "sockets_closed")
