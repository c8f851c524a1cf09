"""introspect/ and revoke/: which client may ask about which token, and whose session it may end."""

import base64
from dataclasses import replace
from datetime import timedelta

import pytest
from django.db import transaction
from django.utils import timezone
from rest_framework.test import APIClient

from authx.conf import conf
from authx.core.access_token import write_access_token
from authx.core.claims import TOKEN_EXCHANGE
from authx.gate.keys import keyring
from authx.issuer import create_client, disable_client
from authx.models import DeviceSession, SessionEvent
from authx.sessions import end_session, open_session
from authx.sessions.client_sessions import open_service_session
from authx.sessions.credentials import TokenGrant, credentials_for
from tests.clients import open_granted_session

INTROSPECT, REVOKE, FEED = "/api/auth/introspect/", "/api/auth/revoke/", "/api/auth/revocations/"
INACTIVE = {"active": False}
API, OTHER = "https://api.example/", "https://other.example/"
CALLBACK = "https://app.example/done"

pytestmark = pytest.mark.django_db


class Party:
    """A client, and what it is answered."""

    def __init__(self, name, **registration):
        self.row, self.secret = create_client(name, **registration)
        self.http = APIClient()
        if self.secret:
            pair = base64.b64encode(f"{self.row.client_id}:{self.secret}".encode()).decode()
            self.http.credentials(HTTP_AUTHORIZATION=f"Basic {pair}")

    def introspect(self, token):
        return self.http.post(INTROSPECT, {"token": token})

    def revoke(self, token):
        answer = self.http.post(REVOKE, {"token": token})
        return answer.status_code, answer.json().get("error") if answer.content else None


@pytest.fixture
def app():
    """An app that users sign in to, and that receives no tokens."""
    return Party("Reader", redirect_uris=[CALLBACK], scope="orders:read", resources=[API])


@pytest.fixture
def orders():
    """The resource server that the app's tokens are for."""
    return Party("orders", audience=API)


@pytest.fixture
def stranger():
    """A service whose tokens are others."""
    return Party("billing", audience=OTHER)


@pytest.fixture
def of_the_site():
    """A service that receives the site's own tokens."""
    return Party("shop", audience="authx")


@pytest.fixture
def manager():
    return Party("support", may_manage_sessions=True)


@pytest.fixture
def login(ada):
    return open_session(ada)


@pytest.fixture
def granted(app, login):
    """The tokens that the app has for ada."""
    with transaction.atomic():
        session = open_granted_session(
            app.row, login.session, scope="orders:read", audience=[API], refreshable=True
        )
    return credentials_for(session, generation=1, now=session.created_at)


@pytest.fixture
def exchanged(login, stranger, orders):
    """A token of ada's own session, with which billing calls orders for her."""
    claims = replace(
        login.claims,
        aud=(API,),
        client_id=stranger.row.client_id,
        gty=TOKEN_EXCHANGE,
        gen=None,
        scope="orders:read",
        act={"sub": f"client:{stranger.row.client_id}"},
    )
    return write_access_token(claims, keyring.keyset().signing)


def sessions_ended():
    return set(DeviceSession.objects.exclude(ended_at=None).values_list("pk", flat=True))


# --- asking


def test_who_receives_a_token_may_ask_about_it(orders, granted, app):
    told = orders.introspect(granted.access_token).json()
    assert (told["active"], told["client_id"], told["aud"]) == (True, app.row.client_id, API)
    assert (told["scope"], told["sid"], told["gty"]) == (
        "orders:read",
        str(granted.session.pk),
        "authorization_code",
    )


def test_who_has_got_a_token_may_ask_about_it(app, granted):
    assert app.introspect(granted.access_token).json()["active"] is True
    told = app.introspect(granted.refresh_token).json()
    assert told["token_type"] == "refresh_token"
    assert (told["client_id"], told["scope"], told["aud"]) == (app.row.client_id, "orders:read", [API])


def test_nobody_else_learns_that_it_is_good(stranger, of_the_site, orders, granted, login):
    for party in (stranger, of_the_site):
        for token in (granted.access_token, granted.refresh_token):
            assert party.introspect(token).json() == INACTIVE
    assert orders.introspect(granted.refresh_token).json() == INACTIVE
    assert orders.introspect(login.access_token).json() == INACTIVE
    assert Party("nothing").introspect(login.access_token).json() == INACTIVE


def test_the_sites_own_access_token_is_for_who_has_its_audience(of_the_site, login):
    told = of_the_site.introspect(login.access_token).json()
    assert (told["active"], told["client_id"]) == (True, "first-party")
    assert of_the_site.introspect(login.refresh_token).json() == INACTIVE


def test_a_refresh_token_of_a_login_needs_the_right_to_manage_sessions(manager, login):
    told = manager.introspect(login.refresh_token).json()
    assert (told["active"], told["client_id"]) == (True, "first-party")
    assert "scope" not in told
    assert manager.introspect(login.access_token).json() == INACTIVE


def test_an_exchanged_token_is_of_who_exchanged_it(exchanged, stranger, orders, of_the_site, login):
    for party in (stranger, orders):
        told = party.introspect(exchanged).json()
        assert (told["active"], told["client_id"], told["aud"]) == (True, stranger.row.client_id, API)
        assert told["act"] == {"sub": f"client:{stranger.row.client_id}"}
        assert (told["scope"], told["sid"]) == ("orders:read", login.claims.sid)
    assert of_the_site.introspect(exchanged).json() == INACTIVE
    end_session(login.session, "kicked")
    assert orders.introspect(exchanged).json() == INACTIVE


