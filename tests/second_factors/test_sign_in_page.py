"""Our login page with allauth's passkeys and providers on it, as docs/sign-in-page.md has it."""

import re
from html import unescape

import pytest
from allauth.account.internal.userkit import user_id_to_str
from allauth.mfa.webauthn.internal.auth import WebAuthn
from django.test import Client
from fido2.utils import websafe_decode

from authx.models import DeviceSession
from tests.documented import documented
from tests.second_factors.passkey import Passkey

pytestmark = pytest.mark.django_db

LOGIN = "/account/login/"


@pytest.fixture
def page(settings):
    (engine,) = settings.TEMPLATES
    extended = {"authx/login.html": documented("sign-in-page.md", "html")}
    loaders = [
        ("django.template.loaders.locmem.Loader", extended),
        "django.template.loaders.app_directories.Loader",
    ]
    options = {**engine["OPTIONS"], "loaders": loaders}
    settings.TEMPLATES = [{**engine, "APP_DIRS": False, "OPTIONS": options}]

    def get(query=""):
        browser = Client(headers={"X-Forwarded-Proto": "https"})
        response = browser.get(f"{LOGIN}{query}")
        assert response.status_code == 200
        return browser, unescape(response.content.decode())

    return get


def test_both_stand_below_the_form(page):
    _browser, text = page()
    ways = text.split('<div class="authx-ways">')[1]
    assert ways.startswith('<p class="authx-or">or</p>')
    assert re.search(r'<button[^>]* form="mfa_login" id="passkey_login">\s*<svg', ways)
    assert "Sign in with a passkey" in ways
    assert "Sign in with Dummy" in ways
    assert text.count("authx-or") == 1
    assert 'name="username"' in text.split('<div class="authx-ways">')[0]


def test_it_keeps_to_a_strict_policy(page):
    """A script of another type than JavaScript's is data, which no policy is asked about."""
    _browser, text = page()
    for attributes, content in re.findall(r"<script([^>]*)>(.*?)</script>", text, re.DOTALL):
        assert 'src="' in attributes or 'type="application/json"' in attributes or not content.strip()
    assert not re.search(r"<style|\s(?:style|on\w+)=", text)


def test_the_provider_signs_in_and_leads_on(page):
    browser, text = page("?next=/whoami/")
    action = re.search(r'<form method="post" action="([^"]*dummy[^"]*)"', text)[1]
    response = browser.post(action)
    assert response.status_code == 302
    fields = {"id": "1", "email": "eve@example.com", "email_verified": "on"}
    response = browser.post(response["Location"], fields)
    assert (response.status_code, response["Location"]) == (302, "/whoami/")
    assert DeviceSession.objects.live().count() == 1


def test_the_passkey_signs_in_and_leads_on(page, ada):
    key = Passkey()
    WebAuthn.add(ada, "Laptop", key.registration())
    browser, text = page("?next=/whoami/")
    form = re.search(r'<form id="mfa_login" action="([^"]+)"', text)
    assert form
    assert re.search(r'name="next" value="/whoami/" form="mfa_login"', text)
    assert browser.get(form[1], headers={"Accept": "application/json"}).json()["request_options"]
    challenge = websafe_decode(browser.session["mfa.webauthn.state"]["challenge"])
    sent = {"credential": key.answer(challenge, user_id_to_str(ada)), "next": "/whoami/"}
    response = browser.post(form[1], sent)
    assert (response.status_code, response["Location"]) == (302, "/whoami/")
    assert DeviceSession.objects.live().get().user == ada
