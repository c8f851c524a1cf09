"""What other apps have noted in the Django session: how its user has proved who they are.

allauth keeps records, django-otp the device, django-mfa2 the method, django-passkeys a flag. Each is read
where it stands, without importing the app; what each is worth is for AUTHX_AMR and the built-in table.
"""

from __future__ import annotations

import time
from typing import Any

from django.apps import apps
from django.conf import settings
from django.core.exceptions import ValidationError
from django.http import HttpRequest

from authx.pages import allauth_records
from authx.sessions.methods import is_backend

#: In a Django session: the newest proofs of each app that its device session knows of.
SEEN_KEY = "_authx_proofs"

_OTP, _MFA2, _PASSKEYS = "otp_device_id", "mfa", "passkey"
#: django-passkeys has its flag from its own backend alone, which also takes passwords.
_PASSKEYS_BACKEND = "passkeys.backend.PasskeyModelBackend"


def see(request: HttpRequest) -> None:
    """Remember that all that is proved by now is known, or is not to count."""
    request.session[SEEN_KEY] = _state(request)


def has_news(request: HttpRequest) -> bool:
    """True if another app has noted a proof since; looks at no Django session that nobody has written to."""
    session = getattr(request, "session", None)
    if session is None or not session.modified:
        return False
    return bool(_state(request) != session.get(SEEN_KEY, {}))


def proofs_since(request: HttpRequest, user: Any) -> list[str]:
    """The names of what ``user`` has proved since ``see``."""
    seen, state = request.session.get(SEEN_KEY, {}), _state(request)
    names = [name for at, name in allauth_records.of_user(request, user) if at > seen.get("allauth", 0)]
    if state.get("otp") != seen.get("otp"):
        names += _otp_device(_device(state.get("otp"), user))
    if state.get("mfa2") != seen.get("mfa2"):
        names += _mfa2(request, user)
    return names


def login_proofs(request: HttpRequest, user: Any) -> tuple[list[str], bool]:
    """The names of what this login was, beside its backend; and whether that backend's password is in doubt.

    A login by allauth has a record where it was by password. Where its records tell of something else alone,
    or a passkey has named the user, no password was typed, whatever backend the app lets in by.
    """
    names = [name for at, name in allauth_records.of_user(request, user) if at > _oldest(request)]
    if is_backend(user, _PASSKEYS_BACKEND) and _flag(request, _PASSKEYS, "passkey"):
        names.append("passkeys.passkey")
    is_new = _state(request).get("mfa2") != request.session.get(SEEN_KEY, {}).get("mfa2")
    second = _mfa2(request, user) if is_new else []
    doubtful = bool(names) or (bool(second) and "base_username" not in request.session)
    if not _is_remembered(request):
        names += _otp_device(getattr(user, "otp_device", None))
    return names + second, doubtful


def _state(request: HttpRequest) -> dict[str, Any]:
    """What to compare: the time of allauth's newest record, the device of django-otp, the proof of mfa2."""
    session = request.session
    newest = max((at for at, _record in allauth_records.everybodys(request)), default=0)
    mfa2 = session.get(_MFA2)
    proof = [str(mfa2.get("method")), str(mfa2.get("id"))] if isinstance(mfa2, dict) else None
    found = {"allauth": newest, "otp": session.get(_OTP), "mfa2": proof}
    return {name: value for name, value in found.items() if value}


def _oldest(request: HttpRequest) -> float:
    """Records up to then belong to an earlier login, or to one that was given up."""
    seen: float = request.session.get(SEEN_KEY, {}).get("allauth", 0)
    return max(seen, time.time() - getattr(settings, "ACCOUNT_LOGIN_TIMEOUT", 900))


def _device(persistent_id: Any, user: Any) -> Any:
    """The device that django-otp has noted, if it is this user's; None if not."""
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
    """What django-mfa2 has verified, unless of somebody else."""
    if not _flag(request, _MFA2, "verified"):
        return []
    named = request.session.get("base_username", user.get_username())
    if str(named).casefold() != user.get_username().casefold():
        return []
    method = str(request.session[_MFA2].get("method")).lower().replace(" ", "_")
    return [f"mfa2.{method}"]


def _flag(request: HttpRequest, key: str, name: str) -> bool:
    found = request.session.get(key)
    return isinstance(found, dict) and found.get(name) is True


def _is_remembered(request: HttpRequest) -> bool:
    """True if django-two-factor-auth may have taken a remembered browser for the second factor."""
    if not getattr(settings, "TWO_FACTOR_REMEMBER_COOKIE_AGE", None):
        return False
    prefix = getattr(settings, "TWO_FACTOR_REMEMBER_COOKIE_PREFIX", "remember-cookie_")
    return any(name.startswith(prefix) for name in request.COOKIES)
