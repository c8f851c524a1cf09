"""authx.sessions.exchanging: a service calls another for the same user, with less (E1 to E16)."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from django.core.cache import cache
from django.db import transaction

from authx.conf import conf
from authx.core.access_token import write_access_token
from authx.core.oauth_client import ACCESS_TOKEN_TYPE, JWT_TYPE
from authx.errors import OAuthError, SessionEnded, StoreUnavailable
from authx.gate.keys import keyring
from authx.gate.verify import ensure_live, read_claims
from authx.models import ServiceClient, SessionEvent
from authx.sessions import end_everyone, end_session, end_user_sessions, open_session
from authx.sessions.exchanging import exchange_token
from authx.sessions.liveness import find_live
from authx.sessions.service_tokens import service_token
from authx.store.after_transaction import run_pending
from tests.faults_in_database import outage
from tests.granted import ACTOR, ID_TOKEN_TYPE, REFRESH_TOKEN_TYPE, code_of, make_client, make_service, redeem
from tests.rows import disable

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 3, 1, 12, 0, 0, 250_000, tzinfo=UTC)
SHOP, ORDERS, STOCK = (f"https://{name}.example/" for name in ("shop", "orders", "stock"))


@pytest.fixture
def services(settings):
    """The site's own logins are for the shop too; it may call orders, and orders may call stock."""
    settings.AUTHX_AUDIENCE = ["authx", SHOP]
    settings.AUTHX_SCOPES = {"orders:read": "See your orders", "orders:write": "Order"}
    calls = {"shop": ["orders", "stock"], "orders": ["stock"], "stock": []}
    return {name: make_service(name, may_call=may_call) for name, may_call in calls.items()}


@pytest.fixture
def shop(services):
    return services["shop"]


@pytest.fixture
def login(services, ada):
    return open_session(ada, now=NOW)


@pytest.fixture
def app(services, login):
    """The tokens of an app that the user has allowed to read orders at the shop."""
    client = make_client(resources=[SHOP])
    code = code_of(client, login.session, now=NOW, scope=("orders:read",), resources=(SHOP,))
    return redeem(client, code, now=NOW)


def form(token, **parameters):
    values = {"subject_token": token, "subject_token_type": ACCESS_TOKEN_TYPE, "audience": ORDERS}
    values |= parameters
    return {name: value if isinstance(value, list) else [value] for name, value in values.items()}


def exchange(client, token, now=NOW, **parameters):
    return exchange_token(client, form(token, **parameters), actor=ACTOR, now=now)


def refused(client, token, **parameters):
    """The rule and the word of a refusal, which the newest event tells, too."""
    cache.clear()  # where the same refusal is known to be recorded already
    with pytest.raises(OAuthError) as found:
        exchange(client, token, **parameters)
    event = SessionEvent.objects.filter(kind="grant_refused").last()
    assert (event.outcome, event.client_id, event.actor) == (found.value.rule, client.client_id, None)
    assert event.note == found.value.description[:255]
    return found.value.rule, found.value.error


# What it gives


@pytest.mark.parametrize("kind", ["a login", "an app"])
def test_the_new_token_is_the_users_and_has_less(shop, login, app, kind):
    subject = login if kind == "a login" else app
    claims, token = exchange(shop, subject.access_token)
    old = subject.claims
    assert read_claims(token, audience=[ORDERS], delegated=True, now=NOW) == claims
    for name in ("sub", "sid", "auth_time", "amr", "era", "opaque", "db"):
        assert getattr(claims, name) == getattr(old, name), name
    assert (claims.client_id, claims.gty, claims.gen) == ("shop", "token_exchange", None)
    assert claims.act == {"sub": "client:shop"}
    assert claims.scope == ("orders:read orders:write" if kind == "a login" else "orders:read")
    assert (claims.roles, dict(claims.extra), claims.aud) == ((), {}, (ORDERS,))
    assert claims.expires_in == 300
    assert not SessionEvent.objects.filter(kind="grant_refused").exists()


def test_it_ends_with_its_subject_at_the_latest(shop, login):
    late = NOW + conf.ACCESS_TOKEN_LIFETIME - timedelta(seconds=20)
    assert exchange(shop, login.access_token, now=late)[0].exp == login.claims.exp


def test_an_exchanged_token_is_exchanged_on_and_rights_only_shrink(services, shop, app):
    _, token = exchange(shop, app.access_token)
    claims, last = exchange(services["orders"], token, audience=STOCK)
    assert claims.act == {"sub": "client:orders", "act": {"sub": "client:shop"}}
    assert (claims.scope, claims.aud, claims.client_id) == ("orders:read", (STOCK,), "orders")
    assert read_claims(last, audience=[STOCK], delegated=True, now=NOW).actors == (
        "client:orders",
        "client:shop",
    )
    assert refused(shop, token) == ("E5", "invalid_request")  # it is for orders alone


