"""What a client sends and reads, the same to every server."""

from __future__ import annotations

import json
import re
from base64 import b64encode, urlsafe_b64encode
from hashlib import sha256
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from benchmarks.oauth.contestants import SCOPES

SECRET = "a-secret-of-43-characters-0123456789-abcdef"
CALLBACK = "https://app.example/callback"
VERIFIER = "a-verifier-of-at-least-43-characters-0123456789"
SCOPE = " ".join(SCOPES)
FORM = "application/x-www-form-urlencoded"
TOKEN_PATH, AUTHORIZE_PATH = "/o/token/", "/o/authorize/"

_CHALLENGE = urlsafe_b64encode(sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()


def authorization(client_id: str) -> dict[str, str]:
    """What a client sends its user with."""
    return {
        "response_type": "code",
        "client_id": client_id,
        "redirect_uri": CALLBACK,
        "scope": SCOPE,
        "state": "a-state",
        "code_challenge": _CHALLENGE,
        "code_challenge_method": "S256",
    }


def basic(client_id: str) -> str:
    return "Basic " + b64encode(f"{client_id}:{SECRET}".encode()).decode()


def redemption(code: str) -> bytes:
    form = {"code": code, "redirect_uri": CALLBACK, "code_verifier": VERIFIER}
    return encode("authorization_code", form)


def refresh(token: str) -> bytes:
    return encode("refresh_token", {"refresh_token": token})


def encode(grant_type: str, form: dict[str, Any]) -> bytes:
    return urlencode({"grant_type": grant_type, **form}).encode()


def code_in(location: str, page: bytes) -> str:
    """The code of an answer that redirects, or of a page that leads on."""
    if location:
        return parse_qs(urlsplit(location).query)["code"][0]
    found = re.search(rb"[?&;]code=([\w.~-]+)", page)
    if found is None:
        raise RuntimeError(f"no code in {page[:300]!r}")
    return found[1].decode()


def member(answer: bytes, name: str) -> str:
    return str(json.loads(answer)[name])
