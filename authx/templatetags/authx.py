"""``{% load authx %}``: tags for a site's own login page."""

from __future__ import annotations

from typing import Any

from django import template

from authx.identity.visit import identity_of
from authx.pages import texts

register = template.Library()


@register.simple_tag(takes_context=True)
def ended_message(context: Any) -> str:
    """Return in a sentence why the visitor's last session ended; ``""`` if there is nothing to say."""
    return texts.ended_message(identity_of(context.get("request")))
