"""docs/deployment.md, followed to the letter."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from configparser import ConfigParser
from contextlib import closing, contextmanager, suppress
from http.client import HTTPConnection
from pathlib import Path

import pytest
from django.core.management.utils import get_random_secret_key
from django.test import RequestFactory

from authx.gate.fingerprint import AGREED_SETTINGS, parts
from authx.http.client_address import client_ip
from tests.documented import DOCS, documented, with_changes
from tests.processes import free_port, wait_for, wait_until_up
from tests.served import ROOT, database_here

PAGE = "deployment.md"
UNITS = ["bin/gunicorn", "bin/uvicorn", "authx_prune", "OnCalendar"]
#: What Django says of HSTS, which the page leaves to the site.
ABOUT_HSTS = {"security.W005", "security.W021"}

AS_STARTPROJECT_HAS_THEM = """
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    *MIDDLEWARE,
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
"""
WSGI = """
import os
from django.core.wsgi import get_wsgi_application
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "settings_of_test")
application = get_wsgi_application()
"""


@pytest.fixture
def site(tmp_path):
    """A site with the page's settings and URLs: its folder, and the environment of its processes."""
    settings = documented(PAGE, "python", "SECURE_SSL_REDIRECT")
    lines = ["from tests.settings.base import *", settings, "ROOT_URLCONF = 'urls_of_test'"]
    lines += [AS_STARTPROJECT_HAS_THEM, f"STATIC_ROOT = {str(tmp_path / 'static')!r}\n"]
    (tmp_path / "settings_of_test.py").write_text("\n\n".join(lines))
    urls = with_changes(
        documented(PAGE, "python", "def alive"),
        {"    # ... and your own\n": '    path("api/auth/", include("authx.api.urls")),\n'},
    )
    (tmp_path / "urls_of_test.py").write_text(urls)
    (tmp_path / "wsgi_of_test.py").write_text(WSGI)
    (tmp_path / "asgi_of_test.py").write_text(WSGI.replace("wsgi", "asgi"))
    shutil.copy(ROOT / "manage.py", tmp_path)
    return tmp_path, {
        **{name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "COV_"))},
        "DJANGO_SETTINGS_MODULE": "settings_of_test",
        "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT), *filter(None, sys.path)]),
        "SECRET_KEY": get_random_secret_key(),
    }


def unit(holding):
    found = ConfigParser(interpolation=None, delimiters=("=",), strict=True)
    found.optionxform = str
    found.read_string(documented(PAGE, "ini", holding))
    return found


def command(line, **changes):
    """The words of a command line on the page, for the site of the test."""
    words = [changes.get(word, word) for word in (line if isinstance(line, list) else shlex.split(line))]
    program = Path(words[0]).name
    return [sys.executable, *([] if program == "python" else ["-m", program]), *words[1:]]


@contextmanager
def running(words, site, port, **more):
    folder, environment = site
    with open(folder / "server.log", "wb") as log:
        process = subprocess.Popen(
            words, cwd=folder, env={**environment, **more}, stdout=log, stderr=log, start_new_session=True
        )
        try:
            wait_until_up(process, port, folder / "server.log")
            yield process
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(10)


def ask(port, method, path, body=None, **headers):
    client = HTTPConnection("127.0.0.1", port, timeout=20)
    with closing(client):
        octets = None if body is None else json.dumps(body)
        headers = {"Host": "your.site", **headers} | ({"Content-Type": "application/json"} if body else {})
        client.request(method, path, octets, headers)
        answer = client.getresponse()
        return answer.status, answer.read()


def is_ready(port):
    """Whether it says so; on a busy machine a server that comes up lets the first request wait."""
    with suppress(OSError):
        return ask(port, "GET", "/.well-known/authx-ready")[0] == 200


