"""strawberry and graphene behind ``bearer_optional``, as docs/frameworks.md has them."""

import json
from datetime import timedelta

import pytest
from django.test import AsyncClient, Client

from authx.sessions import end_session
from authx.testing import clock, login_device
from tests.frameworks.sites import shown, site

pytestmark = pytest.mark.django_db
ASKED = {"query": "{ me sid }"}


@pytest.fixture(
    params=[
        ("strawberry", "/graphql/"),
        ("strawberry", "/async-graphql/"),
        ("graphene", "/graphql/"),
    ],
    ids=["strawberry", "async strawberry", "graphene"],
)
def path(request, settings):
    package, path = request.param
    settings.ROOT_URLCONF = site(*shown(f"# orders/schema.py, with {package}").urlpatterns)
    return path


@pytest.fixture
def query(path, ask):
    def send(client, **headers):
        more = {"content_type": "application/json", "data": json.dumps(ASKED), "headers": headers}
        return ask(client, path, "post", **more)

    return send


def errors(answer):
    assert answer.status_code in {200, 400}
    return answer.json()["errors"]


@pytest.mark.parametrize("lag", [0, 60], ids=["by statement", "by copy"])
def test_a_caller_is_known_until_the_kick(lag, query, client, ada, settings):
    settings.AUTHX_REVOCATION_LAG = timedelta(seconds=lag)
    session = login_device(client, ada, transport="bearer").session
    for _time in range(2):
        answer = query(client)
        assert answer.json() == {"data": {"me": "ada", "sid": str(session.pk)}}
    end_session(session, "kicked")
    with clock() as now:
        now.advance(seconds=lag)
        answer = query(client)
    body = answer.json()
    assert (answer.status_code, body["code"], body["reason"]) == (401, "session_ended", "kicked")


def test_a_browser_is_known_by_cookie_and_asked_for_the_csrf_token(query, client, ada, with_token):
    session = login_device(client, ada, transport="cookie").session
    assert query(client).status_code == 403
    headers = with_token(client)
    assert query(client, **headers).json()["data"]["me"] == "ada"
    end_session(session, "kicked")
    assert errors(query(client, **headers))


@pytest.mark.parametrize("kind", [Client, AsyncClient], ids=["WSGI", "ASGI"])
def test_nobody_may_ask_for_what_is_open_to_all(kind, query):
    answer = query(kind())
    (error,) = errors(answer)
    assert error["path"] == ["me"]
    assert "ada" not in answer.content.decode()


@pytest.mark.parametrize(
    ("header", "status", "code"),
    [("Bearer nonsense", 401, "token_malformed"), ("Bearer a, Bearer b", 400, "invalid_request")],
)
def test_a_bad_token_is_refused_before_graphql(header, status, code, query, client):
    answer = query(client, Authorization=header)
    assert (answer.status_code, answer.json()["code"]) == (status, code)


def test_an_old_token_is_told_so(query, client, ada):
    login_device(client, ada, transport="bearer")
    with clock() as now:
        now.advance(minutes=20)
        assert query(client).json()["code"] == "token_expired"
