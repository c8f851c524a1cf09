"""authx.sessions.refreshing_clients: a client's session is refreshed by its own client alone (T4, T6)."""

from datetime import timedelta

import pytest
from django.contrib.auth import get_user_model

from authx.conf import conf
from authx.errors import OAuthError
from authx.gate.verify import read_claims
from authx.models import DeviceSession, SessionEvent
from authx.sessions import end_session, open_session, refresh_session
from authx.sessions.refreshing_clients import refresh_for_client
from tests.branches import another_branch, generation_of
from tests.granted import ACTOR, API, OTHER, code_of, granted, make_client, redeem
from tests.rows import row

pytestmark = pytest.mark.django_db

GRACE = timedelta(seconds=31)


@pytest.fixture
def client():
    return make_client()


@pytest.fixture
def login(ada):
    return open_session(ada).session


@pytest.fixture
def credentials(client, login):
    return granted(client, login)


def refresh(client, token, **parts):
    return refresh_for_client(client, token, actor=ACTOR, **parts)


def refused(client, token, **parts):
    with pytest.raises(OAuthError) as error:
        refresh(client, token, **parts)
    return error.value.error


def later(credentials, seconds=31):
    return credentials.session.rotated_at + timedelta(seconds=seconds)


def test_it_rotates_as_every_session_does(client, credentials):
    at = later(credentials)
    new = refresh(client, credentials.refresh_token, now=at)
    assert generation_of(new.refresh_token) == 2
    claims = read_claims(new.access_token, audience=[API], delegated=True, now=at)
    assert (claims.gen, claims.scope, claims.aud) == (2, "orders:read orders:write", (API, OTHER))
    assert (claims.gty, claims.client_id, claims.sid) == ("authorization_code", "app-1", str(new.session.pk))
    event = SessionEvent.objects.get(kind="refreshed")
    assert (event.client_id, event.actor, event.ip) == ("app-1", None, ACTOR.ip)


def test_within_the_grace_it_keeps_its_token(client, credentials):
    again = refresh(client, credentials.refresh_token)
    assert again.refresh_token == credentials.refresh_token
    assert again.access_token != credentials.access_token


def test_nobody_else_refreshes_it(client, credentials, login):
    other = make_client("app-2")
    own = open_session(login.user)
    assert refused(other, credentials.refresh_token) == "invalid_grant"
    assert refused(client, own.refresh_token) == "invalid_grant"  # no client has a login's
    for nonsense in ("", "nonsense", "\x00", "x" * 10_000):
        assert refused(client, nonsense) == "invalid_grant"
    assert (row(credentials.session).generation, row(credentials.session).ended_at) == (1, None)
    assert refresh_session(own.refresh_token)


def test_a_client_without_the_grant_refreshes_nothing(client, credentials):
    client.grant_types = ["authorization_code"]
    assert refused(client, credentials.refresh_token) == "unauthorized_client"


# Scope and resources


def test_scope_and_resources_narrow_this_access_token_alone(client, credentials):
    at = later(credentials)
    new = refresh(client, credentials.refresh_token, scope="orders:read", resources=[OTHER], now=at)
    assert (new.claims.scope, new.claims.aud) == ("orders:read", (OTHER,))
    assert row(new.session).scope == "orders:read orders:write"
    full = refresh(client, new.refresh_token, now=at + GRACE)
    assert (full.claims.scope, full.claims.aud) == ("orders:read orders:write", (API, OTHER))


WIDER = {
    "a scope": ({"scope": "orders:read admin"}, "invalid_scope"),
    "no scope": ({"scope": " "}, "invalid_scope"),
    "a resource": ({"resources": ["https://third.example/"]}, "invalid_target"),
    "no URI": ({"resources": ["third"]}, "invalid_target"),
}


@pytest.mark.parametrize(("parts", "error"), WIDER.values(), ids=WIDER)
def test_neither_widens_and_nothing_is_spent(client, credentials, parts, error):
    at = later(credentials)
    assert refused(client, credentials.refresh_token, now=at, **parts) == error
    assert row(credentials.session).generation == 1
    assert refresh(client, credentials.refresh_token, now=at)


def test_what_was_granted_is_the_limit_not_what_the_client_may(client, login):
    code = code_of(client, login, scope=("orders:read",), resources=(API,))
    credentials = redeem(client, code)
    assert refused(client, credentials.refresh_token, scope="orders:write") == "invalid_scope"
    assert refused(client, credentials.refresh_token, resources=[OTHER]) == "invalid_target"


