"""authx.issuer.client_registration and client_ending: what is saved as a client, and how it is disabled."""

from datetime import timedelta

import pytest
from django.core.management import call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext

from authx.core.actor import Actor
from authx.core.oauth_client import TOKEN_EXCHANGE
from authx.errors import SessionEnded
from authx.issuer import create_client, disable_client, facts_of, renew_secret, update_client
from authx.models import DeviceSession, RevocationLogEntry, ServiceClient, SessionEvent
from authx.sessions import open_session
from authx.sessions.client_sessions import open_service_session
from authx.sessions.credentials import credentials_for
from authx.sessions.lookup import find_by_sid
from tests.clients import create_service, open_granted_session

API, OTHER = "https://api.example/", "https://other.example/"
CALLBACK = "https://app.example/done"

pytestmark = pytest.mark.django_db


def test_nothing_is_given_that_is_not_asked_for():
    client, secret = create_client("orders")
    assert secret
    facts = facts_of(client)
    assert (facts.audience, facts.may_call, facts.grant_types, facts.scope) == ("", (), (), ())
    assert (facts.trusted, facts.may_manage_sessions) == (False, False)


def test_what_has_resources_and_no_users_gets_tokens_of_its_own():
    client, _ = create_client("cron", resources=[API], scope="a")
    assert client.grant_types == ["client_credentials"]
    public, _ = create_client("nobody", auth_method="none")
    assert public.grant_types is None


def test_an_app_gets_the_grants_that_it_can_use():
    client, secret = create_client("Reader", redirect_uris=[CALLBACK], resources=[API], scope=["a", "b", "a"])
    assert client.grant_types == ["authorization_code", "refresh_token"]
    assert client.scope == "a b"
    assert secret


def test_one_client_may_use_all_grants():
    """django-oauth-toolkit#69: one client, code and exchange and client_credentials."""
    create_client("stock", audience=OTHER)
    client, _ = create_client(
        "all", redirect_uris=[CALLBACK], resources=[API], audience=API, may_call=[OTHER], scope="a"
    )
    assert client.grant_types == ["authorization_code", "refresh_token", "client_credentials", TOKEN_EXCHANGE]


def test_what_is_asked_for_is_what_it_gets():
    client, _ = create_client(
        "x", redirect_uris=CALLBACK, resources=[API], grant_types=["authorization_code", "token_exchange"]
    )
    assert client.redirect_uris == [CALLBACK]  # a text alone is one
    assert client.grant_types == ["authorization_code", TOKEN_EXCHANGE]


def test_a_service_of_the_site_can_do_what_it_always_could():
    service, secret = create_service("orders")
    assert (service.audience, service.may_manage_sessions, bool(secret)) == ("authx", True, True)


BAD = {
    "name": [{"name": " "}, {"name": ""}, {"name": "x" * 101}],
    "auth_method": [{"auth_method": "tls"}],
    "redirect_uris": [
        {"redirect_uris": ["http://app.example/"], "resources": [API]},
        {"redirect_uris": ["javascript:alert(1)"], "resources": [API]},
        {"redirect_uris": [CALLBACK + "#x"], "resources": [API]},
        {"redirect_uris": [7]},
        {"redirect_uris": [f"{CALLBACK}{number}" for number in range(51)]},
        {"grant_types": ["authorization_code"], "resources": [API]},
    ],
    "grant_types": [
        {"grant_types": ["password"]},
        {"grant_types": ["client_credentials"], "auth_method": "none"},
        {"grant_types": ["refresh_token"]},
    ],
    "scope": [{"scope": 'a"'}, {"scope": ["a", "é"]}, {"scope": "x" * 1001}],
    "resources": [
        {"redirect_uris": [CALLBACK]},
        {"resources": ["orders"]},
        {"resources": ["authx"]},
        {"resources": [None]},
    ],
    "audience": [{"audience": "a\nb"}, {"audience": "a\0b"}, {"audience": "x" * 256}, {"audience": OTHER}],
    "may_call": [
        {"may_call": ["nobody"]},
        {"may_call": ["a\0"]},
        {"may_call": ["\ud800"]},
        {"may_call": [7]},
        {"may_call": ["x" * 300]},
        {"may_call": ["authx"]},
    ],
    "origins": [
        {"origins": [origin]}
        for origin in (
            "app.example",
            "https://app.example/",
            "http://app.example",
            "https://A.example",
            "null",
            "*",
            "https://u@app.example",
            "https://app.example:443",
            "https://",
        )
    ],
    "jwks": [
        *(
            {"jwks": {"keys": [], "x": text}, "auth_method": "private_key_jwt"}
            for text in ("\0", "\ud800", "x" * 70_000, float("nan"))
        ),
        {"jwks": {"keys": []}, "auth_method": "private_key_jwt"},
        {"jwks": [], "auth_method": "private_key_jwt"},
        {"auth_method": "private_key_jwt"},
        {"jwks": {"keys": [{"kty": "oct", "kid": "a", "k": "AAAA"}]}, "auth_method": "private_key_jwt"},
        {"jwks": {"keys": [{}]}},
    ],
    "jwks_uri": [
        {"jwks_uri": uri, "auth_method": "private_key_jwt"}
        for uri in (
            "http://app.example/jwks",
            "file:///etc/passwd",
            "https://u:p@app.example/",
            "https://#x",
            "x",
            f"https://app.example/{'x' * 500}",
        )
    ]
    + [{"jwks_uri": "https://app.example/"}],
    "idle_lifetime": [
        {"idle_lifetime": timedelta(0)},
        {"idle_lifetime": timedelta(days=2), "session_lifetime": timedelta(days=1)},
    ],
    "session_lifetime": [{"session_lifetime": timedelta(-1)}],
}