def test_of_five_hops_the_last_is_refused(services, login, settings):
    names = [f"hop-{number}" for number in range(6)]
    settings.AUTHX_AUDIENCE = ["authx", "https://hop-0.example/"]
    token = open_session(login.session.user, now=NOW).access_token
    hops = [make_service(name, may_call=[after]) for name, after in pairwise(names)]
    make_service(names[-1])
    for number, hop in enumerate(hops[:4]):
        _, token = exchange(hop, token, audience=f"https://hop-{number + 1}.example/")
    assert refused(hops[4], token, audience="https://hop-5.example/") == ("E10", "invalid_request")


# Each rule


@pytest.mark.parametrize("columns", [{"grant_types": ["client_credentials"]}, {"auth_method": "none"}])
def test_e1_a_client_that_may_not(shop, login, columns):
    for name, value in columns.items():
        setattr(shop, name, value)
    assert refused(shop, login.access_token) == ("E1", "unauthorized_client")


@pytest.mark.parametrize("name", ["subject_token", "subject_token_type"])
@pytest.mark.parametrize("value", [[], [""], ["a", "b"], ["\x00"]])
def test_e2_the_subject_is_there_once(shop, login, name, value):
    rule, error = refused(shop, login.access_token, **{name: value})
    assert (rule if name == "subject_token" else rule[:1], error) == (
        "E2" if name == "subject_token" else "E",
        "invalid_request",
    )


def test_e3_the_subject_is_an_access_token_of_ours(shop, login):
    for kind in (REFRESH_TOKEN_TYPE, ID_TOKEN_TYPE, "access_token"):
        assert refused(shop, login.access_token, subject_token_type=kind) == ("E3", "invalid_request")
    assert exchange(shop, login.access_token, subject_token_type=JWT_TYPE)
    foreign = write_access_token(replace(login.claims, iss="https://other.example"), signing())
    header, payload, signature = login.access_token.split(".")
    forged = f"{header}.{payload}.{signature[::-1]}"
    for token in (login.refresh_token, "nonsense", foreign, forged, "x" * 100_000):
        assert refused(shop, token)[0] in {"E3", "E2"}


def signing():
    return keyring.keyset().signing


def test_e3_it_has_not_expired_not_even_within_the_leeway(shop, login):
    end = login.claims.expires_at
    assert exchange(shop, login.access_token, now=end - timedelta(seconds=1))
    assert refused(shop, login.access_token, now=end) == ("E3", "invalid_request")


def test_e3_a_token_that_lies_about_its_session_is_no_good(shop, login, app):
    for claims in (
        replace(app.claims, gty=None),
        replace(login.claims, gty="authorization_code"),
        replace(login.claims, sub="another"),
        replace(login.claims, sid="no-uuid"),
    ):
        token = write_access_token(claims, signing())
        assert refused(shop, token) == ("E3", "invalid_request")


def change_password(user):
    user.set_password("another-password")
    user.save()


E4 = {
    "kicked": lambda login: end_session(login.session, "kicked", now=NOW),
    "kicked everywhere": lambda login: end_user_sessions(login.session.user, "kicked"),
    "everybody": lambda login: end_everyone("kicked"),
    "disabled": lambda login: disable(login.session.user),
    "deleted": lambda login: login.session.user.delete(),
    "password": lambda login: change_password(login.session.user),
}


@pytest.mark.parametrize("lag", [0, 10])
@pytest.mark.parametrize("end", E4.values(), ids=E4)
def test_e4_its_session_is_live_now(shop, login, end, lag, settings):
    settings.AUTHX_REVOCATION_LAG = timedelta(seconds=lag)
    end(login)
    assert refused(shop, login.access_token, now=NOW + timedelta(seconds=1)) == ("E4", "invalid_request")
    assert SessionEvent.objects.get(kind="grant_refused").session == login.session


@pytest.mark.django_db(transaction=True)
def test_e4_what_cannot_be_known_is_no_answer(shop, login):
    with outage(), pytest.raises(StoreUnavailable):
        exchange(shop, login.access_token)
    assert not SessionEvent.objects.filter(kind="grant_refused").exists()


def test_e4_a_session_that_was_pruned_is_none(shop, login):
    claims = replace(login.claims, sid="018f0000-0000-7000-8000-000000000000")
    token = write_access_token(claims, signing())
    assert refused(shop, token) == ("E4", "invalid_request")


def test_e4_the_subjects_client_is_enabled(shop, app):
    ServiceClient.objects.filter(client_id="app-1").update(disabled_at=NOW)
    assert refused(shop, app.access_token) == ("E4", "invalid_request")
    ServiceClient.objects.filter(client_id="app-1").delete()
    assert refused(shop, app.access_token, audience=STOCK) == ("E4", "invalid_request")


def test_e5_the_requester_is_addressed(services, login):
    assert refused(services["orders"], login.access_token, audience=STOCK) == ("E5", "invalid_request")


