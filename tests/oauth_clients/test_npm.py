"""openid-client and oauth4webapi, of npm."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import jwt
import pytest

from authx.models import ServiceClient
from authx.sessions import open_session
from tests.clients import granted
from tests.oauth_clients.browser import parameters
from tests.oauth_clients.conftest import API, CALLBACK, KEY_ID

STOCK, SCOPE = "https://stock.example/", "orders:read"
PACKAGES = {"openid-client": "with_openid_client.mjs", "oauth4webapi": "with_oauth4webapi.mjs"}


pytestmark = pytest.mark.slow  # a process of node each


@pytest.fixture(params=PACKAGES)
def package(request):
    return request.param


@pytest.fixture
def run(package, site, browser):
    """Let the package do one thing; return what it says about it."""
    node, folder = shutil.which("node"), os.environ.get("AUTHX_TEST_NPM")
    if node is None or folder is None:
        pytest.skip(
            "AUTHX_TEST_NPM names no folder into which tests/client/package.json was installed, or no node"
        )
    modules = Path(folder) / "node_modules"
    command = [node, str(Path(__file__).with_name(PACKAGES[package])), str(modules)]

    def steps(step, client, *, method="client_secret_basic", **others):
        client_id, secret = client
        given = {
            "issuer": site.url,
            "step": step,
            "client_id": client_id,
            "secret": secret,
            "method": method,
            "redirect_uri": CALLBACK,
            "scope": SCOPE,
            "resource": API,
            "audience": STOCK,
            **others,
        }
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            print(json.dumps(given), file=process.stdin, flush=True)
            for line in process.stdout:
                ((action, value),) = json.loads(line).items()
                if action == "done":
                    return value
                print(json.dumps(getattr(browser, action)(value)), file=process.stdin, flush=True)
        raise AssertionError(f"it has ended with {process.returncode}")

    return steps


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post", "none", "private_key_jwt"])
def test_from_a_code_to_the_end(method, site, register, key, jwks, run):
    fields = {"private_key_jwt": {"auth_method": method, "jwks": jwks}, "none": {"auth_method": "none"}}
    private = {**json.loads(jwt.algorithms.ECAlgorithm.to_jwk(key)), "kid": KEY_ID}
    client = register(**fields.get(method, {}))
    found = run("code", client, method=method, jwk=private)
    claims = [site.verified(token["access_token"]) for token in found["tokens"]]
    assert len({token["refresh_token"] for token in found["tokens"]}) == 3
    assert len({each["sid"] for each in claims}) == 1
    assert (claims[0]["scope"], claims[0]["client_id"]) == (SCOPE, client[0])
    if method != "none":
        assert (found["told"]["active"], found["told"]["sid"]) == (True, claims[0]["sid"])
        assert found["told_then"] == {"active": False}
    refused = found["refreshed_then"]
    assert (refused["error"], refused["status"]) == ("invalid_grant", 400)
    assert "has ended: logout" in refused["description"]
    if "claims" in found:
        assert found["claims"]["sid"] == claims[0]["sid"]
        assert found["elsewhere"]["code"] == "OAUTH_JWT_CLAIM_COMPARISON_FAILED"


def test_what_goes_wrong_is_told_as_its_own_error(register, run):
    found = run("wrong", register())
    denied, described = found["denied"], "the user has refused"
    assert (denied["code"], denied["error"], denied["description"]) == (
        "OAUTH_AUTHORIZATION_RESPONSE_ERROR",
        "access_denied",
        described,
    )
    for name in ("state", "issuer", "no_issuer"):
        assert found[name]["code"] == "OAUTH_INVALID_RESPONSE", (name, found[name])
    for name in ("verifier", "spent"):
        assert (found[name]["error"], found[name]["status"]) == ("invalid_grant", 400)
    if "scope" in found:
        assert found["scope"]["error"] == "invalid_scope"


def test_a_wrong_redirect_uri_leads_nowhere(site, register, browser, run):
    with pytest.raises(AssertionError) as refused:
        run("code", register(), redirect_uri="https://app.example/elsewhere")
    page = refused.value.args[0]
    assert (page.status, "redirect_uri" in page.text) == (400, True)
    assert parameters(page.url)["redirect_uri"] == "https://app.example/elsewhere"


def test_a_service_gets_its_own_token(site, services, run):
    found = run("own", services[0])
    assert "refresh_token" not in found["token"]
    assert site.verified(found["token"]["access_token"], STOCK)["sub"] == f"client:{services[0][0]}"
    assert (found["refused"]["error"], found["refused"]["status"]) == ("invalid_target", 400)


def test_it_exchanges_a_users_token(site, services, of_ada, run):
    found = run("exchange", services[0], subject_token=of_ada)
    claims = site.verified(found["token"]["access_token"], STOCK)
    assert claims["act"] == {"sub": f"client:{services[0][0]}"}
    assert claims["sid"] == site.verified(of_ada)["sid"]
    assert found["token"]["issued_token_type"] == "urn:ietf:params:oauth:token-type:access_token"
    assert found["refused"]["error"] == "invalid_target"


@pytest.fixture
def of_ada(register, ada):
    """An access token of an app that ada has let in."""
    client_id, _ = register()
    client = ServiceClient.objects.get(client_id=client_id)
    return granted(client, open_session(ada).session, audience=[API], scope=SCOPE).access_token
