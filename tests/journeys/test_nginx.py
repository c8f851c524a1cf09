"""Behind a real nginx, configured as docs/nginx.md says: sockets, the live notice, addresses, logs."""

from __future__ import annotations

import datetime
import json
import os
import shutil
import socket
import ssl
import subprocess
import time
from contextlib import ExitStack, closing, contextmanager
from http.client import HTTPConnection

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from authx.conf import conf
from authx.models import DeviceSession
from authx.sessions import end_session
from tests.documented import documented, with_changes
from tests.processes import free_port, stop, wait_for, wait_until_up
from tests.served import SOON, Served, closed, database_here, lines, serving, settings_in

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]

HOST = "your.site"
#: Another address of this machine than the one that nginx asks from.
CLIENT = "127.0.0.2"

#: What Debian's nginx.conf has around the file of a site, and shorter limits than nginx's.
MAIN = """
{user}
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log info;
events {{ worker_connections 512; }}
http {{
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    proxy_read_timeout {read_timeout};
    include {folder}/your.site.conf;
}}
"""


class Behind(Served):
    """The site as it is seen through nginx."""

    def __init__(self, site, port, folder):
        self.server, self.log, self.port, self.folder = site.server, site.log, port, folder
        self.trust = ssl.create_default_context(cafile=str(folder / "your.site.pem"))

    @property
    def origin(self):
        return f"https://{HOST}:{self.port}"

    def reach(self):
        """A connection to nginx, from an address that is the client's."""
        return socket.create_connection(("127.0.0.1", self.port), 10, (CLIENT, 0))

    def connect(self, app="bare", **options):
        return super().connect(app, sock=self.reach(), ssl=self.trust, **options)

    def url(self, path):
        return f"wss://{HOST}:{self.port}{path}"

    def http(self):
        found = HTTPConnection(HOST, self.port, timeout=10)
        found.sock = self.trust.wrap_socket(self.reach(), server_hostname=HOST)
        return found

    def logged(self):
        return {name: (self.folder / name).read_text() for name in ("access.log", "error.log")}


def certify(folder):
    """A certificate of the host, signed by itself."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.datetime.now(datetime.UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, HOST)])
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(HOST)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    (folder / "your.site.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    kinds = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    (folder / "your.site.key").write_bytes(key.private_bytes(serialization.Encoding.PEM, *kinds))


def configure(folder, port, site_port, read_timeout):
    certify(folder)
    changes = {
        "listen 443": f"listen 127.0.0.1:{port}",
        "127.0.0.1:8000": f"127.0.0.1:{site_port}",
        "/etc/ssl/your.site.pem": f"{folder}/your.site.pem",
        "/etc/ssl/private/your.site.key": f"{folder}/your.site.key",
        "/var/log/nginx/your.site.log": f"{folder}/access.log",
        "location /ws/": "location /bare/",
    }
    (folder / "your.site.conf").write_text(with_changes(documented("nginx.md", "nginx"), changes))
    user = "user root;" if os.getuid() == 0 else ""  # its workers need a way into the folder
    (folder / "nginx.conf").write_text(MAIN.format(folder=folder, user=user, read_timeout=read_timeout))


def nginx():
    """Where it is: not everybody has Debian's folder of it on PATH."""
    return shutil.which("nginx", path=os.pathsep.join([os.environ["PATH"], "/usr/sbin"]))


@contextmanager
def running(folder, port):
    command = [nginx(), "-p", str(folder), "-c", str(folder / "nginx.conf"), "-e", str(folder / "error.log")]
    tested = subprocess.run([*command, "-t"], capture_output=True, text=True)
    assert tested.returncode == 0, tested.stderr
    process = subprocess.Popen(command)
    try:
        wait_until_up(process, port, folder / "error.log")
        yield
    finally:
        stop(process)


@pytest.fixture
def begin(tmp_path, transactional_db):
    """Start the site and nginx before it."""
    if nginx() is None:
        pytest.skip("no nginx on PATH (Debian: apt-get install nginx)")

    @contextmanager
    def begin(read_timeout="60s"):
        settings = settings_in(tmp_path, documented("nginx.md", "python", "TRUSTED_PROXIES"))
        port = free_port()
        with serving("uvicorn", tmp_path, **database_here(), **settings) as site:
            configure(tmp_path, port, site.port, read_timeout)
            with running(tmp_path, port):
                yield Behind(site, port, tmp_path)

    return begin


@pytest.fixture
def behind(begin):
    with begin() as found:
        yield found


