"""A person's browser without JavaScript: it keeps cookies, fills in forms, and goes where pages lead."""

from __future__ import annotations

from html.parser import HTMLParser
from http.client import HTTPConnection
from http.cookies import SimpleCookie
from typing import NamedTuple
from urllib.parse import parse_qsl, urlencode, urljoin, urlsplit

#: More steps than any way through a login and a consent has.
MAX_STEPS = 10


class Page(NamedTuple):
    """A page that leads nowhere by itself."""

    url: str
    status: int
    text: str


class Browser:
    """It stays on one site, and stops at the door of any other: the callback of a client."""

    def __init__(self, origin):
        self.origin, self.cookies = origin, {}
        #: What the person does where a page asks: its fields, and the button that is pressed.
        self.answers = {}

    def sign_in(self, name, password):
        self.open("/account/login/", {"username": name, "password": password})
        return self

    def open(self, url, answers=None):
        """Return the page, or the URL of another site, at which one arrives who answers every form once."""
        self.answers, asked = dict(answers or {}), None
        url = urljoin(self.origin, url)
        for _ in range(MAX_STEPS):
            if not url.startswith(self.origin + "/"):
                return url
            page, onward = self._load(url, asked)
            asked = None
            if onward is None:
                onward, asked = self._fill_in(page)
            if onward is None:
                return page
            url = urljoin(url, onward)
        raise AssertionError(f"going round in circles at {url}")

    def allow(self, url):
        """Return the URL of the client at which one arrives who allows what it asks for, in text as sent."""
        return self._decide(url, "allow")

    def deny(self, url):
        return self._decide(url, "deny")

    def _decide(self, url, decision):
        found = self.open(url, {"decision": decision})
        assert isinstance(found, str), found
        return found

    def _load(self, url, form):
        """The page at a URL, and where it leads: by a redirect, or by what it says."""
        parts = urlsplit(url)
        connection = HTTPConnection(parts.hostname, parts.port, timeout=30)
        headers = {"Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items())}
        if form is not None:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        target = parts.path + (f"?{parts.query}" if parts.query else "")
        connection.request("GET" if form is None else "POST", target, form and urlencode(form), headers)
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        for header in answer.msg.get_all("Set-Cookie", ()):
            self._keep(header)
        page = Page(url, answer.status, text)
        return page, answer.headers["Location"] or _Reader.of(text).onward

    def _keep(self, header):
        for name, morsel in SimpleCookie(header).items():
            if morsel["max-age"] == "0" or not morsel.value:
                self.cookies.pop(name, None)
            else:
                self.cookies[name] = morsel.coded_value

    def _fill_in(self, page):
        """Where the page's form is sent, and what is in it; None, where there is none to be answered."""
        for form in _Reader.of(page.text).forms:
            if known := form.names & self.answers.keys():
                fields = {**form.hidden, **{name: self.answers.pop(name) for name in known}}
                return form.action or page.url, fields
        return None, None


class _Form:
    def __init__(self, action):
        self.action, self.hidden, self.names = action, {}, set()


class _Reader(HTMLParser):
    """What a person sees of a page who wants to get on."""

    def __init__(self):
        super().__init__()
        self.onward, self.forms = None, []

    @classmethod
    def of(cls, text):
        found = cls()
        found.feed(text)
        return found

    def handle_starttag(self, tag, attrs):
        fields = dict(attrs)
        if tag == "meta" and (fields.get("http-equiv") or "").lower() == "refresh":
            self.onward = fields["content"].partition("url=")[2]
        elif tag == "form":
            self.forms.append(_Form(fields.get("action")))
        elif tag in {"input", "button"} and self.forms and fields.get("name"):
            if fields.get("type") == "hidden":
                self.forms[-1].hidden[fields["name"]] = fields.get("value", "")
            else:
                self.forms[-1].names.add(fields["name"])


def parameters(url):
    """What is in the query of a URL, each once."""
    pairs = parse_qsl(urlsplit(url).query, keep_blank_values=True, strict_parsing=True)
    found = dict(pairs)
    assert len(found) == len(pairs), pairs
    return found
