"""A Django login without our cookies yet: it is bound to a device session, or adopted into a new one."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from django.http import HttpRequest
from django.utils import timezone

from authx.core.auth_time import AUTH_TIME_UNKNOWN
from authx.core.reasons import EndReason
from authx.errors import LoginRefused, SessionEnded, SessionLimitReached
from authx.http import django_session
from authx.http.device_cookie import browser_device
from authx.http.request_state import is_swapped
from authx.http.session_key import stored_key
from authx.identity import django_login
from authx.identity.identity import Delivery, Identity
from authx.sessions import Credentials, Device, open_session
from authx.sessions.activity import record_presence
from authx.sessions.credentials import credentials_for
from authx.sessions.liveness import end_of, ended_at
from authx.sessions.lookup import Snapshot, find_adopted, find_by_sid

#: How long after its login or adoption a Django session alone is a credential and fetches our cookies.
DELIVERY_WINDOW = timedelta(minutes=10)


def identity_of_django_login(request: HttpRequest) -> Identity:
    """Return who a visitor is that brought no cookie of ours, by the Django session alone.

    It is a credential until the first of our cookies has come back from that browser, and for ten minutes at
    most.
    """
    bound = django_session.bound_to(request)
    if bound:
        return _follow(request, find_by_sid(UUID(bound)))
    if not django_session.is_present(request):
        return Identity()
    if bound is None:
        return _adopt(request)
    if django_session.beneath_sid(request):  # the session beneath was not presented
        return Identity()
    return Identity(django_login.own_user(request))


def identity_of_swapped_session(request: HttpRequest) -> Identity:
    """Return who a request is whose Django session was put in place of the one it came with.

    Nothing else is a credential then, and this one is for as long as its device session lives: no cookie of
    ours ever comes back to take its place. Where one has, it is a browser's session, and stays none.
    """
    sid = django_session.owner(request)
    if sid is None:
        return identity_of_django_login(request)
    return _follow(request, find_by_sid(UUID(sid)))


def _adopt(request: HttpRequest) -> Identity:
    """Open a device session for a login older than authx, at most once ever."""
    user = django_login.own_user(request)
    if not user.is_authenticated or not django_login.wants_device_session(request, user):
        return Identity(user)
    mark = django_login.adoption_mark(request)
    if mark is None:
        return Identity(user)
    try:
        credentials = open_session(
            user,
            request,
            Device(id=browser_device(request).id),
            amr=(),
            auth_time=AUTH_TIME_UNKNOWN,  # ``last_login`` may be another device's
            persistent=not request.session.get_expire_at_browser_close(),
            backend=django_session.backend_path(request),
            adopted_from=mark,
            django_key=stored_key(request),
        )
    except SessionLimitReached:
        return Identity()
    except LoginRefused:  # another tab was first, or it was adopted and ended long ago
        return _follow(request, find_adopted(mark))
    return _delivered(request, credentials, user)


def _ended(found: Snapshot | None, reason: str | None) -> SessionEnded:
    if found is None or reason is None:
        return SessionEnded(EndReason.EXPIRED)
    session = found.session
    return SessionEnded(
        reason,
        replaced_by=session.replaced_by,
        answers_lost=session.answers_lost,
        ended_at=ended_at(session, reason, found.now),
    )


def _follow(request: HttpRequest, found: Snapshot | None) -> Identity:
    """Return the visitor of the session that this Django login belongs to, or why there is none."""
    reason = EndReason.EXPIRED if found is None else end_of(found)
    if found is None or reason:
        django_session.flush_ended(request, None)
        return Identity(refusal=_ended(found, reason))
    session = found.session
    if not django_session.is_present(request):  # it only holds the session's data: no login
        return Identity()
    has_cookies, is_alone = bool(session.confirmed_generation), is_swapped(request)
    if is_alone and django_session.beneath_sid(request) == str(session.pk):
        return Identity() if has_cookies else Identity(django_login.own_user(request), session)
    if not django_session.belongs_to(request, session.user):
        django_session.flush(request)
        return Identity()
    if is_alone and not has_cookies:
        return _stay(request, found)
    if has_cookies or not _is_recent(found):
        _bind(request, found)  # else every request would try to adopt it
        return Identity()
    credentials = credentials_for(session, generation=session.generation, now=timezone.now())
    return _delivered(request, credentials, session.user)


def _stay(request: HttpRequest, found: Snapshot) -> Identity:
    """Return the visitor of a swapped session, which the device session is bound to already, or is now."""
    session = found.session
    _bind(request, found)
    record_presence(session, now=found.now)
    return Identity(session.user, session, delivery=Delivery(binds_django_session=True))


def _bind(request: HttpRequest, found: Snapshot) -> None:
    if django_session.bound_to(request) is None:
        django_session.bind(request, str(found.session.pk))


def _delivered(request: HttpRequest, credentials: Credentials, user: object) -> Identity:
    """Return the visitor, with cookies to deliver; a swapped session is bound at once, and gets none."""
    if is_swapped(request):
        django_session.bind(request, str(credentials.session.pk))
    delivery = Delivery(credentials, binds_django_session=True)
    return Identity(user, credentials.session, credentials.claims, delivery=delivery)


def _is_recent(found: Snapshot) -> bool:
    """Return whether it was created within ten minutes of now, by the database's clock.

    Before or after, so that a clock that is set back revives nothing. Without the limit, an attacker who
    plants the Django session of a login of their own would sign somebody else in with it.
    """
    return abs(found.now - found.session.created_at) < DELIVERY_WINDOW
