"""What the tests of the sign-in pages share: how a browser asks for one, and what it says after a kick."""

from __future__ import annotations

from html import unescape
from typing import Any

#: What a browser sends where a person goes from page to page of one site (Fetch Metadata).
NAVIGATION = {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
WHY = "You were signed out by an administrator."


def text(response: Any) -> str:
    """The page as its source, with characters in place of their names."""
    return unescape(response.content.decode())


def sign_in(client: Any, user: Any, password: str, path: str = "/account/login/") -> Any:
    """Sign a test client in by the form at ``path``; the answer, which leads on."""
    response = client.post(path, {"username": user.get_username(), "password": password, "remember": "on"})
    assert response.status_code == 302, response
    return response
