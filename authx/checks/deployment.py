"""System check of what is fine in development but not in production (``check --deploy``)."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from django.core.checks import CheckMessage, Warning

from authx.conf import Conf


def check_deployment(**kwargs: Any) -> list[CheckMessage]:
    """Warn of what is fine in development but not in production."""
    found: list[CheckMessage] = []
    # As they are written: a value of the wrong type is reported by check_settings.
    issuer = Conf.ISSUER.configured()
    parts = urlsplit(issuer if isinstance(issuer, str) else "")
    if parts.scheme != "https" or not parts.netloc:
        text = "AUTHX_ISSUER is not an https URL: other services cannot find our keys by it (RFC 8414)."
        hint = 'Set AUTHX_ISSUER = "https://your.site".'
        found.append(Warning(text, hint=hint, id="authx.W006"))
    if not Conf.COOKIE_SECURE.configured():
        text = "AUTHX_COOKIE_SECURE is False: our cookies also travel over plain http."
        found.append(Warning(text, hint="Set it to True.", id="authx.W007"))
    if Conf.STAFF_MAX_AUTH_AGE.configured() is None:
        text = "AUTHX_STAFF_MAX_AUTH_AGE is None: staff may kick however long ago they signed in."
        hint = "Set AUTHX_STAFF_MAX_AUTH_AGE = timedelta(hours=1), say."
        found.append(Warning(text, hint=hint, id="authx.W008"))
    return found
