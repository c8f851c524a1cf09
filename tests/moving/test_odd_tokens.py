"""Genuine old tokens with claims that nothing can be done with, as another issuer may write them."""

from time import time

import pytest
from rest_framework.authtoken.models import Token
from rest_framework_simplejwt.state import token_backend

from authx.models import DeviceSession

pytestmark = [pytest.mark.django_db, pytest.mark.databases("sqlite", "postgresql", "mariadb")]

USERS = {
    "negative": -1,
    "huge": 10**300,
    "true": True,
    "list": [1],
    "object": {"id": 1},
    "null": None,
    "NUL": "\x00",
    "surrogate": "\ud800",
}
CLAIMS = {
    **{f"uid: {name}": {"uid": value} for name, value in USERS.items()},
    "exp: after all time": {"exp": 10**20},
    "exp: text": {"exp": str(10**10)},
    "iat: before all time": {"iat": -(10**12)},
    "iat: in the year 0": {"iat": -62135596801},
    "jti: NUL": {"jti": "a\x00b"},
    "jti: surrogate": {"jti": "\ud800"},
    "jti: longer than the blacklist's column": {"jti": "x" * 300},
}


def odd(ada, kind, claims):
    now = int(time())
    usual = {"token_type": kind, "exp": now + 600, "iat": now, "jti": "a" * 32, "uid": str(ada.pk)}
    return token_backend.encode({**usual, **claims})


odd_claims = pytest.mark.parametrize("claims", CLAIMS.values(), ids=list(CLAIMS))


@odd_claims
@pytest.mark.parametrize("path", ["refresh/", "refresh/blacklisting/", "blacklist/"])
def test_such_a_refresh_token_is_refused(client, ada, claims, path):
    body = {"refresh": odd(ada, "refresh", claims)}
    answer = client.post(f"/api/token/{path}", body, content_type="application/json")
    assert answer.status_code < 500, answer.content
    if path != "blacklist/" and "iat" not in claims:
        assert answer.status_code == 401, answer.content
        assert not DeviceSession.objects.exists()


@odd_claims
@pytest.mark.parametrize("kind", ["access", "refresh"])
def test_such_a_token_is_judged(client, ada, claims, kind):
    body = {"token": odd(ada, kind, claims)}
    answer = client.post("/api/token/verify/", body, content_type="application/json")
    assert answer.status_code in {200, 401}, answer.content


@odd_claims
def test_such_an_access_token_is_no_error(client, ada, claims):
    token = odd(ada, "access", claims)
    answer = client.get("/api/whoami/", headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code in {200, 401}, answer.content
    if answer.status_code == 200:
        assert "iat" in claims, "it was issued long ago, and nothing has ended"


@odd_claims
def test_such_a_cookie_is_that_of_a_visitor(client, ada, claims):
    client.cookies["old-refresh"] = odd(ada, "refresh", claims)
    assert client.get("/whoami/").status_code == 200


@pytest.mark.parametrize("text", ["\x00", "a\x00b", "x" * 5000])
@pytest.mark.parametrize("kind", ["knox", "authtoken"])
def test_an_old_header_with_text_that_no_token_has_is_refused(client, ada, kind, text):
    Token.objects.create(user=ada)
    answer = client.get(f"/judged/{kind}/", headers={"Authorization": f"Token {text}"})
    assert answer.status_code == 401, answer.content
