"""What the middleware does after the view: cookies, headers for caches, and what was left to be written."""

from __future__ import annotations

import logging
from typing import Any

from django.http import FileResponse, HttpRequest
from django.http.response import HttpResponseBase

from authx.errors import AuthxError, StoreUnavailable
from authx.http import auth_functions, renewal
from authx.http.device_cookie import introduce_browser
from authx.http.request_state import RequestState, request_state
from authx.http.shown_login import hide
from authx.identity import django_login
from authx.identity.bearer import conclude as conclude_bearer
from authx.identity.binding import follow_key
from authx.identity.deleted_sessions import conclude
from authx.identity.password_change import own_password_change
from authx.identity.request_members import page_visit
from authx.identity.response import apply, restrict_caches
from authx.identity.stored_data import claim_stored_data
from authx.identity.swapped import keep_binding, read_again
from authx.identity.visit import Visit
from authx.logins.outcome import answered, is_open
from authx.pages.counting import count_refusal
from authx.pages.failures import over, unavailable
from authx.pages.repeated_form import answer_of_first, may_be_repeated
from authx.pages.second_step import note_proofs
from authx.store.after_transaction import AfterView, has_pending, run_pending

logger = logging.getLogger("authx")


def finish_at_once(request: HttpRequest, response: HttpResponseBase, left: AfterView) -> bool:
    """Finish a response for which nothing has to be read, written or set; return False where something has.

    So it is for most pages: an event loop may do it.
    """
    state = request_state(request)
    visit: Visit | None = state.visit
    if left or has_pending() or _has_work(request, response, state):
        return False
    if visit is not None and _has_work_for(visit, response):
        return False
    if visit is not None and visit.known.refusal is not None:
        count_refusal(visit.known.refusal, state)
    state.is_finished = True
    restrict_caches(request, response, state, visit)
    if visit is not None and state.shows_login:
        hide(visit.django_session)
    return True


def _has_work(request: HttpRequest, response: HttpResponseBase, state: RequestState) -> bool:
    if state.deleted_sessions or state.took_over or is_open(state):
        return True
    status = response.status_code
    if status >= 500 or (status == 200 and renewal.is_login_page(request)):
        return True
    if status == 403 and may_be_repeated(request, response):
        return True
    session = getattr(request, "session", None)
    if session is None:
        return False
    if session.modified or not ((key := session.session_key) is None or key in state.django_keys):
        return True
    if not (state.has_login or state.shows_login):
        return False
    is_loaded = "_session_cache" in vars(session)
    return not is_loaded or (state.has_login and not django_login.holds_login(request))


def _has_work_for(visit: Visit, response: HttpResponseBase) -> bool:
    delivery = visit.known.delivery
    if visit.swapped or delivery.clears_cookies or delivery.credentials is not None:
        return True
    return _streams_unread(visit, response)


def _streams_unread(visit: Visit, response: HttpResponseBase) -> bool:
    """Return whether the response may still read its user, after its headers have left; a file does not."""
    return visit.known.unread is not None and response.streaming and not isinstance(response, FileResponse)


def finish(request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
    """Set cookies and the headers for caches; never fail a page that has been made."""
    state, visit = request_state(request), page_visit(request)
    if visit is not None:
        response = _in_place_of(response, visit)
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
    if visit is not None and visit.known.refusal is not None:
        count_refusal(visit.known.refusal, state)
    state.is_finished = True
    answered(response, state)
    restrict_caches(request, response, state, visit)
    try:
        _deliver(request, response, state, visit)
    except AuthxError:
        logger.warning("Cookies were not delivered.", exc_info=True, extra={"event": "cookies_not_delivered"})
    except Exception:  # the site's own code, such as AUTHX_CLAIMS
        logger.exception("Cookies were not delivered.", extra={"event": "cookies_not_delivered"})
    if visit is not None and state.shows_login:
        hide(visit.django_session)
    return response


def _in_place_of(response: HttpResponseBase, visit: Visit) -> HttpResponseBase:
    """Return the response, or another where what it shows cannot be known, or is over."""
    if response.status_code == 500:  # raised where Django calls no process_exception
        refusals = [each.known.refusal for each in (visit, *visit.swapped)]
        if any(isinstance(error, StoreUnavailable) for error in (*refusals, visit.raised)):
            return unavailable(visit.request)
        return response if visit.raised is None else over(visit, visit.raised)
    if may_be_repeated(visit.request, response):
        return answer_of_first(visit) or response
    if not _streams_unread(visit, response):
        return response
    try:
        visit.settle()
    except StoreUnavailable:
        return response  # what has been made without the row is shown
    if visit.over is None:
        return response
    other = over(visit, visit.over)
    other._resource_closers += response._resource_closers  # type: ignore[attr-defined]
    return other


def _deliver(
    request: HttpRequest, response: HttpResponseBase, state: RequestState, visit: Visit | None
) -> None:
    if _has_new_data(request) and (visit is None or state.caller is not None):
        conclude_bearer(request, state)
        visit = state.visit
    if visit is None:
        return
    for swapped in visit.swapped:
        keep_binding(swapped, state)
    if visit.swapped:
        read_again(visit)
    with visit.in_place():
        _apply(visit, response, state)
        follow_key(request, visit.known, state)


def _apply(visit: Visit, response: HttpResponseBase, state: RequestState) -> None:
    if not _has_new_data(visit.request):
        apply(visit, response, state)
        return
    note_proofs(visit, response)
    if not state.took_over and auth_functions.holds_new_hash(visit.request):
        changed = own_password_change(visit.request, visit.identity, state)
        if changed is not None:
            visit.identify(changed)
    apply(visit, response, state)
    claim_stored_data(visit, state)


def _has_new_data(request: Any) -> bool:
    """Return whether something was stored in the Django session, or removed from it, or its key is new."""
    return bool(getattr(getattr(request, "session", None), "modified", False))
