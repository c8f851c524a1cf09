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

from authx.errors import AuthxError, LoginRefused, RefreshConflict, SessionLimitReached, StoreUnavailable
from authx.http import charset, renewal
from authx.http.caching import never_cache
from authx.http.device_cookie import introduce_browser
from authx.http.error_reports import keep_secrets
from authx.http.outage import RETRY_AFTER_SECONDS
from authx.http.request_state import RequestState, answered_request, request_state
from authx.http.shown_login import hide
from authx.identity.bearer import conclude as conclude_bearer
from authx.identity.binding import follow_key
from authx.identity.deleted_sessions import conclude
from authx.identity.password_change import own_password_change
from authx.identity.response import apply, restrict_caches
from authx.identity.stored_data import claim_stored_data
from authx.identity.swapped import keep_binding, read_again
from authx.identity.visit import Visit, begin_visit
from authx.logins.outcome import answered
from authx.pages.choosing import choice_page
from authx.pages.logout import aopen_logout, open_logout
from authx.pages.second_step import note_proofs
from authx.pages.texts import refusal_text
from authx.store.after_transaction import run_pending

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
        if early:
            return early
        token = answered_request.set(request)
        try:
            response = self.get_response(request)
        finally:
            answered_request.reset(token)
        return finish(request, response)

    async def __acall__(self, request: HttpRequest) -> Any:
        early = await sync_to_async(begin)(request)
        if early:
            return early
        token = answered_request.set(request)
        try:
            response = await self.get_response(request)
        finally:
            answered_request.reset(token)
        return await sync_to_async(finish)(request, response)

    @property
    def process_view(self) -> Callable[..., Any]:
        """Return what Django calls before the middlewares behind this one look at the view."""
        return aopen_logout if iscoroutinefunction(self) else open_logout

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponseBase | None:
        """Return an error page for a refused login or an outage that no view has caught; else None."""
        if isinstance(error, StoreUnavailable):
            return unavailable(request)
        if isinstance(error, SessionLimitReached) and (page := choice_page(request, error)):
            return page
        if isinstance(error, LoginRefused | SessionLimitReached):
            status = 409 if isinstance(error, SessionLimitReached) else 403
            context = {"message": refusal_text(error)}
            return render(request, "authx/refused.html", context, status=status)
        return None


def begin(request: Any) -> HttpResponseBase | None:
    """Renew where due, and set the lazy user; return a response where the view is not to be called."""
    keep_secrets(request)
    retried = _take_mark(request)
    visit = begin_visit(request)
    if charset.is_unreadable(request):
        return _refuse_charset(request)
    if visit is None:
        return None
    visit.renew()
    is_late = isinstance(visit.identity.refusal, RefreshConflict)
    return _retry(request) if is_late and not retried else None


def finish(request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
    """Set cookies and the headers for caches; never fail a page that has been made."""
    state, visit = request_state(request), vars(request).get("authx_visit")
    if response.status_code == 500 and visit is not None and _is_outage(visit):
        response = unavailable(request)  # raised where Django calls no process_exception
    run_pending()
    if response.status_code >= 500:  # Django stores no session then: what the view has emptied is as it was
        state.has_login = False
    if state.deleted_sessions or state.has_login:
        try:
            conclude(request, visit, state)
        except StoreUnavailable:
            response = unavailable(request)
    if visit is not None and response.status_code == 200 and renewal.is_login_page(request):
        introduce_browser(request, response)
    state.is_finished = True
    answered(response, state)
    restrict_caches(request, response, state, visit)
    try:
        if _has_new_data(request) and (visit is None or state.caller is not None):
            conclude_bearer(request, state)
            visit = vars(request).get("authx_visit")
        if visit is not None:
            for swapped in visit.swapped:
                keep_binding(swapped, state)
            if visit.swapped:
                read_again(visit)
            with visit.in_place():
                _apply(visit, response, state)
                follow_key(request, visit.identity, state)
    except AuthxError:
        logger.warning("Cookies were not delivered.", exc_info=True)
    except Exception:  # the site's own code, such as AUTHX_CLAIMS
        logger.exception("Cookies were not delivered.")
    if visit is not None and state.shows_login:
        hide(visit.django_session)
    return response


def _apply(visit: Visit, response: HttpResponseBase, state: RequestState) -> None:
    if not _has_new_data(visit.request):
        apply(visit, response, state)
        return
    note_proofs(visit, response)
    changed = None if state.took_over else own_password_change(visit.request, visit.identity, state)
    if changed is not None:
        visit.identify(changed)
    apply(visit, response, state)
    claim_stored_data(visit, state)


def _has_new_data(request: Any) -> bool:
    """Return whether something was stored in the Django session, or removed from it, or its key is new."""
    return bool(getattr(getattr(request, "session", None), "modified", False))


def _is_outage(visit: Visit) -> bool:
    return any(isinstance(each.identity.refusal, StoreUnavailable) for each in (visit, *visit.swapped))


def _refuse_charset(request: HttpRequest) -> HttpResponseBase:
    """Answer 400 before the query or the form is decoded: in JSON for an API view, else by Django's page.

    Raises:
        BadRequest: it is no API view; Django makes its own page of it.
    """
    if not renewal.is_api_view(request):
        raise BadRequest(charset.REFUSAL)
    response = JsonResponse({"detail": charset.REFUSAL, "code": "parse_error"}, status=400)
    never_cache(response)
    return response


def _retry(request: HttpRequest) -> HttpResponseBase | None:
    """Redirect a safe page to itself, once: by then the browser has the cookies that another tab got."""
    is_page = request.method in {"GET", "HEAD"} and renewal.is_navigation(request)
    if not is_page:
        return None
    separator = "&" if request.META.get("QUERY_STRING") else "?"
    here = escape_leading_slashes(request.get_full_path())  # "//host/" is another site
    response = HttpResponseRedirect(f"{here}{separator}{RETRY_MARK}")
    never_cache(response)
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
    context = {"retry_after": RETRY_AFTER_SECONDS}
    # Without the request: context processors might ask for the user.
    response = HttpResponse(render_to_string("authx/unavailable.html", context), status=503)
    response["Retry-After"] = str(RETRY_AFTER_SECONDS)
    never_cache(response)
    return response
