"""Bearer tokens in plain Django views, such as those of GraphQL and Ninja: who sent the request."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from inspect import isawaitable
from typing import Any, Final, TypeVar

from asgiref.sync import iscoroutinefunction, sync_to_async
from django.http import HttpRequest, JsonResponse
from django.views.decorators.csrf import csrf_exempt, csrf_protect
from django.views.decorators.debug import sensitive_variables
from rest_framework.exceptions import APIException
from rest_framework.request import Request

from authx.api import exception_handler
from authx.api.authentication import BearerAuthentication
from authx.api.exceptions import Refused
from authx.core.claims import AccessClaims

#: The headers of our API's answer that one made of it has too.
_KEPT: Final = ("WWW-Authenticate", "Retry-After", "Content-Language", "Vary")
View = TypeVar("View", bound=Callable[..., Any])


@sensitive_variables()
def identify(request: HttpRequest) -> AccessClaims | None:
    """Find out who sent a request with ``Authorization: Bearer``; return the token's claims.

    Sets ``request.user``, ``request.auser`` and ``request.auth``, as DRF's views have them. Returns None, and
    sets nothing, where the request has no Bearer token. Asks the database or the store: in an async view,
    call it through ``sync_to_async``.

    Raises:
        APIException: DRF's, with what our API would answer: the token is bad (401), there are two
            (400), or its session cannot be looked up (503).
    """
    found = BearerAuthentication().authenticate(Request(request))
    return None if found is None else set_caller(request, *found)


def set_caller(request: HttpRequest, user: Any, claims: AccessClaims) -> AccessClaims:
    """Set ``request.user``, ``request.auser`` and ``request.auth``; return the claims."""

    async def auser() -> Any:
        # Reads the row of a user of whom only the key is known.
        await sync_to_async(lambda: getattr(user, "is_active", None))()
        return user

    request.user, request.auser, request.auth = user, auser, claims  # type: ignore[attr-defined]
    return claims


def bearer_required(view: View) -> View:
    """Let only requests with a good Bearer token reach a view, sync or async; others get our API's answer.

    Exempt from CSRF checks: a browser sends no Bearer token by itself.
    """
    return _guarded(view, None)


def bearer_optional(view: View) -> View:
    """Identify who sends a Bearer token to a view, sync or async; a bad one gets our API's answer.

    Requests without a token reach the view as they are, after Django's CSRF check: they may carry cookies.
    """
    return _guarded(view, csrf_protect(view))


def answer_to(request: HttpRequest, error: APIException) -> JsonResponse:
    """Return what our API answers to a request for which ``identify`` raised ``error``."""
    answer = exception_handler(error, {"request": Request(request), "view": None})
    assert answer is not None
    headers = {name: answer[name] for name in _KEPT if name in answer}
    headers["Cache-Control"] = "no-store"
    return JsonResponse(answer.data, status=answer.status_code, headers=headers)


def _guarded(view: View, otherwise: View | None) -> View:
    """Return a view that calls ``view`` with a good Bearer token; without one ``otherwise``, or a refusal."""

    def decide(request: HttpRequest) -> Callable[..., Any]:
        try:
            if identify(request) is not None:
                return view
            if otherwise is not None:
                return otherwise
            raise Refused("not_authenticated")
        except APIException as error:
            answer = answer_to(request, error)
            return lambda *args, **kwargs: answer

    if iscoroutinefunction(view):

        @wraps(view)
        async def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
            found = (await sync_to_async(decide)(request))(request, *args, **kwargs)
            return await found if isawaitable(found) else found

    else:

        @wraps(view)
        def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
            return decide(request)(request, *args, **kwargs)

    return csrf_exempt(guarded)  # type: ignore[return-value]
