"""``{% load authx %}``: tags for a site's own pages."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django import template
from django.conf import settings
from django.shortcuts import resolve_url
from django.urls import reverse

from authx.http.live import USER, has_stream
from authx.identity.visit import identity_of, session_of
from authx.pages import texts
from authx.sessions.open_pages import user_hash

register = template.Library()


@register.simple_tag(takes_context=True)
def ended_message(context: Any) -> str:
    """Return in a sentence why the visitor's last session ended; ``""`` if there is nothing to say."""
    return texts.ended_message(identity_of(context.get("request")))


@register.inclusion_tag("authx/_live_notice.html", takes_context=True)
def live_notice(context: Any, *, stream: bool | None = None) -> dict[str, Any]:
    """Say in this page, while it is open, that its session has ended; nothing where nobody is signed in.

    ``stream`` says whether ``live/`` is served as a stream too: by itself that is known only where the page
    and the stream come from the same process.
    """
    request = context.get("request")
    session = session_of(request)
    if session is None:
        return {"address": ""}
    address = f"{reverse('authx:live')}?{urlencode({USER: user_hash(session)})}"
    is_streamed = has_stream(request) if stream is None else stream
    return {"address": address, "login_page": resolve_url(settings.LOGIN_URL), "is_streamed": is_streamed}
