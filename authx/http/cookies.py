"""Our three cookies: read, set and cleared in one place, always with the same attributes."""

from __future__ import annotations

import base64
import logging

from cryptography.fernet import InvalidToken, MultiFernet
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.cache import patch_vary_headers
from django.views.decorators.debug import sensitive_variables

from authx.conf import conf, secret_keys
from authx.core.derivation import fernet
from authx.http.request_state import unswapped_state

#: Browsers keep no cookie longer than 400 days (RFC 6265bis §5.5), nor one over 4096 octets.
DEVICE_COOKIE_SECONDS = 400 * 86400
MAX_COOKIE_BYTES = 4096

#: The start of every Fernet token (its version and the high bits of its time), and of no token of ours.
_ENCRYPTED = "gAAAA"

#: Space and tab: all that may surround a name or a value without being part of it.
_BLANK = " \t"

#: What Django's test clients, which delete no cookies, send for one that was cleared.
_CLEARED = '""'

logger = logging.getLogger("authx")

#: The cookies whose size this process has warned about.
_reported: set[str] = set()


@sensitive_variables()
def read_cookie(request: HttpRequest, name: str) -> str | None:
    """Return the decrypted value of one of our cookies; None if it is missing, empty or sent twice.

    Two cookies of one name mean that somebody planted one: neither is trusted. A value is returned as it
    was sent, never unquoted: it has one spelling.
    """
    return _only(_sent(request).get(name, []))


@sensitive_variables()
def session_cookies(request: HttpRequest) -> tuple[str | None, str | None] | None:
    """Return access and refresh token, each as ``read_cookie`` does; None without ``has_credentials``."""
    sent = _sent(request)
    values = sent.get(conf.ACCESS_COOKIE, []), sent.get(conf.REFRESH_COOKIE, [])
    return (_only(values[0]), _only(values[1])) if _holds_any(*values) else None


@sensitive_variables()
def _only(sent: list[str]) -> str | None:
    value, *others = sent or [""]
    if others or not value:
        return None
    # Whatever AUTHX_COOKIE_ENCRYPTION is now: it may have been switched since the cookie was set, and what
    # the cookie holds is signed anyway.
    if not value.startswith(_ENCRYPTED):
        return value
    try:
        return _decrypt(value)
    except (InvalidToken, ValueError):
        return value


def has_credentials(request: HttpRequest) -> bool:
    """Return whether a session cookie of ours was sent, valid or not; one that we cleared does not count."""
    sent = _sent(request)
    return _holds_any(sent.get(conf.ACCESS_COOKIE, []), sent.get(conf.REFRESH_COOKIE, []))


@sensitive_variables()
def _holds_any(access: list[str], refresh: list[str]) -> bool:
    return any(value != _CLEARED for value in [*access, *refresh])


def came_back(request: HttpRequest) -> bool:
    """Return whether there is a session cookie of ours to be taken back, an empty one too."""
    return not {conf.ACCESS_COOKIE, conf.REFRESH_COOKIE}.isdisjoint(_sent(request))


@sensitive_variables()
def _sent(request: HttpRequest) -> dict[str, list[str]]:
    """Return the values in the request's Cookie header by name; parsed once, while it stays the same.

    None of them counts while the Django session is swapped.
    """
    state = unswapped_state(request)
    if state is None:
        return {}
    header: str = request.META.get("HTTP_COOKIE", "")
    if state.cookies is None or state.cookies[0] != header:
        state.cookies = header, _parse(_joined(request, header))
    return state.cookies[1]


def _joined(request: HttpRequest, header: str) -> str:
    """Rejoin the several headers of an ASGI request, which Django joins with commas (RFC 9113 §8.2.3).

    A comma is part of a value, so one of two cookies of our name would be hidden in another cookie's value.
    """
    scope = getattr(request, "scope", {})
    sent = [value.decode("latin-1") for name, value in scope.get("headers", ()) if name.lower() == b"cookie"]
    return "; ".join(sent) if header == ",".join(sent) else header


def _parse(header: str) -> dict[str, list[str]]:
    """Return every value sent under each name, as a browser sends them (RFC 6265bis §5.8.3).

    Not ``request.COOKIES``: Django strips all white space of Unicode from a name, so that a sibling
    domain's cookie of another name would pass for ours, without the conditions of ``__Host-``.
    """
    found: dict[str, list[str]] = {}
    for pair in header.split(";"):
        name, equals, value = pair.partition("=")
        if equals:  # else it is the value of a cookie without a name
            found.setdefault(name.strip(_BLANK), []).append(value.strip(_BLANK))
    return found


@sensitive_variables()
def set_cookies(
    response: HttpResponseBase,
    *,
    access_token: str,
    access_expires_in: int,
    refresh_token: str | None,
    refresh_expires_in: int | None,
) -> None:
    """Set the cookies of both tokens; without a ``refresh_token`` the browser keeps the one it has.

    Durations are seconds; with ``refresh_expires_in`` None, both cookies last until the browser is closed.
    """
    persistent = refresh_expires_in is not None
    set_access_cookie(response, access_token, access_expires_in, persistent=persistent)
    if refresh_token is not None:
        _set(response, conf.REFRESH_COOKIE, refresh_token, refresh_expires_in)


@sensitive_variables()
def set_access_cookie(
    response: HttpResponseBase, access_token: str, expires_in: int, *, persistent: bool
) -> None:
    """Set the cookie of a fresh access token alone; ``expires_in`` is in seconds."""
    _set(response, conf.ACCESS_COOKIE, access_token, expires_in if persistent else None)


def clear_cookies(response: HttpResponseBase) -> None:
    """Delete the cookies of both tokens; a cookie is only deleted by one with the same attributes."""
    for name in (conf.ACCESS_COOKIE, conf.REFRESH_COOKIE):
        _set(response, name, "", 0)


def set_device_cookie(response: HttpResponseBase, device_id: str) -> None:
    """Set the cookie that recognizes this browser at its next login; it is not a credential."""
    _set(response, conf.DEVICE_COOKIE, device_id, DEVICE_COOKIE_SECONDS)


def _set(response: HttpResponseBase, name: str, value: str, max_age: int | None) -> None:
    if value and conf.COOKIE_ENCRYPTION:
        value = _fernet().encrypt(value.encode()).decode().rstrip("=")
    if len(name) + len(value) > MAX_COOKIE_BYTES and name not in _reported:
        _reported.add(name)
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
    """Keep a response with our cookies out of every cache, whatever the view has set."""
    response["Cache-Control"] = "private, no-store"
    patch_vary_headers(response, ["Cookie"])


def _fernet() -> MultiFernet:
    return fernet(secret_keys(), "cookie")


def _decrypt(value: str) -> str:
    token = base64.urlsafe_b64encode(base64.urlsafe_b64decode(f"{value}=="))
    # Base64 is read laxly: other spellings of the value, such as a quoted one, would be accepted.
    if token.rstrip(b"=") != value.encode():
        raise ValueError("not as we write it")
    decrypted: bytes = _fernet().decrypt(token)
    return decrypted.decode()
