"""Codes, verifiers, clients' secrets and assertions stand in no error report, log, row or repr (L1)."""

import logging
import sys
import time
from html import unescape
from secrets import token_urlsafe
from urllib.parse import urlencode

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from django.apps import apps
from django.core.signals import got_request_exception
from django.db import connection
from django.test import Client
from django.views.debug import ExceptionReporter

from authx.models import AuthorizationCode
from tests.issuer.test_client_authentication import jwk_of, signed
from tests.oauth.conftest import API, SECRET, VERIFIER
from tests.oauth.flow import FORM, TOKEN, basic, code_of, redemption, tokens_of
from tests.oauth.test_authorize import allow, sent_to, url

pytestmark = pytest.mark.django_db


@pytest.fixture
def said(caplog, monkeypatch):
    """What is logged from now on, what Django would mail of every error, and what it would show."""
    reports = []

    def report(sender, request, **kwargs):
        for is_email in (True, False):
            reporter = ExceptionReporter(request, *sys.exc_info(), is_email=is_email)
            reports.extend([reporter.get_traceback_html(), reporter.get_traceback_text()])

    got_request_exception.connect(report)
    caplog.set_level(logging.DEBUG)
    connection.force_debug_cursor = True
    yield lambda: unescape("\n".join([*reports, caplog.text, *rows()]))
    connection.force_debug_cursor = False
    got_request_exception.disconnect(report)


def rows():
    for model in apps.get_app_config("authx").get_models():
        yield from map(str, model.objects.values_list())


def crash(*args, **kwargs):
    raise ZeroDivisionError("the site's own code")


def post(form, headers):
    browser = Client(raise_request_exception=False)
    return browser.post(TOKEN, urlencode(form, doseq=True), content_type=FORM, headers=headers)


@pytest.mark.parametrize(
    "where", ["authx.oauth.pages.render", "authx.sessions.granting.tidying.after_commit"]
)
def test_a_code_whose_page_cannot_be_shown(where, signed_in, app, said, monkeypatch):
    kept = []
    monkeypatch.setattr("secrets.token_urlsafe", lambda *size: kept.append(token_urlsafe(*size)) or kept[-1])
    place = (
        "authx.oauth.pages.render" if where == "render" else "authx.sessions.granting.tidying.after_commit"
    )
    monkeypatch.setattr(place, crash)
    signed_in.raise_request_exception = False
    assert allow(signed_in).status_code == 500
    assert len(kept) >= 1
    found = said()
    assert "ZeroDivisionError" in found
    assert not [code for code in kept if code in found]


def test_a_redirect_that_fails(signed_in, app, said, monkeypatch):
    code = code_of(signed_in)
    monkeypatch.setattr("authx.oauth.authorize.issue_code", lambda *args: code)
    monkeypatch.setattr("authx.oauth.authorize._Redirect.__init__", crash)
    signed_in.raise_request_exception = False
    assert signed_in.get(url()).status_code == 500
    found = said()
    assert "ZeroDivisionError" in found
    assert code not in found


@pytest.mark.parametrize("grant", ["code", "refresh", "own"])
def test_what_a_token_request_holds(grant, signed_in, make_client, said, settings):
    make_client("reader", grant_types=["authorization_code", "refresh_token", "client_credentials"])
    held = tokens_of(signed_in)
    code = code_of(signed_in)
    settings.AUTHX_GRANT_CLAIMS = "tests.oauth.test_secrets.crash"
    form = {
        "code": redemption(code),
        "refresh": {"grant_type": "refresh_token", "refresh_token": held["refresh_token"]},
        "own": {"grant_type": "client_credentials", "resource": API},
    }[grant]
    assert post(form, basic()).status_code == 500
    assert post({**form, "client_id": "reader", "client_secret": SECRET}, {}).status_code == 500
    found = said()
    assert "ZeroDivisionError" in found
    for secret in (code, VERIFIER, SECRET, held["refresh_token"], held["access_token"]):
        assert secret not in found
    assert basic()["Authorization"].split()[1] not in found


def test_an_assertion(make_client, said, settings):
    private = ec.generate_private_key(ec.SECP256R1())
    client = make_client(
        "reader",
        auth_method="private_key_jwt",
        jwks={"keys": [jwk_of(private)]},
        grant_types=["client_credentials"],
    )
    kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
    made = [
        signed(private, client, aud="https://id.example", exp=int(time.time()) + 60, jti=f"number-{number}")
        for number in range(3)
    ]
    form = {"grant_type": "client_credentials", "resource": API, "client_assertion_type": kind}
    assert post({**form, "client_assertion": made[0]}, {}).status_code == 200
    assert post({**form, "client_assertion": made[0]}, {}).status_code == 401
    assert post({**form, "client_assertion": made[1][:-4]}, {}).status_code == 401
    settings.AUTHX_GRANT_CLAIMS = "tests.oauth.test_secrets.crash"
    assert post({**form, "client_assertion": made[2]}, {}).status_code == 500
    found = said()
    for assertion in made:
        assert assertion not in found
        assert assertion.rpartition(".")[2] not in found


def test_no_row_shows_what_it_is_good_for(signed_in, app):
    code = sent_to(allow(signed_in))[1]["code"]
    assert code not in repr(AuthorizationCode.objects.get())
    assert code not in "".join(rows())
