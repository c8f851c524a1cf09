"""``{% load authx %}``: what a site's own login page can say."""

from __future__ import annotations

from typing import Any

from django import template

from authx.pages import texts
from authx.pages.visit import visit_of

register = template.Library()


@register.simple_tag(takes_context=True)
def ended_message(context: Any) -> str:
    """Why this visitor's last session ended, in a sentence; ``""`` if there is nothing to say."""
    return texts.ended_message(visit_of(context.get("request")))
