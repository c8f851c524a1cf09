"""Where and with what a client of each contestant logs in and refreshes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from urllib.parse import urlencode

CLIENT_ID = "first-party"


@dataclass(frozen=True)
class Door:
    """The paths, and where the answers hold the refresh token."""

    login_path: str
    refresh_path: str = ""
    refresh_field: str = "refresh_token"
    opened_in: tuple[str, ...] = ("refresh_token",)
    renewed_in: tuple[str, ...] = ("refresh_token",)
    is_form: bool = False

    def login_body(self, name: str) -> bytes:
        body = {"username": name, "password": "benchmark"}
        return self._encode(
            body | ({"grant_type": "password", "client_id": CLIENT_ID} if self.is_form else {})
        )

    def refresh_body(self, token: str) -> bytes:
        body = {self.refresh_field: token}
        form = {"grant_type": "refresh_token", "client_id": CLIENT_ID}
        return self._encode(body | (form if self.is_form else {}))

    def _encode(self, body: dict[str, str]) -> bytes:
        return (urlencode(body) if self.is_form else json.dumps(body)).encode()


def read(answer: bytes, names: tuple[str, ...]) -> str:
    """What stands in a JSON answer under these names, one within the other."""
    found = json.loads(answer)
    for name in names:
        found = found[name]
    return str(found)


DOORS = {
    "authx": Door("/auth/login/", "/auth/refresh/"),
    "simplejwt": Door("/login/", "/refresh/", "refresh", ("refresh",), ("refresh",)),
    "knox": Door("/login/"),
    "allauth_jwt": Door(
        "/_allauth/app/v1/auth/login",
        "/_allauth/app/v1/tokens/refresh",
        opened_in=("meta", "refresh_token"),
        renewed_in=("data", "refresh_token"),
    ),
    "oauth": Door("/o/token/", "/o/token/", is_form=True),
}
