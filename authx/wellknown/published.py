"""``published``: a JSON document that anybody may read, and caches may keep for a while."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils.cache import get_conditional_response
from django.utils.translation import gettext as _
from django.views.decorators.cache import cache_control
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_safe

from authx.errors import StoreUnavailable
from authx.http import cors
from authx.http.etag import entity_tag
from authx.http.outage import RETRY_AFTER_SECONDS
from authx.issuer.client_origins import may_read

View = Callable[..., HttpResponse]
#: Makes the document for a request and the arguments of its URL.
Make = Callable[..., dict[str, Any]]

#: Seconds for which other services may cache our keys; a new key is published longer before it signs.
MAX_AGE_SECONDS = 300


def published(*, content_type: str = "application/json") -> Callable[[Make], View]:
    """Return a decorator that makes a view of the function that makes the document.

    The view has an entity tag. It answers 503 where the keys are not known: to publish others would be worse
    than none. Scripts of clients at other origins may read it, as they may the token endpoint.
    """

    def decorate(make: Make) -> View:
        @login_not_required
        @csrf_exempt
        @_readable_by_clients
        @require_safe
        @_or_unavailable
        @cache_control(public=True, max_age=MAX_AGE_SECONDS)
        @wraps(make)
        def view(request: HttpRequest, **arguments: Any) -> HttpResponse:
            document = make(request, **arguments)  # once: the keys may change before it is made again
            response = JsonResponse(document, content_type=content_type)
            response["ETag"] = entity_tag(document)
            not_modified = get_conditional_response(request, response["ETag"], response=response)
            return not_modified or response

        return view

    return decorate


def _or_unavailable(view: View) -> View:
    @wraps(view)
    def wrapped(*args: Any, **kwargs: Any) -> HttpResponse:
        try:
            return view(*args, **kwargs)
        except StoreUnavailable:
            body = {"detail": _("The keys cannot be read."), "code": StoreUnavailable.code}
            headers = {"Retry-After": str(RETRY_AFTER_SECONDS), "Cache-Control": "no-store"}
            return JsonResponse(body, status=503, headers=headers)

    return wrapped


def _readable_by_clients(view: View) -> View:
    @wraps(view)
    def wrapped(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if request.method == "OPTIONS":
            return cors.preflight(request, may_read, "GET, HEAD")
        response = view(request, *args, **kwargs)
        cors.allow(request, response, may_read)
        return response

    return wrapped
