"""revoke/: scripts of clients may read what it says, at a registered origin (CORS)."""

from urllib.parse import urlencode

import pytest
from rest_framework.test import APIClient

from authx.issuer import create_client

ORIGIN, REVOKE, INTROSPECT = "https://spa.example", "/api/auth/revoke/", "/api/auth/introspect/"
FORM = "application/x-www-form-urlencoded"
ALLOWED = "Access-Control-Allow-Origin"

pytestmark = pytest.mark.django_db


@pytest.fixture
def spa():
    fields = {"redirect_uris": [f"{ORIGIN}/"], "resources": ["https://api.example/"], "origins": [ORIGIN]}
    return create_client("SPA", auth_method="none", **fields)[0]


@pytest.mark.parametrize(
    ("origin", "may"), [(ORIGIN, True), ("https://evil.example", False), ("null", False)]
)
@pytest.mark.parametrize("token", ["x", ""])
def test_a_page_that_gives_its_token_back(spa, origin, may, token):
    form = urlencode({"client_id": spa.client_id, "token": token})
    answer = APIClient().post(REVOKE, form, content_type=FORM, headers={"Origin": origin})
    assert answer.status_code == (200 if token else 400)
    assert answer.get(ALLOWED) == (origin if may else None)
    assert "Origin" in answer["Vary"]
    assert "Access-Control-Allow-Credentials" not in answer


def test_introspection_is_for_servers(spa):
    assert ALLOWED not in APIClient().post(INTROSPECT, {}, headers={"Origin": ORIGIN})
