"""System check: what a verify-only service must know about its issuer."""

from __future__ import annotations

from typing import Any

from django.core.checks import CheckMessage, Error, Warning
from django.views.decorators.debug import sensitive_variables

from authx.conf import conf
from authx.errors import StoreUnavailable
from authx.gate.service_credentials import prove


def check_verifier(**kwargs: Any) -> list[CheckMessage]:
    """Check ``AUTHX_REVOCATION_STORE = "remote"`` and the settings that belong to it."""
    if not conf.is_valid():
        return []  # reported by check_settings
    if conf.REVOCATION_STORE != "remote":
        return _not_remote()
    return [*_issuer(), *_endings()]


def _not_remote() -> list[CheckMessage]:
    if not conf.JWKS_URL:
        return _credentials() if conf.TOKEN_URL else []
    text = 'AUTHX_JWKS_URL is set, and AUTHX_REVOCATION_STORE is not "remote".'
    hint = "Our own tokens would be checked with another issuer's keys. Set both, or neither."
    return [Error(text, hint=hint, id="authx.E015")]


def _issuer() -> list[CheckMessage]:
    found: list[CheckMessage] = []
    if not conf.JWKS_URL:
        text = 'AUTHX_REVOCATION_STORE = "remote" needs AUTHX_JWKS_URL.'
        hint = 'Set AUTHX_JWKS_URL = "https://your.issuer/.well-known/jwks.json".'
        found.append(Error(text, hint=hint, id="authx.E016"))
    return found + _credentials()


@sensitive_variables()
def _credentials() -> list[CheckMessage]:
    """Check that they are set where they are needed, and that a file that is named is there now."""
    asked = conf.REVOCATIONS_URL or conf.INTROSPECTION_URL or conf.TOKEN_URL
    if asked and not conf.SERVICE_CREDENTIALS:
        text = "AUTHX_SERVICE_CREDENTIALS are missing: the issuer answers nobody else."
        hint = 'Run "manage.py authx_services create <name>" at the issuer, and set what it prints.'
        return [Error(text, hint=hint, id="authx.E017")]
    try:
        if conf.SERVICE_CREDENTIALS:
            prove()
    except StoreUnavailable as error:
        hint = "Mount it where the setting says, readable by the service's user: one line of text, or a key."
        return [Error(f"{error}.", hint=hint, id="authx.E017")]
    return []


def _endings() -> list[CheckMessage]:
    if not conf.REVOCATIONS_URL and not conf.INTROSPECTION_URL:
        text = "Nobody tells this service which sessions have ended: a token is good until it expires."
        hint = "Set AUTHX_REVOCATIONS_URL, or AUTHX_INTROSPECTION_URL, if that is too long."
        return [Warning(text, hint=hint, id="authx.W011")]
    if conf.REVOCATIONS_URL and not conf.REVOCATION_LAG:
        text = "AUTHX_REVOCATION_LAG is 0: every request asks the issuer's feed."
        hint = "Set AUTHX_REVOCATION_LAG = timedelta(seconds=5), say; it is how late an ending may be seen."
        return [Warning(text, hint=hint, id="authx.W012")]
    return []
