"""What the API, the pages and the middleware share on a request: they may not import one another."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from django.http import HttpRequest

from authx.core.device_cookie import BrowserDevice
from authx.errors import AuthxError


class RequestState:
    """What one part of authx has found out about a request, for parts that handle it later.

    Every request has one and most set two or three of its fields: the rest stays with the class. So what a
    field holds is replaced, never changed.
    """

    #: The Django session that the request came with; None until the middleware has noted it.
    django_session: Any = None
    #: The page's visit (``authx.identity.visit``); None until something asks for it.
    visit: Any = None
    #: Whether the request came with a Bearer token: then it is the API's business who sent it.
    has_bearer: bool = False
    #: The Cookie header, and the values that it holds under each name.
    cookies: tuple[str, dict[str, list[str]]] | None = None
    #: What those of the session hold (``authx.logins.presented``), once they have been read.
    presented: Any = None
    #: The request header by which an API view identified the caller: the response varies with it.
    identity_header: str | None = None
    #: Whom the API has authenticated, and whether by cookie.
    caller: Any = None
    by_cookie: bool = False
    #: The view answers with tokens, which no cache may keep.
    has_new_tokens: bool = False
    #: Our login page has just accepted a password.
    by_password: bool = False
    #: What it says about "keep me signed in"; None where it does not say.
    remember: bool | None = None
    #: The last Django login of this request, for where it is refused for want of room.
    complete_login: Any = None
    #: The login that a proof has just proved again, and what its user has chosen to end for it.
    proved_login: Any = None
    choice: Any = None
    #: The API has signed this browser in or out: what the middleware found out before no longer holds.
    took_over: bool = False
    #: The middleware has finished the response: no cookie can be added.
    is_finished: bool = False
    #: Why the API refused a credential: named in the challenge, and in the body of an anonymous refusal.
    refusal: AuthxError | None = None
    #: The browser, once it has been looked up.
    device: BrowserDevice | None = None
    #: The one that its own cookie names, if any, once that has been read.
    presented_device: BrowserDevice | None = None
    has_read_device: bool = False
    #: Seconds until a password may be tried again, where there was one try too many; -1 if that is unknown.
    login_wait: int = 0
    #: Whether that is another package's lockout, which may have an answer of its own.
    is_locked_out: bool = False
    #: Its Django session shows a login that it does not hold; and held or showed one that is to last.
    shows_login: bool = False
    has_login: bool = False
    #: Where its login page has said why the last session ended; ``""`` where it has not.
    ending_shown: str = ""
    #: The device session whose user is to authenticate again, while that is tried.
    proof_of: Any = None
    #: The attempts to sign in whose outcome is not known yet.
    attempts: tuple[Any, ...] = ()
    #: The key with which its own Django session came, and all that it has had.
    first_key: str | None = None
    django_keys: tuple[str, ...] = ()
    #: Those of them that it has deleted, each with the query that finds its row after a rollback.
    deleted_sessions: Mapping[str, Any] = MappingProxyType({})
    #: The keys that were deleted by a login or a logout, which ends by itself what it ends.
    released_keys: frozenset[str | None] = frozenset()


def is_swapped(request: HttpRequest) -> bool:
    """Return whether ``request.session`` is not the one that the request came with.

    allauth's app views put another one there, so that nothing that a browser sends along authenticates. Until
    the first one is back, no cookie of ours is read.
    """
    return unswapped_state(request) is None


def unswapped_state(request: HttpRequest) -> RequestState | None:
    """Return the request's state, as ``request_state`` does; None while its Django session is swapped."""
    state = request_state(request)
    came_with = state.django_session
    return state if came_with is None or getattr(request, "session", None) is came_with else None


def request_state(request: HttpRequest) -> RequestState:
    """Return the request's state, created at the first call."""
    found: RequestState | None = request.__dict__.get("authx_request_state")
    if found is None:
        found = request.__dict__["authx_request_state"] = RequestState()
    return found
