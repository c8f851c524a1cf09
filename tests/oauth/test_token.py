"""authx.oauth.token: what the token endpoint takes and answers, and from whom."""

import json
from datetime import timedelta
from http import HTTPStatus

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from authx.gate.verify import read_claims
from authx.models import DeviceSession, SessionEvent
from authx.sessions import end_session, open_session
from tests.faults_in_database import outage
from tests.oauth.conftest import API, CALLBACK, SECRET
from tests.oauth.flow import FORM, TOKEN, basic, code_of, post, redemption, tokens_of


def refused(answer, status=400):
    assert answer.status_code == status, answer.content
    assert answer["Cache-Control"] == "no-store"
    return answer.json()["error"]


# Code


def test_a_code_becomes_tokens(signed_in, app, ada):
    answer = post(redemption(code_of(signed_in)), basic())
    assert answer.status_code == HTTPStatus.OK
    assert (answer["Cache-Control"], answer["Pragma"]) == ("no-store", "no-cache")
    told = answer.json()
    assert set(told) == {"access_token", "token_type", "expires_in", "scope", "refresh_token"}
    assert (told["token_type"], told["expires_in"], told["scope"]) == ("Bearer", 900, "orders:read")
    claims = read_claims(told["access_token"], audience=[API], delegated=True)
    assert (claims.client_id, claims.sub, claims.scope) == ("reader", str(ada.pk), "orders:read")
    session = DeviceSession.objects.get(client_id="reader")
    assert (str(session.pk), session.user, session.audience) == (claims.sid, ada, [API])
    assert not answer.cookies


def test_a_client_with_a_secret_may_send_it_either_way(signed_in, app):
    """A strict registration broke a real client, which posts where another uses the header."""
    in_body = {"client_id": "reader", "client_secret": SECRET}
    assert post(redemption(code_of(signed_in)) | in_body).status_code == HTTPStatus.OK
    assert post(redemption(code_of(signed_in)), basic()).status_code == HTTPStatus.OK


def test_a_public_client_says_who_it_is(signed_in, native):
    code = code_of(signed_in, client_id="native", redirect_uri="http://127.0.0.1:5151/done")
    form = redemption(code, redirect_uri="http://127.0.0.1:5151/done", client_id="native")
    assert refused(post(form | {"client_secret": SECRET}), 401) == "invalid_client"
    assert post(form).status_code == HTTPStatus.OK


def test_without_the_grant_there_is_no_refresh_token(signed_in, make_client):
    make_client("reader", grant_types=["authorization_code"])
    told = tokens_of(signed_in)
    assert "refresh_token" not in told
    claims = read_claims(told["access_token"], audience=[API], delegated=True)
    assert DeviceSession.objects.get(client_id="reader").expires_at == claims.expires_at


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"code": "x" * 43}, "invalid_grant"),
        ({"code": None}, "invalid_request"),
        ({"redirect_uri": CALLBACK + "/"}, "invalid_grant"),
        ({"redirect_uri": None}, "invalid_request"),
        ({"code_verifier": "w" * 43}, "invalid_grant"),
        ({"code_verifier": "v" * 42}, "invalid_grant"),
        ({"code_verifier": None}, "invalid_request"),
        ({"resource": "https://mail.example/"}, "invalid_target"),
        ({"grant_type": None}, "invalid_request"),
        ({"grant_type": "password"}, "unsupported_grant_type"),
        ({"grant_type": "client_credentials"}, "unauthorized_client"),
    ],
)
def test_what_is_wrong_leaves_the_code_good(changes, error, signed_in, app):
    code = code_of(signed_in)
    assert refused(post(redemption(code, **changes), basic())) == error
    assert post(redemption(code), basic()).status_code == HTTPStatus.OK


def test_another_clients_code_is_none(signed_in, app, make_client):
    make_client("other")
    code = code_of(signed_in)
    assert refused(post(redemption(code), basic("other"))) == "invalid_grant"
    assert post(redemption(code), basic()).status_code == HTTPStatus.OK


def test_a_code_is_good_once_and_a_double_click_costs_nothing(signed_in, app):
    code = code_of(signed_in)
    told = post(redemption(code), basic()).json()
    assert refused(post(redemption(code), basic())) == "invalid_grant"
    assert DeviceSession.objects.get(client_id="reader").ended_at is None
    again = {"grant_type": "refresh_token", "refresh_token": told["refresh_token"]}
    assert post(again, basic()).status_code == HTTPStatus.OK


def test_a_code_dies_with_the_login_that_gave_it(signed_in, app):
    code = code_of(signed_in)
    end_session(DeviceSession.objects.get(client_id=""), "kicked")
    assert refused(post(redemption(code), basic())) == "invalid_grant"
    assert not DeviceSession.objects.filter(client_id="reader").exists()


