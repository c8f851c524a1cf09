"""Why the last session ended, on an admin's login page: no template of the site has to know of it.

The page gets one message more than there is, among ``messages``, which Django's template shows and Unfold's
and Grappelli's do. Where a template shows none, such as Jazzmin's, it is rendered once more, with an error of
the form, which no login page leaves out. Nothing is stored: nobody is told later, or on another page, and
``django.contrib.messages`` need not be installed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from django.contrib.messages import WARNING, get_messages
from django.contrib.messages.storage.base import Message
from django.forms import BaseForm
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString

from authx.http import renewal
from authx.http.request_state import request_state
from authx.pages.ended import ended_notice

#: In the request's state: where the page has said why. A template of the site's may say it itself.
IN_MESSAGES, IN_TEMPLATE = "messages", "template"


def add_reason(request: HttpRequest, response: Any) -> Any:
    """Let a response that is an admin's login page, and not rendered yet, say why the last session ended.

    Nothing is read before the template asks.
    """
    context = getattr(response, "context_data", None)
    if context is not None and renewal.is_admin_login(request):
        known = context["messages"] if "messages" in context else get_messages(request)
        context["messages"] = _Messages(request, known)
        response.add_post_render_callback(lambda rendered: _show_in_form(request, rendered))
    return response


class _Messages:
    """The messages of a request, and behind them why the last session ended; read when a template asks."""

    def __init__(self, request: HttpRequest, known: Iterable[Any]) -> None:
        self.request, self.known = request, known

    def __iter__(self) -> Iterator[Any]:
        yield from self.known
        if text := self._text():
            request_state(self.request).ending_shown = IN_MESSAGES
            yield Message(WARNING, text)

    def __len__(self) -> int:
        known: Any = self.known
        return len(known) + bool(self._text())

    def _text(self) -> str:
        return "" if request_state(self.request).ending_shown == IN_TEMPLATE else _text(self.request)


def _text(request: HttpRequest) -> SafeString | str:
    notice = ended_notice(request)
    return "" if notice is None else format_html("{} {}", notice.message, notice.time)


def _show_in_form(request: HttpRequest, response: Any) -> None:
    """Render the page once more, if its template has shown no messages."""
    form = response.context_data.get("form")
    if request_state(request).ending_shown or not isinstance(form, BaseForm) or not (text := _text(request)):
        return
    if not form.is_bound:
        form.full_clean()
        form.cleaned_data = {}  # which only a form that was sent has, and ``add_error`` demands
    form.add_error(None, text)
    response.content = response.rendered_content
