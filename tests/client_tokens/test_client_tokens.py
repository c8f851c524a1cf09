"""authx.client: the tokens with which a service calls another."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest
from rest_framework.permissions import AllowAny, IsAuthenticated
from rest_framework.response import Response
from rest_framework.test import APIRequestFactory
from rest_framework.views import APIView

from authx.api.authentication import BearerAuthentication, CookieAuthentication, DelegatedAuthentication
from authx.api.permissions import HasScope
from authx.checks.verifier import check_verifier
from authx.client import cache, exchange, service_token, tokens
from authx.client.cache import SPARE_SECONDS, Issued, TokenCache
from authx.conf import Conf, conf
from authx.core.access_token import write_access_token
from authx.core.client_assertion import read_client_assertion
from authx.core.keys import Key
from authx.errors import OAuthError, StoreUnavailable, TokenMalformed
from authx.gate.keys import keyring
from authx.gate.verify import signed_claims
from authx.sessions import open_session
from tests.clients import API, exchanged, granted, make_client
from tests.core.test_access_token import CLAIMS
from tests.token_endpoint import ACCESS_TOKEN, EXCHANGE, is_assertion, running, wait_for

SCOPE = "stock:read"


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def endpoint(settings):
    with running() as found:
        settings.DEBUG = True
        settings.AUTHX_TOKEN_URL = found.url
        settings.AUTHX_SERVICE_CREDENTIALS = found.credentials
        yield found
    tokens._drop()


@pytest.fixture
def clock(monkeypatch):
    """That of the tokens that are kept."""
    clock = Clock()
    monkeypatch.setattr(tokens, "_tokens", TokenCache(clock=clock))
    return clock


def request_with(token):
    """A request that a token has let in."""
    request = HttpRequest()
    request.META["HTTP_AUTHORIZATION"] = f"Bearer {token}"
    request.auth = signed_claims(token)
    return request


@pytest.fixture
def token():
    return write_access_token(replace(CLAIMS, jti="first"), keyring.keyset().signing)


@pytest.fixture
def other_token():
    return write_access_token(replace(CLAIMS, jti="second"), keyring.keyset().signing)


# What it asks


def test_a_users_token_is_exchanged(endpoint, token):
    assert exchange(request_with(token), audience="https://stock.example/", scope=SCOPE) == "token-1"
    assert endpoint.forms == [
        {
            "grant_type": [EXCHANGE],
            "subject_token": [token],
            "subject_token_type": [ACCESS_TOKEN],
            "audience": ["https://stock.example/"],
            "scope": [SCOPE],
        }
    ]


def test_a_service_gets_a_token_of_its_own(endpoint):
    assert service_token(audience="https://stock.example/", scope=["b", "a", "b"]) == "token-1"
    assert endpoint.forms == [
        {"grant_type": ["client_credentials"], "audience": ["https://stock.example/"], "scope": ["a b"]}
    ]


def test_there_may_be_several_audiences_and_no_scope(endpoint):
    service_token(audience=["https://stock.example/", "https://mail.example/"])
    (form,) = endpoint.forms
    assert form["audience"] == ["https://mail.example/", "https://stock.example/"]
    assert "scope" not in form


@pytest.mark.parametrize("missing", ["AUTHX_TOKEN_URL", "AUTHX_SERVICE_CREDENTIALS"])
def test_without_its_settings_it_says_which_are_needed(missing, endpoint, settings):
    setattr(settings, missing, None)
    with pytest.raises(ImproperlyConfigured, match="AUTHX_TOKEN_URL"):
        service_token(audience="https://stock.example/")


# Whose token is exchanged


@pytest.mark.django_db
class TestTheRequest:
    @pytest.fixture
    def ask(self, endpoint):
        def ask(authentication, permission, headers=None, secure=True):
            class Orders(APIView):
                authentication_classes = authentication
                permission_classes = [permission]

                def get(self, request):
                    return Response(exchange(request, audience="https://stock.example/"))

            return Orders.as_view()(APIRequestFactory().get("/", headers=headers or {}))

        return ask

    def test_that_of_a_login(self, ask, ada, endpoint):
        opened = open_session(ada)
        answer = ask(
            [BearerAuthentication], IsAuthenticated, {"Authorization": f"Bearer {opened.access_token}"}
        )
        assert (answer.status_code, answer.data) == (200, "token-1")
        assert endpoint.forms[0]["subject_token"] == [opened.access_token]

    def test_that_of_a_client(self, ask, ada, endpoint):
        token = granted(make_client(), open_session(ada).session).access_token
        headers = {"Authorization": f"Bearer {token}"}
        answer = ask([DelegatedAuthentication(API)], HasScope("orders:read"), headers)
        assert (answer.status_code, endpoint.forms[0]["subject_token"]) == (200, [token])

    def test_that_which_was_itself_exchanged(self, ask, ada, endpoint):
        token = exchanged(open_session(ada).claims)
        headers = {"Authorization": f"Bearer {token}"}
        answer = ask([DelegatedAuthentication(API)], HasScope("orders:read"), headers)
        assert (answer.status_code, endpoint.forms[0]["subject_token"]) == (200, [token])

    def test_that_in_a_cookie(self, ask, ada, endpoint):
        opened = open_session(ada)
        headers = {"Cookie": f"{conf.ACCESS_COOKIE}={opened.access_token}"}
        answer = ask([CookieAuthentication], IsAuthenticated, headers)
        assert (answer.status_code, endpoint.forms[0]["subject_token"]) == (200, [opened.access_token])

    @pytest.mark.parametrize("header", ["Authorization", "Cookie", None])
    def test_none_that_nobody_has_looked_at(self, header, ask, ada, endpoint):
        """A cookie without the check of the CSRF token is anybody's request."""
        text = open_session(ada).access_token
        sent = {"Authorization": f"Bearer {text}", "Cookie": f"{conf.ACCESS_COOKIE}={text}"}
        answer = ask([], AllowAny, {header: sent[header]} if header else {})
        assert (answer.status_code, answer.data["code"]) == (401, "token_malformed")
        assert endpoint.forms == []

    def test_no_other_than_the_one_that_was_looked_at(self, ada, bob, endpoint):
        request = request_with(open_session(ada).access_token)
        request.META["HTTP_AUTHORIZATION"] = f"Bearer {open_session(bob).access_token}"
        with pytest.raises(TokenMalformed):
            exchange(request, audience="https://stock.example/")

    @pytest.mark.parametrize(
        ("word", "status"), [("invalid_target", 403), ("temporarily_unavailable", 503)], ids=str
    )
    def test_a_view_that_gets_none_says_so(self, word, status, ask, ada, endpoint):
        code = 400 if status == 403 else 503
        endpoint.will(answer=lambda handler, form: (code, {"error": word}, {}))
        headers = {"Authorization": f"Bearer {open_session(ada).access_token}"}
        answer = ask([BearerAuthentication], IsAuthenticated, headers)
        assert answer.status_code == status
        assert answer.data["code"] == ("oauth_refused" if status == 403 else "store_unavailable")


