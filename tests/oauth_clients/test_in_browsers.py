"""An app that is nothing but a page of another origin, in real browsers: the consent page, and CORS."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from django.test import Client

from authx.models import Consent, DeviceSession

pytestmark = pytest.mark.django_db(transaction=True)


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


@contextmanager
def serving(folder):
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def app(site, register):
    """The URL at which the app is opened; it has no server but for its files."""
    with serving(Path(__file__).parent / "page_app") as origin:
        callback = f"{origin}/index.html"
        client_id, _ = register(auth_method="none", redirect_uris=[callback], origins=[origin])
        yield f"{callback}#{json.dumps({'issuer': site.url, 'client_id': client_id})}"


@pytest.fixture
def tab(chromium):
    context = chromium.new_context()
    yield context.new_page()
    context.close()


def sign_in(tab, ada, password):
    tab.get_by_label("Username").fill(ada.get_username())
    tab.get_by_label("Password").fill(password)
    tab.get_by_role("button", name="Sign in").click()


def told(tab):
    """What the app says in the end."""
    tab.wait_for_selector("#told:not(:empty)")
    return json.loads(tab.text_content("#told"))


def test_from_the_apps_page_to_its_tokens(tab, app, site, ada, password):
    tab.goto(app)
    sign_in(tab, ada, password)
    tab.get_by_role("button", name="Allow", exact=True).click()
    found = told(tab)
    claims = [site.verified(token["access_token"]) for token in found["tokens"]]
    assert {each["sub"] for each in claims} == {str(ada.pk)}
    assert found["tokens"][0]["refresh_token"] != found["tokens"][1]["refresh_token"]
    assert found["issuer"] == site.url
    assert found["keys"] == Client().get("/.well-known/jwks.json").json()["keys"]
    assert found["revoked"] == 200
    assert DeviceSession.objects.get(client_id__gt="").end_reason == "logout"


def test_it_is_told_that_its_user_refuses(tab, app, ada, password):
    tab.goto(app)
    sign_in(tab, ada, password)
    tab.get_by_role("button", name="Do not allow").click()
    assert told(tab)["error"] == "access_denied"
    assert not Consent.objects.exists()


def test_somebody_else_signs_in_instead(tab, app, ada, bob, site, password):
    tab.goto(app)
    sign_in(tab, ada, password)
    tab.get_by_role("button", name="Not ada").click()
    sign_in(tab, bob, password)
    tab.get_by_role("button", name="Allow", exact=True).click()
    assert site.verified(told(tab)["tokens"][0]["access_token"])["sub"] == str(bob.pk)
