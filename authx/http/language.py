"""The language of an answer to a program: the one it asks for, unless one has been chosen already."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.conf import settings
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.cache import patch_vary_headers
from django.utils.translation import get_language, get_language_from_request, override


@contextmanager
def negotiated(request: HttpRequest | None) -> Iterator[str | None]:
    """Speak the language that a request asks for; yield it, or None where another has been chosen.

    ``LocaleMiddleware`` chooses one, and so does whatever else activates a language other than LANGUAGE_CODE
    or sets ``request.LANGUAGE_CODE``. A site that speaks one language has one in LANGUAGES.
    """
    if request is None or _has_chosen(request):
        yield None
        return
    language = get_language_from_request(request)
    if language == get_language():  # most visitors ask for the site's own: nothing is to be switched
        yield language
        return
    with override(language, deactivate=True):
        yield language


def _has_chosen(request: HttpRequest) -> bool:
    is_another = get_language() != settings.LANGUAGE_CODE
    return is_another or hasattr(request, "LANGUAGE_CODE") or not settings.USE_I18N


def name_language(response: HttpResponseBase, language: str | None) -> None:
    """Say in which language a response is, and that others get it in another; nothing if it is None."""
    if language is not None:
        response.headers.setdefault("Content-Language", language)
        patch_vary_headers(response, ["Accept-Language"])
