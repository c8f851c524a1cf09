"""System checks: every declared setting, the rules across settings, and the middleware's place."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register
from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

from authx.checks.logins import check_counting, check_login_backend, check_proxies
from authx.checks.password_login import check_password_login
from authx.checks.secrets import check_secrets, check_secrets_in_production
from authx.checks.stores import check_store
from authx.checks.verifier import check_verifier
from authx.conf import Conf, conf
from authx.core.methods import APPS as PROVING_APPS
from authx.errors import KeyInvalid

MIDDLEWARE = "authx.pages.middleware.DeviceSessionMiddleware"
_AUTHENTICATION = "django.contrib.auth.middleware.AuthenticationMiddleware"
_MUST_FOLLOW = (
    "django.contrib.auth.middleware.LoginRequiredMiddleware",
    "django.contrib.auth.middleware.RemoteUserMiddleware",
    "django.contrib.auth.middleware.PersistentRemoteUserMiddleware",
)


def connect() -> None:
    # Imported here: it needs our models, which a verify-only service that imports this module has not.
    from authx.checks.subjects import check_subject_field

    register(check_settings, Tags.security)
    register(check_together, Tags.security)
    register(check_secrets, Tags.security)
    register(check_secrets_in_production, Tags.security, deploy=True)
    register(check_subject_field, Tags.security)
    register(check_middleware, Tags.security)
    register(check_password_login, Tags.security)
    register(check_store, Tags.security)
    register(check_login_backend, Tags.security)
    register(check_verifier, Tags.security)
    register(check_deployment, Tags.security, deploy=True)
    register(check_counting, Tags.security, deploy=True)
    register(check_proxies, Tags.security, deploy=True)


def check_settings(**kwargs: Any) -> list[CheckMessage]:
    """Check each setting by its own rule; suggest the nearest right name for an unknown one."""
    found: list[CheckMessage] = []
    for setting in Conf.declared():
        if complaint := setting.complaint():
            found.append(Error(f"{setting.name} {complaint}.", id="authx.E001"))
    names = [setting.name.removeprefix("AUTHX_") for setting in Conf.declared()]
    for name in dir(settings):
        if name.startswith("AUTHX_") and name.removeprefix("AUTHX_") not in names:
            near = get_close_matches(name.removeprefix("AUTHX_"), names, n=1)
            hint = f"Did you mean AUTHX_{near[0]}?" if near else None
            found.append(Warning(f"{name}: no such setting.", hint=hint, id="authx.W001"))
    return found


def check_together(**kwargs: Any) -> list[CheckMessage]:
    """Check the rules that involve more than one setting."""
    if any(setting.complaint() for setting in Conf.declared()):
        return []  # reported by check_settings
    return [*_durations(), *_cookies(), *_keys(), *_paths(), *_surroundings()]


def _durations() -> list[CheckMessage]:
    found: list[CheckMessage] = []
    if conf.IDLE_LIFETIME > conf.SESSION_LIFETIME:
        text = "AUTHX_IDLE_LIFETIME is longer than AUTHX_SESSION_LIFETIME, so it has no effect."
        hint = "Shorten it, or lengthen AUTHX_SESSION_LIFETIME."
        found.append(Warning(text, hint=hint, id="authx.W002"))
    if conf.ACCESS_TOKEN_LIFETIME >= conf.IDLE_LIFETIME:
        text = "AUTHX_ACCESS_TOKEN_LIFETIME must be shorter than AUTHX_IDLE_LIFETIME."
        hint = "A session is idle when it is not refreshed; 15 minutes and 7 days are the defaults."
        found.append(Error(text, hint=hint, id="authx.E002"))
    if conf.REFRESH_GRACE >= conf.IDLE_LIFETIME:
        text = "AUTHX_REFRESH_GRACE must be shorter than AUTHX_IDLE_LIFETIME."
        hint = "Thirty seconds cover a burst of tabs."
        found.append(Error(text, hint=hint, id="authx.E003"))
    elif conf.REFRESH_GRACE > conf.ACCESS_TOKEN_LIFETIME:
        text = "AUTHX_REFRESH_GRACE is longer than AUTHX_ACCESS_TOKEN_LIFETIME."
        hint = "Within the grace nothing rotates, and no copy is found; thirty seconds cover a burst of tabs."
        found.append(Warning(text, hint=hint, id="authx.W013"))
    return found


def _cookies() -> list[CheckMessage]:
    found: list[CheckMessage] = []
    names = [conf.ACCESS_COOKIE, conf.REFRESH_COOKIE, conf.DEVICE_COOKIE]
    if not conf.COOKIE_SECURE and any(name.startswith(("__Host-", "__Secure-")) for name in names):
        text = "A cookie named __Host-... is refused by browsers while AUTHX_COOKIE_SECURE is False."
        hint = "Set AUTHX_COOKIE_SECURE = True, or rename AUTHX_ACCESS_COOKIE, _REFRESH_ and _DEVICE_."
        found.append(Error(text, hint=hint, id="authx.E004"))
    taken = [*names, settings.SESSION_COOKIE_NAME, settings.CSRF_COOKIE_NAME]
    if len(set(taken)) != len(taken):
        text = "Two of our cookies, or one of ours and one of Django's, have the same name."
        hint = "Give AUTHX_ACCESS_COOKIE, AUTHX_REFRESH_COOKIE and AUTHX_DEVICE_COOKIE names of their own."
        found.append(Error(text, hint=hint, id="authx.E005"))
    if conf.COOKIE_SAMESITE == "None" and not conf.COOKIE_SECURE:
        text = 'AUTHX_COOKIE_SAMESITE = "None" needs AUTHX_COOKIE_SECURE = True.'
        found.append(Error(text, hint="Browsers drop such cookies.", id="authx.E006"))
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


def _paths() -> list[CheckMessage]:
    """Check settings that name code: it must be there now, not only at the first login."""
    found: list[CheckMessage] = []
    for name in ("CLAIMS", "BIND_DJANGO_LOGIN", "PASSWORD_LOGIN", "REVOCATION_STORE", "COUNTRY"):
        path = Conf.__dict__[name].configured()
        if isinstance(path, str) and "." in path:
            found += _importable(f"AUTHX_{name}", path)
    for path in conf.AMR:
        if path.partition(".")[0] not in PROVING_APPS:
            found += _importable(f"AUTHX_AMR names {path}, which", path)
    return found


def _importable(what: str, path: str) -> list[CheckMessage]:
    try:
        import_string(path)
    except ImportError as error:
        hint = "Name an importable module and what it defines."
        return [Error(f"{what} cannot be imported: {error}", hint=hint, id="authx.E011")]
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
        text = "DRF's own errors carry no code, and an unavailable store no Retry-After."
        hint = 'Set REST_FRAMEWORK["EXCEPTION_HANDLER"] = "authx.api.exception_handler".'
        found.append(Warning(text, hint=hint, id="authx.W005"))
    return found


def check_middleware(**kwargs: Any) -> list[CheckMessage]:
    """Demand DeviceSessionMiddleware directly after AuthenticationMiddleware, before any use of the user."""
    order = list(settings.MIDDLEWARE)
    if MIDDLEWARE not in order:
        return []  # a site may use the API alone
    place = order.index(MIDDLEWARE)
    hint = f"Put {MIDDLEWARE} directly after {_AUTHENTICATION}."
    if place == 0 or order[place - 1] != _AUTHENTICATION:
        text = "DeviceSessionMiddleware does not stand directly after AuthenticationMiddleware."
        return [Error(text, hint=hint, id="authx.E009")]
    early = [name for name in _MUST_FOLLOW if name in order[:place]]
    return [
        Error(f"{name} stands before DeviceSessionMiddleware.", hint=hint, id="authx.E010") for name in early
    ]


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
