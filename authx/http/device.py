"""The browser as a device: known again by a signed cookie that outlives its logins."""

from __future__ import annotations

import secrets

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from itsdangerous import BadData, Signer, base64_decode, base64_encode

from authx.conf import conf, secret_keys
from authx.core.derived import signer
from authx.http.cookies import read_cookie, set_device_cookie


def browser_device_id(request: HttpRequest) -> str:
    """The id this browser was given at an earlier login, or a new one."""
    return _known_id(request) or secrets.token_urlsafe(16)


def remember_device(response: HttpResponseBase, device_id: str) -> None:
    """Let this browser be known again; no credential, but nobody else's to choose."""
    set_device_cookie(response, _signer().sign(base64_encode(device_id)).decode())


def _known_id(request: HttpRequest) -> str | None:
    value = read_cookie(request, conf.DEVICE_COOKIE)
    try:
        return base64_decode(_signer().unsign(value)).decode() if value else None
    except (BadData, UnicodeError):
        return None


def _signer() -> Signer:
    return signer(secret_keys(), "device", salt=b"authx.device")
