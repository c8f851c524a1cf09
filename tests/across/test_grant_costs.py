"""What each grant costs in SQL statements, beside the one that authenticates its client."""

from datetime import timedelta

import pytest

from authx.core.oauth_client import ACCESS_TOKEN_TYPE
from authx.errors import OAuthError
from authx.models import DeviceSession, SessionEvent
from authx.sessions import end_session, open_session
from authx.sessions.exchanging import exchange_token
from authx.sessions.refreshing_clients import refresh_for_client
from authx.sessions.service_tokens import service_token
from tests.across.test_costs import all_statements, kinds, statements
from tests.granted import code_of, granted, make_client, make_service, redeem

ORDERS, SHOP = "https://orders.example/", "https://shop.example/"


@pytest.fixture
def login(transactional_db, ada):
    return open_session(ada).session


@pytest.fixture
def client(login):
    return make_client()


@pytest.fixture
def shop(login):
    make_service("orders")
    return make_service("shop", may_call=["orders"])


def test_a_code_is_issued_in_one(client, login):
    _, asked = all_statements(lambda: code_of(client, login))
    assert kinds([sql for sql in asked if not sql.startswith(("BEGIN", "COMMIT"))]) == ["INSERT"]


def test_a_code_is_redeemed_in_five(client, login):
    """The code with its login, user, clock and mark; the swap; two rows; the client, kept from its end."""
    code = code_of(client, login)
    _, asked = statements(lambda: redeem(client, code))
    assert kinds(asked) == ["SELECT", "UPDATE", "INSERT", "INSERT", "SELECT"]


@pytest.mark.parametrize("why", ["spent", "wrong", "unknown"])
def test_a_code_that_is_refused_costs_one(client, login, why):
    code = code_of(client, login)
    redeem(client, code)
    parts = {"verifier": "x" * 43} if why == "wrong" else {}
    asked_for = "unknown" if why == "unknown" else code

    def refused():
        with pytest.raises(OAuthError):
            redeem(client, asked_for, **parts)

    assert kinds(all_statements(refused)[1]) == ["SELECT"]


def test_a_refresh_costs_three_and_another_within_the_grace_one(client, login, settings):
    credentials = granted(client, login)
    settings.AUTHX_REFRESH_GRACE = timedelta(microseconds=1)
    new, asked = statements(lambda: refresh_for_client(client, credentials.refresh_token))
    assert kinds(asked) == ["SELECT", "UPDATE", "INSERT"]
    settings.AUTHX_REFRESH_GRACE = timedelta(seconds=30)
    refresh_for_client(client, new.refresh_token)  # confirms it
    _, asked = all_statements(lambda: refresh_for_client(client, new.refresh_token))
    assert kinds(asked) == ["SELECT"]


def test_a_service_token_costs_one(shop):
    def ask():
        return service_token(shop, audience=[ORDERS], scope=None)

    _, asked = statements(ask)
    assert kinds(asked) == ["SELECT", "SELECT", "SELECT", "SELECT", "INSERT", "INSERT"]
    _, asked = all_statements(ask)
    assert kinds(asked) == ["SELECT"]
    end_session(DeviceSession.objects.get(client_id="shop"), "kicked")
    _, asked = statements(ask)
    assert kinds(asked) == ["SELECT", "SELECT", "SELECT", "UPDATE", "SELECT", "INSERT", "INSERT"]


@pytest.mark.parametrize("store", ["database", "a copy"])
def test_an_exchange_costs_two_reads(shop, login, settings, store):
    settings.AUTHX_AUDIENCE = ["authx", SHOP]
    settings.AUTHX_REVOCATION_LAG = timedelta(seconds=10 if store == "a copy" else 0)
    credentials = open_session(login.user)
    form = {
        "subject_token": [credentials.access_token],
        "subject_token_type": [ACCESS_TOKEN_TYPE],
        "audience": [ORDERS],
    }
    before = SessionEvent.objects.count()
    _, asked = all_statements(lambda: exchange_token(shop, form))
    assert kinds(asked) == ["SELECT", "SELECT"]
    assert SessionEvent.objects.count() == before