# Refresh


def test_refresh_rotates_and_scope_only_narrows(signed_in, app):
    told = tokens_of(signed_in, scope="orders:read orders:write")
    form = {"grant_type": "refresh_token", "refresh_token": told["refresh_token"]}
    less = post(form | {"scope": "orders:read"}, basic()).json()
    assert less["scope"] == "orders:read"
    whole = post(form | {"refresh_token": less["refresh_token"]}, basic()).json()
    assert whole["scope"] == "orders:read orders:write"
    assert refused(post(form | {"scope": "mail"}, basic())) == "invalid_scope"
    assert refused(post(form | {"scope": "orders:read mail"}, basic())) == "invalid_scope"


def test_a_refresh_token_is_its_own_clients_alone(signed_in, app, make_client, api):
    make_client("other")
    told = tokens_of(signed_in)
    form = {"grant_type": "refresh_token", "refresh_token": told["refresh_token"]}
    assert refused(post(form, basic("other"))) == "invalid_grant"
    assert api.post("/api/auth/refresh/", {"refresh_token": told["refresh_token"]}).status_code == 401
    assert post(form, basic()).status_code == HTTPStatus.OK


def test_a_logins_refresh_token_is_no_clients(app, api, ada, password):
    login = api.post("/api/auth/login/", {"username": ada.get_username(), "password": password}).json()
    form = {"grant_type": "refresh_token", "refresh_token": login["refresh_token"]}
    assert refused(post(form, basic())) == "invalid_grant"


def test_a_kicked_app_is_told_so_and_stays_out(signed_in, app):
    told = tokens_of(signed_in)
    end_session(DeviceSession.objects.get(client_id="reader"), "kicked")
    answer = post({"grant_type": "refresh_token", "refresh_token": told["refresh_token"]}, basic())
    assert refused(answer) == "invalid_grant"
    assert "kicked" in answer.json()["error_description"]


# Who asks (T2, T3)


SECRETS_WRONG = {
    "an unknown client": basic("nobody"),
    "a wrong secret": basic(secret="wrong"),
    "no Basic": {"Authorization": "Bearer x"},
    "rubbish": {"Authorization": "Basic !"},
    "an id with NUL": basic("reader\0"),
}


@pytest.mark.parametrize("headers", SECRETS_WRONG.values(), ids=SECRETS_WRONG)
def test_who_has_not_proved_who_they_are_is_told_nothing_else(headers, signed_in, app):
    answer = post(redemption(code_of(signed_in)), headers)
    assert refused(answer, 401) == "invalid_client"
    assert answer["WWW-Authenticate"].startswith("Basic ")


def test_unknown_wrong_and_disabled_are_the_same_answer(signed_in, app, make_client):
    make_client("off", disabled_at=DeviceSession.objects.values_list("created_at", flat=True)[0])
    answers = {
        post(redemption("x"), basic(*who)).content for who in [("nobody",), ("reader", "wrong"), ("off",)]
    }
    assert len(answers) == 1


def test_a_confidential_client_is_not_let_in_by_its_verifier_alone(signed_in, app):
    assert refused(post(redemption(code_of(signed_in), client_id="reader")), 401) == "invalid_client"


def test_one_proof_at_a_time(signed_in, app):
    form = redemption(code_of(signed_in), client_id="reader", client_secret=SECRET)
    assert refused(post(form, basic())) == "invalid_request"
    assert refused(post(redemption("x", client_id="other"), basic())) == "invalid_request"


# The form (T1)


def test_json_is_answered_by_what_to_send_instead(app):
    answer = Client().post(TOKEN, json.dumps({"grant_type": "x"}), content_type="application/json")
    assert refused(answer) == "invalid_request"
    assert "application/x-www-form-urlencoded" in answer.json()["error_description"]


@pytest.mark.parametrize("method", ["get", "put", "delete", "patch", "head"])
def test_only_post_is_taken(method, app):
    assert getattr(Client(), method)(TOKEN).status_code == 400


@pytest.mark.parametrize("name", ["code", "client_id", "client_secret", "refresh_token", "grant_type"])
def test_nothing_is_taken_from_the_url(name, signed_in, app):
    answer = post(redemption(code_of(signed_in)), basic(), path=f"{TOKEN}?{name}=x")
    assert refused(answer) == "invalid_request"


ODD = {
    "twice": "grant_type=authorization_code&code=a&code=a",
    "nul": "grant_type=authorization_code&code=%00",
    "not utf-8": "grant_type=authorization_code&code=%FF%FE",
    "long": "code=" + "x" * 70_000,
    "very long": "code=" + "x" * 10_000_000,
    "many": "&".join(f"a{number}=1" for number in range(5000)),
    "nothing": "",
    "half a pair": "grant_type",
    "surrogates": "grant_type=%ED%A0%80",
}


