"""The code of docs/oauth.md, run as it stands: a site, and two services of which one calls the other."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from contextlib import ExitStack, contextmanager
from types import ModuleType
from urllib.error import HTTPError
from urllib.request import Request, urlopen
from wsgiref.simple_server import make_server

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from django.core.handlers.wsgi import WSGIHandler
from django.urls import path
from rest_framework.test import APIClient

from authx.checks.delegated_views import check_delegated_views
from authx.models import DeviceSession, ServiceClient
from authx.sessions import end_session, open_session
from tests.clients import granted, make_client, signed
from tests.gate.test_remote import Quiet, ThreadingServer
from tests.house.test_docs import FENCE, ROOT
from tests.processes import free_port, wait_for

PAGE = (ROOT / "docs" / "oauth.md").read_text()


def block(title):
    """The code that begins with a comment of this text."""
    (found,) = [text for _, text in FENCE.findall(PAGE) if text.startswith(f"# {title}")]
    return found


def run(title, **names):
    found = dict(names)
    exec(compile(block(title), title, "exec"), found)
    return found


# A service that calls another


@pytest.fixture
def site(transactional_db, settings):
    """The test site over HTTP, as an authorization server."""
    settings.ROOT_URLCONF = "tests.oauth_urls"
    server = make_server("127.0.0.1", 0, WSGIHandler(), ThreadingServer, Quiet)
    settings.AUTHX_ISSUER = f"http://127.0.0.1:{server.server_port}"
    settings.AUTHX_SCOPES = {"stock:read": "See what is in stock"}
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield settings.AUTHX_ISSUER
    server.shutdown()
    thread.join()
    server.server_close()


@contextmanager
def service(where, settings, views, urls, port):
    asked = {"settings": settings, "views": views, "urls": urls, "port": port}
    command = [sys.executable, "-m", "tests.documented_service"]
    with where.open("w") as log:
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": log}
        process = subprocess.Popen(command, cwd=ROOT, text=True, **pipes)
    try:
        process.stdin.write(json.dumps(asked))
        process.stdin.close()
        assert process.stdout.readline() == "ready\n", where.read_text()
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def with_credentials(settings, client, secret):
    *lines, last = settings.rstrip().splitlines()
    assert last.startswith("AUTHX_SERVICE_CREDENTIALS = ")
    return "\n".join([*lines, f"AUTHX_SERVICE_CREDENTIALS = {(client.client_id, secret)!r}"])


@pytest.fixture(params=["secret", "key"])
def services(request, site, tmp_path):
    """Both, and what they are at the site; ``orders`` proves itself by a secret, or by its key."""
    made = run("at the site: manage.py shell\nfrom authx.conf")
    ports = free_port(), free_port()
    hosts = {"https://shop.example": site, "https://stock.example": f"http://127.0.0.1:{ports[1]}"}

    def code(title):
        text = block(title)
        for host, real in hosts.items():
            text = text.replace(host, real)
        return text

    orders = with_credentials(code("orders/settings.py\n"), made["orders"], made["orders_secret"])
    if request.param == "key":
        orders += "\n" + by_key(made["orders"], code("orders/settings.py, instead"), tmp_path)
    stock = with_credentials(code("stock/settings.py"), made["stock"], made["stock_secret"])
    with ExitStack() as stack:
        paths = {"levels/": "Levels"}
        log = tmp_path / "stock.log"
        stack.enter_context(service(log, stock, code("stock/views.py"), paths, ports[1]))
        paths = {"orders/": "Orders", "reorder/": "reorder"}
        log = tmp_path / "orders.log"
        where = stack.enter_context(service(log, orders, code("orders/views.py"), paths, ports[0]))
        yield where, hosts["https://stock.example"], made, log


def by_key(client, line, tmp_path):
    """The setting for a key of the client's, which is registered in place of its secret."""
    key = ec.generate_private_key(ec.SECP256R1())
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (tmp_path / "orders.pem").write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    registered, secret = run("at the site: manage.py shell\nfrom authx.core.keys")["register"](public)
    assert secret is None
    ServiceClient.objects.filter(pk=client.pk).update(
        auth_method=registered.auth_method, jwks=registered.jwks, secret_hash=""
    )
    line = line.replace("service-...", client.client_id)
    return line.replace("/run/secrets/orders.pem", str(tmp_path / "orders.pem"))


