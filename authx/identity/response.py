"""What the middleware does to a response: cookies, the Django session, and what caches may keep."""

from __future__ import annotations

from django.http import FileResponse, HttpRequest
from django.http.response import HttpResponseBase
from django.utils.cache import patch_cache_control, patch_vary_headers

from authx.conf import conf
from authx.http import django_session
from authx.http.cookies import has_credentials
from authx.http.request_state import RequestState
from authx.identity.delivery import deliver
from authx.identity.password_change import own_password_change
from authx.identity.presented import presented_by
from authx.identity.visit import Visit
from authx.models import EndReason
from authx.sessions import end_session


def apply(visit: Visit, response: HttpResponseBase, state: RequestState) -> None:
    """Do to the response, and to the Django session, what follows from who the request is.

    Raises:
        StoreUnavailable: what is to be delivered cannot be known; the response is left as it is.
    """
    if state.took_over:
        _make_way(visit)
    elif (changed := own_password_change(visit.request, visit.identity, state)) is not None:
        visit.identify(changed)
    delivery = visit.identity.delivery
    if delivery.clears_cookies or delivery.credentials is not None:
        is_set = deliver(visit.request, response, delivery)
        if is_set and conf.EXPOSE_ACCESS_TOKEN and delivery.credentials is not None:
            response["X-Access-Token"] = delivery.credentials.access_token


def restrict_caches(
    request: HttpRequest, response: HttpResponseBase, visit: Visit | None, state: RequestState
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


def claim_django_session(visit: Visit, state: RequestState) -> None:
    """Bind what this request has stored in the Django session to the signed-in user, and to nobody else.

    A login through the API creates no Django session: data stored later must not be left to the browser's
    next user. And an attacker who has planted one since must not read there what was stored by an API view,
    or by a page that did not ask for the user.

    Raises:
        StoreUnavailable: whose it is cannot be known.
    """
    request = visit.request
    kept = getattr(request, "session", None)
    is_settled = visit.identity.delivery.binds_django_session or state.took_over
    if is_settled or kept is None or not kept.modified or not has_credentials(request):
        return
    access = presented_by(request).access
    if access is not None and django_session.owner(request) == access.sid:
        return  # the usual case, which needs no look-up
    if (session := visit.settle().session) is not None:
        django_session.claim(request, session.user, str(session.pk), persistent=session.persistent)


def _make_way(visit: Visit) -> None:
    """Leave the response as the API made it: it sets the cookies of another login, or deletes them all."""
    dropped = visit.identity.delivery
    visit.deliver(credentials=None, clears_cookies=False)
    if dropped.credentials is not None and dropped.binds_django_session:  # adopted now, and never delivered
        end_session(dropped.credentials.session, EndReason.SUPERSEDED, request=visit.request)