# Kept until shortly before they end


def test_a_token_is_kept_until_shortly_before_it_ends(endpoint, clock):
    asked = {"audience": "https://stock.example/", "scope": SCOPE}
    assert {service_token(**asked) for _ in range(5)} == {"token-1"}
    clock.now += 300 - SPARE_SECONDS - 0.1
    assert service_token(**asked) == "token-1"
    clock.now += 0.2
    assert service_token(**asked) == "token-2"
    assert len(endpoint.forms) == 2


def test_a_short_life_is_not_used_up_by_the_spare_seconds(endpoint, clock):
    endpoint.will(expires_in=20)
    asked = {"audience": "https://stock.example/"}
    assert service_token(**asked) == "token-1"
    clock.now += 14.9
    assert service_token(**asked) == "token-1"
    clock.now += 0.2
    assert service_token(**asked) == "token-2"


def test_a_token_without_a_known_end_is_not_kept(endpoint):
    body = {"access_token": "x", "token_type": "bearer"}
    endpoint.will(answer=lambda handler, form: (200, body, {}))
    assert [service_token(audience="https://stock.example/") for _ in range(2)] == ["x", "x"]
    assert len(endpoint.forms) == 2


def test_no_token_is_kept_longer_than_any_may_live(endpoint, clock):
    endpoint.will(expires_in=10**9)
    service_token(audience="https://stock.example/")
    clock.now += conf.ACCESS_TOKEN_LIFETIME.total_seconds()
    service_token(audience="https://stock.example/")
    assert len(endpoint.forms) == 2