def test_a_socket_opens_in_each_way_and_closes_with_its_session(behind, opened, ada):
    token = opened.access_token
    ways = [
        {"bearer": token},
        {"subprotocols": ["authx", f"authx.bearer.{token}"]},
        {"subprotocols": ["authx", f"authx.ticket.{behind.ticket(token)}"], "origin": behind.origin},
        {"cookies": {conf.ACCESS_COOKIE: token}, "origin": behind.origin},
    ]
    with ExitStack() as stack:
        sockets = [stack.enter_context(behind.connect(**way)) for way in ways]
        for each in sockets:
            assert each.recv(timeout=10) == ada.get_username()
            each.send("hello")
            assert each.recv(timeout=10) == "hello"
        end_session(opened.session, "kicked")
        for each in sockets:
            assert closed(each) == (4401, "kicked")


def test_a_refusal_says_why(behind, opened):
    cookies = {conf.ACCESS_COOKIE: opened.access_token}
    cases = [
        ({"bearer": "rubbish"}, 401, "token_malformed"),
        ({"cookies": cookies}, 403, "origin_not_allowed"),
        ({"cookies": cookies, "origin": f"https://{HOST}"}, 403, "origin_not_allowed"),  # another port
        ({"cookies": cookies, "origin": behind.origin.replace("https", "http")}, 403, "origin_not_allowed"),
    ]
    for shown, status, code in cases:
        found, body = behind.refuses(**shown)
        assert (found, body["code"]) == (status, code), shown


def test_a_token_is_never_in_a_log_of_nginx(behind, opened):
    """Not even one in the query, which opens nothing; nor those of a login."""
    token, refresh = opened.access_token, opened.refresh_token
    status, body = behind.refuses(query=f"?token={token}")
    assert (status, body["code"]) == (401, "not_authenticated")
    assert "query string is never read" in body["detail"]
    with behind.connect(bearer=token) as first, behind.listening(refresh) as stream:
        first.recv(timeout=10)
        stream.readline()
    with behind.connect(subprotocols=["authx", f"authx.bearer.{token}"]) as second:
        second.recv(timeout=10)
    wait_for(lambda: behind.logged()["access.log"].count("GET /bare/") == 3)
    for name, text in behind.logged().items():
        for secret in (token, refresh):
            assert secret.rpartition(".")[2] not in text, name
    assert '"GET /bare/" 401' in behind.logged()["access.log"]


def test_the_live_notice_is_told_at_once(behind, opened):
    with behind.listening(opened.refresh_token) as stream:
        assert (stream.status, stream.headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
        assert stream.readline().startswith(b"retry: "), "nothing holds it back"
        end_session(opened.session, "kicked")
        began = time.monotonic()
        assert lines(stream) == ["event: ended", "data: kicked"]
        assert time.monotonic() - began < SOON


def test_a_browser_signs_in_and_its_address_is_its_own(behind, ada, password):
    """By cookie and CSRF token over TLS; whatever it says of its own address."""
    jar = {}
    assert ask(behind, jar, "GET", "/api/auth/login/").status == 204
    login = {"username": ada.get_username(), "password": password, "transport": "cookie"}
    answer = ask(behind, jar, "POST", "/api/auth/login/", login, forwarded="203.0.113.9")
    assert answer.status == 200
    session = DeviceSession.objects.get()
    assert session.ip == CLIENT
    with behind.connect(cookies=jar, origin=behind.origin) as socket:
        assert socket.recv(timeout=10) == ada.get_username()
        assert ask(behind, jar, "POST", "/api/auth/logout/", {}).status == 204
        assert closed(socket) == (4401, "logout")
    assert "proxy" not in behind.log.read_text()


def ask(behind, jar, method, path, body=None, *, forwarded=None):
    """Ask as a page of the site does; the cookies of the answer are put into the jar."""
    headers = {"Origin": behind.origin, "Cookie": "; ".join(f"{name}={jar[name]}" for name in jar)}
    if "csrftoken" in jar:
        headers["X-CSRFToken"] = jar["csrftoken"]
    if forwarded is not None:
        headers |= {"X-Forwarded-For": forwarded, "X-Forwarded-Proto": "http"}
    if body is not None:
        headers["Content-Type"] = "application/json"
    with closing(behind.http()) as client:
        client.request(method, path, None if body is None else json.dumps(body), headers)
        answer = client.getresponse()
        answer.read()
    for cookie in answer.headers.get_all("Set-Cookie") or []:
        name, _, value = cookie.partition(";")[0].partition("=")
        jar[name] = value
    return answer


def test_a_socket_may_be_silent_for_longer_than_a_page(begin, opened):
    with begin(read_timeout="1s") as behind, behind.connect(bearer=opened.access_token) as socket:
        socket.recv(timeout=10)
        with pytest.raises(TimeoutError):
            socket.recv(timeout=3)  # nginx's limit for the rest of the site is long over
        socket.send("still here")
        assert socket.recv(timeout=10) == "still here"