@pytest.mark.parametrize(
    ("field", "given"), [(field, given) for field, cases in BAD.items() for given in cases]
)
def test_what_is_wrong_is_named_by_its_field(field, given):
    create_client("other", audience=OTHER)
    with pytest.raises(ValueError, match=rf"(^|\. ){field}: "):
        create_client(**{"name": "x", **given})
    assert ServiceClient.objects.count() == 1


@pytest.mark.parametrize(
    "uri",
    ["https://app.example:8443", "http://127.0.0.1:3000", "http://localhost:3000", "https://[2001:db8::1]"],
)
def test_an_origin_as_a_browser_sends_it(uri):
    assert create_client("x", origins=[uri])[0].origins == [uri]


def test_two_services_may_both_receive_the_sites_own_tokens():
    for name in ("first", "second"):
        create_client(name, audience="authx")


# --- changes


def test_a_change_is_judged_as_a_whole_and_saved_or_not_at_all():
    client, _ = create_client("Reader", redirect_uris=[CALLBACK], resources=[API])
    with pytest.raises(ValueError, match="resources: "):
        update_client(client, name="Other", resources=[])
    assert ServiceClient.objects.get().name == "Reader"
    changed = update_client(client, name="Other", scope="a  b", trusted=True)
    stored = ServiceClient.objects.get()
    assert (stored.name, stored.scope, stored.trusted) == ("Other", "a b", True)
    assert (stored.secret_hash, stored.client_id) == (client.secret_hash, client.client_id)
    assert changed.name == "Other"
    assert update_client(client, audience=OTHER).audience == OTHER  # its own is nobody else's


def test_what_a_client_is_known_by_cannot_be_changed():
    client, _ = create_client("x")
    for field in ("client_id", "secret_hash", "disabled_at", "nonsense"):
        with pytest.raises(TypeError, match=field):
            update_client(client, **{field: "x"})


def test_a_client_without_a_secret_gets_none():
    client, secret = create_client("Phone", auth_method="none", redirect_uris=[CALLBACK], resources=[API])
    assert secret is None
    with pytest.raises(ValueError, match="auth_method"):
        renew_secret(client)
    assert ServiceClient.objects.get().secret_hash == ""


# --- disabling (T6)


def app_with_sessions(login, count, name="Reader"):
    client, _ = create_client(name, redirect_uris=[CALLBACK], resources=[API])
    sessions = [
        open_granted_session(client, login, scope="", audience=[API], refreshable=True) for _ in range(count)
    ]
    return client, sessions


def test_disabling_ends_its_sessions_and_nobody_elses(ada, admin):
    login = open_session(ada).session
    client, sessions = app_with_sessions(login, 2)
    app_with_sessions(login, 1, "Other")
    own = open_service_session(client)
    assert disable_client(client, Actor(admin, "203.0.113.7")) == 3
    assert disable_client(client, admin) == 0
    ended = DeviceSession.objects.exclude(ended_at=None)
    assert {session.pk for session in ended} == {own.pk, *(session.pk for session in sessions)}
    assert {(row.end_reason, row.ended_by) for row in ended} == {("kicked", admin)}
    events = SessionEvent.objects.filter(kind="ended")
    assert {(row.outcome, row.actor, row.ip, row.note) for row in events} == {
        ("kicked", admin, "203.0.113.7", "Reader was disabled")
    }
    assert RevocationLogEntry.objects.count() == 3  # so that every service knows


def test_its_tokens_are_refused_at_the_next_request(ada):
    from authx.sessions.liveness import find_live

    client, (session,) = app_with_sessions(open_session(ada).session, 1)
    claims = credentials_for(session, generation=1, now=session.created_at).claims
    assert find_live(claims, delegated=True)
    disable_client(client)
    with pytest.raises(SessionEnded, match="kicked"):
        find_live(claims, delegated=True)


def test_it_takes_as_many_statements_for_many_sessions_as_for_few(ada):
    login = open_session(ada).session
    counts = []
    for number, name in ((2, "few"), (40, "many")):
        client, _ = app_with_sessions(login, number, name)
        with CaptureQueriesContext(connection) as queries:
            assert disable_client(client) == number
        counts.append(len(queries))
    assert counts[0] == counts[1] < 15


def test_what_was_interrupted_is_finished(ada, monkeypatch):
    from authx.issuer import client_ending

    client, sessions = app_with_sessions(open_session(ada).session, 2)

    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(client_ending, "end_together", interrupted)
        with pytest.raises(KeyboardInterrupt):
            disable_client(client)
    assert ServiceClient.objects.get().disabled_at is not None
    assert find_by_sid(sessions[0].pk, client_id=client.client_id).session.ended_at is None
    call_command("authx_prune")
    assert {row.end_reason for row in DeviceSession.objects.filter(client_id=client.client_id)} == {"kicked"}


def test_who_takes_the_id_of_another_for_an_audience_is_not_called_in_its_place():
    stock, _ = create_client("Stock", audience="https://stock.example/")
    shop, _ = create_client("Shop", scope="a", may_call=["https://stock.example/"])
    assert shop.may_call == [stock.client_id]
    create_client("Impostor", audience=stock.client_id)
    assert update_client(shop, name="The shop").may_call == [stock.client_id]
    assert update_client(shop, may_call=[stock.client_id]).may_call == [stock.client_id]
