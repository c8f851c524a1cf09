"""A Django login without our cookies yet: it is bound to a device session, or adopted into a new one."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import UUID

from django.contrib.auth.models import AnonymousUser
from django.utils import timezone

from authx.core.auth_time import AUTH_TIME_UNKNOWN
from authx.core.reasons import EndReason
from authx.errors import LoginRefused, SessionLimitReached
from authx.http import django_session
from authx.http.device_cookie import browser_device
from authx.models import DeviceSession
from authx.pages import django_login
from authx.sessions import Device, open_session
from authx.sessions.credentials import credentials_for
from authx.sessions.liveness import end_of
from authx.sessions.reading import find_adopted, read_session

if TYPE_CHECKING:
    from authx.pages.visit import Visit

#: How long after its login or adoption a Django session alone is a credential and fetches our cookies.
DELIVERY_WINDOW = timedelta(minutes=10)


def find_by_django_login(visit: Visit) -> None:
    """Identify a visitor who brought no cookie of ours, by the Django session alone.

    It is a credential until the first of our cookies has come back from that browser, and for ten minutes at
    most.
    """
    request = visit.request
    bound = django_session.bound_to(request)
    if bound:
        _follow(visit, read_session(UUID(bound)))
    elif not django_session.is_present(request):
        visit.identify(None, AnonymousUser())
    elif bound is None:
        _adopt(visit)
    elif django_session.lies_on(request):  # the session beneath was not presented
        visit.identify(None, AnonymousUser())
    else:
        visit.identify(None, django_login.own_user(request))


def _adopt(visit: Visit) -> None:
    """Open a device session for a login older than authx, at most once ever."""
    request = visit.request
    user = django_login.own_user(request)
    if not user.is_authenticated or not django_login.wants_device_session(request, user):
        visit.identify(None, user)
        return
    mark = django_login.adoption_mark(request)
    if mark is None:
        visit.identify(None, user)
        return
    persistent = not request.session.get_expire_at_browser_close()
    try:
        credentials = open_session(
            user,
            request,
            Device(id=browser_device(request).id),
            amr=(),
            auth_time=AUTH_TIME_UNKNOWN,  # ``last_login`` may be another device's
            persistent=persistent,
            adopted_from=mark,
        )
    except SessionLimitReached:
        visit.identify(None, AnonymousUser())
        return
    except LoginRefused:  # another tab was first, or it was adopted and ended long ago
        _follow(visit, find_adopted(mark))
        return
    visit.delivery, visit.binds = credentials, True
    visit.identify(credentials.session, user)


def _follow(visit: Visit, session: DeviceSession | None) -> None:
    """Identify the visitor by the session that this Django login belongs to, or refuse."""
    request = visit.request
    reason = EndReason.EXPIRED if session is None else end_of(session)
    if session is None or reason:
        visit.refuse(reason or EndReason.EXPIRED, None)
    elif not django_session.is_present(request):  # it only holds the session's data: no login
        visit.identify(None, AnonymousUser())
    elif not django_session.belongs_to(request, session.user):
        django_session.flush(request)
        visit.identify(None, AnonymousUser())
    elif session.confirmed_generation or not _is_recent(session):
        if django_session.bound_to(request) is None:  # else every request would try to adopt it
            django_session.bind(request, str(session.pk))
        visit.identify(None, AnonymousUser())
    else:
        visit.delivery = credentials_for(session, generation=session.generation, now=timezone.now())
        visit.binds = True
        visit.identify(session, session.user)


def _is_recent(session: DeviceSession) -> bool:
    """Return whether it was created within ten minutes of now, by the database's clock.

    Before or after, so that a clock that is set back revives nothing. Without the limit, an attacker who
    plants the Django session of a login of their own would sign somebody else in with it.
    """
    return abs(session.database_now - session.created_at) < DELIVERY_WINDOW
