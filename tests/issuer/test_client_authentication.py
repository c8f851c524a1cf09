"""authx.issuer.client_authentication: who a client is, and that nothing is told to who it is not."""

import json
import time
from datetime import UTC, datetime, timedelta

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from jwt.utils import base64url_encode

from authx.core.client_assertion import MAX_LIFETIME
from authx.core.keys import Key
from authx.errors import OAuthError, StoreUnavailable
from authx.issuer import (
    authenticate_client,
    create_client,
    disable_client,
    enable_client,
    renew_secret,
    update_client,
)
from authx.issuer import client_keys as keys
from authx.issuer.client_keys import FetchedKeys, fetched_keys
from authx.models import UsedTicket

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
ISSUER, TOKEN_ENDPOINT = "https://site.example", "https://site.example/oauth/token/"
AUDIENCES = (ISSUER, TOKEN_ENDPOINT)
API, CALLBACK = "https://api.example/", "https://app.example/done"

pytestmark = pytest.mark.django_db


@pytest.fixture
def private():
    return ec.generate_private_key(ec.SECP256R1())


def jwk_of(private, kid="one"):
    return json.loads(jwt.algorithms.ECAlgorithm.to_jwk(private.public_key())) | {"kid": kid}


@pytest.fixture
def signer(private):
    return create_client("signer", auth_method="private_key_jwt", jwks={"keys": [jwk_of(private)]})[0]


@pytest.fixture
def keeper():
    """A client with its secret."""
    return create_client("keeper")


@pytest.fixture
def public():
    return create_client("Phone", auth_method="none", redirect_uris=[CALLBACK], resources=[API])[0]


def signed(private, client, kid="one", **claims):
    claims = {
        "iss": client.client_id,
        "sub": client.client_id,
        "aud": ISSUER,
        "jti": "first",
        "exp": int((NOW + timedelta(minutes=5)).timestamp()),
        **claims,
    }
    return jwt.encode(claims, private, "ES256", headers={} if kid is None else {"kid": kid})


def authenticate(client_id, **proof):
    return authenticate_client(client_id, audiences=AUDIENCES, now=NOW, **proof)


def refused(client_id, **proof):
    with pytest.raises(OAuthError) as raised:
        authenticate(client_id, **proof)
    return raised.value.error, raised.value.error_description


WORDS = ("invalid_client", "T2: client authentication failed")


# --- each method


def test_a_secret(keeper):
    client, secret = keeper
    assert authenticate(client.client_id, secret=secret) == client


def test_a_public_client_is_who_it_says(public):
    assert authenticate(public.client_id) == public
    assert authenticate(public.client_id, secret="") == public  # RFC 6749 §2.3.1


@pytest.mark.parametrize("audience", AUDIENCES)
def test_an_assertion_for_the_issuer_or_its_token_endpoint(signer, private, audience):
    assert authenticate(signer.client_id, assertion=signed(private, signer, aud=audience)) == signer


def test_an_assertion_names_its_client_itself(signer, private):
    """RFC 7521 §4.2: client_id is not needed beside it."""
    assert authenticate("", assertion=signed(private, signer, kid=None)) == signer


# --- nobody is told why (T2), and no method stands in for another (T3)


def test_who_is_refused_is_told_the_same(keeper, signer, public, private):
    client, secret = keeper
    mine = signed(private, signer)
    attempts = [
        ("nobody", {"secret": secret}),
        ("nobody", {}),
        ("nobody", {"assertion": mine}),
        ("", {}),
        (client.client_id, {}),
        (client.client_id, {"secret": ""}),
        (client.client_id, {"secret": "wrong"}),
        (client.client_id, {"secret": "\ud800"}),
        (client.client_id.upper(), {"secret": secret}),
        (f"{client.client_id} ", {"secret": secret}),
        (f"{client.client_id}\0", {"secret": secret}),
        ("x" * 65, {"secret": secret}),
        (client.client_id, {"assertion": mine}),
        (client.client_id, {"assertion": signed(private, client)}),
        (client.client_id, {"secret": secret, "assertion": mine}),
        (signer.client_id, {}),
        (signer.client_id, {"secret": secret}),
        (signer.client_id, {"assertion": "a.b.c"}),
        (signer.client_id, {"assertion": signed(ec.generate_private_key(ec.SECP256R1()), signer)}),
        (signer.client_id, {"assertion": signed(private, signer, kid="two")}),
        (signer.client_id, {"assertion": signed(private, signer, aud="https://else.example")}),
        (signer.client_id, {"assertion": signed(private, signer, aud=list(AUDIENCES))}),
        (signer.client_id, {"assertion": signed(private, signer, iss=client.client_id)}),
        (signer.client_id, {"assertion": signed(private, signer, exp=int(NOW.timestamp()) - 60)}),
        (public.client_id, {"secret": secret}),
        (public.client_id, {"assertion": signed(private, public)}),
    ]
    for client_id, proof in attempts:
        assert refused(client_id, **proof) == WORDS, (client_id, proof)
    assert not UsedTicket.objects.exists()


