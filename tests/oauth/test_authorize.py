"""authx.oauth.authorize: who is asked, what for, and where they are sent."""

import re
from datetime import timedelta
from html import unescape
from http import HTTPStatus
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from authx.core import pkce
from authx.models import AuthorizationCode, Consent, DeviceSession
from authx.sessions import end_user_sessions
from tests.faults_in_database import outage
from tests.oauth.conftest import API, CALLBACK, VERIFIER

ASKED = {
    "response_type": "code",
    "client_id": "reader",
    "redirect_uri": CALLBACK,
    "scope": "orders:read",
    "state": "a b&c=d",
    "code_challenge": pkce.challenge_of(VERIFIER),
    "code_challenge_method": "S256",
}


def url(path="/oauth/authorize/", **changes):
    asked = {name: value for name, value in {**ASKED, **changes}.items() if value is not None}
    return f"{path}?{urlencode(asked, doseq=True)}"


def sent_to(response):
    """The URL that the visitor is sent to, and its parameters; by a redirect, or by a page of ours."""
    if response.status_code == HTTPStatus.FOUND:
        uri = response["Location"]
    else:
        assert response.status_code == HTTPStatus.OK
        (uri,) = re.findall(
            r'<meta http-equiv="refresh" content="0; url=([^"]*)">', response.content.decode()
        )
        uri = unescape(uri)
        assert f'href="{uri.replace("&", "&amp;")}"' in response.content.decode()
    found = parse_qs(urlsplit(uri).query, strict_parsing=True)
    assert all(len(values) == 1 for values in found.values())
    return uri.partition("?")[0], {name: value for name, (value,) in found.items()}


def allow(browser, address=None):
    return browser.post(address or url(), {"decision": "allow"})


# Consent


def test_the_page_names_client_place_account_and_scopes_in_words(signed_in, app):
    page = signed_in.get(url())
    text = page.content.decode()
    assert page.status_code == HTTPStatus.OK
    assert {"Reader", "app.example", "ada", "See your orders", "https://api.example/"} <= set(
        re.findall(r">([^<>]+)<", text)
    )
    assert "Change your orders" not in text
    assert not AuthorizationCode.objects.exists()


def test_what_the_page_tells_the_browser(signed_in, app):
    for response in (signed_in.get(url()), allow(signed_in), signed_in.get(url(client_id="nobody"))):
        assert "no-store" in response["Cache-Control"]
        assert response["Referrer-Policy"] == "no-referrer"
        assert response["X-Frame-Options"] == "DENY"
        assert "frame-ancestors 'none'" in response["Content-Security-Policy"]
        assert "form-action 'self'" in response["Content-Security-Policy"]


def test_allowing_leads_to_the_client_by_a_page_with_code_state_and_issuer(signed_in, app, ada):
    place, told = sent_to(allow(signed_in))
    assert place == CALLBACK
    assert (told.keys(), told["state"], told["iss"]) == (
        {"code", "state", "iss"},
        "a b&c=d",
        "https://id.example",
    )
    row = AuthorizationCode.objects.get()
    assert (row.client, row.user, row.login) == (app, ada, DeviceSession.objects.get())
    assert (row.redirect_uri, row.scope, row.resources) == (CALLBACK, "orders:read", [API])
    assert told["code"] not in vars(row).values()


def test_refusing_tells_the_client_so(signed_in, app):
    response = signed_in.post(url(), {"decision": "deny"})
    assert response.status_code == HTTPStatus.OK
    _place, told = sent_to(response)
    assert (told["error"], told["iss"], told["state"]) == ("access_denied", "https://id.example", "a b&c=d")
    assert not Consent.objects.exists()


def test_a_form_without_an_answer_asks_again(signed_in, app):
    assert "Allow" in signed_in.post(url(), {}).content.decode()
    assert not AuthorizationCode.objects.exists()


def test_the_form_needs_djangos_token(ada, password, app):
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(ada)
    assert allow(browser).status_code == HTTPStatus.FORBIDDEN
    assert not AuthorizationCode.objects.exists()


# Remembered


def test_consent_is_remembered_and_a_link_is_answered_by_a_redirect(signed_in, app):
    allow(signed_in)
    response = signed_in.get(url())
    assert response.status_code == HTTPStatus.FOUND
    assert sent_to(response)[1].keys() == {"code", "state", "iss"}


