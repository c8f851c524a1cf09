"""``DeviceSessionMiddleware``: one function before the view and one after; two bodies carry them."""

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
from authx.http.login_limit import say_wait
from authx.http.outage import RETRY_AFTER
from authx.http.request_state import notes
from authx.models import DeviceSession
from authx.pages.response import deliver
from authx.pages.second_step import note_proofs, renew_access
from authx.pages.texts import refusal_text
from authx.pages.visit import Visit, visit_of
from authx.sessions.login_settling import answered
from authx.store.database import run_pending

logger = logging.getLogger("authx")

#: In the URL of a page that was redirected to itself, once, because another tab had renewed first.
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
        """Turn what authx refuses, where no door has caught it, into a page that says so."""
        if isinstance(error, StoreUnavailable):
            return unavailable(request)
        if isinstance(error, LoginRefused | SessionLimitReached):
            status = 409 if isinstance(error, SessionLimitReached) else 403
            context = {"message": refusal_text(error)}
            return render(request, "authx/refused.html", context, status=status)
        return None


def begin(request: Any) -> HttpResponseBase | None:
    """Renew where that is due, and let the view ask who it is; a response if there is no view to ask."""
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
    """Deliver cookies and mark what caches may keep; never fails a page that has been made."""
    visit = visit_of(request)
    assert visit is not None
    if visit.failure is not None and response.status_code == 500:
        response = unavailable(request)  # raised where no process_exception is asked
    run_pending()
    visit.is_over = True
    answered(request, response)
    say_wait(request, response)
    try:
        proved = note_proofs(visit, response)
        deliver(visit, response)
        if proved is not None:
            renew_access(proved, visit, response)
        _claim(visit)
    except AuthxError:
        logger.warning("Cookies were not delivered.", exc_info=True)
    return response


def _refuse_charset(request: HttpRequest) -> HttpResponseBase:
    """400 before anybody decodes the query or the form: Django's own page, or JSON where an API was called.

    Raises:
        BadRequest: Django makes its page of it.
    """
    if not renewal.is_api_view(request):
        raise BadRequest(charset.REFUSAL)
    response = JsonResponse({"detail": charset.REFUSAL, "code": "parse_error"}, status=400)
    cookies.never_cache(response)
    return response


def _claim(visit: Visit) -> None:
    """Let what this request has put into the Django session belong to whoever is signed in, and nobody else.

    A login through the API makes none: what is kept later must not be left to the browser's next user. And
    whoever planted one since shall not read there what an API view, or a page that asked nobody, has kept.
    """
    request = visit.request
    kept = getattr(request, "session", None)
    settled = visit.binds or notes(request).took_over
    if settled or kept is None or not kept.modified or not cookies.has_credentials(request):
        return
    if visit.claims is not None and django_session.owner(request) == visit.claims.sid:
        return  # the usual case, in which nobody need be asked
    if (session := visit.session) is not None:
        django_session.claim(request, session.user, str(session.pk), persistent=session.persistent)


def _retry(request: HttpRequest) -> HttpResponseBase | None:
    """Send a safe page to itself, once: by then the browser has the cookies another tab was given."""
    is_page = request.method in {"GET", "HEAD"} and renewal.is_navigation(request)
    if not is_page:
        return None
    separator = "&" if request.META.get("QUERY_STRING") else "?"
    here = escape_leading_slashes(request.get_full_path())  # "//host/" is another site
    response = HttpResponseRedirect(f"{here}{separator}{RETRY_MARK}")
    cookies.never_cache(response)
    return response


def _take_mark(request: HttpRequest) -> bool:
    """True if the page was redirected so; its view, and the ``next`` it may make, need not know."""
    query, found, rest = request.META.get("QUERY_STRING", "").rpartition(RETRY_MARK)
    if not found or rest or not (query == "" or query.endswith("&")):
        return False
    request.META["QUERY_STRING"] = query.rstrip("&")
    request.__dict__.pop("GET", None)  # parsed already, where another middleware has asked
    return True


def unavailable(request: HttpRequest) -> HttpResponseBase:
    """The page for "we cannot know": 503, cookies left alone."""
    context = {"retry_after": RETRY_AFTER}
    # Without the request: context processors might ask who the user is.
    response = HttpResponse(render_to_string("authx/unavailable.html", context), status=503)
    response["Retry-After"] = str(RETRY_AFTER)
    cookies.never_cache(response)
    return response


#: Request classes by the class they extend: made once each.
_KINDS: dict[Any, Any] = {}


def with_device_session(kind: Any) -> Any:
    """``kind`` with ``device_session``, a property: None must be None, and asking costs a query."""

    def device_session(self: Any) -> DeviceSession | None:
        session: DeviceSession | None = self.authx_visit.session
        return session

    if kind not in _KINDS:
        _KINDS[kind] = type(kind.__name__, (kind,), {"device_session": property(device_session)})
    return _KINDS[kind]