def test_what_the_client_has_lost_it_does_not_get_again(client, credentials):
    client.scope, client.resources = "orders:write", [API]
    claims = refresh(client, credentials.refresh_token).claims
    assert (claims.scope, claims.aud) == ("orders:write", (API,))
    client.scope = ""
    assert refused(client, credentials.refresh_token) == "invalid_scope"
    client.scope, client.resources = "orders:read", None
    assert refused(client, credentials.refresh_token) == "invalid_target"


def test_but_a_twin_is_noted_where_it_asks_for_too_much(client, credentials):
    """What shows a theft is not lost with an answer that cannot be made."""
    copied = another_branch(credentials)
    at = later(credentials)
    refresh(client, credentials.refresh_token, now=at)
    assert refused(client, copied, scope="admin", now=at) == "invalid_scope"
    assert SessionEvent.objects.filter(kind="copied").count() == 1


# Lifetimes


def test_it_is_idle_as_its_client_says(login):
    client = make_client("app-2", idle_lifetime=timedelta(hours=2))
    credentials = granted(client, login)
    at = later(credentials)
    new = refresh(client, credentials.refresh_token, now=at)
    assert row(new.session).idle_expires_at == at + timedelta(hours=2) + conf.ACCESS_TOKEN_LIFETIME
    idle = row(new.session).idle_expires_at
    assert refused(client, new.refresh_token, now=idle) == "invalid_grant"
    assert row(new.session).end_reason == "idle"


# Spent tokens


def test_a_late_replay_is_refused_and_the_session_lives(client, credentials):
    """T5, which has no 409 here (RFC 6749 §5.2)."""
    first, at = credentials.refresh_token, later(credentials)
    second = refresh(client, first, now=at).refresh_token
    third = refresh(client, second, now=at + GRACE).refresh_token
    refresh(client, third, now=at + GRACE)  # confirms it
    assert refused(client, second, now=at + 2 * GRACE) == "invalid_grant"
    assert row(credentials.session).ended_at is None
    assert refresh(client, third, now=at + 2 * GRACE)


def test_a_token_of_long_ago_ends_it(client, credentials):
    first, at = credentials.refresh_token, later(credentials)
    second = refresh(client, first, now=at).refresh_token
    third = refresh(client, second, now=at + GRACE).refresh_token
    assert refused(client, first, now=at + GRACE) == "invalid_grant"
    ended = row(credentials.session)
    assert (ended.end_reason, refused(client, third, now=at + GRACE)) == ("reused", "invalid_grant")
    event = SessionEvent.objects.get(kind="ended")
    assert (event.outcome, event.note, event.client_id, event.actor) == ("reused", "T7", "app-1", None)


def test_where_it_calls_from_raises_no_alarm(client, credentials, settings):
    """G4: the address of a server says nothing about its user."""
    settings.AUTHX_COUNTRY = f"{__name__}.country"
    settings.AUTHX_ALARMS = {"new_country": "end", "split_context": "end"}
    DeviceSession.objects.update(country="FR", user_agent="Mozilla/5.0 (Android) Firefox/130")
    assert refresh(client, credentials.refresh_token, now=later(credentials))
    assert not SessionEvent.objects.filter(kind="flagged").exists()


def country(ip):
    return "NL"


# Ends


def test_after_a_kick_it_is_not_refreshed(client, credentials):
    end_session(credentials.session, "kicked")
    assert refused(client, credentials.refresh_token) == "invalid_grant"


@pytest.mark.parametrize("how", ["disabled", "password"])
def test_the_end_of_its_user_is_its_end(client, credentials, login, how):
    user = login.user
    user.set_password("another-password")
    new = {"is_active": False} if how == "disabled" else {"password": user.password}
    get_user_model()._default_manager.filter(pk=user.pk).update(**new)
    assert refused(client, credentials.refresh_token) == "invalid_grant"
    expected = {"disabled": "user_disabled", "password": "password_changed"}
    assert row(credentials.session).end_reason == expected[how]


def test_where_the_sites_claims_fail_nothing_is_spent(client, credentials, settings):
    settings.AUTHX_GRANT_CLAIMS = f"{__name__}.broken"
    with pytest.raises(LookupError):
        refresh(client, credentials.refresh_token, now=later(credentials))
    assert row(credentials.session).generation == 1
    settings.AUTHX_GRANT_CLAIMS = f"{__name__}.plan"
    new = refresh(client, credentials.refresh_token, now=later(credentials))
    assert dict(new.claims.extra) == {"plan": "Reader"}


def broken(session, client):
    raise LookupError("no tenant")


def plan(session, client):
    return {"plan": client.name}
