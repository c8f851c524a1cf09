"""System checks of settings that depend on one another, or on what they name."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning
from django.core.exceptions import ImproperlyConfigured

from authx.checks.cookies import check_cookies
from authx.checks.named_code import check_named_code
from authx.conf import conf
from authx.errors import KeyInvalid


def check_together(**kwargs: Any) -> list[CheckMessage]:
    """Check the rules that involve more than one setting."""
    if not conf.is_valid():
        return []  # reported by check_settings
    return [*_durations(), *check_cookies(), *_keys(), *check_named_code(), *_surroundings()]


def _durations() -> list[CheckMessage]:
    found: list[CheckMessage] = []
    if conf.IDLE_LIFETIME > conf.SESSION_LIFETIME:
        text = "AUTHX_IDLE_LIFETIME is longer than AUTHX_SESSION_LIFETIME, so it has no effect."
        hint = "Shorten it, or lengthen AUTHX_SESSION_LIFETIME."
        found.append(Warning(text, hint=hint, id="authx.W002"))
    if conf.ACCESS_TOKEN_LIFETIME >= conf.IDLE_LIFETIME:
        text = "AUTHX_ACCESS_TOKEN_LIFETIME must be shorter than AUTHX_IDLE_LIFETIME."
        hint = "It holds to within one access token's life; 15 minutes and 7 days are the defaults."
        found.append(Error(text, hint=hint, id="authx.E002"))
    if conf.REFRESH_GRACE >= conf.IDLE_LIFETIME:
        text = "AUTHX_REFRESH_GRACE must be shorter than AUTHX_IDLE_LIFETIME."
        hint = "No refresh within the grace moves the idle limit; thirty seconds cover a burst of tabs."
        found.append(Error(text, hint=hint, id="authx.E003"))
    elif conf.REFRESH_GRACE > conf.ACCESS_TOKEN_LIFETIME:
        text = "AUTHX_REFRESH_GRACE is longer than AUTHX_ACCESS_TOKEN_LIFETIME."
        hint = "Within the grace nothing rotates, and no copy is found; thirty seconds cover a burst of tabs."
        found.append(Warning(text, hint=hint, id="authx.W013"))
    return found


def _keys() -> list[CheckMessage]:
    from authx.gate.keys.keyring import keyset

    try:
        keyset()
    except ImproperlyConfigured:
        return []  # there is no SECRET_KEY: reported by check_secrets
    except KeyInvalid as error:
        hint = (
            "Name PEM private keys: RSA of 2048 bits or more, P-256, or Ed25519; the first one signs. "
            "A file must be where the setting says, and readable by the site's user."
        )
        name = "AUTHX_SIGNING_KEYS" if conf.SIGNING_KEYS else "The keys derived from SECRET_KEY"
        return [Error(f"{name}: {error}.", hint=hint, id="authx.E007")]
    return []


def _surroundings() -> list[CheckMessage]:
    found: list[CheckMessage] = []
    if not settings.USE_TZ:
        text = "authx needs USE_TZ = True: its times are compared with the database's clock, in UTC."
        found.append(Error(text, hint="Set USE_TZ = True.", id="authx.E008"))
    drf = getattr(settings, "REST_FRAMEWORK", None) or {}
    classes = drf.get("DEFAULT_AUTHENTICATION_CLASSES") or []
    if classes and "SessionAuthentication" in str(classes[0]):
        text = "SessionAuthentication stands first: DRF then answers 403 where it should be 401."
        hint = "Put authx.api.authentication.BearerAuthentication first."
        found.append(Warning(text, hint=hint, id="authx.W004"))
    if settings.SESSION_COOKIE_DOMAIN:
        text = "SESSION_COOKIE_DOMAIN shares Django's login among hosts; our cookies belong to one host."
        hint = "Who is signed in on one host signs in again on the next. Leave it None where that is wrong."
        found.append(Warning(text, hint=hint, id="authx.W009"))
    ours = any(str(name).startswith("authx.api.authentication.") for name in classes)
    handler = drf.get("EXCEPTION_HANDLER")
    if ours and handler in {None, "rest_framework.views.exception_handler"}:
        text = "DRF's handler does not know our errors: an unavailable store is a 500, a 401 may be a 403."
        hint = (
            'Set REST_FRAMEWORK["EXCEPTION_HANDLER"] = "authx.api.exception_handler", for every error of the '
            'site, or "authx.api.own_errors_only".'
        )
        found.append(Warning(text, hint=hint, id="authx.W005"))
    return found
