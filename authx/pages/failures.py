"""Pages in place of the view's: for an outage, a refused login, and a session that was over after all."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.template.loader import render_to_string
from django.utils.http import escape_leading_slashes

from authx import metrics
from authx.errors import AuthxError, LoginRefused, SessionEnded, SessionLimitReached, StoreUnavailable
from authx.http import renewal
from authx.http.caching import never_cache
from authx.http.confirmation import page_of
from authx.http.language import name_language, negotiated
from authx.http.outage import RETRY_AFTER_SECONDS
from authx.http.refusals import body_of, challenge_for
from authx.identity.visit import Visit
from authx.pages.choosing import choice_page
from authx.pages.step_up import to_login
from authx.pages.texts import refusal_text

#: Marks the URL of a page that was redirected to itself, once.
RETRY_MARK = "authx_retry=1"


def page_for(request: HttpRequest, error: Exception, visit: Visit | None) -> HttpResponseBase | None:
    """Return the page for an error that no view has caught; None for one that is not ours to explain."""
    if isinstance(error, StoreUnavailable):
        return unavailable(request)
    if visit is not None and isinstance(error, AuthxError) and error is visit.raised:
        return over(visit, error)
    if isinstance(error, SessionLimitReached) and (page := choice_page(request, error)):
        return page
    if isinstance(error, LoginRefused | SessionLimitReached):
        metrics.REFUSALS.count(door="pages", code=error.code)
        status = 409 if isinstance(error, SessionLimitReached) else 403
        context = {"message": refusal_text(error)}
        return render(request, "authx/refused.html", context, status=status)
    return None


def over(visit: Visit, error: AuthxError) -> HttpResponseBase:
    """Answer where the view had taken the visitor for signed in, and the session's row says that it is over.

    A page is asked for once more, and the database alone then says who is here: it is the one that other
    visitors see. A form is led to LOGIN_URL, and what is no page is told in JSON, as by the API.
    """
    request = visit.request
    is_page = not renewal.is_api_view(request)
    if is_page and request.method in {"GET", "HEAD"} and not visit.is_retry:
        return to_itself(request)
    if is_page and renewal.is_navigation(request):
        response: HttpResponseBase = to_login(page_of(request))
    else:
        reason, replaced_by, answers_lost = "", "", False
        if isinstance(error, SessionEnded):
            reason, replaced_by, answers_lost = error.reason, error.replaced_by, error.answers_lost
        with negotiated(request) as language:
            body = body_of(error.code, reason, replaced_by, answers_lost=answers_lost)
        response = JsonResponse(body, status=401)
        name_language(response, language)
        response["WWW-Authenticate"] = challenge_for(error.code, reason)
    never_cache(response)
    return response


def to_itself(request: HttpRequest) -> HttpResponseBase:
    """Redirect a page to itself, once: by then the browser has other cookies, or the database is asked."""
    separator = "&" if request.META.get("QUERY_STRING") else "?"
    here = escape_leading_slashes(request.get_full_path())  # "//host/" is another site
    response = HttpResponseRedirect(f"{here}{separator}{RETRY_MARK}")
    never_cache(response)
    return response


def unavailable(request: HttpRequest) -> HttpResponseBase:
    """Return the page for an outage: 503, cookies left alone."""
    metrics.REFUSALS.count(door="pages", code=StoreUnavailable.code)
    context = {"retry_after": RETRY_AFTER_SECONDS}
    # Without the request: context processors might ask for the user.
    response = HttpResponse(render_to_string("authx/unavailable.html", context), status=503)
    response["Retry-After"] = str(RETRY_AFTER_SECONDS)
    never_cache(response)
    return response
