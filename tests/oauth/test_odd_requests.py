"""authx.oauth: requests that are legal and unusual, and such as nobody means well."""

import re
from html import unescape
from http import HTTPStatus
from urllib.parse import urlencode, urlsplit

import pytest
from django.test import Client

from authx.errors import StoreUnavailable
from authx.issuer import create_client
from authx.issuer.clients import ClientInvalid
from authx.models import AuthorizationCode, Consent
from authx.oauth import authorize
from tests.oauth.conftest import API, CALLBACK
from tests.oauth.flow import basic, code_of, post, redemption
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


# What is remembered is no more than what was allowed


def test_two_consents_do_not_add_up_to_a_third(signed_in, make_client):
    """To read here and to write there is not to write here."""
    mail = "https://mail.example/"
    make_client("reader", resources=[API, mail], scope="orders:read mail")
    allow(signed_in, url(scope="orders:read", resource=API))
    allow(signed_in, url(scope="mail", resource=mail))
    assert signed_in.get(url(scope="mail", resource=mail)).status_code == HTTPStatus.FOUND
    both = {"scope": "orders:read mail", "resource": [API, mail]}
    for crossed in ({"scope": "mail", "resource": API}, both):
        assert signed_in.get(url(**crossed)).status_code == HTTPStatus.OK
    allow(signed_in, url(**both))
    assert signed_in.get(url(scope="mail", resource=API)).status_code == HTTPStatus.FOUND


def test_what_a_client_has_lost_is_not_kept_beside_what_is_new(signed_in, make_client, settings):
    """Two registrations of a thousand characters each are one consent of a thousand."""
    before, after = ["a" * 62 + str(number) for number in range(10, 25)], "orders:read"
    settings.AUTHX_SCOPES = dict.fromkeys([*before, after], "Do it")
    client = make_client("reader", scope=" ".join(before))
    allow(signed_in, url(scope=None))
    client.scope = f"{before[0]} {after}"
    client.save()
    allow(signed_in, url(scope=after))
    assert Consent.objects.get().scope == client.scope


def test_the_same_scope_elsewhere_is_added(signed_in, make_client):
    mail = "https://mail.example/"
    make_client("reader", resources=[API, mail], scope="mail")
    for place in (API, mail):
        allow(signed_in, url(scope="mail", resource=place))
    assert signed_in.get(url(scope="mail", resource=[API, mail])).status_code == HTTPStatus.FOUND


# What disappears meanwhile


@pytest.mark.django_db(transaction=True)
def test_a_user_who_is_deleted_while_they_allow_gets_no_crash(signed_in, app, ada, monkeypatch):
    def and_then_nobody(*args):
        type(ada).objects.get(pk=ada.pk).delete()

    monkeypatch.setattr(authorize, "remember_consent", and_then_nobody)
    signed_in.raise_request_exception = False
    assert allow(signed_in).status_code == HTTPStatus.SERVICE_UNAVAILABLE
    assert signed_in.get(url()).status_code == HTTPStatus.FOUND  # to the login page
    assert not AuthorizationCode.objects.exists()


def test_whose_script_asks_is_known_before_anything_is_spent(signed_in, app, monkeypatch):
    """A code that was redeemed for an answer of 503 would be lost."""

    def down(origin):
        raise StoreUnavailable

    code = code_of(signed_in)
    with monkeypatch.context() as patched:
        patched.setattr("authx.oauth.token.is_registered_origin", down)
        response = post(redemption(code), basic() | {"Origin": "https://app.example"})
        assert response.status_code == HTTPStatus.SERVICE_UNAVAILABLE
    assert post(redemption(code), basic()).status_code == HTTPStatus.OK


@pytest.mark.parametrize("changes", [{}, {"prompt": "login"}])
def test_a_long_request_comes_through_the_login(changes, app, ada, password, signed_in):
    """Django follows no ``next`` of more than 2,048 characters."""
    browser = signed_in if changes else Client()
    to_login = browser.get(url(state="x" * 3000, **changes))["Location"]
    form = {"username": ada.get_username(), "password": password}
    page = browser.get(to_login)
    (wanted,) = re.findall(r'name="next" value="([^"]*)"', page.content.decode())
    back = browser.post(to_login.partition("?")[0], form | {"next": unescape(wanted)})["Location"]
    assert sent_to(allow(browser, back))[1]["state"] == "x" * 3000


@pytest.mark.parametrize(
    "wanted",
    [
        "https://evil.example/?" + "x" * 3000,
        "//evil.example/?" + "x" * 3000,
        "\\\\evil.example/?" + "x" * 3000,
        "/\\evil.example/?" + "x" * 3000,
        "///evil.example/?" + "x" * 3000,
        "javascript:alert(1)//?" + "x" * 3000,
        "/\t/evil.example/?" + "x" * 3000,
        "/" + "x" * 3000,
        "/?" + "x" * 3000 + "\n",
        "?" + "x" * 20_000,
    ],
    ids=lambda value: value[:20],
)
def test_but_a_long_one_leads_nowhere_else(wanted, ada, password):
    form = {"username": ada.get_username(), "password": password, "next": wanted}
    assert (
        Client().post("/account/login/", form)["Location"]
        == Client().post("/account/login/", {**form, "next": ""})["Location"]
    )


@pytest.mark.parametrize("grant", ["authorization_code", "client_credentials"])
def test_as_many_resources_as_a_client_may_have_stand_in_one_token(grant, signed_in, settings):
    """And as many scopes, and services: what is registered is never too much for a token."""
    uris = [f"https://api-{number}.example/".ljust(250, "x") for number in range(12)]
    settings.AUTHX_SCOPES = {"s" * 99 + str(number): "Do it" for number in range(9)}
    settings.AUTHX_RESOURCES = {uri: list(settings.AUTHX_SCOPES) for uri in uris}
    asked = {"redirect_uris": [CALLBACK], "resources": uris, "scope": list(settings.AUTHX_SCOPES)}
    grants = ["authorization_code", "refresh_token", "client_credentials"]
    client, secret = create_client("Large", grant_types=grants, **asked)
    headers = basic(client.client_id, secret)
    if grant == "authorization_code":
        code = sent_to(allow(signed_in, url(client_id=client.client_id, scope=None)))[1]["code"]
        response = post(redemption(code), headers)
    else:
        response = post({"grant_type": grant, "resource": uris[:10]}, headers)
    assert response.status_code == HTTPStatus.OK, response.content


@pytest.mark.parametrize(
    "uris",
    [["https://api.example/".ljust(256, "x")], [f"https://{n}.example/".ljust(250, "x") for n in range(13)]],
    ids=["one", "all"],
)
def test_resources_that_no_token_could_name_are_not_registered(uris, db):
    with pytest.raises(ClientInvalid, match="resources"):
        create_client("Larger", redirect_uris=[CALLBACK], resources=uris)
