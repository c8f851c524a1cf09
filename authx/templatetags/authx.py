"""``{% load authx %}``: tags for a site's own pages."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from django import template
from django.conf import settings
from django.shortcuts import resolve_url
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import pgettext

from authx.http import ago, direction, places, words
from authx.http.live import USER, has_stream
from authx.http.request_state import request_state
from authx.http.site_urls import PASSWORD_RESET, page_named
from authx.identity.visit import session_of
from authx.pages.admin_login import IN_MESSAGES, IN_TEMPLATE
from authx.pages.ended import EndedNotice
from authx.pages.ended import ended_notice as notice_of
from authx.sessions.open_pages import user_hash

register = template.Library()


@register.simple_tag
def password_reset_url() -> str:
    """Return the path of the site's page for a forgotten password; ``""`` if it has none."""
    return page_named(PASSWORD_RESET)


@register.simple_tag(takes_context=True)
def ended_message(context: Any) -> str:
    """Return in a sentence why the visitor's last session ended; ``""`` if there is nothing to say."""
    return str(ended_notice(context) or "")


@register.simple_tag(takes_context=True)
def ended_notice(context: Any) -> EndedNotice | None:
    """Return how the visitor's last session ended; ``EndedNotice`` says what it holds.

    None if there is nothing to say, or a message on this admin's login page has said it already.
    """
    request = context.get("request")
    if request is None or request_state(request).ending_shown == IN_MESSAGES:
        return None
    if notice := notice_of(request):
        request_state(request).ending_shown = IN_TEMPLATE
    return notice


class OtherWays(template.Node):
    """What ``{% other_ways %}`` renders."""

    def __init__(self, nodelist: template.NodeList) -> None:
        self.nodelist = nodelist

    def render(self, context: Any) -> str:
        ways = self.nodelist.render(context)
        if not ways.strip():
            return ""
        return format_html(
            '<div class="authx-ways"><p class="authx-or">{}</p>{}</div>',
            pgettext("between ways to sign in", "or"),
            ways,
        )


@register.tag
def other_ways(parser: Any, token: Any) -> OtherWays:
    """Render the blocks up to ``{% endother_ways %}`` below the word "or"; nothing where they are empty."""
    nodelist = parser.parse(("endother_ways",))
    parser.delete_first_token()
    return OtherWays(nodelist)


@register.filter
def sign_in_methods(amr: Any) -> str:
    """Return in words how somebody signed in; ``amr`` is that of a device session."""
    return words.methods(amr or ())


@register.filter
def active_ago(at: datetime | None) -> str:
    """Return in a sentence when a device was last in use; ``""`` if that is unknown."""
    return "" if at is None else ago.active_ago(at)


@register.filter
def used_ago(at: datetime | None) -> str:
    """Return in a sentence when an app was last in use; ``""`` if that is unknown."""
    return "" if at is None else ago.used_ago(at)


@register.filter
def isolated(text: Any) -> str:
    """Return a name or an address for plain text, such that the words around it stay in order."""
    return direction.isolated(text)


@register.filter
def place(session: Any, known: Any = None) -> str:
    """Return where a session was signed in from, in the active language; ``""`` if that is unknown.

    ``known`` has the places of sessions by their keys: AUTHX_PLACE is not asked again for those.
    """
    return known[session.pk] if known and session.pk in known else places.place_of(session)


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
