"""An app of somebody else's, which users of the demo let in. It knows nothing of authx: plain OAuth 2.0.

``manage.py demo --with-service`` starts it as ``python -m demo_project.reader``. A visitor is known by a
cookie; the tokens stay here, at the server, in memory.
"""

from __future__ import annotations

import base64
import json
import os
import secrets
import sys
import threading
from collections.abc import Callable, Iterable
from hashlib import sha256
from html import escape
from http.cookies import SimpleCookie
from socketserver import ThreadingMixIn
from typing import Any
from urllib.error import HTTPError
from urllib.parse import parse_qs, urlencode
from urllib.request import Request, urlopen
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

HOST = "127.0.0.1"
SITE = os.environ.get("DEMO_ISSUER", f"http://{HOST}:8000")
CLIENT = os.environ.get("READER_ID", ""), os.environ.get("READER_SECRET", "")
API = f"{SITE}/api/shared/"

#: What is kept for each visitor: the request under way, then the tokens.
visitors: dict[str, dict[str, Any]] = {}
lock = threading.Lock()


def app(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
    cookies = SimpleCookie(environ.get("HTTP_COOKIE", ""))
    name = cookies["reader"].value if "reader" in cookies else ""
    if name not in visitors:
        name = secrets.token_urlsafe(16)
    with lock:
        visitor = visitors.setdefault(name, {})
        status, headers, text = answer(environ, visitor)
    cookie = ("Set-Cookie", f"reader={name}; HttpOnly; SameSite=Lax; Path=/")
    start(
        status,
        [*headers, cookie, ("Content-Type", "text/html; charset=utf-8"), ("Cache-Control", "no-store")],
    )
    return [text.encode()]


def answer(environ: dict[str, Any], visitor: dict[str, Any]) -> tuple[str, list[tuple[str, str]], str]:
    path, query = environ["PATH_INFO"], parse_qs(environ.get("QUERY_STRING", ""))
    here = f"http://{environ['HTTP_HOST']}"
    if path == "/sign-in":
        return "302 Found", [("Location", authorization_url(here, visitor))], ""
    if path == "/callback":
        sign_in({key: values[0] for key, values in query.items()}, here, visitor)
        return "302 Found", [("Location", "/")], ""
    if path == "/forget":
        visitor.clear()
        return "302 Found", [("Location", "/")], ""
    return ("200 OK", [], page(visitor)) if path == "/" else ("404 Not Found", [], "")


def authorization_url(here: str, visitor: dict[str, Any]) -> str:
    """Return where to send the visitor; what only they and we know is kept (RFC 7636, RFC 9700)."""
    verifier, state = secrets.token_urlsafe(32), secrets.token_urlsafe(16)
    visitor.update(verifier=verifier, state=state)
    challenge = base64.urlsafe_b64encode(sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    asked = {
        "response_type": "code",
        "client_id": CLIENT[0],
        "redirect_uri": f"{here}/callback",
        "scope": "profile:read",
        "state": state,
        "code_challenge": challenge,
        "code_challenge_method": "S256",
    }
    return f"{SITE}/oauth/authorize/?{urlencode(asked)}"


def sign_in(told: dict[str, str], here: str, visitor: dict[str, Any]) -> None:
    """Take the answer of the authorization server, which must be to our own question."""
    verifier, state = visitor.pop("verifier", ""), visitor.pop("state", "")
    visitor.pop("tokens", None)
    if not state or told.get("state") != state or told.get("iss") != SITE:
        visitor["trouble"] = "That was no answer to a question of ours."
    elif "code" not in told:
        visitor["trouble"] = f"You were not let in: {told.get('error')}."
    else:
        form = {"grant_type": "authorization_code", "code": told["code"], "code_verifier": verifier}
        fetch_tokens({**form, "redirect_uri": f"{here}/callback"}, visitor)


def fetch_tokens(form: dict[str, str], visitor: dict[str, Any]) -> None:
    credentials = base64.b64encode(":".join(CLIENT).encode()).decode()
    status, told = ask(f"{SITE}/oauth/token/", f"Basic {credentials}", urlencode(form).encode())
    if status == 200:
        visitor["tokens"] = told
        visitor.pop("trouble", None)
    else:
        visitor.pop("tokens", None)
        visitor["trouble"] = f"{told.get('error')}: {told.get('error_description', '')}"


def profile(visitor: dict[str, Any]) -> dict[str, Any]:
    """Return what the site's API says, with new tokens where the old one is no longer good; else nothing."""
    for _ in range(2):
        if not (tokens := visitor.get("tokens")):
            break
        status, told = ask(API, f"Bearer {tokens['access_token']}")
        if status == 200:
            return told
        visitor["trouble"] = f"{told.get('code')}: {told.get('reason') or told.get('detail')}"
        fetch_tokens({"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}, visitor)
    return {}


def ask(url: str, authorization: str, body: bytes | None = None) -> tuple[int, dict[str, Any]]:
    try:
        with urlopen(Request(url, body, {"Authorization": authorization}), timeout=5) as found:
            return found.status, json.load(found)
    except HTTPError as error:
        with error:
            return error.code, json.load(error)


def page(visitor: dict[str, Any]) -> str:
    told, trouble = profile(visitor), visitor.get("trouble", "")
    rows = "".join(f"<dt>{escape(name)}</dt><dd>{escape(str(value))}</dd>" for name, value in told.items())
    notice = f'<p class="trouble" role="alert">{escape(trouble)}</p>' if trouble and not told else ""
    return PAGE.format(body=LET_IN.format(rows=rows) if told else notice + OUTSIDE)


LET_IN = """<p>You let us in. This is what we may see:</p><dl>{rows}</dl>
<p><a href="/">Look again</a> &middot; <a href="/forget">Forget me here</a></p>"""

OUTSIDE = """<p>We read what you let us read, and nothing else.</p>
<p><a class="go" href="/sign-in">Sign in with the demo</a></p>"""

PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,">
<title>Reader</title>
<style>
:root {{ color-scheme: light dark; }}
body {{
  margin: 0; background: light-dark(#f3f7f2, #121812); color: light-dark(#182418, #e4eee4);
  font: 1rem/1.5 Georgia, serif;
}}
main {{ max-width: 32rem; margin: 0 auto; padding: 2rem 1rem; }}
h1 {{ margin: 0 0 1rem; }}
dl {{ display: grid; grid-template-columns: auto minmax(0, 1fr); gap: .25rem 1rem; }}
dt {{ color: light-dark(#4a5c4a, #a9bda9); }}
dd {{ margin: 0; overflow-wrap: anywhere; }}
a {{ color: light-dark(#20662f, #93d8a2); }}
.go {{
  display: inline-block; padding: .75rem 1.25rem; border-radius: .5rem; text-decoration: none;
  background: light-dark(#20662f, #93d8a2); color: light-dark(#fff, #10200f);
}}
.trouble {{
  padding: .75rem 1rem; border-radius: .5rem; background: light-dark(#fdeeed, #3a1d1d);
  overflow-wrap: anywhere;
}}
</style>
</head>
<body><main><h1>Reader</h1>{body}</main></body>
</html>"""


class Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class Quiet(WSGIRequestHandler):
    def log_message(self, *args: Any) -> None:
        """Say nothing: the URL of a callback holds a code."""


if __name__ == "__main__":
    make_server(HOST, int(sys.argv[1]), app, Server, Quiet).serve_forever()
