"""Scripts of clients read the metadata and the keys from their own origin (CORS)."""

import pytest
from django.test import Client

from authx.issuer import create_client, disable_client
from tests.faults_in_database import outage

ORIGIN = "https://spa.example"
PATHS = ["/.well-known/jwks.json", "/.well-known/oauth-authorization-server"]
ALLOWED = "Access-Control-Allow-Origin"

pytestmark = pytest.mark.parametrize("path", PATHS)


@pytest.fixture(autouse=True)
def spa(settings, db):
    settings.AUTHX_ISSUER = "https://id.example"
    fields = {"redirect_uris": [f"{ORIGIN}/"], "resources": ["https://api.example/"], "origins": [ORIGIN]}
    return create_client("SPA", auth_method="none", **fields)[0]


def ask(path, **headers):
    return Client().get(path, headers=headers)


def test_a_registered_origin_may(path):
    answer = ask(path, origin=ORIGIN)
    assert (answer.status_code, answer[ALLOWED]) == (200, ORIGIN)
    assert "Access-Control-Allow-Credentials" not in answer
    again = ask(path, origin=ORIGIN, if_none_match=answer["ETag"])
    assert (again.status_code, again[ALLOWED]) == (304, ORIGIN)


@pytest.mark.parametrize("origin", ["https://evil.example", "null", ORIGIN.upper(), f"{ORIGIN}/", None])
def test_no_other_may(path, origin):
    answer = ask(path, **({} if origin is None else {"origin": origin}))
    assert (answer.status_code, ALLOWED in answer) == (200, False)
    assert "Origin" in answer["Vary"], "a cache keeps it for everybody"


def test_nor_that_of_a_disabled_client(path, spa):
    disable_client(spa)
    assert ALLOWED not in ask(path, origin=ORIGIN)


def test_a_browser_may_ask_first(path):
    asks = {"Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "authorization"}
    for origin, allowed in ((ORIGIN, ORIGIN), ("https://evil.example", None)):
        answer = Client().options(path, headers={"Origin": origin, **asks})
        assert (answer.status_code, answer.get(ALLOWED)) == (204, allowed)


@pytest.mark.django_db(transaction=True)
def test_without_the_database_everybody_is_served_that_needs_none(path):
    assert ask(path).status_code == 200  # the process knows its keys
    with outage():
        answer = ask(path, origin=ORIGIN)
    assert (answer.status_code, ALLOWED in answer) == (200, False)
