"""The browser as a device: recognized by a signed cookie that outlives its logins."""

from __future__ import annotations

import re

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from itsdangerous import BadData, Signer

from authx.conf import conf, secret_keys
from authx.core.derivation import DIGEST, signer
from authx.core.device_cookie import BrowserDevice, read_device, write_device
from authx.http.cookies import is_sent, read_cookie, set_device_cookie
from authx.http.request_state import request_state, unswapped_state

#: The signed text, a dot, 32 octets. 43 characters leave two spare bits, which must be zero: one spelling.
_SIGNED = re.compile(r"[A-Za-z0-9_.-]+\." + DIGEST)


def browser_device(request: HttpRequest) -> BrowserDevice:
    """Return the browser of this request; one without a cookie of ours is new, the same one at every call.

    While the Django session is swapped, it is a new one each time.
    """
    state = unswapped_state(request)
    if state is None:
        return BrowserDevice.new()
    if state.device is None:
        state.device = presented_device(request) or BrowserDevice.new()
    return state.device


def presented_device(request: HttpRequest) -> BrowserDevice | None:
    """Return the browser that the request's own device cookie names; None without one that we have signed.

    None while the Django session is swapped, too.
    """
    state = unswapped_state(request)
    if state is None:
        return None
    if not state.has_read_device:
        state.has_read_device, state.presented_device = True, _read(request)
    return state.presented_device


def introduce_browser(request: HttpRequest, response: HttpResponseBase, *, overwrites: bool = False) -> None:
    """Set the device cookie of a browser that has none: its first login is then sent with it.

    One that we cannot read may be that of another site on this host: it stays, unless this ``overwrites``, as
    a login does.
    """
    is_there = presented_device(request) is not None if overwrites else is_sent(request, conf.DEVICE_COOKIE)
    if not is_there and conf.DEVICE_COOKIE not in response.cookies:
        set_device_cookie(response, _signer().sign(write_device(browser_device(request))).decode())


def remember_login(
    request: HttpRequest, response: HttpResponseBase, subject: str, *, login: str = ""
) -> None:
    """Set the device cookie, noting in it that ``subject`` has signed in; it is not a credential.

    ``login`` is the session's id: a client that has its cookies set again and again keeps one counter. The id
    of the browser is its own: the device that a login's body describes is never signed into the cookie.
    """
    device = browser_device(request).with_login(subject, secret_keys(), login)
    request_state(request).device = device
    set_device_cookie(response, _signer().sign(write_device(device)).decode())


def login_nonce(request: HttpRequest, subject: str) -> str | None:
    """Return the nonce of the last login of ``subject`` from this browser; None if there was none."""
    return browser_device(request).login_nonce(subject, secret_keys())


def _read(request: HttpRequest) -> BrowserDevice | None:
    value = read_cookie(request, conf.DEVICE_COOKIE)
    if value is None or not _SIGNED.fullmatch(value):
        return None
    try:
        return read_device(_signer().unsign(value).decode())
    except BadData:
        return None


def _signer() -> Signer:
    return signer(secret_keys(), "device", salt=b"authx.device")