@pytest.mark.parametrize("which", ["keeper", "signer", "public"])
def test_who_is_disabled_is_refused_in_the_same_words(which, keeper, signer, public, private):
    client, proof = {
        "keeper": (keeper[0], {"secret": keeper[1]}),
        "signer": (signer, {"assertion": signed(private, signer)}),
        "public": (public, {}),
    }[which]
    disable_client(client)
    assert refused(client.client_id, **proof) == WORDS
    assert not UsedTicket.objects.exists()
    enable_client(client)
    assert authenticate(client.client_id, **proof) == client


@pytest.mark.parametrize("client_id", ["known", "disabled", "nobody", "signer", "public"])
def test_every_refusal_asks_the_database_the_same(client_id, keeper, signer, public):
    ids = {"known": keeper[0].client_id, "signer": signer.client_id, "public": public.client_id}
    if client_id == "disabled":
        disable_client(keeper[0])
        ids["disabled"] = keeper[0].client_id
    with CaptureQueriesContext(
        connection,
    ) as queries:
        assert refused(ids.get(client_id, client_id), secret="wrong") == WORDS
    assert len(queries) == 1


def test_a_renewed_secret_takes_the_place_of_the_one_before(keeper):
    client, before = keeper
    secret = renew_secret(client)
    assert refused(client.client_id, secret=before) == WORDS
    assert authenticate(client.client_id, secret=secret) == client


def test_a_secret_is_worth_nothing_once_the_method_is_another(keeper, private):
    client, secret = keeper
    update_client(client, auth_method="private_key_jwt", jwks={"keys": [jwk_of(private)]})
    assert refused(client.client_id, secret=secret) == WORDS
    assert authenticate(client.client_id, assertion=signed(private, client)) == client
    update_client(client, auth_method="client_secret", jwks=None)
    assert refused(client.client_id, secret=secret) == WORDS  # it was forgotten, not put aside
    assert refused(client.client_id, secret="") == WORDS
    assert authenticate(client.client_id, secret=renew_secret(client)) == client


# --- an assertion is good once (T8)


def test_an_assertion_is_good_once(signer, private):
    assertion = signed(private, signer)
    assert authenticate(signer.client_id, assertion=assertion) == signer
    assert refused(signer.client_id, assertion=assertion) == WORDS
    assert refused("", assertion=signed(private, signer)) == WORDS  # signed again, of the same jti
    assert authenticate("", assertion=signed(private, signer, jti="second")) == signer


def test_it_is_spent_even_inside_a_transaction(signer, private):
    with transaction.atomic():
        authenticate("", assertion=signed(private, signer))
        assert refused("", assertion=signed(private, signer)) == WORDS
        assert authenticate("", assertion=signed(private, signer, jti="second")) == signer


def test_the_names_of_two_clients_assertions_are_their_own(signer, private):
    other, _ = create_client("other", auth_method="private_key_jwt", jwks={"keys": [jwk_of(private)]})
    for client in (signer, other):
        assert authenticate("", assertion=signed(private, client)) == client


def test_a_forged_assertion_spends_nothing(signer, private):
    forger = ec.generate_private_key(ec.SECP256R1())
    assert refused("", assertion=signed(forger, signer)) == WORDS
    assert authenticate("", assertion=signed(private, signer)) == signer


def test_its_name_is_kept_as_long_as_it_is_good(signer, private):
    until = NOW + MAX_LIFETIME
    authenticate("", assertion=signed(private, signer, exp=int(until.timestamp())))
    assert UsedTicket.objects.get().at >= until


# --- keys at a jwks_uri


