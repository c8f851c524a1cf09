"""Whether staff have authenticated recently, before they do what cannot be undone."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.admin import ModelAdmin
from django.http import HttpRequest, HttpResponseRedirect
from django.utils.translation import gettext as _

from authx.conf import conf
from authx.http.confirmation import page_of, to_confirmation
from authx.sessions.step_up import is_recent


def ask_again(model_admin: ModelAdmin, request: HttpRequest) -> HttpResponseRedirect | None:
    """Return None if the login is as recent as AUTHX_STAFF_MAX_AUTH_AGE demands; else a redirect.

    With a message, it leads to the confirm page and from there back to the page that the form stood on;
    straight back if there is no confirm page, or no device session that it could continue.
    """
    session = getattr(request, "device_session", None)
    if is_recent(session, conf.STAFF_MAX_AUTH_AGE):
        return None
    back = page_of(request)
    confirmation = None if session is None else to_confirmation(back)
    if confirmation is None:
        text = _("You signed in too long ago to do this: sign out, sign in and try again.")
        model_admin.message_user(request, text, messages.ERROR)
        return HttpResponseRedirect(back)
    text = _("You signed in too long ago to do this. Confirm that it is you, then try again.")
    model_admin.message_user(request, text, messages.WARNING)
    return confirmation
