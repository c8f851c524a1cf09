"""A client that is generated from the schema in the documentation logs in, refreshes and lists."""

import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from authx.sessions import end_session
from authx.sessions.queries import find_session
from tests.documented import documented, with_changes

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]

SCHEMA = Path(__file__).parents[2] / "docs" / "openapi.yaml"


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """The folder with the package, made by the command of the documentation."""
    pytest.importorskip("openapi_python_client", reason="openapi-python-client is not installed")
    found = tmp_path_factory.mktemp("client")
    install, generate = documented("openapi.md", "sh", "generate").strip().splitlines()
    assert install == "pip install openapi-python-client"
    program, *words = with_changes(generate, {"docs/openapi.yaml": str(SCHEMA)}).split()
    assert program == "openapi-python-client"
    command = [sys.executable, "-m", "openapi_python_client", *words]
    done = subprocess.run(command, cwd=found, capture_output=True, text=True, env=environment())
    assert done.returncode == 0, done.stdout + done.stderr
    return found


def environment():
    return {**os.environ, "PYTHONWARNINGS": "ignore", "PYTHONPATH": os.pathsep.join(sys.path)}


@pytest.fixture
def generated(place, monkeypatch):
    """The package; its modules are imported by their names."""
    monkeypatch.syspath_prepend(str(place))
    yield lambda name: importlib.import_module(f"demo_client.{name}")
    for name in [name for name in sys.modules if name.partition(".")[0] == "demo_client"]:
        del sys.modules[name]


def test_it_does_what_the_documentation_says(place, live_server, ada, password):
    script = documented("openapi.md", "python", "demo_client")
    script = with_changes(script, {"http://127.0.0.1:8000": live_server.url, "ada-demo": password})
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, cwd=place, capture_output=True, text=True, env=environment())
    assert done.returncode == 0, done.stderr
    assert "(this one)" in done.stdout


def test_it_logs_in_refreshes_and_lists(generated, live_server, ada, password):
    models, client = generated("models"), generated("client")
    refresh = generated("api.auth.auth_refresh_create")
    with client.Client(base_url=live_server.url) as nobody:
        tokens = logged_in(generated, nobody, password)
        tokens = refresh.sync(client=nobody, body=models.AuthxRefresh(refresh_token=tokens.refresh_token))
    listed = generated("api.auth.auth_sessions_list")
    with client.AuthenticatedClient(base_url=live_server.url, token=tokens.access_token) as user:
        (session,) = listed.sync(client=user)
        assert (session.id, session.current, session.device.name) == (tokens.session_id, True, "Laptop")
        end_session(find_session(tokens.session_id), "kicked")
        refused = listed.sync(client=user)
    assert isinstance(refused, models.AuthxRefused)
    assert (refused.code, refused.reason) == (
        models.AuthxRefusedCode.SESSION_ENDED,
        models.AuthxEndReason.KICKED,
    )


def logged_in(generated, nobody, password):
    """The tokens of a login, after one that is refused."""
    models, log_in = generated("models"), generated("api.auth.auth_login_create")
    device = models.AuthxClaimedDevice(name="Laptop")
    entry = models.AuthxPasswordLogin(username="ada", password="wrong", device=device)
    refused = log_in.sync(client=nobody, body=entry)
    assert (type(refused), refused.code) == (models.AuthxError, "invalid_credentials")
    entry.password = password
    tokens = log_in.sync(client=nobody, body=entry)
    assert isinstance(tokens, models.AuthxTokens)
    return tokens
