"""System check of logins of other packages, whose tokens end with no device session."""

from __future__ import annotations

from typing import Any, Final

from django.conf import settings
from django.core.checks import CheckMessage, Warning

from authx.checks.delegated_views import callbacks

#: Views that hand out tokens of their own; those that may do without, with the setting that says so.
_LOGINS: Final = {
    "rest_framework_simplejwt.views.TokenObtainPairView": "",
    "rest_framework_simplejwt.views.TokenObtainSlidingView": "",
    "rest_framework.authtoken.views.ObtainAuthToken": "",
    "knox.views.LoginView": "",
    "dj_rest_auth.views.LoginView": "REST_AUTH",
    "djoser.views.TokenCreateView": "DJOSER",
}


def check_other_logins(**kwargs: Any) -> list[CheckMessage]:
    """Say which views hand out tokens that a kick, a logout and a new password leave alone."""
    kinds = [getattr(callback, "cls", None) for callback in callbacks()]
    found = {kind: name for kind in kinds if kind is not None and (name := _login_of(kind))}
    return [
        Warning(
            f"{kind.__module__}.{kind.__qualname__} hands out tokens of {name.partition('.')[0]}: they end "
            "with no device session, and stand in no list of devices.",
            hint="Let clients log in by authx.api.urls, and take its route out; silence this until then.",
            id="authx.W058",
        )
        for kind, name in found.items()
    ]


def _login_of(kind: type) -> str | None:
    """Return the name of the login that a view is derived from; None where it hands out no tokens."""
    for base in kind.__mro__:
        name = f"{base.__module__}.{base.__qualname__}"
        if name in _LOGINS:
            return name if _has_tokens(_LOGINS[name]) else None
    return None


def _has_tokens(setting: str) -> bool:
    """Return whether a package makes tokens, which it does unless its settings say otherwise."""
    chosen = (getattr(settings, setting, None) or {}) if setting else {}
    return bool(chosen.get("USE_JWT")) or chosen.get("TOKEN_MODEL", "the default") is not None
