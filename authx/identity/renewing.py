"""Renew first, then look: where renewing is due, that happens before the view, outside its transaction."""

from __future__ import annotations

import logging

from django.http import HttpRequest
from django.views.decorators.debug import sensitive_variables

from authx import metrics
from authx.errors import RefreshError, StoreUnavailable
from authx.http import renewal
from authx.http.actor import actor_of
from authx.http.cookies import sole_cookie_header
from authx.http.request_state import request_state
from authx.identity.identity import Delivery, Identity
from authx.identity.settling import NOBODY, refused
from authx.logins.good_headers import good_headers
from authx.logins.presented import Presented, presented_by
from authx.sessions.refreshing import admit_without_refresh, exchange
from authx.sessions.risk import count_refresh
from authx.store.database import store_errors

logger = logging.getLogger("authx")


def renew(request: HttpRequest) -> Identity:
    """Renew silently where the access cookie is no credential and there is a refresh cookie.

    Return what is known of the request then, for ``settle``, nothing if none was due: neither the Django
    session nor what the access cookie says has been looked at. An error of the site's own code is kept for
    whoever asks, because most pages do not. Beside a Bearer token nothing is renewed.
    """
    if request_state(request).has_bearer:
        return NOBODY
    try:
        if _was_good_before(request) or (presented := _due(request)) is None:
            return NOBODY
        if not renewal.may_renew(request):
            return NOBODY
        with store_errors():
            return _counted(_renew(request, presented))
    except StoreUnavailable as error:
        metrics.RENEWALS.count(outcome=error.code)
        return Identity(refusal=error)
    except Exception as error:
        metrics.RENEWALS.count(outcome="failed")
        logger.exception("A session was not renewed.", extra={"event": "session_not_renewed"})
        return Identity(failure=error)


def _was_good_before(request: HttpRequest, *, if_at_hand: bool = False) -> bool:
    header = sole_cookie_header(request)
    return header is not None and good_headers.holds(header, if_at_hand=if_at_hand)


@sensitive_variables()
def _due(request: HttpRequest) -> Presented | None:
    """Return what was presented if it is to be renewed; raises as ``Presented.access`` does.

    Where nothing is due, the Cookie header is good from now on.
    """
    header = sole_cookie_header(request)
    presented = presented_by(request)
    if presented.is_due:
        return presented
    if header is not None and (claims := presented.lasting) is not None:
        good_headers.add(header, claims)
    return None


def _counted(renewed: Identity) -> Identity:
    """Count a renewal, and return what it has come to."""
    outcome = "renewed" if renewed.delivery.credentials is not None else "limited"
    metrics.RENEWALS.count(outcome=outcome if renewed.refusal is None else renewed.refusal.code)
    return renewed


def renews_nothing(request: HttpRequest) -> bool:
    """Return whether ``renew`` neither reads nor writes anything for this request."""
    if request_state(request).has_bearer:
        return True
    try:
        if _was_good_before(request, if_at_hand=True):
            return True
        presented = presented_by(request)
        return presented.is_at_hand and not presented.is_due
    except Exception:  # which ``renew`` keeps
        return False


@sensitive_variables()
def _renew(request: HttpRequest, presented: Presented) -> Identity:
    if presented.refresh is None:
        return Identity(refusal=presented.refresh_error)
    actor = actor_of(request)
    try:
        if count_refresh(presented.refresh, actor):
            # Too often: the visitor is let in unchanged, and no cookies are set.
            session, claims = admit_without_refresh(presented.refresh, actor)
            return Identity(session.user, session, claims)
        credentials = exchange(presented.refresh, actor)
    except RefreshError as error:
        return refused(request, error)
    session = credentials.session
    return Identity(session.user, session, credentials.claims, delivery=Delivery(credentials))
