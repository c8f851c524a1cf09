"""authx.sessions.service_tokens: a client acts for itself, in one session (T5, §3 of the design)."""

from datetime import UTC, datetime, timedelta

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import transaction

from authx.errors import OAuthError, SessionEnded
from authx.gate.verify import ensure_live, read_claims
from authx.models import DeviceSession, ServiceClient, SessionEvent
from authx.sessions import end_everyone, end_session
from authx.sessions.service_tokens import service_token
from tests.granted import ACTOR, API, OTHER, make_client, make_service

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 3, 1, 12, 0, 0, 250_000, tzinfo=UTC)
ORDERS, STOCK = "https://orders.example/", "https://stock.example/"


@pytest.fixture
def orders():
    return make_service("orders")


@pytest.fixture
def stock():
    return make_service("stock")


@pytest.fixture
def shop(orders, stock):
    return make_service("shop", may_call=["orders", "stock"])


def ask(client, audience=(ORDERS,), scope=None, now=NOW):
    return service_token(client, audience=audience, scope=scope, actor=ACTOR, now=now)


def refused(client, *args, **parts):
    with pytest.raises(OAuthError) as error:
        ask(client, *args, **parts)
    return error.value.error


def test_it_is_the_clients_own(shop):
    claims, token = ask(shop)
    assert read_claims(token, audience=[ORDERS], delegated=True, now=NOW) == claims
    assert (claims.sub, claims.client_id, claims.gty) == ("client:shop", "shop", "client_credentials")
    assert (claims.aud, claims.scope, claims.gen) == ((ORDERS,), "orders:read orders:write", None)
    assert (claims.expires_in, claims.roles, claims.act) == (300, (), None)
    session = DeviceSession.objects.get()
    assert (claims.sid, session.device_type, session.user) == (str(session.pk), "service", None)
    event = SessionEvent.objects.get()
    assert (event.kind, event.client_id, event.ip) == ("opened", "shop", ACTOR.ip)
    assert ensure_live(claims, now=NOW).reason is None


def test_its_session_is_opened_once(shop, orders):
    sids = {ask(shop, now=NOW + timedelta(days=days))[0].sid for days in (0, 1, 29)}
    assert len(sids) == 1
    assert SessionEvent.objects.count() == 1
    other = make_service("other", may_call=["orders"])
    assert ask(other)[0].sid not in sids


@pytest.mark.parametrize("lifetime", [timedelta(seconds=30), timedelta(minutes=10)])
def test_it_is_short(shop, settings, lifetime):
    settings.AUTHX_SERVICE_TOKEN_LIFETIME = lifetime
    assert ask(shop)[0].expires_in == lifetime.total_seconds()
    settings.AUTHX_ACCESS_TOKEN_LIFETIME = timedelta(seconds=20)
    assert ask(shop)[0].expires_in == 20


def test_it_never_outlives_its_session(shop):
    ask(shop)
    last = NOW + timedelta(days=30) - timedelta(seconds=100)
    claims, _ = ask(shop, now=last)
    assert claims.exp == int((NOW + timedelta(days=30)).timestamp())


# The end of its session


def test_after_a_kick_the_next_call_opens_another(shop):
    first, _ = ask(shop)
    end_session(DeviceSession.objects.get(), "kicked", now=NOW)
    with pytest.raises(SessionEnded):
        ensure_live(first, now=NOW)
    second, _ = ask(shop)
    assert second.sid != first.sid
    assert ensure_live(second, now=NOW)
    assert ask(shop)[0].sid == second.sid


def test_so_it_does_after_everybody_was_kicked(shop):
    first, _ = ask(shop, now=None)
    end_everyone("kicked")
    with pytest.raises(SessionEnded):
        ensure_live(first)
    second, _ = ask(shop, now=None)
    assert ensure_live(second)
    assert ask(shop, now=None)[0].sid == second.sid