def test_a_token_is_for_what_it_was_asked_for(endpoint, token, other_token):
    """No user is ever given another's."""
    calls = [
        lambda: service_token(audience="https://stock.example/", scope="a"),
        lambda: service_token(audience="https://stock.example/", scope="a b"),
        lambda: service_token(audience="https://stock.example/"),
        lambda: service_token(audience="https://mail.example/", scope="a"),
        lambda: service_token(audience=["https://stock.example/", "https://mail.example/"], scope="a"),
        lambda: exchange(request_with(token), audience="https://stock.example/", scope="a"),
        lambda: exchange(request_with(other_token), audience="https://stock.example/", scope="a"),
        lambda: exchange(request_with(token), audience="https://stock.example/"),
    ]
    first = [call() for call in calls]
    assert len(set(first)) == len(calls)
    assert [call() for call in calls] == first


def test_the_order_in_which_things_are_named_is_no_matter(endpoint):
    one = service_token(audience=["https://a.example/", "https://b.example/"], scope="a b")
    assert one == service_token(audience=("https://b.example/", "https://a.example/"), scope=["b", "a"])


def test_a_service_may_ask_for_a_fresh_one(endpoint):
    asked = {"audience": "https://stock.example/"}
    assert service_token(**asked) == "token-1"
    assert service_token(**asked, fresh=True) == "token-2"
    assert service_token(**asked) == "token-2"


@pytest.mark.parametrize("name", ["AUTHX_TOKEN_URL", "AUTHX_SERVICE_CREDENTIALS"])
def test_other_settings_are_another_service(name, endpoint, settings):
    service_token(audience="https://stock.example/")
    setattr(settings, name, getattr(settings, name))
    assert service_token(audience="https://stock.example/") == "token-2"


def test_the_cache_is_bounded_and_the_oldest_make_room():
    clock = Clock()
    kept = TokenCache(3, clock=clock)
    for number, life in enumerate([10, 400, 400, 400]):
        kept.get(b"%d" % number, lambda life=life, number=number: Issued(str(number), life))
    assert len(kept) == 3
    assert kept.get(b"1", lambda: Issued("new", 400)) == "1"
    clock.now += 8  # the first one of a new set has expired, and makes room before any that has not
    kept.get(b"0", lambda: Issued("short", 10))
    clock.now += 20
    kept.get(b"5", lambda: Issued("5", 400))
    assert kept.get(b"3", lambda: Issued("new", 400)) == "3"
    assert len(kept) <= 3


def test_no_token_is_in_what_the_cache_shows(endpoint, token):
    exchange(request_with(token), audience="https://stock.example/")
    shown = f"{vars(tokens._tokens)!r} {Issued('token-1', 3)!r}"
    assert token not in shown
    assert "token-1" not in shown


# One thread fetches for all


def test_threads_that_need_the_same_token_fetch_it_once(endpoint):
    endpoint.gate.clear()
    with ThreadPoolExecutor(12) as pool:
        asked = [pool.submit(service_token, audience="https://stock.example/") for _ in range(12)]
        wait_for(lambda: len(endpoint.forms) == 1)
        endpoint.gate.set()
        assert {one.result(20) for one in asked} == {"token-1"}
    assert len(endpoint.forms) == 1


def test_threads_that_need_others_do_not_wait(endpoint):
    endpoint.gate.clear()
    with ThreadPoolExecutor(2) as pool:
        asked = [pool.submit(service_token, audience=f"https://{name}.example/") for name in ("a", "b")]
        wait_for(lambda: len(endpoint.forms) == 2)
        endpoint.gate.set()
        assert {one.result(20) for one in asked} == {"token-1", "token-2"}


def test_threads_that_have_waited_get_the_refusal_too(endpoint):
    endpoint.gate.clear()
    endpoint.will(answer=lambda handler, form: (400, {"error": "invalid_target"}, {}))
    with ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(service_token, audience="https://stock.example/") for _ in range(4)]
        wait_for(lambda: len(endpoint.forms) >= 1)
        endpoint.gate.set()
        errors = [one.exception(20) for one in asked]
    assert {type(error) for error in errors} == {OAuthError}
    endpoint.will(answer=None)
    assert service_token(audience="https://stock.example/") == "token-1", "a refusal is not kept"


def test_a_thread_that_fails_otherwise_leaves_nobody_waiting():
    kept, began, goes_on = TokenCache(), threading.Event(), threading.Event()

    def fail():
        began.set()
        goes_on.wait(20)
        raise KeyboardInterrupt

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(kept.get, b"key", fail)
        began.wait(20)
        second = pool.submit(kept.get, b"key", lambda: Issued("never", 300))
        goes_on.set()
        assert isinstance(first.exception(20), KeyboardInterrupt)
        # It has come while the first was fetching, or after that one had failed.
        assert second.exception(20) is None or isinstance(second.exception(), StoreUnavailable)
    assert kept.get(b"key", lambda: Issued("now", 300)) in {"now", "never"}


