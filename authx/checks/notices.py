"""System checks of notices: whether mail can go out with links that lead somewhere."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.checks import CheckMessage, Error, Warning
from django.core.exceptions import FieldDoesNotExist
from django.urls import NoReverseMatch, reverse

from authx.conf import Conf, conf
from authx.http.site_urls import PASSWORD_RESET, page_named


def check_notices(**kwargs: Any) -> list[CheckMessage]:
    """Check what AUTHX_NOTICE_MAIL needs."""
    if any(setting.complaint() for setting in (Conf.NOTICE_MAIL, Conf.ISSUER)) or not conf.NOTICE_MAIL:
        return []  # reported by check_settings, or off
    return [*_issuer(), *_addresses(), *_pages()]


def _issuer() -> list[CheckMessage]:
    schemes = {"https", "http"} if settings.DEBUG else {"https"}
    try:
        parts = urlsplit(conf.ISSUER)
        is_address = parts.scheme in schemes and bool(parts.hostname)
    except ValueError:
        is_address = False
    if is_address:
        return []
    text = "AUTHX_NOTICE_MAIL is on, and AUTHX_ISSUER is no https URL: links in mail would lead nowhere."
    hint = 'Set AUTHX_ISSUER = "https://your.site". The Host header is never used: a client chooses it.'
    return [Error(text, hint=hint, id="authx.E060")]


def _addresses() -> list[CheckMessage]:
    model = get_user_model()
    try:
        model._meta.get_field(getattr(model, "get_email_field_name", str)())
    except FieldDoesNotExist:
        text = f"AUTHX_NOTICE_MAIL is on, and {model._meta.label} has no column with an e-mail address."
        hint = "Name it in the model's EMAIL_FIELD, or send notices by a receiver of authx.signals.notice."
        return [Error(text, hint=hint, id="authx.E061")]
    return []


def _pages() -> list[CheckMessage]:
    found: list[CheckMessage] = []
    if not _has_page("authx:not-me", "token"):
        text = 'AUTHX_NOTICE_MAIL is on, and there is no page for its "this was not me" link.'
        hint = 'Include authx.pages.urls: path("account/", include("authx.pages.urls")).'
        found.append(Warning(text, hint=hint, id="authx.W062"))
    if not page_named(PASSWORD_RESET):
        names = " or ".join(PASSWORD_RESET)
        text = f"AUTHX_NOTICE_MAIL is on, and there is no page named {names} to lead people to."
        hint = "Include django.contrib.auth.urls, or name the page where your users choose a new one so."
        found.append(Warning(text, hint=hint, id="authx.W063"))
    return found


def _has_page(name: str, *arguments: str) -> bool:
    try:
        return bool(reverse(name, args=arguments))
    except NoReverseMatch:
        return False