def test_and_past_its_absolute_life(shop):
    shop.session_lifetime = timedelta(days=2)
    first, _ = ask(shop)
    assert ask(shop, now=NOW + timedelta(days=2) - timedelta(seconds=1))[0].sid == first.sid
    assert ask(shop, now=NOW + timedelta(days=2))[0].sid != first.sid


def test_a_disabled_client_opens_none(shop):
    ServiceClient.objects.filter(pk=shop.pk).update(disabled_at=NOW)  # after it was authenticated
    assert refused(shop) == "invalid_client"
    assert not DeviceSession.objects.exists()


# For whom, and for what


def test_it_may_be_for_several(shop):
    assert ask(shop, [STOCK, ORDERS, STOCK])[0].aud == (STOCK, ORDERS)


def test_it_may_be_for_one_given_as_a_text(shop):
    assert ask(shop, STOCK)[0].aud == (STOCK,)


def test_it_may_be_for_resources_of_its_own(orders):
    client = make_service("own", resources=[API], may_call=["orders"])
    assert ask(client, [API, ORDERS])[0].aud == (API, ORDERS)
    assert ask(client, ())[0].aud == (API,)
    client.resources = [API, OTHER]
    assert refused(client, ()) == "invalid_target"


@pytest.mark.parametrize("opened", [False, True], ids=["the first call", "a later one"])
@pytest.mark.parametrize(
    "audience",
    [
        *(
            (),
            ("",),
            ("orders",),
            ("authx",),
            ("https://third.example/",),
            (ORDERS, "https://third.example/"),
        ),
        *(("https://ORDERS.example/",), ("https://loner.example/",), ("https://shop.example/",)),
    ],
)
def test_it_is_for_nobody_else(shop, audience, opened):
    make_service("loner")
    if opened:
        ask(shop)
    assert refused(shop, audience) == "invalid_target"
    assert DeviceSession.objects.count() == opened


@pytest.mark.parametrize("opened", [False, True])
def test_not_for_a_disabled_service(shop, orders, opened):
    if opened:
        ask(shop)
    ServiceClient.objects.filter(pk=orders.pk).update(disabled_at=NOW)
    assert refused(shop) == "invalid_target"
    assert refused(shop, [STOCK, ORDERS]) == "invalid_target"
    assert ask(shop, [STOCK])


def test_not_for_the_site_even_where_a_client_is_registered_so(shop):
    make_service("evil", audience="authx")
    shop.may_call = ["evil"]
    assert refused(shop, ["authx"]) == "invalid_target"
    shop.resources = ["authx"]
    assert refused(shop, ["authx"]) == "invalid_target"


def test_scope_only_narrows(shop):
    assert ask(shop, scope="orders:write")[0].scope == "orders:write"
    for wrong in ("admin", "orders:read admin", " ", "offline_access"):
        assert refused(shop, scope=wrong) == "invalid_scope"
    shop.scope = "offline_access orders:read"
    assert ask(shop)[0].scope == "orders:read"
    shop.scope = ""
    assert ask(shop)[0].scope is None


def test_without_the_grant_there_is_none(shop):
    for grants in (None, [], ["authorization_code"]):
        shop.grant_types = grants
        assert refused(shop) == "unauthorized_client"


def test_a_public_client_cannot_act_for_itself(orders):
    client = make_client(auth_method="none", grant_types=["client_credentials"], may_call=["orders"])
    assert refused(client) == "unauthorized_client"


def test_the_site_may_add_claims(shop, settings):
    settings.AUTHX_GRANT_CLAIMS = f"{__name__}.tier"
    assert dict(ask(shop)[0].extra) == {"tier": "shop"}
    settings.AUTHX_GRANT_CLAIMS = f"{__name__}.too_much"
    with pytest.raises(ImproperlyConfigured, match="AUTHX_GRANT_CLAIMS returns sub"):
        ask(shop)


def tier(session, client):
    return {"tier": client.client_id}


def too_much(session, client):
    return {"sub": "1"}


@pytest.mark.django_db(transaction=True)
def test_none_is_handed_out_inside_a_transaction(shop):
    with transaction.atomic(), pytest.raises(RuntimeError, match="transaction"):
        ask(shop)
