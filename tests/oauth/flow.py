"""What a client does: ask for a code, and fetch tokens."""

import base64
from urllib.parse import urlencode

from django.test import Client

from tests.oauth.conftest import CALLBACK, SECRET, VERIFIER
from tests.oauth.test_authorize import allow, sent_to, url

TOKEN = "/oauth/token/"
FORM = "application/x-www-form-urlencoded"


def basic(client_id="reader", secret=SECRET):
    return {"Authorization": "Basic " + base64.b64encode(f"{client_id}:{secret}".encode()).decode()}


def post(form, headers=None, **options):
    """Post a form to the token endpoint, as a client with no cookies."""
    body = form if isinstance(form, str) else urlencode(form, doseq=True)
    return Client().post(
        options.pop("path", TOKEN), body, content_type=FORM, headers=headers or {}, **options
    )


def code_of(browser, **changes):
    return sent_to(allow(browser, url(**changes)))[1]["code"]


def redemption(code, /, **changes):
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": CALLBACK,
        "code_verifier": VERIFIER,
    }
    return {name: value for name, value in {**form, **changes}.items() if value is not None}


def tokens_of(browser, **changes):
    answer = post(redemption(code_of(browser, **changes)), basic())
    assert answer.status_code == 200, answer.content
    return answer.json()