@pytest.mark.parametrize(
    "changes",
    [
        {"scope": "orders:read orders:write"},
        {"prompt": "consent"},
        {"resource": ["https://mail.example/"], "scope": "mail"},
    ],
)
def test_more_than_was_allowed_is_asked_about(changes, signed_in, make_client):
    make_client("reader", resources=[API, "https://mail.example/"], scope="orders:read orders:write mail")
    allow(signed_in, url(resource=[API]))
    assert signed_in.get(url(**{"resource": [API], **changes})).status_code == HTTPStatus.OK
    assert AuthorizationCode.objects.count() == 1


def test_no_code_is_made_for_who_reads_no_answer(signed_in, app):
    allow(signed_in)
    assert signed_in.head(url()).status_code == HTTPStatus.METHOD_NOT_ALLOWED
    assert AuthorizationCode.objects.count() == 1


def test_less_than_was_allowed_is_not(signed_in, app):
    allow(signed_in, url(scope="orders:read orders:write"))
    assert signed_in.get(url(scope="orders:write")).status_code == HTTPStatus.FOUND


def test_what_is_allowed_later_is_added(signed_in, app):
    allow(signed_in, url(scope="orders:read"))
    allow(signed_in, url(scope="orders:write"))
    assert signed_in.get(url(scope="orders:read orders:write")).status_code == HTTPStatus.FOUND


def test_another_users_consent_counts_for_nothing(signed_in, app, bob):
    allow(signed_in)
    other = Client()
    other.force_login(bob)
    assert other.get(url()).status_code == HTTPStatus.OK


@pytest.mark.parametrize("uri", ["http://127.0.0.1/done", "com.example.app:/done"])
@pytest.mark.parametrize("trusted", [False, True])
def test_a_program_on_the_computer_is_always_asked_about(uri, trusted, signed_in, make_client):
    """Any other program there could pass for it (RFC 8252 §8.6)."""
    make_client("native", auth_method="none", redirect_uris=[uri], trusted=trusted)
    asked = url(client_id="native", redirect_uri=uri)
    assert sent_to(allow(signed_in, asked))[0] == uri
    assert signed_in.get(asked).status_code == HTTPStatus.OK


def test_a_trusted_client_is_not_asked_about(signed_in, make_client):
    make_client("reader", trusted=True)
    assert signed_in.get(url()).status_code == HTTPStatus.FOUND
    assert not Consent.objects.exists()


# A1: never a redirect


@pytest.mark.parametrize(
    "changes",
    {
        "no client": {"client_id": None},
        "an unknown one": {"client_id": "nobody"},
        "two": {"client_id": ["reader", "reader"]},
        "no place": {"redirect_uri": None},
        "two places": {"redirect_uri": [CALLBACK, CALLBACK]},
        "another": {"redirect_uri": "https://app.example/callback/"},
        "another's": {"redirect_uri": "https://evil.example/"},
        "longer": {"redirect_uri": CALLBACK + "?x=1"},
        "a script": {"redirect_uri": "javascript:alert(1)"},
        "nul": {"client_id": "reader\0"},
    }.items(),
    ids=lambda item: item[0],
)
def test_who_would_be_sent_somewhere_uncertain_sees_a_page(changes, signed_in, app):
    for send in (signed_in.get, signed_in.post):
        response = send(url(**changes[1]))
        assert response.status_code == HTTPStatus.BAD_REQUEST
        assert "Location" not in response
        assert "http-equiv" not in response.content.decode()


def test_a_disabled_client_is_told_to_nobody(signed_in, make_client):
    make_client("reader", disabled_at=timezone.now())
    assert signed_in.get(url()).status_code == HTTPStatus.BAD_REQUEST


def test_what_a_stranger_sent_is_not_believed_on_our_page(signed_in, app):
    page = signed_in.get(url(client_id="<script>alert(1)</script>"))
    assert "<script>alert" not in page.content.decode()


