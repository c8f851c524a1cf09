"""System checks of the settings about clients (OAuth)."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import urlsplit

from django.conf import settings
from django.core.checks import CheckMessage, Error

from authx.checks.mounted import is_mounted
from authx.conf import conf
from authx.core.client_sessions import CLIENT, SERVICE

_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})


def check_clients(**kwargs: Any) -> list[CheckMessage]:
    """Check that clients' tokens are kept apart from logins, and that scopes and lifetimes fit together."""
    if not conf.is_valid():
        return []  # reported by check_settings
    return [*_lifetimes(), *_resources(), *_device_types(), *_issuer()]


def _lifetimes() -> list[CheckMessage]:
    is_set = hasattr(settings, "AUTHX_SERVICE_TOKEN_LIFETIME")
    if not is_set or conf.SERVICE_TOKEN_LIFETIME <= conf.ACCESS_TOKEN_LIFETIME:
        return []
    text = "AUTHX_SERVICE_TOKEN_LIFETIME is longer than AUTHX_ACCESS_TOKEN_LIFETIME, and would be refused."
    hint = "Shorten it, here and at the services; 5 and 15 minutes are the defaults."
    return [Error(text, hint=hint, id="authx.E032")]


def _resources() -> list[CheckMessage]:
    found: list[CheckMessage] = []
    for uri, scopes in conf.RESOURCES.items():
        if uri in conf.AUDIENCE:
            text = f"AUTHX_RESOURCES names {uri!r}, which AUTHX_AUDIENCE names too."
            hint = "A client's token must never be for the site itself: give its API a URI of its own."
            found.append(Error(text, hint=hint, id="authx.E033"))
        if unknown := sorted(set(scopes) - set(conf.SCOPES)):
            text = f"AUTHX_RESOURCES names scopes that AUTHX_SCOPES does not: {', '.join(unknown)}."
            hint = "Say there in plain words what each lets a client do; users read it before they allow it."
            found.append(Error(text, hint=hint, id="authx.E034"))
    return found


def _device_types() -> list[CheckMessage]:
    taken = sorted({CLIENT, SERVICE} & set(conf.DEVICE_TYPES))
    if not taken:
        return []
    text = f"AUTHX_DEVICE_TYPES names {', '.join(taken)}, which sessions of clients have."
    return [Error(text, hint="Choose another name for your devices.", id="authx.E035")]


def _issuer() -> list[CheckMessage]:
    """Check that clients can compare the ``iss`` of an answer with the server they asked (RFC 9207 §2)."""
    if not is_mounted("authx-oauth:token"):
        return []
    parts = urlsplit(conf.ISSUER)
    is_local = parts.scheme == "http" and parts.hostname in _LOOPBACK
    if (parts.scheme == "https" or is_local) and parts.hostname and not parts.query and not parts.fragment:
        return []
    text = f"AUTHX_ISSUER is {conf.ISSUER!r}, which clients of an authorization server cannot use."
    hint = "Name the site's https URL, such as https://shop.example; http on 127.0.0.1 is enough to develop."
    return [Error(text, hint=hint, id="authx.E036")]
