"""authx.sessions.client_sessions: a client's session is nobody's login."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http import HTTPStatus

import pytest
from django.contrib.auth import get_user_model
from django.db import transaction
from django.test import Client

from authx.conf import conf
from authx.core.access_token import write_access_token
from authx.errors import LoginRefused, RefreshMalformed, SessionEnded, TokenMalformed, TokenNotForUs
from authx.gate import verify_access_token
from authx.gate.keys import keyring
from authx.gate.verify import read_claims
from authx.models import DeviceSession, ServiceClient, SessionEvent
from authx.sessions import end_session, open_session, recognize, refresh_session
from authx.sessions.authentication import admit, admit_exactly
from authx.sessions.client_sessions import idle_period_of, open_service_session
from authx.sessions.credentials import credentials_for
from authx.sessions.liveness import end_of, find_live
from authx.sessions.lookup import find_by_sid
from tests.clients import open_granted_session

START = datetime(2026, 3, 1, 12, 0, 0, 250_000, tzinfo=UTC)
API = "https://api.example/"

pytestmark = pytest.mark.django_db


@pytest.fixture
def client():
    return ServiceClient.objects.create(client_id="app-1", name="Reader", created_at=START)


def granted(client, login, audience=(API,), now=None, *, refreshable=True):
    with transaction.atomic():
        session = open_granted_session(
            client, login, scope="orders:read", audience=audience, refreshable=refreshable, now=now
        )
    return credentials_for(session, generation=1, now=now or session.created_at)


@pytest.fixture
def login(ada):
    return open_session(ada).session


# G1, G2: for whom the token is, and whose session it is, each refuse it alone


def test_a_clients_token_is_not_for_the_site(client, login):
    credentials = granted(client, login)
    with pytest.raises(TokenNotForUs):
        recognize(credentials.access_token)
    with pytest.raises(TokenNotForUs):
        verify_access_token(credentials.access_token)


LOOKUPS = {
    "recognize": recognize,
    "verify": verify_access_token,
    "read": read_claims,
}


@pytest.mark.parametrize("take", LOOKUPS.values(), ids=LOOKUPS)
@pytest.mark.parametrize("lag", [0, 1])
def test_a_clients_token_is_nobodys_login_even_where_it_is_for_the_site(take, lag, client, login, settings):
    settings.AUTHX_REVOCATION_LAG = timedelta(seconds=lag)
    credentials = granted(client, login, audience=["authx"])
    with pytest.raises(TokenMalformed, match="client's"):
        take(credentials.access_token)


@pytest.mark.parametrize("take", [find_live, admit, admit_exactly])
def test_claims_of_a_client_are_nobodys_login(take, client, login):
    credentials = granted(client, login, audience=["authx"])
    with pytest.raises(TokenMalformed, match="client's"):
        take(credentials.claims)
    assert take(credentials.claims, delegated=True) is not None


@pytest.mark.parametrize("take", [find_live, admit, admit_exactly])
def test_a_login_is_no_clients_token(take, login):
    credentials = credentials_for(login, generation=1, now=login.created_at)
    with pytest.raises(TokenMalformed, match="no client's"):
        take(credentials.claims, delegated=True)
    assert take(credentials.claims) is not None


@pytest.mark.parametrize("gty", [None, "authorization_code"])
def test_claims_that_lie_about_whose_session_it_is_are_refused(gty, client, login):
    """Our key signs no such token; if one ever is signed, the row decides."""
    theirs, mine = granted(client, login), credentials_for(login, generation=1, now=login.created_at)
    for credentials, told in ((theirs, None), (mine, gty or "client_credentials")):
        claims = replace(credentials.claims, aud=("authx",), gty=told)
        with pytest.raises(TokenMalformed):
            find_live(claims, delegated=told is not None)
    other = replace(theirs.claims, client_id="app-2")
    with pytest.raises(TokenMalformed, match="another client's"):
        find_live(other, delegated=True)


def test_a_clients_refresh_token_refreshes_nothing(client, login):
    credentials = granted(client, login)
    with pytest.raises(RefreshMalformed):
        refresh_session(credentials.refresh_token)
    row = DeviceSession.objects.get(pk=credentials.session.pk)
    assert (row.generation, row.ended_at) == (1, None)


def test_a_clients_session_is_found_by_those_who_ask_for_it_alone(client, login):
    sid = granted(client, login).session.pk
    assert find_by_sid(sid) is None
    assert find_by_sid(sid, client_id="app-2") is None
    assert find_by_sid(sid, client_id="app-1").session.pk == sid
    assert find_by_sid(sid, client_id=None).session.pk == sid
    assert find_by_sid(login.pk, client_id="app-1") is None


# The doors


def test_no_door_lets_a_client_in(client, login, api):
    """The findings of the prototype: a read-only client was the user, on pages and in the API."""
    for audience in (["authx"], [API]):
        credentials = granted(client, login, audience=audience)
        answer = api.get(
            "/api/auth/session/", headers={"Authorization": f"Bearer {credentials.access_token}"}
        )
        assert answer.status_code == HTTPStatus.UNAUTHORIZED
        answer = api.post("/api/auth/refresh/", {"refresh_token": credentials.refresh_token}, format="json")
        assert (answer.status_code, answer.json()["code"]) == (HTTPStatus.UNAUTHORIZED, "refresh_malformed")
        assert planted(conf.ACCESS_COOKIE, credentials.access_token).status_code == HTTPStatus.FOUND
        page = planted(conf.REFRESH_COOKIE, credentials.refresh_token)
        assert page.status_code == HTTPStatus.FOUND
        assert conf.ACCESS_COOKIE not in page.cookies
    own = credentials_for(login, generation=1, now=login.created_at)
    assert planted(conf.ACCESS_COOKIE, own.access_token).status_code == HTTPStatus.OK
    assert planted(conf.REFRESH_COOKIE, own.refresh_token).status_code == HTTPStatus.OK


def planted(name, token):
    browser = Client()
    browser.cookies[name] = token
    return browser.get("/private/")


# G3: what the token says


def test_its_token_says_what_it_allows_by_scope_alone(client, login, settings):
    settings.AUTHX_CLAIMS = "tests.sessions.test_client_sessions.roles"
    claims = granted(client, login).claims
    assert (claims.aud, claims.client_id, claims.scopes) == ((API,), "app-1", ("orders:read",))
    assert (claims.roles, claims.gty, claims.sub) == ((), "authorization_code", login.subject)
    token = write_access_token(claims, keyring.keyset().signing)
    assert read_claims(token, audience=[API], delegated=True) == claims


def roles(session):
    return {"roles": ["staff"], "scope": "everything"}


# Its life


def test_it_lasts_as_long_as_its_client_may(client, login):
    client.idle_lifetime, client.session_lifetime = timedelta(hours=2), timedelta(days=1)
    session = granted(client, login, now=START).session
    assert session.expires_at == START + timedelta(days=1)
    assert session.idle_expires_at == START + timedelta(hours=2, minutes=15) == START + idle_period_of(client)
    ordinary = granted(ServiceClient(client_id="app-2", name="Other"), login, now=START).session
    assert ordinary.expires_at == START + timedelta(days=30)


def test_without_a_refresh_token_it_lasts_as_long_as_its_access_token(client, login):
    credentials = granted(client, login, now=START, refreshable=False)
    session = credentials.session
    assert session.expires_at == session.idle_expires_at == credentials.claims.expires_at


def test_its_users_end_ends_it(client, login, ada):
    credentials = granted(client, login)
    get_user_model()._default_manager.filter(pk=ada.pk).update(is_active=False)
    with pytest.raises(SessionEnded) as refused:
        find_live(credentials.claims, delegated=True)
    assert refused.value.reason == "user_disabled"


def test_the_audit_names_the_client(client, login):
    session = granted(client, login).session
    event = SessionEvent.objects.get(session=session)
    assert (event.kind, event.client_id, event.actor) == ("opened", "app-1", None)


# Services


def test_a_services_session_is_of_no_user(client):
    with transaction.atomic():
        session = open_service_session(client, now=START)
    found = find_by_sid(session.pk, client_id="app-1")
    assert (found.session.user, found.session.subject, found.session.device_type) == (
        None,
        "client:app-1",
        "service",
    )
    assert end_of(found, START + timedelta(days=29)) is None
    assert end_of(found, START + timedelta(days=30)) == "expired"
    assert find_by_sid(session.pk) is None
    end_session(session, "kicked", now=START + timedelta(days=1))
    assert end_of(find_by_sid(session.pk, client_id="app-1")) == "kicked"


def test_no_user_can_pass_for_a_service(ada, settings):
    settings.AUTHX_SUBJECT_FIELD = "username" if hasattr(ada, "username") else "email"
    setattr(ada, settings.AUTHX_SUBJECT_FIELD, "client:app-1")
    ada.save()
    with pytest.raises(LoginRefused):
        open_session(ada)


def test_a_row_and_a_query_agree_on_whose_session_it_is(client, login, ada):
    own = DeviceSession.objects
    as_before = open_session(ada).session  # a site's own device type, from before authx had clients
    own.filter(pk=as_before.pk).update(device_type="service")
    app = granted(client, login).session
    with transaction.atomic():
        service = open_service_session(client)
    found = {row.pk for row in own.all() if row.is_of_a_service}
    assert found == set(own.of_services().values_list("pk", flat=True)) == {service.pk}
    assert set(own.of_people().values_list("pk", flat=True)) == {login.pk, as_before.pk, app.pk}
    assert set(own.of_apps().values_list("pk", flat=True)) == {app.pk}
    assert set(own.first_party().values_list("pk", flat=True)) == {login.pk, as_before.pk}