def test_nobody_waits_for_ever(monkeypatch):
    monkeypatch.setattr(cache, "WAIT_SECONDS", 0.05)
    kept, goes_on, began = TokenCache(), threading.Event(), threading.Event()

    def slow():
        began.set()
        goes_on.wait(20)
        return Issued("late", 300)

    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(kept.get, b"key", slow)
        began.wait(20)
        with pytest.raises(StoreUnavailable, match="in time"):
            kept.get(b"key", slow)
        goes_on.set()
        assert first.result(20) == "late"


# What the issuer may answer


def test_a_refusal_says_why(endpoint, caplog):
    body = {"error": "invalid_target", "error_description": "E6: this client may not call it"}
    endpoint.will(answer=lambda handler, form: (400, body, {}))
    with pytest.raises(OAuthError) as refused:
        service_token(audience="https://stock.example/")
    assert (refused.value.error, refused.value.error_description) == (
        "invalid_target", "E6: this client may not call it",
    )  # fmt: skip
    assert "no token for https://stock.example/: invalid_target, E6" in caplog.text


def test_wrong_credentials_are_a_refusal(endpoint, settings):
    settings.AUTHX_SERVICE_CREDENTIALS = ("orders", "wrong")
    with pytest.raises(OAuthError) as refused:
        service_token(audience="https://stock.example/")
    assert refused.value.error == "invalid_client"


GOOD = {"access_token": "x", "token_type": "Bearer", "expires_in": 60}
ODD = {
    "no token": {**GOOD, "access_token": None},
    "empty": {**GOOD, "access_token": ""},
    "long": {**GOOD, "access_token": "x" * 8193},
    "line": {**GOOD, "access_token": "x\r\nX-Evil: 1"},
    "no ASCII": {**GOOD, "access_token": "\u00e4"},
    "list": {**GOOD, "access_token": ["x"]},
    "type": {**GOOD, "token_type": "DPoP"},
    "no type": {**GOOD, "token_type": None},
    "no seconds": {**GOOD, "expires_in": "60"},
    "true": {**GOOD, "expires_in": True},
    "past": {**GOOD, "expires_in": 0},
}


@pytest.mark.parametrize("body", ODD.values(), ids=ODD)
def test_an_odd_answer_is_no_answer(body, endpoint):
    endpoint.will(answer=lambda handler, form: (200, body, {}))
    with pytest.raises(StoreUnavailable):
        service_token(audience="https://stock.example/")


@pytest.mark.parametrize("kind", [None, "urn:ietf:params:oauth:token-type:refresh_token"])
def test_an_exchange_answers_with_an_access_token(kind, endpoint, token):
    endpoint.will(answer=lambda handler, form: (200, {**GOOD, "issued_token_type": kind}, {}))
    with pytest.raises(StoreUnavailable):
        exchange(request_with(token), audience="https://stock.example/")


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (404, b"<html>"), (403, {"detail": "no"}), (400, {"error": 7}), (400, ["error"]), (400, b""),
        (400, {"error": "x" * 65}), (500, {"error": "invalid_request"}),
        (503, {"error": "temporarily_unavailable"}), (302, b""), (307, b""),
    ],
)  # fmt: skip
def test_what_no_token_endpoint_answers_is_not_taken_for_a_refusal(status, body, endpoint):
    redirect = {"Location": endpoint.url.replace("token", "elsewhere")} if status in {302, 307} else {}
    endpoint.will(answer=lambda handler, form: (status, body, redirect))
    with pytest.raises(StoreUnavailable):
        service_token(audience="https://stock.example/")
    assert len(endpoint.forms) == 1, "no redirect is followed"


def test_an_issuer_that_is_down_is_not_asked_by_every_request(endpoint, monkeypatch):
    clock = Clock()
    monkeypatch.setattr(tokens, "_breaker", tokens.Breaker(clock))
    endpoint.will(answer=lambda handler, form: (500, b"", {}))
    for _ in range(5):
        with pytest.raises(StoreUnavailable):
            service_token(audience="https://stock.example/")
    assert len(endpoint.forms) == 1
    clock.now += 1
    endpoint.will(answer=None)
    assert service_token(audience="https://stock.example/") == "token-1"
    assert tokens._breaker.is_closed


