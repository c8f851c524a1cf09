"""Addresses in notices: at AUTHX_ISSUER, never at the host that a client names."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

from django.conf import settings
from django.urls import NoReverseMatch, get_urlconf, reverse, set_urlconf, translate_url
from django.utils.translation import get_supported_language_variant, override
from django.views.decorators.debug import sensitive_variables

from authx.http.site_urls import PASSWORD_RESET, at_issuer, page_named
from authx.sessions.not_me import write_link_token


def not_me_url(session_id: str) -> str:
    """Return the "this wasn't me" link of a session; ``""`` for none, and on a site without that page."""
    return _page("authx:not-me", write_link_token(UUID(session_id))) if session_id else ""


def devices_url() -> str:
    return _page("authx:devices")


def password_reset_url() -> str:
    with _as_the_site_has_them():
        found = page_named(PASSWORD_RESET)
    return _whole(found) if found else ""


@sensitive_variables("url")
def in_language(url: str, language: str) -> str:
    """Return one of these addresses as a site with ``i18n_patterns`` has it in another language."""
    with _as_the_site_has_them():
        return translate_url(url, _prefix(language)) if url else ""


@sensitive_variables("arguments", "found")
def _page(name: str, *arguments: str) -> str:
    try:
        with _as_the_site_has_them():
            found = reverse(name, args=arguments)
    except NoReverseMatch:
        return ""
    return _whole(found)


@sensitive_variables()
def _whole(path: str) -> str:
    """Return the URL of a path; ``""`` where the issuer is no URL."""
    found = at_issuer(path)
    return found if "://" in found else ""


@contextmanager
def _as_the_site_has_them() -> Iterator[None]:
    """Find pages by ROOT_URLCONF and LANGUAGE_CODE, whatever the request has that the notice comes from.

    Its language may be a stranger's, and its host one of several that has other pages.
    """
    urlconf = get_urlconf()
    set_urlconf(None)
    try:
        with override(_prefix(settings.LANGUAGE_CODE)):
            yield
    finally:
        set_urlconf(urlconf)


def _prefix(language: str) -> str:
    """Return the language as addresses have it: ``en`` for ``en-us``, where the site's LANGUAGES say so."""
    try:
        return get_supported_language_variant(language)
    except LookupError:
        return language
