"""Who a request is: settled from what it presents, by one function for every web door.

Renew first, then look: where renewing is due, that happens before the view, in no transaction of its own.
Everything else happens when somebody asks.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from dataclasses import replace

from django.http import HttpRequest
from django.views.decorators.debug import sensitive_variables

from authx.core.claims import AccessClaims
from authx.core.reasons import EndReason
from authx.errors import (
    RefreshError,
    RefreshMalformed,
    RefreshReused,
    SessionEnded,
    StoreUnavailable,
    TokenError,
)
from authx.http import django_session, renewal
from authx.http.actor import actor_of
from authx.http.request_state import is_swapped
from authx.identity import django_login
from authx.identity.adoption import identity_of_django_login, identity_of_swapped_session
from authx.identity.binding import mark_binding
from authx.identity.identity import Delivery, Identity
from authx.logins.browser import cookie_session
from authx.logins.presented import Presented, presented_by
from authx.sessions import end_session
from authx.sessions.activity import record_use
from authx.sessions.liveness import end_of, find_live
from authx.sessions.refreshing import admit_without_refresh, exchange, find_refreshable
from authx.sessions.risk import count_refresh
from authx.store.database import store_errors

logger = logging.getLogger("authx")


def renew(request: HttpRequest) -> Identity:
    """Renew silently where the access cookie is no credential and there is a refresh cookie.

    Return what is known of the request then, for ``settle``: the Django session has not been looked at, and
    of an access cookie that counts only the claims are known. An error of the site's own code is kept for
    whoever asks, because most pages do not.
    """
    try:
        presented = presented_by(request)
        if not presented.is_due or not renewal.may_renew(request):
            return Identity(claims=presented.access)
        with store_errors():
            return _renew(request, presented)
    except StoreUnavailable as error:
        return Identity(refusal=error)
    except Exception as error:
        logger.exception("A session was not renewed.")
        return Identity(failure=error)


def settle(request: HttpRequest, known: Identity) -> Identity:
    """Return who the request is; ``known`` is what ``renew`` has returned for it.

    Flushes a Django session that is another login's, or that ends with its device session.
    """
    try:
        with store_errors():  # Django's own session and user are read here too
            return _settle(request, known)
    except StoreUnavailable as error:
        return Identity(refusal=error, delivery=known.delivery)
    except Exception as error:
        logger.exception("A visitor could not be identified.")
        return Identity(failure=error, delivery=known.delivery)


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
        return _refused(request, error)
    session = credentials.session
    return Identity(session.user, session, credentials.claims, delivery=Delivery(credentials))


def _settle(request: HttpRequest, known: Identity) -> Identity:
    if is_swapped(request):
        return identity_of_swapped_session(request)
    if isinstance(known.refusal, StoreUnavailable):
        return _leaving(request) if renewal.is_logout(request) else known
    if (forced := _by_forced_login(request)) is not None:
        return forced
    if known.refusal is not None or known.failure is not None:
        return known
    if known.session is not None:
        return _admitted(request, known)
    if known.claims is not None:
        return _by_access_cookie(request, known.claims)
    if presented_by(request).is_sent:
        return _by_refresh_cookie(request)
    return identity_of_django_login(request)


def _by_forced_login(request: HttpRequest) -> Identity | None:
    """Return the visitor by a login of ``Client.force_login``, which wins over older cookies; None without.

    They end as at a login over them. No login by HTTP wins so: its Django session could be planted by a
    sibling domain, whose cookies cannot replace ours.
    """
    if not presented_by(request).is_sent or not django_session.is_forced(request):
        return None
    older = cookie_session(request)
    if older is not None and str(older.session.pk) == django_session.bound_to(request):
        return None
    identity = identity_of_django_login(request)
    if identity.session is None:
        return None
    if older is not None and older.session.ended_at is None:
        end_session(older.session, EndReason.SUPERSEDED, actor_of(request, identity.user))
    return identity


def _by_access_cookie(request: HttpRequest, claims: AccessClaims) -> Identity:
    try:
        found = find_live(claims)
    except SessionEnded as error:
        return _refused(request, error)
    except TokenError:
        return _by_refresh_cookie(request)
    record_use(found.session, claims, now=found.now)
    return _admitted(request, Identity(found.session.user, found.session, claims))


def _by_refresh_cookie(request: HttpRequest) -> Identity:
    """Identify the visitor by the refresh cookie, without spending it, where that is too late or harmful.

    At a logout any genuine one will do: the admin, and a site that demands a login, let nobody else log out.
    Elsewhere one that could be spent, if another process has just withdrawn the key of an access token that
    had seemed valid.
    """
    found, presented = None, presented_by(request)
    if request.method == "POST" and renewal.is_logout(request):
        found = cookie_session(request)
    elif presented.access is not None and presented.refresh is not None:
        with suppress(RefreshMalformed):
            found = find_refreshable(presented.refresh)
    if found is None or end_of(found):
        return Identity()
    return _admitted(request, Identity(found.session.user, found.session))


def _leaving(request: HttpRequest) -> Identity:
    """Return who logs out while the access cookie cannot be read.

    The admin's logout needs its user. Any other finds the session to end itself (``cookie_session``), for
    which the refresh cookie is enough.
    """
    return _by_refresh_cookie(request) if renewal.is_admin_logout(request) else Identity()


def _admitted(request: HttpRequest, identity: Identity) -> Identity:
    """Return the identity, once no other login is left in the Django session."""
    session = identity.session
    assert session is not None
    if django_session.leave_no_other(request, session.user, str(session.pk)):
        return replace(identity, user=django_login.own_user(request))
    django_login.show(request, session)
    mark_binding(request, session)
    return identity


def _refused(request: HttpRequest, error: RefreshError | TokenError) -> Identity:
    """Return nobody, and why; flush the Django login that ends with the session, but no newer one."""
    if isinstance(error, SessionEnded | RefreshReused):
        django_session.flush_ended(request, error.sid)
    return Identity(refusal=error)
