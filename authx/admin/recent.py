"""Whether staff have authenticated recently, before they do what cannot be undone."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.admin import ModelAdmin
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from authx.conf import conf
from authx.sessions.step_up import is_recent


def has_signed_in_recently(model_admin: ModelAdmin, request: HttpRequest) -> bool:
    """Return whether the login is recent enough for AUTHX_STAFF_MAX_AUTH_AGE; if not, show a message."""
    if is_recent(getattr(request, "device_session", None), conf.STAFF_MAX_AUTH_AGE):
        return True
    text = _("You signed in too long ago to do this: sign out, sign in and try again.")
    model_admin.message_user(request, text, messages.ERROR)
    return False
