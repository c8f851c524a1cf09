"""Asking for a recent proof on pages (RFC 9470)."""

from __future__ import annotations

from datetime import timedelta

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponseRedirect
from django.shortcuts import resolve_url
from django.utils.translation import gettext as _

from authx.http.confirmation import page_of, to_confirmation
from authx.identity.django_login import wants_device_session
from authx.identity.visit import session_of
from authx.sessions.step_up import is_recent


def demand_recent(
    request: HttpRequest, max_age: timedelta | None, *, back: str | None = None
) -> HttpResponseRedirect | None:
    """Return None if the visitor proved who they are within ``max_age``, or if that is None; else a redirect.

    It leads to the confirm page, or to LOGIN_URL for an anonymous visitor and where there is no confirm page;
    then back to ``back``, or to the page that the visitor wanted or sent a form from.

    Raises:
        PermissionDenied: the site wants no device session for this login, so no proof can be remembered.
    """
    session = session_of(request)
    if is_recent(session, max_age):
        return None
    if session is None and request.user.is_authenticated and not wants_device_session(request, request.user):
        raise PermissionDenied(_("This login has no device session."))
    wanted = page_of(request) if back is None else back
    confirmation = to_confirmation(wanted) if session is not None else None
    if confirmation is None:
        return to_login(wanted)
    if request.method not in {"GET", "HEAD"}:
        text = _("Nothing has been changed yet. Confirm that it is you, then try again.")
        messages.warning(request, text, fail_silently=True)
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