def test_a_refusal_is_an_answer(endpoint):
    endpoint.will(answer=lambda handler, form: (400, {"error": "invalid_scope"}, {}))
    for _ in range(3):
        with pytest.raises(OAuthError):
            service_token(audience="https://stock.example/")
    assert len(endpoint.forms) == 3


def test_a_slow_issuer_is_not_waited_for(endpoint, monkeypatch):
    monkeypatch.setattr("authx.gate.issuer_http.WAIT_TIMEOUT_SECONDS", 0.1)
    endpoint.gate.clear()
    with pytest.raises(StoreUnavailable):
        service_token(audience="https://stock.example/")


def test_outside_debug_it_is_https_alone(endpoint, settings):
    settings.DEBUG = False
    with pytest.raises((ImproperlyConfigured, StoreUnavailable), match="https"):
        service_token(audience="https://stock.example/")
    assert endpoint.forms == []


# By a private key


@pytest.fixture
def private_key():
    return ec.generate_private_key(ec.SECP256R1())


@pytest.fixture
def pem(private_key):
    return private_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


@pytest.mark.parametrize("mounted", [False, True])
def test_a_private_key_proves_who_it_is(mounted, endpoint, settings, pem, tmp_path):
    (tmp_path / "key.pem").write_text(pem)
    key = f"file:{tmp_path}/key.pem" if mounted else pem
    settings.AUTHX_SERVICE_CREDENTIALS = {"client_id": "orders", "key": key}
    jwks = {"keys": [Key.load(pem).public_jwk()]}
    seen = []

    def authenticate(form):
        (assertion,) = form["client_assertion"]
        seen.append(
            read_client_assertion(
                assertion,
                jwks,
                client_id="orders",
                audiences=[conf.ISSUER],
                now=datetime.now(UTC),
                leeway=timedelta(0),
            )
        )
        return is_assertion(form) and form["client_id"] == ["orders"]

    endpoint.will(authenticate=authenticate)
    assert service_token(audience="https://stock.example/") == "token-1"
    assert service_token(audience="https://mail.example/") == "token-2"
    first, second = seen
    assert first.jti != second.jti
    assert first.expires_at - datetime.now(UTC) <= timedelta(minutes=1)


BAD = [
    {"client_id": "orders"},
    {"key": "x"},
    {"client_id": "orders", "key": "x", "secret": "y"},
    {"client_id": "", "key": "x"},
    {"client_id": "orders", "key": b"x"},
    {"client_id": "orders", "key": "x", "alg": 7},
    {"client_id": "orders", "key": "file:relative"},
    {},
]


@pytest.mark.parametrize("value", BAD, ids=str)
def test_other_dicts_are_an_error(value, settings):
    settings.AUTHX_SERVICE_CREDENTIALS = value
    assert Conf.SERVICE_CREDENTIALS.complaint() is not None


def test_a_key_that_cannot_sign_is_found_by_the_check(settings, private_key, pem, tmp_path):
    public = private_key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    settings.AUTHX_TOKEN_URL = "https://issuer.example/oauth/token/"
    bad = {
        "nonsense": "cannot be read",
        public: "public one",
        f"file:{tmp_path}/absent": "not there",
    }
    for key, why in bad.items():
        settings.AUTHX_SERVICE_CREDENTIALS = {"client_id": "orders", "key": key}
        (message,) = check_verifier()
        assert message.id == "authx.E017"
        assert why in message.msg
        assert "PRIVATE" not in message.msg
    settings.AUTHX_SERVICE_CREDENTIALS = {"client_id": "orders", "key": pem, "alg": "RS256"}
    assert "not for RS256" in check_verifier()[0].msg
    settings.AUTHX_SERVICE_CREDENTIALS = {"client_id": "orders", "key": pem}
    assert check_verifier() == []
    settings.AUTHX_SERVICE_CREDENTIALS = None
    assert [message.id for message in check_verifier()] == ["authx.E017"]


def test_a_key_that_is_gone_is_unavailable(endpoint, settings, tmp_path):
    settings.AUTHX_SERVICE_CREDENTIALS = {"client_id": "orders", "key": f"file:{tmp_path}/key.pem"}
    with pytest.raises(StoreUnavailable, match="not there"):
        service_token(audience="https://stock.example/")
