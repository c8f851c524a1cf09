"""What the middleware does before the view: sets ``request.user`` and the like, and renews what is due."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import BadRequest
from django.http import HttpRequest, JsonResponse
from django.http.response import HttpResponseBase

from authx.errors import RefreshConflict
from authx.http import charset, renewal
from authx.http.caching import never_cache
from authx.http.language import name_language, negotiated
from authx.identity import renewing
from authx.identity.request_members import page_visit, set_members
from authx.identity.settling import NOBODY
from authx.identity.visit import Visit
from authx.pages.failures import RETRY_MARK, to_itself


def enter(request: Any) -> HttpResponseBase | None:
    """Set the lazy user; return a response where the view is not to be called. Nothing is read or written.

    Raises:
        BadRequest: the request is in no charset that text is written in.
    """
    set_members(request)
    is_retry = request.META.get("QUERY_STRING", "").endswith(RETRY_MARK) and _take_mark(request)
    if is_retry and (visit := page_visit(request)) is not None:
        visit.is_retry = True
    return _refuse_charset(request) if charset.is_unreadable(request) else None


def renew(request: Any) -> HttpResponseBase | None:
    """Renew where due; return a response where the view is not to be called."""
    renewed = renewing.renew(request)
    if renewed is NOBODY:  # as for most: the visit is made when something asks for it
        return None
    visit: Visit = request.authx_visit
    visit.known = renewed
    if visit.is_retry or not isinstance(renewed.refusal, RefreshConflict):
        return None
    is_page = request.method in {"GET", "HEAD"} and renewal.is_navigation(request)
    return to_itself(request) if is_page else None


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
    """Remove the mark of a redirect from the URL, so that no view sees it; return whether it was one."""
    before = request.META["QUERY_STRING"].removesuffix(RETRY_MARK)
    if not (before == "" or before.endswith("&")):
        return False
    request.META["QUERY_STRING"] = before.rstrip("&")
    request.__dict__.pop("GET", None)  # parsed already, if another middleware has read it
    return True