def get(url, token=None):
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    try:
        with urlopen(Request(url, headers=headers), timeout=20) as answer:
            return answer.status, json.load(answer)
    except HTTPError as error:
        with error:
            return error.code, json.load(error)


@pytest.mark.databases("sqlite")
def test_a_service_calls_another_for_a_user_and_for_itself(services, ada, bob):
    orders, stock, made, log = services
    opened, other = open_session(ada), open_session(bob)
    caller = made["orders"].client_id
    for _ in range(2):
        told = {"for": str(ada.pk), "by": caller, "itself": False}
        assert get(f"{orders}/orders/", opened.access_token) == (200, {"levels": told}), log.read_text()
        assert get(f"{orders}/orders/", other.access_token)[1]["levels"]["for"] == str(bob.pk)
    itself = {"for": f"client:{caller}", "by": caller, "itself": True}
    assert get(f"{orders}/reorder/") == (200, itself), log.read_text()

    # What is for the one is not for the other, nor for the site.
    assert get(f"{stock}/levels/", opened.access_token)[0] == 401
    app = granted(make_client(), opened.session, audience=["stock"], scope="stock:read")
    assert get(f"{stock}/levels/", app.access_token)[0] == 200
    for_orders = signed(app.claims, aud=(made["orders"].audience,))
    assert get(f"{orders}/orders/", for_orders)[0] == 401
    narrow = granted(make_client("app-2"), opened.session, audience=["stock"], scope="other")
    assert get(f"{stock}/levels/", narrow.access_token)[1]["code"] == "insufficient_scope"

    # Ada is kicked, and bob is not.
    end_session(opened.session, "kicked")
    wait_for(lambda: get(f"{orders}/orders/", opened.access_token)[1].get("reason") == "kicked")
    assert get(f"{orders}/orders/", other.access_token)[0] == 200

    # The service's own session is ended, which its next call survives.
    (own,) = DeviceSession.objects.filter(device_type="service")
    end_session(own, "kicked")
    of_services = DeviceSession.objects.filter(device_type="service")
    wait_for(lambda: get(f"{orders}/reorder/") == (200, itself) and of_services.count() == 2)

    # The other one is disabled: no new token, and the view says so.
    from authx.issuer.clients import disable_client

    disable_client(made["stock"])
    fresh = open_session(ada)
    assert get(f"{orders}/orders/", fresh.access_token)[1]["code"] == "oauth_refused"


# An API that serves clients


@pytest.fixture
def shop(settings, db):
    for name, value in run("shop/settings.py").items():
        if name.isupper():
            setattr(settings, name, value)
    views = run("shop/views.py", __name__="shop.views")
    urls = ModuleType("urls")
    urls.urlpatterns = [
        path("orders/", views["Orders"].as_view()),
        path("cart/", views["Cart"].as_view()),
    ]
    settings.ROOT_URLCONF = urls
    return views["API"]


def test_an_api_serves_clients(shop, ada):
    assert check_delegated_views() == []
    login = open_session(ada)
    app = granted(make_client(), login.session, audience=[shop], scope="orders:read")
    buyer = granted(make_client("app-2"), login.session, audience=[shop], scope="orders:write")

    def ask(where, token):
        answer = APIClient().get(where, headers={"Authorization": f"Bearer {token}"})
        return answer.status_code, answer.json()

    assert ask("/orders/", app.access_token) == (200, {"user": ada.pk, "client": "app-1"})
    assert ask("/orders/", buyer.access_token)[1]["code"] == "insufficient_scope"
    assert ask("/orders/", login.access_token)[0] == 401
    assert ask("/cart/", login.access_token) == (200, {"user": ada.pk, "is_client": False})
    assert ask("/cart/", buyer.access_token) == (200, {"user": ada.pk, "is_client": True})
    assert ask("/cart/", app.access_token)[1]["code"] == "insufficient_scope"
