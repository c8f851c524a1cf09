""" "This wasn't me": the page behind the link in a notice, for whoever holds it, signed in or not.

GET shows what would end, for programs that look at mail follow its links; POST ends it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.debug import sensitive_variables
from django.views.decorators.http import require_http_methods

from authx.core.actor import Actor
from authx.errors import StoreUnavailable, TokenError
from authx.http.actor import actor_of
from authx.http.caching import never_cache
from authx.http.error_reports import HiddenText, keep_secrets, mask_in_address
from authx.http.framing import unframed
from authx.http.renewal import never_renew
from authx.http.site_urls import PASSWORD_RESET, page_named
from authx.pages.failures import unavailable
from authx.sessions.not_me import end_named, find_named


def _discreet(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
    """Let the link leave no trace: in no log, report, cache, search engine, nor at another site."""

    @sensitive_variables()
    @wraps(view)
    def decorated(request: HttpRequest, token: HiddenText) -> HttpResponseBase:
        keep_secrets(request)
        mask_in_address(request, str(token))
        try:
            response = view(request, token)
        except StoreUnavailable:  # here, and not in the middleware: the headers belong to that page, too
            response = unavailable(request)
        never_cache(response)
        response["Referrer-Policy"] = "no-referrer"
        response["X-Robots-Tag"] = "noindex, nofollow"
        return response

    return decorated


# No CSRF token is asked for: whoever can send the form holds the link, which is all that counts, and needs
# nobody's cookies. Nor could it be: under ``no-referrer`` browsers send ``Origin: null``, and Django refuses.
@csrf_exempt
@never_renew
@login_not_required
@_discreet
@unframed
@require_http_methods(["GET", "HEAD", "POST"])
def not_me(request: HttpRequest, token: HiddenText) -> HttpResponse:
    """Show the session that a link names, or end it; nobody is signed in by it, nor out of another one."""
    try:
        named = find_named(str(token))
    except TokenError:
        named = None
    if named is None:  # the same for every link that is not good: nobody learns why
        return render(request, "authx/not_me_refused.html", status=410)
    if request.method == "POST":
        # The visitor may be signed in as somebody else, who has nothing to do with this.
        place = actor_of(request)
        ended = end_named(named, Actor(ip=place.ip, user_agent=place.user_agent))
        if address := page_named(PASSWORD_RESET):
            messages.success(request, _ended_text(ended), fail_silently=True)
            return HttpResponseRedirect(address)
    context: dict[str, Any] = {
        "session": named.session,
        "is_over": request.method == "POST" or named.live is None,
        "password_reset": page_named(PASSWORD_RESET),
    }
    return render(request, "authx/not_me.html", context)


def _ended_text(ended: bool) -> str:
    if ended:
        return _("It has been signed out. Now choose a new password.")
    return _("It had been signed out already. Choose a new password if you have not done so since.")