@pytest.mark.parametrize("body", ODD.values(), ids=ODD)
def test_odd_bodies_are_refused_and_crash_nothing(body, app):
    assert post(body, basic()).status_code == 400


@pytest.mark.parametrize("charset", ["utf-7", "rot13", "zlib", "undefined", "x" * 300])
def test_odd_charsets_are_refused(charset, app):
    kind = f"{FORM}; charset={charset}"
    answer = Client().generic("POST", TOKEN, b"grant_type=x", content_type=kind, headers=basic())
    assert answer.status_code == 400


@pytest.mark.django_db(transaction=True)
def test_an_outage_is_503_and_spends_nothing(signed_in, app):
    code = code_of(signed_in)
    with outage():
        answer = post(redemption(code), basic())
    assert (answer.status_code, answer.json()["error"]) == (503, "temporarily_unavailable")
    assert int(answer["Retry-After"]) > 0
    assert post(redemption(code), basic()).status_code == HTTPStatus.OK


# Scripts of other origins (T7)


def test_a_registered_origin_may_read_and_no_other(make_client):
    make_client("spa", auth_method="none", origins=["https://spa.example"])
    asks = {"Access-Control-Request-Method": "POST"}
    for origin, is_allowed in (
        ("https://spa.example", True),
        ("https://evil.example", False),
        ("null", False),
    ):
        for answer in (
            Client().options(TOKEN, headers={"Origin": origin, **asks}),
            post({"client_id": "spa"}, {"Origin": origin}),
        ):
            assert answer.get("Access-Control-Allow-Origin") == (origin if is_allowed else None)
            assert "Access-Control-Allow-Credentials" not in answer
            assert "Origin" in answer["Vary"]


# Statements


def test_statements(signed_in, app):
    code = code_of(signed_in)
    with CaptureQueriesContext(connection) as redeeming:
        told = post(redemption(code), basic()).json()
    DeviceSession.objects.filter(client_id="reader").update(
        rotated_at=DeviceSession.objects.get(client_id="reader").rotated_at - timedelta(minutes=1)
    )
    with CaptureQueriesContext(connection) as refreshing:
        post({"grant_type": "refresh_token", "refresh_token": told["refresh_token"]}, basic())
    assert own(redeeming) == 6
    assert own(refreshing) <= 5
    assert SessionEvent.objects.filter(client_id="reader").count() == 2


def own(captured):
    return sum(not query["sql"].startswith(("BEGIN", "COMMIT", "SAVEPOINT", "RELEASE")) for query in captured)


# Exchange


EXCHANGE = {
    "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
    "subject_token_type": "urn:ietf:params:oauth:token-type:access_token",
    "audience": "stock",
}


@pytest.fixture
def orders(make_client):
    """A service that takes the tokens of logins, and calls another."""
    stock = make_client("stock", audience="stock", grant_types=[], redirect_uris=[])
    return make_client(
        "orders",
        audience="https://id.example",
        grant_types=[EXCHANGE["grant_type"], "client_credentials"],
        may_call=[stock.client_id],
        redirect_uris=[],
        resources=[],
    )


def test_a_service_exchanges_the_token_of_a_login(orders, ada):
    told = post(EXCHANGE | {"subject_token": open_session(ada).access_token}, basic("orders")).json()
    assert set(told) == {"access_token", "token_type", "expires_in", "scope", "issued_token_type"}
    assert told["issued_token_type"] == "urn:ietf:params:oauth:token-type:access_token"
    claims = read_claims(told["access_token"], audience=["stock"], delegated=True)
    assert (claims.client_id, claims.actors, claims.gty) == ("orders", ("client:orders",), "token_exchange")
    assert told["expires_in"] <= 300


def test_a_refused_exchange_names_its_rule_here_and_in_the_audit(app, ada):
    answer = post(EXCHANGE | {"subject_token": open_session(ada).access_token}, basic())
    assert refused(answer) == "unauthorized_client"
    assert answer.json()["error_description"].startswith("E1: ")
    event = SessionEvent.objects.get(kind="grant_refused")
    assert (event.outcome, event.client_id, event.actor) == ("E1", "reader", None)


def test_a_service_gets_a_token_of_its_own(orders):
    form = {"grant_type": "client_credentials", "audience": "stock", "scope": "orders:read"}
    told = post(form, basic("orders")).json()
    assert set(told) == {"access_token", "token_type", "expires_in", "scope"}
    claims = read_claims(told["access_token"], audience=["stock"], delegated=True)
    assert (claims.sub, claims.scope, claims.gen) == ("client:orders", "orders:read", None)
