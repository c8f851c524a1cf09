"""The test site over HTTP with an app of one page on it, and tabs of a real browser."""

from __future__ import annotations

import os
import socketserver
import threading
import time
from io import BytesIO
from pathlib import Path
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import pytest
from django.contrib.staticfiles.handlers import StaticFilesHandler
from django.core.handlers.wsgi import WSGIHandler

#: Seconds after which a browser that does not answer has failed.
DEADLINE = 30
REFRESH, LOGOUT, SESSION = "/api/auth/refresh/", "/api/auth/logout/", "/api/auth/session/"
WHOAMI = "/api/whoami/"

APP = b"""
import * as module from "/static/authx/client.js";
window.module = module;
window.endings = [];
window.begin = (options) => {
  window.auth = module.createClient(options);
  auth.on("ended", (ended) => endings.push(ended));
  return null;
};
begin();
"""
PAGE = b"""<!doctype html><html lang="en"><title>App</title><h1>App</h1>
<script type="module" src="/app/app.js"></script>"""


def eventually(found, what):
    """Ask again and again, until it is true."""
    end = time.monotonic() + DEADLINE
    while not found():
        assert time.monotonic() < end, f"not within {DEADLINE} s: {what}"
        time.sleep(0.02)


class Front:
    """The site behind a counter, which can answer in its place or keep it waiting."""

    def __init__(self):
        self.site = StaticFilesHandler(WSGIHandler())
        #: What was asked: method and path, and the headers that matter here.
        self.seen = []
        #: Answers instead of the site's, by path: each is given once, in order.
        self.answers = {}
        #: By path: a request waits here before it is answered.
        self.gates = {}
        #: What the policy of the app's page lets it talk with, and take for its base.
        self.sources, self.bases = "'self'", "'none'"
        self.files = {"/app/": ("text/html", PAGE), "/app/app.js": ("text/javascript", APP)}

    def __call__(self, environ, start_response):
        path = environ["PATH_INFO"]
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        headers = {
            name: environ.get(f"HTTP_{name}", "")
            for name in ("AUTHORIZATION", "HOST", "X_CSRFTOKEN", "COOKIE")
        }
        self.seen.append(Seen(environ["REQUEST_METHOD"], path, headers, body))
        environ["wsgi.input"] = BytesIO(body)
        if path in self.files:
            return self._file(path, start_response)
        if canned := self.answers.get(path):
            status, extra, text = canned.pop(0)
            start_response(f"{status} Canned", [("Content-Type", "application/json"), *extra.items()])
            return [text.encode()]
        answer = self.site(environ, start_response)
        if gate := self.gates.get(path):
            gate.arrived.set()
            gate.open.wait(DEADLINE)
        return answer

    def _file(self, path, start_response):
        kind, content = self.files[path]
        policy = f"default-src 'none'; script-src 'self'; connect-src {self.sources}; base-uri {self.bases}"
        start_response("200 OK", [("Content-Type", kind), ("Content-Security-Policy", policy)])
        return [content]

    def count(self, path):
        return sum(each.path == path for each in self.seen)

    def last(self, path):
        return [each for each in self.seen if each.path == path][-1]

    def forget(self):
        self.seen.clear()

    def answer(self, path, status, body="{}", times=1, **headers):
        extra = {name.replace("_", "-"): value for name, value in headers.items()}
        self.answers.setdefault(path, []).extend([(status, extra, body)] * times)

    def hold(self, path):
        gate = self.gates[path] = Gate()
        return gate

    def let_go(self, path):
        self.gates.pop(path).open.set()


class Seen:
    def __init__(self, method, path, headers, body):
        self.method, self.path, self.headers, self.body = method, path, headers, body

    def __repr__(self):
        return f"{self.method} {self.path}"

    @property
    def bearer(self):
        return self.headers["AUTHORIZATION"].removeprefix("Bearer ")


class Gate:
    def __init__(self):
        self.arrived, self.open = threading.Event(), threading.Event()


class Server(socketserver.ThreadingMixIn, WSGIServer):
    daemon_threads = True  # browsers open connections that they never use
    request_queue_size = 100


class Quiet(WSGIRequestHandler):
    def log_message(self, *args):
        pass


