"""Sign a test client in: a device session, and its tokens where that client sends them from."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal

from asgiref.sync import sync_to_async
from django.conf import settings
from django.contrib.sessions.middleware import SessionMiddleware
from django.http import HttpRequest, HttpResponse
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.test import APIClient

from authx.api import browser
from authx.http.device_cookie import browser_device
from authx.http.session_key import stored_key
from authx.logins.browser import browser_session
from authx.sessions import Credentials, Device, open_session
from authx.testing.clients import has_cookies_first, keep_cookies, request_of, send_bearer

#: How a client shows its session: by an ``Authorization`` header, or by cookies.
Transport = Literal["bearer", "cookie"]


def login_device(
    client: Any,
    user: Any,
    *,
    transport: Transport | None = None,
    amr: Sequence[str] = ("pwd",),
    persistent: bool = True,
    auth_time: datetime | None = None,
    **device: str,
) -> Credentials:
    """Sign ``user`` in at ``client``, as on a new device; return the tokens, with the ``session``.

    ``client`` is Django's ``Client`` or ``AsyncClient``, DRF's ``APIClient`` or ``RequestsClient``, or a
    session of requests or httpx. With the ``transport`` "bearer", the default of all but Django's own, every
    request from now on has an ``Authorization`` header; with "cookie" the client holds our cookies, and a
    session that it held before ends as ``superseded``, as at a login by HTTP. ``device`` is its ``id``,
    ``name`` and ``type``. The other arguments are those of ``open_session``.

    Not by the login views: no password is checked, no rate counted, and no ``user_logged_in`` sent. All else
    is as in a login, limits and ``device_session_opened`` included.

    Raises:
        ValueError: there is no such transport.
        SessionLimitReached, LoginRefused, DeviceInvalid, StoreUnavailable: see ``open_session``.
    """
    chosen = transport or ("cookie" if has_cookies_first(client) else "bearer")
    how: dict[str, Any] = {"amr": amr, "persistent": persistent, "auth_time": auth_time}
    if chosen == "cookie":
        credentials = _sign_in_browser(client, user, device, how)
        send_bearer(client, None)
    elif chosen == "bearer":
        credentials = open_session(user, request_of(client), Device(**device), **how)
        send_bearer(client, credentials.access_token)
    else:
        raise ValueError(f'transport must be "bearer" or "cookie", not {transport!r}')
    return credentials


async def alogin_device(client: Any, user: Any, **how: Any) -> Credentials:
    """Do what ``login_device`` does, in an async test."""
    return await sync_to_async(login_device)(client, user, **how)


def token_for(user: Any, **how: Any) -> str:
    """Return an access token of a new session of ``user``; takes what ``login_device`` takes.

    Raises:
        SessionLimitReached, LoginRefused, DeviceInvalid, StoreUnavailable: see ``open_session``.
    """
    return login_device(APIClient(), user, **how).access_token


def _sign_in_browser(client: Any, user: Any, device: dict[str, str], how: dict[str, Any]) -> Credentials:
    """Do what the API's login by cookie does, once a password was right."""
    opened: list[Credentials] = []

    def view(request: HttpRequest) -> HttpResponse:
        came_with = browser_session(request)
        keeps_data = browser.keep_data(Request(request), user, came_with)
        credentials = open_session(
            user,
            request,
            Device(**{"id": browser_device(request).id, **device}),
            overwrites=came_with,
            django_key=stored_key(request) if keeps_data else None,
            **how,
        )
        opened.append(credentials)
        response = Response()
        browser.sign_in(Request(request), response, credentials, keeps_data=keeps_data)
        return response

    request, handle = request_of(client), view
    if settings.SESSION_COOKIE_NAME in request.COOKIES:
        handle = SessionMiddleware(view)  # type: ignore[assignment]
    keep_cookies(client, handle(request))
    return opened[0]
