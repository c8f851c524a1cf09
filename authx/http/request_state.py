"""What the doors leave for one another on a request: they may not import one another."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from django.http import HttpRequest

from authx.core.device_cookie import BrowserDevice
from authx.errors import AuthxError


@dataclass(slots=True)
class RequestState:
    """Written by whoever knows, read by whoever comes later in the same request."""

    #: The Cookie header, and the values that it holds under each name.
    cookies: tuple[str, dict[str, list[str]]] | None = field(default=None, repr=False)
    #: The access token the middleware has renewed, or made for this request; not one the client has used yet.
    renewed: str | None = field(default=None, repr=False)
    #: Why the renewal that was due bought nothing.
    not_renewed: AuthxError | None = None
    #: The request header that told an API view who is asking: no shared cache may forget that.
    identity_header: str | None = None
    #: Whom the API let in, and whether by cookie.
    caller: Any = None
    by_cookie: bool = False
    #: Our login page has just accepted a password.
    by_password: bool = False
    #: The API has signed this browser in or out: what the middleware had found out before is over.
    took_over: bool = False
    #: Why the API refused a credential: the challenge names it, and an anonymous refusal's body.
    refusal: AuthxError | None = None
    #: The browser, once somebody asked which one it is.
    device: BrowserDevice | None = None
    #: Seconds until a password may be tried again, where one too many was.
    login_wait: int = 0
    #: Attempts to sign in that nothing has called failed or good yet.
    attempts: list[Any] = field(default_factory=list, repr=False)
    #: The device session whose user is to prove again who they are, while that is tried.
    proof_of: Any = None


def notes(request: HttpRequest) -> RequestState:
    """The request's notes, made when first asked for."""
    found: RequestState | None = request.__dict__.get("authx_notes")
    if found is None:
        found = request.__dict__["authx_notes"] = RequestState()
    return found
