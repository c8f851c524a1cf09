"""A sign-in form that is sent again after it has signed in: where its visitor is led.

A login replaces the CSRF token. So a second click that comes after the answer to the first, while that page
is still being loaded, is sent with the cookies of the new session and with the old token; and so is the form
of a page that was left open, or come back to. Django refuses it, as it should: its view is not called, and
nobody is signed in or out. But the visitor, who is signed in, is led on instead of being shown the refusal.

With CSRF_USE_SESSIONS the token is in the Django session, which a login replaces. There a second click is
refused also where it comes before the answer to the first, and the browser drops that answer, with its
cookies. Nobody is signed in then: the visitor is led back to the form, whose token is good again.
"""

from __future__ import annotations

from typing import Any

from django.contrib.auth.views import LoginView, redirect_to_login
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.middleware.csrf import CsrfViewMiddleware
from django.utils.http import escape_leading_slashes
from django.views.decorators.debug import sensitive_variables

from authx.errors import StoreUnavailable
from authx.http.caching import never_cache
from authx.http.origin import is_same_origin
from authx.http.renewal import is_login_form
from authx.identity.visit import Visit
from authx.logins.double_click import has_opened, has_opened_here
from authx.models import DeviceSession
from authx.pages.choosing import PROOF


def may_be_repeated(request: HttpRequest, response: HttpResponseBase) -> bool:
    """Return whether the response refuses a sign-in form whose view was found; nothing is read."""
    return response.status_code == 403 and request.resolver_match is not None and is_login_form(request)


def answer_of_first(visit: Visit) -> HttpResponse | None:
    """Return a redirect where a form was refused for its CSRF token alone, and its visitor has signed in.

    It leads to where the login has led that has just opened the session; where the form is late, or names
    somebody else, or the browser has no cookies of that login yet, to its own page, which says who is signed
    in, if anybody, and has a new token. None for everybody else, and for what another site has sent: they are
    answered as ever.
    """
    request = visit.request
    if not (is_same_origin(request) and _is_refused(request)):
        return None
    try:
        address = _onward(request, visit.settle().session)
    except StoreUnavailable:
        return None
    if not address:
        return None
    response = HttpResponseRedirect(address)
    never_cache(response)
    return response


@sensitive_variables("proof")
def _onward(request: HttpRequest, session: DeviceSession | None) -> str:
    """Return where to lead the visitor who is signed in with ``session``, or with none; ``""`` if nowhere."""
    name, proof = request.POST.get("username", ""), request.POST.get(PROOF, "")
    view = _login_view(request)
    if session is None and not has_opened_here(request, name=name, proof=proof):
        return ""
    if session is not None and has_opened(session, name=name, proof=proof):
        return str(view.get_success_url())
    here = escape_leading_slashes(request.get_full_path())
    wanted = view.get_redirect_url()  # of this host, or ""
    return redirect_to_login(wanted, here, view.redirect_field_name).url if wanted else here


def _login_view(request: HttpRequest) -> Any:
    """Return the view that would have taken the form, and knows where a login leads."""
    match: Any = request.resolver_match
    kind = getattr(match.func, "view_class", LoginView)  # the login of an admin site is a function around it
    view = kind(**getattr(match.func, "view_initkwargs", {}))
    view.setup(request, *match.args, **match.kwargs)
    return view


class _CSRFCheck(CsrfViewMiddleware):
    """Django's check, whose refusal is a text (as DRF asks it)."""

    def _reject(self, request: HttpRequest, reason: str) -> str:
        return reason


def _is_refused(request: HttpRequest) -> bool:
    """Return whether Django's check refuses the request; one that it has let in was answered by its view."""
    view = HttpResponse  # it is not called
    return _CSRFCheck(view).process_view(request, view, (), {}) is not None