def test_a_services_own_token(orders):
    caller = Party("caller", may_call=[API])
    with transaction.atomic():
        session = open_service_session(caller.row)
    grant = TokenGrant(scope="", audience=(API,))
    credentials = credentials_for(session, generation=1, now=session.created_at, granted=grant)
    for party in (caller, orders):
        told = party.introspect(credentials.access_token).json()
        assert (told["active"], told["sub"]) == (True, f"client:{caller.row.client_id}")
    assert orders.revoke(credentials.access_token) == (400, "unsupported_token_type")
    assert caller.revoke(credentials.access_token) == (200, None)
    event = SessionEvent.objects.get(kind="ended")
    assert (event.client_id, event.ip) == (caller.row.client_id, "127.0.0.1")


def test_a_token_of_an_audience_in_other_letters_is_anothers(granted):
    party = Party("upper", audience=API.upper())
    assert party.introspect(granted.access_token).json() == INACTIVE


def test_an_expired_token_is_nothing(app, login, orders):
    with transaction.atomic():
        session = open_granted_session(app.row, login.session, scope="", audience=[API], refreshable=True)
    then = timezone.now() - conf.ACCESS_TOKEN_LIFETIME - timedelta(minutes=1)
    token = credentials_for(session, generation=1, now=then).access_token
    for party in (app, orders):
        assert party.introspect(token).json() == INACTIVE
        assert party.revoke(token) == (200, None)
    assert not sessions_ended()


# --- ending


@pytest.mark.parametrize("which", ["access_token", "refresh_token"])
def test_a_service_no_longer_ends_whose_token_it_sees(which, of_the_site, login):
    """A regression: each ended any session, and the audit said that its user had."""
    refused = {"access_token": (400, "unsupported_token_type"), "refresh_token": (200, None)}
    assert of_the_site.revoke(getattr(login, which)) == refused[which]
    assert not sessions_ended()
    assert not SessionEvent.objects.filter(kind="ended").exists()


@pytest.mark.parametrize("which", ["access_token", "refresh_token"])
def test_a_client_ends_its_own_session(which, app, granted):
    assert app.revoke(getattr(granted, which)) == (200, None)
    assert sessions_ended() == {granted.session.pk}
    event = SessionEvent.objects.get(kind="ended")
    assert (event.outcome, event.note) == ("logout", "revoked by Reader")
    assert (event.client_id, event.actor, event.actor_label) == (app.row.client_id, None, "")


@pytest.mark.parametrize("which", ["access_token", "refresh_token"])
def test_who_manages_sessions_ends_anybodys(which, manager, granted, login):
    for credentials in (granted, login):
        assert manager.revoke(getattr(credentials, which)) == (200, None)
    assert sessions_ended() == {granted.session.pk, login.session.pk}
    acted = SessionEvent.objects.filter(kind="ended").values_list("client_id", "actor")
    assert set(acted) == {(manager.row.client_id, None)}


def test_who_may_only_ask_ends_nothing(orders, stranger, granted, exchanged):
    assert orders.revoke(granted.access_token) == (400, "unsupported_token_type")
    for party in (orders, stranger):
        assert party.revoke(exchanged) == (400, "unsupported_token_type")
    assert not sessions_ended()


def test_who_may_not_even_ask_is_told_nothing(stranger, of_the_site, orders, granted):
    for party in (stranger, of_the_site):
        for token in (granted.access_token, granted.refresh_token):
            assert party.revoke(token) == (200, None)
    assert orders.revoke(granted.refresh_token) == (200, None)
    assert not sessions_ended()


def test_a_token_that_is_no_longer_good_is_200(orders, app, granted):
    end_session(granted.session, "kicked")
    for party in (orders, app):
        for token in (granted.access_token, granted.refresh_token):
            assert party.revoke(token) == (200, None)
    assert SessionEvent.objects.filter(kind="ended").count() == 1


# --- who asks


def test_a_public_client_ends_its_own_session_and_asks_nothing(login):
    party = Party("Phone", auth_method="none", redirect_uris=[CALLBACK], resources=[API])
    with transaction.atomic():
        session = open_granted_session(party.row, login.session, scope="", audience=[API], refreshable=True)
    token = credentials_for(session, generation=1, now=session.created_at).access_token
    body = {"client_id": party.row.client_id, "token": token}
    for path, body_ in ((INTROSPECT, body), (FEED, body), (REVOKE, body | {"client_secret": "x"})):
        answer = APIClient().post(path, body_)
        assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")
    assert APIClient().post(REVOKE, body).status_code == 200
    assert sessions_ended() == {session.pk}


def test_the_name_of_a_client_with_a_secret_is_not_enough(app, granted):
    answer = APIClient().post(REVOKE, {"client_id": app.row.client_id, "token": granted.access_token})
    assert answer.status_code == 401
    assert not sessions_ended()


def test_a_disabled_client_asks_nothing(orders, granted):
    disable_client(orders.row)
    assert orders.introspect(granted.access_token).status_code == 401


def test_the_feed_is_for_who_receives_tokens(app, orders, manager):
    assert app.http.get(FEED).status_code == 403
    for party in (orders, manager, Party("verifier")):
        assert party.http.get(FEED).status_code == 200


def test_another_name_in_the_body_than_in_the_header_is_refused(app, orders, granted):
    body = {"token": granted.access_token, "client_id": orders.row.client_id}
    answer = app.http.post(REVOKE, body)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")
    assert not sessions_ended()
