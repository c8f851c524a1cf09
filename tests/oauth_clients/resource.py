"""A server of somebody else's that serves clients of ours: it says whom it trusts, and verifies tokens."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import jwt

PATH, METADATA = "/mcp", "/.well-known/oauth-protected-resource/mcp"


class Handler(BaseHTTPRequestHandler):
    """Of the MCP specification what its client needs to find the way (RFC 9728, RFC 6750)."""

    def do_GET(self):
        if self.path == METADATA:
            metadata = {
                "resource": self.server.url + PATH,
                "authorization_servers": [self.server.site.url],
                "scopes_supported": ["orders:read"],
            }
            return self.answer(200, metadata)
        if self.path != PATH:
            return self.answer(404, {})
        header = self.headers["Authorization"] or ""
        try:
            claims = self.server.site.verified(header.removeprefix("Bearer "), self.server.url + PATH)
        except jwt.PyJWTError:
            challenge = f'Bearer resource_metadata="{self.server.url}{METADATA}", scope="orders:read"'
            return self.answer(401, {}, {"WWW-Authenticate": challenge})
        return self.answer(200, claims)

    def answer(self, status, body, headers=None):
        octets = json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(octets)))
        self.end_headers()
        self.wfile.write(octets)

    def log_message(self, *args):
        pass


@contextmanager
def running(site):
    """Run one that trusts ``site``; its URL is ``url``."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.site, server.url = site, f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
