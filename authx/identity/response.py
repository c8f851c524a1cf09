"""What the middleware does to a response: its cookies, and what caches may keep."""

from __future__ import annotations

from django.http import FileResponse, HttpRequest
from django.http.response import HttpResponseBase
from django.utils.cache import patch_vary_headers

from authx.conf import conf
from authx.core.reasons import EndReason
from authx.http import renewal
from authx.http.actor import actor_of
from authx.http.caching import keep_private, never_cache
from authx.http.cookies import came_back, has_credentials
from authx.http.ended_cookie import keep
from authx.http.request_state import RequestState, is_swapped
from authx.identity.delivery import deliver
from authx.identity.visit import Visit
from authx.sessions import end_session


def apply(visit: Visit, response: HttpResponseBase, state: RequestState) -> None:
    """Set or delete the cookies, as follows from who the request is.

    Raises:
        StoreUnavailable: what is to be delivered cannot be known; no cookie is set or deleted.
    """
    if state.took_over:
        _make_way(visit)
    delivery = visit.known.delivery
    if delivery.clears_cookies or delivery.credentials is not None:
        is_set = deliver(visit.request, response, delivery)
        if is_set and conf.EXPOSE_ACCESS_TOKEN and delivery.credentials is not None:
            response["X-Access-Token"] = delivery.credentials.access_token
    _keep_reason(visit, response)


def _keep_reason(visit: Visit, response: HttpResponseBase) -> None:
    """Leave the reason with a browser that has neither cookies nor a Django session to say it any more."""
    ended, request = visit.known.ended, visit.request
    if ended is None or is_swapped(request):
        return
    if visit.known.delivery.clears_cookies or not came_back(request):
        keep(response, ended, is_shown=renewal.is_login_page(request))


def restrict_caches(
    request: HttpRequest, response: HttpResponseBase, state: RequestState, visit: Visit | None
) -> None:
    """Say what the response depends on, and that it is private where somebody was identified."""
    asked = state.identity_header
    # A streamed response may still ask for the user after its headers have left; a file does not.
    late = response.streaming and not isinstance(response, FileResponse)
    has_asked_cookies = late or (visit is not None and visit.touched)
    if asked is None and not has_asked_cookies:
        return
    used = ("Cookie" if has_asked_cookies else None, asked)
    patch_vary_headers(response, [name for name in used if name is not None])
    known = asked is not None or (visit is not None and visit.has_named_somebody)
    known = known or (late and has_credentials(request))
    if known:
        keep_private(response)
    if state.has_new_tokens:
        never_cache(response)


def _make_way(visit: Visit) -> None:
    """Leave the response as the API made it: it sets the cookies of another login, or deletes them all."""
    dropped = visit.known.delivery
    visit.change_delivery(credentials=None, clears_cookies=False)
    if dropped.credentials is not None and dropped.binds_django_session:  # adopted now, and never delivered
        end_session(dropped.credentials.session, EndReason.SUPERSEDED, by=actor_of(visit.request))
