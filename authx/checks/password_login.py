"""System check of AUTHX_PASSWORD_LOGIN: a visitor sent to another login page must arrive there."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error
from django.core.exceptions import ImproperlyConfigured
from django.shortcuts import resolve_url
from django.urls import NoReverseMatch
from django.utils.module_loading import import_string

from authx.checks.named_code import is_plain_function
from authx.conf import Conf, DottedPath, conf


def check_password_login(**kwargs: Any) -> list[CheckMessage]:
    """Demand another LOGIN_URL than our page if that takes no password; demand that a function is plain."""
    if Conf.PASSWORD_LOGIN.complaint():
        return []  # reported by check_settings
    if isinstance(conf.PASSWORD_LOGIN, DottedPath):
        return _function(conf.PASSWORD_LOGIN.path)
    if conf.PASSWORD_LOGIN or not (found := _where()):
        return []
    text = f"AUTHX_PASSWORD_LOGIN is False, and LOGIN_URL is {found}: nobody can sign in."
    hint = "Set LOGIN_URL to the page that signs people in, or do not include authx.pages.urls."
    return [Error(text, hint=hint, id="authx.E022")]


def _where() -> str:
    """Return what is wrong with where LOGIN_URL leads; ``""`` if it is another page than ours."""
    from authx.pages.other_login_page import is_our_login_page

    try:
        return "our login page" if is_our_login_page(resolve_url(settings.LOGIN_URL)) else ""
    except NoReverseMatch:
        return "no URL of this site"
    except (ImportError, ImproperlyConfigured):
        return ""  # a URLconf that cannot be read: reported by Django's own checks


def _function(path: str) -> list[CheckMessage]:
    try:
        found = import_string(path)
    except ImportError:
        return []  # reported by check_together
    if is_plain_function(found):
        return []
    text = f"AUTHX_PASSWORD_LOGIN names {path}, which is no plain function (request, user)."
    return [Error(text, hint="Name a function that is not async.", id="authx.E022")]
