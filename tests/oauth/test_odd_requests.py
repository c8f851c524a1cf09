"""authx.oauth: requests that are legal and unusual, and such as nobody means well."""

from http import HTTPStatus
from urllib.parse import urlencode, urlsplit

import pytest

from authx.models import AuthorizationCode, Consent
from tests.oauth.conftest import API
from tests.oauth.flow import basic, post
from tests.oauth.test_authorize import allow, sent_to, url


def test_a_client_without_scopes_is_remembered_too(signed_in, make_client):
    make_client("reader", scope="")
    asked = url(scope=None)
    assert "code" in sent_to(allow(signed_in, asked))[1]
    assert signed_in.get(asked).status_code == HTTPStatus.FOUND
    assert "code" in sent_to(allow(signed_in, asked))[1]
    assert Consent.objects.get().scope == ""


def test_scopes_are_added_to_a_consent_without_any(signed_in, make_client):
    client = make_client("reader", scope="")
    allow(signed_in, url(scope=None))
    client.scope = "orders:read"
    client.save()
    assert signed_in.get(url()).status_code == HTTPStatus.OK
    allow(signed_in)
    assert Consent.objects.get().scope == "orders:read"


@pytest.mark.parametrize("letter", ["x", "é", "\U0001f600"])
def test_the_longest_state_comes_back(letter, signed_in, app):
    """Also where it makes a URL to which Django does not redirect."""
    asked = url(state=letter * 4096)
    allow(signed_in, asked)
    response = signed_in.get(asked)
    assert sent_to(response)[1]["state"] == letter * 4096
    assert AuthorizationCode.objects.count() == 2
    refused = signed_in.get(url(state=letter * 4096, response_type="token"))
    assert sent_to(refused)[1]["error"] == "unsupported_response_type"


@pytest.mark.parametrize("changes", [{"max_age": "0"}, {"prompt": "login", "max_age": "0"}])
def test_a_login_is_demanded_once_however_young_it_has_to_be(changes, signed_in, app, password):
    allow(signed_in)
    to_confirm = signed_in.get(url(**changes))["Location"]
    assert urlsplit(to_confirm).path == "/account/confirm/"
    confirmed = signed_in.post(to_confirm, {"password": password})
    assert "code" in sent_to(signed_in.get(confirmed["Location"]))[1]
    assert urlsplit(signed_in.get(url(**changes))["Location"]).path == "/account/confirm/"


@pytest.mark.parametrize("place", ["body", "url"])
def test_a_thousand_parameters_get_the_error_that_clients_read(place, app):
    many = urlencode({f"p{number}": "x" for number in range(1500)})
    if place == "body":
        response = post(many, basic())
    else:
        response = post("grant_type=refresh_token&refresh_token=x", basic(), path=f"/oauth/token/?{many}")
    assert response.status_code == HTTPStatus.BAD_REQUEST
    assert response.json()["error"] == "invalid_request"


def test_a_token_for_hundreds_of_services_asks_the_database_nothing(make_client, django_assert_num_queries):
    make_client("reader", grant_types=["client_credentials"], may_call=["x"])
    names = [f"https://service-{number}.example/" for number in range(500)]
    with django_assert_num_queries(1):  # who the client is
        response = post({"grant_type": "client_credentials", "audience": names, "resource": API}, basic())
    assert response.status_code == HTTPStatus.BAD_REQUEST
    assert response.json()["error"] == "invalid_target"
