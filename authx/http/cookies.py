"""Our three cookies: read, set and cleared in one place, always with the same attributes."""

from __future__ import annotations

import logging

from cryptography.fernet import InvalidToken, MultiFernet
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.cache import patch_vary_headers
from django.views.decorators.debug import sensitive_variables

from authx.conf import conf, secret_keys
from authx.core.derived import fernet

#: Browsers keep no cookie longer than 400 days (RFC 6265bis §5.5), nor one over 4096 octets.
DEVICE_LIFETIME = 400 * 86400
LARGEST = 4096

#: How every Fernet token begins (its version and the high bits of its time), and no token of ours.
_ENCRYPTED = "gAAAA"

logger = logging.getLogger("authx")

#: The cookies whose size this process has complained of.
_told: set[str] = set()


@sensitive_variables()
def read_cookie(request: HttpRequest, name: str) -> str | None:
    """The decrypted value of one of our cookies; None if it is missing, doubled or not ours.

    Two cookies of one name mean that somebody planted one: neither is believed.
    """
    value = request.COOKIES.get(name)
    if not value or _is_doubled(request, name):
        return None
    # Encryption may have been switched on or off since the cookie was set; what it holds is signed anyway.
    if not conf.COOKIE_ENCRYPTION and not value.startswith(_ENCRYPTED):
        return value
    try:
        decrypted: bytes = _fernet().decrypt(_padded(value).encode("ascii"))
        return decrypted.decode("ascii")
    except (InvalidToken, ValueError):
        return value


def _is_doubled(request: HttpRequest, name: str) -> bool:
    header: str = request.META.get("HTTP_COOKIE", "")
    names = (part.partition("=")[0].strip() for part in header.split(";"))
    return sum(found == name for found in names) > 1


def has_credentials(request: HttpRequest) -> bool:
    """True if a session cookie of ours came back, good or bad."""
    return conf.ACCESS_COOKIE in request.COOKIES or conf.REFRESH_COOKIE in request.COOKIES


@sensitive_variables()
def set_cookies(
    response: HttpResponseBase,
    *,
    access_token: str,
    access_expires_in: int,
    refresh_token: str,
    refresh_expires_in: int | None,
) -> None:
    """Give the browser its tokens.

    Durations are seconds; ``refresh_expires_in`` None: both for this run of the browser only.
    """
    persistent = refresh_expires_in is not None
    set_access_cookie(response, access_token, access_expires_in, persistent=persistent)
    _set(response, conf.REFRESH_COOKIE, refresh_token, refresh_expires_in)


@sensitive_variables()
def set_access_cookie(
    response: HttpResponseBase, access_token: str, expires_in: int, *, persistent: bool
) -> None:
    """Give the browser a fresh access token alone; ``expires_in`` in seconds."""
    _set(response, conf.ACCESS_COOKIE, access_token, expires_in if persistent else None)


def clear_cookies(response: HttpResponseBase) -> None:
    """Take the tokens back; a cookie is only deleted by one with the same attributes."""
    for name in (conf.ACCESS_COOKIE, conf.REFRESH_COOKIE):
        _set(response, name, "", 0)


def set_device_cookie(response: HttpResponseBase, device_id: str) -> None:
    """Let this browser be known again at its next login; no credential."""
    _set(response, conf.DEVICE_COOKIE, device_id, DEVICE_LIFETIME)


def _set(response: HttpResponseBase, name: str, value: str, max_age: int | None) -> None:
    if value and conf.COOKIE_ENCRYPTION:
        value = _fernet().encrypt(value.encode("ascii")).decode("ascii").rstrip("=")
    if len(name) + len(value) > LARGEST and name not in _told:
        _told.add(name)
        logger.warning("The cookie %s is too large for browsers: put fewer claims in AUTHX_CLAIMS.", name)
    response.set_cookie(
        name,
        value,
        max_age=max_age,
        expires="Thu, 01 Jan 1970 00:00:00 GMT" if max_age == 0 else None,
        path="/",
        secure=conf.COOKIE_SECURE,
        httponly=True,
        samesite=conf.COOKIE_SAMESITE,  # type: ignore[arg-type]
    )
    never_cache(response)


def never_cache(response: HttpResponseBase) -> None:
    """Keep a response with our cookies out of every cache, whatever the view said."""
    response["Cache-Control"] = "private, no-store"
    patch_vary_headers(response, ["Cookie"])


def _fernet() -> MultiFernet:
    return fernet(secret_keys(), "cookie")


def _padded(value: str) -> str:
    return value + "=" * (-len(value) % 4)
