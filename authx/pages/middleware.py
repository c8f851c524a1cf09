"""``DeviceSessionMiddleware``: one function before the view and one after, called sync or async."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction, sync_to_async
from django.core.exceptions import BadRequest
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.template.loader import render_to_string
from django.utils.http import escape_leading_slashes

from authx.errors import AuthxError, LoginRefused, SessionLimitReached, StoreUnavailable
from authx.http import charset, cookies, django_session, renewal
from authx.http.error_reports import keep_secrets
from authx.http.outage import RETRY_AFTER
from authx.http.request_state import notes
from authx.logins.outcome import answered
from authx.models import DeviceSession
from authx.pages.response import deliver
from authx.pages.second_step import note_proofs
from authx.pages.texts import refusal_text
from authx.pages.visit import Visit, visit_of
from authx.store.database import run_pending

logger = logging.getLogger("authx")

#: Marks the URL of a page that was redirected to itself, once, because another tab had renewed first.
RETRY_MARK = "authx_retry=1"


class DeviceSessionMiddleware:
    """Sets ``request.user``, ``request.auser`` and ``request.device_session`` from one device session.

    Stands directly after Django's ``AuthenticationMiddleware``.
    """

    sync_capable = async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        self.get_response = get_response
        if iscoroutinefunction(get_response):
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> Any:
        if iscoroutinefunction(self):
            return self.__acall__(request)
        early = begin(request)
        return early or finish(request, self.get_response(request))

    async def __acall__(self, request: HttpRequest) -> Any:
        early = await sync_to_async(begin)(request)
        return early or await sync_to_async(finish)(request, await self.get_response(request))

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponseBase | None:
        """Return an error page for a refused login or an outage that no view has caught; else None."""
        if isinstance(error, StoreUnavailable):
            return unavailable(request)
        if isinstance(error, LoginRefused | SessionLimitReached):
            status = 409 if isinstance(error, SessionLimitReached) else 403
            context = {"message": refusal_text(error)}
            return render(request, "authx/refused.html", context, status=status)
        return None


def begin(request: Any) -> HttpResponseBase | None:
    """Renew where due, and set the lazy user; return a response where the view is not to be called."""
    keep_secrets(request)
    visit = Visit(request)
    request.authx_visit = visit
    retried = _take_mark(request)
    request.__class__ = with_device_session(type(request))
    request.user = visit.lazy_user
    request.auser = visit.auser
    if charset.is_unreadable(request):
        return _refuse_charset(request)
    visit.renew()
    return _retry(request) if visit.conflict and not retried else None


def finish(request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
    """Set cookies and the headers for caches; never fail a page that has been made."""
    visit = visit_of(request)
    assert visit is not None
    if visit.failure is not None and response.status_code == 500:
        response = unavailable(request)  # raised where Django calls no process_exception
    run_pending()
    visit.is_over = True
    answered(request, response)
    try:
        note_proofs(visit, response)
        deliver(visit, response)
        _claim(visit)
    except AuthxError:
        logger.warning("Cookies were not delivered.", exc_info=True)
    return response


def _refuse_charset(request: HttpRequest) -> HttpResponseBase:
    """Answer 400 before the query or the form is decoded: in JSON for an API view, else by Django's page.

    Raises:
        BadRequest: it is no API view; Django makes its own page of it.
    """
    if not renewal.is_api_view(request):
        raise BadRequest(charset.REFUSAL)
    response = JsonResponse({"detail": charset.REFUSAL, "code": "parse_error"}, status=400)
    cookies.never_cache(response)
    return response


def _claim(visit: Visit) -> None:
    """Bind what this request has stored in the Django session to the signed-in user, and to nobody else.

    A login through the API creates no Django session: data stored later must not be left to the browser's
    next user. And an attacker who has planted one since must not read there what was stored by an API view,
    or by a page that did not ask for the user.
    """
    request = visit.request
    kept = getattr(request, "session", None)
    settled = visit.binds or notes(request).took_over
    if settled or kept is None or not kept.modified or not cookies.has_credentials(request):
        return
    if visit.claims is not None and django_session.owner(request) == visit.claims.sid:
        return  # the usual case, which needs no look-up
    if (session := visit.session) is not None:
        django_session.claim(request, session.user, str(session.pk), persistent=session.persistent)


def _retry(request: HttpRequest) -> HttpResponseBase | None:
    """Redirect a safe page to itself, once: by then the browser has the cookies that another tab got."""
    is_page = request.method in {"GET", "HEAD"} and renewal.is_navigation(request)
    if not is_page:
        return None
    separator = "&" if request.META.get("QUERY_STRING") else "?"
    here = escape_leading_slashes(request.get_full_path())  # "//host/" is another site
    response = HttpResponseRedirect(f"{here}{separator}{RETRY_MARK}")
    cookies.never_cache(response)
    return response


def _take_mark(request: HttpRequest) -> bool:
    """Remove the mark of a redirect from the URL, so that no view sees it; return whether it was there."""
    query, found, rest = request.META.get("QUERY_STRING", "").rpartition(RETRY_MARK)
    if not found or rest or not (query == "" or query.endswith("&")):
        return False
    request.META["QUERY_STRING"] = query.rstrip("&")
    request.__dict__.pop("GET", None)  # parsed already, if another middleware has read it
    return True


def unavailable(request: HttpRequest) -> HttpResponseBase:
    """Return the page for an outage: 503, cookies left alone."""
    context = {"retry_after": RETRY_AFTER}
    # Without the request: context processors might ask for the user.
    response = HttpResponse(render_to_string("authx/unavailable.html", context), status=503)
    response["Retry-After"] = str(RETRY_AFTER)
    cookies.never_cache(response)
    return response


#: Our request classes by the class that they extend: each is made once.
_KINDS: dict[Any, Any] = {}


def with_device_session(kind: Any) -> Any:
    """Return ``kind`` with ``device_session``, a property: it may be None, and reading it costs a query."""

    def device_session(self: Any) -> DeviceSession | None:
        session: DeviceSession | None = self.authx_visit.session
        return session

    if kind not in _KINDS:
        _KINDS[kind] = type(kind.__name__, (kind,), {"device_session": property(device_session)})
    return _KINDS[kind]
