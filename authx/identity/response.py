"""What the middleware does to a response: its cookies, and what caches may keep."""

from __future__ import annotations

from django.http import FileResponse, HttpRequest
from django.http.response import HttpResponseBase
from django.utils.cache import patch_cache_control, patch_vary_headers

from authx.conf import conf
from authx.core.reasons import EndReason
from authx.http.actor import actor_of
from authx.http.cookies import has_credentials
from authx.http.request_state import RequestState
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
    delivery = visit.identity.delivery
    if delivery.clears_cookies or delivery.credentials is not None:
        is_set = deliver(visit.request, response, delivery)
        if is_set and conf.EXPOSE_ACCESS_TOKEN and delivery.credentials is not None:
            response["X-Access-Token"] = delivery.credentials.access_token


def restrict_caches(
    request: HttpRequest, response: HttpResponseBase, state: RequestState, visit: Visit | None
) -> None:
    """Say what the response depends on, and that it is private where somebody was identified."""
    asked = state.identity_header
    # A streamed response may still ask for the user after its headers have left; a file does not.
    late = response.streaming and not isinstance(response, FileResponse)
    used = "Cookie" if late or (visit is not None and visit.touched) else asked
    if used is None:
        return
    patch_vary_headers(response, [used])
    known = asked is not None or (visit is not None and visit.identity.session is not None)
    known = known or (late and has_credentials(request))
    if known and "no-store" not in response.get("Cache-Control", ""):
        patch_cache_control(response, private=True)
    if state.has_new_tokens:
        response["Cache-Control"] = "private, no-store"


def _make_way(visit: Visit) -> None:
    """Leave the response as the API made it: it sets the cookies of another login, or deletes them all."""
    dropped = visit.identity.delivery
    visit.change_delivery(credentials=None, clears_cookies=False)
    if dropped.credentials is not None and dropped.binds_django_session:  # adopted now, and never delivered
        end_session(dropped.credentials.session, EndReason.SUPERSEDED, by=actor_of(visit.request))
