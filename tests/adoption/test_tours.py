"""What the README and the API's page send by curl, against the demo as they start it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys

import pytest

from tests.adoption.test_adopting import README, ROOT, environment
from tests.documented import documented
from tests.processes import free_port, stop, wait_until_up

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not all(map(shutil.which, ("bash", "curl"))), reason="there is no bash, or no curl"),
]


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """The port of a demo with a database of its own."""
    folder, port = tmp_path_factory.mktemp("demo"), free_port()
    command = [sys.executable, str(ROOT / "manage.py"), "demo", "--port", str(port)]
    variables = environment() | {"DEMO_DATABASE": str(folder / "demo.sqlite3")}
    with (folder / "log").open("w") as log:
        server = subprocess.Popen(command, cwd=ROOT, env=variables, stdout=log, stderr=log)
    try:
        wait_until_up(server, port, folder / "log")
        yield port
    finally:
        stop(server)


def sent(script, port):
    """What the lines of a shell block print."""
    command = ["bash", "-euo", "pipefail", "-c", script.replace("127.0.0.1:8000", f"127.0.0.1:{port}")]
    done = subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines()


def test_the_journey_of_the_readme(demo):
    (script,) = [
        text for text in re.findall(r"^```bash\n(.*?)^```$", README, re.M | re.S) if "phone-1" in text
    ]
    hello, kicked, refused = map(json.loads, sent(script, demo))
    assert (hello["hello"], kicked, refused["reason"]) == ("ada", {"ended": 1}, "kicked")


def test_the_tour_of_the_api(demo):
    script = documented("api.md", "bash", "/staff/users/")
    hello, sessions, renamed, gone, phone, staff, ended, refused, out, bob, page, off = sent(script, demo)
    assert (json.loads(hello)["hello"], json.loads(bob)["hello"]) == ("ada", "bob")
    assert len(json.loads(sessions)) >= 2
    assert json.loads(renamed)["device"]["name"] == "My phone"
    assert (gone, json.loads(phone)["reason"]) == ("204", "ended_by_user")
    assert json.loads(sessions)[0]["id"] in {each["id"] for each in json.loads(staff)}
    assert json.loads(ended)["ended"] >= 1
    assert json.loads(refused)["reason"] == "kicked"
    assert (out, page, off) == ("204", "200", "204")
