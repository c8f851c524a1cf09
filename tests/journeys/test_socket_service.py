"""Sockets at a service that only verifies: a process with uvicorn, and the issuer over HTTP."""

from __future__ import annotations

import json
from contextlib import contextmanager

import pytest
from django.urls import reverse

from authx.sessions import end_session, end_user_sessions, open_session, tickets
from authx.sessions.credentials import access_token_for
from tests.clients import create_service
from tests.served import closed, serving

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]


@pytest.fixture
def serve(live_server, tmp_path, settings, monkeypatch):
    """Start the service, which trusts this site."""
    service, secret = create_service("orders")
    issuer = {
        "AUTHX_JWKS_URL": live_server.url + reverse("authx-wellknown:jwks"),
        "AUTHX_REVOCATIONS_URL": live_server.url + reverse("authx-api:revocations"),
        "AUTHX_SERVICE_CREDENTIALS": [service.client_id, secret],
        "AUTHX_REVOCATION_LAG": 1,
    }

    @contextmanager
    def serve(**changes):
        environment = {"AUTHX_TEST_SERVICE": json.dumps(issuer | changes), "DJANGO_SETTINGS_MODULE": ""}
        with serving("uvicorn", tmp_path, app="tests.verify_only_asgi:application", **environment) as found:
            yield found

    return serve


def hello(socket):
    return json.loads(socket.recv(timeout=20))


def test_it_opens_to_the_issuers_sessions_and_closes_when_they_end(serve, ada, bob, settings):
    settings.AUTHX_CLAIMS = f"{__name__}.roles"
    gone, marked, stays = open_session(ada), open_session(bob), open_session(ada)
    with (
        serve() as served,
        served.connect(bearer=gone.access_token) as first,
        served.connect(subprotocols=["authx", f"authx.bearer.{marked.access_token}"]) as second,
        served.connect(bearer=stays.access_token) as third,
    ):
        assert hello(first) == {"user": str(ada.pk), "roles": ["clerk"], "sid": gone.claims.sid}
        assert hello(second)["sid"] == marked.claims.sid
        hello(third)
        end_session(gone.session, "kicked")
        assert closed(first, within=5) == (4401, "kicked")
        end_user_sessions(bob, "user_disabled")
        assert closed(second, within=5) == (4401, "user_disabled")
        third.send("?")
        assert hello(third) == {"again": str(ada.pk), "loaded": []}
        later = access_token_for(stays.session, now=stays.now)[1]
        third.send(json.dumps({"type": "authx.renew", "access_token": later}, separators=(",", ":")))
        assert hello(third)["type"] == "authx.renewed"
        status, body = served.refuses(bearer=gone.access_token)
        assert (status, body["code"], body["reason"]) == (401, "session_ended", "kicked")
        assert "Traceback" not in served.log.read_text()


def roles(session):
    return {"roles": ["clerk"]}


def test_it_takes_no_ticket_and_knows_who_is_nobody(serve, ada):
    opened = open_session(ada)
    with serve() as served:
        ticket = tickets.mint(opened.claims, origin="")
        status, body = served.refuses(subprotocols=["authx", f"authx.ticket.{ticket}"])
        assert (status, body["code"]) == (401, "token_malformed")
        with served.connect() as nobody:
            assert hello(nobody) is None
            nobody.send("?")
            assert hello(nobody) == {"again": None, "loaded": []}


def test_while_the_issuer_is_away_nobody_is_let_in(serve, ada):
    opened = open_session(ada)
    with serve(AUTHX_REVOCATIONS_URL="http://127.0.0.1:1/revocations/") as served:
        status, body = served.refuses(bearer=opened.access_token)
        assert (status, body["code"]) == (503, "store_unavailable")


def test_without_a_feed_the_issuer_is_asked_at_the_handshake_alone(serve, live_server, ada):
    opened = open_session(ada)
    url = live_server.url + reverse("authx-api:introspect")
    with serve(AUTHX_REVOCATIONS_URL=None, AUTHX_INTROSPECTION_URL=url) as served:
        with served.connect(bearer=opened.access_token) as socket:
            assert hello(socket)["sid"] == opened.claims.sid
            end_session(opened.session, "kicked")
        status, body = served.refuses(bearer=opened.access_token)
        assert (status, body["code"]) == (401, "session_ended")
