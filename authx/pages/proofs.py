"""What other apps have noted in the Django session about how its user authenticated.

allauth keeps records, django-otp the device, django-mfa2 the method, django-passkeys a flag. They are read
from the session without importing the app; AUTHX_AMR and the built-in table say what methods they stand for.
"""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.conf import settings
from django.core.exceptions import ValidationError
from django.http import HttpRequest

from authx import clocks
from authx.core.user_model import username_of
from authx.http.proof_notes import MFA2, SEEN_KEY, state
from authx.pages import allauth_records
from authx.sessions.methods import is_backend

_PASSKEYS = "passkey"
#: Only its own backend, which also takes passwords, sets the flag of django-passkeys.
_PASSKEYS_BACKEND = "passkeys.backend.PasskeyModelBackend"


def proofs_since(request: HttpRequest, user: Any) -> list[str]:
    """Return the names of what ``user`` has proved since ``proof_notes.see``."""
    seen, now = request.session.get(SEEN_KEY, {}), state(request)
    names = [name for at, name in allauth_records.of_user(request, user) if at > seen.get("allauth", 0)]
    if now.get("otp") != seen.get("otp"):
        names += _otp_device(_device(now.get("otp"), user))
    if now.get("mfa2") != seen.get("mfa2"):
        names += _mfa2(request, user)
    return names


def login_proofs(request: HttpRequest, user: Any) -> tuple[list[str], bool]:
    """Return the names of this login's proofs beside its backend, and whether its password is in doubt.

    allauth keeps a record of a login by password. Where its records only name something else, or a passkey
    has named the user, no password was typed, whichever backend the app logs in with.
    """
    names = [name for at, name in allauth_records.of_user(request, user) if at > _oldest(request)]
    if is_backend(user, _PASSKEYS_BACKEND) and _flag(request, _PASSKEYS, "passkey"):
        names.append("passkeys.passkey")
    is_new = state(request).get("mfa2") != request.session.get(SEEN_KEY, {}).get("mfa2")
    second = _mfa2(request, user) if is_new else []
    doubtful = bool(names) or (bool(second) and "base_username" not in request.session)
    if not _is_remembered(request):
        names += _otp_device(getattr(user, "otp_device", None))
    return names + second, doubtful


def _oldest(request: HttpRequest) -> float:
    """Return the Unix time up to which records belong to an earlier login, or to one given up."""
    seen: float = request.session.get(SEEN_KEY, {}).get("allauth", 0)
    return max(seen, clocks.time() - getattr(settings, "ACCOUNT_LOGIN_TIMEOUT", 900))


def _device(persistent_id: Any, user: Any) -> Any:
    """Return the device that django-otp has noted, if it is confirmed and this user's; else None."""
    label, _, key = str(persistent_id or "").rpartition("/")
    try:
        device = apps.get_model(label)._default_manager.filter(pk=key).first()
    except (LookupError, ValueError, OverflowError, ValidationError):
        return None
    mine = getattr(device, "user_id", None) == user.pk and getattr(device, "confirmed", False)
    return device if mine else None


def _otp_device(device: Any) -> list[str]:
    meta = getattr(device, "_meta", None)
    if meta is None:
        return []
    method = getattr(device, "method", "")
    name = f"django_otp.{meta.app_label}.{meta.model_name}"
    return [f"{name}.{method}" if method and isinstance(method, str) else name]


def _mfa2(request: HttpRequest, user: Any) -> list[str]:
    """Return what django-mfa2 has verified, unless it was for another user."""
    if not _flag(request, MFA2, "verified"):
        return []
    named = request.session.get("base_username", username_of(user))
    if str(named).casefold() != username_of(user).casefold():
        return []
    method = str(request.session[MFA2].get("method")).lower().replace(" ", "_")
    return [f"mfa2.{method}"]


def _flag(request: HttpRequest, key: str, name: str) -> bool:
    found = request.session.get(key)
    return isinstance(found, dict) and found.get(name) is True


def _is_remembered(request: HttpRequest) -> bool:
    """Return whether django-two-factor-auth may have accepted a remembered browser as second factor."""
    if not getattr(settings, "TWO_FACTOR_REMEMBER_COOKIE_AGE", None):
        return False
    prefix = getattr(settings, "TWO_FACTOR_REMEMBER_COOKIE_PREFIX", "remember-cookie_")
    return any(name.startswith(prefix) for name in request.COOKIES)