def test_e6_all_targets_may_be_called(shop, services, login):
    make_service("loner")
    for audience in ("https://loner.example/", "https://nobody.example/", "orders", "authx", SHOP, []):
        assert refused(shop, login.access_token, audience=audience) == ("E6", "invalid_target")
    both = [ORDERS, "https://loner.example/"]
    assert refused(shop, login.access_token, audience=both) == ("E6", "invalid_target")
    assert exchange(shop, login.access_token, audience=[ORDERS, STOCK])[0].aud == (ORDERS, STOCK)
    by_uri = exchange(shop, login.access_token, audience=[], resource=ORDERS)[0]
    assert by_uri.aud == (ORDERS,)


def test_e6_a_disabled_target_is_none(shop, services, login):
    ServiceClient.objects.filter(client_id="orders").update(disabled_at=NOW)
    assert refused(shop, login.access_token) == ("E6", "invalid_target")


def test_e6_never_the_site_itself_whoever_is_registered_so(shop, login):
    make_service("evil", audience="authx")
    shop.may_call = ["evil"]
    assert refused(shop, login.access_token, audience="authx") == ("E6", "invalid_target")


def test_e7_scope_is_what_both_may(shop, login, app):
    assert exchange(shop, login.access_token, scope="orders:write")[0].scope == "orders:write"
    assert refused(shop, login.access_token, scope="admin") == ("E7", "invalid_scope")
    assert refused(shop, app.access_token, scope="orders:write") == ("E7", "invalid_scope")
    shop.scope = "other"
    assert refused(shop, app.access_token) == ("E7", "invalid_scope")


@pytest.mark.parametrize("party", [{"sub": "client:orders"}, {"sub": "client:shop", "iss": "other"}])
def test_e11_may_act_is_heeded(shop, login, party):
    token = write_access_token(replace(login.claims, extra={"may_act": party}), signing())
    assert refused(shop, token) == ("E11", "invalid_request")


def test_e11_and_kept(shop, login):
    party = {"sub": "client:shop"}
    token = write_access_token(replace(login.claims, extra={"may_act": party}), signing())
    assert dict(exchange(shop, token)[0].extra) == {"may_act": party}


@pytest.mark.parametrize("name", ["actor_token", "actor_token_type", "requested_subject"])
def test_e12_nobody_else_acts(shop, login, name):
    assert refused(shop, login.access_token, **{name: "x"}) == ("E12", "invalid_request")


def test_e13_access_tokens_alone_are_made(shop, login):
    assert refused(shop, login.access_token, requested_token_type=REFRESH_TOKEN_TYPE) == (
        "E13",
        "invalid_request",
    )
    assert refused(shop, login.access_token, scope="offline_access") == ("E13", "invalid_request")
    assert exchange(shop, login.access_token, requested_token_type=JWT_TYPE)


def test_e14_a_bound_subject_is_refused(shop, login):
    token = write_access_token(replace(login.claims, extra={"cnf": {"jkt": "x"}}), signing())
    assert refused(shop, token) == ("E14", "invalid_request")


def test_a_clients_own_token_as_subject(services, shop):
    """The shop's own, for orders: orders may go on with it, for the shop and for no user; the shop not."""
    claims, token = service_token(shop, audience=[ORDERS], scope=None, now=NOW)
    assert refused(shop, token) == ("E5", "invalid_request")
    further, _ = exchange(services["orders"], token, audience=STOCK)
    assert (further.sub, further.sid) == ("client:shop", claims.sid)
    ServiceClient.objects.filter(client_id="shop").update(disabled_at=NOW)
    assert refused(services["orders"], token, audience=STOCK) == ("E4", "invalid_request")


# Its life


def test_a_kick_ends_what_was_exchanged_before(shop, login):
    claims, _ = exchange(shop, login.access_token)
    assert find_live(claims, delegated=True, now=NOW)
    end_session(login.session, "kicked", now=NOW)
    for look in (ensure_live, lambda claims, now: find_live(claims, delegated=True, now=now)):
        with pytest.raises(SessionEnded):
            look(claims, now=NOW)


# Events


def test_the_same_refusal_is_recorded_once_a_minute(shop, login):
    for scope, count in (("admin", 1), ("admin", 1), ("staff", 1)):
        with pytest.raises(OAuthError):
            exchange(shop, login.access_token, scope=scope)
        assert SessionEvent.objects.filter(kind="grant_refused").count() == count
    with pytest.raises(OAuthError):
        exchange(shop, login.access_token, audience="https://nobody.example/")  # by another rule
    assert SessionEvent.objects.filter(kind="grant_refused").count() == 2


@pytest.mark.django_db(transaction=True)
def test_a_refusal_is_recorded_although_the_request_is_rolled_back(shop, login):
    with pytest.raises(OAuthError), transaction.atomic():
        exchange(shop, login.access_token, scope="admin")
    run_pending()
    event = SessionEvent.objects.get(kind="grant_refused")
    assert (event.outcome, event.session, event.client_id) == ("E7", login.session, "shop")
