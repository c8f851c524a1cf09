"""Step-up on pages: asking for a recent proof, and continuing the session where there is one (RFC 9470)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponseRedirect
from django.shortcuts import resolve_url
from django.utils.translation import gettext as _

from authx.http import django_session
from authx.http.actor import actor_of
from authx.http.confirmation import page_of, to_confirmation
from authx.models import DeviceSession
from authx.pages.django_login import wants_device_session
from authx.pages.visit import Visit, visit_of
from authx.sessions.continuing import continue_session
from authx.sessions.step_up import is_recent


def step_up(
    visit: Visit, session: DeviceSession, methods: Sequence[str], *, auth_time: datetime | None = None
) -> None:
    """Continue ``session``, whose user has just proved ``methods``, in one that this response delivers.

    Raises:
        SessionEnded: it had ended before, or ended meanwhile.
        StoreUnavailable: the database cannot be written.
    """
    request = visit.request
    user = session.user if visit.settled_session is None else visit.user()  # perhaps an impersonated one
    actor = actor_of(request, session.user)
    credentials = continue_session(
        session, actor, methods=methods, came_back=came_back(visit), auth_time=auth_time
    )
    django_session.hand_on(request, str(session.pk), str(credentials.session.pk))
    visit.delivery, visit.held, visit.clears = credentials, None, False
    visit.identify(credentials.session, user)


def came_back(visit: Visit) -> bool:
    """Return whether the visitor was identified by a cookie of ours, not by the Django session alone."""
    return not visit.binds


def demand_recent(
    request: HttpRequest, max_age: timedelta | None, *, back: str | None = None
) -> HttpResponseRedirect | None:
    """Return None if the visitor proved who they are within ``max_age``, or if that is None; else a redirect.

    It leads to the confirm page, or to LOGIN_URL for an anonymous visitor and where there is no confirm page;
    then back to ``back``, or to the page that the visitor wanted or sent a form from.

    Raises:
        PermissionDenied: the site wants no device session for this login, so no proof can be remembered.
    """
    visit = visit_of(request)
    session = visit.session if visit is not None else None
    if is_recent(session, max_age):
        return None
    if session is None and request.user.is_authenticated and not wants_device_session(request, request.user):
        raise PermissionDenied("This login has no device session.")
    wanted = page_of(request) if back is None else back
    confirmation = to_confirmation(wanted) if session is not None else None
    if confirmation is None:
        return to_login(wanted)
    if request.method not in {"GET", "HEAD"}:
        said = _("Nothing has been changed yet. Confirm that it is you, then try again.")
        messages.warning(request, said, fail_silently=True)
    return confirmation


def checked_max_age(max_age: timedelta) -> timedelta:
    """Return ``max_age`` if it can be one.

    Raises:
        ValueError: it is not a timedelta of a second or more.
    """
    if not isinstance(max_age, timedelta) or max_age < timedelta(seconds=1):
        raise ValueError("max_age must be a timedelta of a second or more")
    return max_age


def to_login(wanted: str) -> HttpResponseRedirect:
    """Redirect to LOGIN_URL, which leads back to ``wanted``: a fresh login is a proof, too."""
    return redirect_to_login(wanted, resolve_url(settings.LOGIN_URL))
