"""What the middleware does before the view: it makes the visit, and renews where that is due."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import BadRequest
from django.http import HttpRequest, JsonResponse
from django.http.response import HttpResponseBase

from authx.errors import RefreshConflict
from authx.http import charset, renewal
from authx.http.caching import never_cache
from authx.http.language import name_language, negotiated
from authx.identity.request_members import begin_visit
from authx.identity.visit import Visit
from authx.pages.failures import RETRY_MARK, to_itself


def enter(request: Any) -> HttpResponseBase | None:
    """Set the lazy user; return a response where the view is not to be called. Nothing is read or written.

    Raises:
        BadRequest: the request is in no charset that text is written in.
    """
    is_retry, visit = _take_mark(request), begin_visit(request)
    if visit is not None:
        visit.is_retry = is_retry
    return _refuse_charset(request) if charset.is_unreadable(request) else None


def renew(visit: Visit) -> HttpResponseBase | None:
    """Renew where due; return a response where the view is not to be called."""
    visit.renew()
    if visit.is_retry or not isinstance(visit.known.refusal, RefreshConflict):
        return None
    is_page = visit.request.method in {"GET", "HEAD"} and renewal.is_navigation(visit.request)
    return to_itself(visit.request) if is_page else None


def _refuse_charset(request: HttpRequest) -> HttpResponseBase:
    """Answer 400 before the query or the form is decoded: in JSON for an API view, else by Django's page.

    Raises:
        BadRequest: it is no API view; Django makes its own page of it.
    """
    if not renewal.is_api_view(request):
        raise BadRequest(str(charset.REFUSAL))
    with negotiated(request) as language:
        response = JsonResponse({"detail": str(charset.REFUSAL), "code": "parse_error"}, status=400)
    name_language(response, language)
    never_cache(response)
    return response


def _take_mark(request: HttpRequest) -> bool:
    """Remove the mark of a redirect from the URL, so that no view sees it; return whether it was there."""
    query = request.META.get("QUERY_STRING", "")
    if not query.endswith(RETRY_MARK):
        return False
    before = query.removesuffix(RETRY_MARK)
    if not (before == "" or before.endswith("&")):
        return False
    request.META["QUERY_STRING"] = before.rstrip("&")
    request.__dict__.pop("GET", None)  # parsed already, if another middleware has read it
    return True