@pytest.mark.slow
def test_the_checks_have_nothing_to_say_about_a_site_with_these_settings(site):
    folder, environment = site
    environment["REDIS_URL"], environment["DATABASE_PASSWORD"] = "redis://127.0.0.1:6379/0", "one"
    caches = documented(PAGE, "python", "CACHES = ").partition("DATABASES = ")[0]
    with open(folder / "settings_of_test.py", "a") as settings:
        settings.write(caches)
    done = subprocess.run(
        [sys.executable, "manage.py", "check", "--deploy"],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert set(re.findall(r"\((\w+\.[WE]\d+)\)", done.stderr)) <= ABOUT_HSTS


def test_the_databases_block_is_what_django_takes(monkeypatch):
    for name in ("REDIS_URL", "DATABASE_PASSWORD"):
        monkeypatch.setenv(name, "given")
    names = {"os": os}
    exec(documented(PAGE, "python", "DATABASES = "), names)
    assert names["DATABASES"]["default"]["PASSWORD"] == "given"
    assert names["CACHES"]["default"]["LOCATION"] == "given"


@pytest.mark.parametrize("holding", UNITS)
def test_a_unit_is_one(holding, tmp_path):
    found = unit(holding)
    assert set(found.sections()) <= {"Unit", "Service", "Timer", "Install"}
    if "Service" in found:
        words = shlex.split(found["Service"]["ExecStart"])
        assert Path(words[0]).is_absolute()
        assert found["Service"]["User"] == "site"


@pytest.mark.parametrize("holding", UNITS)
def test_systemd_knows_every_line_of_a_unit(holding, tmp_path):
    """Where it is installed; a machine without it has only been shown that the units can be read."""
    analyze = shutil.which("systemd-analyze")
    kind = "timer" if holding == "OnCalendar" else "service"
    text = documented(PAGE, "ini", holding)
    if kind == "service":
        started = shlex.split(unit(holding)["Service"]["ExecStart"])[0]
        text = with_changes(text, {started: sys.executable, "User=site": "User=root"})
    else:
        (tmp_path / "site-prune.service").write_text("[Service]\nType=oneshot\nExecStart=/bin/true\n")
    path = tmp_path / f"site-prune.{kind}"
    path.write_text(text)
    if analyze is not None:
        command = [analyze, "verify", "--man=no", path]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert [line for line in done.stderr.splitlines() if path.name in line] == []


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("server", ["gunicorn", "uvicorn"])
def test_a_server_serves_as_its_unit_says_and_stops_when_it_is_told(server, site, ada, password):
    pytest.importorskip(server, reason=f"{server} is not installed")
    port = free_port()
    line = unit(f"bin/{server}")["Service"]["ExecStart"]
    changes = {
        "mysite.wsgi": "wsgi_of_test",
        "mysite.asgi:application": "asgi_of_test:application",
        "127.0.0.1:8000": f"127.0.0.1:{port}",
        "8000": str(port),
        "4": "2",
    }
    words = command(line, **changes)
    assert str(port) in " ".join(words)
    with running(words, site, port, **database_here()) as process:
        wait_for(lambda: is_ready(port))
        assert ask(port, "GET", "/alive") == (200, b"alive")
        assert ask(port, "GET", "/alive", Host="127.0.0.1")[0] == 400  # why probes need the header
        https = {"X-Forwarded-Proto": "https", "X-Forwarded-For": "192.0.2.1, 198.51.100.7"}
        body = {"username": "ada", "password": password}
        assert ask(port, "POST", "/api/auth/login/", body)[0] == 301
        status, answer = ask(port, "POST", "/api/auth/login/", body, **https)
        assert status == 200
        token = {"refresh_token": json.loads(answer)["refresh_token"]}
        assert ask(port, "POST", "/api/auth/refresh/", token, **https)[0] == 200
        assert {session.ip for session in ada.device_sessions.all()} == {"198.51.100.7"}
        check = docker()["HEALTHCHECK"].removeprefix("CMD ")
        run = [sys.executable, *json.loads(check)[1:]]
        assert subprocess.run([word.replace(":8000/", f":{port}/") for word in run]).returncode == 0
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) in {0, -signal.SIGTERM}


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_the_nightly_command_runs_as_its_unit_says(site, ada):
    folder, environment = site
    line = unit("authx_prune")["Service"]["ExecStart"]
    done = subprocess.run(
        command(line), cwd=folder, env={**environment, **database_here()}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "deleted" in done.stdout


def docker():
    """The instructions of the Dockerfile; those that come more than once are lists."""
    found = {}
    for line in documented(PAGE, "dockerfile").splitlines():
        name, _, rest = line.partition(" ")
        found.setdefault(name, []).append(rest)
    return {name: lines[0] if len(lines) == 1 else lines for name, lines in found.items()}


def test_the_image_runs_as_nobody_in_particular_and_holds_no_secret():
    found = docker()
    assert set(found) == {
        *("FROM", "ENV", "WORKDIR", "RUN", "COPY", "USER", "EXPOSE", "HEALTHCHECK", "CMD"),
    }
    made = next(line for line in found["RUN"] if line.startswith("useradd "))
    assert found["USER"] == made.split()[-1] == "site"
    assert "SECRET" not in found["ENV"]
    assert list(docker()).index("USER") < list(docker()).index("CMD")
    started = json.loads(found["CMD"])
    unit_words = shlex.split(unit("bin/gunicorn")["Service"]["ExecStart"])
    options = {word for word in started if word.startswith("--")}
    assert (started[0], started[1]) == (Path(unit_words[0]).name, unit_words[1])
    assert options <= set(unit_words)
    assert started[started.index("--bind") + 1].endswith(f":{found['EXPOSE']}")


@pytest.mark.slow
def test_the_image_collects_static_files_without_a_database(site):
    folder, environment = site
    (line,) = [line for line in docker()["RUN"] if "collectstatic" in line]
    python = f"{shlex.quote(sys.executable)} manage.py"
    environment.pop("SECRET_KEY")
    with open(folder / "settings_of_test.py", "a") as settings:
        settings.write(documented(PAGE, "python", "DATABASES = "))
    done = subprocess.run(
        with_changes(line, {"python manage.py": python}),
        shell=True,
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert (folder / "static" / "authx").is_dir()


def proxies():
    """What arrives from each kind of proxy, and the number that the table says."""
    _, _, rest = (DOCS / PAGE).read_text().partition("| before the site |")
    for line in rest.splitlines()[2:]:
        if not line.startswith("|"):
            return
        who, arrives, number = (cell.strip() for cell in line[1:-1].split("|"))
        yield pytest.param(arrives.strip("`"), int(number.strip("`")), id=who)


@pytest.mark.parametrize(("arrives", "number"), list(proxies()))
def test_the_number_of_proxies_finds_the_client_whatever_it_sent(arrives, number, settings):
    settings.AUTHX_TRUSTED_PROXIES = number
    names = {"client": "198.51.100.7", "edge": "2a09:8280:1::1", "inside": "10.19.6.53"}
    appended = [names.get(name, "172.70.247.28") for name in filter(None, arrives.split(", "))]
    assert len(appended) == number
    for sent in ([], ["192.0.2.1"], ["192.0.2.1", "192.0.2.2", "unknown"]):
        request = RequestFactory().get("/", REMOTE_ADDR="127.0.0.1" if number else "198.51.100.7")
        if sent or appended:
            request.META["HTTP_X_FORWARDED_FOR"] = ", ".join([*sent, *appended])
        assert client_ip(request) == "198.51.100.7"


def test_what_must_agree_is_what_the_fingerprint_has():
    text = (DOCS / PAGE).read_text().partition("## Processes that must agree")[2]
    rows = [line for line in text.splitlines() if line.startswith("| ") and "---" not in line]
    named = {name for row in rows for name in re.findall(r"`([A-Z_]+)`", row)}
    assert named <= set(parts()) | {"SECRET_KEY_FALLBACKS"}
    rest = {f"AUTHX_{name}" for name in AGREED_SETTINGS} - named
    grouped = {name for name in rest if "COOKIE" in name or "LIFETIME" in name or name.endswith("_URL")}
    assert rest == grouped


def test_the_probes_for_kubernetes_are_yaml_and_ask_what_there_is():
    yaml = pytest.importorskip("yaml", reason="PyYAML is not installed")
    found = yaml.safe_load(documented(PAGE, "yaml"))
    paths = {name: probe["httpGet"]["path"] for name, probe in found.items()}
    assert paths == {"livenessProbe": "/alive", "readinessProbe": "/.well-known/authx-ready"}
    for probe in found.values():
        assert probe["httpGet"]["httpHeaders"] == [{"name": "Host", "value": "your.site"}]