class Site:
    """Where the site is, and what it was asked."""

    def __init__(self, server, front):
        self.front, self.port = front, server.server_port
        self.url = f"http://127.0.0.1:{self.port}"
        #: The same server, to a browser another origin.
        self.other = f"http://localhost:{self.port}"


@pytest.fixture
def site(transactional_db, settings):
    settings.ALLOWED_HOSTS = ["*"]
    settings.AUTHX_REFRESH_RATE = None
    front = Front()
    server = make_server("0.0.0.0", 0, front, Server, Quiet)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield Site(server, front)
    for path in list(front.gates):
        front.let_go(path)
    server.shutdown()
    thread.join()
    server.server_close()


class Tab:
    """A page of a browser with the client on it."""

    def __init__(self, page):
        self.page = page

    def run(self, script, argument=None):
        """Evaluate an expression, or what an async arrow function returns."""
        return self.page.evaluate(script, argument)

    def start(self, script):
        """Begin something whose end is not waited for; its outcome is ``window.outcome``."""
        self.page.evaluate(
            f"() => {{ window.outcome = undefined; ({script})()"
            ".then((value) => (window.outcome = { value }), (error) => (window.outcome = { error: "
            "{ name: error.name, code: error.code ?? '', status: error.status ?? 0 } })); }"
        )

    def outcome(self, timeout=DEADLINE):
        self.wait("window.outcome !== undefined", timeout)
        return self.run("window.outcome")

    def wait(self, condition, timeout=DEADLINE):
        """Ask until it is true; Playwright's own way would need ``unsafe-eval``."""
        end = time.monotonic() + timeout
        while not self._holds(condition):
            assert time.monotonic() < end, f"not within {timeout} s: {condition}"
            time.sleep(0.02)

    def _holds(self, condition):
        try:
            return self.run(condition)
        except Exception as error:
            if "context was destroyed" in str(error):  # it is being loaded anew
                return False
            raise

    def call(self, path=WHOAMI):
        """The status of a call, or the code of the error."""
        return self.run(
            "(path) => auth.fetch(path).then((found) => found.status, (error) => error.code ?? error.name)",
            path,
        )

    def login(self, username, password):
        return self.run("([username, password]) => auth.login({ username, password })", [username, password])

    @property
    def endings(self):
        return self.run("endings.map(({ reason }) => reason)")

    @property
    def session(self):
        return self.run("auth.session")


class Browser:
    """One profile: its tabs share cookies, locks and channels."""

    def __init__(self, chromium, site, **options):
        self.site = site
        self.context = chromium.new_context(base_url=options.pop("base_url", site.url), **options)
        self.context.set_default_timeout(DEADLINE * 1000)
        self.complaints = []
        self.context.on("weberror", lambda error: self.complaints.append(str(error.error)))
        self.context.on("console", self._note)

    def _note(self, message):
        if "Content Security Policy" in message.text or "Uncaught" in message.text:
            self.complaints.append(message.text)

    def tab(self, path="/app/", before=None):
        """Open a tab; ``before(page)`` is called while it is still empty."""
        page = self.context.new_page()
        if before is not None:
            before(page)
        page.goto(path)
        found = Tab(page)
        found.wait("window.auth !== undefined")
        return found

    def tabs(self, count):
        return [self.tab() for _ in range(count)]


@pytest.fixture
def open_browser(chromium, site):
    opened = []

    def open_one(**options):
        opened.append(Browser(chromium, site, **options))
        return opened[-1]

    yield open_one
    for browser in opened:
        browser.context.close()
    assert [complaint for browser in opened for complaint in browser.complaints] == []


@pytest.fixture
def browser(open_browser):
    return open_browser()


@pytest.fixture
def tab(browser, ada, password):
    """A tab in which ada has signed in."""
    found = browser.tab()
    found.login("ada", password)
    browser.site.front.forget()
    return found


@pytest.fixture
def signed_in(browser, ada, password):
    """A browser in which ada has signed in; no tab is open."""
    first = browser.tab()
    first.login("ada", password)
    first.page.close()
    browser.site.front.forget()
    return browser


@pytest.fixture(scope="session")
def npm():
    """The folder with what ``package.json`` beside this file names."""
    folder = os.environ.get("AUTHX_TEST_NPM")
    if folder is None:
        pytest.skip("AUTHX_TEST_NPM names no folder into which tests/client/package.json was installed")
    return Path(folder)
