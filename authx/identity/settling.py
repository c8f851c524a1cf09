"""Who a request is: settled from what it presents, by one function for every web door, when somebody asks."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

from django.http import HttpRequest

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
from authx.identity.identity import Identity
from authx.logins.browser import cookie_session
from authx.logins.presented import presented_by
from authx.sessions import end_session
from authx.sessions.activity import record_use
from authx.sessions.authentication import Caller, admit
from authx.sessions.liveness import end_of, find_live
from authx.sessions.refreshing import find_refreshable
from authx.store.database import store_errors

logger = logging.getLogger("authx")

#: What is known of a request before it has been looked at; its user is handed out to nobody.
NOBODY = Identity()
#: Reads the user of a caller whose row has not been read.
UserOf = Callable[[Caller], Any]


def settle(request: HttpRequest, known: Identity, user_of: UserOf | None = None) -> Identity:
    """Return who the request is; ``known`` is what ``renew`` has returned for it.

    Flushes a Django session that is another login's, or that ends with its device session. With ``user_of``,
    which reads a caller's user later, the session is alive if AUTHX_REVOCATION_STORE says so, whether or not
    its row has been read; without it, the row is read.
    """
    try:
        with store_errors():  # Django's own session and user are read here too
            return _settle(request, known, user_of)
    except StoreUnavailable as error:
        return Identity(refusal=error, delivery=known.delivery)
    except Exception as error:
        logger.exception("A visitor could not be identified.", extra={"event": "visitor_not_identified"})
        return Identity(failure=error, delivery=known.delivery)


def read(request: HttpRequest, known: Identity) -> Identity:
    """Return ``known`` with the row of its session, or who the request is if that is over after all.

    Raises:
        StoreUnavailable: it cannot be read.
    """
    caller = known.unread
    assert caller is not None
    try:
        with store_errors():
            session = caller.session
            django_login.show(request, session)
            mark_binding(request, session)
    except SessionEnded as error:
        return refused(request, error)
    except TokenError:
        return _by_refresh_cookie(request)
    return replace(known, session=session, unread=None)


def _settle(request: HttpRequest, known: Identity, user_of: UserOf | None) -> Identity:
    if is_swapped(request):
        return identity_of_swapped_session(request)
    if isinstance(known.refusal, StoreUnavailable):
        return _leaving(request) if renewal.is_logout(request) else known
    presented = presented_by(request)
    if presented.is_sent and (forced := _by_forced_login(request)) is not None:
        return forced
    if known.refusal is not None or known.failure is not None:
        return known
    if known.session is not None:
        return _admitted(request, known)
    if (access := presented.access) is not None:
        return _by_access_cookie(request, access, user_of)
    return _by_refresh_cookie(request) if presented.is_sent else identity_of_django_login(request)


def _by_forced_login(request: HttpRequest) -> Identity | None:
    """Return the visitor by a login of ``Client.force_login``, which wins over older cookies; None without.

    They end as at a login over them. No login by HTTP wins so: its Django session could be planted by a
    sibling domain, whose cookies cannot replace ours.
    """
    if not django_session.is_forced(request):
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


def _by_access_cookie(request: HttpRequest, claims: AccessClaims, user_of: UserOf | None) -> Identity:
    try:
        if user_of is not None and not _needs_row(request, claims):
            caller = admit(claims)
            if not caller.is_read:
                return _unread(request, caller, user_of)
            caller.record_use()
            session = caller.session
        else:
            found = find_live(claims)
            record_use(found.session, claims, now=found.now)
            session = found.session
    except SessionEnded as error:
        return refused(request, error)
    except TokenError:
        return _by_refresh_cookie(request)
    return _admitted(request, Identity(session.user, session, claims))


def _needs_row(request: HttpRequest, claims: AccessClaims) -> bool:
    """Return whether the row has to say whose the Django login is that the browser has as well."""
    if not django_session.is_present(request):
        return False
    return claims.opaque or django_session.beneath_sid(request) == claims.sid


def _unread(request: HttpRequest, caller: Caller, user_of: UserOf) -> Identity:
    """Return the identity of a live session whose row nobody has asked for, as ``_admitted`` does."""
    user = caller.user(lambda: user_of(caller))
    caller.record_use()
    django_session.leave_no_other(request, user, caller.claims.sid)
    django_login.show_later(request, caller.claims.sid)
    return Identity(user, claims=caller.claims, unread=caller)


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


def refused(request: HttpRequest, error: RefreshError | TokenError) -> Identity:
    """Return nobody, and why; flush the Django login that ends with the session, but no newer one."""
    if isinstance(error, SessionEnded | RefreshReused):
        django_session.flush_ended(request, error.sid)
    return Identity(refusal=error)