# A2-A5: the client is told


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"response_type": None}, "invalid_request"),
        ({"code_challenge": None}, "invalid_request"),
        ({"code_challenge_method": None}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"scope": ["orders:read", "mail"]}, "invalid_request"),
        ({"scope": "mail"}, "invalid_scope"),
        ({"resource": "https://mail.example/"}, "invalid_target"),
        ({"resource": "https://id.example"}, "invalid_target"),
        ({"request": "x"}, "request_not_supported"),
        ({"request_uri": "https://app.example/r"}, "request_uri_not_supported"),
        ({"response_mode": "fragment"}, "invalid_request"),
    ],
)
def test_the_client_is_told_what_is_wrong_before_anybody_is_asked(changes, error, signed_in, app):
    response = signed_in.get(url(**changes))
    assert response.status_code == HTTPStatus.FOUND
    place, told = sent_to(response)
    assert (place, told["error"], told["iss"], told["state"]) == (
        CALLBACK,
        error,
        "https://id.example",
        "a b&c=d",
    )
    assert sent_to(signed_in.post(url(**changes), {"decision": "allow"}))[1]["error"] == error
    assert not AuthorizationCode.objects.exists()


def test_without_a_state_none_is_sent_back(signed_in, app):
    assert sent_to(allow(signed_in, url(state=None)))[1].keys() == {"code", "iss"}


# Who is asked


def test_whoever_is_not_signed_in_signs_in_first_and_goes_on_by_a_page(app, ada, password):
    """The login page's form may lead to no other origin under form-action 'self', nor may what follows it."""
    allow_first = Client()
    allow_first.force_login(ada)
    allow(allow_first)
    browser = Client()
    login = browser.get(url())["Location"]
    assert urlsplit(login).path == "/account/login/"
    form = {"username": ada.get_username(), "password": password}
    back = browser.post(login, form | {"next": parse_qs(urlsplit(login).query)["next"][0]})["Location"]
    answer = browser.get(back)
    assert answer.status_code == HTTPStatus.OK
    assert sent_to(answer)[1].keys() == {"code", "state", "iss"}


@pytest.mark.parametrize("send", ["get", "post"])
def test_nobody_consents_after_their_session_has_ended(send, signed_in, app, ada):
    end_user_sessions(ada, "kicked")
    response = getattr(signed_in, send)(url(), {"decision": "allow"} if send == "post" else {})
    if send == "get":
        response = signed_in.get(url())
    assert urlsplit(response["Location"]).path == "/account/login/"
    assert not AuthorizationCode.objects.exists()


def test_a_page_that_the_first_user_left_open_grants_nothing_of_theirs(signed_in, app, ada, bob):
    """A6: it is judged with whoever is signed in when the form arrives."""
    signed_in.get(url())
    signed_in.logout()
    signed_in.force_login(bob)
    allow(signed_in)
    assert {code.user for code in AuthorizationCode.objects.all()} <= {bob}


def test_silence_is_kept_where_the_client_asks_for_it(app, ada, signed_in):
    assert sent_to(Client().get(url(prompt="none")))[1]["error"] == "login_required"
    assert sent_to(signed_in.get(url(prompt="none")))[1]["error"] == "consent_required"
    allow(signed_in)
    assert "code" in sent_to(signed_in.get(url(prompt="none")))[1]


def test_a_fresh_login_may_be_demanded(app, signed_in, password):
    allow(signed_in)
    for changes in ({"prompt": "login"}, {"max_age": "60"}):
        DeviceSession.objects.update(auth_time=timezone.now() - timedelta(minutes=5))
        to_confirm = signed_in.get(url(**changes))["Location"]
        assert urlsplit(to_confirm).path == "/account/confirm/"
        confirmed = signed_in.post(to_confirm, {"password": password})
        assert "code" in sent_to(signed_in.get(confirmed["Location"]))[1]


def test_a_login_without_a_device_session_can_allow_nothing(app, ada, settings):
    settings.AUTHX_BIND_DJANGO_LOGIN = False
    browser = Client()
    browser.force_login(ada)
    assert browser.get(url()).status_code == HTTPStatus.FORBIDDEN
    assert sent_to(browser.get(url(prompt="none")))[1]["error"] == "access_denied"


# Statements and outages


def test_statements(signed_in, app):
    signed_in.get(url())
    assert statements(lambda: signed_in.get(url())) == 3  # session and user, client, consent
    allow(signed_in)
    assert statements(lambda: allow(signed_in)) == 4  # and the code


def statements(act):
    """Count all but those that read Django's own session, as every page of the site does."""
    with CaptureQueriesContext(connection) as captured:
        act()
    return sum("session_data" not in query["sql"] for query in captured)


@pytest.mark.django_db(transaction=True)
def test_an_outage_is_no_refusal(signed_in, app):
    with outage():
        response = signed_in.get(url())
    assert response.status_code == HTTPStatus.SERVICE_UNAVAILABLE