class Server:
    """Answers for a jwks_uri."""

    def __init__(self, *jwks):
        self.keys, self.asked, self.is_down = list(jwks), 0, False

    def fetch(self, url):
        self.asked += 1
        if self.is_down:
            raise StoreUnavailable("down")
        return {"keys": self.keys}


@pytest.fixture
def clock():
    class Clock:
        now = 1000.0

        def __call__(self):
            return self.now

    return Clock()


def copy_of(server, clock):
    return FetchedKeys("https://app.example/jwks", fetch=server.fetch, clock=clock, run_in_background=None)


@pytest.fixture
def remote(private, clock, monkeypatch):
    """A client whose keys are fetched from a server."""
    server = Server(jwk_of(private))
    copy = copy_of(server, clock)
    monkeypatch.setattr(keys, "fetched_keys", {"https://app.example/jwks": copy}.__getitem__)
    registration = {"auth_method": "private_key_jwt", "jwks_uri": "https://app.example/jwks"}
    return create_client("remote", **registration)[0], server


def test_keys_are_fetched_once(remote, private):
    client, server = remote
    for jti in ("first", "second"):
        assert authenticate("", assertion=signed(private, client, jti=jti)) == client
    assert server.asked == 1


def test_a_new_key_is_fetched_when_it_signs_and_others_are_not_asked_for(remote, private, clock):
    client, server = remote
    authenticate("", assertion=signed(private, client))
    newer = ec.generate_private_key(ec.SECP256R1())
    server.keys.append(jwk_of(newer, "two"))
    clock.now += 11
    assert authenticate("", assertion=signed(newer, client, kid="two", jti="second")) == client
    for number in range(20):
        assert refused("", assertion=signed(newer, client, kid=f"forged {number}")) == WORDS
    assert server.asked == 2


def test_keys_are_good_for_a_day_while_their_server_is_down(remote, private, clock):
    client, server = remote
    authenticate("", assertion=signed(private, client))
    server.is_down = True
    clock.now += 80_000
    assert authenticate("", assertion=signed(private, client, jti="second")) == client
    clock.now += 10_000
    with pytest.raises(StoreUnavailable):
        authenticate("", assertion=signed(private, client, jti="third"))


def test_keys_that_were_never_fetched_are_503(remote, private):
    client, server = remote
    server.is_down = True
    with pytest.raises(StoreUnavailable):
        authenticate("", assertion=signed(private, client))


@pytest.mark.parametrize("found", [{}, {"keys": 7}, {"keys": [7, None, {}]}, {"keys": [{"kid": "one"}]}])
def test_what_is_no_key_lets_nobody_in(private, clock, monkeypatch, found):
    copy = FetchedKeys("https://app.example/jwks", fetch=lambda url: found, clock=clock)
    monkeypatch.setattr(keys, "fetched_keys", lambda url: copy)
    client, _ = create_client("remote", auth_method="private_key_jwt", jwks_uri="https://app.example/jwks")
    assert refused("", assertion=signed(private, client)) == WORDS


def test_a_process_keeps_so_many_sets_and_no_more():
    assert fetched_keys.cache_info().maxsize == keys.MAX_SETS


@pytest.mark.parametrize("kid", [7, None, "x" * 100, ["one"]])
def test_a_kid_of_any_kind_is_read(signer, private, kid):
    header = base64url_encode(json.dumps({"alg": "ES256", "kid": kid}).encode()).decode()
    rest = signed(private, signer).partition(".")[2]
    assert refused(signer.client_id, assertion=f"{header}.{rest}") == WORDS


def test_nobodys_key_is_one_that_nobody_has():
    (jwk,) = keys.nobodys_keys()["keys"]
    assert not Key.from_jwk(jwk).can_sign


# --- how long it takes


def test_it_takes_less_than_a_millisecond(keeper, signer, private):
    """Beside the database's own time."""
    client, secret = keeper
    proofs = {
        "secret": lambda number: authenticate(client.client_id, secret=secret),
        "wrong secret": lambda number: refused(client.client_id, secret="wrong"),
        "nobody": lambda number: refused("nobody", secret="wrong"),
    }
    for name, act in proofs.items():
        act(0)
        best = min(_timed(act, number) for number in range(50))
        assert best < 0.001, name


def _timed(act, number):
    start = time.perf_counter()
    act(number)
    return time.perf_counter() - start
