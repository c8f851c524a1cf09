"""Our cookies: read, set and cleared in one place, always with the same attributes."""

from __future__ import annotations

import base64
import logging
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from cryptography.fernet import InvalidToken, MultiFernet
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.views.decorators.debug import sensitive_variables

from authx.conf import conf, secret_keys
from authx.core.derivation import fernet
from authx.http.caching import never_cache
from authx.http.partitioned import partition
from authx.http.request_state import unswapped_state

#: Browsers keep no cookie longer than 400 days (RFC 6265bis §5.5), nor one over 4096 octets.
DEVICE_COOKIE_SECONDS = 400 * 86400
MAX_COOKIE_BYTES = 4096
#: How long a browser may say why its last session ended: time to find the password, or to have it reset.
ENDED_SECONDS = 3600

#: The start of every Fernet token (its version and the high bits of its time), and of no token of ours.
_ENCRYPTED = "gAAAA"

#: Space and tab: all that may surround a name or a value without being part of it.
_BLANK = " \t"

#: The values of a cookie that was not sent.
_NONE: tuple[str, ...] = ()

#: What Django's test clients, which delete no cookies, send for one that was cleared.
_CLEARED = frozenset({'""'})

# Whatever begins here hides the variables of what it calls, too, from error reports.

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
    access, refresh = sent.get(conf.ACCESS_COOKIE, _NONE), sent.get(conf.REFRESH_COOKIE, _NONE)
    return (_only(access), _only(refresh)) if _holds_any(access, refresh) else None


def _only(sent: Sequence[str]) -> str | None:
    if len(sent) != 1 or not (value := sent[0]):
        return None
    # Whatever AUTHX_COOKIE_ENCRYPTION is now: it may have been switched since the cookie was set, and what
    # the cookie holds is signed anyway.
    if not value.startswith(_ENCRYPTED):
        return value
    try:
        return _decrypt(value)
    except (InvalidToken, ValueError):
        return value


@sensitive_variables()
def has_credentials(request: HttpRequest) -> bool:
    """Return whether a session cookie of ours was sent, valid or not; one that we cleared does not count."""
    sent = _sent(request)
    return _holds_any(sent.get(conf.ACCESS_COOKIE, _NONE), sent.get(conf.REFRESH_COOKIE, _NONE))


def _holds_any(access: Sequence[str], refresh: Sequence[str]) -> bool:
    return not {*access, *refresh} <= _CLEARED


@sensitive_variables()
def is_sent(request: HttpRequest, name: str) -> bool:
    """Return whether a cookie of this name was sent, with whatever value but an empty one."""
    return any(_sent(request).get(name, []))


@sensitive_variables()
def came_back(request: HttpRequest) -> bool:
    """Return whether there is a session cookie of ours to be taken back, an empty one too."""
    return not {conf.ACCESS_COOKIE, conf.REFRESH_COOKIE}.isdisjoint(_sent(request))


def _sent(request: HttpRequest) -> dict[str, list[str]]:
    """Return the values in the request's Cookie header by name; parsed once, while it stays the same.

    None of them counts while the Django session is swapped.
    """
    state = unswapped_state(request)
    if state is None:
        return {}
    header: str = request.META.get("HTTP_COOKIE", "")
    if state.cookies is None or state.cookies[0] != header:
        scope = getattr(request, "scope", None)  # None under WSGI
        state.cookies = header, _parse(header if scope is None else _joined(scope, header))
    return state.cookies[1]


def sole_cookie_header(request: HttpRequest) -> str | None:
    """Return the header that alone says which cookies were sent; None if there is none, or may be several."""
    header: str | None = request.META.get("HTTP_COOKIE")
    return None if header is None or ("," in header and hasattr(request, "scope")) else header


def _joined(scope: Mapping[str, Any], header: str) -> str:
    """Rejoin the several headers of an ASGI request, which Django joins with commas (RFC 9113 §8.2.3).

    A comma is part of a value, so one of two cookies of our name would be hidden in another cookie's value.
    """
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


def clear_cookies(response: HttpResponseBase, *, keep: Collection[str] = ()) -> None:
    """Delete the cookies of both tokens, but those named in ``keep``.

    A cookie is only deleted by one with the same attributes.
    """
    for name in (conf.ACCESS_COOKIE, conf.REFRESH_COOKIE):
        if name not in keep:
            _set(response, name, "", 0)


def set_device_cookie(response: HttpResponseBase, device_id: str) -> None:
    """Set the cookie that recognizes this browser at its next login; it is not a credential."""
    _set(response, conf.DEVICE_COOKIE, device_id, DEVICE_COOKIE_SECONDS)


def ended_cookie() -> str:
    """Return the name of the cookie that says why the last session ended (``authx.http.ended_cookie``).

    It follows the name of the refresh cookie: a site that renames that one renames both.
    """
    return f"{conf.REFRESH_COOKIE}_ended"


def set_ended_cookie(response: HttpResponseBase, value: str) -> None:
    """Set the cookie that says why the last session ended; without a value, delete it."""
    _set(response, ended_cookie(), value, ENDED_SECONDS if value else 0)


def _set(response: HttpResponseBase, name: str, value: str, max_age: int | None) -> None:
    if value and conf.COOKIE_ENCRYPTION:
        value = _fernet().encrypt(value.encode()).decode().rstrip("=")
    if len(name) + len(value) > MAX_COOKIE_BYTES and name not in _reported:
        _reported.add(name)
        logger.warning(
            "The cookie %s is too large for browsers: put fewer claims in AUTHX_CLAIMS.",
            name,
            extra={"event": "cookie_too_large"},
        )
    response.cookies.pop(name, None)  # else one for this visit alone keeps the Max-Age of one set before
    response.set_cookie(
        name,
        value,
        max_age=max_age,
        expires="Thu, 01 Jan 1970 00:00:00 GMT" if max_age == 0 else None,
        path="/",
        secure=conf.COOKIE_SECURE,
        httponly=True,
        samesite=_same_site(name),  # type: ignore[arg-type]
    )
    if conf.COOKIE_PARTITIONED:
        partition(response, name)
    never_cache(response)


def _same_site(name: str) -> str:
    """Return how far the cookie goes; "Strict" is for credentials.

    A browser that comes from a link elsewhere would seem a new one, and be given another device cookie.
    """
    is_credential = name in {conf.ACCESS_COOKIE, conf.REFRESH_COOKIE}
    return conf.COOKIE_SAMESITE if is_credential or conf.COOKIE_SAMESITE != "Strict" else "Lax"


def _fernet() -> MultiFernet:
    return fernet(secret_keys(), "cookie")


def _decrypt(value: str) -> str:
    token = base64.urlsafe_b64encode(base64.urlsafe_b64decode(f"{value}=="))
    # Base64 is read laxly: other spellings of the value, such as a quoted one, would be accepted.
    if token.rstrip(b"=") != value.encode():
        raise ValueError("not as we write it")
    decrypted: bytes = _fernet().decrypt(token)
    return decrypted.decode()
