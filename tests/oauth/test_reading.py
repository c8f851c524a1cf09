"""authx.oauth.reading: one statement finds a service and whom it names, and decides as two would."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from authx.core.exchange_request import MAX_TARGETS
from authx.core.oauth_client import ACCESS_TOKEN_TYPE, CLIENT_CREDENTIALS, TOKEN_EXCHANGE
from authx.gate.verify import read_claims
from authx.models import DeviceSession, ServiceClient
from authx.sessions import end_session
from tests.oauth.conftest import API
from tests.oauth.flow import basic, post, tokens_of
from tests.oauth.test_token import own, refused

ORDERS, STOCK = "https://orders.example/", "https://stock.example/"


@pytest.fixture
def shop(make_client):
    """A service that is called by API's name, and may call another; beside it one that it may not."""
    make_client("orders", grant_types=[CLIENT_CREDENTIALS], audience=ORDERS)
    make_client("stock", grant_types=[CLIENT_CREDENTIALS], audience=STOCK)
    grants = [CLIENT_CREDENTIALS, TOKEN_EXCHANGE]
    return make_client("shop", grant_types=grants, audience=API, may_call=["orders"], resources=None)


def own_token(**changes):
    return post({"grant_type": CLIENT_CREDENTIALS, "audience": ORDERS} | changes, basic("shop"))


def exchanged(token, **changes):
    form = {"subject_token": token, "subject_token_type": ACCESS_TOKEN_TYPE, "audience": ORDERS}
    return post({"grant_type": TOKEN_EXCHANGE, **form, **changes}, basic("shop"))


def counted(act):
    with CaptureQueriesContext(connection) as captured:
        answer = act()
    return answer, own(captured)


def test_a_service_token_costs_one_statement(shop):
    first = own_token()
    assert first.status_code == 200, first.content
    again, number = counted(own_token)
    assert number == 1
    sids = {
        read_claims(one.json()["access_token"], audience=[ORDERS], delegated=True).sid
        for one in (first, again)
    }
    assert sids == {str(DeviceSession.objects.get(client_id="shop").pk)}


def test_an_exchange_costs_two(shop, signed_in, app):
    token = tokens_of(signed_in)["access_token"]
    answer, number = counted(lambda: exchanged(token))
    assert answer.status_code == 200, answer.content
    assert number == 2
    claims = read_claims(answer.json()["access_token"], audience=[ORDERS], delegated=True)
    assert (claims.client_id, claims.act) == ("shop", {"sub": "client:shop"})


@pytest.mark.parametrize(
    "audience", [STOCK, "https://nobody.example/", [ORDERS, STOCK], ORDERS.upper(), "x" * 300], ids=str
)
def test_whom_it_may_not_call_it_does_not(audience, shop, signed_in, app):
    own_token()
    assert refused(own_token(audience=audience)) == "invalid_target"
    assert refused(exchanged(tokens_of(signed_in)["access_token"], audience=audience)) == "invalid_target"


def test_nor_who_is_disabled(shop, signed_in, app):
    own_token()
    token = tokens_of(signed_in)["access_token"]
    ServiceClient.objects.filter(client_id="orders").update(disabled_at=timezone.now())
    assert refused(own_token()) == "invalid_target"
    assert refused(exchanged(token)) == "invalid_target"


def test_a_disabled_client_of_the_subject_is_found_by_what_the_token_says(shop, signed_in, app):
    token = tokens_of(signed_in)["access_token"]
    ServiceClient.objects.filter(client_id="reader").update(disabled_at=timezone.now())
    answer, number = counted(lambda: exchanged(token))
    assert refused(answer) == "invalid_request"
    assert number >= 2  # the refusal is recorded


def test_a_session_that_was_kicked_is_not_used(shop):
    own_token()
    ended = DeviceSession.objects.get(client_id="shop")
    end_session(ended, "kicked")
    token = own_token().json()["access_token"]
    assert read_claims(token, audience=[ORDERS], delegated=True).sid != str(ended.pk)


def test_nor_one_past_its_life(shop):
    own_token()
    session = DeviceSession.objects.get(client_id="shop")
    past = timezone.now() - timedelta(seconds=1)
    DeviceSession.objects.filter(pk=session.pk).update(expires_at=past, idle_expires_at=past)
    token = own_token().json()["access_token"]
    assert read_claims(token, audience=[ORDERS], delegated=True).sid != str(session.pk)


@pytest.mark.parametrize("subject", ["", "x", "a.b.c", "e30.eyJjbGllbnRfaWQiOiJyZWFkZXIifQ.x", "x" * 20_000])
def test_an_odd_subject_is_refused_as_such(subject, shop):
    assert refused(exchanged(subject)) == "invalid_request"


@pytest.mark.parametrize("grant_type", [CLIENT_CREDENTIALS, TOKEN_EXCHANGE])
def test_an_unknown_client_costs_what_a_wrong_secret_costs(grant_type, shop):
    own_token()
    form = {"grant_type": grant_type, "audience": ORDERS}
    numbers = set()
    for headers in (basic("nobody"), basic("shop", "wrong"), basic("orders", "wrong")):
        answer, number = counted(lambda headers=headers: post(form, headers))
        assert refused(answer, 401) == "invalid_client"
        numbers.add(number)
    assert numbers == {1}


def test_many_targets_are_refused_before_they_are_read(shop):
    names = [f"https://{number}.example/" for number in range(MAX_TARGETS + 1)]
    answer, number = counted(lambda: own_token(audience=names))
    assert refused(answer) == "invalid_target"
    assert number == 1
