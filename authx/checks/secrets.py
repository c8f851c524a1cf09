"""System checks: whether the secrets that our keys are derived from can be guessed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning
from django.core.exceptions import ImproperlyConfigured
from django.views.decorators.debug import sensitive_variables

from authx.conf import Conf
from authx.core import guessable

#: What a right guess gives access to, and what shows that it is right.
_SIGNING = (
    "the key that signs access tokens is derived from it, and our public JWK Set tells anybody, offline, "
    "whether a guess was right. So are the keys of refresh tokens and cookies."
)
_OTHERS = (
    "the keys of refresh tokens, cookies and the managed keys' encryption are derived from it, and any token "
    "of ours tells its holder, offline, whether a guess was right."
)
_HINT = (
    "Let django.core.management.utils.get_random_secret_key() make one. Whoever may have guessed the old one "
    "can use it while it stands in SECRET_KEY_FALLBACKS."
)


def check_secrets(**kwargs: Any) -> list[CheckMessage]:
    """Warn of a SECRET_KEY, or of a fallback that still verifies, that can be guessed."""
    return [Warning(text, hint=_HINT, id="authx.W020") for text in _complaints()]


def check_secrets_in_production(**kwargs: Any) -> list[CheckMessage]:
    """Report the same as an error in production (``check --deploy``)."""
    return [Error(text, hint=_HINT, id="authx.E020") for text in _complaints()]


@sensitive_variables()
def _complaints() -> Iterator[str]:
    for name, secret in _secrets():
        is_secret = isinstance(secret, str | bytes)
        found = guessable.complaint(secret) if is_secret else "is neither text nor bytes"
        if found:
            yield f"{name} {found}: {_OTHERS if Conf.SIGNING_KEYS.configured() else _SIGNING}"


@sensitive_variables()
def _secrets() -> Iterator[tuple[str, Any]]:
    try:
        yield "SECRET_KEY", settings.SECRET_KEY
    except ImproperlyConfigured:  # Django's complaint about an empty one
        yield "SECRET_KEY", ""
    for number, secret in enumerate(settings.SECRET_KEY_FALLBACKS):
        yield f"SECRET_KEY_FALLBACKS[{number}]", secret
